//! What goes to the terminal: results on stdout, everything else on stderr.

use std::{
    env::args_os,
    io::{self, IsTerminal, Write, stderr, stdout},
    iter::once,
    path::{Path, PathBuf, is_separator},
};

use comfy_table::{CellAlignment, Table, presets::NOTHING};
use console::Term;
use peft_core::{Error, Result, adapter::atomic, metrics::Metrics, text::find_files};
use serde_json::{Value, json};

use crate::{
    owned_files::part_of,
    screen::{
        bar::columns as columns_of_terminal,
        fact::{command, sentences},
        manners::{Tone, is_quiet, is_silent, paint},
    },
};

/// Prints a line of results.
///
/// # Errors
///
/// Returns an error if stdout cannot be written to: closed, as under `| head`, or full.
pub fn line(text: impl AsRef<str>) -> io::Result<()> {
    writeln!(stdout(), "{}", text.as_ref())
}

/// Prints a named fact on a line of its own, which names and texts from files can neither leave nor colour.
///
/// # Errors
///
/// Returns an error if stdout cannot be written to: closed, as under `| head`, or full.
pub fn fact(name: &str, value: impl AsRef<str>) -> io::Result<()> {
    line(format!("{name:<18} {}", visible(value.as_ref(), &[])))
}

/// A text from a file with its control characters written out, such as those that colour a terminal or rename its
/// window; all but those in `kept`.
pub fn visible(text: &str, kept: &[char]) -> String {
    let escaped = |c: char| match c.is_control() && !kept.contains(&c) {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    text.chars().map(escaped).collect()
}

/// Prints part of a line of results, at once.
///
/// # Errors
///
/// Returns an error if stdout cannot be written to: closed, as under `| head`, or full.
pub fn piece(text: &str) -> io::Result<()> {
    let mut out = stdout();
    write!(out, "{text}")?;
    out.flush()
}

/// A JSON object with its keys in this order.
pub fn object(fields: &[(&str, Value)]) -> String {
    let field = |(name, value): &(&str, Value)| format!("{}:{value}", json!(name));
    format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(","))
}

/// Prints metrics, one per line.
///
/// # Errors
///
/// Returns an error if stdout cannot be written to: closed, as under `| head`, or full.
pub fn metrics(metrics: &Metrics) -> io::Result<()> {
    let width = metrics.iter().map(|(name, _)| name.len()).max().unwrap_or(0).max(10);
    metrics.iter().try_for_each(|(name, value)| line(format!("{name:<width$} {value:>9.4}")))
}

/// What stands for standard output in place of a file.
const STDOUT: &str = "-";

/// Whether this stands for standard output.
pub fn is_stdout(output: &Path) -> bool {
    output == Path::new(STDOUT)
}

/// The file that a flag names, unless it stands for standard output, where lines go without the flag.
pub fn file_of(output: Option<&Path>) -> Option<&Path> {
    output.filter(|output| !is_stdout(output))
}

/// Refuses a file for results, before the work that they take, that cannot be written, is one of the files they come from, or
/// one that an adapter, a run or a model consists of.
///
/// # Errors
///
/// [`Error::Setting`] naming `flag`, [`Error::Write`].
pub fn check_output(flag: &str, output: Option<&Path>, inputs: &[PathBuf]) -> Result<()> {
    let Some(output) = output else { return Ok(()) };
    if is_stdout(output) {
        let message =
            "found -, standard output, where this cannot go: give a file (./- is one of that name)";
        return Err(Error::setting(flag, message));
    }
    if output.to_string_lossy().ends_with(is_separator) {
        let message = format!("found {}, the name of a folder: give a file", output.display());
        return Err(Error::setting(flag, message));
    }
    // A terminal may be both.
    if output.is_file() && inputs.iter().any(|input| is_read(output, input)) {
        let message =
            format!("found {}, which this command reads: give another file", output.display());
        return Err(Error::setting(flag, message));
    }
    if let Some(whole) = part_of(output) {
        let message = format!(
            "found {}, which is a file of the {whole} there: give another file",
            output.display()
        );
        return Err(Error::setting(flag, message));
    }
    atomic::check_writable(output)
}

/// Refuses what stands for standard output in place of a folder for results.
///
/// # Errors
///
/// [`Error::Setting`] naming `flag`.
pub fn check_folder(flag: &str, folder: &Path) -> Result<()> {
    match is_stdout(folder) {
        true => {
            let message = "found -, standard output, where a folder is written: give a folder (./- is one of that name)";
            Err(Error::setting(flag, message))
        }
        false => Ok(()),
    }
}

/// Whether a file is among those that a name of data files stands for.
pub fn is_read(file: &Path, input: &Path) -> bool {
    // A name that stands for none is told when it is opened.
    let found = find_files(&[input.to_path_buf()]).unwrap_or_default();
    is_same_file(file, input) || found.files.iter().any(|input| is_same_file(file, input))
}

/// A path as a shell takes it, and as no command takes it for a flag.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    match text.starts_with('-') && text != "-" {
        true => quoted_word(&format!("./{text}")),
        false => quoted_word(&text),
    }
}

/// A word of a command line as a shell takes it.
pub fn quoted_word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_-./@:=+,%".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_string(),
        false => in_quotes(text),
    }
}

/// The command line of this process, as a shell takes it.
pub fn command_line() -> String {
    let words = args_os().skip(1).map(|word| quoted_word(&word.to_string_lossy()));
    once("peft".to_string()).chain(words).collect::<Vec<_>>().join(" ")
}

/// A text in quotes, as a shell takes it, whatever it is.
pub fn in_quotes(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Whether two paths lead to one file.
pub fn is_same_file(a: &Path, b: &Path) -> bool {
    a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// Prints a note on stderr, in which names from files may stand; not with `--quiet`.
pub fn note(text: impl AsRef<str>) {
    if !is_quiet() {
        tell(text);
    }
}

/// Prints something on stderr that nobody should miss: a warning, or what is to be done.
pub fn tell(text: impl AsRef<str>) {
    if !is_silent() {
        error(text);
    }
}

/// Prints on stderr what ends the program.
pub fn error(text: impl AsRef<str>) {
    let text = visible(text.as_ref(), &['\n', '\t']);
    let mark = MARKS.into_iter().find(|(mark, _)| text.starts_with(mark));
    // Colours have no width.
    let text = columns().map_or_else(|| text.clone(), |columns| sentences(&text, columns));
    let text = match mark.and_then(|(mark, tone)| Some((mark, tone, text.strip_prefix(mark)?))) {
        Some((mark, tone, rest)) => format!("{}{rest}", paint(mark, tone)),
        None => text,
    };
    print(&text);
}

/// The columns of the terminal behind stderr, if there is one.
fn columns() -> Option<usize> {
    Term::stderr().is_term().then(columns_of_terminal)
}

/// Prints a line of results that is a sentence: on a terminal, it is broken between words.
///
/// # Errors
///
/// Returns an error if stdout cannot be written to: closed, as under `| head`, or full.
pub fn sentence(text: &str) -> io::Result<()> {
    match stdout().is_terminal() {
        true => line(sentences(text, columns_of_terminal())),
        false => line(text),
    }
}

/// Prints a command on stderr that goes on from here, behind some text; not with `--quiet`.
pub fn next(before: &str, text: &str) {
    progress(&command(before, &visible(text, &[]), columns()));
}

/// Prints a line of the program's own on stderr, which may have colours; not with `--quiet`.
pub fn progress(line: &str) {
    if !is_quiet() {
        print(line);
    }
}

fn print(line: &str) {
    // Nothing can be done about a closed stderr.
    let _ = writeln!(stderr(), "{line}");
}

/// What a line may begin with, in a colour of its own.
const MARKS: [(&str, Tone); 3] =
    [("error:", Tone::Error), ("warning:", Tone::Warning), ("note:", Tone::Note)];

/// An aligned table: columns of numbers are right-aligned, others left-aligned.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header);
    table.add_rows(rows.iter().map(|row| row.iter().map(|cell| visible(cell, &[]))));
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        let numbers = rows
            .iter()
            .filter_map(|row| row.get(index))
            .all(|cell| cell.starts_with(|first: char| first.is_ascii_digit() || first == '-'));
        if numbers {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_string()).collect::<Vec<_>>().join("\n")
}

/// Bytes in two digits, as people read them.
pub fn bytes(count: u64) -> String {
    let (kb, mb) = (count as f64 / 1e3, count as f64 / 1e6);
    match mb {
        ..0.001 => format!("{count} B"),
        ..0.00995 => format!("{kb:.1} kB"),
        ..0.095 => format!("{kb:.0} kB"),
        ..0.95 => format!("{:.0} kB", 10.0 * (kb / 10.0).round()),
        ..95.0 => format!("{mb:.0} MB"),
        ..950.0 => format!("{:.0} MB", 10.0 * (mb / 10.0).round()),
        ..9950.0 => format!("{:.1} GB", mb / 1e3),
        _ => format!("{:.0} GB", mb / 1e3),
    }
}

/// A number in groups of three digits: 12 345 678.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        // Decimal digits are ASCII.
        .map(|group| std::str::from_utf8(group).unwrap_or_default())
        .collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_for_a_shell() {
        let of = |path: &str| quoted(Path::new(path));
        assert_eq!(
            [of("runs/a-1.2"), of("a b"), of("it's")],
            ["runs/a-1.2", "'a b'", r"'it'\''s'"]
        );
        assert_eq!([of("$x"), of("")], ["'$x'", "''"]);
        // A folder that looks like a flag; - is standard input.
        assert_eq!([of("-x"), of("-a b"), of("-")], ["./-x", "'./-a b'", "-"]);
        assert_eq!([quoted_word("-x"), quoted_word("--out=a b")], ["-x", "'--out=a b'"]);
    }

    #[test]
    fn no_folder_is_called_as_standard_output() {
        let said =
            |name: &str| check_folder("--out", Path::new(name)).map_err(|error| error.to_string());
        assert!(
            said("-")
                .is_err_and(|said| said.starts_with("--out: found -, ") && said.contains("./-"))
        );
        assert!(["./-", "a/-", "--", "out"].into_iter().all(|name| said(name).is_ok()));
    }

    #[test]
    fn control_characters_are_written_out() {
        assert_eq!(visible("a\u{1b}[31m\u{9b}é\nb\t", &['\n', '\t']), "a\\u{1b}[31m\\u{9b}é\nb\t");
        assert_eq!(visible("a\nb", &[]), "a\\nb");
        assert_eq!(table(&["n"], &[vec!["a\nb".into()]]), "n\na\\nb");
    }

    #[test]
    fn bytes_have_the_unit_that_fits() {
        let of = [0, 999, 1_000, 9_940, 49_200, 123_456, 949_999, 950_000, 5_400_000, 123_000_000];
        assert_eq!(
            of.map(bytes),
            [
                "0 B", "999 B", "1.0 kB", "9.9 kB", "49 kB", "120 kB", "950 kB", "1 MB", "5 MB",
                "120 MB"
            ]
        );
        assert_eq!([1_200_000_000, 23_400_000_000].map(bytes), ["1.2 GB", "23 GB"]);
    }

    #[test]
    fn numbers_are_grouped_and_columns_align() {
        assert_eq!(grouped(1_234_567), "1 234 567");
        assert_eq!(grouped(12), "12");
        let text =
            table(&["name", "n"], &[vec!["a".into(), "1".into()], vec!["bb".into(), "22".into()]]);
        assert_eq!(text, "name   n\na      1\nbb    22");
    }
}
