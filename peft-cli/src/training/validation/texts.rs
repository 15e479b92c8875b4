//! Rows as texts to show.

use std::path::Path;

use peft_core::{
    data::{Example, IGNORE, Target},
    text::Encoded,
};

use super::file::Sample;
use crate::{model_dir::ModelDir, token_text::TokenText};

/// Characters of a row that are kept, and of what is predicted for it.
const MOST_OF_TEXT: usize = 600;
const MOST_OF_ANSWER: usize = 300;

/// At most so many, at equal distances.
pub fn spread<T>(all: Vec<T>, most: usize) -> Vec<T> {
    let count = all.len();
    let step = count.div_ceil(most.max(1)).max(1);
    all.into_iter().step_by(step).collect()
}

/// The rows of a run as texts.
pub struct RowTexts<'r> {
    rows: &'r Encoded,
    tokens: Option<TokenText<'r>>,
}

impl<'r> RowTexts<'r> {
    /// Those of encoded rows. Rows of token ids stay so, and need no tokenizer.
    pub fn of(rows: &'r Encoded, dir: &'r ModelDir) -> Self {
        let tokenizer = (rows.texts > 0).then(|| dir.tokenizer().ok()).flatten();
        Self { rows, tokens: tokenizer.map(|own| TokenText::new(&own.tokenizer)) }
    }

    /// Tokens as text, else as numbers.
    pub fn text(&self, ids: &[u32]) -> String {
        let text = self.tokens.as_ref().and_then(|tokens| tokens.decode(ids));
        text.unwrap_or_else(|| ids.iter().map(u32::to_string).collect::<Vec<_>>().join(" "))
    }

    /// The words of a row with targets of their own, each from its first token to the next one's.
    pub fn words(&self, example: usize) -> Vec<String> {
        let Example { input_ids, target, .. } = &self.rows.examples[example];
        let Target::Tokens(targets) = target else { return Vec::new() };
        let starts: Vec<usize> =
            (0..targets.len()).filter(|token| targets[*token] != IGNORE).collect();
        let word = |(at, start): (usize, &usize)| {
            let end = starts.get(at + 1).copied().unwrap_or(input_ids.len());
            input_ids.get(*start..end).map_or_else(String::new, |ids| self.text(ids).trim().into())
        };
        starts.iter().enumerate().map(word).collect()
    }

    /// A row to show. Of a context the part around the right answer is kept.
    pub fn sample(
        &self,
        example: usize,
        expected: String,
        predicted: String,
        is_right: Option<bool>,
    ) -> Sample {
        let row = &self.rows.examples[example];
        let text = match &row.window {
            Some(window) => {
                let question = row.input_ids.iter().zip(&window.bytes);
                let question = question.filter(|(_, bytes)| bytes.is_none()).map(|(id, _)| *id);
                let question = self.text(&question.collect::<Vec<_>>());
                let context = &window.passage.context;
                let answer = window.passage.answers.iter().flatten().next();
                let at = answer.and_then(|answer| context.find(answer.as_str())).unwrap_or(0);
                format!("{} {}", question.trim(), around(context, at, MOST_OF_TEXT / 2))
            }
            None => self.text(&row.input_ids),
        };
        let file = self.rows.file_of(example).and_then(Path::file_name);
        Sample {
            file: file.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            line: row.line,
            text: cut(text.trim(), MOST_OF_TEXT),
            expected: cut(&expected, MOST_OF_ANSWER),
            predicted: cut(&predicted, MOST_OF_ANSWER),
            is_right,
        }
    }
}

/// The beginning of a text.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

/// So many characters of a text, about half of them before the byte `at`.
fn around(text: &str, at: usize, most: usize) -> String {
    let before = text.get(..at).map_or(0, |before| before.chars().count());
    let skipped = before.saturating_sub(most / 2);
    let rest: String = text.chars().skip(skipped).collect();
    let begun = if skipped > 0 { "…" } else { "" };
    format!("{begun}{}", cut(&rest, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!((cut("äöü", 2).as_str(), cut("äöü", 3).as_str()), ("äö…", "äöü"));
        assert_eq!(around("0123456789", 6, 4), "…4567…");
        assert_eq!(around("0123", 0, 4), "0123");
        assert_eq!(spread((0..10).collect(), 4), [0, 3, 6, 9]);
        assert_eq!(spread(vec![1], 4), [1]);
    }
}
