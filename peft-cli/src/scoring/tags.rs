//! Tagged sentences.

use peft_core::{
    Error, Result,
    metrics::entities,
    text::{Record, list_in_text},
};
use serde_json::Value;

use super::{
    Kind, counts,
    fields::{self, FieldArgs},
    ids,
    source::{Source, blocks, is_blank},
};
use crate::output::note;

/// Tags by sentence: predicted ones and those that are right.
pub type Sentences = (Vec<Vec<String>>, Vec<Vec<String>>);

/// Reads both sides: rows with a list of tags, CoNLL files, lines of tags with blanks between them, each of which is a
/// sentence, or lines of a tag each, of which blank lines make sentences. With `as_lines` any line is a sentence.
///
/// # Errors
///
/// [`Error::Mismatch`] if there are not as many sentences, or if lines of a tag each could be read in two ways that say
/// something else; [`Error::Data`] for a sentence with another number of tags.
pub fn read(
    predictions: &Source,
    references: Option<&Source>,
    args: &FieldArgs,
    as_lines: bool,
) -> Result<Sentences> {
    let own = references.is_none();
    let references = references.unwrap_or(predictions);
    let found = Side::of(predictions, |rows| fields::prediction(rows, Kind::Tags, args))?;
    let wanted = Side::of(references, |rows| fields::reference(rows, Kind::Tags, args, own))?;
    let columns = if as_lines { [false; 2] } else { columns(&found, &wanted)? };
    let (found, wanted) = match columns {
        [false, false] => {
            let count = counts::of_both(predictions, references)?;
            (found.lines(count), wanted.lines(count))
        }
        [of_found, of_wanted] => {
            let of = |side: Side<'_>, is_column| match is_column {
                true => side.blocks(),
                false => side.all_lines(),
            };
            (of(found, of_found), of(wanted, of_wanted))
        }
    };
    if found.tags.len() != wanted.tags.len() {
        return Err(Error::Mismatch(format!(
            "found {} sentences in {}, but {} in {}: lines of a tag each are words, and blank lines stand between sentences; \
             --as-lines takes each line for a sentence",
            found.tags.len(),
            predictions.path().display(),
            wanted.tags.len(),
            references.path().display()
        )));
    }
    let mut wanted = wanted.tags;
    if let Some(order) = ids::order(predictions, references, args)? {
        wanted = order.into_iter().map(|at| wanted[at].clone()).collect();
    }
    for ((found, wanted), line) in found.tags.iter().zip(&wanted).zip(&found.places) {
        if found.len() != wanted.len() {
            let message = format!(
                "found {} tags, expected the {} of its reference",
                found.len(),
                wanted.len()
            );
            return Err(Error::data(predictions.path(), *line, message));
        }
    }
    Ok((found.tags, wanted))
}

/// The sentences of a file, and the line of each.
#[derive(Debug, Default)]
struct Read {
    tags: Vec<Vec<String>>,
    places: Vec<usize>,
}

impl Read {
    /// How many tags each sentence has.
    fn lengths(&self) -> Vec<usize> {
        self.tags.iter().map(Vec::len).collect()
    }
}

/// One of both files.
enum Side<'s> {
    Rows(Read),
    Lines(&'s Source, &'s [String]),
}

impl<'s> Side<'s> {
    fn of(source: &'s Source, field: impl Fn(&[Record]) -> Result<String>) -> Result<Self> {
        let (path, rows) = match source {
            Source::Lines(_, lines) => return Ok(Self::Lines(source, lines)),
            Source::Rows(path, rows) => (path, rows),
        };
        let field = field(rows)?;
        let mut missing = 0;
        let of = |row: &Record| tags(row, &field, &mut missing);
        let tags = rows.iter().map(of).collect::<Result<_>>()?;
        if missing > 0 {
            note(format!("note: {}: {missing} words without a tag count as O", path.display()));
        }
        Ok(Self::Rows(Read { tags, places: rows.iter().map(|row| row.line).collect() }))
    }

    /// The first lines, so many, as a sentence each.
    fn lines(self, count: usize) -> Read {
        match self {
            Self::Rows(read) => read,
            Self::Lines(_, lines) => Read {
                tags: lines.iter().take(count).map(|line| words(line)).collect(),
                places: (1..=count).collect(),
            },
        }
    }

    /// All lines as a sentence each, but for blank ones at the end.
    fn all_lines(self) -> Read {
        let count = match &self {
            Self::Rows(_) => 0,
            Self::Lines(_, lines) => {
                lines.iter().rposition(|line| !is_blank(line)).map_or(0, |last| last + 1)
            }
        };
        self.lines(count)
    }

    /// The lines between blank ones as a sentence, of which each is a word.
    fn blocks(self) -> Read {
        match self {
            Self::Rows(read) => read,
            Self::Lines(source, lines) => {
                note(format!(
                    "note: {}: each line has one tag, that of a word, and blank lines stand between sentences; --as-lines \
                     takes each line for a sentence",
                    source.path().display()
                ));
                let blocks = blocks(lines);
                let tags = |lines: &[String]| lines.iter().flat_map(|line| words(line)).collect();
                Read {
                    tags: blocks.iter().map(|(_, lines)| tags(lines)).collect(),
                    places: blocks.iter().map(|(first, _)| *first).collect(),
                }
            }
        }
    }

    /// The lines, if each has one tag or is blank, as a column of CoNLL has them.
    fn column(&self) -> Option<&'s [String]> {
        let Self::Lines(_, lines) = self else { return None };
        let is_one = |line: &String| line.split_whitespace().nth(1).is_none();
        lines.iter().all(is_one).then_some(*lines)
    }

    /// How many tags each sentence has, if lines are sentences.
    fn lengths(&self) -> Vec<usize> {
        match self {
            Self::Rows(read) => read.lengths(),
            Self::Lines(source, lines) => Self::Lines(source, lines).all_lines().lengths(),
        }
    }
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// Whether the lines of each file are words, and blank lines stand between sentences: a file of a tag a line, beside one with
/// such sentences, or beside another of a tag a line, if either has a blank line between tags. Without one, both files could
/// be one sentence, or hold sentences of one word.
fn columns(found: &Side<'_>, wanted: &Side<'_>) -> Result<[bool; 2]> {
    let fits = |column: &[String], other: &Side<'_>| {
        let of_blocks: Vec<usize> = blocks(column).iter().map(|(_, lines)| lines.len()).collect();
        of_blocks == other.lengths()
    };
    match (found.column(), wanted.column()) {
        (None, None) => Ok([false; 2]),
        (Some(column), None) => Ok([fits(column, wanted), false]),
        (None, Some(column)) => Ok([false, fits(column, found)]),
        (Some(one), Some(two)) => {
            let is_parted = |lines: &[String]| blocks(lines).len() > 1;
            if is_parted(one) || is_parted(two) {
                return Ok([true; 2]);
            }
            match [one, two].into_iter().find(|lines| !is_either(lines)) {
                None => Ok([false; 2]),
                Some(_) => Err(Error::Mismatch(
                    "each line of both files has one tag, and no blank line stands between sentences: lines could be words of \
                     one sentence or sentences of one word, which have other entities; put a blank line between sentences (one \
                     at least), write a sentence a line with blanks between its tags, or set --as-lines if each line is a sentence"
                        .into(),
                )),
            }
        }
    }
}

/// Whether tags are the same entities as words of one sentence and as sentences of one word.
fn is_either(lines: &[String]) -> bool {
    let tags: Vec<&str> =
        lines.iter().map(|line| line.trim()).filter(|tag| !tag.is_empty()).collect();
    let together = entities(&tags);
    let apart = |(at, tag): (usize, &&str)| {
        entities(&[*tag]).into_iter().map(move |one| (one.kind, at, at))
    };
    let apart: Vec<_> = tags.iter().enumerate().flat_map(apart).collect();
    together.into_iter().map(|one| (one.kind, one.start, one.end)).eq(apart)
}

/// The tags of a row: names, or numbers that the file or its data set has names for. A word that was cut off has none
/// (`null`), which is O.
fn tags(row: &Record, field: &str, missing: &mut usize) -> Result<Vec<String>> {
    let value = row.get(field)?;
    let list = match value {
        Value::Array(list) => list.clone(),
        Value::String(text) if text.trim_start().starts_with('[') => {
            list_in_text(text).ok_or_else(|| {
                let shown: String = text.chars().take(80).collect();
                row.error(format!(
                    "field `{field}`: found `{shown}`, expected a list of tags, as [\"O\", \"B-PER\"], or tags with \
                     blanks between"
                ))
            })?
        }
        // A table may have them with blanks between.
        Value::String(text) => text.split_whitespace().map(Value::from).collect(),
        _ => return Err(row.error(format!("field `{field}`: expected a list of tags"))),
    };
    let names = row.class_names(field).map_or(&[] as &[String], |known| &known.names);
    let tag = |value: &Value| -> Result<String> {
        let name = |number: u64| names.get(usize::try_from(number).ok()?).cloned();
        match value {
            Value::Null => {
                *missing += 1;
                Ok("O".to_owned())
            }
            Value::String(tag) => Ok(tag.trim().to_owned()),
            Value::Number(number) => number.as_u64().and_then(name).ok_or_else(|| {
                row.error(format!(
                    "field `{field}`: found the number {number}, expected the name of a tag"
                ))
            }),
            _ => Err(row.error(format!("field `{field}`: expected a list of tags"))),
        }
    };
    list.iter().map(tag).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{path::Path, sync::Arc};

    use serde_json::json;

    use super::*;

    /// What is read of the lines of two files.
    fn read_lines(found: &str, wanted: &str, as_lines: bool) -> Result<Sentences, String> {
        let source = |name: &str, text: &str| {
            Source::Lines(name.into(), text.lines().map(str::to_owned).collect())
        };
        let (found, wanted) = (source("p", found), source("r", wanted));
        read(&found, Some(&wanted), &FieldArgs::default(), as_lines)
            .map_err(|error| error.to_string())
    }

    fn lengths(sentences: &[Vec<String>]) -> Vec<usize> {
        sentences.iter().map(Vec::len).collect()
    }

    #[test]
    fn a_blank_line_is_an_empty_sentence_among_sentences_of_a_line() {
        let (found, wanted) = read_lines("O O\n\nB-X\n", "O B-X\n\nO\n\n", false).unwrap();
        assert_eq!((lengths(&found), lengths(&wanted)), (vec![2, 0, 1], vec![2, 0, 1]));
        // One that only one side has is told, not passed over.
        for (found, wanted) in [
            ("O O\n\nB-X\n", "O O\nB-X\n\n"),
            ("O O\nB-X\n\n", "O O\n\nB-X\n"),
            ("O O\n\nB-X O\n", "O O\nB-X O\n"),
            ("\nO O\n", "O O\n\n"),
        ] {
            let said = read_lines(found, wanted, false).unwrap_err();
            assert!(
                said.contains("of its reference") || said.contains("predictions in p"),
                "{said}"
            );
        }
    }

    #[test]
    fn lines_of_a_tag_each_are_words_and_blank_lines_part_them() {
        let column = "B-X\nI-X\n\n\nO\nB-X\n\n";
        let sentences = vec![vec!["B-X".to_owned(), "I-X".into()], vec!["O".into(), "B-X".into()]];
        for wanted in [column, "B-X I-X\nO B-X\n"] {
            for (found, wanted) in [(column, wanted), (wanted, column)] {
                let read = read_lines(found, wanted, false).unwrap();
                assert_eq!(read, (sentences.clone(), sentences.clone()));
            }
        }
        // Each a sentence, if that is said, or if the other file has such.
        let apart = read_lines("I-X\nI-X\n", "I-X\nI-X\n", true).unwrap().0;
        assert_eq!(lengths(&apart), [1, 1]);
        let apart = read_lines("I-X\n\nI-X\n", "I-X\n\nO\n", true).unwrap().0;
        assert_eq!(lengths(&apart), [1, 0, 1]);
        let words = read_lines("O\nO\nB-X\n", "O\nB-X\nB-X\n", false).unwrap().0;
        assert_eq!(lengths(&words), [1, 1, 1], "the same entities in either way");
        // Other sentences, or none that could be told.
        for (found, wanted, says) in [
            (column, "B-X\nI-X\nO\nB-X\n", "found 2 sentences in p, but 1 in r"),
            ("O\n\nO\nO\n", "O\nO\n\nO\n", "p, line 1: found 1 tags, expected the 2"),
            ("B-X\nI-X\n", "O\nO\n", "set --as-lines if each line is a sentence"),
            ("O\nO\n", "B-X\nI-X\n", "set --as-lines if each line is a sentence"),
            (column, "B-X I-X O\nB-X\n", "predictions in p"),
        ] {
            let said = read_lines(found, wanted, false).unwrap_err();
            assert!(said.contains(says), "{said}");
        }
    }

    #[test]
    fn the_sentences_of_rows_say_how_lines_are_meant() {
        let row = |(at, tags): (usize, &Value)| {
            let fields = json!({ "tags": tags }).as_object().cloned().unwrap();
            Record::new(Arc::from(Path::new("p")), at + 1, fields)
        };
        let all = json!([["B-X", "I-X"], ["O"]]);
        let rows =
            Source::Rows("p".into(), all.as_array().unwrap().iter().enumerate().map(row).collect());
        let of = |text: &str| {
            let lines = Source::Lines("r".into(), text.lines().map(str::to_owned).collect());
            read(&rows, Some(&lines), &FieldArgs::default(), false)
                .map(|read| lengths(&read.1))
                .map_err(|error| error.to_string())
        };
        assert_eq!(of("B-X\nI-X\n\nO\n"), Ok(vec![2, 1]));
        assert_eq!(of("B-X I-X\nO\n"), Ok(vec![2, 1]));
        assert!(of("B-X\nI-X\nO\n").unwrap_err().contains("found 2 predictions in p, but 3"));
        assert!(of("B-X\nI-X\n").unwrap_err().contains("p, line 1: found 2 tags, expected the 1"));
    }

    fn of(value: Value) -> Result<(Vec<String>, usize), String> {
        let fields = json!({ "tags": value }).as_object().cloned().unwrap();
        let (row, mut missing) = (Record::new(Arc::from(Path::new("f")), 1, fields), 0);
        let found = tags(&row, "tags", &mut missing).map_err(|error| error.to_string())?;
        Ok((found, missing))
    }

    #[test]
    fn lists_of_tags_are_read_in_each_spelling() {
        let expected = Ok((vec!["B-A".to_owned(), "O".to_owned()], 1));
        for value in [json!(["B-A", null]), json!("[\"B-A\", null]"), json!(" ['B-A', None]")] {
            assert_eq!(of(value.clone()), expected, "{value}");
        }
        assert_eq!(of(json!("B-A O")), expected.map(|(tags, _)| (tags, 0)));
        for text in ["['B-A' 'O']", "[B-A, O]", "['B-A', 'O'"] {
            let said = of(json!(text)).unwrap_err();
            let says = format!("f, line 1: field `tags`: found `{text}`, expected a list of tags");
            assert!(said.contains(&says), "{said}");
        }
    }
}
