//! Reading `config.json`, in the spellings of transformers 4 and 5, or the metadata of a GGUF file.

mod own_head;

use std::path::{Path, PathBuf};

use peft_core::{
    Error, Result,
    formats::{
        gguf::{Gguf, gguf_of},
        read,
    },
};
use serde_json::{Map, Value};

use crate::{gguf, not_a_model::not_a_model};

/// A model's `config.json`.
#[derive(Clone, Debug)]
pub struct ModelConfig {
    path: PathBuf,
    fields: Value,
}

/// Keys that say what a file is, and nothing that outputs follow from. The names of classes are in an adapter.
const DESCRIPTIVE: [&str; 9] = [
    "_name_or_path",
    "_commit_hash",
    "transformers_version",
    "transformers.js_config",
    "torch_dtype",
    "dtype",
    "use_cache",
    "id2label",
    "label2id",
];

impl ModelConfig {
    /// The name of the file in a model's folder.
    pub const FILE: &str = "config.json";

    /// Reads `config.json` of a model folder, or the metadata of a GGUF file, which may be the only one of a folder.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] or [`Error::File`] if it is missing, the latter naming the path that was meant; [`Error::File`] if
    /// it is not a JSON object, [`Error::Config`] naming what is missing or not known in the metadata.
    pub fn load(dir: &Path) -> Result<Self> {
        if let Some(path) = gguf_of(dir)? {
            return Self::from_value(gguf::config(&Gguf::open(&path)?)?, &path);
        }
        let path = dir.join(Self::FILE);
        match read::json(&path) {
            Ok(fields) => Self::from_value(fields, &path),
            // The file is missing: also where the folder is a file.
            Err(error @ Error::Read { .. }) => Err(not_a_model(dir).unwrap_or(error)),
            Err(error) => Err(error),
        }
    }

    /// A config from JSON; errors name `path`.
    ///
    /// # Errors
    ///
    /// [`Error::File`] if it is not an object.
    pub fn from_value(fields: Value, path: &Path) -> Result<Self> {
        if !fields.is_object() {
            return Err(Error::file(path, "expected a JSON object"));
        }
        Ok(Self { path: path.to_path_buf(), fields })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All keys but those that only describe the file, such as the version of transformers that wrote it.
    pub fn of_outputs(&self) -> Map<String, Value> {
        let mut fields = self.fields.as_object().cloned().unwrap_or_default();
        fields.retain(|key, _| !DESCRIPTIVE.contains(&key.as_str()));
        fields
    }

    /// With this value of a key, which the file lacks.
    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        if let Some(fields) = self.fields.as_object_mut() {
            fields.insert(key.into(), value.into());
        }
        self
    }

    /// `model_type`: `bert`, `gpt2`, `llama`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if it is missing.
    pub fn model_type(&self) -> Result<&str> {
        match self.text("model_type", "")? {
            "" => Err(self.error("model_type", "is missing")),
            name => Ok(name),
        }
    }

    /// An error about one of the keys.
    pub fn error(&self, key: &str, message: impl Into<String>) -> Error {
        Error::config(&self.path, key, message)
    }

    /// The value of a key, `None` if it is missing or null. Dots descend into objects.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.found(key).filter(|value| !value.is_null())
    }

    /// Whether a key has a value other than null.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Whether a key is there and null, which for some keys differs from missing. Dots descend into objects.
    pub fn is_null(&self, key: &str) -> bool {
        self.found(key).is_some_and(Value::is_null)
    }

    fn found(&self, key: &str) -> Option<&Value> {
        key.split('.').try_fold(&self.fields, |value, part| value.get(part))
    }

    /// The first of several keys whose value is an object that is not empty.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if one of them has a value of another kind.
    pub fn first_object<'a>(&self, keys: &[&'a str]) -> Result<Option<&'a str>> {
        for key in keys {
            match self.get(key) {
                None => {}
                Some(Value::Object(fields)) if fields.is_empty() => {}
                Some(Value::Object(_)) => return Ok(Some(key)),
                Some(value) => {
                    return Err(self.error(key, format!("expected an object, found {value}")));
                }
            }
        }
        Ok(None)
    }

    /// A list of strings, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the value is of another kind.
    pub fn optional_texts(&self, key: &str) -> Result<Option<Vec<&str>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let texts = value.as_array().map(|list| list.iter().map(Value::as_str).collect());
        match texts.flatten() {
            Some(texts) => Ok(Some(texts)),
            None => Err(self.error(key, format!("expected a list of strings, found {value}"))),
        }
    }

    /// A list of numbers.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if it is missing or of another kind.
    pub fn numbers(&self, key: &str) -> Result<Vec<f64>> {
        let list = self.get(key).and_then(Value::as_array);
        let numbers = list.and_then(|list| list.iter().map(Value::as_f64).collect());
        numbers.ok_or_else(|| self.error(key, "expected a list of numbers"))
    }

    /// A whole number of at least 1, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the value is of another kind.
    pub fn optional_size(&self, key: &str) -> Result<Option<usize>> {
        const LARGEST: u64 = 0xFFFF_FFFF;
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.as_u64() {
            // Sizes are multiplied with one another: anything larger is not a model.
            Some(size @ 1..=LARGEST) => Ok(Some(size as usize)),
            Some(size) if size > LARGEST => {
                Err(self.error(key, format!("found {size}, expected at most {LARGEST}")))
            }
            _ => {
                Err(self
                    .error(key, format!("expected a whole number of at least 1, found {value}")))
            }
        }
    }

    /// A whole number of at least 1.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if it is missing or of another kind.
    pub fn size(&self, key: &str) -> Result<usize> {
        self.optional_size(key)?.ok_or_else(|| self.error(key, "is missing"))
    }

    /// A whole number, or `default` if the key is missing.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the value is of another kind.
    pub fn count(&self, key: &str, default: usize) -> Result<usize> {
        match self.get(key) {
            Some(value) if value.as_u64() == Some(0) => Ok(0),
            _ => Ok(self.optional_size(key)?.unwrap_or(default)),
        }
    }

    /// A number, or `default` if the key is missing.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the value is of another kind.
    pub fn number(&self, key: &str, default: f64) -> Result<f64> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => value
                .as_f64()
                .ok_or_else(|| self.error(key, format!("expected a number, found {value}"))),
        }
    }

    /// `true` or `false`, or `default` if the key is missing.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the value is of another kind.
    pub fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => value
                .as_bool()
                .ok_or_else(|| self.error(key, format!("expected true or false, found {value}"))),
        }
    }

    /// A string, or `default` if the key is missing.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the value is of another kind.
    pub fn text<'a>(&'a self, key: &str, default: &'a str) -> Result<&'a str> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => value
                .as_str()
                .ok_or_else(|| self.error(key, format!("expected a string, found {value}"))),
        }
    }

    /// Checks that the value of a key, if there is one, is a token id or a list of them.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the value is of another kind.
    pub fn check_token_ids(&self, key: &str) -> Result<()> {
        self.check_ids(key, |value| id_of(value).is_some())
    }

    /// As [`check_token_ids`](Self::check_token_ids), but allows whole numbers that are the id of no token, such as -1:
    /// [`token_ids`](Self::token_ids) leaves them out, [`no_token_ids`](Self::no_token_ids) has them.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the value is of another kind.
    pub fn check_whole_ids(&self, key: &str) -> Result<()> {
        self.check_ids(key, |value| value.is_i64() || value.is_u64())
    }

    fn check_ids(&self, key: &str, is_id: impl Fn(&Value) -> bool) -> Result<()> {
        match self.values(key).iter().all(is_id) {
            true => Ok(()),
            false => {
                let found = self.get(key).unwrap_or(&Value::Null);
                let message = format!("expected a token id or a list of them, found {found}");
                Err(self.error(key, message))
            }
        }
    }

    /// The token ids of a key: one or a list; none if it is missing.
    pub fn token_ids(&self, key: &str) -> Vec<u32> {
        self.values(key).iter().filter_map(id_of).collect()
    }

    /// What stands among the [`token_ids`](Self::token_ids) of a key, and is the id of no token.
    pub fn no_token_ids(&self, key: &str) -> Vec<&Value> {
        self.values(key).iter().filter(|value| id_of(value).is_none()).collect()
    }

    /// The elements of a list, or the one value; none if the key is missing.
    fn values(&self, key: &str) -> &[Value] {
        match self.get(key) {
            Some(Value::Array(list)) => list,
            Some(value) => std::slice::from_ref(value),
            None => &[],
        }
    }

    /// The lists of token ids of a key; none if it is missing.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the value is of another kind, or a list is empty.
    pub fn token_lists(&self, key: &str) -> Result<Vec<Vec<u32>>> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let lists = serde_json::from_value::<Vec<Vec<u32>>>(value.clone()).ok();
        lists.filter(|lists| lists.iter().all(|list| !list.is_empty())).ok_or_else(|| {
            self.error(key, format!("expected a list of lists of token ids, found {value}"))
        })
    }

    /// Whether a key has a value that does something: none of null, false, an empty list or object, and `off`.
    pub fn is_set(&self, key: &str, off: f64) -> bool {
        match self.get(key) {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(Value::Array(list)) => !list.is_empty(),
            Some(Value::Object(fields)) => !fields.is_empty(),
            Some(value) => value.as_f64() != Some(off),
        }
    }

    /// Refuses a key whose value changes the mathematics in a way that is not implemented.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the key has another value than `only`.
    pub fn require(&self, key: &str, only: &Value) -> Result<()> {
        match self.get(key) {
            Some(found) if found != only => {
                Err(self.error(key, format!("found {found}, this version only knows {only}")))
            }
            _ => Ok(()),
        }
    }
}

/// The id of a token, if the value can be one.
fn id_of(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|id| u32::try_from(id).ok())
}
