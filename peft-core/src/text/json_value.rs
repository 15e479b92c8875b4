//! JSON values in a stream of bytes: where one ends, and what Python writes into them that is not JSON.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// Finds the end of an object or an array, byte by byte.
#[derive(Debug, Default)]
pub(super) struct Extent {
    /// The brackets that are open.
    open: Vec<u8>,
    in_string: bool,
    escaped: bool,
    /// The last byte outside of strings that is not white space; a quote for a string.
    before: u8,
}

/// What a byte means for the value that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The value goes on.
    On,
    /// The value ends with this byte.
    End,
    /// No JSON value goes on like this.
    Malformed,
}

impl Extent {
    /// Takes the next byte of the value; its first is a bracket.
    pub fn push(&mut self, byte: u8) -> Step {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                // One forgotten quote must not swallow the rest of the file.
                b'\n' => return Step::Malformed,
                _ => {}
            }
            return Step::On;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => {
                // Nor one forgotten bracket: values follow a colon or, in an array, a comma.
                let fits = match self.open.last() {
                    None => true,
                    Some(b'{') => self.before == b':',
                    Some(_) => matches!(self.before, b'[' | b','),
                };
                self.open.push(byte);
                if !fits {
                    return Step::Malformed;
                }
            }
            b'}' | b']' => {
                let fits = self.open.pop() == Some(if byte == b'}' { b'{' } else { b'[' });
                match (fits, self.open.is_empty()) {
                    (false, _) => return Step::Malformed,
                    (true, true) => return Step::End,
                    (true, false) => {}
                }
            }
            _ if byte.is_ascii_whitespace() => return Step::On,
            _ => {}
        }
        self.before = byte;
        Step::On
    }
}

/// The members of a JSON object or the elements of an array: where each value stands in `text`, with the key of
/// a member. Of a text that is not JSON, what can be told.
pub(super) fn parts(text: &str) -> Vec<(Option<String>, std::ops::Range<usize>)> {
    let bytes = text.as_bytes();
    let (mut parts, mut key) = (Vec::new(), None);
    let space = |at: usize| {
        let rest = bytes.get(at..).unwrap_or_default();
        at + rest.iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == b',').count()
    };
    let mut at = space(0) + 1;
    loop {
        at = space(at);
        let Some(&first) = bytes.get(at).filter(|byte| !matches!(byte, b'}' | b']')) else {
            return parts;
        };
        let end = at + length(&bytes[at..], first);
        let next = end + bytes[end..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if first == b'"' && key.is_none() && bytes.get(next) == Some(&b':') {
            key = serde_json::from_str(&text[at..end]).ok();
            at = next + 1;
        } else {
            parts.push((key.take(), at..end));
            at = end.max(at + 1);
        }
    }
}

/// The length of the value that `bytes` begin with.
fn length(bytes: &[u8], first: u8) -> usize {
    match first {
        b'{' | b'[' => {
            let mut extent = Extent::default();
            let end = bytes.iter().position(|&byte| extent.push(byte) != Step::On);
            end.map_or(bytes.len(), |end| end + 1)
        }
        b'"' => {
            let mut escaped = false;
            let end = bytes[1..].iter().position(|&byte| {
                let ends = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                ends
            });
            end.map_or(bytes.len(), |end| end + 2)
        }
        _ => {
            let ends =
                |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b',' | b'}' | b']' | b':');
            bytes.iter().position(ends).unwrap_or(bytes.len())
        }
    }
}

/// Parses a JSON value as Python's `json` writes it: `NaN`, `Infinity` and numbers beyond f64 are read as
/// `null`, half a surrogate pair as U+FFFD, and integers beyond 64 bits, which may be names, as strings of their digits.
///
/// # Errors
/// serde_json's, of the text with these replaced.
pub(super) fn parse(text: &str) -> serde_json::Result<Value> {
    // Nearly all texts need no repair, and it costs a second look at each byte.
    let found = serde_json::from_str(text);
    if found.as_ref().is_ok_and(|value| !has_large_number(value)) {
        return found;
    }
    match repaired(text) {
        Cow::Borrowed(_) => found,
        Cow::Owned(text) => serde_json::from_str(&text),
    }
}

/// Whether a value has a number that 64 bits cannot hold as an integer.
fn has_large_number(value: &Value) -> bool {
    /// 2^63.
    const LARGE: f64 = 9_223_372_036_854_775_808.0;
    match value {
        Value::Number(number) => {
            number.is_f64() && number.as_f64().is_some_and(|number| number.abs() >= LARGE)
        }
        Value::Array(values) => values.iter().any(has_large_number),
        Value::Object(members) => members.values().any(has_large_number),
        _ => false,
    }
}

/// The numbers of an object as `text`, from which [`parse`] read `fields`, writes them, by name, where their values do not
/// say that. Of objects in it, an object; of lists, a list with `null` for each element that says it.
pub(super) fn numbers_as_written(text: &str, fields: &Map<String, Value>) -> Map<String, Value> {
    let mut found = Map::new();
    // Most rows have none, and it costs a second look at each byte.
    if !fields.values().any(may_be_written_otherwise) {
        return found;
    }
    for (name, at) in parts(text) {
        let Some(name) = name else { continue };
        let Some(value) = fields.get(&name) else { continue };
        // Of a name that stands twice, the last counts.
        match number_as_written(&text[at], value) {
            Value::Null => _ = found.remove(&name),
            own => _ = found.insert(name, own),
        }
    }
    found
}

/// The same of one value; `null` where it says all.
fn number_as_written(written: &str, value: &Value) -> Value {
    match value {
        Value::Object(members) => or_null(numbers_as_written(written, members)),
        Value::Array(values) if may_be_written_otherwise(value) => {
            let parts = parts(written);
            match parts.len() == values.len() {
                true => {
                    let of_each = parts.into_iter().zip(values);
                    list_or_null(
                        of_each.map(|((_, at), value)| number_as_written(&written[at], value)),
                    )
                }
                false => Value::Null,
            }
        }
        value if is_written_otherwise(written, value) => written.into(),
        _ => Value::Null,
    }
}

fn or_null(members: Map<String, Value>) -> Value {
    if members.is_empty() { Value::Null } else { members.into() }
}

fn list_or_null(elements: impl Iterator<Item = Value>) -> Value {
    let elements: Vec<Value> = elements.collect();
    if elements.iter().all(Value::is_null) { Value::Null } else { elements.into() }
}

/// Those of [`numbers_as_written`] that fields still have.
pub(super) fn still_there(
    numbers: &Map<String, Value>,
    fields: &Map<String, Value>,
) -> Map<String, Value> {
    let still = |(name, number): (&String, &Value)| {
        let number = number_still_there(number, fields.get(name)?);
        (!number.is_null()).then(|| (name.clone(), number))
    };
    numbers.iter().filter_map(still).collect()
}

/// The same of one value; `null` where it is another.
fn number_still_there(number: &Value, value: &Value) -> Value {
    match (number, value) {
        (Value::Object(members), Value::Object(own)) => or_null(still_there(members, own)),
        (Value::Array(numbers), Value::Array(own)) if numbers.len() == own.len() => {
            let of_each = numbers.iter().zip(own);
            list_or_null(of_each.map(|(number, value)| number_still_there(number, value)))
        }
        (Value::String(written), value) if is_written_otherwise(written, value) => number.clone(),
        _ => Value::Null,
    }
}

fn may_be_written_otherwise(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::String(text) => is_large_integer(text),
        Value::Array(values) => values.iter().any(may_be_written_otherwise),
        Value::Object(members) => members.values().any(may_be_written_otherwise),
        _ => false,
    }
}

/// Whether a JSON number says the same as a value that is written otherwise.
fn is_written_otherwise(written: &str, value: &Value) -> bool {
    match value {
        Value::Number(number) => {
            let same = written.parse::<f64>().is_ok_and(|read| Some(read) == number.as_f64());
            number.is_f64() && same && number.to_string() != written
        }
        Value::String(text) => is_large_integer(written) && text == written,
        _ => false,
    }
}

/// Whether a number is an integer that 64 bits cannot hold.
fn is_large_integer(number: &str) -> bool {
    let digits = number.strip_prefix('-').unwrap_or(number);
    digits.bytes().all(|byte| byte.is_ascii_digit())
        && !digits.is_empty()
        && !digits.starts_with('0')
        && number.parse::<i64>().is_err()
        && number.parse::<u64>().is_err()
}

/// `text` with what [`parse`] replaces replaced; of equal lines.
pub(super) fn repaired(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let (mut made, mut copied, mut at) = (String::new(), 0, 0);
    while at < bytes.len() {
        let (length, replacement) = match bytes[at] {
            b'"' => {
                let end = at + length(&bytes[at..], b'"');
                surrogates(text, at..end, &mut made, &mut copied);
                (end - at, None)
            }
            b'N' | b'I' | b'-' | b'0'..=b'9' => {
                let length = length(&bytes[at..], b'0');
                let word = &text[at..at + length];
                let beyond = word.parse::<f64>().is_ok_and(f64::is_infinite)
                    && word.starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
                let name = matches!(word, "NaN" | "Infinity" | "-Infinity" | "-NaN");
                let replacement = match is_large_integer(word) {
                    true => Some(format!("\"{word}\"")),
                    false => (name || beyond).then(|| "null".to_owned()),
                };
                (length, replacement)
            }
            _ => (1, None),
        };
        if let Some(replacement) = replacement {
            made.push_str(&text[copied..at]);
            made.push_str(&replacement);
            copied = at + length;
        }
        at += length.max(1);
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    made.push_str(&text[copied..]);
    Cow::Owned(made)
}

/// Replaces the escapes of lone surrogates in the string at `range`.
fn surrogates(text: &str, range: std::ops::Range<usize>, made: &mut String, copied: &mut usize) {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6).filter(|_| at + 6 <= range.end)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut at = range.start;
    while at < range.end {
        if text.as_bytes()[at] != b'\\' {
            at += 1;
            continue;
        }
        let (first, second) = (unit(at), unit(at + 6));
        at += match (first, second) {
            (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => 12,
            (Some(0xd800..0xe000), _) => {
                made.push_str(&text[*copied..at]);
                made.push_str("\\ufffd");
                *copied = at + 6;
                6
            }
            // Also past an escaped backslash, so that it begins nothing.
            _ => 2,
        };
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn end(text: &str) -> (usize, Step) {
        let mut extent = Extent::default();
        for (at, byte) in text.bytes().enumerate() {
            match extent.push(byte) {
                Step::On => {}
                step => return (at + 1, step),
            }
        }
        (text.len(), Step::On)
    }

    #[test]
    fn values_end_where_their_brackets_close() {
        assert_eq!(end("{\"a}\\\"\": [1, {}]} x"), (17, Step::End));
        assert_eq!(end("[[], [1, [2]]]"), (14, Step::End));
        assert_eq!(end("{\"a\": 1"), (7, Step::On));
        for malformed in
            ["{\"a\": 1\n{", "{\"a\": 1,\n{", "{\"a\": [1, 2\n{", "{\"a\": \"b\n", "{]", "[}"]
        {
            assert_eq!(end(malformed), (malformed.len(), Step::Malformed), "{malformed}");
        }
    }

    #[test]
    fn parts_are_placed() {
        let text = " {\"a\" : [1, \"x]\"], \"b\":\"c:\" , \"d\\n\":-1.5e3}";
        let found = parts(text);
        let shown: Vec<_> =
            found.iter().map(|(key, at)| (key.as_deref().unwrap(), &text[at.clone()])).collect();
        assert_eq!(shown, [("a", "[1, \"x]\"]"), ("b", "\"c:\""), ("d\n", "-1.5e3")]);
        let found = parts("[1, {\"a\": 2}, \"b\"]");
        assert_eq!(
            found.iter().map(|(_, at)| at.clone()).collect::<Vec<_>>(),
            [1..2, 4..12, 14..17]
        );
        for broken in ["", "{", "{\"", "{\"a", "{\"a\":", "[}", "{:", "]"] {
            let _ = parts(broken);
        }
    }

    #[test]
    fn what_python_writes_is_read() {
        let text = r#"{"a": NaN, "b": [-Infinity, Infinity], "c": "NaN \ud83d", "d": "\ud83d\ude00",
            "e": "\\ud83d", "f": "\ude00\ud83d", "g": 123456789012345678901234567890, "h": 1e999, "i": 1}"#;
        assert_eq!(
            parse(text).unwrap(),
            json!({"a": null, "b": [null, null], "c": "NaN \u{fffd}", "d": "😀", "e": "\\ud83d",
                "f": "\u{fffd}\u{fffd}", "g": "123456789012345678901234567890", "h": null, "i": 1})
        );
        let text = r#"{"a": [12345678901234567890123, {"b": -9223372036854775809}], "c": 18446744073709551615}"#;
        let digits =
            json!({"a": ["12345678901234567890123", {"b": "-9223372036854775809"}], "c": u64::MAX});
        assert_eq!(parse(text).unwrap(), digits);
        let numbers = "[1e30, -9223372036854775808, 18446744073709551616.5]";
        assert_eq!(parse(numbers).unwrap(), serde_json::from_str::<Value>(numbers).unwrap());
        assert_eq!(repaired("{\"a\": [1, \"\\n\", -2.5e-3]}"), "{\"a\": [1, \"\\n\", -2.5e-3]}");
        for broken in ["{\"a\": nan}", "{\"a\": NaNs}", "{\"a\": \"\\ud83\"}", "{\"a\": \"\\ud83d"]
        {
            assert!(parse(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn numbers_are_kept_as_they_are_written() {
        let of = |text: &str| {
            let Value::Object(fields) = parse(text).unwrap() else { panic!("{text}") };
            let found = numbers_as_written(text, &fields);
            assert_eq!(still_there(&found, &fields), found);
            assert!(still_there(&found, &Map::new()).is_empty());
            Value::Object(found)
        };
        let text = r#" {"a": 1.0, "b": 1.50, "c": -1E+2, "d": 12345678901234567890123, "e": "12345678901234567890123",
            "f": {"g": 0.10, "h": 2, "i": {"j": 0.5}}, "k": [1.10], "l": 7, "m": "1.10", "n": 1e999, "\u00e9": 2.0e0, "o": -0,
            "p": [1, "2.50, ]", [], [0.5, -2.50], {"q": [3e0, null], "r": 4}, 12345678901234567890123], "s": [0.5, [1]]}"#;
        let expected = json!({"b": "1.50", "c": "-1E+2", "d": "12345678901234567890123", "f": {"g": "0.10"}, "k": ["1.10"],
            "é": "2.0e0", "o": "-0",
            "p": [null, null, null, [null, "-2.50"], {"q": ["3e0", null]}, "12345678901234567890123"]});
        assert_eq!(of(text), expected);
        assert_eq!(of("{\"a\": 1.10, \"a\": 1.5}"), json!({}));
        assert_eq!(of("{\"a\": 1.5, \"a\": 1.10}"), json!({"a": "1.10"}));
    }

    proptest! {
        /// Whatever serde_json writes ends where it ends, is parsed as it, and its parts are found.
        #[test]
        fn json_is_left_alone(
            words in prop::collection::vec("[a{}\\[\\]:,\"\\\\\n😀N-]{0,5}", 0..4), number: f64
        ) {
            let value = json!({"x": words, "y": {"z": [number, words.len()]}, "w": words});
            for text in [serde_json::to_string(&value).unwrap(), serde_json::to_string_pretty(&value).unwrap()] {
                prop_assert_eq!(end(&text), (text.len(), Step::End));
                prop_assert_eq!(&parse(&text).unwrap(), &value);
                prop_assert_eq!(repaired(&text), text.clone());
                for (key, at) in parts(&text) {
                    prop_assert_eq!(&parse(&text[at]).unwrap(), &value[key.unwrap()]);
                }
            }
        }

        /// No text makes the scanners panic.
        #[test]
        fn any_text_is_scanned(text in "[\\[{\"\\\\ud8dN:,\n}\\]é0-]{0,40}") {
            let _ = (end(&text), parts(&text), repaired(&text), parse(&text));
        }
    }
}
