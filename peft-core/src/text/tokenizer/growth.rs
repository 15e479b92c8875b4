//! How much longer the normalizers of a `tokenizer.json` can make a text.

use std::collections::BTreeMap;

use regex_syntax::hir::{Class, Hir, HirKind};
use serde_json::Value;

/// A step of normalizers that follow each other.
enum Step {
    /// Letters, each of which becomes a text, or as many of them as there are.
    Letters { letters: Letters, content: String },
    /// Anything else: how many times as long it can make a text.
    Other(usize),
}

/// The letters that a pattern finds, at least `least` bytes at a time.
struct Letters {
    ranges: Vec<(char, char)>,
    least: usize,
}

/// How many times as long a normalizer can make a text, in bytes; `longest` is the longest text that a precompiled one
/// writes.
///
/// # Errors
/// Those of `longest`.
pub(super) fn growth(
    normalizer: &Value,
    longest: &impl Fn(&Value) -> Result<usize, String>,
) -> Result<usize, String> {
    let mut steps = Vec::new();
    add(normalizer, longest, &mut steps)?;
    let (mut all, mut letters) = (1, Vec::new());
    for step in steps {
        match step {
            Step::Letters { letters: found, content } => letters.push((found, content)),
            Step::Other(1) if letters.is_empty() => {}
            Step::Other(times) => {
                let before = of_letters(&std::mem::take(&mut letters));
                all = before.saturating_mul(all).saturating_mul(times);
            }
        }
    }
    Ok(of_letters(&letters).saturating_mul(all))
}

fn add(
    normalizer: &Value,
    longest: &impl Fn(&Value) -> Result<usize, String>,
    steps: &mut Vec<Step>,
) -> Result<(), String> {
    match normalizer["type"].as_str() {
        Some("Sequence") => {
            let parts = normalizer["normalizers"].as_array();
            return parts.into_iter().flatten().try_for_each(|part| add(part, longest, steps));
        }
        Some("Precompiled") => steps.push(Step::Other(longest(normalizer)?.max(1))),
        Some("Replace") => steps.push(replace(normalizer)),
        _ => steps.push(Step::Other(1)),
    }
    Ok(())
}

fn replace(normalizer: &Value) -> Step {
    let content = normalizer["content"].as_str().unwrap_or_default();
    let pattern = &normalizer["pattern"];
    let expression = match (pattern["String"].as_str(), pattern["Regex"].as_str()) {
        (Some(text), _) => Some(Hir::literal(text.as_bytes())),
        (None, Some(expression)) => regex_syntax::parse(expression).ok(),
        (None, None) => None,
    };
    // What looks ahead or behind is not parsed.
    let least = expression.as_ref().and_then(|e| e.properties().minimum_len()).unwrap_or(0);
    let ranges = expression.as_ref().filter(|_| least > 0).and_then(letters);
    match (ranges, least) {
        (Some(ranges), _) => {
            Step::Letters { letters: Letters { ranges, least }, content: content.to_owned() }
        }
        // An empty text is found before each letter.
        (None, 0) => Step::Other(content.len() + 1),
        (None, least) => Step::Other(content.len().div_ceil(least).max(1)),
    }
}

/// The letters that an expression finds, if it finds one at a time, or several.
fn letters(expression: &Hir) -> Option<Vec<(char, char)>> {
    match expression.kind() {
        HirKind::Literal(literal) => {
            let mut letters = std::str::from_utf8(&literal.0).ok()?.chars();
            let letter = letters.next().filter(|_| letters.next().is_none())?;
            Some(vec![(letter, letter)])
        }
        HirKind::Class(Class::Unicode(class)) => {
            Some(class.ranges().iter().map(|range| (range.start(), range.end())).collect())
        }
        HirKind::Class(Class::Bytes(class)) => {
            let range = |range: &regex_syntax::hir::ClassBytesRange| {
                (char::from(range.start()), char::from(range.end()))
            };
            class.is_ascii().then(|| class.ranges().iter().map(range).collect())
        }
        HirKind::Capture(capture) => letters(&capture.sub),
        HirKind::Repetition(repetition) => letters(&repetition.sub),
        _ => None,
    }
}

/// The growth of steps that replace letters. They replace each for itself, so that only what a step writes and a later
/// one finds grows by both.
fn of_letters(steps: &[(Letters, String)]) -> usize {
    let written = steps.iter().flat_map(|(_, content)| content.chars());
    // What a letter becomes by the steps from here on, in bytes: from the last step to the first.
    let mut becomes: BTreeMap<char, usize> =
        written.map(|letter| (letter, letter.len_utf8())).collect();
    let mut most = 1;
    for (letters, content) in steps.iter().rev() {
        let total =
            content.chars().fold(0, |total: usize, letter| total.saturating_add(becomes[&letter]));
        most = most.max(total.div_ceil(letters.least));
        for (start, end) in &letters.ranges {
            for (_, bytes) in becomes.range_mut(*start..=*end) {
                *bytes = total.max(*bytes);
            }
        }
    }
    most
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(parts: &[Value]) -> usize {
        let sequence = json!({"type": "Sequence", "normalizers": parts});
        growth(&sequence, &|_| Ok(3)).unwrap()
    }

    fn text(pattern: &str, content: &str) -> Value {
        json!({"type": "Replace", "pattern": {"String": pattern}, "content": content})
    }

    fn expression(pattern: &str, content: &str) -> Value {
        json!({"type": "Replace", "pattern": {"Regex": pattern}, "content": content})
    }

    #[test]
    fn letters_that_are_folded_do_not_lengthen_a_text() {
        // Of Arabic and Persian, with marks and blanks that fall away.
        let folded = [
            ("[إأآٱا]", "ا"),
            ("[يىئ]", "ی"),
            ("(?:ك|ڪ)", "ک"),
            ("([ةۀ])", "ه"),
            ("ؤ", "و"),
            ("[٠۰]", "0"),
            ("(?i)[‘’]", "'"),
            ("[\u{64b}-\u{652}]+", ""),
            ("\u{640}+", ""),
            ("\\s+", " "),
            ("[^\\p{L}\\s]", " "),
        ]
        .map(|(pattern, content)| expression(pattern, content));
        assert_eq!(of(&vec![folded; 20].concat()), 1);
        assert_eq!(of(&vec![expression("[0-9]", "#"); 40]), 1);
        // Digits and points of two bytes in place of one: each of them twice as long, none of them more.
        let written: Vec<Value> = "0123456789,;?%*'\"!:-"
            .chars()
            .zip("۰۱۲۳۴۵۶۷۸۹،؛؟٪٭ʼ«¡։־".chars())
            .map(|(from, to)| text(&from.to_string(), &to.to_string()))
            .collect();
        assert_eq!(of(&written), 2);
        assert_eq!(of(&[&written[..], &[json!({"type": "NFKC"})], &written].concat()), 4);
    }

    #[test]
    fn what_one_step_writes_and_another_finds_grows_by_both() {
        for (part, one, six) in [
            (text("a", "aa"), 2, 64),
            (expression("a", "aa"), 2, 64),
            (expression("[aä]", "aa"), 2, 64),
            (expression("a+", "aa"), 2, 64),
            (expression("a{2}", "aaaa"), 2, 1 << 11),
            (expression("ab", "abab"), 2, 64),
            (text("ab", "abab"), 2, 64),
            (expression("a*", "a"), 2, 64),
            (expression("(?=a)", "a"), 2, 64),
            (expression("^|a", "a"), 2, 64),
            (text("ä", "ää"), 2, 64),
            (text("ä", "aa"), 1, 1),
            (text("", "aa"), 3, 729),
            (json!({"type": "Precompiled"}), 3, 729),
            (json!({"type": "Lowercase"}), 1, 1),
        ] {
            assert_eq!(of(std::slice::from_ref(&part)), one, "{part}");
            assert_eq!(of(&vec![part.clone(); 6]), six, "{part}");
        }
        let chain = [text("a", "bb"), text("b", "cc"), text("c", "dd")];
        assert_eq!(of(&chain), 8);
        let [a, b, c] = chain;
        assert_eq!(of(&[c.clone(), b.clone(), a.clone()]), 2, "none finds what another wrote");
        assert_eq!(of(&[a, json!({"type": "NFC"}), b, c]), 8);
        assert_eq!(of(&vec![text("a", "aa"); 100]), usize::MAX);
    }
}
