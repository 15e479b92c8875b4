//! YAML as JSON: strings for all values, whatever they look like.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser};
use serde_json::{Map, Value};

use crate::text::guard::guarded;

/// Objects and lists within each other, at most.
const DEPTH: usize = 32;

/// Values at most in a text of so many bytes, with those of repeated parts counted each time: a few lines may stand
/// for billions.
fn most_values(bytes: usize) -> usize {
    1000 + 4 * bytes
}

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
    /// Parts that may be repeated, with the number of values in each.
    anchors: BTreeMap<usize, (Value, usize)>,
    /// The values that may still come.
    left: usize,
    whole: Value,
}

impl Reader {
    fn document(mut self, text: &str) -> Result<Value, String> {
        self.left = most_values(text.len());
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
                let (value, values) =
                    known.cloned().ok_or("found a repeated part within itself")?;
                self.count(values)?;
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

    fn count(&mut self, values: usize) -> Result<(), String> {
        self.left =
            self.left.checked_sub(values).ok_or("found too many values in repeated parts")?;
        Ok(())
    }

    /// Adds a value to what is open, or as a key.
    fn add(&mut self, value: Value, anchor: usize) -> Result<(), String> {
        self.count(1)?;
        if anchor > 0 {
            let values = size(&value);
            self.count(values)?;
            self.anchors.insert(anchor, (value.clone(), values));
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

/// The number of values in a value.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(size).sum(),
        Value::Object(object) => object.values().map(size).sum(),
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
        assert!(read(&bombs).unwrap_err().ends_with("found too many values in repeated parts"));
    }
}
