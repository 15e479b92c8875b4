//! Tokenizer folders: the ids, pairs, words and texts that transformers has with them.
//!
//! `make_tokenizers.py` describes the folders, which are written here, and says what is right.

use std::{collections::BTreeMap, fs, path::Path};

use peft_core::text::{ModelTokenizer, afterwards, has_tokenizer};
use peft_tests::vectors;
use serde_json::{Map, Value, json};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A vector, as JSON; each is read once.
#[derive(Default)]
struct Files(BTreeMap<String, Value>);

impl Files {
    fn json(&mut self, name: &str) -> &Value {
        self.0.entry(name.to_string()).or_insert_with(|| {
            let text = fs::read_to_string(vectors("tokenizers").join(name)).unwrap();
            match name.ends_with(".txt") {
                // The pieces of BERT's vocabulary, as its tokenizer.json has them.
                true => {
                    let ids =
                        text.lines().zip(0..).map(|(piece, id)| (piece.to_string(), json!(id)));
                    Value::Object(ids.collect())
                }
                false => serde_json::from_str(&text).unwrap(),
            }
        })
    }

    /// The value that a reference such as `bytes.json#vocab` stands for.
    fn part(&mut self, reference: &str) -> Value {
        match reference.split_once('#') {
            Some((file, key)) => self.json(file)[key].clone(),
            None => self.json(reference).clone(),
        }
    }

    /// Writes a folder of a kind with other settings.
    fn lay_out(&mut self, dir: &Path, folder: &Value, kind: &Value) {
        let write =
            |name: &str, value: &Value| fs::write(dir.join(name), value.to_string()).unwrap();
        let changed = |name: &str| {
            let mut fields = kind[name].as_object().cloned().unwrap_or_default();
            fields.extend(folder[name].as_object().cloned().unwrap_or_default());
            fields.retain(|_, value| value != "absent");
            fields
        };
        write("config.json", &changed("config").into());
        let settings: Map<String, Value> = changed("tokenizer_config");
        if !settings.is_empty() {
            write("tokenizer_config.json", &settings.into());
        }
        if folder["json"] == false {
            for (name, reference) in kind["files"].as_object().unwrap() {
                let reference = reference.as_str().unwrap();
                match name.as_str() {
                    "vocab.json" => write(name, &self.part(reference)),
                    "merges.txt" => {
                        let merges = self.part(reference);
                        let lines = merges.as_array().unwrap().iter().map(|merge| {
                            format!(
                                "{} {}\n",
                                merge[0].as_str().unwrap(),
                                merge[1].as_str().unwrap()
                            )
                        });
                        let text: String =
                            ["#version: 0.2\n".to_string()].into_iter().chain(lines).collect();
                        fs::write(dir.join(name), text).unwrap();
                    }
                    _ => {
                        fs::copy(vectors("tokenizers").join(reference), dir.join(name)).unwrap();
                    }
                }
            }
        } else {
            let mut whole = kind["json"].clone();
            for (key, value) in folder["tokenizer_json"].as_object().into_iter().flatten() {
                whole[key] = value.clone();
            }
            for key in ["vocab", "merges"] {
                if let Some(reference) = whole["model"][key].as_str() {
                    whole["model"][key] = self.part(reference);
                }
            }
            write("tokenizer.json", &whole);
        }
        for name in ["special_tokens_map.json", "added_tokens.json"] {
            if folder[name].is_object() {
                write(name, &folder[name]);
            }
        }
    }
}

/// FNV-1a of 64 bits over numbers of four bytes.
fn fnv(numbers: impl IntoIterator<Item = u32>) -> u64 {
    let bytes = numbers.into_iter().flat_map(u32::to_le_bytes);
    bytes.fold(0xcbf2_9ce4_8422_2325, |value, byte| {
        (value ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Two letters for the ids of a line.
fn short(ids: &[u32]) -> [u8; 2] {
    let value = fnv(ids.iter().copied());
    let value = value ^ (value >> 32);
    let value = value ^ (value >> 12);
    [value % 64, value / 64 % 64].map(|at| ALPHABET[at as usize])
}

/// What differs between a folder's tokenizer and transformers'.
fn differences(dir: &Path, right: &Value, lines: &[&str]) -> Result<(), String> {
    assert!(has_tokenizer(dir).unwrap());
    let loaded = ModelTokenizer::load(dir).map_err(|error| error.to_string())?;
    if loaded.class != right["tokenizer_class"] {
        return Err(format!("class {}, expected {}", loaded.class, right["tokenizer_class"]));
    }
    let tokenizer = loaded.tokenizer;
    let known = |encoding| afterwards::settled(&tokenizer, encoding);
    let ids: Vec<Vec<u32>> = lines
        .iter()
        .map(|line| known(tokenizer.encode(*line, true).unwrap()).get_ids().to_vec())
        .collect();
    let letters = right["ids"].as_str().unwrap().as_bytes();
    for ((line, ids), letters) in lines.iter().zip(&ids).zip(letters.chunks(2)) {
        if short(ids) != letters {
            let tokens: Vec<_> = ids.iter().map(|id| tokenizer.id_to_token(*id).unwrap()).collect();
            return Err(format!("the line {line:?} has the tokens {tokens:?}, ids {ids:?}"));
        }
    }
    let mut pairs = Vec::new();
    for (first, second) in lines.iter().step_by(10).zip(lines.iter().skip(5).step_by(10)) {
        let encoding = known(tokenizer.encode((*first, *second), true).unwrap());
        pairs.extend_from_slice(encoding.get_ids());
        pairs.extend_from_slice(encoding.get_type_ids());
    }
    let mut words = Vec::new();
    for line in lines.iter().step_by(10) {
        // What Python's `split` divides at, beside white space.
        let separator = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
        let parts: Vec<&str> = line.split(separator).filter(|word| !word.is_empty()).collect();
        if !parts.is_empty() {
            words.extend_from_slice(known(tokenizer.encode(parts, true).unwrap()).get_ids());
        }
    }
    let mut texts = Vec::new();
    for ids in &ids {
        texts.extend(tokenizer.decode(ids, true).unwrap().chars().map(u32::from));
        texts.push(0);
    }
    // The variables of chat templates.
    let mut named = loaded.special_tokens;
    named.sort();
    let special = named.iter().map(|(name, token)| format!("{name}={token}\n"));
    let special = special.collect::<String>().chars().map(u32::from).collect();
    let all = [("pairs", pairs), ("words", words), ("decoded", texts), ("special", special)];
    for (what, numbers) in all {
        if right[what] != format!("{:016x}", fnv(numbers)) {
            return Err(format!("{what} differ"));
        }
    }
    Ok(())
}

#[test]
fn folders_equal_auto_tokenizer() {
    let mut files = Files::default();
    let lines = files.json("lines.json").clone();
    let lines: Vec<&str> = lines.as_array().unwrap().iter().map(|l| l.as_str().unwrap()).collect();
    let (kinds, folders) = (files.json("kinds.json").clone(), files.json("folders.json").clone());
    assert!(lines.len() == 500 && folders.as_array().unwrap().len() > 60);
    let mut wrong = Vec::new();
    for folder in folders.as_array().unwrap() {
        let dir = tempfile::tempdir().unwrap();
        files.lay_out(dir.path(), folder, &kinds[folder["kind"].as_str().unwrap()]);
        if let Err(what) = differences(dir.path(), &folder["right"], &lines) {
            wrong.push(format!("{}: {what}", folder["name"].as_str().unwrap()));
        }
    }
    assert!(wrong.is_empty(), "{} folders:\n{}", wrong.len(), wrong.join("\n"));
}
