//! The end token that a tokenizer's own files name.

use std::path::{Path, PathBuf};

use super::settings::Settings;
use crate::{error::Result, formats::gguf::gguf_of};

/// What the files call it.
pub(super) const END_TOKEN: &str = "eos_token";

/// Returns the end token of a model folder's tokenizer, and the file that names it.
///
/// It is the `eos_token` of `tokenizer_config.json`, a string or an object with `content`. Where that file has no
/// `added_tokens_decoder`, as older ones have none, `special_tokens_map.json` has the last word, as in transformers.
///
/// # Errors
/// As for [`ModelTokenizer::load`](super::ModelTokenizer::load), for these files.
pub fn end_token(model_dir: &Path) -> Result<Option<(String, PathBuf)>> {
    if gguf_of(model_dir)?.is_some() {
        // Its metadata, which is its config too, names the id.
        return Ok(None);
    }
    let settings = Settings::read(model_dir, &[])?;
    let token = settings.named.get(END_TOKEN).and_then(Option::as_ref);
    Ok(token.map(|token| (token.content().to_string(), settings.origin(END_TOKEN).to_path_buf())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use serde_json::{Value, json};

    use super::*;

    fn of(config: Option<Value>, map: Option<Value>) -> Result<Option<(String, PathBuf)>> {
        let dir = tempfile::tempdir().unwrap();
        for (name, value) in [("tokenizer_config.json", config), ("special_tokens_map.json", map)] {
            if let Some(value) = value {
                fs::write(dir.path().join(name), value.to_string()).unwrap();
            }
        }
        end_token(dir.path())
    }

    // The values are those of AutoTokenizer's `eos_token` in transformers 5.23.
    #[test]
    fn the_files_of_the_tokenizer_name_it() {
        let name = |config, map| of(config, map).unwrap().map(|(token, _)| token);
        let config = |token: Value| Some(json!({"eos_token": token}));
        assert_eq!(name(None, None), None);
        assert_eq!(name(config(json!("</s>")), None).unwrap(), "</s>");
        assert_eq!(name(config(json!({"content": "<e>", "lstrip": false})), None).unwrap(), "<e>");
        assert_eq!(name(config(Value::Null), None), None);
        assert_eq!(name(Some(json!({"bos_token": "<s>"})), None), None);
        assert_eq!(name(config(json!("</s>")), config(json!("<m>"))).unwrap(), "<m>");
        assert_eq!(name(None, config(json!({"content": "<m>"}))).unwrap(), "<m>");
        let complete = json!({"eos_token": "</s>", "added_tokens_decoder": {}});
        assert_eq!(name(Some(complete), config(json!("<m>"))).unwrap(), "</s>");
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let error = of(Some(json!({"eos_token": 2})), None).unwrap_err().to_string();
        assert!(error.contains("tokenizer_config.json: key `eos_token`"), "{error}");
        let error = of(Some(json!([1])), None).unwrap_err().to_string();
        assert!(error.contains("tokenizer_config.json: expected an object"), "{error}");
    }
}
