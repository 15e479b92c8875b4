//! Files with one JSON line per step, when a run goes on after one of them.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::Write,
    path::{Path, PathBuf},
};

use peft_core::{Error, Result, adapter::atomic};
use serde_json::Value;

/// Lines named in a note.
const NAMED: usize = 5;

/// What a file holds.
#[derive(Debug, Default, PartialEq)]
struct Sorted<'a> {
    /// The lines of steps that stay.
    kept: Vec<&'a [u8]>,
    /// The lines that are no step's, numbered from 1.
    damaged: Vec<(usize, &'a [u8])>,
    /// Whether what stays is the beginning of the file.
    is_beginning: bool,
}

/// Sorts the complete lines of a file; the last one may be cut off, by a kill.
fn sort(bytes: &[u8], step: usize) -> Sorted<'_> {
    let mut sorted = Sorted { is_beginning: true, ..Sorted::default() };
    let mut gap = false;
    let step_of = |line: &[u8]| serde_json::from_slice::<Value>(line).ok()?["step"].as_u64();
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').enumerate();
    for (index, line) in lines.filter(|(_, line)| line.ends_with(b"\n")) {
        match step_of(line) {
            Some(found) if found <= step as u64 => {
                sorted.is_beginning &= !gap;
                sorted.kept.push(line);
                continue;
            }
            Some(_) => {}
            None => sorted.damaged.push((index + 1, line)),
        }
        gap = true;
    }
    sorted
}

/// Opens a file to append lines, and keeps other runs from it as long as it is open: runs with folders of their own may
/// name one file.
///
/// # Errors
///
/// [`Error::Write`]; [`Error::InUse`] if another run writes there.
pub fn open(path: &Path) -> Result<File> {
    let file = match atomic::is_stream(path) {
        true => atomic::open_stream(path),
        false => OpenOptions::new().create(true).append(true).open(path),
    };
    let file = file.map_err(Error::write(path))?;
    // On Windows a lock would keep readers out.
    let is_taken = cfg!(unix)
        && is_replaceable(path)
        && matches!(file.try_lock(), Err(TryLockError::WouldBlock));
    match is_taken {
        true => Err(Error::InUse { path: path.to_path_buf(), process: None }),
        false => Ok(file),
    }
}

/// Whether a path is a file whose lines can be read and dropped: no pipe, no terminal, and not what `/dev/stdout` is
/// open for.
pub fn is_replaceable(path: &Path) -> bool {
    path.is_file() && !atomic::is_stream(path)
}

/// Keeps the lines of steps up to `step`, since later ones will be made again. Damaged lines are moved to a file
/// beside it, which the answer names. A file that is missing, a terminal, a pipe and `/dev/stdout` have none.
///
/// # Errors
///
/// [`Error::Read`] or [`Error::Write`].
pub fn keep_up_to(step: usize, path: &Path) -> Result<Option<String>> {
    if !is_replaceable(path) {
        return Ok(None);
    }
    let bytes = fs::read(path).map_err(Error::read(path))?;
    let sorted = sort(&bytes, step);
    let kept = sorted.kept.concat();
    let note = match sorted.damaged.as_slice() {
        [] => None,
        damaged => Some(put_aside(damaged, path)?),
    };
    if sorted.is_beginning {
        // The file stays the same one: somebody may be following it.
        OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|file| file.set_len(kept.len() as u64))
            .map_err(Error::write(path))?;
    } else {
        atomic::write_file(path, &kept)?;
    }
    Ok(note)
}

/// The file for damaged lines of `path`.
pub fn damaged_lines_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(".damaged");
    name.into()
}

/// Appends damaged lines of `path` to a file beside it, and says so.
fn put_aside(damaged: &[(usize, &[u8])], path: &Path) -> Result<String> {
    let aside = damaged_lines_of(path);
    let lines = damaged.iter().map(|(_, line)| *line).collect::<Vec<_>>().concat();
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&aside)
        .and_then(|mut file| file.write_all(&lines))
        .map_err(Error::write(&aside))?;
    let numbers: Vec<String> = damaged.iter().take(NAMED).map(|(n, _)| n.to_string()).collect();
    let (lines, numbers) = match damaged.len() {
        1 => ("line", numbers.join(", ")),
        count if count > NAMED => ("lines", format!("{}, ...", numbers.join(", "))),
        _ => ("lines", numbers.join(", ")),
    };
    let (from, to) = (path.display(), aside.display());
    Ok(format!("{from}: no step in {lines} {numbers}, which moved to {to}"))
}

/// Whether any line of a file is one of a step; of a terminal, a pipe and `/dev/stdout` none is.
///
/// # Errors
///
/// [`Error::Read`].
pub fn has_steps(path: &Path) -> Result<bool> {
    if !is_replaceable(path) {
        return Ok(false);
    }
    let bytes = fs::read(path).map_err(Error::read(path))?;
    Ok(!sort(&bytes, usize::MAX).kept.is_empty())
}

/// The losses of the last steps in a file, at most `count` of them, without those of steps that had nothing to learn (0);
/// of a terminal, a pipe and `/dev/stdout` there are none.
///
/// # Errors
///
/// [`Error::Read`].
pub fn last_losses(path: &Path, count: usize) -> Result<Vec<f64>> {
    if !is_replaceable(path) {
        return Ok(Vec::new());
    }
    let bytes = fs::read(path).map_err(Error::read(path))?;
    let loss = |line: &&[u8]| serde_json::from_slice::<Value>(line).ok()?["loss"].as_f64();
    let lines = sort(&bytes, usize::MAX).kept;
    let mut found: Vec<f64> =
        lines.iter().rev().filter_map(loss).filter(|loss| *loss != 0.0).take(count).collect();
    found.reverse();
    Ok(found)
}

/// The number of lines of a file, complete or not; a terminal, a pipe and `/dev/stdout` have none.
///
/// # Errors
///
/// [`Error::Read`].
pub fn count(path: &Path) -> Result<usize> {
    if !is_replaceable(path) {
        return Ok(0);
    }
    let bytes = fs::read(path).map_err(Error::read(path))?;
    Ok(bytes.split_inclusive(|byte| *byte == b'\n').count())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn kept(step: usize, text: &[u8]) -> (String, Option<String>, usize) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        fs::write(&path, text).unwrap();
        let note = keep_up_to(step, &path).unwrap();
        let aside = fs::read(dir.path().join("metrics.jsonl.damaged")).unwrap_or_default();
        let note = note.map(|note| note.replace(dir.path().to_str().unwrap(), ""));
        (fs::read_to_string(path).unwrap(), note, aside.len())
    }

    #[test]
    fn only_complete_lines_of_earlier_steps_are_kept() {
        let text = b"{\"step\": 1}\n{\"step\": 2}\n{\"step\": 3}\n{\"st";
        for (step, length) in [(0, 0), (1, 12), (2, 24), (9, 36)] {
            let (kept, note, aside) = kept(step, text);
            assert_eq!((kept.len(), note, aside), (length, None, 0));
        }
        assert_eq!(kept(9, b"").0, "");
    }

    #[test]
    fn the_losses_of_the_last_steps_are_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let line = |step: usize, loss: f64| format!("{{\"step\":{step},\"loss\":{loss}}}\n");
        let lines = [line(1, 0.1), line(2, 0.7), line(3, 0.0), line(4, 1.0 / 3.0)].concat();
        fs::write(file.path(), lines + "{\"step\":5,").unwrap();
        assert_eq!(last_losses(file.path(), 2).unwrap(), [0.7, 1.0 / 3.0]);
        assert_eq!(last_losses(file.path(), 9).unwrap(), [0.1, 0.7, 1.0 / 3.0]);
        assert!(last_losses(Path::new("none"), 9).unwrap().is_empty());
    }

    #[test]
    fn damaged_lines_move_to_a_file_beside() {
        let text = b"{\"step\": 1}\n\xff\n{\"step\": 2}\n{\"step\": -2}\n{\"step\": 3}\n";
        let (found, note, aside) = kept(2, text);
        assert_eq!((found.as_str(), aside), ("{\"step\": 1}\n{\"step\": 2}\n", 15));
        let says = "/metrics.jsonl: no step in lines 2, 4, which moved to /metrics.jsonl.damaged";
        assert_eq!(note.unwrap(), says);
        let (found, note, aside) = kept(2, b"{\"step\": 1}\n\n");
        assert_eq!((found.as_str(), aside), ("{\"step\": 1}\n", 1));
        assert!(note.unwrap().contains("in line 2, which"));
        let has_steps = |text: &str| {
            let file = tempfile::NamedTempFile::new().unwrap();
            fs::write(file.path(), text).unwrap();
            super::has_steps(file.path()).unwrap()
        };
        assert!(has_steps("mine\n{\"step\": 4}\n{") && !has_steps("mine") && !has_steps("{}\n"));
        assert!(kept(2, &b"\n".repeat(6)).1.unwrap().contains("lines 1, 2, 3, 4, 5, ..., which"));
    }
}
