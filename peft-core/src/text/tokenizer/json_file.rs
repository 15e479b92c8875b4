//! What a tokenizer class takes of `tokenizer.json`: transformers builds the rest anew.

use std::{collections::HashMap, path::Path};

use serde::Deserialize;
use serde_json::Value;
use tokenizers::{PostProcessorWrapper, TruncationDirection};

use super::{
    checked,
    class::Class,
    definition::guarded,
    source::{Source, Vocabulary},
};
use crate::error::Result;

/// The parts that are read here. Everything else is skipped.
#[derive(Deserialize)]
struct Parts {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    post_processor: Option<PostProcessorWrapper>,
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    vocab: Vocab,
    #[serde(default)]
    merges: Option<Vec<Merge>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Vocab {
    Ids(HashMap<String, u32>),
    Scores(Vec<(String, f64)>),
    Pieces(Vec<String>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Pair(String, String),
    Text(String),
}

/// What is read of any `tokenizer.json`.
#[derive(Deserialize)]
struct Common {
    added_tokens: Vec<Value>,
    #[serde(default)]
    padding: Option<Padding>,
    #[serde(default)]
    truncation: Option<Truncation>,
}

#[derive(Deserialize)]
struct Truncation {
    direction: Option<TruncationDirection>,
}

#[derive(Deserialize)]
struct Padding {
    #[serde(default)]
    pad_token: Option<String>,
}

/// A `tokenizer.json`, whose parts that the library trusts are sound.
#[derive(Debug)]
pub(super) struct TokenizerJson<'a> {
    pub path: &'a Path,
    pub bytes: Vec<u8>,
    pub added_tokens: Vec<Value>,
    /// The token that its padding uses.
    pub pad_token: Option<String>,
    /// The end that its truncation cuts.
    pub truncation_side: Option<TruncationDirection>,
}

impl<'a> TokenizerJson<'a> {
    /// Takes the content of a file.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File) if it is no tokenizer.
    pub fn new(path: &'a Path, bytes: Vec<u8>) -> Result<Self> {
        guarded(path, || {
            checked::check(&bytes)?;
            let common: Common =
                serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
            let pad_token = common.padding.and_then(|padding| padding.pad_token);
            let truncation_side = common.truncation.and_then(|own| own.direction);
            let added_tokens = common.added_tokens;
            Ok(Self { path, bytes, added_tokens, pad_token, truncation_side })
        })
    }

    /// Whether a part of it is byte-level.
    pub fn is_byte_level(&self) -> bool {
        let name = b"\"ByteLevel\"";
        self.bytes.windows(name.len()).any(|window| window == name)
    }

    /// The vocabulary, the normaliser table and the post-processor, for a class.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File) if one of them is invalid, or the vocabulary is of a kind
    /// that the class would misread.
    pub fn source(self, class: Class) -> Result<Source> {
        guarded(self.path, || {
            let parts: Parts =
                serde_json::from_slice(&self.bytes).map_err(|error| error.to_string())?;
            let (found, expected) = (parts.model.kind.as_deref(), class.model());
            if let Some(found) = found.filter(|found| *found != expected) {
                let class = class.name();
                return Err(format!(
                    "its model is {found}, of which {class} makes {expected}: to take the file as \
                     it is, write \"tokenizer_class\": \"TokenizersBackend\" into \
                     tokenizer_config.json"
                ));
            }
            let vocabulary = match parts.model.vocab {
                Vocab::Ids(ids) => Vocabulary::Ids(ids),
                Vocab::Scores(pieces) => Vocabulary::Scores(pieces),
                Vocab::Pieces(pieces) => Vocabulary::Ids(pieces.into_iter().zip(0..).collect()),
            };
            let merges = parts.model.merges.map(|merges| {
                merges.into_iter().map(pair).collect::<std::result::Result<Vec<_>, _>>()
            });
            let charsmap = precompiled(parts.normalizer)
                .map(|json| serde_json::from_value(json).map_err(|error| error.to_string()));
            Ok(Source {
                path: self.path.to_path_buf(),
                vocabulary,
                merges: merges.transpose()?,
                charsmap: charsmap.transpose()?,
                post_processor: parts.post_processor,
                pad_token: self.pad_token,
                is_json: true,
            })
        })
    }
}

fn pair(merge: Merge) -> std::result::Result<(String, String), String> {
    match merge {
        Merge::Pair(left, right) => Ok((left, right)),
        Merge::Text(text) => {
            let mut halves = text.split(' ');
            match (halves.next(), halves.next(), halves.next()) {
                (Some(left), Some(right), None) => Ok((left.to_string(), right.to_string())),
                _ => Err(format!("found the merge {text:?}, expected two pieces and a space")),
            }
        }
    }
}

/// The first SentencePiece table of a normaliser.
fn precompiled(normalizer: Value) -> Option<Value> {
    let parts = match normalizer {
        Value::Array(parts) => parts,
        Value::Object(mut fields) if fields.get("type").is_some_and(|kind| kind == "Sequence") => {
            match fields.remove("normalizers") {
                Some(Value::Array(parts)) => parts,
                _ => Vec::new(),
            }
        }
        other => vec![other],
    };
    parts.into_iter().find(|part| part["type"] == "Precompiled")
}
