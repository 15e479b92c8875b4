//! What the file of a sweep says.
//!
//! ```toml
//! model = "try/model"            # the settings of all runs, as in run.toml
//! task = "causal-lm"
//! train = "try/train.jsonl"
//! valid = "try/test.jsonl"
//! steps = 200
//!
//! [[runs]]                       # each with settings of its own; a list is tried one by one
//! method = "prompt"
//! num_virtual_tokens = [5, 20]
//!
//! [[runs]]
//! method = "ptv2"
//!
//! [grid]                         # each value with each of the others, for all runs
//! seed = [1, 2, 3]
//!
//! [search]                       # so many draws, for all runs
//! count = 4
//! lr = { log_uniform = [1e-3, 1e-1] }
//! ```

use std::path::{Path, PathBuf};

use peft_core::{Error, Result, formats::read};
use toml::{Table, Value};

use super::{
    halving::Halving,
    search::Search,
    values::{check_name, check_value, settings_of, values_of},
};
use crate::settings::{
    Settings,
    file::{self, refuse_unknown},
    whole::refuse_cut,
};

/// Tables that stand beside the settings of all runs.
const TABLES: [&str; 4] = ["runs", "grid", "search", "halving"];

/// The file of a sweep.
#[derive(Clone, Debug, Default)]
pub struct SweepFile {
    /// The settings of all runs, and `out`.
    pub all: Settings,
    /// Runs with settings of their own, whose lists are tried one by one; empty if there are none.
    pub(super) runs: Vec<Table>,
    /// Values that are tried with each other, for all runs.
    pub(super) grid: Vec<(String, Vec<Value>)>,
    /// Values that are drawn.
    pub(super) search: Option<Search>,
    /// Which runs are given up early.
    pub halving: Option<Halving>,
    /// Where the relative paths in the tables start from, if not in the working folder; those of all runs start there.
    pub(super) start: Option<PathBuf>,
}

impl SweepFile {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`Error::Read`], or [`Error::File`] naming the key that is wrong, or the file of a run whose end is missing.
    pub fn read(path: &Path) -> Result<Self> {
        let text = read::text(path)?;
        refuse_cut(&text, path)?;
        let mut found = Self::parse(&text, path)?;
        found.start = file::start_of(&text, path, found.all.out.as_deref())?;
        found.all = found.placed(found.all.clone());
        file::note_elsewhere(&found.all, &text, path);
        Ok(found)
    }

    /// Settings of the file with paths from the working folder.
    pub(super) fn placed(&self, settings: Settings) -> Settings {
        match &self.start {
            Some(start) => file::from_working_folder(settings, start),
            None => settings,
        }
    }

    fn parse(text: &str, path: &Path) -> Result<Self> {
        let fault = |message: String| Error::file(path, message);
        let refuse = |message: String| Err(fault(message));
        refuse_unknown(text, path, &TABLES)?;
        file::refuse_empty(text, path)?;
        let mut table: Table = match toml::from_str(text) {
            Ok(table) => table,
            Err(error) => return refuse(error.to_string().trim().to_string()),
        };
        let mut taken = TABLES.map(|name| table.remove(name)).into_iter();
        let mut next = || taken.next().flatten();
        let (runs, grid, search, halving) = (next(), next(), next(), next());
        let all = settings_of(&table)
            .map_err(|message| fault(list_of_values(&table, text).unwrap_or(message)))?;
        if all.steps.is_some() && all.epochs.is_some() {
            return refuse("holds both `steps` and `epochs`, expected one of them".into());
        }
        if all.metrics_file.is_some() {
            return refuse("`metrics_file` would be one file for all runs: each has metrics.jsonl in its folder".into());
        }
        let found = Self {
            all,
            runs: runs.map_or(Ok(Vec::new()), of_runs).map_err(fault)?,
            grid: grid.map_or(Ok(Vec::new()), of_grid).map_err(fault)?,
            search: search.map(Search::parse).transpose().map_err(fault)?,
            halving: halving.map(Halving::parse).transpose().map_err(fault)?,
            start: None,
        };
        let searched: Vec<&str> = found.search.iter().flat_map(Search::names).collect();
        let named: Vec<&str> =
            found.runs.iter().flat_map(|run| run.keys().map(String::as_str)).collect();
        let in_grid = |name: &str| found.grid.iter().any(|(known, _)| known == name);
        if let Some(name) = searched.iter().chain(&named).find(|name| in_grid(name)) {
            let message = "stands in [grid] and in another table: give it in one of them";
            return refuse(format!("`{name}` {message}"));
        }
        if let Some(name) = searched.iter().find(|name| named.contains(name)) {
            let message = "stands in [search] and in [[runs]]: give it in one of them";
            return refuse(format!("`{name}` {message}"));
        }
        Ok(found)
    }
}

fn of_runs(value: Value) -> std::result::Result<Vec<Table>, String> {
    const PLACE: &str = "[[runs]]";
    let Value::Array(entries) = value else {
        return Err("`runs`: expected tables, each headed [[runs]]".into());
    };
    let mut runs = Vec::with_capacity(entries.len());
    for entry in entries {
        let Value::Table(entry) = entry else {
            return Err("`runs`: expected tables, each headed [[runs]]".into());
        };
        for (name, value) in &entry {
            check_name(name, PLACE)?;
            for value in values_of(name, value, PLACE)? {
                check_value(name, &value, PLACE)?;
            }
        }
        runs.push(entry);
    }
    match runs.is_empty() {
        true => Err("`runs` is empty: expected tables, each headed [[runs]]".into()),
        false => Ok(runs),
    }
}

fn of_grid(value: Value) -> std::result::Result<Vec<(String, Vec<Value>)>, String> {
    const PLACE: &str = "[grid]";
    let Value::Table(table) = value else {
        return Err("`grid`: expected a table, headed [grid]".into());
    };
    let mut grid = Vec::new();
    for (name, value) in table {
        check_name(&name, PLACE)?;
        let values = match value {
            Value::Array(values) if !values.is_empty() => values,
            Value::Array(_) => return Err(format!("`{name}` in {PLACE}: the list is empty")),
            other => {
                return Err(format!(
                    "`{name} = {other}` in {PLACE}: expected a list of values, such as [{other}]"
                ));
            }
        };
        values.iter().try_for_each(|value| check_value(&name, value, PLACE))?;
        grid.push((name, values));
    }
    Ok(grid)
}

/// What is said of a setting of all runs that is a list of values for it.
fn list_of_values(table: &Table, text: &str) -> Option<String> {
    let is_wrong = |name: &String, value: &Value| check_value(name, value, "").is_err();
    let (name, list) = table.iter().find(|(name, value)| {
        let values = value.as_array().map_or(&[][..], Vec::as_slice);
        is_wrong(name, value) && !values.is_empty() && !values.iter().any(|one| is_wrong(name, one))
    })?;
    let is_key = |line: &str| line.split_once('=').is_some_and(|(key, _)| key.trim() == name);
    let line = text.lines().position(is_key);
    let place = line.map_or_else(String::new, |line| format!("line {}: ", line + 1));
    Some(format!(
        "{place}`{name}` is a list, which all runs would have: values that are tried one by one stand in a table, `[grid]` or \
         `[[runs]]`, below which `{name} = {list}` belongs"
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        SweepFile::parse(text, Path::new("s.toml")).unwrap_err().to_string()
    }

    #[test]
    fn a_file_has_settings_and_tables() {
        let text = "lr = 0.1\n[[runs]]\nmethod = \"prompt\"\nnum_virtual_tokens = [5, 20]\n[grid]\nseed = [1, 2]\n\
                    train = [\"a\", [\"b\", \"c\"]]\n[search]\ncount = 3\nhead_lr = {log_uniform = [1e-3, 1]}";
        let found = SweepFile::parse(text, Path::new("s.toml")).unwrap();
        assert_eq!((found.all.lr, found.runs.len(), found.grid.len()), (Some(0.1), 1, 2));
        assert_eq!(found.search.unwrap().names().collect::<Vec<_>>(), ["head_lr"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, says) in [
            ("lrr = 1", "line 1: `lrr` is no setting; did you mean `lr`?"),
            ("lr = 0.1\n[gird]\nlr = [1]", "line 2: `gird` is no setting; did you mean `grid`?"),
            ("lr = \"x\"", "expected f64"),
            ("seed = 1\nlr = [0.1, 0.2]", "line 2: `lr` is a list, which all runs would have"),
            ("valid = \"\"", "`valid` is empty, expected a path"),
            ("[grid]\nsteps = 5", "`steps = 5` in [grid]: expected a list of values, such as [5]"),
            ("[grid]\nlr = []", "`lr` in [grid]: the list is empty"),
            ("[grid]\nlr = [0.1, \"x\"]", "`lr = \"x\"` in [grid]: "),
            ("[grid]\nmethod = [\"promt\"]", "`method = \"promt\"` in [grid]: "),
            ("[grid]\nsed = [1]", "`sed` in [grid] is no setting; did you mean `seed`?"),
            ("[grid]\nout = [\"a\"]", "a sweep chooses it itself"),
            ("metrics_file = \"a\"", "`metrics_file` would be one file"),
            ("[runs]\nlr = 1", "expected tables, each headed [[runs]]"),
            ("[[runs]]\nlr = 1\n[grid]\nlr = [1]", "`lr` stands in [grid] and in another table"),
            (
                "[[runs]]\nlr = 1\n[search]\ncount = 1\nlr = {uniform = [0, 1]}",
                "`lr` stands in [search] and in [[runs]]",
            ),
            ("steps = 1\nepochs = 1", "both `steps` and `epochs`"),
            ("a = [", "s.toml"),
        ] {
            let found = said(text);
            assert!(found.starts_with("s.toml") && found.contains(says), "{text}: {found}");
        }
    }
}
