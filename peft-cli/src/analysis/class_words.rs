//! The tokens that spell the names of classes.

use std::collections::{BTreeMap, BTreeSet};

use peft_core::text::afterwards;
use serde::Serialize;
use tokenizers::Tokenizer;

/// A word of a class's name, and the tokens that stand for it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassWord {
    /// The word, in lower case.
    pub word: String,
    /// Whether tokens spell it whole. Otherwise the tokens are its pieces.
    pub is_whole: bool,
    /// The tokens: each that spells the word, in whatever case, with a blank before it or not.
    pub tokens: Vec<String>,
    /// Their ids.
    #[serde(skip)]
    pub ids: BTreeSet<u32>,
}

/// The words of the names of classes, once each: `AddToPlaylist`, `add_to_playlist` and `add to playlist` are three words.
pub fn class_words<'n>(
    names: impl IntoIterator<Item = &'n str>,
    tokenizer: &Tokenizer,
) -> Vec<ClassWord> {
    let mut spelled: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    let vocabulary = tokenizer.get_vocab(true).into_iter();
    for (token, id) in vocabulary.filter(|(_, id)| afterwards::is_token(tokenizer, *id)) {
        if let Some(word) = word_of(&token) {
            spelled.entry(word.to_lowercase()).or_default().insert(id);
        }
    }
    let mut found: Vec<ClassWord> = Vec::new();
    for word in names.into_iter().flat_map(words) {
        if found.iter().any(|known| known.word == word) {
            continue;
        }
        let whole = spelled.get(&word).cloned();
        let is_whole = whole.is_some();
        let ids = whole.unwrap_or_else(|| pieces(&word, tokenizer));
        let tokens = ids.iter().filter_map(|id| tokenizer.id_to_token(*id)).collect();
        found.push(ClassWord { word, is_whole, tokens, ids });
    }
    found
}

/// The ids of the pieces of a word that no token spells, without what stands for an unknown one.
fn pieces(word: &str, tokenizer: &Tokenizer) -> BTreeSet<u32> {
    let encoded = tokenizer.encode(word, false);
    let encoded = encoded.map(|found| afterwards::settled(tokenizer, found));
    let ids = encoded.map(|found| found.get_ids().to_vec()).unwrap_or_default();
    let is_piece = |id: &u32| {
        let spelled = tokenizer.id_to_token(*id);
        let spelled = spelled.map(|token| token.trim_start_matches("##").to_lowercase());
        let spelled = spelled.map(|token| token.trim_start_matches(BLANKS).to_string());
        spelled.is_some_and(|token| !token.is_empty() && word.contains(&token))
    };
    ids.into_iter().filter(is_piece).collect()
}

/// What tokenizers write for a blank before a word.
const BLANKS: [char; 3] = ['Ġ', '▁', ' '];

/// The word that a token spells: without the mark of a blank before it, or of its end; `None` for the rest of a word
/// and for what has neither letters nor digits.
fn word_of(token: &str) -> Option<&str> {
    if token.starts_with("##") {
        return None;
    }
    let word = token.trim_start_matches(BLANKS);
    let word = word.strip_suffix("</w>").unwrap_or(word);
    word.chars().all(char::is_alphanumeric).then_some(word).filter(|word| !word.is_empty())
}

/// The words of a name, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut before = None;
    for letter in name.chars() {
        let begins = letter.is_uppercase() && before.is_some_and(char::is_lowercase);
        if begins || !letter.is_alphanumeric() {
            found.push(String::new());
        }
        if let Some(word) = found.last_mut().filter(|_| letter.is_alphanumeric()) {
            word.extend(letter.to_lowercase());
        }
        before = Some(letter);
    }
    found.retain(|word| !word.is_empty());
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_into_words() {
        assert_eq!(words("AddToPlaylist"), ["add", "to", "playlist"]);
        assert_eq!(words("not_entailment"), ["not", "entailment"]);
        assert_eq!(words("B-geo loc2"), ["b", "geo", "loc2"]);
        assert_eq!(words("NASDAQ"), ["nasdaq"]);
        assert_eq!(words("--"), [""; 0]);
    }

    #[test]
    fn words_are_told_from_pieces_and_marks() {
        assert_eq!(word_of("Ġgood"), Some("good"));
        assert_eq!(word_of("▁good"), Some("good"));
        assert_eq!(word_of("good</w>"), Some("good"));
        for token in ["##good", "Ġ", "[CLS]", "...", ""] {
            assert_eq!(word_of(token), None, "{token}");
        }
    }

    #[test]
    fn a_word_without_a_token_has_its_pieces() {
        let json = r###"{"added_tokens": [], "model": {"type": "WordPiece", "unk_token": "[UNK]",
            "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
            "vocab": {"[UNK]": 0, "good": 1, "Good": 2, "play": 3, "##list": 4, "##good": 5}}}"###;
        let tokenizer: Tokenizer = json.parse().unwrap();
        let found = class_words(["Good", "playlist", "good", "zzz"], &tokenizer);
        let ids = |place: usize| found[place].ids.iter().copied().collect::<Vec<_>>();
        assert_eq!(
            found.iter().map(|word| word.is_whole).collect::<Vec<_>>(),
            [true, false, false]
        );
        assert_eq!((ids(0), ids(1), ids(2)), (vec![1, 2], vec![3, 4], vec![]));
        assert_eq!(found[1].tokens, ["play", "##list"]);
    }
}
