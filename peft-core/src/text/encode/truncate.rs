//! Which tokens of a text or pair are kept.

use tokenizers::{Encoding, Tokenizer, TruncationDirection};

/// The end at which a text is truncated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    Left,
    #[default]
    Right,
}

impl End {
    /// The end that a tokenizer's own truncation cuts, as its folder says.
    pub(super) fn of(tokenizer: &Tokenizer) -> Self {
        match tokenizer.get_truncation().map(|own| own.direction) {
            Some(TruncationDirection::Left) => Self::Left,
            Some(TruncationDirection::Right) | None => Self::Right,
        }
    }
}

/// The tokens that are kept of a text or pair.
pub(super) struct Kept {
    pub(super) ids: Vec<u32>,
    pub(super) type_ids: Vec<u32>,
    /// The word of each token; `None` for special tokens.
    pub(super) words: Vec<Option<u32>>,
    /// Whether any is missing.
    pub(super) cut: bool,
}

impl Kept {
    /// Keeps at most `max_length` tokens: all special ones, and of each text those that [`shares`] leaves it.
    ///
    /// The `tokenizers` library (0.23) stops each text of a pair at the limit before it compares their lengths, so that
    /// the wrong text may get the odd token, and does not tell of a text that it stopped exactly there.
    pub(super) fn of(encoding: &Encoding, max_length: Option<usize>, end: End) -> Self {
        let text_of = texts(encoding);
        let count = |text| text_of.iter().filter(|own| **own == Some(text)).count();
        let lengths = [count(0), count(1)];
        let specials = encoding.len() - lengths[0] - lengths[1];
        let budget = max_length.map_or(usize::MAX, |length| length.saturating_sub(specials));
        let left = shares(lengths, budget);
        let mut seen = [0, 0];
        let is_kept = |text: &Option<usize>| {
            let Some(text) = *text else { return true };
            seen[text] += 1;
            match end {
                End::Right => seen[text] <= left[text],
                End::Left => seen[text] + left[text] > lengths[text],
            }
        };
        let kept: Vec<bool> = text_of.iter().map(is_kept).collect();
        Self {
            ids: picked(encoding.get_ids(), &kept),
            type_ids: picked(encoding.get_type_ids(), &kept),
            words: picked(encoding.get_word_ids(), &kept),
            cut: left != lengths,
        }
    }
}

/// The text that each token is from, 0 or 1; `None` for what the tokenizer added.
fn texts(encoding: &Encoding) -> Vec<Option<usize>> {
    let special = encoding.get_special_tokens_mask();
    let pairs = special.iter().zip(encoding.get_sequence_ids());
    pairs.map(|(&special, text)| (special == 0).then_some(text.unwrap_or(0).min(1))).collect()
}

fn picked<T: Copy>(values: &[T], kept: &[bool]) -> Vec<T> {
    values.iter().zip(kept).filter(|(_, kept)| **kept).map(|(value, _)| *value).collect()
}

/// How many tokens of two texts are kept of `budget`: as `longest_first` in transformers, the longer is cut to what the
/// shorter leaves, or both to one half, of which the longer has the odd token, and of two equal ones the second.
fn shares([a, b]: [usize; 2], budget: usize) -> [usize; 2] {
    if a.saturating_add(b) <= budget {
        return [a, b];
    }
    let (shorter, half) = (a.min(b), budget / 2);
    let of_shorter = shorter.min(half);
    let of_longer = budget - of_shorter;
    if a > b { [of_longer, of_shorter] } else { [of_shorter, of_longer] }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::tokenizer::tests::word_piece;

    /// The library's rule, which is right where it knows the lengths.
    fn expected([a, b]: [usize; 2], budget: usize) -> [usize; 2] {
        if a + b <= budget {
            return [a, b];
        }
        let (swap, mut n1) = (a > b, a.min(b));
        let mut n2 = if n1 > budget { n1 } else { n1.max(budget - n1) };
        if n1 + n2 > budget {
            n1 = budget / 2;
            n2 = n1 + budget % 2;
        }
        if swap { [n2, n1] } else { [n1, n2] }
    }

    proptest! {
        #[test]
        fn pairs_are_cut_as_transformers_cuts_them(a in 0_usize..40, b in 0_usize..40, n in 0_usize..80) {
            prop_assert_eq!(shares([a, b], n), expected([a, b], n));
        }
    }

    fn kept(pair: (&str, &str), max_length: usize, end: End) -> Kept {
        let mut tokenizer = word_piece();
        tokenizer.with_padding(None).with_truncation(None).unwrap();
        Kept::of(&tokenizer.encode(pair, true).unwrap(), Some(max_length), end)
    }

    #[test]
    fn special_tokens_stay() {
        // [CLS] 0, [SEP] 1, the 3, cat 4, sat 5, on 6, mat 7.
        let pair = ("the cat sat", "on the mat the");
        let right = kept(pair, 8, End::Right);
        assert_eq!((right.ids, right.cut), (vec![0, 3, 4, 1, 6, 3, 7, 1], true));
        assert_eq!(right.type_ids, [0, 0, 0, 0, 1, 1, 1, 1]);
        let left = kept(pair, 8, End::Left);
        assert_eq!((left.ids, left.cut), (vec![0, 4, 5, 1, 3, 7, 3, 1], true));
        let whole = kept(pair, 10, End::Left);
        assert_eq!((whole.ids.len(), whole.cut), (10, false));
        assert_eq!(whole.words[..4], [None, Some(0), Some(1), Some(2)]);
    }
}
