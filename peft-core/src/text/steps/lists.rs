//! Steps on lists.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::parts::{as_item, index, put, replaced};
use crate::{
    error::Result,
    text::{
        record::{Record, describe},
        template::Template,
    },
};

/// Each element of a list makes a row, with the row's other fields. A list that is empty or missing leaves the row as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Each {
    /// The list: values, or an object of lists of one length, which are columns.
    pub(super) list: String,
    /// The field that holds the element.
    #[serde(rename = "as")]
    to: String,
}

impl Each {
    pub(super) fn apply(&self, mut row: Record, rows: &mut Vec<Record>) -> Result<()> {
        let Some(value) = row.optional(&self.list) else {
            rows.push(row);
            return Ok(());
        };
        let elements = elements(&row, &self.list, value)?;
        if elements.is_empty() {
            rows.push(row);
            return Ok(());
        }
        // The list is not copied into each of its rows.
        remove(&mut row.fields, &self.list);
        for element in elements {
            let mut own = row.clone();
            put(&mut own, &self.to, element);
            rows.push(own);
        }
        Ok(())
    }
}

/// The elements of a list, or the rows of columns.
fn elements(row: &Record, name: &str, value: &Value) -> Result<Vec<Value>> {
    let refuse = |found: String| {
        Err(row
            .error(format!("field `{name}`: found {found}, expected a list, or lists as columns")))
    };
    match value {
        Value::Array(elements) => Ok(elements.clone()),
        Value::Object(columns) => {
            let lengths: Vec<Option<usize>> =
                columns.values().map(|column| Some(column.as_array()?.len())).collect();
            let Some(Some(length)) = lengths.first().copied() else {
                return refuse(describe(value));
            };
            if lengths.iter().any(|other| *other != Some(length)) {
                return refuse("columns of different lengths".into());
            }
            let row = |index: usize| {
                let cell = |(key, column): (&String, &Value)| {
                    Some((key.clone(), column.get(index)?.clone()))
                };
                Value::Object(columns.iter().filter_map(cell).collect())
            };
            Ok((0..length).map(row).collect())
        }
        other => refuse(describe(other)),
    }
}

/// Removes what a name leads to, if each of its parts is a key of an object.
fn remove(fields: &mut Map<String, Value>, name: &str) {
    if fields.remove(name).is_some() {
        return;
    }
    if let Some((first, rest)) = name.split_once('.')
        && let Some(Value::Object(inner)) = fields.get_mut(first)
    {
        remove(inner, rest);
    }
}

/// A list becomes a text: its elements, each by a template, with something between them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// The list.
    pub(super) list: String,
    /// The field that holds the text.
    #[serde(rename = "as")]
    to: String,
    /// What stands between the elements.
    with: String,
    /// The template of an element, which is `{item}`. Default that.
    #[serde(default = "own_item")]
    item: String,
    /// Parts of an element that are written in lower case: an index or a key, with dots for nesting.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lower: Vec<String>,
    /// What is replaced in the text of an element, and by what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    replace: Vec<[String; 2]>,
}

/// An element with the texts at these places in lower case.
fn lowered(element: &Value, places: &[String]) -> Value {
    let mut element = element.clone();
    for place in places {
        let place = format!("/{}", place.replace('.', "/"));
        if let Some(Value::String(text)) = element.pointer_mut(&place) {
            *text = text.to_lowercase();
        }
    }
    element
}

fn own_item() -> String {
    "{item}".to_owned()
}

impl Join {
    pub(super) fn check(&self) -> std::result::Result<(), String> {
        Template::parse(&self.item, "item").map(drop).map_err(|error| error.to_string())
    }

    pub(super) fn apply(&self, mut row: Record) -> Result<Record> {
        let Some(value) = row.optional(&self.list) else { return Ok(row) };
        let template = Template::parse(&self.item, "item")?;
        let text = |element: &Value| -> Result<String> {
            let element = lowered(element, &self.lower);
            Ok(replaced(&template.render(&as_item(&row, &element))?, &self.replace))
        };
        let texts =
            elements(&row, &self.list, value)?.iter().map(text).collect::<Result<Vec<_>>>()?;
        put(&mut row, &self.to, texts.join(&self.with).into());
        Ok(row)
    }
}

/// Of equal elements of a list, the first stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unique {
    /// The list.
    pub(super) list: String,
    /// The key of an element, an object, by which elements are equal. Default the element itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    /// Whether they are sorted, by code points.
    #[serde(default)]
    sorted: bool,
}

impl Unique {
    pub(super) fn apply(&self, mut row: Record) -> Result<Record> {
        let Some(value) = row.optional(&self.list) else { return Ok(row) };
        let text = |element: &Value| match element {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let key = |element: &Value| -> Result<String> {
            let Some(by) = &self.by else { return Ok(text(element)) };
            element.get(by).map(text).ok_or_else(|| {
                row.error(format!("field `{}`: an element has no `{by}`", self.list))
            })
        };
        let mut kept: Vec<(String, Value)> = Vec::new();
        for element in elements(&row, &self.list, value)? {
            let key = key(&element)?;
            if kept.iter().all(|(known, _)| *known != key) {
                kept.push((key, element));
            }
        }
        if self.sorted {
            kept.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
        let kept: Value = kept.into_iter().map(|(_, element)| element).collect();
        put(&mut row, &self.list, kept);
        Ok(row)
    }
}

/// Elements are put behind a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Append {
    /// The list.
    pub(super) list: String,
    /// Their templates, filled in from the row.
    items: Vec<String>,
}

impl Append {
    pub(super) fn check(&self) -> std::result::Result<(), String> {
        let parse = |item: &String| Template::parse(item, "items").map(drop);
        self.items.iter().try_for_each(parse).map_err(|error| error.to_string())
    }

    pub(super) fn apply(&self, mut row: Record) -> Result<Record> {
        let Some(value) = row.optional(&self.list) else { return Ok(row) };
        let mut all = elements(&row, &self.list, value)?;
        for item in &self.items {
            all.push(Template::parse(item, "items")?.render(&row)?.into());
        }
        put(&mut row, &self.list, all.into());
        Ok(row)
    }
}

/// One element of a list becomes a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pick {
    /// The list.
    pub(super) list: String,
    /// The field that holds its place, from 0.
    index: String,
    /// The field that holds the element.
    #[serde(rename = "as")]
    to: String,
}

impl Pick {
    pub(super) fn apply(&self, mut row: Record) -> Result<Record> {
        let Some(place) = index(&row, &self.index)? else { return Ok(row) };
        let Some(value) = row.optional(&self.list) else { return Ok(row) };
        let elements = elements(&row, &self.list, value)?;
        let Some(element) = elements.get(place) else {
            let count = elements.len();
            let name = &self.index;
            return Err(
                row.error(format!("field `{name}`: found {place}, the list has {count} elements"))
            );
        };
        let element = element.clone();
        put(&mut row, &self.to, element);
        Ok(row)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use crate::text::{record::tests::record, steps::Steps};

    fn rows(steps: serde_json::Value, row: serde_json::Value) -> Vec<serde_json::Value> {
        let rows = Steps::parse(&steps).unwrap().apply(record(3, row), true).unwrap();
        rows.into_iter().map(|row| row.fields.into()).collect()
    }

    fn refusal(steps: serde_json::Value, row: serde_json::Value) -> String {
        Steps::parse(&steps).unwrap().apply(record(3, row), true).unwrap_err().to_string()
    }

    #[test]
    fn elements_become_rows() {
        let nested = json!([
            {"each": {"list": "passage.questions", "as": "q"}},
            {"each": {"list": "q.answers", "as": "a"}},
        ]);
        let row = json!({"passage": {"text": "t", "questions": [
            {"question": "x", "answers": [{"text": 1}, {"text": 2}]}, {"question": "y", "answers": [{"text": 3}]}]}});
        assert_eq!(
            rows(nested.clone(), row),
            [
                json!({"passage": {"text": "t"}, "q": {"question": "x"}, "a": {"text": 1}}),
                json!({"passage": {"text": "t"}, "q": {"question": "x"}, "a": {"text": 2}}),
                json!({"passage": {"text": "t"}, "q": {"question": "y"}, "a": {"text": 3}}),
            ]
        );
        let flat = json!({"paragraph": "t", "question": "x"});
        assert_eq!(rows(nested.clone(), flat.clone()), [flat]);
        let columns = json!([{"each": {"list": "lex", "as": "one"}}]);
        let row = json!({"lex": {"text": ["a", "b"], "comment": ["good", "bad"]}});
        assert_eq!(
            rows(columns.clone(), row),
            [
                json!({"one": {"text": "a", "comment": "good"}}),
                json!({"one": {"text": "b", "comment": "bad"}})
            ]
        );
        let empty = json!({"lex": []});
        assert_eq!(rows(columns.clone(), empty.clone()), [empty]);
        let ragged = refusal(columns.clone(), json!({"lex": {"text": ["a"], "comment": []}}));
        assert!(
            ragged.contains("line 3: field `lex`: found columns of different lengths"),
            "{ragged}"
        );
        let text = refusal(columns, json!({"lex": "a"}));
        assert!(text.contains("expected a list"), "{text}");
    }

    #[test]
    fn lists_become_texts() {
        let triples = json!([{"join": {"list": "t", "item": "{item.0} : {item.1} : {item.2}", "with": " | ", "as": "s"}}]);
        let row = json!({"t": [["a", "b", "c"], ["d", "e", 1]]});
        assert_eq!(rows(triples, row)[0]["s"], "a : b : c | d : e : 1");
        let lower = json!([{"join": {"list": "t", "item": "{item.a} {item.b.0} {item.b.1}", "with": " ", "as": "s",
            "lower": ["a", "b.1", "c"]}}]);
        let row = json!({"t": [{"a": "ÄB", "b": ["C", "D"]}, {"a": 7, "b": ["E", "F"]}]});
        assert_eq!(rows(lower, row)[0]["s"], "äb C d 7 E f");
        let lines = json!([{"join": {"list": "t.0", "with": "; ", "as": "s", "replace": [[" | ", " : "]]}}]);
        assert_eq!(rows(lines, json!({"t": [["a | b", "c | d"]]}))[0]["s"], "a : b; c : d");
        let none = json!([{"join": {"list": "t", "with": ", ", "as": "s"}}]);
        assert_eq!(rows(none.clone(), json!({"t": []}))[0]["s"], "");
        assert_eq!(rows(none, json!({"u": 1})), [json!({"u": 1})]);
    }

    #[test]
    fn of_equal_elements_one_stays() {
        let texts = json!([{"unique": {"list": "t"}}]);
        assert_eq!(
            rows(texts.clone(), json!({"t": ["b", "a", "b", 1]}))[0]["t"],
            json!(["b", "a", 1])
        );
        assert_eq!(rows(texts, json!({"u": 1})), [json!({"u": 1})]);
        let by = json!([{"unique": {"list": "q.t", "by": "x", "sorted": true}},
            {"each": {"list": "q.t", "as": "one"}}]);
        let row = json!({"q": {"t": [{"x": "b", "y": 1}, {"x": "a"}, {"x": "b", "y": 2}]}});
        let found = rows(by.clone(), row);
        assert_eq!(
            (&found[0]["one"], &found[1]["one"]),
            (&json!({"x": "a"}), &json!({"x": "b", "y": 1}))
        );
        assert_eq!(found.len(), 2);
        let without = refusal(by, json!({"q": {"t": [{"y": 1}]}}));
        assert!(without.contains("line 3: field `q.t`: an element has no `x`"), "{without}");
    }

    #[test]
    fn lists_grow_and_give_elements() {
        let roles = json!([
            {"pick": {"list": "tokens", "index": "index", "as": "verb"}},
            {"append": {"list": "tokens", "items": ["[SEP]", "{verb}"]}},
            {"append": {"list": "tags", "items": ["-100", "-100"]}},
        ]);
        let row = json!({"tokens": ["he", "ran"], "tags": ["A", "V"], "index": "1"});
        let found = &rows(roles.clone(), row)[0];
        assert_eq!(found["tokens"], json!(["he", "ran", "[SEP]", "ran"]));
        assert_eq!(found["tags"], json!(["A", "V", "-100", "-100"]));
        let beyond = refusal(roles.clone(), json!({"tokens": ["he"], "index": 1}));
        assert!(beyond.contains("field `index`: found 1, the list has 1 elements"), "{beyond}");
        assert!(
            refusal(roles, json!({"tokens": ["he"], "index": -1}))
                .contains("a whole number from 0")
        );
    }

    #[test]
    fn steps_that_cannot_be_read_are_named() {
        for (steps, says) in [
            (json!({"set": 1}), "steps: step: found an object"),
            (json!([{"ech": {}}]), "steps: step 1: unknown variant `ech`"),
            (
                json!([{"unwrap": true}, {"each": {"list": "a"}}]),
                "steps: step 2: missing field `as`",
            ),
            (json!([{"each": {"list": "a", "as": "b", "of": 1}}]), "unknown field `of`"),
            (
                json!([{"join": {"list": "a", "as": "b", "with": "", "item": "{"}}]),
                "step 1: item: `{`, character 1",
            ),
            (json!([{"append": {"list": "a", "items": ["}"]}}]), "step 1: items: `}`"),
        ] {
            let error = Steps::parse(&steps).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
