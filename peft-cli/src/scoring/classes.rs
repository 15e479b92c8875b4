//! Classes, a row each: predictions, references, and the groups of rows that belong together.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
};

use clap::Args;
use peft_core::{
    Error, Result,
    text::{Record, label_text, text_lines},
};

use super::{
    Kind, counts,
    fields::{self, FieldArgs},
    source::{Source, is_blank},
};

/// Flags of metrics of classes.
#[derive(Args, Clone, Debug, Default)]
pub struct ClassArgs {
    /// The class that f1, precision, recall and f1_by_group are of. [default: 1 or true]
    #[arg(long, value_name = "CLASS", allow_hyphen_values = true)]
    pub positive: Option<String>,
    /// For f1_by_group and exact_match_by_group: a file with the name of a group on each line.
    #[arg(long, value_name = "FILE", conflicts_with = "group_field")]
    pub groups: Option<PathBuf>,
    /// The same: the field of the references' rows that names the group, such as the question.
    #[arg(long, value_name = "NAME")]
    pub group_field: Option<String>,
}

/// Predicted classes or numbers, and those that are right.
#[derive(Clone, Debug)]
pub struct Pairs {
    /// What is predicted.
    pub predictions: Vec<String>,
    /// What is right.
    pub references: Vec<String>,
    /// The file of the predictions, and their lines.
    pub places: [Places; 2],
}

/// Where values stand.
#[derive(Clone, Debug)]
pub struct Places {
    path: PathBuf,
    lines: Vec<usize>,
}

impl Places {
    fn error(&self, at: usize, message: String) -> Error {
        Error::data(&self.path, self.lines.get(at).copied().unwrap_or(1), message)
    }
}

/// Reads both sides, a value a row.
///
/// # Errors
///
/// [`Error::Mismatch`] if their numbers differ, [`Error::Data`] for rows without the field and references without a value.
pub fn read(
    predictions: &Source,
    references: Option<&Source>,
    kind: Kind,
    args: &FieldArgs,
) -> Result<Pairs> {
    let own = references.is_none();
    let references = references.unwrap_or(predictions);
    let count = counts::of_both(predictions, references)?;
    let (found, found_at) =
        column(predictions, count, |rows| fields::prediction(rows, kind, args))?;
    let (wanted, wanted_at) =
        column(references, count, |rows| fields::reference(rows, kind, args, own))?;
    if let Some(at) = wanted.iter().position(String::is_empty) {
        return Err(wanted_at.error(at, "found no value, expected a reference".to_owned()));
    }
    let mut pairs = Pairs { predictions: found, references: wanted, places: [found_at, wanted_at] };
    if let Some(order) = order_by_id(predictions, references)? {
        pairs.references = order.iter().map(|at| pairs.references[*at].clone()).collect();
        pairs.places[1].lines = order.iter().map(|at| pairs.places[1].lines[*at]).collect();
    }
    Ok(pairs)
}

/// The values of a file, and where they stand.
fn column(
    source: &Source,
    count: usize,
    field: impl Fn(&[Record]) -> Result<String>,
) -> Result<(Vec<String>, Places)> {
    let path = source.path().to_path_buf();
    match source {
        Source::Lines(_, lines) => {
            let own = |line: &String| {
                // As the same value is read from a row.
                label_text(&line.trim().into()).unwrap_or_default()
            };
            let values = lines.iter().take(count).map(own).collect();
            Ok((values, Places { path, lines: (1..=count).collect() }))
        }
        Source::Rows(_, rows) => {
            let field = field(rows)?;
            let values =
                rows.iter().map(|row| fields::plain(row, &field)).collect::<Result<_>>()?;
            Ok((values, Places { path, lines: rows.iter().map(|row| row.line).collect() }))
        }
    }
}

/// Where the reference of each prediction stands, if both have ids and these are in another order.
///
/// # Errors
///
/// [`Error::Data`] at a prediction whose id no reference has.
pub fn order_by_id(predictions: &Source, references: &Source) -> Result<Option<Vec<usize>>> {
    let (Some(found), Some(wanted)) = (predictions.rows(), references.rows()) else {
        return Ok(None);
    };
    let ids = |rows: &[Record]| rows.iter().map(fields::id).collect::<Option<Vec<_>>>();
    let (Some(found_ids), Some(wanted_ids)) = (ids(found), ids(wanted)) else { return Ok(None) };
    let are_distinct = |ids: &[String]| ids.iter().collect::<BTreeSet<_>>().len() == ids.len();
    if found_ids == wanted_ids || !are_distinct(&found_ids) || !are_distinct(&wanted_ids) {
        return Ok(None);
    }
    let places: HashMap<&String, usize> =
        wanted_ids.iter().enumerate().map(|(at, id)| (id, at)).collect();
    let place = |(row, id): (&Record, &String)| {
        places.get(id).copied().ok_or_else(|| {
            let path = references.path().display();
            row.error(format!("found the id `{id}`, which no row of {path} has"))
        })
    };
    found.iter().zip(&found_ids).map(place).collect::<Result<Vec<_>>>().map(Some)
}

impl Pairs {
    /// The class whose F1 is wanted.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if none was named and no reference is 1 or true, or if none has that name.
    pub fn positive(&self, args: &ClassArgs) -> Result<String> {
        let known: BTreeSet<&str> =
            self.references.iter().chain(&self.predictions).map(String::as_str).collect();
        let shown = || {
            const MOST: usize = 10;
            let names: Vec<&str> = known.iter().copied().take(MOST).collect();
            let more = if known.len() > MOST { ", ..." } else { "" };
            format!("{}{more}", names.join(", "))
        };
        if let Some(given) = &args.positive {
            return match known.contains(given.as_str()) {
                true => Ok(given.clone()),
                false => {
                    let message = format!("found `{given}`, expected one of: {}", shown());
                    Err(Error::setting("--positive", message))
                }
            };
        }
        let usual = ["1", "true", "True"].into_iter().find(|name| known.contains(name));
        usual.map(str::to_owned).ok_or_else(|| {
            let message = format!("name the class whose score is wanted, one of: {}", shown());
            Error::setting("--positive", message)
        })
    }

    /// The group of each row.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if nothing names them, [`Error::Mismatch`] if they are not as many as the rows.
    pub fn groups(&self, references: &Source, args: &ClassArgs) -> Result<Vec<String>> {
        if let Some(path) = &args.groups {
            let mut lines = text_lines(path)?;
            while lines.len() > self.references.len() && lines.last().is_some_and(|l| is_blank(l)) {
                lines.pop();
            }
            return match lines.len() == self.references.len() {
                true => Ok(lines.iter().map(|line| line.trim().to_owned()).collect()),
                false => Err(Error::file(
                    path,
                    format!(
                        "names {} groups, expected one for each of {} rows",
                        lines.len(),
                        self.references.len()
                    ),
                )),
            };
        }
        match (&args.group_field, references.rows()) {
            (Some(field), Some(rows)) => {
                let by_line: BTreeMap<usize, &Record> =
                    rows.iter().map(|row| (row.line, row)).collect();
                // In the order of the predictions.
                let rows = self.places[1].lines.iter().filter_map(|line| by_line.get(line));
                rows.map(|row| fields::plain(row, field)).collect()
            }
            (Some(_), None) => {
                let message = "the references are lines, which have no fields: give --groups FILE";
                Err(Error::setting("--group-field", message))
            }
            (None, _) => {
                let message = "needed by metrics by group: a file with a group's name on each line, or --group-field NAME";
                Err(Error::setting("--groups", message))
            }
        }
    }

    /// Both sides as numbers.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] at what is no finite number.
    pub fn numbers(&self) -> Result<[Vec<f64>; 2]> {
        let of = |values: &[String], places: &Places| -> Result<Vec<f64>> {
            let number = |(at, text): (usize, &String)| match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(number),
                _ => Err(places.error(at, format!("found `{text}`, expected a number"))),
            };
            values.iter().enumerate().map(number).collect()
        };
        Ok([of(&self.predictions, &self.places[0])?, of(&self.references, &self.places[1])?])
    }
}
