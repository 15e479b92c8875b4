//! The tokens that end a text, and the file that names them.

use std::path::{Path, PathBuf};

use peft_core::{Error, Result};

use super::generation_config;
use crate::config::ModelConfig;

const KEY: &str = "eos_token_id";

/// The tokens that end a text: they end generation, and one of them closes the targets of training.
///
/// They are those of the first file that names any: `generation_config.json`, then `config.json`, then the end token of
/// the tokenizer, at last that of its class. A key that is null or an empty list names none, nor does -1 or another number that is the id of no token. transformers generates with those of
/// `generation_config.json` alone where that file exists, else with those of `config.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndTokens {
    ids: Vec<u32>,
    file: Option<PathBuf>,
    expected: bool,
}

impl EndTokens {
    /// The end tokens that the files of a model name.
    ///
    /// # Errors
    ///
    /// [`Error::File`] or [`Error::Config`] if a file cannot be parsed.
    pub fn of(config: &ModelConfig) -> Result<Self> {
        let own = generation_config::beside(config)?;
        let sources = own.iter().chain([config]);
        for (place, source) in sources.enumerate() {
            source.check_whole_ids(KEY)?;
            let ids = source.token_ids(KEY);
            if !ids.is_empty() {
                let file = Some(source.path().to_path_buf());
                return Ok(Self { ids, file, expected: place == 0 });
            }
        }
        Ok(Self::default())
    }

    /// The end token of the tokenizer, where no file of the model names one. `file` is the one that names it; `None` if
    /// it is the default of the tokenizer's class.
    #[must_use]
    pub fn or(self, id: u32, file: Option<&Path>) -> Self {
        if self.is_empty() {
            return Self { ids: vec![id], file: file.map(Path::to_path_buf), expected: false };
        }
        self
    }

    /// The ids, in the order of their file.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The file that names them; `None` if none does.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Whether transformers ends its generation by the same file.
    pub fn are_expected(&self) -> bool {
        self.expected
    }

    /// The token that closes a target: the tokenizer's end token if it is one of these, else the first.
    ///
    /// Chat models name the end of a turn and the end of a document; which of them ends a text is up to the tokenizer.
    pub fn closing(&self, of_tokenizer: Option<u32>) -> Option<u32> {
        of_tokenizer.filter(|id| self.ids.contains(id)).or(self.ids.first().copied())
    }

    /// Checks that a model with this vocabulary can end a text by one of them, if there are any.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] naming the file if all are outside the vocabulary.
    pub fn check(&self, vocab_size: usize) -> Result<()> {
        let is_outside = |id: &u32| *id as usize >= vocab_size;
        match self.ids.first() {
            Some(id) if self.ids.iter().all(is_outside) => Err(self.error(format!(
                "found {id}, outside the vocabulary of {vocab_size}: set it to a token of the vocabulary, or to null"
            ))),
            _ => Ok(()),
        }
    }

    /// An error about one of them.
    pub fn error(&self, message: impl Into<String>) -> Error {
        Error::config(self.file().unwrap_or(Path::new("config.json")), KEY, message)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use serde_json::{Value, json};

    use super::*;

    /// The end tokens of a folder with these values of `eos_token_id`; `None` for no such key, and for no
    /// `generation_config.json`.
    fn found(generation: Option<Option<Value>>, config: Option<Value>) -> EndTokens {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, value: Option<Value>| {
            let mut fields = json!({"bos_token_id": 1});
            if let Some(value) = value {
                fields[KEY] = value;
            }
            fs::write(dir.path().join(name), fields.to_string()).unwrap();
        };
        write("config.json", config);
        if let Some(value) = generation {
            write("generation_config.json", value);
        }
        EndTokens::of(&ModelConfig::load(dir.path()).unwrap()).unwrap()
    }

    /// What transformers 5.23 has after `from_pretrained` is written beside each: `generation_config.eos_token_id`.
    #[test]
    fn the_first_file_that_names_one_decides() {
        let (none, nothing) = (Vec::<u32>::new(), None);
        for (generation, config, ids, expected) in [
            (None, nothing.clone(), &none[..], false),           // None
            (None, Some(Value::Null), &[], false),               // None
            (None, Some(json!(2)), &[2], true),                  // 2
            (None, Some(json!([2, 3])), &[2, 3], true),          // [2, 3]
            (Some(Some(json!(5))), nothing.clone(), &[5], true), // 5
            (Some(Some(json!(5))), Some(json!(2)), &[5], true),  // 5
            (Some(Some(json!([6, 5]))), Some(json!(2)), &[6, 5], true), // [6, 5]
            (Some(Some(json!([6, 5]))), Some(Value::Null), &[6, 5], true), // [6, 5]
            (Some(None), Some(json!(2)), &[2], false),           // None
            (Some(Some(Value::Null)), Some(json!([2, 3])), &[2, 3], false), // None
            (Some(Some(json!([]))), Some(json!(2)), &[2], false), // []
            (Some(Some(Value::Null)), nothing, &[], false),      // None
            (Some(Some(json!([6, -1]))), Some(json!(2)), &[6], true), // [6, -1]
            (Some(Some(json!(-1))), Some(json!(2)), &[2], false), // -1
            (None, Some(json!(-1)), &[], false),                 // -1
        ] {
            let case = format!("{generation:?}, {config:?}");
            let end = found(generation, config);
            assert_eq!((end.ids(), end.are_expected()), (ids, expected), "{case}");
            assert_eq!(end.file().is_none(), ids.is_empty(), "{case}");
        }
    }

    #[test]
    fn the_tokenizer_decides_last_and_among_several() {
        let several = found(None, Some(json!([2, 3])));
        assert_eq!(several.closing(Some(3)), Some(3));
        assert_eq!(several.closing(Some(4)), Some(2));
        assert_eq!(several.closing(None), Some(2));
        assert_eq!(several.clone().or(4, Some(Path::new("tokenizer_config.json"))), several);
        let none = EndTokens::default();
        assert_eq!(none.closing(Some(4)), None);
        let named = none.or(4, Some(Path::new("tokenizer_config.json")));
        assert_eq!((named.ids(), named.closing(None)), (&[4][..], Some(4)));
        assert!(!named.are_expected());
    }

    #[test]
    fn one_of_them_must_be_in_the_vocabulary() {
        let of = |ids: Value| found(None, Some(ids)).check(50);
        for right in [json!(49), json!([50256, 3]), json!([]), Value::Null] {
            assert!(of(right.clone()).is_ok(), "{right}");
        }
        let error = of(json!(50256)).unwrap_err().to_string();
        let says = "config.json: key `eos_token_id`: found 50256, outside the vocabulary of 50: set it to a token of the \
                    vocabulary, or to null";
        assert!(error.contains(says), "{error}");
    }
}
