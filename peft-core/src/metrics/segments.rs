//! Texts that were produced, each with its references.

use crate::error::{Error, Result};

/// A text that was produced, and texts that would have been right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// What was produced.
    pub prediction: String,
    /// What would have been right: at least one text.
    pub references: Vec<String>,
}

impl Segment {
    /// Creates a segment.
    pub fn new<R: Into<String>>(
        prediction: impl Into<String>,
        references: impl IntoIterator<Item = R>,
    ) -> Self {
        let references = references.into_iter().map(Into::into).collect();
        Self { prediction: prediction.into(), references }
    }

    /// Whether the prediction is one of the references, blanks at the ends aside.
    pub fn is_exact(&self) -> bool {
        self.references.iter().any(|reference| reference.trim() == self.prediction.trim())
    }

    /// The prediction and the references, each turned into `T`.
    pub(super) fn map<T>(&self, make: impl Fn(&str) -> T) -> (T, Vec<T>) {
        (make(&self.prediction), self.references.iter().map(|text| make(text)).collect())
    }
}

/// The fraction of predictions that are one of their references, blanks at the ends aside.
///
/// # Errors
/// [`Error::Mismatch`] if there are no segments, or one has no references.
pub fn exact_matches(segments: &[Segment]) -> Result<f64> {
    check(segments)?;
    let exact = segments.iter().filter(|segment| segment.is_exact()).count();
    Ok(exact as f64 / segments.len() as f64)
}

/// Refuses what no metric of texts is defined for.
pub(super) fn check(segments: &[Segment]) -> Result<()> {
    if segments.is_empty() {
        return Err(Error::Mismatch("there are no predictions to score".to_owned()));
    }
    match segments.iter().position(|segment| segment.references.is_empty()) {
        Some(at) => Err(Error::Mismatch(format!("prediction {} has no references", at + 1))),
        None => Ok(()),
    }
}

/// Whether Python counts a character as a blank. Besides Unicode's, these are the separators from file to unit.
pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// The parts of a text between blanks, as Python's `split()`.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_blank).filter(|word| !word.is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn blanks_at_the_ends_do_not_count() {
        let segments = [Segment::new(" a b ", ["x", "a b"]), Segment::new("A b", ["a b"])];
        assert_eq!(exact_matches(&segments).unwrap(), 0.5);
        assert_eq!(exact_matches(&[Segment::new("", [" "])]).unwrap(), 1.0);
    }

    #[test]
    fn what_cannot_be_scored_is_refused() {
        let refusal = |segments: &[Segment]| exact_matches(segments).unwrap_err().to_string();
        assert_eq!(refusal(&[]), "there are no predictions to score");
        let none: [&str; 0] = [];
        let segments = [Segment::new("a", ["a"]), Segment::new("a", none)];
        assert_eq!(refusal(&segments), "prediction 2 has no references");
    }

    #[test]
    fn words_are_those_of_python() {
        let found: Vec<&str> = words("\u{a0}a\u{1c}b \u{3000}\u{85}c\u{200b}d\n").collect();
        assert_eq!(found, ["a", "b", "c\u{200b}d"]);
    }
}
