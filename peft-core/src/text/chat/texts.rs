//! What Python's methods make of a text.

use minijinja::{Error, Value};

use super::{
    characters::{is_cased, titled},
    memory,
};

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

/// The characters of a text with what each becomes in small letters: a sigma at the end of a word is another one.
fn lowered(text: &str) -> impl Iterator<Item = (char, Vec<char>)> {
    let made: Vec<char> = text.to_lowercase().chars().collect();
    let mut at = 0;
    text.chars().map(move |letter| {
        let count = letter.to_lowercase().count();
        let lower = made.get(at..at + count).unwrap_or_default().to_vec();
        at += count;
        (letter, lower)
    })
}

/// `text.title()`.
pub(super) fn title(text: &str) -> String {
    let mut inside = false;
    let cased = lowered(text).flat_map(|(letter, lower)| {
        let cased = if inside { lower } else { titled(letter) };
        inside = is_cased(letter);
        cased
    });
    cased.collect()
}

/// `text.capitalize()`.
pub(super) fn capitalize(text: &str) -> String {
    let cased = lowered(text).enumerate();
    cased.flat_map(|(at, (letter, lower))| if at == 0 { titled(letter) } else { lower }).collect()
}

/// `text.swapcase()`.
pub(super) fn swapped(text: &str) -> String {
    let swapped = lowered(text).flat_map(|(letter, lower)| match letter.is_uppercase() {
        true => lower,
        false if letter.is_lowercase() => letter.to_uppercase().collect(),
        false => vec![letter],
    });
    swapped.collect()
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

/// Whether a text has letters of a case, and none of another.
pub(super) fn cased(text: &str, is: fn(char) -> bool) -> bool {
    text.chars().any(is) && text.chars().all(|letter| is(letter) || !is_cased(letter))
}
