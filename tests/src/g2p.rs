//! Words and their pronunciation as rows of token ids, for the two BART models that pronounce words.
//!
//! The encoder's ids are letters and the decoder's are phonemes, in one shared table, which no `tokenizer.json` can
//! express. The model begins its answer with `<s>` and ends it with `</s>`.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Value, json};

/// `<s>`, `</s>` and `<unk>`.
const SPECIAL: [u32; 3] = [1, 2, 3];

/// The symbols of a model, from its `vocab.json`.
#[derive(Clone, Debug)]
pub struct Symbols {
    graphemes: BTreeMap<char, u32>,
    phonemes: BTreeMap<char, u32>,
}

impl Symbols {
    /// Reads `vocab.json` of a model's folder.
    ///
    /// # Panics
    ///
    /// If it is missing or malformed.
    pub fn load(model: &Path) -> Self {
        let path = model.join("vocab.json");
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let json: Value = serde_json::from_str(&text).unwrap_or_default();
        let map = |key: &str| {
            let symbols = json[key].as_object().into_iter().flatten();
            let pair = |(symbol, id): (&String, &Value)| {
                Some((symbol.chars().next()?, id.as_u64()? as u32))
            };
            let map: BTreeMap<char, u32> = symbols.filter_map(pair).collect();
            assert!(!map.is_empty(), "{}: no {key}", path.display());
            map
        };
        Self { graphemes: map("graphemes"), phonemes: map("phonemes") }
    }

    fn ids(map: &BTreeMap<char, u32>, text: &str) -> Vec<u32> {
        let [bos, eos, unknown] = SPECIAL;
        let inner = text.chars().map(|symbol| map.get(&symbol).copied().unwrap_or(unknown));
        [bos].into_iter().chain(inner).chain([eos]).collect()
    }

    /// A word as the encoder reads it: `<s>` letters `</s>`.
    pub fn word(&self, word: &str) -> Vec<u32> {
        Self::ids(&self.graphemes, word)
    }

    /// A pronunciation as the decoder answers it: `<s>` phonemes `</s>`.
    pub fn pronunciation(&self, phonemes: &str) -> Vec<u32> {
        Self::ids(&self.phonemes, phonemes)
    }

    /// A file of words with pronunciations under `target` as rows `{"input_ids", "labels"}`.
    ///
    /// # Panics
    ///
    /// If the file is missing or malformed.
    pub fn rows(&self, file: &Path, target: &str) -> String {
        let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let row = |line: &str| {
            let row: Value = serde_json::from_str(line).unwrap_or_default();
            let field = |key: &str| {
                row[key].as_str().unwrap_or_else(|| panic!("{}: no {key}", file.display()))
            };
            let (word, answer) = (self.word(field("source")), self.pronunciation(field(target)));
            format!("{}\n", json!({ "input_ids": word, "labels": answer }))
        };
        text.lines().map(row).collect()
    }
}
