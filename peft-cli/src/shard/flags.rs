//! The flag of a part, and what it asks for.

use std::{
    env,
    path::{Path, PathBuf, is_separator},
    str::FromStr,
};

use clap::Args;
use peft_core::{Error, Result, adapter::atomic};

use super::{
    block::Block,
    cut::{Cut, check_replaces},
    launcher,
    part::Shard,
};
use crate::{output::note, predictions::Format};

/// The flag, as messages name it.
const FLAG: &str = "--shard";

/// The value that asks the launcher.
const AUTO: &str = "auto";

/// The value of `--shard`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// The part of this process among those that a launcher started.
    Auto,
    /// A part.
    Part(Shard),
}

impl FromStr for Chosen {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            AUTO => Ok(Self::Auto),
            part => part.parse().map(Self::Part).map_err(|refused| format!("{refused}, or {AUTO}")),
        }
    }
}

impl Chosen {
    /// The part. Of the launcher's, it is told which that is; where nothing is `chosen`, and a launcher has started
    /// several processes, that each of them does everything.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if there is no launcher, or what it says is no part.
    pub fn settle(chosen: Option<Self>) -> Result<Option<Shard>> {
        let launcher = || launcher::find(|name| env::var(name).ok());
        match chosen {
            Some(Self::Part(shard)) => Ok(Some(shard)),
            None => {
                if let Ok(Some(found)) = launcher()
                    && found.is_certain
                {
                    note(format!(
                        "note: this is one of {} processes ({}), and does everything: with {FLAG} {AUTO}, each does its part",
                        found.shard.of, found.by
                    ));
                }
                Ok(None)
            }
            Some(Self::Auto) => {
                let found = launcher().map_err(|message| Error::setting(FLAG, message))?;
                let found = found.ok_or_else(|| {
                    let message = format!(
                        "found {AUTO}, but no variables of srun, an array of sbatch, or mpirun: give i/n, such as 2/3"
                    );
                    Error::setting(FLAG, message)
                })?;
                let alone = match found.shard.of > 1 && !found.is_certain {
                    true => "; without srun in front of it, nothing makes the other parts",
                    false => "",
                };
                note(format!("note: {FLAG} {} by {}{alone}", found.shard, found.by));
                Ok(Some(found.shard))
            }
        }
    }
}

/// The flag of commands that write a line for each row.
#[derive(Args, Clone, Debug)]
pub struct ShardArgs {
    /// Take the i-th of n parts of the rows, such as 2/4: blocks in the order of the rows. Its lines say which rows they
    /// are of, and `peft merge` puts all parts together, to the bytes of the whole; all parts need the same settings,
    /// --batch-size too. auto: the part of this process among those of srun, an array of sbatch or mpirun; then a file is
    /// called after its part, too: out.jsonl becomes out-2-of-4.jsonl.
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Chosen>,
}

impl ShardArgs {
    /// What is asked for, of a command that writes its rows to `output`, the value of `flag`, if to a file.
    ///
    /// # Errors
    ///
    /// As [`Chosen::settle`]; [`Error::Setting`] for a folder whose name would become that of a file; [`Error::File`] if the
    /// file holds another part.
    pub fn take(&self, flag: &str, output: Option<&Path>) -> Result<Taken> {
        let shard = Chosen::settle(self.shard)?;
        let output = match (shard, self.shard, output) {
            // All processes have the same command line.
            (Some(shard), Some(Chosen::Auto), Some(named)) => {
                check_file(flag, named)?;
                Some(file_of(shard, named))
            }
            (_, _, named) => named.map(Path::to_path_buf),
        };
        let taken = Taken { shard, output };
        taken.check_replaces()?;
        Ok(taken)
    }

    /// Refuses it where there is one text, which `flag` gives.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`].
    pub fn check_rows(&self, flag: &str, is_given: bool) -> Result<()> {
        match self.shard.is_some() && is_given {
            true => Err(Error::setting(FLAG, format!("is for the rows of a file, not for {flag}"))),
            false => Ok(()),
        }
    }
}

/// Which rows are taken, and where they go.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// The part; `None` for all rows.
    pub shard: Option<Shard>,
    /// The file of the rows.
    pub output: Option<PathBuf>,
}

impl Taken {
    /// Refuses a file that holds another part.
    ///
    /// # Errors
    ///
    /// [`Error::File`].
    pub fn check_replaces(&self) -> Result<()> {
        match (self.shard, &self.output) {
            (Some(shard), Some(output)) => check_replaces(shard, output),
            _ => Ok(()),
        }
    }

    /// Refuses a table, whose columns are those of all rows. `flag` names the file.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`].
    pub fn check_format(&self, flag: &str, format: Format) -> Result<()> {
        match self.shard.is_some() && format != Format::Jsonl {
            true => {
                let message = "a part is written as lines of JSON, and `peft merge` makes the table of all: give the name of a \
                               file of JSON lines (.jsonl)";
                Err(Error::setting(flag, message))
            }
            false => Ok(()),
        }
    }

    /// The rows, of `total`.
    pub fn block(&self, total: usize) -> Block {
        self.shard.map_or_else(|| Block::whole(total), |shard| shard.block(total))
    }

    /// The rows, of `total`, as they are written; a part is told. `run` tells the parts of one run from those of another.
    pub fn cut(&self, total: usize, run: impl FnOnce() -> String) -> Cut {
        let Some(shard) = self.shard else { return Cut::whole(total) };
        let block = shard.block(total);
        note(format!("note: part {shard}: {block}"));
        Cut::part(block, shard, run())
    }
}

/// Refuses the name of a folder, beside which the files of parts would lie.
fn check_file(flag: &str, named: &Path) -> Result<()> {
    match named.to_string_lossy().ends_with(is_separator) || named.is_dir() {
        true => {
            let message = format!(
                "found {}, a folder: give the name of a file, such as {}",
                named.display(),
                named.join("out.jsonl").display()
            );
            Err(Error::setting(flag, message))
        }
        false => Ok(()),
    }
}

/// The file of a part: `out.jsonl` is `out-2-of-4.jsonl`, so that names are in the order of the parts.
fn file_of(shard: Shard, named: &Path) -> PathBuf {
    if atomic::is_stream(named) {
        return named.to_path_buf();
    }
    let of = shard.of.to_string();
    let mut name = named.file_stem().unwrap_or_default().to_os_string();
    name.push(format!("-{:0width$}-of-{of}", shard.index, width = of.len()));
    if let Some(end) = named.extension() {
        name.push(".");
        name.push(end);
    }
    named.with_file_name(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_part_or_auto_is_chosen() {
        assert_eq!("auto".parse(), Ok(Chosen::Auto));
        assert_eq!("2/4".parse(), Ok(Chosen::Part(Shard { index: 2, of: 4 })));
        let refused = "Auto".parse::<Chosen>().unwrap_err();
        assert!(refused.ends_with("such as 2/3, or auto"), "{refused}");
    }

    #[test]
    fn files_of_parts_are_in_their_order() {
        let of = |index, of, name: &str| file_of(Shard { index, of }, Path::new(name));
        assert_eq!(of(2, 4, "a/out.jsonl"), Path::new("a/out-2-of-4.jsonl"));
        assert_eq!(of(2, 12, "out"), Path::new("out-02-of-12"));
        assert_eq!(of(1, 2, "/dev/stdout"), Path::new("/dev/stdout"));
    }

    #[test]
    fn files_of_parts_are_named_after_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let named = |name: &str| check_file("--output", &dir.path().join(name));
        assert!(named("out").is_ok() && named("parts/out.jsonl").is_ok());
        let said = check_file("--output", dir.path()).unwrap_err().to_string();
        assert!(said.contains("a folder: give the name of a file, such as"), "{said}");
        assert!(named("parts/").is_err());
    }

    #[test]
    fn a_part_is_no_table() {
        let part = Taken { shard: Some(Shard::WHOLE), output: None };
        assert!(part.check_format("--output", Format::Csv).is_err());
        assert!(part.check_format("--output", Format::Jsonl).is_ok());
        assert!(Taken::default().check_format("--output", Format::Tsv).is_ok());
    }
}
