//! A tokenizer as parts in memory, from whatever file they come.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokenizers::{
    AddedToken, DecoderWrapper, ModelWrapper, NormalizerWrapper, PostProcessorWrapper,
    PreTokenizerWrapper, Tokenizer,
    models::{bpe::BPE, unigram::Unigram, wordpiece::WordPiece},
};

use crate::{
    error::{Error, Result},
    guard,
};

/// The parts of a tokenizer. Those beside the model are what `tokenizer.json` has under these names;
/// [`TokenizerDefinition::part`] makes them of JSON.
#[derive(Clone, Debug)]
pub struct TokenizerDefinition {
    /// The vocabulary, and how words are divided.
    pub model: TokenizerModel,
    /// What is done to the characters of a text.
    pub normalizer: Option<NormalizerWrapper>,
    /// How a text is divided into words.
    pub pre_tokenizer: Option<PreTokenizerWrapper>,
    /// Which special tokens are added to a text.
    pub post_processor: Option<PostProcessorWrapper>,
    /// How tokens become a text again.
    pub decoder: Option<DecoderWrapper>,
    /// Tokens that are found in a text before it is divided. Those that the vocabulary lacks get the
    /// ids after it, in this order.
    pub added_tokens: Vec<AddedToken>,
}

/// A vocabulary with its algorithm.
#[derive(Clone, Debug)]
pub enum TokenizerModel {
    /// BERT's: the longest known piece first; pieces after the first begin with `##`.
    WordPiece {
        /// The id of each piece.
        vocab: HashMap<String, u32>,
        /// The token of a word that cannot be divided.
        unk_token: String,
    },
    /// Merges of pairs (Sennrich et al., 2016).
    BytePairs(BytePairs),
    /// The most probable pieces (Kudo, 2018).
    Unigram {
        /// Pieces with the logarithms of their probabilities; the place of a piece is its id.
        pieces: Vec<(String, f64)>,
        /// The id of what no piece matches.
        unk_id: usize,
        /// Whether unknown characters become the tokens `<0x00>` to `<0xFF>` of their bytes.
        byte_fallback: bool,
    },
}

/// A vocabulary whose pieces are merged pair by pair.
#[derive(Clone, Debug, Default)]
pub struct BytePairs {
    /// The id of each piece.
    pub vocab: HashMap<String, u32>,
    /// Which pieces are merged, the first pair first.
    pub merges: Vec<(String, String)>,
    /// The token of an unknown character; without one it is dropped.
    pub unk_token: Option<String>,
    /// Whether unknown characters in a row become one token.
    pub fuse_unk: bool,
    /// Whether unknown characters become the tokens `<0x00>` to `<0xFF>` of their bytes.
    pub byte_fallback: bool,
    /// Whether a word that is a piece stays whole, whatever the merges are.
    pub ignore_merges: bool,
    /// What the last character of a word has behind it in the vocabulary.
    pub end_of_word_suffix: Option<String>,
}

impl TokenizerDefinition {
    /// A tokenizer of this model that changes and adds nothing.
    pub fn new(model: TokenizerModel) -> Self {
        Self {
            model,
            normalizer: None,
            pre_tokenizer: None,
            post_processor: None,
            decoder: None,
            added_tokens: Vec::new(),
        }
    }

    /// A part beside the model, from what `tokenizer.json` would have in its place.
    ///
    /// # Errors
    /// [`Error::File`] for `source` if the library has no such part.
    pub fn part<T: DeserializeOwned>(json: Value, source: &Path) -> Result<T> {
        guarded(source, || serde_json::from_value(json).map_err(|error| error.to_string()))
    }

    /// Builds the tokenizer.
    ///
    /// # Errors
    /// [`Error::File`] for `source`, the file that the parts come from, if they contradict each
    /// other: a merge of pieces that the vocabulary lacks, say.
    pub fn build(self, source: &Path) -> Result<Tokenizer> {
        guarded(source, || self.try_build().map_err(|error| error.to_string()))
    }

    fn try_build(self) -> tokenizers::Result<Tokenizer> {
        let mut tokenizer = Tokenizer::new(self.model.try_build()?);
        tokenizer.with_normalizer(self.normalizer)?;
        tokenizer.with_pre_tokenizer(self.pre_tokenizer);
        tokenizer.with_post_processor(self.post_processor);
        tokenizer.with_decoder(self.decoder);
        tokenizer.add_tokens(self.added_tokens)?;
        Ok(tokenizer)
    }
}

impl TokenizerModel {
    fn try_build(self) -> tokenizers::Result<ModelWrapper> {
        match self {
            Self::WordPiece { vocab, unk_token } => {
                let vocab: tokenizers::models::bpe::Vocab = vocab.into_iter().collect();
                Ok(WordPiece::builder().vocab(vocab).unk_token(unk_token).build()?.into())
            }
            Self::BytePairs(pairs) => Ok(pairs.try_build()?.into()),
            Self::Unigram { pieces, unk_id, byte_fallback } => {
                Ok(Unigram::from(pieces, Some(unk_id), byte_fallback)?.into())
            }
        }
    }
}

impl BytePairs {
    fn try_build(self) -> tokenizers::Result<BPE> {
        // The library copies both halves of a merge into a buffer as long as the longest piece,
        // before it looks whether they make one.
        for (left, right) in &self.merges {
            let merged = [left.as_str(), right].concat();
            if !self.vocab.contains_key(&merged) {
                return Err(format!("the vocabulary lacks {merged:?}, which a merge makes").into());
            }
        }
        let vocab: tokenizers::models::bpe::Vocab = self.vocab.into_iter().collect();
        let mut builder = BPE::builder()
            .vocab_and_merges(vocab, self.merges)
            .fuse_unk(self.fuse_unk)
            .byte_fallback(self.byte_fallback)
            .ignore_merges(self.ignore_merges);
        if let Some(unk_token) = self.unk_token {
            builder = builder.unk_token(unk_token);
        }
        if let Some(suffix) = self.end_of_word_suffix {
            builder = builder.end_of_word_suffix(suffix);
        }
        builder.build()
    }
}

/// The merges that a vocabulary of pieces in the order of their making implies: every division of a
/// piece into two others. With `scores`, as SentencePiece models have them, pieces of a higher score
/// are made first.
///
/// This is transformers' `generate_merges`. Pieces in `skip` are neither made nor merged.
pub fn implied_merges(
    pieces: &[(String, f64)],
    by_score: bool,
    skip: &HashSet<&str>,
) -> Vec<(String, String)> {
    // A piece that occurs twice has the later id and score, as in Python's dictionaries, in which it
    // keeps its first place.
    let mut ids: HashMap<&str, usize> = HashMap::with_capacity(pieces.len());
    let mut order = Vec::with_capacity(pieces.len());
    for (id, (piece, _)) in pieces.iter().enumerate() {
        if ids.insert(piece, id).is_none() {
            order.push(piece.as_str());
        }
    }
    let lengths: HashSet<usize> = ids.keys().map(|piece| piece.len()).collect();
    // Pieces with their halves, and the lengths of both in characters.
    let mut merges: Vec<(usize, &str, &str)> = Vec::new();
    for piece in order.into_iter().filter(|piece| !skip.contains(piece)) {
        let from = merges.len();
        for (at, _) in piece.char_indices().skip(1) {
            if !lengths.contains(&at) || !lengths.contains(&(piece.len() - at)) {
                continue;
            }
            let (left, right) = piece.split_at(at);
            let known = |half| ids.contains_key(half) && !skip.contains(half);
            if known(left) && known(right) {
                merges.push((ids[piece], left, right));
            }
        }
        merges[from..].sort_by_key(|(_, left, right)| (ids[left], ids[right]));
    }
    let characters = |text: &str| text.chars().count();
    if by_score {
        // Python sorts in descending order, in which equals keep their order.
        merges.sort_by(|a, b| {
            let lengths =
                |(_, left, right): &(usize, &str, &str)| (characters(left), characters(right));
            let by_score = pieces[b.0].1.total_cmp(&pieces[a.0].1);
            by_score.then_with(|| lengths(b).cmp(&lengths(a)))
        });
    } else {
        merges.sort_by_key(|(id, left, right)| (*id, characters(left), characters(right)));
    }
    merges.into_iter().map(|(_, left, right)| (left.to_string(), right.to_string())).collect()
}

/// Runs what builds or reads a part, and pairs its error with the file.
///
/// The library trusts some numbers and names, such as merges that are longer than every word, and panics if they are
/// wrong.
pub(super) fn guarded<T>(
    source: &Path,
    build: impl FnOnce() -> std::result::Result<T, String>,
) -> Result<T> {
    let refused =
        |what: &str| Error::file(source, format!("not a tokenizer of this format: {what}"));
    let contradictory = || "its parts contradict each other".to_owned();
    guard::guarded(build, contradictory).map_err(|error| refused(&error))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pieces(pieces: &[(&str, f64)]) -> Vec<(String, f64)> {
        pieces.iter().map(|(piece, score)| (piece.to_string(), *score)).collect()
    }

    fn pairs(merges: &[(&str, &str)]) -> Vec<(String, String)> {
        merges.iter().map(|(left, right)| (left.to_string(), right.to_string())).collect()
    }

    #[test]
    fn merges_follow_ids_or_scores() {
        let vocab = pieces(&[("a", 0.0), ("b", 0.0), ("bb", -3.0), ("ab", -1.0), ("abb", -2.0)]);
        // What `generate_merges` of transformers 5.23 returns.
        let by_id = pairs(&[("b", "b"), ("a", "b"), ("a", "bb"), ("ab", "b")]);
        assert_eq!(implied_merges(&vocab, false, &HashSet::new()), by_id);
        let by_score = pairs(&[("a", "b"), ("ab", "b"), ("a", "bb"), ("b", "b")]);
        assert_eq!(implied_merges(&vocab, true, &HashSet::new()), by_score);
        let skip = HashSet::from(["bb"]);
        assert_eq!(implied_merges(&vocab, false, &skip), pairs(&[("a", "b"), ("ab", "b")]));
    }

    #[test]
    fn parts_make_a_tokenizer() {
        let vocab = [("a", 0), ("b", 1), ("ab", 2)].map(|(piece, id)| (piece.to_string(), id));
        let merges = pairs(&[("a", "b")]);
        let model = BytePairs { vocab: vocab.into(), merges, ..BytePairs::default() };
        let mut definition = TokenizerDefinition::new(TokenizerModel::BytePairs(model));
        let file = Path::new("vocab.json");
        definition.normalizer =
            Some(TokenizerDefinition::part(json!({"type": "Lowercase"}), file).unwrap());
        definition.added_tokens = vec![AddedToken::from("<x>", true)];
        let tokenizer = definition.build(file).unwrap();
        assert_eq!(tokenizer.encode("AB<x>b", true).unwrap().get_ids(), [2, 3, 1]);
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let model = BytePairs { merges: pairs(&[("a", "b")]), ..BytePairs::default() };
        let definition = TokenizerDefinition::new(TokenizerModel::BytePairs(model));
        let error = definition.build(Path::new("merges.txt")).unwrap_err().to_string();
        assert!(error.starts_with("merges.txt: ") && error.contains("lacks \"ab\""), "{error}");
        let part: Result<NormalizerWrapper> =
            TokenizerDefinition::part(json!({"type": "?"}), Path::new("a.model"));
        assert!(part.unwrap_err().to_string().starts_with("a.model: not a tokenizer"));
    }
}
