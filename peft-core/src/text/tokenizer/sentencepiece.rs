//! SentencePiece models, and what tokenizer classes take of them.
//!
//! transformers reads the pieces, their scores and kinds, and the table that normalises characters;
//! what else the file says about spaces counts for nothing there.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use tokenizers::NormalizerWrapper;

use super::{
    charsmap,
    class::Class,
    definition::{BytePairs, TokenizerDefinition, TokenizerModel, guarded, implied_merges},
    parts,
    settings::Settings,
    source::{Source, Vocabulary},
    token::{Token, TokenSpec},
};
use crate::{
    error::{Error, Result},
    formats::{
        protobuf::{Fields, Wire},
        read,
    },
};

/// The kind of pieces that stand for no text of their own, such as `<s>`.
const CONTROL: u64 = 3;
/// The kind of pieces that are never divided.
const USER_DEFINED: u64 = 4;
/// The kind of models whose pieces have probabilities.
const UNIGRAM: u64 = 1;

/// A SentencePiece model.
#[derive(Debug)]
pub(super) struct SentencePieceModel {
    path: PathBuf,
    pieces: Vec<Piece>,
    model_type: u64,
    byte_fallback: bool,
    /// The ids of the unknown token, and of those at the beginning and the end of a text; negative
    /// for none.
    ids: [i64; 3],
    names: [String; 3],
    charsmap: Vec<u8>,
}

#[derive(Debug)]
struct Piece {
    text: String,
    score: f32,
    kind: u64,
}

impl SentencePieceModel {
    /// Reads a model.
    ///
    /// # Errors
    /// [`Error::Read`] if it cannot be read, [`Error::File`] if it is no such model.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = read::bytes(path)?;
        Self::parse(path, &bytes).map_err(|message| {
            let message = format!("not a SentencePiece model: {message}");
            // Other vocabularies have the same name.
            let is_tiktoken = bytes.iter().take(200).all(|byte| byte.is_ascii());
            let hint = match is_tiktoken && !bytes.is_empty() {
                true => {
                    " (it looks like a tiktoken vocabulary, which is not supported; in Python, \
                     save `AutoTokenizer.from_pretrained(...).backend_tokenizer` as tokenizer.json)"
                }
                false => "",
            };
            Error::file(path, message + hint)
        })
    }

    fn parse(path: &Path, bytes: &[u8]) -> std::result::Result<Self, String> {
        let mut model = Self {
            path: path.to_path_buf(),
            pieces: Vec::new(),
            model_type: UNIGRAM,
            byte_fallback: false,
            ids: [0, 1, 2],
            names: ["<unk>", "<s>", "</s>"].map(String::from),
            charsmap: Vec::new(),
        };
        for field in Fields::new(bytes) {
            match field? {
                (1, Wire::Bytes(piece)) => model.pieces.push(Piece::parse(piece)?),
                (2, Wire::Bytes(trainer)) => model.parse_trainer(trainer)?,
                (3, Wire::Bytes(normalizer)) => {
                    for field in Fields::new(normalizer) {
                        if let (2, Wire::Bytes(charsmap)) = field? {
                            model.charsmap = charsmap.to_vec();
                        }
                    }
                }
                _ => {}
            }
        }
        match model.pieces.is_empty() {
            true => Err("it has no pieces".into()),
            false => Ok(model),
        }
    }

    fn parse_trainer(&mut self, trainer: &[u8]) -> std::result::Result<(), String> {
        for field in Fields::new(trainer) {
            match field? {
                (3, Wire::Varint(model_type)) => self.model_type = model_type,
                (35, Wire::Varint(flag)) => self.byte_fallback = flag != 0,
                // A negative number is stored as its complement.
                (at @ 40..=42, Wire::Varint(id)) => self.ids[at as usize - 40] = id as i64,
                (at @ 45..=47, Wire::Bytes(name)) => self.names[at as usize - 45] = text(name)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// The vocabulary for a class, with the tokens that the class puts in front of it or behind it.
    /// The settings get the special tokens of the model.
    ///
    /// # Errors
    /// [`Error::File`] if the model is of another kind than the class takes, or its table is
    /// malformed.
    pub fn into_source(self, class: Class, settings: &mut Settings) -> Result<Source> {
        settings.additional = Some(self.added_tokens());
        let charsmap = self.charsmap()?;
        let takes_pairs = class.model() == "BPE";
        if class == Class::Camembert && self.model_type != UNIGRAM {
            return Err(Error::file(&self.path, "found a model of pairs, expected Unigram"));
        }
        let mut pieces = self.scored();
        let merges = takes_pairs.then(|| implied_merges(&pieces, false, &HashSet::new()));
        let named = |name: &'static str, default: &str| {
            let token = settings
                .named
                .get(name)
                .map_or(Some(default), |token| token.as_ref().map(Token::content));
            token
                .map(|token| (token.to_string(), 0.0))
                .ok_or_else(|| settings.error(name, "found null, expected a token"))
        };
        let unused = |name: &str, score| (name.to_string(), score);
        match class {
            Class::T5 => {
                let sentinels = (0..super::classes::extra_ids(settings)?).rev();
                pieces.extend(sentinels.map(|i| (format!("<extra_id_{i}>"), 0.0)));
            }
            Class::XlmRoberta => {
                let front = [
                    named("bos_token", "<s>")?,
                    named("pad_token", "<pad>")?,
                    named("eos_token", "</s>")?,
                    named("unk_token", "<unk>")?,
                ];
                pieces.splice(..pieces.len().min(3), front);
                pieces.push(named("mask_token", "<mask>")?);
            }
            Class::Camembert => {
                let front = [
                    unused("<s>NOTUSED", 0.0),
                    named("pad_token", "<pad>")?,
                    unused("</s>NOTUSED", 0.0),
                    named("unk_token", "<unk>")?,
                    unused("<unk>NOTUSED", -100.0),
                ];
                pieces.splice(..1, front);
                pieces.push(named("mask_token", "<mask>")?);
            }
            _ => {}
        }
        Ok(Source {
            path: self.path,
            vocabulary: Vocabulary::Scores(pieces),
            merges,
            charsmap,
            post_processor: None,
            pad_token: None,
            is_json: false,
        })
    }

    /// The tokenizer of a folder whose class is the backend. The settings get the special tokens of
    /// the model.
    ///
    /// # Errors
    /// [`Error::File`] if its parts contradict each other.
    pub fn into_definition(self, settings: &mut Settings) -> Result<TokenizerDefinition> {
        settings.additional = Some(self.added_tokens());
        let names = ["unk_token", "bos_token", "eos_token"];
        for (name, (id, token)) in names.into_iter().zip(self.ids.iter().zip(&self.names)) {
            if *id >= 0 {
                let token = || Some(Token::Text(token.clone()));
                settings.named.entry(name).or_insert_with(token);
            }
        }
        let mut normalizers = Vec::from_iter(self.charsmap()?);
        normalizers.push(TokenizerDefinition::part(parts::marked_spaces(), &self.path)?);
        let decoder = parts::piece_decoder(self.byte_fallback, false);
        let decoder = Some(TokenizerDefinition::part(decoder, &self.path)?);
        let normalizer = tokenizers::normalizers::Sequence::new(normalizers);
        Ok(TokenizerDefinition {
            normalizer: Some(normalizer.into()),
            decoder,
            ..TokenizerDefinition::new(self.into_model(settings)?)
        })
    }

    fn into_model(self, settings: &Settings) -> Result<TokenizerModel> {
        let (pieces, byte_fallback) = (self.scored(), self.byte_fallback);
        if self.model_type == UNIGRAM {
            let unk_id = usize::try_from(self.ids[0]).map_err(|_| {
                Error::file(&self.path, "the model has no unknown token (`unk_id`)")
            })?;
            return Ok(TokenizerModel::Unigram { pieces, unk_id, byte_fallback });
        }
        let merges = implied_merges(&pieces, false, &HashSet::new());
        let mut vocab = Vocabulary::Scores(pieces).into_ids();
        // Folders give placeholders of the model the names of their own tokens.
        for (&id, token) in &settings.added {
            let current = vocab.iter().find(|(_, own)| **own == id).map(|(piece, _)| piece.clone());
            if let Some(current) = current.filter(|_| !vocab.contains_key(&token.content)) {
                vocab.remove(&current);
                vocab.insert(token.content.clone(), id);
            }
        }
        let [unk_token, ..] = self.names;
        Ok(TokenizerModel::BytePairs(BytePairs {
            vocab,
            merges,
            unk_token: Some(unk_token),
            fuse_unk: true,
            byte_fallback,
            ..BytePairs::default()
        }))
    }

    fn scored(&self) -> Vec<(String, f64)> {
        self.pieces.iter().map(|piece| (piece.text.clone(), piece.score.into())).collect()
    }

    /// The pieces that are found in a text before it is divided.
    fn added_tokens(&self) -> Vec<Token> {
        let added = self.pieces.iter().filter(|p| [CONTROL, USER_DEFINED].contains(&p.kind));
        let token = |piece: &Piece| {
            let special = piece.kind == CONTROL;
            let normalized = Some(false);
            Token::Full(TokenSpec { special, normalized, ..TokenSpec::special(&piece.text) })
        };
        added.map(token).collect()
    }

    /// The table that normalises characters: a trie behind its size, and texts.
    fn charsmap(&self) -> Result<Option<NormalizerWrapper>> {
        if self.charsmap.is_empty() {
            return Ok(None);
        }
        guarded(&self.path, || Ok(Some(charsmap::read(&self.charsmap)?.into())))
    }
}

impl Piece {
    fn parse(message: &[u8]) -> std::result::Result<Self, String> {
        let mut piece = Self { text: String::new(), score: 0.0, kind: 1 };
        for field in Fields::new(message) {
            match field? {
                (1, Wire::Bytes(bytes)) => piece.text = text(bytes)?,
                (2, Wire::Fixed32(bytes)) => piece.score = f32::from_le_bytes(bytes),
                (3, Wire::Varint(kind)) => piece.kind = kind,
                _ => {}
            }
        }
        match piece.score.is_finite() {
            true => Ok(piece),
            false => Err(format!("the piece {:?} has the score {}", piece.text, piece.score)),
        }
    }
}

fn text(bytes: &[u8]) -> std::result::Result<String, String> {
    let text = String::from_utf8(bytes.to_vec());
    text.map_err(|_| "a piece is not UTF-8".to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A field of bytes, shorter than 128.
    fn field(at: u8, value: &[u8]) -> Vec<u8> {
        [&[at << 3 | 2, value.len() as u8], value].concat()
    }

    fn piece(text: &str, score: f32, kind: u8) -> Vec<u8> {
        let score = [&[2 << 3 | 5], &score.to_le_bytes()[..]].concat();
        field(1, &[field(1, text.as_bytes()), score, vec![3 << 3, kind]].concat())
    }

    /// A model of pairs: `<unk>`, `<s>`, and `▁ab` of its letters.
    fn pairs() -> Vec<u8> {
        let mut model = [piece("<unk>", 0.0, 2), piece("<s>", 0.0, 3)].concat();
        for (i, text) in ["▁", "a", "b", "▁a", "▁ab"].into_iter().enumerate() {
            model.extend(piece(text, -(i as f32), 1));
        }
        [model, field(2, &[3 << 3, 2])].concat()
    }

    fn parse(bytes: &[u8]) -> std::result::Result<SentencePieceModel, String> {
        SentencePieceModel::parse(Path::new("a.model"), bytes)
    }

    #[test]
    fn a_model_makes_a_tokenizer() {
        let mut settings = Settings::default();
        let source = parse(&pairs()).unwrap().into_source(Class::Llama, &mut settings).unwrap();
        let merges = [("▁", "a"), ("▁a", "b")].map(|(a, b)| (a.to_string(), b.to_string()));
        assert_eq!(source.merges.unwrap(), merges);
        assert_eq!(source.vocabulary.into_ids()["▁ab"], 6);
        assert_eq!(settings.additional.unwrap()[0].content(), "<s>");
        let mut settings = Settings::default();
        let definition = parse(&pairs()).unwrap().into_definition(&mut settings).unwrap();
        let tokenizer = definition.build(Path::new("a.model")).unwrap();
        assert_eq!(tokenizer.encode(" ab?", true).unwrap().get_ids(), [6, 0]);
        assert_eq!(settings.named["bos_token"], Some(Token::Text("<s>".into())));
    }

    #[test]
    fn damaged_models_are_refused() {
        let says = |bytes: &[u8]| parse(bytes).unwrap_err();
        assert_eq!(says(b""), "it has no pieces");
        assert!(says(&piece("a", f32::NAN, 1)).contains("has the score NaN"));
        assert!(says(&field(1, &field(1, b"\xff"))).contains("not UTF-8"));
        let whole = pairs();
        for length in 1..whole.len() {
            // A cut falls between fields, or is an error.
            let _ = parse(&whole[..length]);
        }
        let table = field(3, &field(2, &[255, 255, 255, 127, 0]));
        let model = parse(&[pairs(), table].concat()).unwrap();
        let error = model.into_source(Class::T5, &mut Settings::default()).unwrap_err();
        assert!(error.to_string().contains("claims 2147483647 bytes, but is shorter"), "{error}");
        let table = field(3, &field(2, &[4, 0, 0, 0, 0, 0, 0, 0, 255]));
        let model = parse(&[pairs(), table].concat()).unwrap();
        let error = model.into_source(Class::T5, &mut Settings::default()).unwrap_err();
        assert!(error.to_string().contains("a.model: not a tokenizer"), "{error}");
    }
}
