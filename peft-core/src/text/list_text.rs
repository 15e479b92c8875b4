//! Lists that a table holds as text: JSON's, and Python's, as pandas writes a column of lists.

use std::{iter::Peekable, str::Chars};

use serde_json::Value;

use super::json_value::parse;

/// The list that a text is: JSON's (`["a", "b"]`), or one of strings, numbers, booleans and `None` as Python writes it
/// (`['a', "b's"]`). Integers of more than 64 bits are strings of their digits. `None` for any other text.
pub fn list_in_text(text: &str) -> Option<Vec<Value>> {
    let text = text.trim();
    if !text.starts_with('[') {
        return None;
    }
    match parse(text) {
        Ok(Value::Array(items)) => Some(items),
        _ => python_list(text),
    }
}

/// Whether a text is a list of strings as NumPy writes it, without commas: `['a' 'b']`. It is not read: long ones are cut.
pub fn is_numpy_list(text: &str) -> bool {
    let inner = text.trim().strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let quotes = ['\'', '"'];
    inner.map(str::trim).is_some_and(|inner| {
        inner.len() > 1 && inner.starts_with(quotes) && inner.ends_with(quotes)
    })
}

fn python_list(text: &str) -> Option<Vec<Value>> {
    let mut rest = text.strip_prefix('[')?.chars().peekable();
    let mut items = Vec::new();
    loop {
        blanks(&mut rest);
        // Also behind a comma, which Python allows.
        if rest.next_if_eq(&']').is_some() {
            break;
        }
        items.push(item(&mut rest)?);
        blanks(&mut rest);
        match rest.next()? {
            ',' => {}
            ']' => break,
            _ => return None,
        }
    }
    rest.next().is_none().then_some(items)
}

fn blanks(rest: &mut Peekable<Chars<'_>>) {
    while rest.next_if(|c| c.is_whitespace()).is_some() {}
}

fn item(rest: &mut Peekable<Chars<'_>>) -> Option<Value> {
    if let Some(quote) = rest.next_if(|c| ['\'', '"'].contains(c)) {
        return string(rest, quote).map(Value::from);
    }
    let mut word = String::new();
    while let Some(c) = rest.next_if(|c| ![',', ']'].contains(c) && !c.is_whitespace()) {
        word.push(c);
    }
    match &*word {
        "True" => Some(true.into()),
        "False" => Some(false.into()),
        "None" | "nan" => Some(Value::Null),
        // No word is a string but the digits of a number that 64 bits do not hold.
        number => {
            parse(number).ok().filter(|value| matches!(value, Value::Number(_) | Value::String(_)))
        }
    }
}

/// The rest of a string, with the escapes that Python's `repr` writes.
fn string(rest: &mut Peekable<Chars<'_>>, quote: char) -> Option<String> {
    let mut text = String::new();
    loop {
        match rest.next()? {
            '\\' => text.push(match rest.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'x' => code(rest, 2)?,
                'u' => code(rest, 4)?,
                'U' => code(rest, 8)?,
                c @ ('\\' | '\'' | '"') => c,
                _ => return None,
            }),
            c if c == quote => return Some(text),
            c => text.push(c),
        }
    }
}

/// The character of a hexadecimal number of `digits` digits.
fn code(rest: &mut Peekable<Chars<'_>>, digits: usize) -> Option<char> {
    let mut number = 0;
    for _ in 0..digits {
        number = number * 16 + rest.next()?.to_digit(16)?;
    }
    char::from_u32(number)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_of_json_and_of_python_are_read() {
        for (text, list) in [
            ("[\"a\", \"b\"]", json!(["a", "b"])),
            (" ['x', 'y'] ", json!(["x", "y"])),
            (
                r#"["it's", 'b"c', 'd\'"', 'a\\b\n\xe9\u20ac\U0001f600']"#,
                json!(["it's", "b\"c", "d'\"", "a\\b\né€😀"]),
            ),
            ("['a, b]',]", json!(["a, b]"])),
            ("[ ]", json!([])),
            ("[1, -2.5, True, False, None]", json!([1, -2.5, true, false, null])),
        ] {
            assert_eq!(list_in_text(text).map(Value::from), Some(list), "{text}");
        }
        for text in [
            "",
            "[",
            "[sic]",
            "['a'",
            "['a' 'b']",
            "['a'] b",
            "[[1], ['a']]",
            "['a\\",
            "['\\u12']",
            "[a, b]",
            "('a',)",
        ] {
            assert_eq!(list_in_text(text), None, "{text}");
        }
    }

    #[test]
    fn integers_of_more_than_64_bits_keep_their_digits() {
        for (text, list) in [
            ("[12345678901234567890123, 1]", json!(["12345678901234567890123", 1])),
            ("['a', -9223372036854775809,]", json!(["a", "-9223372036854775809"])),
            ("[18446744073709551615, None]", json!([u64::MAX, null])),
            ("[1e30, None]", json!([1e30, null])),
        ] {
            assert_eq!(list_in_text(text).map(Value::from), Some(list), "{text}");
        }
        for text in ["[{}, 'a']", "[1e999, 'a']", "[null, 'a']"] {
            assert_eq!(list_in_text(text), None, "{text}");
        }
    }

    #[test]
    fn lists_of_numpy_are_told() {
        assert!(is_numpy_list("['a' 'b']") && is_numpy_list(" [\"a's\"\n 'b'] "));
        for text in ["[sic]", "['a' or b]", "[']", "'a'", "[1 2]"] {
            assert!(!is_numpy_list(text), "{text}");
        }
    }
}
