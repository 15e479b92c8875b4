//! Texts, each with one or more references.

use peft_core::{Error, Result, metrics::Segment, text::Record};
use serde_json::Value;

use super::{
    Kind, cells,
    counts::{self, Count},
    fields::{self, FieldArgs},
    ids,
    source::{Source, blocks, is_blank},
};
use crate::output::note;

/// The predictions with their references.
///
/// References are a line each, or lines in groups that blank lines separate; or rows with a text or a list of texts.
/// Where several rows have the same input, and there are as many inputs as predictions, their texts are of one
/// prediction.
///
/// # Errors
///
/// [`Error::Mismatch`] if they are not equally many, [`Error::Data`] for rows without the field.
pub fn read(
    predictions: &Source,
    references: Option<&Source>,
    args: &FieldArgs,
) -> Result<Vec<Segment>> {
    let own = references.is_none();
    let references = references.unwrap_or(predictions);
    let lists = match references {
        Source::Lines(_, lines) => of_lines(predictions, references, lines)?,
        Source::Rows(_, rows) => {
            let field = fields::reference(rows, Kind::Text, args, own)?;
            of_rows(predictions, references, rows, &field, args)?
        }
    };
    let texts = texts(predictions, lists.len(), args)?;
    Ok(texts.into_iter().zip(lists).map(|(text, list)| Segment::new(text, list)).collect())
}

/// The predicted texts.
fn texts(source: &Source, count: usize, args: &FieldArgs) -> Result<Vec<String>> {
    match source {
        Source::Lines(_, lines) => {
            counts::tell_left_out(source, count);
            Ok(lines.iter().take(count).cloned().collect())
        }
        Source::Rows(_, rows) => {
            let field = fields::prediction(rows, Kind::Text, args)?;
            // Of texts that look like lists, which a model may have written, it is told how they are read.
            cells::are_lists(rows, &field);
            rows.iter().map(|row| first_text(row, &field)).collect()
        }
    }
}

/// The text of a prediction; of several that were generated, the first, which is the best.
fn first_text(row: &Record, field: &str) -> Result<String> {
    let all = fields::texts(row, field)?;
    all.into_iter().next().ok_or_else(|| row.error(format!("field `{field}`: found no text")))
}

/// The references of lines.
fn of_lines(
    predictions: &Source,
    references: &Source,
    lines: &[String],
) -> Result<Vec<Vec<String>>> {
    let count = Count::of(predictions);
    let blocks = blocks(lines);
    let trimmed = |block: &[String]| block.iter().map(|line| line.trim().to_owned()).collect();
    let groups = || blocks.iter().map(|(_, block)| trimmed(block)).collect();
    let are_lines = counts::are_same_lines(predictions, references);
    if blocks.len() > 1 && count.may_be(blocks.len()) && !are_lines {
        return Ok(groups());
    }
    if let Some(common) = count.common(Count::of(references)) {
        if common == 0 {
            return Err(counts::nothing(predictions, references));
        }
        let lines = &lines[..common];
        let blank = lines.iter().filter(|line| is_blank(line)).count();
        if blank > 0 && blocks.len() > 1 {
            let path = references.path().display();
            note(format!(
                "note: {path}: a reference a line, of which {blank} are empty, since there are as many predictions"
            ));
        }
        return Ok(lines.iter().map(|line| vec![line.clone()]).collect());
    }
    // All lines are of one prediction.
    if blocks.len() == 1 && count.may_be(1) {
        return Ok(groups());
    }
    let wanted = match blocks.len() {
        0 | 1 => format!("{} lines of", blocks.first().map_or(0, |(_, block)| block.len())),
        several => match empty_group(lines) {
            Some(line) => format!("(beside an empty group in line {line}) {several} groups of"),
            None => format!("{several} groups of"),
        },
    };
    Err(counts::differ(predictions, references, &wanted, "references"))
}

/// The line of a second blank line between groups.
fn empty_group(lines: &[String]) -> Option<usize> {
    let first = lines.iter().position(|line| !is_blank(line))?;
    let last = lines.iter().rposition(|line| !is_blank(line))?;
    let pairs = lines[first..=last].windows(2);
    pairs
        .into_iter()
        .position(|pair| is_blank(&pair[0]) && is_blank(&pair[1]))
        .map(|at| first + at + 2)
}

/// The references of rows.
fn of_rows(
    predictions: &Source,
    references: &Source,
    rows: &[Record],
    field: &str,
    args: &FieldArgs,
) -> Result<Vec<Vec<String>>> {
    let count = Count::of(predictions);
    let are_lists = cells::are_lists(rows, field);
    let texts = |row: &Record| -> Result<Vec<String>> {
        let found = match are_lists {
            true => cells::texts_in_cell(row, field)?,
            false => fields::texts(row, field)?,
        };
        match found.is_empty() {
            true => Err(row.error(format!("field `{field}`: found no reference"))),
            false => Ok(found),
        }
    };
    if count.may_be(rows.len()) {
        let lists: Vec<_> = rows.iter().map(texts).collect::<Result<_>>()?;
        return Ok(match ids::order(predictions, references, args)? {
            Some(order) => order.into_iter().map(|at| lists[at].clone()).collect(),
            None => lists,
        });
    }
    // As `eval` generates them: once for each input.
    let mut inputs: Vec<(&Record, Vec<String>)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for row in rows {
        let mut input = row.fields.clone();
        input.remove(field);
        let key = Value::Object(input).to_string();
        let at = *places.entry(key).or_insert(inputs.len());
        if at == inputs.len() {
            inputs.push((row, Vec::new()));
        }
        inputs[at].1.extend(texts(row)?);
    }
    match count.may_be(inputs.len()) {
        true => {
            let (first, lists): (Vec<&Record>, Vec<Vec<String>>) = inputs.into_iter().unzip();
            let found = predictions.rows().unwrap_or_default();
            Ok(match ids::join(found, &first, args)? {
                Some(order) => order.into_iter().map(|at| lists[at].clone()).collect(),
                None => lists,
            })
        }
        false => {
            let wanted = match inputs.len() == rows.len() {
                true => format!("{} rows of", rows.len()),
                false => format!("{} rows with {} inputs, of", rows.len(), inputs.len()),
            };
            Err(counts::differ(predictions, references, &wanted, "references"))
        }
    }
}

/// The error of rows whose predictions are token ids.
pub fn refuse_ids(source: &Source) -> Result<()> {
    let Some(row) = source.rows().and_then(<[Record]>::first) else { return Ok(()) };
    match row.has("output_ids") && !row.has("output") {
        true => Err(Error::data(
            &row.path,
            row.line,
            "holds token ids, and these metrics are of texts: generate with a model that has a tokenizer",
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn lines(text: &str) -> Source {
        Source::Lines(PathBuf::from("f"), text.split_terminator('\n').map(str::to_owned).collect())
    }

    fn of(predictions: &str, references: &str) -> Result<Vec<Vec<String>>> {
        let segments = read(&lines(predictions), Some(&lines(references)), &FieldArgs::default())?;
        Ok(segments.into_iter().map(|segment| segment.references).collect())
    }

    #[test]
    fn references_are_lines_or_groups_of_them() {
        assert_eq!(of("a\nb\n", "x\ny\n").unwrap(), [["x"], ["y"]]);
        assert_eq!(of("a\nb\n", "x\ny\n\nz\n\n").unwrap(), [vec!["x", "y"], vec!["z"]]);
        assert_eq!(of("a\nb\n", "\n x \n\n\n\nz\r\n").unwrap(), [vec!["x"], vec!["z"]]);
        assert_eq!(of("a", "x\ny\n").unwrap(), [vec!["x", "y"]]);
        // An empty prediction, and an empty reference.
        assert_eq!(of("a\n\n", "x\n\ny\n").unwrap(), [["x"], ["y"]]);
        assert_eq!(of("a\nb\nc", "x\n\ny\n").unwrap(), [["x"], [""], ["y"]]);
        assert_eq!(of("a\n\n\n", "x\n").unwrap(), [["x"]]);
        // As many lines, the last prediction empty.
        assert_eq!(of("a\nb\n\n", "x\n\ny\n").unwrap(), [["x"], [""], ["y"]]);
    }

    #[test]
    fn other_numbers_are_told() {
        let refusal = |p: &str, r: &str| of(p, r).unwrap_err().to_string();
        assert_eq!(
            refusal("a\nb", "x\ny\nz"),
            "found 2 predictions in f, but 3 lines of references in f"
        );
        assert_eq!(
            refusal("a\nb\nc\nd", "x\n\ny"),
            "found 4 predictions in f, but 2 groups of references in f"
        );
        let empty = refusal("a\nb\nc", "x\n\n\ny");
        assert!(empty.contains("an empty group in line 3"), "{empty}");
        assert!(refusal("", "").contains("holds nothing to score"));
    }
}
