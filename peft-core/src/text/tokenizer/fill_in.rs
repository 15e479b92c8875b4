//! The tokens by which a CodeLlama fills in.
//!
//! A text with `fill_token` in it is, in transformers, two texts with the model's tokens around them:
//! `<PRE> before <SUF>behind <MID>`. Here it is none: either the model has no such token, and rows with it are refused as
//! others with tokens outside the vocabulary, or the folder is.

use serde_json::Value;
use tokenizers::Tokenizer;

use super::{finish::Specials, settings::Settings, token::Token};
use crate::error::Result;

/// The name of the token in whose place the model writes.
pub(super) const TOKEN: &str = "fill_token";

/// Why a text with it has no ids.
pub(super) const REASON: &str =
    "in whose place transformers lets the model write, which is not supported here";

/// The tokens that the class names, in the order in which missing ones are added.
const NAMES: [(&str, &str); 5] = [
    ("prefix_token", "▁<PRE>"),
    ("middle_token", "▁<MID>"),
    ("suffix_token", "▁<SUF>"),
    ("eot_token", "▁<EOT>"),
    (TOKEN, "<FILL_ME>"),
];

/// Gives the special tokens those of the class that the settings do not take away, in front of the model's own.
pub(super) fn name_tokens(specials: &mut Specials, settings: &Settings) {
    let is_own = |(name, _): &(String, Token)| settings.own.iter().any(|(own, _)| own == name);
    let (own, mut named): (Vec<_>, Vec<_>) =
        std::mem::take(&mut specials.by_name).into_iter().partition(is_own);
    for (name, default) in NAMES {
        let given = own.iter().find(|(own, _)| own == name).map(|(_, token)| token.clone());
        let is_null = settings.value(name).is_some_and(Value::is_null);
        let default = (!is_null).then(|| Token::Text(default.to_string()));
        named.extend(given.or(default).map(|token| (name.to_string(), token)));
    }
    named.extend(own.into_iter().filter(|(own, _)| NAMES.iter().all(|(name, _)| own != name)));
    specials.by_name = named;
}

/// Refuses a folder whose model has the token in whose place it would write.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) at `fill_token`.
pub(super) fn check(
    tokenizer: &Tokenizer,
    specials: &Specials,
    settings: &Settings,
    config: &Value,
) -> Result<()> {
    let Some(token) = specials.get(TOKEN) else { return Ok(()) };
    let vocab_size = config["vocab_size"].as_u64();
    let id = tokenizer.token_to_id(token).map(u64::from);
    if id.zip(vocab_size).is_some_and(|(id, size)| id >= size) {
        return Ok(());
    }
    Err(settings.error(
        TOKEN,
        format!(
            "is {token:?}, {REASON}: set it to null in tokenizer_config.json, where no text has it"
        ),
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use serde_json::json;
    use tempfile::TempDir;

    use super::*;
    use crate::text::tokenizer::ModelTokenizer;

    /// A Llama with a vocabulary of six pieces, behind which the class has its five tokens.
    fn folder(vocab_size: Value, fill_token: Option<Value>) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, value: Value| {
            fs::write(dir.path().join(name), value.to_string()).unwrap();
        };
        write("config.json", json!({"model_type": "llama", "vocab_size": vocab_size}));
        let mut settings = json!({"tokenizer_class": "CodeLlamaTokenizer"});
        if let Some(token) = fill_token {
            settings[TOKEN] = token;
        }
        write("tokenizer_config.json", settings);
        let vocab = json!({"<unk>": 0, "<s>": 1, "</s>": 2, "▁": 3, "a": 4, "b": 5});
        let model = json!({"type": "BPE", "dropout": null, "unk_token": "<unk>",
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true,
            "byte_fallback": true, "vocab": vocab, "merges": []});
        write(
            "tokenizer.json",
            json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
                "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
                "model": model}),
        );
        dir
    }

    #[test]
    fn a_text_that_would_be_filled_in_has_no_ids() {
        let load = |vocab_size, fill| ModelTokenizer::load(folder(vocab_size, fill).path());
        let loaded = load(json!(10), None).unwrap();
        let ids = |text: &str| loaded.encode(text).map(|encoding| encoding.get_ids().to_vec());
        // As CodeLlamaTokenizer of transformers 5.23, `<s>` although no file asks for it.
        assert_eq!(ids("ab"), Ok(vec![1, 3, 4, 5]));
        assert_eq!(ids("▁<PRE>a▁<SUF>▁<MID>▁<EOT>"), Ok(vec![1, 6, 4, 8, 7, 9]));
        let error = ids("a<FILL_ME>b").unwrap_err();
        assert!(error.starts_with("it has \"<FILL_ME>\", in whose place"), "{error}");
        // In rows it is what the model has no embedding of.
        assert_eq!(loaded.tokenizer.token_to_id("<FILL_ME>"), Some(10));

        for vocab_size in [json!(11), json!(null)] {
            let error = load(vocab_size.clone(), None).unwrap_err().to_string();
            assert!(
                error.contains("key `fill_token`: is \"<FILL_ME>\", in whose place"),
                "{error}"
            );
            assert!(
                error.ends_with("set it to null in tokenizer_config.json, where no text has it")
            );
            let loaded = load(vocab_size, Some(Value::Null)).unwrap();
            assert_eq!(loaded.tokenizer.token_to_id("<FILL_ME>"), None);
            assert_eq!(loaded.encode("ab<FILL_ME>").unwrap().get_ids(), [1, 3, 4, 5, 0]);
        }
        let other = load(json!(10), Some(json!("b"))).unwrap_err().to_string();
        assert!(other.contains("is \"b\", in whose place"), "{other}");
    }
}
