//! Texts, or pairs of them, and their class.

use super::search::Search;
use crate::{error::Result, text::fields::Role};

/// Two texts that are classified together.
const PAIRS: &[(&str, &str)] = &[
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("question", "passage"),
    ("text1", "text2"),
    ("#1_string", "#2_string"),
];
/// One text to classify.
const TEXTS: &[&str] = &["sentence", "content", "review", "comment_text", "tweet"];
const LABELS: &[&str] = &[
    "labels",
    "gold_label",
    "class",
    "class_index",
    "category",
    "intent",
    "sentiment",
    "is_duplicate",
    "quality",
    "score",
];

impl Search<'_> {
    /// A text, or two, and their class.
    pub(super) fn classified(&mut self) -> Result<()> {
        let given_pair = self.named(Role::TextPair)?;
        if self.wanted.source_template {
            self.take(Role::TextPair, given_pair);
        } else if let Some(text) = self.own(Role::Text)? {
            self.more |= self.named(Role::Text)?.is_none()
                && self.fitting_pairs(PAIRS).len() + self.of_names(TEXTS).len() > 0;
            let pair = given_pair.or_else(|| self.spelled(Role::TextPair.name()));
            self.take(Role::Text, Some(text));
            self.take(Role::TextPair, pair);
        } else {
            let pairs = self.fitting_pairs(PAIRS);
            let in_pair = |name: &String| pairs.iter().any(|(a, b)| a == name || b == name);
            let mut alone = self.of_names(TEXTS);
            alone.retain(|name| !in_pair(name) && Some(name) != given_pair.as_ref());
            let pairs: Vec<_> = pairs.iter().filter(|_| given_pair.is_none()).collect();
            match (pairs.as_slice(), alone.as_slice()) {
                ([(text, pair)], []) => {
                    self.take(Role::Text, Some(text.clone()));
                    self.take(Role::TextPair, Some(pair.clone()));
                }
                ([], [text]) => {
                    self.take(Role::Text, Some(text.clone()));
                    self.take(Role::TextPair, given_pair);
                }
                ([], []) => {
                    let usual = [&["text", "sentence1 with sentence2"], TEXTS].concat();
                    return Err(self.none(Role::Text, &usual));
                }
                _ => {
                    let of_pairs = pairs.iter().map(|(a, b)| format!("{a} with {b}"));
                    return Err(
                        self.several(Role::Text, &of_pairs.chain(alone).collect::<Vec<_>>())
                    );
                }
            }
        }
        if self.wanted.targets {
            let label = self.required(Role::Label, LABELS)?;
            self.take(Role::Label, Some(label));
        }
        Ok(())
    }
}
