//! Which files of a repository are needed, and whether the cache has them.

use std::{collections::BTreeSet, fs, path::Path};

use peft_core::{
    Adapter,
    text::tokenizer_files::{CODES, SETTINGS, TOKENIZER_JSON, VOCABULARIES},
};
use peft_models::weights::other_weights;

use super::{
    error::HubError,
    name::{RepoName, is_file_name, is_path},
};

const WEIGHTS: &str = "model.safetensors";
/// What the name of an index ends in, which lists the files of a sharded model.
const INDEX: &str = ".index.json";
const ADAPTER_CONFIG: &str = Adapter::CONFIG;
const ADAPTER_WEIGHTS: &str = "adapter_model.safetensors";
/// What a model may lack.
const OPTIONAL: [&str; 8] = [
    "generation_config.json",
    TOKENIZER_JSON,
    SETTINGS[0],
    SETTINGS[1],
    SETTINGS[2],
    TEMPLATE,
    "chat_template.json",
    // transformers puts such an adapter on the model.
    ADAPTER_CONFIG,
];
/// What an adapter of ours holds beside PEFT's files.
const OWN_FIELDS: &str = Adapter::FILES[0];
const TEMPLATE: &str = "chat_template.jinja";
/// The folder of chat templates beside the default one.
const OTHER_TEMPLATES: &str = "additional_chat_templates";
/// Under this name the cache notes that a repository has no such folder.
const NO_OTHER_TEMPLATES: &str = "additional_chat_templates/none";

/// What a repository is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A base model.
    Model,
    /// A PEFT adapter.
    Adapter,
}

impl Kind {
    /// As users call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Adapter => "adapter",
        }
    }

    /// The file that every repository of this kind has.
    pub fn config(self) -> &'static str {
        match self {
            Self::Model => "config.json",
            Self::Adapter => ADAPTER_CONFIG,
        }
    }

    /// The files that may hold the weights; the first that exists is used.
    fn weights(self) -> &'static [&'static str] {
        match self {
            Self::Model => &[
                WEIGHTS,
                "model.safetensors.index.json",
                "pytorch_model.bin",
                "pytorch_model.bin.index.json",
            ],
            Self::Adapter => &[ADAPTER_WEIGHTS, "adapter_model.bin"],
        }
    }

    /// What it may have, of which `has` tells whether it has it.
    fn optional(self, has: impl Fn(&str) -> bool) -> impl Iterator<Item = &'static str> {
        let (optional, vocabularies): (&[_], &[_]) = match self {
            // Who has these takes nothing of a tokenizer.json.
            Self::Model if has(TOKENIZER_JSON) && has(CODES) => (&OPTIONAL, &["vocab.txt"]),
            Self::Model if has(TOKENIZER_JSON) => (&OPTIONAL, &[]),
            Self::Model => (&OPTIONAL, &VOCABULARIES),
            Self::Adapter => (&[OWN_FIELDS], &[]),
        };
        let codes = (self == Self::Model && has(CODES)).then_some(CODES);
        optional.iter().chain(vocabularies).copied().chain(codes)
    }
}

/// How much of what is needed a folder of the cache holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// Everything.
    Whole,
    /// What is required; the repository may also have optional files, such as a tokenizer.
    Unsure,
    /// Too little: this file is missing.
    Missing(String),
}

/// Whether a file lists those that hold the weights.
pub fn is_index(file: &str) -> bool {
    file.ends_with(INDEX)
}

/// What `dir` holds. `is_absent` tells which files the repository is known to lack.
pub fn held(kind: Kind, dir: &Path, is_absent: impl Fn(&str) -> bool) -> Held {
    let has = |file: &str| dir.join(file).is_file();
    if !has(kind.config()) {
        return Held::Missing(kind.config().into());
    }
    match kind.weights().iter().find(|file| has(file)) {
        None => return Held::Missing(kind.weights()[0].into()),
        // An unreadable index is downloaded again; if that does not help, it is an error there.
        Some(index) if is_index(index) => match shards_of(&dir.join(index)) {
            Err(_) => return Held::Missing((*index).into()),
            Ok(shards) => {
                if let Some(missing) = shards.into_iter().find(|shard| !has(shard)) {
                    return Held::Missing(missing);
                }
            }
        },
        Some(_) => {}
    }
    let known = |file: &str| has(file) || is_absent(file);
    // They stand beside the default one.
    let knows_templates = kind == Kind::Adapter
        || dir.join(OTHER_TEMPLATES).is_dir()
        || is_absent(TEMPLATE)
        || is_absent(NO_OTHER_TEMPLATES);
    if knows_templates && kind.optional(has).all(known) { Held::Whole } else { Held::Unsure }
}

/// The files to download of those `listed`, not counting shards, and the optional ones that the repository lacks.
///
/// # Errors
///
/// [`HubError::NoFile`] or [`HubError::NoWeights`].
pub fn wanted(
    kind: Kind,
    listed: &[String],
    name: &RepoName,
) -> Result<(Vec<String>, Vec<&'static str>), HubError> {
    let has = |file: &&str| listed.iter().any(|other| other == file);
    let lacks = |file: &str| HubError::NoFile { name: name.to_string(), file: file.into() };
    if !has(&kind.config()) {
        return Err(lacks(kind.config()));
    }
    let Some(weights) = kind.weights().iter().copied().find(has) else {
        return Err(match kind {
            Kind::Adapter => lacks(ADAPTER_WEIGHTS),
            Kind::Model => HubError::NoWeights {
                name: name.to_string(),
                found: match other_weights(listed.to_vec()) {
                    Some((file, what)) => format!("found {file}, {what}"),
                    None => "found no weights at all; give another repository, or a folder".into(),
                },
            },
        });
    };
    let optional = kind.optional(|file| has(&file));
    let (there, mut absent) = optional.partition::<Vec<_>, _>(has);
    let mut needed: Vec<String> =
        [kind.config()].into_iter().chain(there).map(String::from).collect();
    if kind == Kind::Model {
        let templates = listed.iter().filter(|file| is_other_template(file)).cloned();
        let before = needed.len();
        needed.extend(templates);
        if needed.len() == before {
            absent.push(NO_OTHER_TEMPLATES);
        }
    }
    needed.push(weights.into());
    Ok((needed, absent))
}

/// Whether a file is a chat template beside the default one.
fn is_other_template(file: &str) -> bool {
    let name = file.strip_prefix(OTHER_TEMPLATES).and_then(|rest| rest.strip_prefix('/'));
    name.is_some_and(|name| is_file_name(name) && name.ends_with(".jinja"))
}

/// The shards that an index names, each once.
///
/// # Errors
///
/// [`HubError::Read`] or [`HubError::Index`].
pub fn shards_of(index: &Path) -> Result<BTreeSet<String>, HubError> {
    let bad = |message: String| HubError::Index { path: index.to_path_buf(), message };
    let text = fs::read_to_string(index).map_err(HubError::read(index))?;
    let json: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| bad(format!("not JSON: {error}")))?;
    let map = json["weight_map"]
        .as_object()
        .ok_or_else(|| bad("key `weight_map`: is missing, or is not an object".into()))?;
    map.values()
        .map(|shard| {
            let name = shard.as_str().filter(|name| is_path(name));
            let expected = "expected the path of a file next to it or below, found";
            name.map(str::to_string)
                .ok_or_else(|| bad(format!("key `weight_map`: {expected} {shard}")))
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SHARDED: &str = "model.safetensors.index.json";

    fn choose(kind: Kind, listed: &[&str]) -> Result<(Vec<String>, Vec<&'static str>), HubError> {
        let listed: Vec<String> = listed.iter().map(ToString::to_string).collect();
        wanted(kind, &listed, &RepoName::parse("org/name").unwrap())
    }

    #[test]
    fn only_what_is_needed_is_downloaded() {
        let all =
            ["README.md", "config.json", WEIGHTS, SHARDED, "pytorch_model.bin", "tokenizer.json"];
        let (needed, absent) = choose(Kind::Model, &all).unwrap();
        assert_eq!(needed, ["config.json", "tokenizer.json", WEIGHTS]);
        let others = ["generation_config.json"].iter().chain(&OPTIONAL[2..]);
        let others: Vec<_> = others.copied().chain([NO_OTHER_TEMPLATES]).collect();
        assert_eq!(absent, others);
        let chat = ["config.json", "additional_chat_templates/rag.jinja", WEIGHTS];
        let more = ["additional_chat_templates/../x.jinja", "additional_chat_templates/x.txt"];
        let (needed, absent) = choose(Kind::Model, &[&chat[..], &more].concat()).unwrap();
        assert_eq!(needed, chat);
        assert!(!absent.contains(&NO_OTHER_TEMPLATES));
        let (needed, absent) = choose(Kind::Model, &["config.json", SHARDED]).unwrap();
        assert_eq!(needed, ["config.json", SHARDED]);
        assert_eq!(absent.len(), OPTIONAL.len() + VOCABULARIES.len() + 1);
        let old = ["config.json", WEIGHTS, "vocab.txt", "tokenizer_config.json"];
        let (needed, _) = choose(Kind::Model, &old).unwrap();
        assert_eq!(needed, ["config.json", "tokenizer_config.json", "vocab.txt", WEIGHTS]);
        let phobert = [CODES, "config.json", WEIGHTS, "tokenizer.json", "vocab.txt"];
        let (needed, _) = choose(Kind::Model, &phobert).unwrap();
        assert_eq!(needed, ["config.json", "tokenizer.json", "vocab.txt", CODES, WEIGHTS]);
        for (first, second) in [
            (SHARDED, "pytorch_model.bin"),
            ("pytorch_model.bin", "pytorch_model.bin.index.json"),
            ("pytorch_model.bin.index.json", "tf_model.h5"),
        ] {
            let (needed, _) = choose(Kind::Model, &[second, first, "config.json"]).unwrap();
            assert_eq!(needed, ["config.json", first]);
        }
        let adapter = ["adapter_config.json", "adapter_model.bin", "tokenizer.json"];
        let (needed, absent) = choose(Kind::Adapter, &adapter).unwrap();
        assert_eq!(needed, ["adapter_config.json", "adapter_model.bin"]);
        assert_eq!(absent, [OWN_FIELDS]);
        let (needed, absent) =
            choose(Kind::Adapter, &[ADAPTER_CONFIG, ADAPTER_WEIGHTS, OWN_FIELDS]).unwrap();
        assert_eq!(needed, [ADAPTER_CONFIG, OWN_FIELDS, ADAPTER_WEIGHTS]);
        assert!(absent.is_empty());
        let says = |kind, listed: &[&str]| choose(kind, listed).unwrap_err().to_string();
        let old = says(Kind::Model, &["config.json", "tf_model.h5"]);
        assert!(old.contains("found tf_model.h5, weights of TensorFlow"), "{old}");
        assert!(old.contains("from_tf=True).save_pretrained("), "{old}");
        let exported = says(Kind::Model, &["config.json", "onnx/model.onnx"]);
        assert!(exported.contains("found onnx/model.onnx, an export for inference"), "{exported}");
        assert!(says(Kind::Model, &["model.safetensors"]).contains("config.json"));
        assert!(says(Kind::Adapter, &["adapter_config.json"]).contains(ADAPTER_WEIGHTS));
    }

    #[test]
    fn a_folder_is_complete_with_all_its_shards() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let write = |file: &str, text: &str| fs::write(dir.join(file), text).unwrap();
        let held = |absent: bool| held(Kind::Model, dir, |_| absent);
        assert_eq!(held(true), Held::Missing("config.json".into()));
        write("config.json", "{}");
        assert_eq!(held(true), Held::Missing(WEIGHTS.into()));
        write(SHARDED, r#"{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}"#);
        write("1.safetensors", "");
        assert_eq!(held(true), Held::Missing("2.safetensors".into()));
        write("2.safetensors", "");
        assert_eq!((held(true), held(false)), (Held::Whole, Held::Unsure));
        write(SHARDED, r#"{"weight_map": {"a": "1.safetensors", "b": "parts/2.safetensors"}}"#);
        assert_eq!(held(true), Held::Missing("parts/2.safetensors".into()));
        fs::create_dir(dir.join("parts")).unwrap();
        write("parts/2.safetensors", "");
        assert_eq!(held(true), Held::Whole);
        for bad in ["../x", "a/../b", "/a", "a//b", "a/", ".x", ""] {
            write(SHARDED, &format!(r#"{{"weight_map": {{"a": {bad:?}}}}}"#));
            let error = shards_of(&dir.join(SHARDED)).unwrap_err().to_string();
            assert!(error.contains("weight_map"), "{error}");
        }
    }
}
