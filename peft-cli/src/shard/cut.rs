//! The rows of a part, as a command writes them.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use peft_core::{Error, Result, adapter::atomic};
use serde_json::{Map, Value};

use super::{
    block::Block,
    mark::{Mark, NoMark},
    part::Shard,
};
use crate::predictions;

/// Bytes of a first line that are looked at.
const LOOKED_AT: u64 = 1 << 20;

/// The rows that a command writes: all, or those of a part, whose lines say which they are.
#[derive(Clone, Debug)]
pub struct Cut {
    block: Block,
    /// The part, and what tells the parts of one run from those of another.
    part: Option<(Shard, String)>,
}

impl Cut {
    /// All rows.
    pub fn whole(total: usize) -> Self {
        Self { block: Block::whole(total), part: None }
    }

    /// The rows of a part of a run.
    pub fn part(block: Block, shard: Shard, run: String) -> Self {
        Self { block, part: Some((shard, run)) }
    }

    /// The rows.
    pub fn block(&self) -> &Block {
        &self.block
    }

    /// The line of one of the rows, counted from the first of these; with its end.
    pub fn line(&self, place: usize, fields: Map<String, Value>) -> String {
        match &self.part {
            None => predictions::line(fields),
            Some((part, run)) => {
                let row = self.block.rows.start + place + 1;
                let (part, run) = (*part, run.clone());
                Mark { part, row, rows: self.block.total, run }.line(fields)
            }
        }
    }

    /// Refuses a file that holds another part than these rows are.
    ///
    /// # Errors
    ///
    /// [`Error::File`].
    pub fn check_replaces(&self, path: &Path) -> Result<()> {
        self.part.as_ref().map_or(Ok(()), |(shard, _)| check_replaces(*shard, path))
    }
}

/// Refuses a file that holds another part: one of them would be lost.
///
/// # Errors
///
/// [`Error::File`].
pub fn check_replaces(shard: Shard, path: &Path) -> Result<()> {
    match held(path).filter(|held| *held != shard && !atomic::is_stream(path)) {
        Some(held) => Err(Error::file(
            path,
            format!(
                "holds part {held}, and this is {shard}: give each part a file of its own, or remove the file"
            ),
        )),
        None => Ok(()),
    }
}

/// The part that the first line of a file is of, if it is of one. What cannot be read is told when it is written.
fn held(path: &Path) -> Option<Shard> {
    let mut line = Vec::new();
    // To open a named pipe is to wait for who writes to it.
    let file = path.is_file().then(|| File::open(path).ok()).flatten()?;
    BufReader::new(file.take(LOOKED_AT)).read_until(b'\n', &mut line).ok()?;
    let line = String::from_utf8_lossy(&line);
    match Mark::split(line.trim_end()) {
        Ok((mark, _)) => Some(mark.part),
        Err(NoMark::NotJson | NoMark::NotObject | NoMark::Unmarked | NoMark::Rewritten) => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn another_part_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jsonl");
        let part = |index| {
            let shard = Shard { index, of: 2 };
            Cut::part(shard.block(4), shard, "r".into())
        };
        let (first, second) = (part(1), part(2));
        assert!(first.check_replaces(&path).is_ok());
        fs::write(&path, second.line(0, Map::new()) + &second.line(1, Map::new())).unwrap();
        assert!(
            second.check_replaces(&path).is_ok() && Cut::whole(4).check_replaces(&path).is_ok()
        );
        let said = first.check_replaces(&path).unwrap_err().to_string();
        assert!(said.contains("holds part 2/2, and this is 1/2: give each"), "{said}");
        fs::write(&path, "{\"label\":\"x\"}\n").unwrap();
        assert!(first.check_replaces(&path).is_ok());
    }

    /// Which waits for ever where it is opened.
    #[cfg(unix)]
    #[test]
    fn a_named_pipe_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        assert!(check_replaces(Shard::WHOLE, &path).is_ok());
    }
}
