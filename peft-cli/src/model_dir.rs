//! The folder of a base model, with its tokenizer.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use peft_core::{Result, text::ModelTokenizer};

/// The folder of a base model, or its GGUF file. Clones share the tokenizer.
#[derive(Clone, Debug)]
pub struct ModelDir {
    path: PathBuf,
    tokenizer: Arc<OnceLock<ModelTokenizer>>,
}

impl From<PathBuf> for ModelDir {
    fn from(path: PathBuf) -> Self {
        Self { path, tokenizer: Arc::default() }
    }
}

impl ModelDir {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its tokenizer, loaded when it is first asked for.
    ///
    /// # Errors
    ///
    /// As [`ModelTokenizer::load`].
    pub fn tokenizer(&self) -> Result<&ModelTokenizer> {
        if let Some(loaded) = self.tokenizer.get() {
            return Ok(loaded);
        }
        let loaded = ModelTokenizer::load(&self.path)?;
        Ok(self.tokenizer.get_or_init(|| loaded))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_tokenizer_is_loaded_once() {
        let folder = tempfile::tempdir().unwrap();
        let dir = ModelDir::from(folder.path().to_path_buf());
        assert!(dir.tokenizer().is_err());
        let json = r#"{"added_tokens": [],
            "model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "a"}}"#;
        let file = folder.path().join("tokenizer.json");
        std::fs::write(&file, json).unwrap();
        let again = dir.clone();
        assert_eq!(dir.tokenizer().unwrap().tokenizer.token_to_id("b"), Some(1));
        std::fs::remove_file(file).unwrap();
        assert!(std::ptr::eq(again.tokenizer().unwrap(), dir.tokenizer().unwrap()));
    }
}
