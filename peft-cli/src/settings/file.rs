//! TOML files of settings. The paths of `run.toml` start from its own folder: a run goes on wherever it is resumed from,
//! and after its folder was moved together with what it reads. Those of other files, be they for `--config` or for a sweep,
//! start from the working folder, as paths in flags do, unless their first line is that of `run.toml`.
//!
//! What was given as an absolute path stays one. Names on the Hub, and `-`, are no paths. In `run.toml` a relative path
//! begins with `.`, which no name on the Hub does.

use std::{
    cell::{Cell, RefCell},
    path::{Path, PathBuf},
};

use peft_core::{Error, Result, formats::read};

use toml::de::DeTable;

use super::{
    Settings,
    whole::{self, FROM_FILE, starts_from_its_folder},
};
use crate::{
    hub,
    nearest::{did_you_mean, nearest},
    output,
    paths::{absolute, before, from_here, relative},
    tasks::task_file::is_file,
    training::{class_weights::BALANCED, file_names::RUN_FILE},
};

/// Standard input.
const STANDARD_INPUT: &str = "-";

/// Reads a TOML file.
///
/// # Errors
///
/// [`Error::Read`] or [`Error::File`]; the latter names line, key and what was expected.
pub fn load(path: &Path) -> Result<Settings> {
    parse(&read::text(path)?, path)
}

/// As [`load`], of the text that a file holds.
fn parse(text: &str, path: &Path) -> Result<Settings> {
    refuse_unknown(text, path, &[])?;
    refuse_empty(text, path)?;
    let found: Settings = toml::from_str(text)
        .map_err(|error| Error::file(path, error.to_string().trim().to_string()))?;
    if found.steps.is_some() && found.epochs.is_some() {
        return Err(Error::file(path, "holds both `steps` and `epochs`, expected one of them"));
    }
    Ok(match start_of(text, path, found.out.as_deref())? {
        Some(start) => from_working_folder(found, &start),
        None => found,
    })
}

/// The folder from which the relative paths of a file of settings start: its own, if its first line says so. `None` for
/// the working folder. `out` is that of the settings.
///
/// # Errors
///
/// [`Error::Read`] if the file's folder cannot be found.
pub fn start_of(text: &str, path: &Path, out: Option<&Path>) -> Result<Option<PathBuf>> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let folder = folder.canonicalize().map_err(Error::read(path))?;
    let is_run = path.file_name().is_some_and(|name| name == RUN_FILE);
    Ok(match (starts_from_its_folder(text), out) {
        (true, _) => Some(folder),
        // A run of an earlier version: its paths start from where it ran, and from there `out` led to this folder.
        (false, Some(out)) if is_run => before(&folder, out),
        _ => None,
    })
}

/// As [`load`], for `--config`. Where a path leads to nothing from the working folder, and to something from the folder of
/// the file, that is told.
///
/// # Errors
///
/// As [`load`]; [`Error::File`] for a file of the program whose end is missing.
pub fn load_config(path: &Path) -> Result<Settings> {
    // Once: it may be a pipe.
    let text = read::text(path)?;
    whole::refuse_cut(&text, path)?;
    let found = parse(&text, path)?;
    note_elsewhere(&found, &text, path);
    Ok(found)
}

/// Tells where one of the settings' paths leads to nothing from the working folder, from which it starts, and to something
/// from the folder of the file.
pub fn note_elsewhere(settings: &Settings, text: &str, path: &Path) {
    if starts_from_its_folder(text) {
        return;
    }
    if let Some(named) = path.parent().and_then(|folder| elsewhere(settings, folder)) {
        output::note(format!(
            "note: {}: {} is in the folder of this file, and not in the working folder, from which its paths start: with \
             the first line `{FROM_FILE}` they start from its own folder",
            path.display(),
            named.display()
        ));
    }
}

/// A path that is read, and that is not in the working folder, but in `folder`.
fn elsewhere(settings: &Settings, folder: &Path) -> Option<PathBuf> {
    let is_there = |path: &Path| !path.exists() && folder.join(path).exists();
    let named = RefCell::new(None);
    // What is written need not be there.
    let mut read = Settings { out: None, metrics_file: None, ..settings.clone() };
    change(&mut read, &is_there, &|path: &Path, _| {
        if is_there(path) {
            named.borrow_mut().get_or_insert_with(|| path.to_path_buf());
        }
        None
    });
    named.into_inner()
}

/// Refuses a file with a key that is neither a setting nor one of `others`. What is not TOML is told elsewhere.
///
/// # Errors
///
/// [`Error::File`] naming the line, and what was probably meant.
pub fn refuse_unknown(text: &str, path: &Path, others: &[&str]) -> Result<()> {
    let Ok(table) = DeTable::parse(text) else { return Ok(()) };
    let mut unknown: Vec<(usize, &str)> = table
        .get_ref()
        .keys()
        .map(|key| (key.span().start, key.get_ref().as_ref()))
        .filter(|(_, key)| !Settings::is_name(key) && !others.contains(key))
        .collect();
    unknown.sort_unstable();
    let Some((at, key)) = unknown.first() else { return Ok(()) };
    let line = 1 + text[..*at].matches('\n').count();
    let meant = nearest(key, Settings::NAMES.iter().chain(others).copied());
    let meant = did_you_mean(meant.map(|known| format!("`{known}`")));
    Err(Error::file(path, format!("line {line}: `{key}` is no setting{meant}")))
}

/// Refuses a setting that is an empty path, by its key.
///
/// # Errors
///
/// [`Error::File`].
pub fn refuse_empty(text: &str, path: &Path) -> Result<()> {
    // What is no TOML is told by whoever reads the settings.
    let table: toml::Table = toml::from_str(text).unwrap_or_default();
    for (key, value) in table {
        let is_empty = |value: &toml::Value| value.as_str() == Some("");
        if !is_empty(&value) && !value.as_array().is_some_and(|all| all.iter().any(is_empty)) {
            continue;
        }
        let one = toml::Table::from_iter([(key.clone(), value)]);
        let Ok(mut settings) = toml::Value::Table(one).try_into::<Settings>() else { continue };
        let empty = Cell::new(false);
        change(&mut settings, &|_: &Path| true, &|path: &Path, _| {
            empty.set(empty.get() || path.as_os_str().is_empty());
            None
        });
        if empty.get() {
            return Err(Error::file(
                path,
                format!("`{key}` is empty, expected a path: leave the key out where there is none"),
            ));
        }
    }
    Ok(())
}

/// The text of `run.toml` in `folder`, which exists.
pub fn to_run_file(settings: &Settings, folder: &Path) -> String {
    let mut settings = settings.clone();
    // What cannot be found out stays as it was given, and is told by whoever reads it.
    if let Ok(folder) = folder.canonicalize() {
        let is_path = |model: &Path| !hub::is_name(model);
        change(&mut settings, &is_path, &|path: &Path, _| {
            let found = relative(&folder, &absolute(Path::new(""), path)?)?;
            let has_dot = found.starts_with("..") || found == Path::new(".");
            let found = if has_dot { found } else { Path::new(".").join(found) };
            // The file can hold no other.
            found.to_str().is_some().then_some(found)
        });
    }
    whole::written(&settings.to_toml())
}

/// Settings whose paths start from the folder `start`, with paths from the working folder.
pub fn from_working_folder(mut settings: Settings, start: &Path) -> Settings {
    // A name has no dot, and nothing is where it would lead; what is in the working folder does not matter.
    let is_path = |model: &Path| {
        model.starts_with(".") || model.starts_with("..") || start.join(model).exists()
    };
    change(&mut settings, &is_path, &|path: &Path, may_be_name| {
        let found = from_here(&absolute(start, path)?);
        // Where nothing is, still no name is meant.
        Some(if may_be_name && hub::is_name(&found) { Path::new(".").join(found) } else { found })
    });
    settings
}

/// Changes the relative paths among the settings, where `to` finds another. It is also told whether a name on the Hub
/// could be in this place, where `is_path` tells paths.
fn change(
    settings: &mut Settings,
    is_path: &impl Fn(&Path) -> bool,
    to: &impl Fn(&Path, bool) -> Option<PathBuf>,
) {
    let Settings {
        model,
        init_adapter,
        train,
        valid,
        out,
        metrics_file,
        chat_template,
        class_weights,
        task_file,
        data_dir,
        tasks,
        ..
    } = settings;
    for task in tasks.iter_mut().flat_map(|tasks| &mut tasks.0) {
        // What is wrong with them is told by whoever uses them.
        let Ok(mut own) = Settings::of_fields(task.own.clone()) else { continue };
        change(&mut own, is_path, to);
        task.own = own.to_fields();
    }
    let named = [model, init_adapter].into_iter().flatten().filter(|model| is_path(model));
    let rows = [train, valid].into_iter().flatten().flatten();
    let rows = rows.filter(|name| name.as_os_str() != STANDARD_INPUT);
    let weights = class_weights.iter_mut().filter(|name| name.as_os_str() != BALANCED);
    let task_files = task_file.iter_mut().filter(|named| is_file(named));
    let files = rows.chain([out, metrics_file, chat_template, data_dir].into_iter().flatten());
    let files = files.chain(weights).chain(task_files);
    let paths = named.map(|path| (path, true)).chain(files.map(|path| (path, false)));
    for (path, may_be_name) in paths.filter(|(path, _)| path.is_relative()) {
        if let Some(found) = to(path, may_be_name) {
            *path = found;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn settings_come_back_from_a_run_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(RUN_FILE);
        let path = |text: &str| Some(PathBuf::from(text));
        let given = Settings {
            model: path("org/model@main"),
            init_adapter: path("./org/none"),
            train: Some(["./src/../*.jsonl", "-", "/abs/a.jsonl"].map(PathBuf::from).into()),
            out: Some(dir.path().to_path_buf()),
            metrics_file: path("logs/m.jsonl"),
            class_weights: path("balanced"),
            ..Settings::default()
        };
        let text = to_run_file(&given, dir.path());
        fs::write(&file, &text).unwrap();
        let stored: Settings = toml::from_str(&text).unwrap();
        assert_eq!((&stored.model, &stored.out), (&given.model, &given.out), "{text}");
        assert!(stored.metrics_file.unwrap().starts_with(".."), "{text}");
        let rows = ["*.jsonl", "-", "/abs/a.jsonl"].map(PathBuf::from);
        let expected = Settings { train: Some(rows.into()), ..given };
        assert_eq!(load(&file).unwrap(), expected, "{text}");
    }

    #[test]
    fn paths_start_from_the_file_only_where_it_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let run = dir.join("runs/one");
        fs::create_dir_all(&run).unwrap();
        let read = |name: &str, text: &str| {
            fs::write(run.join(name), text).unwrap();
            let path = load(&run.join(name)).unwrap().model.unwrap();
            std::path::absolute(path).unwrap()
        };
        let here = absolute(Path::new(""), Path::new("../model")).unwrap();
        for (name, text, expected) in [
            ("my.toml", format!("{FROM_FILE}\nmodel = \"../model\"\n"), dir.join("runs/model")),
            ("my.toml", "model = \"../model\"\nout = \"runs/one\"\n".into(), here.clone()),
            ("run.toml", "model = \"../model\"\nout = \"/runs/one\"\n".into(), here),
            ("run.toml", "model = \"./model\"\nout = \"runs/one\"\n".into(), dir.join("model")),
        ] {
            assert_eq!(absolute(Path::new(""), &read(name, &text)), Some(expected), "{text}");
        }
        // What is beside the file alone was meant there, perhaps.
        let named = |text: &str| elsewhere(&toml::from_str(text).unwrap(), &run);
        fs::write(run.join("rows-beside-the-file.jsonl"), "").unwrap();
        assert_eq!(
            named("train = \"rows-beside-the-file.jsonl\"\nmodel = \"org/name\"").unwrap(),
            Path::new("rows-beside-the-file.jsonl")
        );
        assert_eq!(named("out = \"rows-beside-the-file.jsonl\"\ntrain = \"nowhere.jsonl\""), None);
    }
}
