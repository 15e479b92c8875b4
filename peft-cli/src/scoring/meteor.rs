//! METEOR 1.5 (Denkowski & Lavie 2014, WMT), by its own Java program.
//!
//! It compares words also by WordNet's synonyms and by a table of paraphrases of 62 MB, which come with that program alone.
//! Texts are given to it as COCO's and E2E's scripts do: as [`caption_tokens`], to be normalised as English.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use clap::Args;
use peft_core::{
    Error, Result,
    metrics::{Segment, caption_tokens},
};

/// What is missing where no program is named.
const WAY_OUT: &str = "needs METEOR's own program, whose synonyms and paraphrases nothing else has: name meteor-1.5.jar, with its folder \
     `data` beside it (both are in the Python package pycocoevalcap, or at https://www.cs.cmu.edu/~alavie/METEOR); Java runs it";

/// The flag that names it.
#[derive(Args, Clone, Debug)]
pub struct MeteorArgs {
    /// For meteor: its own program, meteor-1.5.jar, with its folder `data` beside it. Java runs it.
    #[arg(long, value_name = "FILE")]
    pub meteor_jar: Option<PathBuf>,
}

/// METEOR's program, if it was named.
///
/// # Errors
///
/// [`Error::Setting`] saying where it is to be had.
pub fn named(jar: Option<&PathBuf>) -> Result<&PathBuf> {
    jar.ok_or_else(|| Error::setting("--meteor-jar", WAY_OUT))
}

/// The score of all segments, as a fraction.
///
/// # Errors
///
/// [`Error::Setting`] if Java cannot be started, [`Error::File`] if the program ends or answers something else.
pub fn meteor(jar: &Path, segments: &[Segment]) -> Result<f64> {
    let mut program = Program::start(jar)?;
    let mut all = "EVAL".to_owned();
    for segment in segments {
        let plain = |text: &str| caption_tokens(text).join(" ").replace("|||", "");
        let references: Vec<String> = segment.references.iter().map(|text| plain(text)).collect();
        let counts = program.ask(&format!(
            "SCORE ||| {} ||| {}",
            references.join(" ||| "),
            plain(&segment.prediction)
        ))?;
        all += &format!(" ||| {counts}");
    }
    // A score for each segment, then that of all.
    let mut score = program.ask(&all)?;
    for _ in segments {
        score = program.answer()?;
    }
    score.parse().map_err(|_| program.failed(&format!("found `{score}`, expected a score")))
}

/// The running program.
struct Program {
    jar: PathBuf,
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Program {
    fn start(jar: &Path) -> Result<Self> {
        let whole = jar.canonicalize().map_err(Error::read(jar))?;
        let process = Command::new("java")
            .args(["-Xmx2G", "-jar"])
            .arg(&whole)
            .args(["-", "-", "-stdio", "-l", "en", "-norm"])
            // Its data stands beside it.
            .current_dir(whole.parent().unwrap_or(Path::new(".")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut process = process.map_err(|error| {
            Error::setting(
                "--meteor-jar",
                format!("`java`, which runs it, cannot be started: {error}"),
            )
        })?;
        match (process.stdin.take(), process.stdout.take()) {
            (Some(to), Some(from)) => {
                Ok(Self { jar: jar.to_path_buf(), process, to, from: BufReader::new(from) })
            }
            _ => Err(Error::file(jar, "`java` has no standard input and output")),
        }
    }

    fn ask(&mut self, line: &str) -> Result<String> {
        let written = writeln!(self.to, "{line}").and_then(|()| self.to.flush());
        written.map_err(|error| self.failed(&error.to_string()))?;
        self.answer()
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.from.read_line(&mut line) {
            Ok(0) => Err(self.failed("it ended without an answer")),
            Ok(_) => Ok(line.trim().to_owned()),
            Err(error) => Err(self.failed(&error.to_string())),
        }
    }

    fn failed(&self, what: &str) -> Error {
        let jar = self.jar.display();
        Error::file(
            &self.jar,
            format!(
                "{what}; is it METEOR 1.5? It is run as `java -jar {jar} - - -stdio -l en -norm`"
            ),
        )
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It ends by itself where its input does; nothing is to be done if it is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
