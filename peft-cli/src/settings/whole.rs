//! The comments of files of settings: where their paths start from, and whether a file that the program wrote is whole. Its
//! second line says that its last one is the sum of those above. Without that end, settings would silently get their
//! defaults: each line that is left is one that could be meant.
//!
//! A file with the first of these lines alone, or with neither, was written by somebody else, and has no sum.

use std::path::Path;

use peft_core::{Error, Result, adapter::codec::sha256, formats::read};

use crate::training::file_names::{ENSEMBLE, RUN_FILE};

/// The first line of a TOML file whose relative paths start from its folder, a comment. Those of others start from the
/// working folder.
pub const FROM_FILE: &str = "# Relative paths start from the folder of this file.";

/// The second line, a comment.
const WRITTEN: &str =
    "# peft wrote this file. Its last line, a comment, tells whether it is whole.";

/// Begins the last line, a comment.
const SUM: &str = "# SHA-256 of the lines above: ";

/// Whether the relative paths of a TOML file start from its own folder.
pub fn starts_from_its_folder(text: &str) -> bool {
    text.lines().next() == Some(FROM_FILE)
}

/// The text of a file with these settings in TOML, as the program writes it.
pub fn written(toml: &str) -> String {
    let text = format!("{FROM_FILE}\n{WRITTEN}\n{toml}");
    format!("{text}{SUM}{}\n", sha256(text.as_bytes()))
}

/// Whether a text was changed after the sum was added. One of an earlier version has none.
pub fn is_edited(text: &str) -> bool {
    text.rsplit_once(SUM).is_some_and(|(above, sum)| sha256(above.as_bytes()) != sum.trim_end())
}

/// Whether a text of the program lacks its end.
pub fn is_cut(text: &str) -> bool {
    let is_begun = format!("{FROM_FILE}\n{WRITTEN}").starts_with(text.trim_end());
    is_begun || (text.lines().nth(1) == Some(WRITTEN) && !text.contains(SUM))
}

/// Whether settings may be missing in a text of the program that lacks its end. They are all there where the last line is
/// begun: it is written behind them.
pub fn lacks_settings(text: &str) -> bool {
    let last = text.lines().skip(2).last();
    is_cut(text) && last.is_none_or(|last| last.is_empty() || !SUM.starts_with(last))
}

/// Whether the text of a run's own file lacks its end: of an earlier version, it has another head. Those of ensembles and of
/// `peft eval --out` had the first line before they had a sum.
pub fn lacks_end(text: &str) -> bool {
    is_cut(text) || (starts_from_its_folder(text) && !text.contains(SUM))
}

/// What is to be said of a file with a sum that was changed since.
pub fn says_of_edited(text: &str) -> Option<&'static str> {
    is_edited(text).then_some("was changed after peft wrote it")
}

/// What is to be said of a run's own file that is not as the program wrote it.
pub fn says(text: &str) -> Option<&'static str> {
    let lacking = || {
        lacks_end(text).then_some(
            "was cut off or changed after peft wrote it: its last line, a comment, is missing",
        )
    };
    says_of_edited(text).or_else(lacking)
}

/// The same of a file; nothing of one that is as it was written.
///
/// # Errors
///
/// [`Error::Read`].
pub fn says_of(path: &Path) -> Result<Option<&'static str>> {
    Ok(says(&read::text(path)?))
}

/// Refuses a file that another run is to be made from, if the program wrote it and its end is missing.
///
/// # Errors
///
/// [`Error::File`] saying behind which line it was cut, and the way out.
pub fn refuse_cut(text: &str, path: &Path) -> Result<()> {
    // An empty file of another name may be meant.
    let is_ours = || path.file_name().is_some_and(|name| name == RUN_FILE || name == ENSEMBLE);
    if !is_cut(text) || (text.trim().is_empty() && !is_ours()) {
        return Ok(());
    }
    let settings = text.lines().enumerate().filter(|(_, line)| !line.starts_with('#'));
    let after = match settings.filter(|(_, line)| !line.trim().is_empty()).last() {
        Some((place, line)) => {
            let name = line.split('=').next().unwrap_or_default().trim();
            format!("behind line {}, `{name}`", place + 1)
        }
        None => "before its first setting".to_string(),
    };
    let as_it_stands = match text.lines().nth(1) {
        Some(WRITTEN) => {
            "; or remove its second line, a comment, if all settings that it lacks shall have their defaults"
        }
        _ => "",
    };
    Err(Error::file(
        path,
        format!(
            "lacks its last line, a comment with the sum of the others: it was cut off {after}, or that line was removed; get \
             the whole file{as_it_stands}"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edited_settings_are_told() {
        let text = written("lr = 0.1\nsteps = 7\n");
        assert!(says(&text).is_none() && says("lr = 0.1\n").is_none());
        for edited in [text.replace('7', "8"), format!("{text}epochs = 1\n"), format!("a{text}")] {
            assert!(is_edited(&edited) && !is_cut(&edited), "{edited}");
            assert_eq!(says(&edited), Some("was changed after peft wrote it"));
            assert_eq!(says_of_edited(&edited), says(&edited));
        }
        // Of an ensemble of an earlier version.
        assert_eq!(says_of_edited(&format!("{FROM_FILE}\nlr = 0.1\n")), None);
    }

    /// Wherever it was cut in front of its last line, it is refused; what somebody else wrote is not.
    #[test]
    fn settings_without_their_end_are_refused() {
        let text = written("lr = 0.1\nsteps = 7\n");
        let refused = |text: &str, name: &str| refuse_cut(text, Path::new(name)).err();
        let end = text.find(SUM).unwrap_or_default();
        for cut in 0..end + SUM.len() {
            let error = refused(&text[..cut], "run.toml").map(|error| error.to_string());
            let said = error.unwrap_or_default();
            assert!(said.starts_with("run.toml: lacks its last line"), "{cut}: {said}");
            assert!(said.contains("it was cut off be"), "{cut}: {said}");
            assert!(says(&text[..cut]).is_some(), "{cut}");
            assert_eq!(lacks_settings(&text[..cut]), cut <= end, "{cut}");
        }
        let said = refused(&text[..end], "a/b.toml").map(|error| error.to_string());
        let said = said.unwrap_or_default();
        assert!(said.contains(": it was cut off behind line 4, `steps`, or"), "{said}");
        assert!(said.contains("remove its second line"), "{said}");
        let own = text[..end].replace(&format!("{WRITTEN}\n"), "");
        let earlier = format!("{FROM_FILE}\nlr = 0.1\n");
        for whole in [&text, &own, &earlier, "lr = 0.1\n", "# mine\nsteps = 2"] {
            assert!(refused(whole, "run.toml").is_none(), "{whole}");
        }
        assert!(!lacks_settings(&text) && !lacks_settings(&own));
        assert!(refused("", "my.toml").is_none() && refused("", "ensemble.toml").is_some());
    }
}
