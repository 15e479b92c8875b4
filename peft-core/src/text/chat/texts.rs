//! What Python's methods make of a text.

use minijinja::{Error, Value};

use super::memory;

/// Whether Python counts a character as white space.
pub(super) fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}

/// `text.strip(chars)`, on the sides asked for.
pub(super) fn strip<'t>(text: &'t str, chars: Option<&str>, start: bool, end: bool) -> &'t str {
    let stripped = |letter: char| match chars {
        Some(chars) => chars.contains(letter),
        None => is_space(letter),
    };
    let text = if start { text.trim_start_matches(stripped) } else { text };
    if end { text.trim_end_matches(stripped) } else { text }
}

/// A character as the first of a word.
pub(super) fn titled(letter: char) -> Vec<char> {
    // The letters that are two, whose first alone is written large.
    const PAIRS: [(&str, char); 4] = [("Ǆǅǆ", 'ǅ'), ("Ǉǈǉ", 'ǈ'), ("Ǌǋǌ", 'ǋ'), ("Ǳǲǳ", 'ǲ')];
    if let Some((_, title)) = PAIRS.iter().find(|(letters, _)| letters.contains(letter)) {
        return vec![*title];
    }
    let mut upper = letter.to_uppercase();
    upper.next().into_iter().chain(upper.flat_map(char::to_lowercase)).collect()
}

/// `text.title()`.
pub(super) fn title(text: &str) -> String {
    let mut inside = false;
    text.chars()
        .flat_map(|letter| {
            let cased = if inside { letter.to_lowercase().collect() } else { titled(letter) };
            inside = letter.is_lowercase() || letter.is_uppercase() || cased != [letter];
            cased
        })
        .collect()
}

/// `text.capitalize()`.
pub(super) fn capitalize(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(titled);
    first.chain(letters.as_str().to_lowercase().chars()).collect()
}

/// `text.replace(old, new, count)`; a negative count is none.
///
/// # Errors
/// A text that is too long.
pub(super) fn replace(
    text: &str,
    old: &str,
    new: &str,
    count: Option<i64>,
) -> Result<Value, Error> {
    let count = count.and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
    let found = match old {
        "" => text.chars().count() + 1,
        old => text.matches(old).count(),
    };
    memory::text(text.len().saturating_add(found.min(count).saturating_mul(new.len())))?;
    Ok(Value::from(text.replacen(old, new, count)))
}

/// `text.splitlines(keepends)`.
pub(super) fn lines(text: &str, keep_ends: bool) -> Vec<&str> {
    const ENDS: [char; 10] = [
        '\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}',
        '\u{2029}',
    ];
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find(ENDS) {
        let end = if rest[at..].starts_with("\r\n") {
            2
        } else {
            rest[at..].chars().next().map_or(1, char::len_utf8)
        };
        found.push(&rest[..at + if keep_ends { end } else { 0 }]);
        rest = &rest[at + end..];
    }
    if !rest.is_empty() {
        found.push(rest);
    }
    found
}

/// `text.split(separator, limit)`.
pub(super) fn split<'t>(
    text: &'t str,
    separator: Option<&str>,
    limit: Option<usize>,
) -> Vec<&'t str> {
    match (separator, limit) {
        (Some(separator), Some(limit)) => text.splitn(limit + 1, separator).collect(),
        (Some(separator), None) => text.split(separator).collect(),
        (None, limit) => {
            let (mut parts, mut rest) = (Vec::new(), text.trim_start_matches(is_space));
            while !rest.is_empty() {
                let end = match limit {
                    Some(limit) if parts.len() == limit => rest.len(),
                    _ => rest.find(is_space).unwrap_or(rest.len()),
                };
                parts.push(&rest[..end]);
                rest = rest[end..].trim_start_matches(is_space);
            }
            parts
        }
    }
}

/// `text.rsplit(separator, limit)`.
pub(super) fn rsplit<'t>(
    text: &'t str,
    separator: Option<&str>,
    limit: Option<usize>,
) -> Vec<&'t str> {
    let Some(limit) = limit else { return split(text, separator, None) };
    let mut parts: Vec<&str> = match separator {
        Some(separator) => text.rsplitn(limit + 1, separator).collect(),
        None => {
            let (mut parts, mut rest) = (Vec::new(), text.trim_end_matches(is_space));
            while !rest.is_empty() {
                let space = rest.char_indices().rfind(|(_, letter)| is_space(*letter));
                let start = match space {
                    Some((at, letter)) if parts.len() < limit => at + letter.len_utf8(),
                    _ => 0,
                };
                parts.push(&rest[start..]);
                rest = rest[..start].trim_end_matches(is_space);
            }
            parts
        }
    };
    parts.reverse();
    parts
}

/// A text with the characters of HTML escaped, as markupsafe writes them.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(letter),
        }
    }
    escaped
}

/// Whether a text has letters of a case, and none of the other.
pub(super) fn cased(text: &str, is: fn(char) -> bool, other: fn(char) -> bool) -> bool {
    text.chars().any(is) && !text.chars().any(other)
}
