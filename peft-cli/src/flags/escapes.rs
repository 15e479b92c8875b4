//! Texts of the command line in which somebody meant the end of a line, and the shell left two characters.

use std::ffi::OsString;

use crate::output;

/// Flags whose text stands in rows, or is looked for in what is written. In a `--prompt` it may be code.
const TEXTS: [&str; 5] =
    ["--source-template", "--target-template", "--system", "--stop", "--shot-separator"];

/// Tells of the texts in this process's command line that have a backslash with a letter, where bash makes one character of
/// both between `$'` and `'` alone.
pub fn tell() {
    notes(std::env::args_os()).into_iter().for_each(output::note);
}

fn notes(arguments: impl IntoIterator<Item = OsString>) -> Vec<String> {
    let arguments: Vec<String> =
        arguments.into_iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let mut notes = Vec::new();
    for (at, argument) in arguments.iter().enumerate() {
        let (flag, value) = match argument.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (argument.as_str(), arguments.get(at + 1).map(String::as_str)),
        };
        let Some(value) = value.filter(|_| TEXTS.contains(&flag)) else { continue };
        for (escape, name, meant) in [("\\n", "an n", "the end of a line"), ("\\t", "a t", "a tab")]
        {
            if value.contains(escape) {
                notes.push(format!(
                    "note: {flag} has a backslash and {name} where it says {escape}; {meant} is $'{escape}' in bash"
                ));
            }
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(arguments: &[&str]) -> Vec<String> {
        notes(arguments.iter().map(OsString::from))
    }

    #[test]
    fn a_backslash_with_a_letter_is_told() {
        for arguments in [&["peft", "generate", "--stop", r"\n"][..], &["--stop=a\\nb"]] {
            assert_eq!(
                of(arguments),
                [
                    r"note: --stop has a backslash and an n where it says \n; the end of a line is $'\n' in bash"
                ]
            );
        }
        let both = of(&["--source-template", r"{a}\t{b}\n", "--target-template", "{c}"]);
        assert_eq!(both.len(), 2, "{both:?}");
        assert!(
            both[1].contains("a backslash and a t") && both[1].contains("a tab is"),
            "{both:?}"
        );
    }

    #[test]
    fn other_texts_are_not_told() {
        for arguments in [
            &["--stop", "\n"][..],
            &["--prompt", r"print('\n')"],
            &["--out", r"runs\new"],
            &["--stop"],
            &["--source-template={a} {b}"],
        ] {
            assert!(of(arguments).is_empty(), "{arguments:?}");
        }
    }
}
