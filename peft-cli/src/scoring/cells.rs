//! Lists of texts that a table holds as text in its cells.

use std::path::Path;

use peft_core::{
    Result,
    text::{Record, is_numpy_list, value_in_text},
};
use serde_json::Value;

use super::fields::{texts, texts_of};
use crate::output::note;

/// The texts of a field whose cells are lists ([`are_lists`]).
///
/// # Errors
///
/// As [`texts`].
pub fn texts_in_cell(row: &Record, field: &str) -> Result<Vec<String>> {
    match row.value(field).and_then(Value::as_str).and_then(texts_in_text) {
        Some(found) => Ok(found),
        None => texts(row, field),
    }
}

/// Whether the cells of a table are lists in a field, as `eval` and `predict` write them: it is called so that each row has
/// several texts (`references`, `answers`), and each cell is a list of texts or SQuAD's answers, blank ones aside. Other
/// cells may only look like a list, which is told. Other files than tables have lists of their own.
pub fn are_lists(rows: &[Record], field: &str) -> bool {
    let Some(first) = rows.first().filter(|row| is_table(&row.path)) else { return false };
    let cells = rows.iter().filter_map(|row| row.optional(field).and_then(Value::as_str));
    let cells: Vec<&str> = cells.filter(|cell| !cell.trim().is_empty()).collect();
    let lists = cells.iter().filter(|cell| texts_in_text(cell).is_some()).count();
    let name = field.rsplit('.').next().unwrap_or(field);
    if lists == cells.len() && matches!(name.to_lowercase().as_str(), "references" | "answers") {
        return lists > 0;
    }
    let is_alike = |cell: &&&str| texts_in_text(cell).is_some() || is_numpy_list(cell);
    let alike = cells.iter().filter(is_alike).count();
    if alike > 0 {
        note(format!(
            "note: {}: {alike} of {} cells of `{field}` look like lists, and each is read as one text: JSON Lines has lists",
            first.path.display(),
            rows.len()
        ));
    }
    false
}

/// The texts of a text that is a list or SQuAD's answers.
fn texts_in_text(text: &str) -> Option<Vec<String>> {
    texts_of(&value_in_text(text)?)
}

/// Whether a file is a table by its name, by which scoring tells tables from lines.
fn is_table(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    [".csv", ".tsv", ".tab"].iter().any(|end| name.contains(end))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn rows(path: &str, name: &str, cells: &[&str]) -> Vec<Record> {
        let row = |(at, cell): (usize, &&str)| {
            let fields = json!({ name: cell }).as_object().cloned().unwrap_or_default();
            Record::new(Arc::from(Path::new(path)), at + 1, fields)
        };
        cells.iter().enumerate().map(row).collect()
    }

    #[test]
    fn cells_are_lists_where_each_is_one_and_the_name_says_so() {
        let of = |name: &str, cells: &[&str]| {
            let all = rows("p.csv", name, cells);
            are_lists(&all, name)
                .then(|| all.iter().map(|row| texts_in_cell(row, name).unwrap()).collect())
        };
        let several = vec![vec!["a".to_owned(), "b".to_owned()], vec!["c".to_owned()]];
        assert_eq!(of("references", &["[\"a\", \"b\"]", "['c']"]), Some(several.clone()));
        let squad = ["{'text': array(['a', 'b'], dtype=object)}", "{\"text\": [\"c\"]}"];
        assert_eq!(of("input.answers", &squad), Some(several.clone()));
        assert_eq!(of("Answers", &squad), Some(several));
        assert_eq!(of("references", &["[\"a\"]", "[sic] b"]), None);
        assert_eq!(of("target", &["[\"a\"]", "[\"b\"]"]), None);
        assert_eq!(of("references", &["a", "b"]), None);
        // A row without one.
        let blank = of("references", &["[\"a\"]", ""]).unwrap();
        assert_eq!(blank[1], [""]);
    }

    #[test]
    fn texts_of_json_are_no_cells() {
        let are = |path| are_lists(&rows(path, "references", &["[\"a\"]"]), "references");
        assert!(are("p.csv") && are("p.TSV.gz") && are("x/p.tab"));
        assert!(!are("p.jsonl") && !are("p.json") && !are("csv/p.parquet"));
    }
}
