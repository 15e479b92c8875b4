//! What `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json` say.
//!
//! They are read as `PreTrainedTokenizerBase.from_pretrained` of transformers 5 does: the older two
//! count only where `tokenizer_config.json` has no `added_tokens_decoder`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    files::{ADDED_TOKENS, CONFIG, SPECIAL_TOKENS_MAP, TOKENIZER_JSON},
    token::{Token, TokenSpec},
};
use crate::{
    error::{Error, Result},
    formats::read,
    text::ordered::Ordered,
};

/// The special tokens that have a name, in transformers' order, in which missing ones are added.
pub(super) const NAMED: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// What the files beside the vocabulary say.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// `tokenizer_config.json`, which errors name.
    pub path: PathBuf,
    /// The files that were there.
    pub files: Vec<&'static str>,
    values: BTreeMap<String, Value>,
    /// The tokens of `special_tokens_map.json`.
    in_map: Vec<Token>,
    /// The named special tokens that are given; `None` for null.
    pub named: BTreeMap<&'static str, Option<Token>>,
    /// The files that give them.
    origins: BTreeMap<&'static str, PathBuf>,
    /// Special tokens with names of the model's own, such as `image_token`, in order.
    pub own: Vec<(String, Token)>,
    /// `extra_special_tokens`, or `additional_special_tokens` in its place.
    pub extra: Option<Vec<Token>>,
    /// `additional_special_tokens`, where that did not become `extra_special_tokens`.
    pub additional: Option<Vec<Token>>,
    /// Tokens with the ids that the files give them, which decide their order.
    pub added: BTreeMap<u32, TokenSpec>,
}

/// Sets a key, which keeps its first place, as in Python.
fn put<T>(pairs: &mut Vec<(String, T)>, key: String, value: T) {
    match pairs.iter_mut().find(|(known, _)| *known == key) {
        Some((_, old)) => *old = value,
        None => pairs.push((key, value)),
    }
}

/// A JSON object of the folder; `None` without the file.
fn object(path: &Path) -> Result<Option<Vec<(String, Ordered)>>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = read::text(path)?;
    match serde_json::from_str(&text) {
        Ok(Ordered::Object(fields)) => Ok(Some(fields)),
        Ok(_) => Err(Error::file(path, "expected an object")),
        // This says more of what is wrong.
        Err(error) => {
            read::parse_json(&text, path).and(Err(Error::file(path, format!("not JSON: {error}"))))
        }
    }
}

impl Settings {
    /// Reads the files of a folder. `in_json` are the `added_tokens` of its `tokenizer.json`.
    ///
    /// # Errors
    /// [`Error::File`] for a file that is no JSON object, [`Error::Config`] at the key of an invalid
    /// token.
    pub fn read(dir: &Path, in_json: &[Value]) -> Result<Self> {
        let path = dir.join(CONFIG);
        let mut settings = Self { path: path.clone(), ..Self::default() };
        if let Some(pairs) = object(&path)? {
            settings.files.push(CONFIG);
            settings.read_config(pairs)?;
        }
        if settings.values.contains_key("added_tokens_decoder") {
            return Ok(settings);
        }
        let map = dir.join(SPECIAL_TOKENS_MAP);
        if let Some(pairs) = object(&map)? {
            settings.files.push(SPECIAL_TOKENS_MAP);
            settings.read_special_tokens_map(&map, pairs)?;
        }
        let added = dir.join(ADDED_TOKENS);
        if let Some(pairs) = object(&added)? {
            settings.files.push(ADDED_TOKENS);
            settings.read_added_tokens(&added, pairs)?;
        }
        settings.read_tokens_of_json(&dir.join(TOKENIZER_JSON), in_json)?;
        Ok(settings)
    }

    fn read_config(&mut self, mut pairs: Vec<(String, Ordered)>) -> Result<()> {
        let path = self.path.clone();
        let find = |pairs: &[(String, Ordered)], key: &str| {
            pairs.iter().position(|(known, _)| known == key)
        };
        // `additional_special_tokens` is the old name of `extra_special_tokens`.
        let has_extra =
            find(&pairs, "extra_special_tokens").is_some_and(|at| is_true(&pairs[at].1));
        if !has_extra && let Some(at) = find(&pairs, "additional_special_tokens") {
            let (_, value) = pairs.remove(at);
            put(&mut pairs, "extra_special_tokens".into(), value);
        }
        let (mut own_in_extra, mut of_model) = (Vec::new(), Vec::new());
        for (key, entry) in pairs {
            if key == "model_specific_special_tokens"
                && let Ordered::Object(fields) = entry
            {
                for (name, token) in fields {
                    of_model.push((name, token_at(&path, &key, &token.to_value())?));
                }
                continue;
            }
            if key == "extra_special_tokens" {
                match entry {
                    Ordered::Object(fields) => {
                        for (name, token) in fields {
                            own_in_extra.push((name, token_at(&path, &key, &token.to_value())?));
                        }
                    }
                    Ordered::Null => self.extra = Some(Vec::new()),
                    list => self.extra = Some(tokens_at(&path, &key, &list.to_value())?),
                }
                continue;
            }
            let value = entry.to_value();
            match key.as_str() {
                "added_tokens_decoder" => {
                    let tokens = value.as_object().ok_or_else(|| {
                        Error::config(&path, &key, format!("found {value}, expected an object"))
                    })?;
                    for (id, token) in tokens {
                        let key = format!("{key}.{id}");
                        let token = spec_at(&path, &key, token)?;
                        self.added.insert(id_at(&path, &key, id.parse().ok())?, token);
                    }
                }
                _ => self.read_value(&path, &key, &value)?,
            }
            self.values.insert(key, value);
        }
        for (name, token) in own_in_extra {
            put(&mut self.own, name, token);
        }
        // transformers puts the others in their place, if there are any.
        if self.own.is_empty() {
            self.own = of_model;
        }
        Ok(())
    }

    /// Keys that mean the same in both files.
    fn read_value(&mut self, path: &Path, key: &str, value: &Value) -> Result<()> {
        if let Some(&name) = NAMED.iter().find(|name| **name == key) {
            let token = match value {
                Value::Null => None,
                value => Some(token_at(path, key, value)?),
            };
            self.named.insert(name, token);
            self.origins.insert(name, path.to_path_buf());
        } else if key == "additional_special_tokens" {
            let tokens = if value.is_null() { None } else { Some(tokens_at(path, key, value)?) };
            self.additional = tokens;
        } else if key.ends_with("_token") && (value.is_string() || value.is_object()) {
            put(&mut self.own, key.to_string(), token_at(path, key, value)?);
        }
        Ok(())
    }

    fn read_special_tokens_map(
        &mut self,
        path: &Path,
        pairs: Vec<(String, Ordered)>,
    ) -> Result<()> {
        // transformers puts the model's own tokens of this file in front of those of the other.
        let others = std::mem::take(&mut self.own);
        let mut own_in_extra = Vec::new();
        for (key, entry) in pairs {
            match (key.as_str(), entry) {
                ("extra_special_tokens", Ordered::Object(fields)) => {
                    for (name, token) in fields {
                        own_in_extra.push((name, token_at(path, &key, &token.to_value())?));
                    }
                    self.extra = None;
                }
                ("extra_special_tokens", list) => {
                    let tokens = self.extra.get_or_insert_default();
                    for token in tokens_at(path, &key, &list.to_value())? {
                        self.in_map.push(token.clone());
                        if !tokens.contains(&token) {
                            tokens.push(token);
                        }
                    }
                }
                (_, entry) => {
                    let mut value = entry.to_value();
                    // The tokens of this file are special, whatever they say.
                    if let Value::Object(fields) = &mut value {
                        fields.insert("special".into(), true.into());
                    }
                    self.read_value(path, &key, &value)?;
                    let named = NAMED.iter().find(|name| **name == key);
                    self.in_map.extend(named.and_then(|name| self.named[name].clone()));
                    self.values.insert(key, value);
                }
            }
        }
        for (name, token) in others.into_iter().chain(own_in_extra) {
            put(&mut self.own, name, token);
        }
        Ok(())
    }

    fn read_added_tokens(&mut self, path: &Path, pairs: Vec<(String, Ordered)>) -> Result<()> {
        for (content, id) in pairs {
            let special = self.is_special(&content);
            let token =
                TokenSpec { normalized: Some(!special), special, ..TokenSpec::special(&content) };
            self.added.insert(id_at(path, &content, id.to_value().as_u64())?, token);
        }
        Ok(())
    }

    fn read_tokens_of_json(&mut self, path: &Path, in_json: &[Value]) -> Result<()> {
        for token in in_json {
            let id = id_at(path, "added_tokens", token["id"].as_u64())?;
            self.added.insert(id, spec_at(path, "added_tokens", token)?);
        }
        Ok(())
    }

    /// Whether `added_tokens.json` means a special token: a named one, or one among the others.
    ///
    /// transformers compares texts before it reads the objects of `tokenizer_config.json`.
    fn is_special(&self, content: &str) -> bool {
        let mut tokens = self.named.values().flatten().chain(self.extra.iter().flatten());
        let is_object =
            |token: &Token| matches!(token, Token::Full(_)) && !self.in_map.contains(token);
        tokens.any(|token| token.content() == content && !is_object(token))
    }

    /// Named tokens have the properties that the list of added tokens gives them.
    pub fn name_added_tokens(&mut self) {
        for token in self.named.values_mut().flatten() {
            if let Some(added) = self.added.values().rev().find(|a| a.content == token.content()) {
                *token = Token::Full(added.clone());
            }
        }
    }

    /// The file that gives a named special token.
    pub fn origin(&self, name: &str) -> &Path {
        self.origins.get(name).unwrap_or(&self.path)
    }

    /// The value of a key; `None` if it is missing.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// A setting that is true or false; `default` where it is missing.
    ///
    /// # Errors
    /// [`Error::Config`] for anything else.
    pub fn flag(&self, key: &str, default: bool) -> Result<bool> {
        Ok(self.optional_flag(key)?.unwrap_or(default))
    }

    /// A setting that is true, false or null; `None` also where it is missing.
    ///
    /// # Errors
    /// [`Error::Config`] for anything else.
    pub fn optional_flag(&self, key: &str) -> Result<Option<bool>> {
        match self.value(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(other) => Err(self.error(key, format!("found {other}, expected true or false"))),
        }
    }

    /// A setting that is a text; `None` also for null.
    ///
    /// # Errors
    /// [`Error::Config`] for anything else.
    pub fn text(&self, key: &str) -> Result<Option<&str>> {
        match self.value(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.error(key, format!("found {other}, expected a string"))),
        }
    }

    /// An error at a key of `tokenizer_config.json`.
    pub fn error(&self, key: &str, message: impl Into<String>) -> Error {
        Error::config(&self.path, key, message)
    }
}

/// Whether Python takes a value for true.
fn is_true(value: &Ordered) -> bool {
    match value {
        Ordered::Null => false,
        Ordered::Array(values) => !values.is_empty(),
        Ordered::Object(fields) => !fields.is_empty(),
        _ => true,
    }
}

fn token_at(path: &Path, key: &str, value: &Value) -> Result<Token> {
    Token::from_json(value).map_err(|message| Error::config(path, key, message))
}

fn tokens_at(path: &Path, key: &str, value: &Value) -> Result<Vec<Token>> {
    Token::list(value).map_err(|message| Error::config(path, key, message))
}

fn spec_at(path: &Path, key: &str, value: &Value) -> Result<TokenSpec> {
    let fields = value.as_object().ok_or_else(|| format!("found {value}, expected an object"));
    fields.and_then(TokenSpec::from_fields).map_err(|message| Error::config(path, key, message))
}

fn id_at(path: &Path, key: &str, id: Option<u64>) -> Result<u32> {
    id.and_then(|id| u32::try_from(id).ok())
        .ok_or_else(|| Error::config(path, key, "expected a token id: a whole number, 0 or more"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;

    fn settings(files: &[(&str, &str)]) -> Settings {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        Settings::read(dir.path(), &[]).unwrap()
    }

    fn own(settings: &Settings) -> Vec<&str> {
        settings.own.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn tokens_keep_the_order_of_the_file() {
        let config = r#"{"z_token": "<z>", "eos_token": null, "a_token": "<a>", "add_bos_token": true,
            "extra_special_tokens": {"y_token": "<y>", "b_token": "<b>"}}"#;
        let settings = settings(&[("tokenizer_config.json", config)]);
        assert_eq!(own(&settings), ["z_token", "a_token", "y_token", "b_token"]);
        assert_eq!(settings.named["eos_token"], None);
        assert!(settings.flag("add_bos_token", false).unwrap());
    }

    // As `special_tokens_map` of transformers 5.23 has them.
    #[test]
    fn the_models_own_tokens_may_stand_together() {
        let together = r#""model_specific_special_tokens": {"x_token": "<x>", "a_token": "<a>"}"#;
        let read = settings(&[("tokenizer_config.json", &format!("{{{together}}}"))]);
        assert_eq!(own(&read), ["x_token", "a_token"]);
        let both = format!(r#"{{{together}, "y_token": "<y>"}}"#);
        assert_eq!(own(&settings(&[("tokenizer_config.json", &both)])), ["y_token"]);
        let both = format!(r#"{{"extra_special_tokens": {{"z_token": "<z>"}}, {together}}}"#);
        assert_eq!(own(&settings(&[("tokenizer_config.json", &both)])), ["z_token"]);
        let map = ("special_tokens_map.json", r#"{"m_token": "<m>"}"#);
        let config = format!("{{{together}}}");
        let read = settings(&[("tokenizer_config.json", &config), map]);
        assert_eq!(own(&read), ["m_token", "x_token", "a_token"]);
    }

    #[test]
    fn the_older_files_count_without_a_list_of_added_tokens() {
        let map = r#"{"eos_token": {"content": "<e>", "lstrip": true}, "x_token": "<x>",
            "additional_special_tokens": ["<u>"]}"#;
        let added = r#"{"<e>": 7, "new": 8}"#;
        let older = [("special_tokens_map.json", map), ("added_tokens.json", added)];
        let config = ("tokenizer_config.json", r#"{"z_token": "<z>", "eos_token": "<o>"}"#);
        let read = settings(&[older[0], older[1], config]);
        assert_eq!(read.files, ["tokenizer_config.json", older[0].0, older[1].0]);
        assert_eq!(own(&read), ["x_token", "z_token"]);
        assert_eq!(read.named["eos_token"].as_ref().unwrap().content(), "<e>");
        assert_eq!(read.additional, Some(vec![Token::Text("<u>".into())]));
        assert!(read.added[&7].special && !read.added[&8].special);
        let config = ("tokenizer_config.json", r#"{"added_tokens_decoder": {}}"#);
        let read = settings(&[older[0], older[1], config]);
        assert_eq!((read.files, read.named.len()), (vec![config.0], 0));
    }

    #[test]
    fn the_old_name_of_extra_tokens_gives_way() {
        let read = |text| settings(&[("tokenizer_config.json", text)]);
        let text = |token: &str| Some(vec![Token::Text(token.into())]);
        let old = read(r#"{"additional_special_tokens": ["<a>"], "extra_special_tokens": []}"#);
        assert_eq!((old.extra, old.additional), (text("<a>"), None));
        let both =
            read(r#"{"additional_special_tokens": ["<a>"], "extra_special_tokens": ["<b>"]}"#);
        assert_eq!((both.extra, both.additional), (text("<b>"), text("<a>")));
    }
}
