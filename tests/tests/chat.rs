//! Conversations give the tokens and the targets that transformers gives: `tests/python/make_chat.py` made the right
//! values.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use peft_core::{
    Task,
    data::{IGNORE, Target},
    text::{ChatSource, Clock, Encoder, EncoderConfig, ModelTokenizer, Record, read_records},
};
use peft_tests::{smollm2, vectors};
use serde_json::Value;
use sha2::{Digest, Sha256};

fn encoder(template: &str, targets: bool) -> Result<Encoder, String> {
    let dir = vectors("chat");
    let file = dir.join("templates").join(format!("{template}.jinja"));
    let clock = Clock::parse("2024-07-26").map_err(|error| error.to_string())?;
    let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
    encoder_with(&dir, Some((&text, template)), clock, targets)
}

/// Encodes with the small tokenizer, and with the templates of a model or the one that is given.
fn encoder_with(
    model: &Path,
    given: Option<(&str, &str)>,
    clock: Clock,
    targets: bool,
) -> Result<Encoder, String> {
    let loaded = ModelTokenizer::load(&vectors("chat")).map_err(|error| error.to_string())?;
    let chat = ChatSource::read(model, &loaded.special_tokens, given, clock);
    let chat = Some(Arc::new(chat.map_err(|error| error.to_string())?));
    let config = EncoderConfig { chat, targets, ..EncoderConfig::new(Task::CausalLm, 400) };
    config.init(Some(loaded.tokenizer)).map_err(|error| error.to_string())
}

/// As in the script.
fn digest<T: ToString>(ids: impl IntoIterator<Item = T>) -> String {
    let text: Vec<String> = ids.into_iter().map(|id| id.to_string()).collect();
    let hash = Sha256::digest(text.join(" ").as_bytes());
    hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

fn expected() -> Value {
    let text = fs::read_to_string(vectors("chat/expected.json")).expect("the right values");
    serde_json::from_str(&text).expect("JSON")
}

fn rows(name: &str) -> Vec<Record> {
    read_records(&vectors("chat").join(name)).expect("rows")
}

/// The row as the assistant is asked to answer it, or as a whole.
fn ids(encoder: &Encoder, row: &Record) -> Result<Vec<u32>, String> {
    let encoded = encoder.encode(std::slice::from_ref(row)).map_err(|error| error.to_string())?;
    Ok(encoded.examples[0].input_ids.clone())
}

#[test]
fn every_template_renders_as_in_transformers() {
    let (expected, rows) = (expected(), rows("conversations.jsonl"));
    let rendered: BTreeMap<String, Vec<Option<String>>> =
        serde_json::from_value(expected["rendered"].clone()).expect("digests");
    assert!(rendered.len() >= 14);
    let mut wrong = Vec::new();
    let mut compared = 0;
    for (name, digests) in &rendered {
        let asked = encoder(name, false).unwrap();
        for (i, row) in rows.iter().enumerate() {
            let last = row.fields["messages"].as_array().and_then(|messages| messages.last());
            let answered = last.is_some_and(|message| message["role"] == "assistant");
            // A whole conversation where it ends with the assistant, else the prompt for its answer.
            let (found, expected) = match answered {
                false => (ids(&asked, row), &digests[2 * i + 1]),
                true => (ids(&encoder(name, true).unwrap(), row), &digests[2 * i]),
            };
            compared += 1;
            match (&found, expected) {
                (Ok(ids), Some(expected)) if digest(ids) == *expected => {}
                (Err(_), None) => {}
                // What is right as a text may have no assistant that can be found.
                (Err(error), Some(_)) if error.contains("the assistant's part cannot be found") => {
                    compared -= 1
                }
                _ => {
                    let text =
                        found.map(|ids| asked.tokenizer().unwrap().decode(&ids, false).unwrap());
                    wrong
                        .push(format!("{name}, conversation {i}: {text:?}, expected {expected:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {compared} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 140, "{compared}");
}

/// The ids and targets of 200 conversations.
fn compare_learnt(encoder: &Encoder, name: &str) {
    let (expected, rows) = (&expected()["learnt"][name], rows("made.jsonl"));
    assert_eq!(rows.len(), 200);
    let encoded = encoder.encode(&rows).unwrap();
    let mut learnt = 0;
    for (i, example) in encoded.examples.iter().enumerate() {
        let Target::Tokens(targets) = &example.target else { panic!("targets") };
        learnt += targets.iter().filter(|target| **target != IGNORE).count();
        assert_eq!(expected["rows"][i], digest(targets), "{name}, row {}", i + 1);
    }
    assert_eq!(expected["learnt"], learnt);
    let all = encoded.examples.iter().flat_map(|example| &example.input_ids);
    assert_eq!(expected["ids"], digest(all), "{name}");
}

#[test]
fn the_assistant_alone_is_learnt() {
    for name in ["marked", "marked_loop", "turns"] {
        compare_learnt(&encoder(name, true).unwrap(), name);
    }
}

/// OpenAI's `weight` of a message.
#[test]
fn what_has_no_weight_is_not_learnt() {
    let mut rows = rows("made.jsonl");
    for (n, row) in rows.iter_mut().enumerate() {
        row.ordered = None;
        let messages = row.fields["messages"].as_array_mut().expect("messages");
        let said = messages.iter_mut().filter(|message| message["role"] == "assistant");
        let said: Vec<&mut Value> = said.collect();
        let several = said.len() > 1;
        for (i, message) in said.into_iter().enumerate() {
            message["weight"] = u8::from((n + i) % 2 == 0 || !several).into();
        }
    }
    for name in ["marked", "marked_loop", "turns"] {
        let encoded = encoder(name, true).unwrap().encode(&rows).unwrap();
        let targets = encoded.examples.iter().map(|example| match &example.target {
            Target::Tokens(targets) => targets.iter(),
            other => panic!("{other:?}"),
        });
        assert_eq!(expected()["weights"][name], digest(targets.flatten()), "{name}");
    }
}

/// Such a value is dropped level by level, on the stack.
#[test]
fn a_template_that_nests_without_end_is_refused() {
    for nested in ["[ns.x]", "{'a': ns.x}", "namespace(a=ns.x)"] {
        let template = format!(
            "{{% set ns = namespace(x=1) %}}{{% for i in range(9999) %}}{{% for i in range(99999) %}}{{% set ns.x = \
             {nested} %}}{{% endfor %}}{{% endfor %}}"
        );
        let given = Some((template.as_str(), "template"));
        let encoder = encoder_with(Path::new("model"), given, Clock::now(), false).unwrap();
        let error = ids(&encoder, &rows("conversations.jsonl")[0]).unwrap_err();
        assert!(error.contains("does it loop for ever?"), "{error}");
    }
}

/// The template of SmolLM2, from its GGUF file.
#[test]
fn the_template_of_smollm2_renders_as_in_transformers() {
    let Some(path) = smollm2() else { return };
    compare_learnt(&encoder_with(&path, None, Clock::now(), true).unwrap(), "smollm2");
}
