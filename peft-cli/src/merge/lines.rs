//! The lines of a part.

use std::{
    fs,
    path::{Path, PathBuf},
};

use peft_core::{Error, Result};

use super::said::Said;
use crate::shard::{Mark, NoMark};

/// A line of a part.
#[derive(Clone, Debug)]
pub struct Line {
    /// Which row it is of.
    pub mark: Mark,
    /// The line of the whole, without its end.
    pub text: String,
    /// What it predicts.
    pub said: Said,
    /// Its file, and its line there.
    pub at: (PathBuf, usize),
}

/// The lines of a file of predictions. One without any is that of a part without rows.
///
/// # Errors
///
/// [`Error::Read`]; [`Error::Data`] at a line that is no prediction of a part, or was cut.
pub fn read(path: &Path) -> Result<Vec<Line>> {
    let bytes = fs::read(path).map_err(Error::read(path))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Error::data(path, line, format!("is not UTF-8; {EXPECTED}"))
    })?;
    let count = text.lines().count();
    if !text.is_empty() && !text.ends_with('\n') {
        let message = "the end of the line is missing: the file was cut; copy it again, or make the part again";
        return Err(Error::data(path, count, message));
    }
    // Not `lines`, which would take a carriage return for a part of the end.
    let lines = text.split_terminator('\n').enumerate();
    lines.map(|(at, line)| read_line(line, (path, at + 1))).collect()
}

/// What is expected of a file.
const EXPECTED: &str =
    "expected lines of JSON as predict, generate and eval write them with --shard";

fn read_line(line: &str, (path, number): (&Path, usize)) -> Result<Line> {
    let refuse = |message: &str| Error::data(path, number, format!("{message}; {EXPECTED}"));
    if line.ends_with('\r') {
        return Err(refuse(
            "ends in a carriage return, which another program has added: copy the file as it is",
        ));
    }
    let (mark, text) = Mark::split(line).map_err(|reason| match reason {
        NoMark::NotJson if line.trim().is_empty() => refuse("is empty"),
        NoMark::NotJson => refuse("is no JSON"),
        NoMark::NotObject => refuse("is no object"),
        NoMark::Unmarked => refuse("has no field `shard`, which says which row it is of"),
        NoMark::Rewritten => refuse(
            "the field `shard` is not as it was written: it stands in front, with `part`, `row`, `rows` and `run`",
        ),
    })?;
    let fields = serde_json::from_str(&text).map_err(|_| refuse("is no JSON"))?;
    let said = Said::of(&fields).ok_or_else(|| {
        refuse(&format!("is no prediction: it has none of the fields {}", Said::fields()))
    })?;
    Ok(Line { mark, text, said, at: (path.to_path_buf(), number) })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const MARK: &str = "\"shard\":{\"part\":\"1/2\",\"row\":1,\"rows\":2,\"run\":\"a\"}";

    fn said(bytes: &[u8]) -> std::result::Result<usize, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jsonl");
        fs::write(&path, bytes).unwrap();
        let lines = read(&path).map_err(|error| error.to_string())?;
        Ok(lines.len())
    }

    #[test]
    fn what_is_no_part_is_told_with_its_line() {
        let good = format!("{{{MARK},\"label\":\"é\"}}\n");
        assert_eq!(said(good.as_bytes()), Ok(1));
        assert_eq!(said(b""), Ok(0));
        for (second, says) in [
            (format!("{{{MARK},\"label\":\"x\"}}"), "line 2: the end of the line is missing"),
            (format!("{{{MARK},\"lab"), "line 2: the end of the line is missing"),
            (format!("{{{MARK},\"lab\n"), "line 2: is no JSON"),
            ("\n".into(), "line 2: is empty"),
            ("label,probability\n".into(), "line 2: is no JSON"),
            ("[1]\n".into(), "line 2: is no object"),
            ("{\"label\":1}\n".into(), "line 2: has no field `shard`"),
            (format!("{{\"label\":1,{MARK}}}\n"), "line 2: the field `shard` is not as it was"),
            (format!("{{{MARK},\"text\":1}}\n"), "line 2: is no prediction: it has none of"),
        ] {
            let refused = said((good.clone() + &second).as_bytes()).unwrap_err();
            assert!(refused.contains(says), "{second:?}: {refused}");
        }
        let refused = said(&[good.as_bytes(), b"\xff\n"].concat()).unwrap_err();
        assert!(refused.contains("line 2: is not UTF-8"), "{refused}");
    }
}
