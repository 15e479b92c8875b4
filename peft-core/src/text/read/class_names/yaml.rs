//! YAML as JSON: strings for all values, whatever they look like.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser};
use serde_json::{Map, Value};

use crate::guard::guarded;

/// Objects and lists within each other, at most.
const DEPTH: usize = 32;

/// Values at most in a text of so many bytes, and the bytes of their texts, with those of repeated parts counted each
/// time: a few lines may stand for billions.
fn most(bytes: usize) -> usize {
    1000 + 4 * bytes
}

const TOO_LARGE: &str = "found too much in repeated parts";

/// The document `text`. An empty value is the empty string.
///
/// # Errors
/// What is wrong, with the line, counted from 1.
pub(super) fn read(text: &str) -> Result<Value, String> {
    guarded(|| Reader::default().document(text), || "is no YAML that can be read".to_owned())
}

/// An object or a list that is not complete yet.
enum Open {
    List(Vec<Value>),
    /// An object, and the key whose value comes next.
    Object(Map<String, Value>, Option<String>),
}

#[derive(Default)]
struct Reader {
    /// What is open, from the outside in, with the number of its anchor, 0 for none.
    open: Vec<(Open, usize)>,
    /// Parts that may be repeated, with the size of each.
    anchors: BTreeMap<usize, (Value, usize)>,
    /// The values, and bytes of texts, that may still come.
    left: usize,
    whole: Value,
}

impl Reader {
    fn document(mut self, text: &str) -> Result<Value, String> {
        self.left = most(text.len());
        let mut parser = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event
                .map_err(|error| format!("line {}: {}", error.marker().line(), error.info()))?;
            self.event(event).map_err(|what| format!("line {}: {what}", span.start.line()))?;
        }
        Ok(self.whole)
    }

    fn event(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Scalar(text, _, anchor, _) => self.add(Value::String(text.into_owned()), anchor),
            Event::SequenceStart(anchor, _) => self.begin(Open::List(Vec::new()), anchor),
            Event::MappingStart(anchor, _) => self.begin(Open::Object(Map::new(), None), anchor),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some((Open::List(list), anchor)) => self.add(Value::Array(list), anchor),
                Some((Open::Object(object, _), anchor)) => self.add(Value::Object(object), anchor),
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor);
                let (value, size) = known.ok_or("found a repeated part within itself")?;
                // Counted before it is copied.
                self.left = self.left.checked_sub(*size).ok_or(TOO_LARGE)?;
                let value = value.clone();
                self.add(value, 0)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, part: Open, anchor: usize) -> Result<(), String> {
        if self.open.len() == DEPTH {
            return Err(format!("found more than {DEPTH} objects and lists within each other"));
        }
        self.open.push((part, anchor));
        Ok(())
    }

    fn count(&mut self, size: usize) -> Result<(), String> {
        self.left = self.left.checked_sub(size).ok_or(TOO_LARGE)?;
        Ok(())
    }

    /// Adds a value to what is open, or as a key.
    fn add(&mut self, value: Value, anchor: usize) -> Result<(), String> {
        self.count(1)?;
        if anchor > 0 {
            let size = size(&value);
            self.count(size)?;
            self.anchors.insert(anchor, (value.clone(), size));
        }
        match self.open.last_mut() {
            None => self.whole = value,
            Some((Open::List(list), _)) => list.push(value),
            Some((Open::Object(object, key), _)) => match (key.take(), value) {
                (Some(key), value) => {
                    if object.insert(key.clone(), value).is_some() {
                        return Err(format!("found the key `{key}` twice"));
                    }
                }
                (None, Value::String(text)) => *key = Some(text),
                (None, _) => return Err("found a key that is no text".to_owned()),
            },
        }
        Ok(())
    }
}

/// The number of values in a value, and of bytes in its texts.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(size).sum(),
        Value::Object(object) => {
            object.iter().map(|(key, value)| 1 + key.len() + size(value)).sum()
        }
        Value::String(text) => text.len(),
        _ => 0,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn objects_lists_and_texts_are_read() {
        let text = "a:\n- 1\n- 'no'\n- [x, {y: z}]\nb: |\n  two\n  lines\nc:\n'0': no # not a boolean\nd: &p {q: r}\ne: *p\n";
        let expected = json!({"a": ["1", "no", ["x", {"y": "z"}]], "b": "two\nlines\n", "c": "", "0": "no",
            "d": {"q": "r"}, "e": {"q": "r"}});
        assert_eq!(read(text).unwrap(), expected);
        assert_eq!(read("").unwrap(), Value::Null);
    }

    #[test]
    fn what_cannot_be_read_is_placed() {
        for (text, expected) in [
            ("a: 1\nb: [1\nc: 2\n", "line "),
            ("a: 1\na: 2\n", "line 2: found the key `a` twice"),
            ("? [a]\n: 1\n", "line 1: found a key that is no text"),
            ("a: &x [*x]\n", "line 1: found a repeated part within itself"),
            (&"[".repeat(40), "line 1: found more than 32 objects and lists within each other"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
        let mut bombs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..12 {
            let repeated = vec![format!("*a{}", i - 1); 10].join(", ");
            bombs += &format!("a{i}: &a{i} [{repeated}]\n");
        }
        assert!(read(&bombs).unwrap_err().ends_with("found too much in repeated parts"));
        // Few values, each of them long: a text, and a key.
        let long = "x".repeat(10_000);
        for once in [format!("z: &x {long}"), format!("z: &x {{{long}: y}}")] {
            let repeated =
                |count: usize| read(&format!("{once}\na: [{}]\n", ["*x"].repeat(count).join(", ")));
            assert_eq!(repeated(3).unwrap()["a"].as_array().unwrap().len(), 3);
            assert_eq!(repeated(2000).unwrap_err(), "line 2: found too much in repeated parts");
        }
    }
}
