//! What a tokenizer class is built from: a vocabulary, from whatever file it comes.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use tokenizers::{NormalizerWrapper, PostProcessorWrapper};

use super::files::IDS_NEED_NONE;
use crate::{
    error::{Error, Result},
    formats::read,
};

/// The vocabulary of a tokenizer, and what else its file says.
#[derive(Debug)]
pub(super) struct Source {
    /// The file, which errors name.
    pub path: PathBuf,
    pub vocabulary: Vocabulary,
    pub merges: Option<Vec<(String, String)>>,
    /// The normaliser table of a SentencePiece model.
    pub charsmap: Option<NormalizerWrapper>,
    pub post_processor: Option<PostProcessorWrapper>,
    /// The token that the file's padding uses.
    pub pad_token: Option<String>,
    /// Whether the file is `tokenizer.json`.
    pub is_json: bool,
}

/// Pieces with their ids, or with scores in the order of their ids.
#[derive(Debug)]
pub(super) enum Vocabulary {
    Ids(HashMap<String, u32>),
    Scores(Vec<(String, f64)>),
}

impl Vocabulary {
    /// The id of each piece; the last one, of a piece that occurs twice.
    pub fn into_ids(self) -> HashMap<String, u32> {
        match self {
            Self::Ids(ids) => ids,
            Self::Scores(pieces) => {
                pieces.into_iter().zip(0..).map(|((piece, _), id)| (piece, id)).collect()
            }
        }
    }
}

impl Source {
    /// The place of a piece among those with scores.
    pub fn place_of(&self, piece: &str) -> Option<usize> {
        match &self.vocabulary {
            Vocabulary::Ids(_) => None,
            Vocabulary::Scores(pieces) => pieces.iter().position(|(own, _)| own == piece),
        }
    }

    fn of_ids(path: &Path, ids: HashMap<String, u32>) -> Self {
        Self {
            path: path.to_path_buf(),
            vocabulary: Vocabulary::Ids(ids),
            merges: None,
            charsmap: None,
            post_processor: None,
            pad_token: None,
            is_json: false,
        }
    }

    /// Reads `vocab.txt`: a piece a line.
    ///
    /// # Errors
    /// [`Error::Read`] if it cannot be read, [`Error::File`] if it is not UTF-8.
    pub fn of_lines(path: &Path) -> Result<Self> {
        let text = read::text(path)?;
        let pieces = text.lines().map(|line| line.trim_end().to_string());
        Ok(Self::of_ids(path, pieces.zip(0..).collect()))
    }

    /// Reads `vocab.json` and `merges.txt`.
    ///
    /// # Errors
    /// [`Error::Read`] if one cannot be read, [`Error::File`] if it is malformed.
    pub fn of_byte_pairs(path: &Path, merges: &Path) -> Result<Self> {
        let ids = serde_json::from_value(read::json(path)?).map_err(|error| {
            Error::file(
                path,
                format!("expected an object of pieces with their ids: {error}; {IDS_NEED_NONE}"),
            )
        })?;
        if !merges.exists() {
            let name = merges.file_name().unwrap_or_default().display();
            let message =
                format!("has no {name} beside it, by which pieces are joined; {IDS_NEED_NONE}");
            return Err(Error::file(path, message));
        }
        Ok(Self { merges: Some(read_merges(merges)?), ..Self::of_ids(path, ids) })
    }
}

/// The pairs of `merges.txt`, one a line.
fn read_merges(path: &Path) -> Result<Vec<(String, String)>> {
    let text = read::text(path)?;
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.starts_with("#version"));
    lines
        .map(|(line, number)| match line.split(' ').collect::<Vec<_>>()[..] {
            [left, right] => Ok((left.to_string(), right.to_string())),
            _ => {
                let message = format!("found {line:?}, expected two pieces and a space between");
                Err(Error::data(path, number, message))
            }
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn vocabularies_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let [lines, ids, merges] =
            ["vocab.txt", "vocab.json", "merges.txt"].map(|name| dir.path().join(name));
        fs::write(&lines, "[PAD]\r\nthe \n\nthe\n").unwrap();
        let source = Source::of_lines(&lines).unwrap();
        let expected = [("[PAD]", 0), ("the", 3), ("", 2)].map(|(p, id)| (p.to_string(), id));
        assert_eq!(source.vocabulary.into_ids(), expected.into());
        fs::write(&ids, "{\"a\": 0, \"b\": 1, \"ab\": 2}").unwrap();
        fs::write(&merges, "#version: 0.2\na b\n").unwrap();
        let source = Source::of_byte_pairs(&ids, &merges).unwrap();
        assert_eq!(source.merges.unwrap(), [("a".to_string(), "b".to_string())]);
        assert_eq!(source.vocabulary.into_ids()["ab"], 2);
    }

    #[test]
    fn malformed_vocabularies_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let [ids, merges] = ["vocab.json", "merges.txt"].map(|name| dir.path().join(name));
        let message = || Source::of_byte_pairs(&ids, &merges).unwrap_err().to_string();
        assert!(message().starts_with("cannot read") && message().contains("vocab.json"));
        fs::write(&ids, "[\"a\"]").unwrap();
        assert!(message().contains("vocab.json: expected an object of pieces"), "{}", message());
        assert!(message().ends_with("rows of token ids (`input_ids`) need no tokenizer"));
        fs::write(&ids, "{}").unwrap();
        assert!(message().contains("vocab.json: has no merges.txt beside it"), "{}", message());
        fs::write(&merges, "#version: 0.2\na b\nabc\n").unwrap();
        assert!(message().contains("merges.txt, line 3: found \"abc\""), "{}", message());
    }
}
