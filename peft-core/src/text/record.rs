//! One line of a data file, with getters that say what is wrong and where.

use std::{borrow::Cow, path::Path, sync::Arc};

use serde_json::{Map, Value};

use super::{
    json_value::{numbers_as_written, parse, still_there},
    list_text::list_in_text,
    ordered::Ordered,
    path,
};
use crate::error::{Error, Result};

/// One line of a data file: named fields, and where they came from.
///
/// Values of CSV and TSV files are JSON strings. `null` counts as a missing field. A name with dots
/// also reaches into objects and lists, see [`value`](Self::value).
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The data file.
    pub path: Arc<Path>,
    /// The line on which the record begins, counted from 1.
    pub line: usize,
    /// The fields by name.
    pub fields: Map<String, Value>,
    /// The same with keys in the file's order, for conversations, whose templates print it.
    pub ordered: Option<Arc<Ordered>>,
    /// What messages about a field need to know of the file beside it, if there is anything.
    pub aside: Option<Arc<Aside>>,
    /// Its numbers as a JSON file writes them, by name, where their values do not say that
    /// ([`numbers_as_written`](Self::numbers_as_written)).
    pub numbers: Option<Arc<Map<String, Value>>>,
}

/// What is known of a file, or of one of its lines, that makes messages about fields clearer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aside {
    /// Columns of one name that hold different values on this line: the name, and their numbers.
    pub repeated: Vec<(String, String)>,
    /// Why a field may be missing, and what to do about it.
    pub hint: Option<String>,
    /// The line of a table that was taken for its header.
    pub header_line: Option<usize>,
    /// The fields that hold numbers of classes, with the names of the classes.
    pub class_names: Vec<ClassNames>,
    /// Why the classes of a field, or of all, have no names although they should: the field, and a sentence.
    pub unnamed: Vec<(Option<String>, String)>,
}

/// What the numbers of a field's classes are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassNames {
    /// The field.
    pub field: String,
    /// The names, from number 0 on.
    pub names: Vec<String>,
    /// The file that says so: that of the record, or one that describes it.
    pub source: Arc<Path>,
}

impl ClassNames {
    /// Who says so, in a message about a record: its file, or the path of another.
    pub fn said_by(&self, record: &Record) -> String {
        match self.source == record.path {
            true => "the file".to_owned(),
            false => self.source.display().to_string(),
        }
    }
}

/// What to do with a conversation where other fields are wanted.
pub(super) const IS_CONVERSATION: &str = "; conversations are rows of the task causal-lm";

impl Record {
    /// Creates a record of the line `line` of a file.
    pub fn new(path: Arc<Path>, line: usize, fields: Map<String, Value>) -> Self {
        Self { path, line, fields, ordered: None, aside: None, numbers: None }
    }

    /// Creates the record of a JSON object.
    ///
    /// # Errors
    /// [`Error::Data`] for any other text.
    pub fn of_json(path: Arc<Path>, line: usize, text: &str) -> Result<Self> {
        match parse(text) {
            Ok(Value::Object(fields)) => Ok(Self::new(path, line, fields).with_numbers_of(text)),
            Ok(other) => {
                let message = format!("found {}, expected a JSON object", describe(&other));
                Err(Error::data(&path, line, message))
            }
            Err(error) => Err(Error::data(&path, line, format!("not a JSON object: {error}"))),
        }
    }

    /// With its numbers as the text that it was read from writes them.
    #[must_use]
    pub(super) fn with_numbers_of(self, text: &str) -> Self {
        let numbers = numbers_as_written(text, &self.fields);
        Self { numbers: (!numbers.is_empty()).then(|| Arc::new(numbers)), ..self }
    }

    /// Its numbers as its file writes them, by name, as far as their values do not say that: those with an exponent, with
    /// zeros at the end, or with more digits than a value holds. Of objects in it, an object; of lists, a list with `null` for
    /// elements whose values say it. Only fields that still have these values; a file of JSON whose rows are objects.
    pub fn numbers_as_written(&self) -> Map<String, Value> {
        let still = |numbers: &Arc<Map<String, Value>>| still_there(numbers, &self.fields);
        self.numbers.as_ref().map(still).unwrap_or_default()
    }

    /// Whether it holds token ids rather than text.
    pub fn is_ids(&self) -> bool {
        self.has("input_ids")
    }

    /// Whether it is a conversation: messages for the model's chat template.
    pub fn is_conversation(&self) -> bool {
        self.has("messages") || self.has("conversations")
    }

    /// Creates an error at this record's line.
    pub fn error(&self, message: impl Into<String>) -> Error {
        Error::data(&self.path, self.line, message)
    }

    /// Creates an error for the label of this row, which is none of the classes.
    pub(super) fn unknown_class(&self, message: impl Into<String>) -> Error {
        Error::unknown_class(&self.path, self.line, message)
    }

    /// Returns what a name leads to, `null` included: the field of exactly this name, else what its
    /// dots lead to, as in `translation.en` or `answers.0.text`.
    pub fn value(&self, key: &str) -> Option<&Value> {
        path::find(&self.fields, key)
    }

    /// Whether the field is present and not `null`.
    pub fn has(&self, key: &str) -> bool {
        self.optional(key).is_some()
    }

    /// Returns the field's value, `None` if it is missing or `null`.
    pub fn optional(&self, key: &str) -> Option<&Value> {
        self.value(key).filter(|value| !value.is_null())
    }

    /// The numbers of the columns of this name, if there are several and they differ on this line.
    fn repeated(&self, key: &str) -> Option<&str> {
        let mut repeated = self.aside.iter().flat_map(|aside| &aside.repeated);
        repeated.find(|(name, _)| name == key).map(|(_, columns)| columns.as_str())
    }

    /// The names of the classes whose numbers are in a field, if its file or one beside it says them.
    pub fn class_names(&self, key: &str) -> Option<&ClassNames> {
        let mut known = self.aside.iter().flat_map(|aside| &aside.class_names);
        known.find(|known| known.field == key)
    }

    /// Why the classes of a field have no names although a file beside its own describes it: a sentence each.
    pub fn unnamed(&self, key: &str) -> impl Iterator<Item = &str> {
        let known = self.aside.iter().flat_map(|aside| &aside.unnamed);
        let of_field =
            move |field: &Option<String>| field.as_ref().is_none_or(|field| field == key);
        known.filter(move |(field, _)| of_field(field)).map(|(_, why)| why.as_str())
    }

    /// Whether several columns have this name, and differ on this line.
    pub(super) fn is_repeated(&self, key: &str) -> bool {
        self.repeated(key).is_some()
    }

    /// Returns the field's value.
    ///
    /// # Errors
    /// [`Error::Data`] listing the line's fields if it is missing or `null`.
    pub fn get(&self, key: &str) -> Result<&Value> {
        if let Some(columns) = self.repeated(key) {
            let message = format!(
                "field `{key}`: columns {columns} have this name and differ; rename all but one of them"
            );
            return Err(self.error(message));
        }
        self.optional(key).ok_or_else(|| match self.value(key) {
            Some(_) => self.error(format!("field `{key}` is null (NaN counts as null)")),
            None => self.missing(key),
        })
    }

    /// Returns the field's text.
    ///
    /// # Errors
    /// [`Error::Data`] if the field is missing or not a string.
    pub fn text(&self, key: &str) -> Result<&str> {
        let value = self.get(key)?;
        value.as_str().ok_or_else(|| self.unexpected(key, value, "a string"))
    }

    /// Returns the field's text, `None` if it is missing.
    ///
    /// # Errors
    /// [`Error::Data`] if the field is present and not a string.
    pub fn optional_text(&self, key: &str) -> Result<Option<&str>> {
        self.has(key).then(|| self.text(key)).transpose()
    }

    /// Returns the field's list of strings, such as words.
    ///
    /// # Errors
    /// [`Error::Data`] if the field is missing or not an array of strings.
    pub fn strings(&self, key: &str) -> Result<Vec<String>> {
        let string = |value: &Value| value.as_str().map(str::to_owned);
        self.elements(key, "an array of strings", "a string", string)
    }

    /// Returns the field's list of token ids, or of other numbers from 0 to `u32::MAX`.
    ///
    /// # Errors
    /// [`Error::Data`] if the field is missing or not an array of such numbers.
    pub fn ids(&self, key: &str) -> Result<Vec<u32>> {
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        self.elements(key, "an array of token ids", "a token id (0, 1, 2, ...)", id)
    }

    /// Returns the field's list of token ids, `None` if it is missing.
    ///
    /// # Errors
    /// [`Error::Data`] if the field is present and not an array of token ids.
    pub fn optional_ids(&self, key: &str) -> Result<Option<Vec<u32>>> {
        self.has(key).then(|| self.ids(key)).transpose()
    }

    /// Returns the field's list of integers: targets, some of which may be -100 (ignored).
    ///
    /// # Errors
    /// [`Error::Data`] if the field is missing or not an array of integers.
    pub fn label_ids(&self, key: &str) -> Result<Vec<i64>> {
        self.elements(key, "an array of integers", "an integer", Value::as_i64)
    }

    /// The elements of an array, each converted by `convert`.
    fn elements<T>(
        &self,
        key: &str,
        array: &str,
        element: &str,
        convert: impl Fn(&Value) -> Option<T>,
    ) -> Result<Vec<T>> {
        let values = self.list(key, array)?;
        let converted = |(i, value)| {
            convert(value).ok_or_else(|| self.unexpected(&format!("{key}[{i}]"), value, element))
        };
        values.iter().enumerate().map(converted).collect()
    }

    /// The array in a field. In a table it is the text of one, in JSON.
    ///
    /// # Errors
    /// [`Error::Data`] if the field is missing, or is no array; `expected` says what is.
    pub(super) fn list(&self, key: &str, expected: &str) -> Result<Cow<'_, [Value]>> {
        let value = self.get(key)?;
        if let Value::Array(values) = value {
            return Ok(Cow::Borrowed(values));
        }
        let text = value.as_str().map(str::trim_start);
        if let Some(values) = text.and_then(list_in_text) {
            return Ok(Cow::Owned(values));
        }
        Err(match text {
            Some(text) if text.starts_with('[') => {
                let expected = format!(
                    "{expected}; a table has it as JSON ([\"a\", \"b\"], [1, 2]) or as Python writes it (`.tolist()` of \
                     an array of NumPy)"
                );
                self.unexpected(key, value, &expected)
            }
            _ => self.unexpected(key, value, expected),
        })
    }

    pub(crate) fn missing(&self, key: &str) -> Error {
        self.lacks(&format!("field `{key}` is missing"))
    }

    /// An error about a missing field that lists the present ones.
    pub(crate) fn lacks(&self, what: &str) -> Error {
        let hint = self.aside.as_ref().and_then(|aside| aside.hint.as_deref());
        let hint = hint.map_or_else(String::new, |hint| format!("; {hint}"));
        if self.fields.is_empty() {
            return self.error(format!("{what}; the line has no fields{hint}"));
        }
        let known: Vec<&str> = self.fields.keys().map(String::as_str).collect();
        let chat = if self.is_conversation() { IS_CONVERSATION } else { "" };
        self.error(format!("{what}; the line has: {}{hint}{chat}", known.join(", ")))
    }

    pub(crate) fn unexpected(&self, key: &str, value: &Value, expected: &str) -> Error {
        self.error(format!("field `{key}`: found {}, expected {expected}", describe(value)))
    }
}

/// A JSON value in a few words, for messages.
pub(crate) fn describe(value: &Value) -> String {
    /// Longer strings are truncated: a message is not the place for a whole document.
    const LONGEST: usize = 40;
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => format!("the boolean {value}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) if text.chars().count() > LONGEST => {
            let start: String = text.chars().take(LONGEST).collect();
            format!("the string `{start}...`")
        }
        Value::String(text) => format!("the string `{text}`"),
        Value::Array(values) => format!("an array of {} values", values.len()),
        Value::Object(_) => "an object".to_owned(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// A record of line `line` of `rows.jsonl`, for the tests of this folder.
    pub(crate) fn record(line: usize, fields: serde_json::Value) -> Record {
        let Value::Object(fields) = fields else { panic!("a record is an object") };
        Record::new(Arc::from(Path::new("rows.jsonl")), line, fields)
    }

    fn message<T: std::fmt::Debug>(result: Result<T>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn getters_return_what_is_there() {
        let record = record(
            1,
            serde_json::json!({"t": "a", "w": ["b", "c"], "i": [0, 4294967295u32], "l": [-100, 2],
                "n": null, "empty": []}),
        );
        assert_eq!(record.text("t").unwrap(), "a");
        assert_eq!(record.strings("w").unwrap(), ["b", "c"]);
        assert_eq!(record.ids("i").unwrap(), [0, u32::MAX]);
        assert_eq!(record.label_ids("l").unwrap(), [-100, 2]);
        assert_eq!(record.optional_text("n").unwrap(), None);
        assert_eq!(record.optional_text("zz").unwrap(), None);
        assert_eq!(record.optional_text("t").unwrap(), Some("a"));
        assert_eq!(record.optional_ids("zz").unwrap(), None);
        assert_eq!(record.optional_ids("empty").unwrap(), Some(vec![]));
        assert!(record.has("t") && !record.has("n") && !record.has("zz"));
    }

    #[test]
    fn a_table_has_arrays_as_text() {
        let record = record(
            1,
            serde_json::json!({"w": "[\"b\", \"c\"]", "i": " [1, 2]", "p": "['b', 'c']", "n": "['b' 'c']"}),
        );
        assert_eq!(record.strings("w").unwrap(), ["b", "c"]);
        assert_eq!(record.strings("p").unwrap(), ["b", "c"]);
        assert_eq!(
            (record.ids("i").unwrap(), record.label_ids("i").unwrap()),
            (vec![1, 2], vec![1, 2])
        );
        let numpy = message(record.strings("n"));
        assert!(
            numpy.contains("an array of strings; a table has it as JSON ([\"a\", \"b\"]")
                && numpy.contains("as Python writes it"),
            "{numpy}"
        );
        assert!(message(record.strings("i")).contains("`i[0]`: found the number 1"));
    }

    #[test]
    fn a_missing_field_lists_those_present() {
        let row = record(12, serde_json::json!({"b": 1, "a": 2, "n": null}));
        assert_eq!(
            message(row.text("x")),
            "rows.jsonl, line 12: field `x` is missing; the line has: a, b, n"
        );
        assert_eq!(
            message(row.ids("n")),
            "rows.jsonl, line 12: field `n` is null (NaN counts as null)"
        );
        let empty = record(3, serde_json::json!({}));
        assert!(message(empty.text("x")).ends_with("the line has no fields"));
    }

    #[test]
    fn wrong_types_are_named_with_their_place() {
        let long = "é".repeat(50);
        let row = record(
            2,
            serde_json::json!({"n": 3, "w": ["a", 4, "b"], "i": [1, -1], "big": [4294967296u64],
                "f": [1.5], "s": "[1, 2", "long": long, "o": {}, "flag": [true]}),
        );
        assert!(
            message(row.text("n")).ends_with("field `n`: found the number 3, expected a string")
        );
        assert!(message(row.strings("w")).contains("field `w[1]`: found the number 4"));
        assert!(message(row.ids("i")).contains("field `i[1]`: found the number -1"));
        assert!(message(row.ids("big")).contains("`big[0]`"));
        assert!(message(row.ids("f")).contains("found the number 1.5"));
        assert!(message(row.label_ids("f")).contains("expected an integer"));
        assert!(message(row.ids("s")).contains("found the string `[1, 2`, expected an array"));
        assert!(message(row.ids("long")).contains(&format!("`{}...`", "é".repeat(40))));
        assert!(message(row.text("o")).contains("found an object"));
        assert!(message(row.label_ids("flag")).contains("the boolean true"));
        assert!(message(row.optional_text("n")).contains("expected a string"));
        assert!(message(row.optional_ids("s")).contains("expected an array"));
    }
}
