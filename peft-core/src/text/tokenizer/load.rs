//! From a folder's files to a tokenizer.

use std::path::Path;

use tokenizers::Tokenizer;

use super::{checked, definition::guarded, gguf};
use crate::{
    error::Result,
    formats::{
        gguf::{Gguf, gguf_of},
        read,
    },
};

/// Whether a model has a tokenizer.
///
/// # Errors
/// [`Error::Read`](crate::Error::Read) or [`Error::File`](crate::Error::File) if a GGUF file cannot be read.
pub fn has_tokenizer(model_dir: &Path) -> Result<bool> {
    match gguf_of(model_dir)? {
        Some(path) => Ok(gguf::is_there(&Gguf::open(&path)?)),
        None => Ok(model_dir.join("tokenizer.json").exists()),
    }
}

/// Loads `tokenizer.json` from a model folder, without the padding and truncation that the file may
/// ask for, or the tokenizer of a GGUF file.
///
/// # Errors
/// [`Error::Read`] if the file cannot be read, [`Error::File`] if it is not a tokenizer.
pub fn load_tokenizer(model_dir: &Path) -> Result<Tokenizer> {
    if let Some(path) = gguf_of(model_dir)? {
        return gguf::load(&path);
    }
    let path = model_dir.join("tokenizer.json");
    let bytes = read::bytes(&path)?;
    guarded(&path, || {
        checked::check(&bytes)?;
        let parsed = Tokenizer::from_bytes(bytes);
        let mut tokenizer = parsed.map_err(|error| error.to_string())?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|error| error.to_string())?;
        Ok(tokenizer)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::text::tokenizer::tests::{ids, word_piece};

    #[test]
    fn files_that_are_no_tokenizers_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let message = || load_tokenizer(dir.path()).unwrap_err().to_string();
        let missing = message();
        assert!(missing.starts_with("cannot read") && missing.contains("tokenizer.json"));
        let path = dir.path().join("tokenizer.json");
        for content in [&b"{}"[..], b"", b"\xff", b"[1]"] {
            std::fs::write(&path, content).unwrap();
            assert!(message().contains("tokenizer.json: not a tokenizer"), "{}", message());
        }
        word_piece().save(&path, false).unwrap();
        assert_eq!(ids(&load_tokenizer(dir.path()).unwrap(), "the cat sat"), [0, 3, 4, 5, 1]);
    }
}
