//! The names of the columns of a CSV or TSV file.

use std::{path::Path, sync::Arc};

use serde_json::{Map, Value};

use crate::{
    error::{Error, Result},
    text::record::{Aside, Record},
};

/// The names of a file's columns. Those without a name are not read.
pub(super) struct Header {
    path: Arc<Path>,
    names: Vec<String>,
    /// The columns of each name that several have, counted from 0.
    repeated: Vec<(String, Vec<usize>)>,
    aside: Option<Arc<Aside>>,
    /// The line of the first row whose number stands in front of the columns that the header names, as in R's `write.table`.
    numbered_from: Option<usize>,
}

impl Header {
    /// The header with these names. White space around a name is no part of it.
    pub fn new(path: &Arc<Path>, names: &[String]) -> Self {
        let names: Vec<String> = names.iter().map(|name| name.trim().to_owned()).collect();
        let mut repeated: Vec<(String, Vec<usize>)> = Vec::new();
        for (column, name) in names.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            let known = repeated.iter_mut().find(|(other, _)| other == name);
            match known {
                Some((_, columns)) => columns.push(column),
                None => repeated.push((name.clone(), vec![column])),
            }
        }
        repeated.retain(|(_, columns)| columns.len() > 1);
        Self { path: path.clone(), names, repeated, aside: None, numbered_from: None }
    }

    /// The same header, on a line of its own file.
    pub fn on_line(mut self, line: usize) -> Self {
        Arc::make_mut(self.aside.get_or_insert_default()).header_line = Some(line);
        self
    }

    /// The same header, whose first name is none: a number of the row stands there from this line on.
    pub fn numbered_from(self, line: usize) -> Self {
        Self { numbered_from: Some(line), ..self }
    }

    /// The number of fields of a row that is as the header says; `None` if rows have a number besides.
    pub fn fields(&self) -> Option<usize> {
        self.numbered_from.is_none().then_some(self.names.len())
    }

    /// The first cell of a row that repeats the name of its column.
    pub fn repeated_by<'v>(&self, values: &'v [String]) -> Option<&'v str> {
        let same = |(name, value): &(&String, &String)| !name.is_empty() && name == value;
        self.names.iter().zip(values).find(same).map(|(_, value)| value.as_str())
    }

    /// Adds `hint` to what is said of a missing field.
    pub fn with_hint(mut self, hint: String) -> Self {
        Arc::make_mut(self.aside.get_or_insert_default()).hint = Some(hint);
        self
    }

    /// Adds `hint` to what is said of a missing field, unless there is a hint.
    pub fn or_hint(self, hint: String) -> Self {
        let has_one = self.aside.as_ref().is_some_and(|aside| aside.hint.is_some());
        if has_one { self } else { self.with_hint(hint) }
    }

    /// The record of a line with these fields.
    ///
    /// # Errors
    /// [`Error::Data`] if there are more or fewer than columns; empty ones at the end do not count. If rows are numbered, also
    /// for one that is not.
    pub fn record(&self, line: usize, mut values: Vec<String>) -> Result<Record> {
        while values.len() > self.names.len() && values.last().is_some_and(String::is_empty) {
            values.pop();
        }
        let lacks_number = |first: usize| {
            let number = values.first().filter(|cell| is_row_number(cell));
            (values.len() != self.names.len() || number.is_none()).then_some(first)
        };
        if let Some(first) = self.numbered_from.and_then(lacks_number) {
            return Err(self.not_numbered(line, &values, first));
        }
        if values.len() != self.names.len() {
            return Err(self.wrong_number(line, values.len()));
        }
        let mut aside = self.aside.clone();
        for (name, columns) in &self.repeated {
            if columns.iter().any(|&column| values[column] != values[columns[0]]) {
                let numbers: Vec<String> = columns.iter().map(|n| (n + 1).to_string()).collect();
                Arc::make_mut(aside.get_or_insert_default())
                    .repeated
                    .push((name.clone(), numbers.join(" and ")));
            }
        }
        let mut fields = Map::new();
        for (name, value) in self.names.iter().zip(values) {
            if !name.is_empty() && !fields.contains_key(name) {
                fields.insert(name.clone(), Value::String(value));
            }
        }
        Ok(Record { aside, ..Record::new(self.path.clone(), line, fields) })
    }

    fn wrong_number(&self, line: usize, found: usize) -> Error {
        let shown: Vec<&str> = self
            .names
            .iter()
            .map(|name| if name.is_empty() { "(no name)" } else { name })
            .collect();
        let above = self.aside.as_ref().and_then(|aside| aside.header_line).map_or_else(
            String::new,
            |line| format!("; the header is expected in the first line: if line {line} is a title or a comment, remove it"),
        );
        let more = match found > self.names.len() {
            true => format!("; {IN_QUOTES}{above}"),
            false => String::new(),
        };
        let message = format!(
            "found {found} fields, expected the header's {}: {}{more}",
            self.names.len(),
            shown.join(", ")
        );
        Error::data(&self.path, line, message)
    }

    fn not_numbered(&self, line: usize, values: &[String], first: usize) -> Error {
        let message = format!(
            "found {} fields, the first `{}`, expected a number of the row, as on line {first}, and the header's {}: {}; if \
             rows have no numbers, {IN_QUOTES}",
            values.len(),
            values.first().map_or("", String::as_str),
            self.names.len() - 1,
            self.names[1..].join(", ")
        );
        Error::data(&self.path, line, message)
    }
}

/// What to do about a field that is taken for several.
const IN_QUOTES: &str = "a field with a separator in it needs quotes around it, in a .csv file";

/// Whether a cell is the number of a row, in quotes or without.
pub(super) fn is_row_number(cell: &str) -> bool {
    let cell = cell.trim_matches('"');
    !cell.is_empty() && cell.bytes().all(|byte| byte.is_ascii_digit())
}

/// What in the first row of a file looks like data rather than names, if anything does; `next` is the row after
/// it.
pub(super) fn looks_like_data(first: &[String], next: Option<&Vec<String>>) -> Option<String> {
    /// A name of more words is a text.
    const WORDS: usize = 4;
    let number = |cell: &String| cell.trim().parse::<f64>().is_ok_and(f64::is_finite);
    first
        .iter()
        .enumerate()
        .find(|(column, cell)| {
            let same = next.and_then(|next| next.get(*column)) == Some(cell);
            number(cell) || cell.split_whitespace().count() >= WORDS || (same && !cell.is_empty())
        })
        .map(|(_, cell)| cell.clone())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(',').map(str::to_owned).collect()
    }

    fn header(names: &str) -> Header {
        Header::new(&Arc::from(Path::new("a.csv")), &words(names))
    }

    #[test]
    fn columns_without_a_name_are_not_read() {
        let record = header(", text ,").record(2, words("0,a,")).unwrap();
        assert_eq!(serde_json::json!(record.fields), serde_json::json!({"text": "a"}));
        assert_eq!(header("text").record(2, words("a,,")).unwrap().text("text").unwrap(), "a");
        let error = header("text,").record(2, words("a,b,c")).err().unwrap().to_string();
        assert!(
            error.starts_with(
                "a.csv, line 2: found 3 fields, expected the header's 2: text, (no name); a field"
            ),
            "{error}"
        );
    }

    #[test]
    fn repeated_columns_matter_only_where_they_are_used_and_differ() {
        let header = header("text,label,text,x,x");
        let record = header.record(3, words("a,1,a,p,q")).unwrap();
        assert_eq!((record.text("text").unwrap(), record.text("label").unwrap()), ("a", "1"));
        assert_eq!(
            record.text("x").unwrap_err().to_string(),
            "a.csv, line 3: field `x`: columns 4 and 5 have this name and differ; rename all but one of them"
        );
        assert!(header.record(4, words("a,1,b,p,p")).unwrap().text("text").is_err());
    }

    #[test]
    fn rows_are_told_from_names() {
        let looks = |first: &str, next: &str| looks_like_data(&words(first), Some(&words(next)));
        assert_eq!(looks("1,the play", "0,it"), Some("1".into()));
        assert_eq!(looks("a,it was very good", "b,c"), Some("it was very good".into()));
        assert_eq!(looks("gj04,a", "gj04,b"), Some("gj04".into()));
        assert_eq!(looks("sentence,#1 String,is_nan,inf", "a,1,2,3"), None);
        assert_eq!(looks(",text,", "0,a,"), None);
    }
}
