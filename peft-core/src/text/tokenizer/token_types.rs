//! Pairs of texts without token types, where a tokenizer gives a model none.
//!
//! Only BERT's class does by itself. For any other, transformers lets the model take every token for one of
//! the first text, unless `model_input_names` says otherwise.

use std::path::Path;

use serde_json::{Value, json};
use tokenizers::Tokenizer;

use super::{class::Class, definition::TokenizerDefinition, settings::Settings};
use crate::error::{Error, Result};

/// Sets all token types to 0, unless the class or the settings ask for them.
///
/// # Errors
/// [`Error::Config`] if `model_input_names` is no list of names.
pub(super) fn apply(
    tokenizer: &mut Tokenizer,
    class: Class,
    settings: &Settings,
    path: &Path,
) -> Result<()> {
    const NAMES: &str = "model_input_names";
    let asked = match settings.value(NAMES) {
        None => class == Class::Bert,
        Some(Value::Array(names)) => names.iter().any(|name| name == "token_type_ids"),
        Some(other) => {
            return Err(settings.error(NAMES, format!("found {other}, expected a list")));
        }
    };
    if asked {
        return Ok(());
    }
    let processor = serde_json::to_value(tokenizer.get_post_processor())
        .map_err(|error| Error::file(path, error.to_string()))?;
    let processor: tokenizers::PostProcessorWrapper =
        TokenizerDefinition::part(without_types(processor), path)?;
    tokenizer.with_post_processor(Some(processor));
    Ok(())
}

/// A post-processor as it is written in `tokenizer.json`, with 0 for each token type.
fn without_types(mut processor: Value) -> Value {
    let text = |id| json!({"Sequence": {"id": id, "type_id": 0}});
    match processor["type"].as_str() {
        Some("TemplateProcessing") => {
            for template in ["single", "pair"] {
                for piece in processor[template].as_array_mut().into_iter().flatten() {
                    for properties in piece.as_object_mut().into_iter().flat_map(|p| p.values_mut())
                    {
                        properties["type_id"] = json!(0);
                    }
                }
            }
            processor
        }
        Some("BertProcessing") => {
            let [cls, sep] = ["cls", "sep"].map(|name| processor[name].clone());
            let special = |token: &Value| json!({"SpecialToken": {"id": token[0], "type_id": 0}});
            let listed =
                |token: &Value| json!({"id": token[0], "ids": [token[1]], "tokens": [token[0]]});
            let name = |token: &Value| token[0].as_str().unwrap_or_default().to_string();
            let single = [special(&cls), text("A"), special(&sep)];
            let pair = [&single[..], &[text("B"), special(&sep)]].concat();
            let tokens: serde_json::Map<_, _> =
                [&cls, &sep].map(|token| (name(token), listed(token))).into_iter().collect();
            json!({"type": "TemplateProcessing", "single": single, "pair": pair,
                "special_tokens": tokens})
        }
        // It gives none.
        Some("RobertaProcessing") => processor,
        Some("Sequence") => {
            let parts = processor["processors"].as_array_mut().map(std::mem::take);
            let mut parts: Vec<Value> = parts.unwrap_or_default();
            let surrounds = |part: &Value| part["type"] != "ByteLevel";
            match parts.iter().position(surrounds) {
                Some(at) => parts[at] = without_types(parts[at].take()),
                None => parts.push(plain()),
            }
            json!({"type": "Sequence", "processors": parts})
        }
        _ => json!({"type": "Sequence", "processors": [processor, plain()]}),
    }
}

/// A template without special tokens.
fn plain() -> Value {
    without_types(json!({"type": "TemplateProcessing", "special_tokens": {},
        "single": [{"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}]}))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::text::tokenizer::tests::word_piece;

    fn pair(processor: Value) -> (Vec<u32>, Vec<u32>) {
        let mut tokenizer = word_piece();
        let path = Path::new("tokenizer.json");
        let processor: tokenizers::PostProcessorWrapper =
            TokenizerDefinition::part(processor, path).unwrap();
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).unwrap();
        tokenizer.with_post_processor(Some(processor));
        apply(&mut tokenizer, Class::Backend, &Settings::default(), path).unwrap();
        let encoding = tokenizer.encode(("the", "cat"), true).unwrap();
        (encoding.get_ids().to_vec(), encoding.get_type_ids().to_vec())
    }

    #[test]
    fn every_post_processor_gives_zeros_and_the_same_ids() {
        let bert = json!({"type": "BertProcessing", "sep": ["[SEP]", 1], "cls": ["[CLS]", 0]});
        assert_eq!(pair(bert.clone()), (vec![0, 3, 1, 4, 1], vec![0; 5]));
        let level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false,
            "use_regex": true});
        assert_eq!(pair(level.clone()), (vec![3, 4], vec![0; 2]));
        let both = |last: &Value| json!({"type": "Sequence", "processors": [level, last]});
        assert_eq!(pair(both(&bert)), (vec![0, 3, 1, 4, 1], vec![0; 5]));
        assert_eq!(pair(both(&level)), (vec![3, 4], vec![0; 2]));
        let roberta = json!({"type": "RobertaProcessing", "sep": ["[SEP]", 1], "cls": ["[CLS]", 0],
            "trim_offsets": true, "add_prefix_space": false});
        assert_eq!(pair(roberta), (vec![0, 3, 1, 1, 4, 1], vec![0; 6]));
    }
}
