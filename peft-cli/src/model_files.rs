//! What a base model is beside its weights: its config, and the files by which texts become tokens.

use std::{collections::BTreeMap, fs, path::Path};

use peft_core::{
    Adapter,
    adapter::codec::sha256,
    train::{BaseFiles, other_keys},
};
use peft_models::{Loaded, ModelConfig};

use crate::{base_model::Purpose, output};

/// Bytes of a GGUF file, in which its config and tokenizer stand before the weights.
pub const START: u64 = 32 << 20;

/// The files of a model's folder that say what it is.
pub const FILES: [&str; 19] = [
    ModelConfig::FILE,
    // The token that ends a text is one of its tokens.
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "bpe.codes",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "sentencepiece.model",
    "modules.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
];

/// Those that a folder has, with what they hold.
pub fn read(folder: &Path) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    FILES.into_iter().filter_map(|name| Some((name, fs::read(folder.join(name)).ok()?)))
}

/// Those of a model that is loaded from `path`, as a run remembers them. Of a GGUF file, which holds its tokenizer, the
/// config alone.
pub fn of(path: &Path, loaded: &Loaded) -> BaseFiles {
    let file = loaded.config.path().file_name().unwrap_or_default();
    let tokenizer = if path.is_dir() { tokenizer_of(path) } else { BTreeMap::new() };
    BaseFiles {
        config_file: file.to_string_lossy().into_owned(),
        config: loaded.config.of_outputs(),
        tokenizer,
    }
}

/// The sums of the files by which texts become tokens.
fn tokenizer_of(folder: &Path) -> BTreeMap<String, String> {
    let files = read(folder).filter(|(name, _)| *name != ModelConfig::FILE);
    files.map(|(name, content)| (name.to_string(), sha256(&content))).collect()
}

/// Tells that the config of a model, with the same weights, or a file of its tokenizer is not as an adapter remembers it:
/// `whose` is the adapter.
pub fn note_other_config(adapter: &Adapter, loaded: &Loaded, whose: &str, purpose: Purpose) {
    let own = &adapter.config.own;
    // Of other weights, more is said elsewhere.
    if own.base_config.is_empty() || own.base_fingerprint != loaded.report.fingerprint {
        return;
    }
    let config = loaded.config.path();
    let folder = config.parent().filter(|_| config.ends_with(ModelConfig::FILE));
    if let Some(folder) = folder.filter(|_| !own.base_tokenizer.is_empty()) {
        let then = BaseFiles { tokenizer: own.base_tokenizer.clone(), ..BaseFiles::default() };
        let now = BaseFiles { tokenizer: tokenizer_of(folder), ..BaseFiles::default() };
        let files = now.other_tokenizer_files(&then).join(", ");
        if !files.is_empty() {
            output::note(format!(
                "note: {files} of {} is not as it was where {whose} was trained: if texts become other tokens with it, results \
                 are others, too",
                folder.display()
            ));
        }
    }
    let keys = other_keys(&own.base_config, &loaded.config.of_outputs());
    if keys.is_empty() {
        return;
    }
    let otherwise = match purpose {
        Purpose::Use => "its results mean nothing if these matter",
        Purpose::Start => "what it has learnt is no start here if these matter",
    };
    output::note(format!(
        "note: {} is not as it was where {whose} was trained: {}; {otherwise}",
        loaded.config.path().display(),
        keys.join(", ")
    ));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_those_that_are_there() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["config.json", "README.md", "vocab.txt"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        let found: Vec<(&str, Vec<u8>)> = read(dir.path()).collect();
        let expected = ["config.json", "vocab.txt"].map(|name| (name, name.as_bytes().to_vec()));
        assert_eq!(found, expected);
        assert_eq!(read(&dir.path().join("config.json")).count(), 0);
    }
}
