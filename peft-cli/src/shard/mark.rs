//! Which row a line of a part is of.
//!
//! ```text
//! {"shard":{"part":"2/4","row":26,"rows":100,"run":"6f1c0a9be2d47735"},"label":"x", ...}
//! {"label":"x", ...}                                                   the same line of the whole
//! ```

use serde::{Deserialize, Serialize};
use serde_json::{Deserializer, Map, Value};

use super::part::Shard;
use crate::predictions;

/// The first field of a line, which the whole does not have.
const FIELD: &str = "shard";

/// Which row a line is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The part that made it.
    pub part: Shard,
    /// The row among all, counted from 1.
    pub row: usize,
    /// The number of all.
    pub rows: usize,
    /// What tells the parts of one run from those of another.
    pub run: String,
}

/// Why a line has no mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoMark {
    /// It is no JSON, as where it was cut.
    NotJson,
    /// It is JSON, but no object.
    NotObject,
    /// It is an object without a mark, such as a line of a whole.
    Unmarked,
    /// It has one, but not in front or not as it is written here: another program wrote the line anew.
    Rewritten,
}

impl Mark {
    /// Whether a row, as a file holds it, is that of a part.
    pub fn is_in(fields: &Map<String, Value>) -> bool {
        fields.get(FIELD).is_some_and(|value| Self::deserialize(value).is_ok())
    }

    /// A line of the whole, with its mark in front; with the end of the line.
    pub fn line(&self, fields: Map<String, Value>) -> String {
        let record = predictions::json(fields);
        let fields = record.trim_start_matches('{');
        let comma = if fields == "}" { "" } else { "," };
        let Self { part, row, rows, run } = self;
        let run = Value::from(run.as_str());
        format!(
            "{{\"{FIELD}\":{{\"part\":\"{part}\",\"row\":{row},\"rows\":{rows},\"run\":{run}}}{comma}{fields}\n"
        )
    }

    /// The mark of a line, which has no end, and the line of the whole: every byte behind the mark stays.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub fn split(line: &str) -> Result<(Self, String), NoMark> {
        let value: Value = serde_json::from_str(line).map_err(|_| NoMark::NotJson)?;
        let fields = value.as_object().ok_or(NoMark::NotObject)?;
        if !fields.contains_key(FIELD) {
            return Err(NoMark::Unmarked);
        }
        marked(line).ok_or(NoMark::Rewritten)
    }
}

/// What stands behind a text, and blanks.
fn behind<'t>(text: &'t str, before: &str) -> Option<&'t str> {
    text.trim_start().strip_prefix(before)
}

fn marked(line: &str) -> Option<(Mark, String)> {
    let name = behind(behind(line, "{")?, &format!("\"{FIELD}\""))?;
    let value = behind(name, ":")?;
    let mut values = Deserializer::from_str(value).into_iter::<Mark>();
    let mark = values.next()?.ok().filter(|mark| 1 <= mark.row && mark.row <= mark.rows)?;
    let rest = &value[values.byte_offset()..];
    let fields = match behind(rest, ",") {
        Some(fields) => fields.trim_start(),
        None => behind(rest, "}").map(|_| "}")?,
    };
    Some((mark, format!("{{{fields}")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const PART: Shard = Shard { index: 2, of: 4 };

    fn mark() -> Mark {
        Mark { part: PART, row: 26, rows: 100, run: "6f1c".into() }
    }

    fn fields(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn a_mark_stands_in_front() {
        let line = mark().line(fields(json!({"a": 1, "label": "x"})));
        let expected = "{\"shard\":{\"part\":\"2/4\",\"row\":26,\"rows\":100,\"run\":\"6f1c\"},\"a\":1,\"label\":\"x\"}\n";
        assert_eq!(line, expected);
        let row = |line: &str| fields(serde_json::from_str(line).unwrap());
        assert!(Mark::is_in(&row(&line)) && !Mark::is_in(&fields(json!({"shard": 2, "a": 1}))));
        let empty = mark().line(Map::new());
        assert_eq!(Mark::split(empty.trim_end()).unwrap(), (mark(), "{}".to_string()));
        // As Python's json writes it.
        let spaced = "{\"shard\": {\"part\": \"2/4\", \"row\": 26, \"rows\": 100, \"run\": \"6f1c\"}, \"b\": [1,  2]}";
        assert_eq!(Mark::split(spaced).unwrap(), (mark(), "{\"b\": [1,  2]}".to_string()));
    }

    #[test]
    fn lines_without_a_mark_are_told_apart() {
        for (line, reason) in [
            ("", NoMark::NotJson),
            (
                "{\"shard\":{\"part\":\"1/2\",\"row\":1,\"rows\":2,\"run\":\"a\"},\"lab",
                NoMark::NotJson,
            ),
            ("[1]", NoMark::NotObject),
            ("{\"label\":\"x\"}", NoMark::Unmarked),
            (
                "{\"label\":\"x\",\"shard\":{\"part\":\"1/2\",\"row\":1,\"rows\":2,\"run\":\"a\"}}",
                NoMark::Rewritten,
            ),
            ("{\"shard\":7}", NoMark::Rewritten),
            ("{\"shard\":{\"row\":1,\"rows\":2,\"run\":\"a\"}}", NoMark::Rewritten),
            (
                "{\"shard\":{\"part\":\"3/2\",\"row\":1,\"rows\":2,\"run\":\"a\"}}",
                NoMark::Rewritten,
            ),
            (
                "{\"shard\":{\"part\":\"1/2\",\"row\":0,\"rows\":2,\"run\":\"a\"}}",
                NoMark::Rewritten,
            ),
            (
                "{\"shard\":{\"part\":\"1/2\",\"row\":3,\"rows\":2,\"run\":\"a\"}}",
                NoMark::Rewritten,
            ),
        ] {
            assert_eq!(Mark::split(line).unwrap_err(), reason, "{line}");
        }
    }

    proptest! {
        /// Without its mark, a line has the bytes of the whole's.
        #[test]
        fn a_line_is_that_of_the_whole(
            text in ".*", number in any::<f64>(), row in 1_usize..1000, more in 0_usize..1000
        ) {
            let mark = Mark { part: PART, row, rows: row + more, run: "é\"".into() };
            let fields = fields(json!({"shared": text, "probability": number, "input": {"shard": 1}}));
            let marked = mark.line(fields.clone());
            let (found, line) = Mark::split(marked.strip_suffix('\n').unwrap()).unwrap();
            prop_assert_eq!(found, mark);
            prop_assert_eq!(line + "\n", predictions::line(fields));
        }
    }
}
