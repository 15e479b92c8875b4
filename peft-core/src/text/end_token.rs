//! The end token that a tokenizer's own files name.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use crate::{
    error::{Error, Result},
    formats::{gguf::gguf_of, read},
};

const KEY: &str = "eos_token";

/// Returns the end token of a model folder's tokenizer, and the file that names it.
///
/// It is the `eos_token` of `tokenizer_config.json`, a string or an object with `content`. Where that file has no
/// `added_tokens_decoder`, as older ones have none, `special_tokens_map.json` has the last word, as in transformers.
///
/// # Errors
/// [`Error::Read`] or [`Error::File`] if a file cannot be read, [`Error::Config`] if the value is of another kind.
pub fn end_token(model_dir: &Path) -> Result<Option<(String, PathBuf)>> {
    if gguf_of(model_dir)?.is_some() {
        // Its metadata, which is its config too, names the id.
        return Ok(None);
    }
    let config = fields(model_dir.join("tokenizer_config.json"))?;
    let is_complete =
        config.as_ref().is_some_and(|(fields, _)| fields.contains_key("added_tokens_decoder"));
    let map = match is_complete {
        true => None,
        false => fields(model_dir.join("special_tokens_map.json"))?,
    };
    let named = map.into_iter().chain(config).find(|(fields, _)| fields.contains_key(KEY));
    let Some((fields, path)) = named else { return Ok(None) };
    let token = match &fields[KEY] {
        Value::Object(token) => &token["content"],
        value => value,
    };
    match token {
        Value::String(token) => Ok(Some((token.clone(), path))),
        Value::Null => Ok(None),
        value => {
            let message = format!("expected a token or an object with `content`, found {value}");
            Err(Error::config(&path, KEY, message))
        }
    }
}

/// The object in a file, with the file's name; `None` if there is no such file.
fn fields(path: PathBuf) -> Result<Option<(Map<String, Value>, PathBuf)>> {
    match read::json(&path) {
        Ok(Value::Object(fields)) => Ok(Some((fields, path))),
        Ok(_) => Err(Error::file(&path, "expected a JSON object")),
        Err(Error::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;
    use serde_json::json;

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
        assert!(error.contains("tokenizer_config.json: expected a JSON object"), "{error}");
    }
}
