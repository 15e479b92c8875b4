//! A special or added token, as a folder's files write it.

use serde_json::{Map, Value};
use tokenizers::AddedToken;

/// A token: its text alone, or also how it is found in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Its text alone.
    Text(String),
    /// With its properties.
    Full(TokenSpec),
}

/// A token with its properties. Those that are not given depend on what the token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TokenSpec {
    pub content: String,
    pub single_word: bool,
    pub lstrip: bool,
    pub rstrip: bool,
    /// Whether it is looked for in the normalised text; by default unless it is special.
    pub normalized: Option<bool>,
    pub special: bool,
}

impl Token {
    /// A string, or an object with `content`. The properties of an object without a type are those
    /// of a special token.
    pub fn from_json(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(text) => Ok(Self::Text(text.clone())),
            Value::Object(fields) => {
                let mut spec = TokenSpec::from_fields(fields)?;
                spec.special |= !fields.contains_key("__type");
                Ok(Self::Full(spec))
            }
            other => Err(format!("found {other}, expected a token: a string, or an object")),
        }
    }

    /// Several tokens, in a list.
    pub fn list(value: &Value) -> Result<Vec<Self>, String> {
        let tokens = value.as_array().ok_or_else(|| format!("found {value}, expected a list"))?;
        tokens.iter().map(Self::from_json).collect()
    }

    /// The text of the token.
    pub fn content(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Full(spec) => &spec.content,
        }
    }
}

impl TokenSpec {
    /// A special token with no other properties.
    pub fn special(content: &str) -> Self {
        Self {
            content: content.to_string(),
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: None,
            special: true,
        }
    }

    /// An object with `content`, and with properties that are true or false.
    pub fn from_fields(fields: &Map<String, Value>) -> Result<Self, String> {
        let flag = |name: &str| match fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(other) => Err(format!("{name}: found {other}, expected true or false")),
        };
        let content = match fields.get("content") {
            Some(Value::String(content)) => content.clone(),
            Some(other) => return Err(format!("content: found {other}, expected a string")),
            None => return Err("content: is missing".into()),
        };
        Ok(Self {
            content,
            single_word: flag("single_word")?.unwrap_or_default(),
            lstrip: flag("lstrip")?.unwrap_or_default(),
            rstrip: flag("rstrip")?.unwrap_or_default(),
            normalized: flag("normalized")?,
            special: flag("special")?.unwrap_or_default(),
        })
    }

    /// The token for the library.
    pub fn added(&self) -> AddedToken {
        let token = AddedToken::from(self.content.clone(), self.special)
            .single_word(self.single_word)
            .lstrip(self.lstrip)
            .rstrip(self.rstrip);
        match self.normalized {
            Some(normalized) => token.normalized(normalized),
            None => token,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tokens_are_texts_or_objects() {
        let token = Token::from_json(&json!("<s>")).unwrap();
        assert_eq!((token.content(), &token), ("<s>", &Token::Text("<s>".into())));
        let Token::Full(spec) =
            Token::from_json(&json!({"content": "<m>", "lstrip": true})).unwrap()
        else {
            panic!("an object is a token with properties")
        };
        assert!(spec.special && spec.lstrip && !spec.added().normalized);
        let typed = json!({"__type": "AddedToken", "content": "<m>", "special": false});
        let Token::Full(spec) = Token::from_json(&typed).unwrap() else { panic!("as above") };
        assert!(!spec.special && spec.added().normalized);
    }

    #[test]
    fn anything_else_is_refused() {
        for (value, says) in [
            (json!(3), "found 3, expected a token"),
            (json!({"lstrip": true}), "content: is missing"),
            (json!({"content": 1}), "content: found 1"),
            (json!({"content": "a", "lstrip": "yes"}), "lstrip: found \"yes\", expected true or"),
        ] {
            let error = Token::from_json(&value).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        assert!(Token::list(&json!("a")).unwrap_err().contains("expected a list"));
    }
}
