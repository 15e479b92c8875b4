//! The lines of all parts in the order of their rows.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use peft_core::{Error, Result};

use super::{
    lines::{Line, read},
    said::Said,
};
use crate::output::grouped;

/// Gaps that a message lists.
const LISTED: usize = 5;

/// All predictions of a run.
#[derive(Clone, Debug)]
pub struct Whole {
    /// The lines as the whole would have been written, without their ends.
    pub lines: Vec<String>,
    /// What each predicts; `None` where lines differ, as those of adapters of several kinds.
    pub said: Option<Said>,
}

impl Whole {
    /// Reads the parts, in any order.
    ///
    /// # Errors
    ///
    /// As the parts' lines are refused; [`Error::Data`] at a line of another run, or of a row that another line is of;
    /// [`Error::Mismatch`] where no line is of a row, or there are none.
    pub fn read(paths: &[PathBuf]) -> Result<Self> {
        let mut rows: BTreeMap<usize, Line> = BTreeMap::new();
        let mut first: Option<Line> = None;
        let mut is_alike = true;
        for path in paths {
            for line in read(path)? {
                let first = first.get_or_insert_with(|| line.clone());
                check_of_run(first, &line)?;
                is_alike &= line.said == first.said;
                if let Some(other) = rows.get(&line.mark.row) {
                    let message = format!(
                        "row {} is that of {}, too: each row belongs to one part; give each part once, and parts of one \
                         division of the rows",
                        line.mark.row,
                        place(other)
                    );
                    return Err(Error::data(&line.at.0, line.at.1, message));
                }
                rows.insert(line.mark.row, line);
            }
        }
        let Some(first) = first else {
            return Err(Error::Mismatch(format!(
                "{} predictions: no file has a line",
                if paths.len() == 1 { "the file holds no" } else { "the files hold no" }
            )));
        };
        check_complete(&rows, first.mark.rows)?;
        let lines = rows.into_values().map(|line| line.text).collect();
        Ok(Self { lines, said: is_alike.then_some(first.said) })
    }
}

fn place(line: &Line) -> String {
    format!("{}, line {}", line.at.0.display(), line.at.1)
}

/// Refuses a line that is not of the run of the first.
fn check_of_run(first: &Line, line: &Line) -> Result<()> {
    let refuse = |message: String| Err(Error::data(&line.at.0, line.at.1, message));
    let is_of_run = line.mark.run == first.mark.run;
    if !is_of_run && line.said != first.said {
        return refuse(format!(
            "predicts {}, where {} predicts {}: they are not parts of one run",
            line.said,
            place(first),
            first.said
        ));
    }
    if line.mark.rows != first.mark.rows {
        return refuse(format!(
            "is of {} rows, where {} is of {}: they are not parts of one run",
            grouped(line.mark.rows),
            place(first),
            grouped(first.mark.rows)
        ));
    }
    if !is_of_run {
        return refuse(format!(
            "is of another run than {}: another model, adapter, data, settings (--batch-size, too) or version of the program; \
             make the part again as the others were made",
            place(first)
        ));
    }
    Ok(())
}

/// Refuses rows of which no line is.
fn check_complete(rows: &BTreeMap<usize, Line>, total: usize) -> Result<()> {
    let missing = total - rows.len();
    if missing == 0 {
        return Ok(());
    }
    let gaps = gaps(rows.keys().copied(), total);
    let shown = |gap: &RangeInclusive<usize>| match gap.start() == gap.end() {
        true => grouped(*gap.start()),
        false => format!("{} to {}", grouped(*gap.start()), grouped(*gap.end())),
    };
    let mut listed: Vec<String> = gaps.iter().take(LISTED).map(shown).collect();
    if gaps.len() > LISTED {
        listed.push(format!("and {} more gaps", gaps.len() - LISTED));
    }
    Err(Error::Mismatch(format!(
        "{} of {} rows are in none of the files: {}; give the parts that hold them, or make these (--shard)",
        grouped(missing),
        grouped(total),
        listed.join(", ")
    )))
}

/// The numbers from 1 to `total` that are missing among `rows`, which are in order.
fn gaps(rows: impl Iterator<Item = usize>, total: usize) -> Vec<RangeInclusive<usize>> {
    let mut next = 1;
    let mut found = Vec::new();
    for row in rows.chain([total + 1]) {
        if row > next {
            found.push(next..=row - 1);
        }
        next = row + 1;
    }
    found
}

/// Refuses rows of data of which there are more or fewer than predictions.
///
/// # Errors
///
/// [`Error::File`] of the first of their files.
pub fn check_rows(path: &Path, rows: usize, predictions: usize) -> Result<()> {
    if rows == predictions {
        return Ok(());
    }
    let message = format!(
        "holds {} rows (with the other files of --data), but there are {} predictions: they are of other rows, of rows that a task \
         made of these or left out, or, by eval, of each input once; references that stand beside predictions are scored \
         with --metric, without --data",
        grouped(rows),
        grouped(predictions)
    );
    Err(Error::file(path, message))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use serde_json::{Map, Value, json};

    use super::*;
    use crate::shard::{Mark, Shard};

    fn fields(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    fn line(row: usize, rows: usize, run: &str, value: Value) -> String {
        Mark { part: Shard::WHOLE, row, rows, run: run.into() }.line(fields(value))
    }

    /// What is read of files with these texts.
    fn merged(texts: &[String]) -> std::result::Result<Vec<String>, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = |(at, text): (usize, &String)| {
            let path = dir.path().join(format!("{at}.jsonl"));
            fs::write(&path, text).unwrap();
            path
        };
        let paths: Vec<PathBuf> = texts.iter().enumerate().map(file).collect();
        Whole::read(&paths).map(|whole| whole.lines).map_err(|error| error.to_string())
    }

    fn label(row: usize, rows: usize) -> String {
        line(row, rows, "a", json!({"label": row}))
    }

    #[test]
    fn lines_are_put_in_the_order_of_their_rows() {
        let found = merged(&[label(3, 3), String::new(), label(2, 3) + &label(1, 3)]).unwrap();
        assert_eq!(found, ["{\"label\":1}", "{\"label\":2}", "{\"label\":3}"]);
    }

    #[test]
    fn lines_of_one_run_may_say_different_things() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jsonl");
        fs::write(&path, label(1, 2) + &line(2, 2, "a", json!({"score": 0.5}))).unwrap();
        assert_eq!(Whole::read(std::slice::from_ref(&path)).unwrap().said, None);
        fs::write(&path, label(1, 2) + &label(2, 2)).unwrap();
        assert_eq!(Whole::read(&[path]).unwrap().said, Some(Said::Class));
    }

    #[test]
    fn what_does_not_make_a_whole_is_refused() {
        let text = line(2, 2, "b", json!({"output": "x"}));
        let other = line(2, 2, "b", json!({"label": "x"}));
        for (texts, says) in [
            (vec![], "the files hold no predictions"),
            (vec![String::new()], "the file holds no predictions"),
            (vec![label(1, 2)], "1 of 2 rows are in none of the files: 2; give"),
            (vec![label(2, 5) + &label(4, 5)], "3 of 5 rows are in none of the files: 1, 3, 5;"),
            (vec![label(1, 9)], "8 of 9 rows are in none of the files: 2 to 9;"),
            (vec![label(1, 2) + &label(1, 2)], "line 2: row 1 is that of"),
            (vec![label(1, 2), label(2, 2) + &label(1, 2)], "1.jsonl, line 2: row 1 is that of"),
            (vec![label(1, 2), text], "1.jsonl, line 1: predicts a text, where"),
            (vec![label(1, 2), label(2, 3)], "is of 3 rows, where"),
            (vec![label(1, 2), other], "is of another run than"),
        ] {
            let refused = merged(&texts).unwrap_err();
            assert!(refused.contains(says), "{says}: {refused}");
        }
    }

    #[test]
    fn gaps_are_what_is_between() {
        let of = |rows: &[usize], total| gaps(rows.iter().copied(), total);
        assert_eq!(of(&[], 3), [1..=3]);
        assert_eq!(of(&[1, 2, 5], 7), [3..=4, 6..=7]);
        assert!(of(&[1, 2, 3], 3).is_empty());
    }
}
