//! The text from which a question is answered, and the windows onto it that fit a model.

use std::sync::Arc;

/// The context of a question, with the accepted answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// The context as it is in the data.
    pub context: String,
    /// The texts of the answers, empty if the context holds none; `None` if nothing is known of them.
    pub answers: Option<Vec<String>>,
}

/// The part of a passage that one example holds. All windows of a question share its passage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The whole text.
    pub passage: Arc<Passage>,
    /// For each of the example's T tokens, the range of bytes of the context that it stands for;
    /// `None` for tokens of the question and special tokens.
    pub bytes: Vec<Option<(usize, usize)>>,
}

/// A part of a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excerpt<'a> {
    /// The text, without whitespace at its ends.
    pub text: &'a str,
    /// The position of its first character in the context, counted from 0.
    pub start: usize,
    /// The position after its last character.
    pub end: usize,
}

impl Window {
    /// Returns the first and the last of the tokens that overlap `from..to`, a range of bytes of
    /// the context. `None` if no token does.
    pub fn tokens_of(&self, from: usize, to: usize) -> Option<(usize, usize)> {
        let holds = |bytes: &Option<(usize, usize)>| {
            // Some tokens stand for no bytes at all.
            bytes.is_some_and(|(start, end)| start < end && start < to && from < end)
        };
        Some((self.bytes.iter().position(holds)?, self.bytes.iter().rposition(holds)?))
    }

    /// Whether a token stands for white space only, or for nothing.
    pub fn is_blank(&self, token: usize) -> bool {
        let bytes = self.bytes.get(token).copied().flatten();
        // What begins or ends within a character is none.
        let text = bytes.map_or(Some(""), |(from, to)| self.passage.context.get(from..to));
        text.is_some_and(|text| text.trim().is_empty())
    }

    /// Returns the text of the tokens from `start` to `end`, inclusive, exactly as it is in the
    /// context, which decoded tokens need not be. `None` if either is not a token of the context, or stands for bytes
    /// behind its end.
    pub fn excerpt(&self, start: usize, end: usize) -> Option<Excerpt<'_>> {
        let context = self.passage.context.as_str();
        let (mut from, _) = (*self.bytes.get(start)?)?;
        let (_, mut to) = (*self.bytes.get(end)?)?;
        if from > context.len() || to > context.len() {
            return None;
        }
        // A token may hold only a part of a character.
        while !context.is_char_boundary(from) {
            from -= 1;
        }
        while !context.is_char_boundary(to) {
            to += 1;
        }
        let whole = context.get(from..to)?;
        let text = whole.trim();
        let from = from + (whole.len() - whole.trim_start().len());
        let start = context.get(..from)?.chars().count();
        Some(Excerpt { text, start, end: start + text.chars().count() })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn window(context: &str, bytes: &[Option<(usize, usize)>]) -> Window {
        let passage = Passage { context: context.to_owned(), answers: None };
        Window { passage: Arc::new(passage), bytes: bytes.to_vec() }
    }

    #[test]
    fn bytes_become_tokens_and_tokens_characters() {
        // Two bytes per letter: ä ö ü at 0..2, 3..5, 6..8.
        let bytes = [None, Some((0, 2)), Some((2, 2)), Some((2, 5)), Some((6, 8)), None];
        let window = window("ä ö ü", &bytes);
        assert_eq!(window.tokens_of(3, 5), Some((3, 3)));
        assert_eq!(window.tokens_of(0, 8), Some((1, 4)));
        assert_eq!(window.tokens_of(5, 6), None, "the space belongs to no token");
        let excerpt = window.excerpt(3, 4).unwrap();
        assert_eq!((excerpt.text, excerpt.start, excerpt.end), ("ö ü", 2, 5));
        assert_eq!(window.excerpt(0, 4), None);
        assert_eq!(window.excerpt(4, 9), None);
        assert_eq!(window.excerpt(4, 3), None, "the last before the first");
        let blank: Vec<bool> = (0..7).map(|token| window.is_blank(token)).collect();
        assert_eq!(blank, [true, false, true, false, false, true, true]);
    }

    #[test]
    fn bytes_behind_the_context_are_none_of_it() {
        let window = window("ä", &[Some((0, 2)), Some((2, 3)), Some((7, 9))]);
        assert_eq!(window.excerpt(0, 0).map(|excerpt| excerpt.text), Some("ä"));
        for (start, end) in [(0, 1), (1, 1), (0, 2), (2, 2), (2, 0)] {
            assert_eq!(window.excerpt(start, end), None, "{start} {end}");
        }
        assert_eq!([0, 1, 2].map(|token| window.is_blank(token)), [false; 3]);
    }

    #[test]
    fn a_character_in_pieces_comes_out_whole() {
        let window = window("€", &[Some((0, 1)), Some((1, 2)), Some((2, 3))]);
        for token in 0..3 {
            assert_eq!(window.excerpt(token, token).unwrap().text, "€");
            assert!(!window.is_blank(token));
        }
    }
}
