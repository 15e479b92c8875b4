//! The tokens of NIST's script mteval-v13a.pl: the default of sacrebleu, and those of E2E's measurements.

use super::segments::words;

/// Splits a text as mteval-v13a does: ASCII punctuation stands alone, but for apostrophes, hyphens that follow no digit,
/// and full stops and commas between digits. Four entities of SGML are read. The case stays.
///
/// # Examples
///
/// ```
/// use peft_core::metrics::mteval_tokens;
///
/// assert_eq!(mteval_tokens("It's £1,000.5 (or so)."), ["It's", "£1,000.5", "(", "or", "so", ")", "."]);
/// ```
pub fn mteval_tokens(text: &str) -> Vec<String> {
    let mut text = text.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    for (entity, c) in [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")] {
        text = text.replace(entity, c);
    }
    let mut spread = vec![' '];
    for c in text.chars() {
        match is_punctuation(c) {
            true => spread.extend([' ', c, ' ']),
            false => spread.push(c),
        }
    }
    spread.push(' ');
    let is_point = |c: char| matches!(c, '.' | ',');
    let is_digit = |c: char| c.is_ascii_digit();
    let spread = pairs(&spread, |a, b| !is_digit(a) && is_point(b), |a, b| [a, ' ', b, ' ']);
    let spread = pairs(&spread, |a, b| is_point(a) && !is_digit(b), |a, b| [' ', a, ' ', b]);
    let spread = pairs(&spread, |a, b| is_digit(a) && b == '-', |a, b| [a, ' ', b, ' ']);
    let spread: String = spread.into_iter().collect();
    words(&spread).map(str::to_owned).collect()
}

/// ASCII punctuation but for the apostrophe, comma, hyphen and full stop.
fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation() && !matches!(c, '\'' | ',' | '-' | '.')
}

/// Replaces pairs of neighbours from left to right; those of one pair belong to no other.
fn pairs(
    text: &[char],
    is_one: impl Fn(char, char) -> bool,
    replaced: impl Fn(char, char) -> [char; 4],
) -> Vec<char> {
    let mut out = Vec::with_capacity(2 * text.len());
    let mut at = 0;
    while at < text.len() {
        match text.get(at + 1) {
            Some(next) if is_one(text[at], *next) => {
                out.extend(replaced(text[at], *next));
                at += 2;
            }
            _ => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_and_hyphens_stay_in_numbers_and_words() {
        let of = |text: &str| mteval_tokens(text).join(" ");
        assert_eq!(
            of("a-b 1-2 -3 3.14 1,5, x.y ...end"),
            "a-b 1 - 2 -3 3.14 1,5 , x . y . . . end"
        );
        assert_eq!(of("&quot;R&amp;B&quot; &lt;x&gt; &amp;lt;"), "\" R & B \" < x > <");
        assert_eq!(of("hyphen-\nated\nline <skipped>"), "hyphenated line");
        assert_eq!(of("café’s – é. \u{a0}"), "café’s – é .");
        assert_eq!(of(""), "");
    }
}
