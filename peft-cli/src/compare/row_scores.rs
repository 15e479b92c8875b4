//! What each row adds to the score of a system, from a file of predictions with references.
//!
//! | what a row has | what it adds |
//! |---|---|
//! | the field of `--score`, a number or a boolean | that |
//! | `exact_match`, as `peft eval --predictions` writes it | 1 or 0 |
//! | `label` or `labels`, and `reference` or the same in `input`, as `peft predict` writes them | 1 if they are equal, else 0 |
//! | `tags`, and those of `input` | entities: twice the right ones, of those found and those wanted; other tags: the right ones, of all |
//! | `answer`, and the `answers` of `input` | SQuAD's F1 |

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use peft_core::{
    Error, Result,
    metrics::{RowScore, answer_f1, entities},
    text::{Record, is_boolean, label_text, value_in_text},
};
use serde_json::Value;

use crate::{
    data_files::DataFiles,
    scoring::{check_known, check_whole, id_text, list_of, listed_classes, texts_of},
    training::file_names::PREDICTIONS,
};

/// Which fields are read.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    /// The field that holds the score of a row.
    pub score: Option<String>,
    /// The field of the row, inside `input`, that holds what should have been predicted.
    pub label: Option<String>,
}

impl Fields {
    /// Whether somebody named one.
    pub fn are_given(&self) -> bool {
        self.score.is_some() || self.label.is_some()
    }
}

/// The scores of the rows of a file.
#[derive(Clone, Debug)]
pub struct RowScores {
    /// The file.
    pub path: PathBuf,
    /// What is scored.
    pub what: String,
    /// What tells rows apart: their id, else what they were.
    keys: Vec<(usize, String)>,
    /// The scores, in the order of the rows.
    pub rows: Vec<RowScore>,
}

impl RowScores {
    /// Reads a file of predictions.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] naming the line that has no score; as [`DataFiles::find`].
    pub fn read(path: &Path, fields: &Fields) -> Result<Self> {
        let mut found = Self {
            path: path.to_path_buf(),
            what: String::new(),
            keys: Vec::new(),
            rows: Vec::new(),
        };
        let records: Vec<Record> =
            DataFiles::find(&[path], None, false)?.rows().collect::<Result<_>>()?;
        let Some(first) = records.first() else {
            return Err(Error::file(path, "holds no rows, expected predictions"));
        };
        check_whole(path, &records)?;
        let kind = Kind::of(first, fields, records.iter())?;
        for record in &records {
            let score = kind.score(record)?;
            if !(score.numerator.is_finite() && score.denominator.is_finite()) {
                return Err(record.error("has a score that is no number"));
            }
            found.rows.push(score);
            found.keys.push((record.line, key(record)?));
        }
        kind.check_known(&records)?;
        found.what = kind.name();
        Ok(found)
    }

    /// The file of predictions in the folder of a run, if there is one.
    pub fn in_folder(run: &Path) -> Option<PathBuf> {
        PREDICTIONS.into_iter().map(|name| run.join(name)).find(|path| path.is_file())
    }

    /// Checks that two files are about the same rows.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] naming where they differ.
    pub fn check_same_rows(&self, other: &Self) -> Result<()> {
        let (one, two) = (self.path.display(), other.path.display());
        let refuse = |what: String| Err(Error::Mismatch(what));
        if self.what != other.what {
            // The one kind that the program itself writes in two ways.
            let is_of_text = |found: &Self| found.what == EXACT_MATCH;
            let way_out = match is_of_text(self) != is_of_text(other) {
                true => {
                    "; the classes of a language model as labels are those of `peft predict --rank-classes`"
                }
                false => "",
            };
            return refuse(format!(
                "{one} gives the {} of its rows, {two} their {}: rows that are scored alike are compared{way_out}",
                self.what, other.what
            ));
        }
        if self.rows.len() != other.rows.len() {
            return refuse(format!(
                "{one} has {} rows, {two} has {}: predictions for the same rows are compared, in the same order",
                self.rows.len(),
                other.rows.len()
            ));
        }
        let differing = self.keys.iter().zip(&other.keys).find(|((_, a), (_, b))| a != b);
        match differing {
            Some(((a, _), (b, _))) => refuse(format!(
                "{one}, line {a}, and {two}, line {b}, are about different rows: predictions for the same rows are \
                 compared, in the same order"
            )),
            None => Ok(()),
        }
    }
}

/// How rows of `exact_match` are called.
const EXACT_MATCH: &str = "exact match";

/// How a row is scored.
enum Kind {
    Field(String),
    Label { found: &'static str, wanted: String },
    Entities(String),
    Tags(String),
    Answer(String),
}

impl Kind {
    /// What the first row says, and for tags all `rows`.
    fn of<'a>(
        first: &Record,
        fields: &Fields,
        mut rows: impl Iterator<Item = &'a Record>,
    ) -> Result<Self> {
        if let Some(name) = &fields.score {
            first.get(name)?;
            return Ok(Self::Field(name.clone()));
        }
        let of_input = |usual: &str| format!("input.{}", fields.label.as_deref().unwrap_or(usual));
        if first.has("exact_match") {
            return Ok(Self::Field("exact_match".to_string()));
        }
        for (found, usual) in [("label", "label"), ("labels", "labels")] {
            if first.has(found) {
                // Where `input` has another name or a number for the class.
                let is_named = fields.label.is_none() && rows.any(|row| row.has("reference"));
                let wanted = if is_named { "reference".to_string() } else { of_input(usual) };
                return Ok(Self::Label { found, wanted });
            }
        }
        if first.has("tags") {
            let wanted = of_input("tags");
            let is_tag = |tag: &String| {
                tag == "O" || matches!(tag.get(..2), Some("B-" | "I-" | "E-" | "S-"))
            };
            let all = rows.try_fold(true, |all, row| {
                Ok::<bool, Error>(all && row.strings(&wanted)?.iter().all(is_tag))
            })?;
            return Ok(if all { Self::Entities(wanted) } else { Self::Tags(wanted) });
        }
        // A question may have no answer.
        if first.value("answer").is_some() || first.has("has_answer") {
            return Ok(Self::Answer(of_input("answers")));
        }
        Err(first.error(
            "holds neither `exact_match`, `label`, `labels`, `tags` nor `answer`: expected predictions as `peft predict` or \
             `peft eval --predictions` write them, or set `score` to the field that holds the score of a row",
        ))
    }

    fn name(&self) -> String {
        match self {
            Self::Field(name) => name.replace('_', " "),
            Self::Label { .. } => "accuracy".to_string(),
            Self::Entities(_) => "entity F1".to_string(),
            Self::Tags(_) => "accuracy of tags".to_string(),
            Self::Answer(_) => "F1 of answers".to_string(),
        }
    }

    /// Refuses labels none of which is a class of the predictions.
    fn check_known(&self, rows: &[Record]) -> Result<()> {
        let Self::Label { found, wanted } = self else { return Ok(()) };
        let of = |name: &str| -> BTreeSet<String> {
            rows.iter().filter_map(|row| row.optional(name)).flat_map(texts).collect()
        };
        let listed = listed_classes(rows).into_iter().map(spelled).collect();
        check_known(&of(found), &listed, &of(wanted))
    }

    fn score(&self, row: &Record) -> Result<RowScore> {
        match self {
            Self::Field(name) => number(row, name).map(RowScore::of),
            Self::Label { found, wanted } => {
                let is_right = texts(row.get(found)?) == texts(wanted_of(row, wanted)?);
                Ok(RowScore::of(f64::from(u8::from(is_right))))
            }
            Self::Tags(wanted) => {
                let (found, wanted) = tags(row, wanted)?;
                let right = found.iter().zip(&wanted).filter(|(a, b)| a == b).count();
                Ok(RowScore { numerator: right as f64, denominator: wanted.len() as f64 })
            }
            Self::Entities(wanted) => {
                let (found, wanted) = tags(row, wanted)?;
                let (found, wanted) = (entities(&found), entities(&wanted));
                let right = found.iter().filter(|entity| wanted.contains(entity)).count();
                Ok(RowScore {
                    numerator: 2.0 * right as f64,
                    denominator: (found.len() + wanted.len()) as f64,
                })
            }
            Self::Answer(wanted) => {
                let found = row.optional("answer").and_then(Value::as_str).unwrap_or_default();
                let answers = answers(row, wanted)?;
                Ok(RowScore::of(match answers.is_empty() {
                    true => f64::from(u8::from(found.is_empty())),
                    false => answer_f1(found, &answers),
                }))
            }
        }
    }
}

fn wanted_of<'a>(row: &'a Record, name: &str) -> Result<&'a Value> {
    row.optional(name).ok_or_else(|| {
        row.error(format!(
            "holds no `{name}`, which should have been predicted: set `label_field` to what it is called in the rows; \
             `peft predict` leaves the fields of rows out with `omit_input`"
        ))
    })
}

fn number(row: &Record, name: &str) -> Result<f64> {
    let value = row.get(name)?;
    let text = |text: &str| match text {
        "true" => Some(1.0),
        "false" => Some(0.0),
        text => text.trim().parse().ok(),
    };
    let found = match value {
        Value::Bool(value) => Some(f64::from(u8::from(*value))),
        Value::String(cell) => text(cell),
        other => other.as_f64(),
    };
    found.ok_or_else(|| {
        row.error(format!("field `{name}`: found {value}, expected a number or a boolean"))
    })
}

/// Tags that were found and those that are wanted, one a word. A word that was cut off has none (`null`), which is O.
fn tags(row: &Record, wanted: &str) -> Result<(Vec<String>, Vec<String>)> {
    wanted_of(row, wanted)?;
    let found = match row.get("tags")? {
        Value::Array(found) if found.iter().all(|tag| tag.is_null() || tag.is_string()) => {
            found.iter().map(|tag| tag.as_str().unwrap_or("O").to_string()).collect()
        }
        // A table has them as a text.
        _ => row.strings("tags")?,
    };
    let wanted = row.strings(wanted)?;
    match found.len() == wanted.len() {
        true => Ok((found, wanted)),
        false => Err(row.error(format!("holds {} tags, {} are wanted", found.len(), wanted.len()))),
    }
}

/// A label with one spelling for each boolean.
fn spelled(label: String) -> String {
    if is_boolean(&label) { label.to_lowercase() } else { label }
}

/// Labels as texts, in any order.
fn texts(value: &Value) -> Vec<String> {
    // Numbers by their value, as labels are read.
    let one = |value: &Value| {
        let own = || value.as_str().map_or_else(|| value.to_string(), str::to_string);
        spelled(label_text(value).unwrap_or_else(own))
    };
    // A table has lists as texts.
    let mut found: Vec<String> = match list_of(value) {
        Some(values) => values.iter().map(one).collect(),
        None => vec![one(value)],
    };
    found.sort_unstable();
    found
}

/// The texts of SQuAD's answers, or of a list; none where there is no answer.
fn answers(row: &Record, name: &str) -> Result<Vec<String>> {
    let value = match row.value(name) {
        Some(Value::Null) => return Ok(Vec::new()),
        _ => wanted_of(row, name)?,
    };
    // A table has lists and objects as text.
    let found = match value.as_str().map(str::trim_start) {
        Some("") => return Ok(Vec::new()),
        Some(text) if text.starts_with(['[', '{']) => {
            value_in_text(text).as_ref().and_then(texts_of)
        }
        _ => texts_of(value),
    };
    found.ok_or_else(|| {
        let shown: String = value.to_string().chars().take(80).collect();
        row.error(format!(
            "field `{name}`: found {shown}, expected answers: a list of texts, or an object with `text`"
        ))
    })
}

/// What tells a row from others.
fn key(row: &Record) -> Result<String> {
    let input = || row.optional("input").map(|value| texts(value).concat());
    Ok(id_text(row).or_else(input).unwrap_or_default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    fn read(text: &str, fields: &Fields) -> Result<RowScores> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("predictions.jsonl");
        fs::write(&path, text).unwrap();
        RowScores::read(&path, fields)
    }

    fn scores(text: &str) -> (String, Vec<(f64, f64)>) {
        let found = read(text, &Fields::default()).unwrap();
        (found.what, found.rows.iter().map(|row| (row.numerator, row.denominator)).collect())
    }

    #[test]
    fn each_kind_of_prediction_has_a_score() {
        let of = |kind: &str, rows: &[(f64, f64)]| (kind.to_string(), rows.to_vec());
        for (text, expected) in [
            (
                r#"{"label": "a", "input": {"label": "a"}}
                {"label": 1, "input": {"label": "1"}}
                {"label": "b", "input": {"label": "a"}}"#,
                of("accuracy", &[(1.0, 1.0), (1.0, 1.0), (0.0, 1.0)]),
            ),
            (
                r#"{"label": "1", "input": {"label": 1.0}}
                {"label": 0, "input": {"label": "1"}}"#,
                of("accuracy", &[(1.0, 1.0), (0.0, 1.0)]),
            ),
            (
                r#"{"label": "pos", "reference": "pos", "input": {"label": 1}}
                {"label": "pos", "reference": "neg", "input": {"label": 0}}"#,
                of("accuracy", &[(1.0, 1.0), (0.0, 1.0)]),
            ),
            (
                r#"{"labels": ["a", "b"], "input": {"labels": ["b", "a"]}}"#,
                of("accuracy", &[(1.0, 1.0)]),
            ),
            (
                r#"{"labels": "[\"a\",\"b\"]", "reference": ["b", "a"]}
                {"labels": "[]", "reference": ["a"]}
                {"labels": "['a', 'b']", "reference": ["b", "a"]}"#,
                of("accuracy", &[(1.0, 1.0), (0.0, 1.0), (1.0, 1.0)]),
            ),
            (
                r#"{"label": "True", "input": {"label": true}}
                {"label": "True", "input": {"label": false}}"#,
                of("accuracy", &[(1.0, 1.0), (0.0, 1.0)]),
            ),
            (
                r#"{"output": "x", "exact_match": true}
                {"output": "y", "exact_match": false}"#,
                of("exact match", &[(1.0, 1.0), (0.0, 1.0)]),
            ),
            (
                r#"{"tags": ["B-x", "I-x", "O"], "input": {"tags": ["B-x", "I-x", "B-y"]}}"#,
                of("entity F1", &[(2.0, 3.0)]),
            ),
            (
                r#"{"tags": ["B-x", null], "input": {"tags": ["B-x", "O"]}}"#,
                of("entity F1", &[(2.0, 2.0)]),
            ),
            (
                r#"{"tags": ["NN", "VB"], "input": {"tags": ["NN", "NN"]}}"#,
                of("accuracy of tags", &[(1.0, 2.0)]),
            ),
            (
                r#"{"answer": "the cat", "input": {"answers": {"text": ["cat"], "answer_start": [3]}}}
                {"answer": null, "has_answer": false, "input": {"answers": {"text": [], "answer_start": []}}}"#,
                of("F1 of answers", &[(1.0, 1.0), (1.0, 1.0)]),
            ),
            // As a table has them, and a row that was read from one.
            (
                r#"{"answer": "the cat", "input": {"answers": "{'text': array(['cat'], dtype=object), 'answer_start': array([3])}"}}
                {"answer": "the cat", "input": {"answers": "{\"text\": [\"cat\"], \"answer_start\": [3]}"}}
                {"answer": "a dog", "input": {"answers": "['cat', 'dog']"}}
                {"answer": "the cat", "input": {"answers": "{'text': [], 'answer_start': []}"}}
                {"answer": null, "has_answer": false, "input": {"answers": null}}
                {"answer": "", "input": {"answers": ""}}"#,
                of(
                    "F1 of answers",
                    &[(1.0, 1.0), (1.0, 1.0), (1.0, 1.0), (0.0, 1.0), (1.0, 1.0), (1.0, 1.0)],
                ),
            ),
        ] {
            assert_eq!(scores(text), expected, "{text}");
        }
        let named = Fields { label: Some("intent".into()), ..Fields::default() };
        let found = read(r#"{"label": "a", "input": {"intent": "a"}}"#, &named).unwrap();
        assert_eq!(found.rows, [RowScore::of(1.0)]);
        let named = Fields { score: Some("bleu".into()), ..Fields::default() };
        assert_eq!(read(r#"{"bleu": 0.25}"#, &named).unwrap().rows, [RowScore::of(0.25)]);
    }

    #[test]
    fn what_is_no_prediction_is_said_with_its_line() {
        let said = |text: &str| read(text, &Fields::default()).unwrap_err().to_string();
        for (text, says) in [
            ("", "holds no records"),
            ("{\"a\": 1}\n", "line 1: holds neither `exact_match`"),
            (
                "{\"label\": 1, \"input\": {\"label\": 1}}\n{\"label\": 1}\n",
                "line 2: holds no `input.label`",
            ),
            (
                "{\"label\": \"pos\", \"input\": {\"label\": 1}}\n{\"label\": \"neg\", \"input\": {\"label\": 0}}\n",
                "found the references 0, 1, none of which is a class of the predictions (neg, pos)",
            ),
            ("{\"exact_match\": \"x\"}\n", "found \"x\", expected a number or a boolean"),
            (
                "{\"answer\": \"a\", \"input\": {\"answers\": \"{'text': ['a' 'b']}\"}}\n",
                "line 1: field `input.answers`: found \"{'text': ['a' 'b']}\", expected answers",
            ),
            ("{\"answer\": \"a\", \"input\": {}}\n", "line 1: holds no `input.answers`"),
            (
                "{\"tags\": [\"O\"], \"input\": {\"tags\": [\"O\", \"O\"]}}\n",
                "holds 1 tags, 2 are wanted",
            ),
        ] {
            let found = said(text);
            assert!(found.contains(says), "{found}");
        }
        let (a, b) = (
            r#"{"id": 1, "exact_match": true}
            {"id": 2, "exact_match": true}"#,
            r#"{"id": 1, "exact_match": true}
            {"id": 3, "exact_match": true}"#,
        );
        let [a, b] = [a, b].map(|text| read(text, &Fields::default()).unwrap());
        let message = a.check_same_rows(&b).unwrap_err().to_string();
        assert!(message.contains("line 2, and") && message.contains("different rows"), "{message}");
        a.check_same_rows(&a).unwrap();
    }
}
