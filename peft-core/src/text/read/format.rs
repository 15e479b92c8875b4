//! What a data file holds, told from its first bytes; its name decides where they leave a choice.

use std::path::Path;

use super::{
    conll::looks_like_conll,
    dialect::{DELIMITERS, Dialect, Quotes, separator},
    fast_text::{is_label, is_labelled},
    input::check_encoding,
    line_end::LineEnd,
    options::ReadOptions,
};
use crate::error::{Error, Result};

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// JSON of any layout.
    Json,
    /// Rows of columns.
    Delimited(Dialect),
    /// Words with their tags.
    Conll,
    /// Lines of text.
    Lines,
    /// Lines of text with fastText's labels.
    FastText,
    /// Columns of values.
    Parquet,
}

/// What a file holds, for those who also read plain lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Rows of fields: JSON, Parquet, or a table or CoNLL by its name.
    Rows,
    /// Lines that might be words with their tags, as in CoNLL's files, by their content alone.
    Words,
    /// Lines of text.
    Lines,
}

/// What the file `path`, which begins with `head`, holds. Lines of text are no table for their commas or tabs.
///
/// # Errors
/// [`Error::File`] for binary formats and UTF-16.
pub(super) fn content_of(path: &Path, head: &[u8]) -> Result<Content> {
    if head.starts_with(b"PAR1") {
        return Ok(Content::Rows);
    }
    refuse_binary(path, head)?;
    check_encoding(path, head)?;
    let is_named = data_extension(path).is_some() && !is_json_lines(path);
    if is_json(head) || is_named && !head.is_empty() {
        return Ok(Content::Rows);
    }
    match looks_like_conll(&String::from_utf8_lossy(head)) {
        true => Ok(Content::Words),
        false => Ok(Content::Lines),
    }
}

const ACCEPTED: &str = ".jsonl, .json, .csv, .tsv, .conll or .txt (also .gz or .zst) or .parquet";

/// What the file `path`, which begins with `head`, holds. Where its columns are named, the first row is not their
/// header.
///
/// # Errors
/// [`Error::File`] if it can be none of the formats, saying how to make it one of them.
pub(super) fn of(path: &Path, head: &[u8], options: &ReadOptions) -> Result<Format> {
    let columns = options.columns.as_deref();
    let columns_are_named = columns.is_some();
    if head.starts_with(b"PAR1") {
        return Ok(Format::Parquet);
    }
    refuse_binary(path, head)?;
    check_encoding(path, head)?;
    let extension = extension(path);
    if is_json(head) {
        return Ok(Format::Json);
    }
    let head = String::from_utf8_lossy(head);
    let mut rows = head.lines().filter(|row| !row.is_empty());
    let (first, second) = (rows.next().unwrap_or_default(), rows.next());
    let others: Vec<&str> = second.into_iter().chain(rows).collect();
    let csv = || {
        let old_mac = old_mac_dialect(&head);
        Format::Delimited(old_mac.unwrap_or_else(|| csv_dialect(first, &others)))
    };
    match extension.as_str() {
        "jsonl" | "json" | "ndjson" => Ok(Format::Json),
        "csv" => Ok(csv()),
        "tsv" | "tab" | "" | "txt" | "data" if separator(first).is_some() => Ok(csv()),
        name if CONLL.contains(&name) => Ok(Format::Conll),
        name if PARQUET.contains(&name) => Err(Error::file(
            path,
            format!(
                "has the name of a Parquet file, but does not begin as one: it is damaged, or another file; \
                 expected {ACCEPTED}"
            ),
        )),
        "tsv" | "tab" | "" | "txt" | "data" if looks_like_conll(&head) => Ok(Format::Conll),
        "tsv" | "tab" => {
            let csv = csv_dialect(first, &others);
            let has_columns = |row: &str| csv.count(row) > 0;
            match has_columns(first) && !first.contains('\t') && second.is_some_and(has_columns) {
                true => Ok(Format::Delimited(csv)),
                false => Ok(Format::Delimited(Dialect::TSV)),
            }
        }
        _ if is_labelled(first)
            && !columns.is_some_and(|names| is_label_column(first, &others, names.len())) =>
        {
            Ok(Format::FastText)
        }
        "text" => Ok(Format::Lines),
        "" | "txt" | "data" => {
            let tabs = |row: &str| Dialect::TSV.count(row);
            // A tab may indent a paragraph.
            let has_tabs = first.trim_start().contains('\t')
                && (columns_are_named || others.iter().any(|row| tabs(row) == tabs(first)));
            let is_csv = match columns_are_named {
                true => csv_dialect(first, &others).count(first) > 0,
                false => is_header(first, &others),
            };
            let fits = columns.is_some_and(|names| are_columns(first, &others, names.len()));
            if is_csv && !has_tabs && options.remembered && !fits && may_be_prose(first, &others) {
                let message = format!(
                    "{} may be lines of text, or a table of the columns that training had: name it .text or .csv, or \
                     give its columns",
                    path.display()
                );
                return Err(Error::setting("columns", message));
            }
            Ok(match first {
                _ if has_tabs => Format::Delimited(Dialect::TSV),
                _ if is_csv => csv(),
                _ => Format::Lines,
            })
        }
        other => Err(Error::file(path, format!("found extension .{other}, expected {ACCEPTED}"))),
    }
}

/// Formats that people bring and that are not read: how they begin, their names, and what to do.
const BINARY: &[(&[u8], &str, &str)] = &[
    (b"PK\x03\x04", "a ZIP archive or a spreadsheet", "unpack it, or save it as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old spreadsheet", "save it as CSV"),
    (b"PARE", "encrypted Parquet", "write it without encryption"),
    (b"ARROW1", "an Arrow file", "write it as Parquet (`to_parquet` of `datasets`)"),
    (b"\xff\xff\xff\xff", "an Arrow stream", "write it as Parquet (`to_parquet` of `datasets`)"),
    (b"BZh", "compressed with bzip2", "unpack it with bunzip2"),
    (b"\xfd7zXZ", "compressed with xz", "unpack it with unxz"),
    (b"\x80\x04\x95", "a pickle", "write it as JSON Lines"),
    (b"\x89HDF", "an HDF5 file", "write it as JSON Lines"),
];

/// Refuses binary formats by their name.
fn refuse_binary(path: &Path, head: &[u8]) -> Result<()> {
    match BINARY.iter().find(|(magic, ..)| head.starts_with(magic)) {
        Some((_, what, way_out)) => {
            Err(Error::file(path, format!("is {what}, expected {ACCEPTED}: {way_out}")))
        }
        None => Ok(()),
    }
}

/// The extension of a file's name in lower case, without that of its compression; empty if there is none.
fn extension(path: &Path) -> String {
    let of = |path: &Path| {
        path.extension().and_then(|extension| extension.to_str()).unwrap_or("").to_ascii_lowercase()
    };
    match of(path).as_str() {
        "gz" | "gzip" | "zst" | "zstd" => of(Path::new(path.file_stem().unwrap_or_default())),
        other => other.to_owned(),
    }
}

/// Whether a file holds a row on each line by its name.
pub(super) fn is_json_lines(path: &Path) -> bool {
    matches!(extension(path).as_str(), "jsonl" | "ndjson")
}

/// The extension of a file that holds data by its name.
pub(super) fn data_extension(path: &Path) -> Option<String> {
    const KNOWN: &[&str] = &["jsonl", "json", "ndjson", "csv", "tsv", "tab"];
    Some(extension(path))
        .filter(|name| [KNOWN, CONLL, PARQUET].iter().any(|list| list.contains(&name.as_str())))
}

/// The extensions of Parquet files.
const PARQUET: &[&str] = &["parquet", "pq"];

/// The extensions of CoNLL files.
const CONLL: &[&str] = &["conll", "conllu", "conll2003", "bio", "iob", "iob2", "ner"];

/// Whether a file begins as JSON, and as nothing else would.
fn is_json(head: &[u8]) -> bool {
    let mut bytes = head.iter().filter(|byte| !byte.is_ascii_whitespace());
    let next = (bytes.next(), bytes.next());
    matches!(
        next,
        (Some(b'{'), None | Some(b'"' | b'}')) | (Some(b'['), None | Some(b'{' | b'[' | b']'))
    )
}

/// Whether what separates columns in the first line may be the commas of a text: blanks follow them, or other lines have
/// more or fewer.
fn may_be_prose(first: &str, others: &[&str]) -> bool {
    let dialect = csv_dialect(first, others);
    // The last line may be cut off.
    let whole = &others[..others.len().saturating_sub(1)];
    dialect.skip_space || whole.iter().any(|row| dialect.count(row) != dialect.count(first))
}

/// How the columns of CSV are separated whose lines end in CR, as on old Macs; `None` if they do not.
fn old_mac_dialect(head: &str) -> Option<Dialect> {
    let mut rows = head.split('\r').filter(|row| !row.trim().is_empty());
    let first = rows.next()?;
    let dialect = csv_dialect(first, &rows.collect::<Vec<_>>());
    let mut end = LineEnd::new(Some(dialect));
    end.push(head.as_bytes());
    end.is_old_mac().then_some(dialect)
}

/// Whether each of the lines has so many columns.
fn are_columns(first: &str, others: &[&str], columns: usize) -> bool {
    let dialect = csv_dialect(first, others);
    // The last line may be cut off.
    let whole = &others[..others.len().saturating_sub(1)];
    std::iter::once(&first).chain(whole).all(|row| dialect.count(row) + 1 == columns)
}

/// Whether a line has so many columns, one of which is a label of fastText.
fn is_label_column(first: &str, others: &[&str], columns: usize) -> bool {
    [Dialect::TSV, csv_dialect(first, others)].into_iter().any(|dialect| {
        let cells = dialect.fields(first);
        cells.len() == columns
            && cells
                .iter()
                .map(|cell| cell.trim())
                .any(|cell| is_label(cell) && !cell.contains(char::is_whitespace))
    })
}

/// Whether a line names columns that others have, too: prose has commas as well.
fn is_header(first: &str, others: &[&str]) -> bool {
    const WORDS: usize = 2;
    let dialect = csv_dialect(first, others);
    let count = dialect.count(first);
    let names =
        first.split(char::from(dialect.delimiter)).map(|name| name.trim_matches([' ', '"']));
    let is_name = |name: &str| name.split(' ').count() <= WORDS && !name.ends_with(['.', '!', '?']);
    // The first name may be missing, as where `pandas` writes its index.
    let are_names = names.clone().all(is_name) && names.skip(1).all(|name| !name.is_empty());
    count > 0 && are_names && others.iter().any(|row| dialect.count(row) == count)
}

/// How the header row `first` of a CSV file, which these rows follow, separates its columns: where a name has a comma,
/// it is the rows that tell.
fn csv_dialect(first: &str, others: &[&str]) -> Dialect {
    /// Rows that are looked at.
    const ROWS: usize = 20;
    let with = |delimiter| Dialect { delimiter, quotes: true, skip_space: false };
    if let Some(delimiter) = separator(first) {
        return csv_of(with(delimiter), others.first().copied().unwrap_or_default());
    }
    let found: Vec<Dialect> =
        DELIMITERS.map(with).into_iter().filter(|way| way.count(first) > 0).collect();
    let fitting = |way: &Dialect| {
        let count = way.count(first);
        others.iter().take(ROWS).filter(|row| way.count(row) == count).count()
    };
    // Of several that fit as many rows, the first.
    let best = found.into_iter().rev().max_by_key(fitting);
    csv_of(best.unwrap_or(with(b',')), first)
}

/// The dialect of a file with the header row `first`: whether blanks behind its separators are left out.
fn csv_of(dialect: Dialect, first: &str) -> Dialect {
    let mut quotes = Quotes::new(Dialect { skip_space: true, ..dialect });
    // The blanks of a header that has one behind each of its commas are no part of its names.
    let bytes = first.as_bytes();
    let mut after = (0..bytes.len())
        .filter(|&at| quotes.push(bytes[at]))
        .map(|at| bytes.get(at + 1))
        .peekable();
    let skip_space = after.peek().is_some() && after.all(|next| next == Some(&b' '));
    Dialect { skip_space, ..dialect }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn found(name: &str, head: &str) -> Format {
        of(Path::new(name), head.as_bytes(), &ReadOptions::default()).unwrap()
    }

    fn delimiter(name: &str, head: &str) -> (char, bool) {
        match found(name, head) {
            Format::Delimited(Dialect { delimiter, quotes, .. }) => (char::from(delimiter), quotes),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn content_comes_before_the_name() {
        for (name, head) in [
            ("a.csv", "{\"a\": 1}"),
            ("a.tsv", "\n[\n{"),
            ("a", "[[1]]"),
            ("a.xyz", "{}"),
            ("a.JSON", "x"),
        ] {
            assert_eq!(found(name, head), Format::Json, "{name}");
        }
        assert_eq!(delimiter("a.csv", "{a},b\n"), (',', true));
        assert_eq!(delimiter("a.csv", "\n\na;b\n1;2"), (';', true));
        assert_eq!(delimiter("a.csv", "\"a,b\"\tc\n"), ('\t', true));
        assert_eq!(delimiter("a.csv", "a,b;c\n"), (',', true));
        assert_eq!(delimiter("a.csv", "a\n"), (',', true));
        assert_eq!(delimiter("a.csv", "a;b (c, d)\n1;2\n3;4, 5\n"), (';', true));
        assert_eq!(delimiter("a.csv", "a,b;c\n1,2\n"), (',', true));
        assert_eq!(delimiter("a.csv", "sep=;\r\na;b,c\r\n"), (';', true));
        assert_eq!(delimiter("a.csv", "a;b\r\"x, y\nz, w\";1\r"), (';', true));
        assert_eq!(delimiter("a.tsv", "SEP=|\na|b\n"), ('|', true));
        assert_eq!(delimiter("a.tsv", "a\tb,c\n"), ('\t', false));
        assert_eq!(delimiter("a.tsv", "a,b\n1,2"), (',', true));
        assert_eq!(delimiter("a.tsv", "a, b"), ('\t', false));
        assert_eq!(delimiter("a", "a,b\n1,2"), (',', true));
        assert_eq!(delimiter("a.txt", ",first name,b\n1,\"2,3\",4"), (',', true));
        assert_eq!(delimiter("a.txt", "a\tb\n1\t2,3"), ('\t', false));
        assert_eq!(delimiter("a.txt", "\ta\tb\n0\t1\t2"), ('\t', false));
    }

    #[test]
    fn prose_is_no_table() {
        for head in [
            "the sea\nis blue\n",
            "Well, the sea\n",
            "Well, it was a dark night\nand, as they say, a cold\n",
            "Tyger Tyger, burning bright,\nIn the forests, of the night,\n",
            "Yes, sir.\nNo, sir.\n",
            "Roses are red, violets are blue\nSugar is sweet, and so are you\n",
            "\tIt was a dark night.\n\tThe wind blew.\n",
            "a\tb\n",
        ] {
            assert_eq!(found("a.txt", head), Format::Lines, "{head}");
            assert_eq!(found("a", head), Format::Lines);
        }
        assert_eq!(found("a.text", "a,b\n1,2\n"), Format::Lines);
        for name in ["a.txt", "a", "a.text", "a.train"] {
            assert_eq!(found(name, "__label__a , x\n__label__b , y\n"), Format::FastText);
        }
        assert_ne!(found("a.csv", "__label__a,x\n"), Format::FastText);
        let mut named = ReadOptions { columns: Some(Vec::new()), ..ReadOptions::default() };
        let of_named = |options: &ReadOptions, head: &[u8]| of(Path::new("a.txt"), head, options);
        assert!(matches!(of_named(&named, b"the sea, it is\n").unwrap(), Format::Delimited(_)));
        named.remembered = true;
        let error = of_named(&named, b"good, film\nbad, film\n").unwrap_err().to_string();
        assert!(error.starts_with("columns: a.txt may be lines of text, or a table"), "{error}");
        assert!(of_named(&named, b"1,good\n0,bad\n").is_ok());
        // What training read as a table with these columns.
        named.columns = Some(vec!["label".to_owned(), "text".to_owned()]);
        let sms = b"ham, Go until jurong\nspam, Free entry\n";
        assert!(matches!(of_named(&named, sms).unwrap(), Format::Delimited(_)));
        assert!(of_named(&named, b"ham, Go, now\nspam, Free entry\n").is_err());
        let fast_text = b"__label__a the sea, blue\n__label__b x\n";
        assert_eq!(of_named(&named, fast_text).unwrap(), Format::FastText);
        assert!(matches!(of_named(&named, b"__label__a\tx\n").unwrap(), Format::Delimited(_)));
        assert!(matches!(of_named(&named, b"__label__a,x\n").unwrap(), Format::Delimited(_)));
    }

    #[test]
    fn blanks_behind_commas_are_told_from_the_header() {
        let skips = |head| matches!(found("a.csv", head), Format::Delimited(d) if d.skip_space);
        assert!(skips("a, b, \"c,d\"\n"));
        assert!(!skips("a,b, c\n") && !skips("a b\n") && !skips("a,b\n1, 2\n"));
    }

    #[test]
    fn what_is_neither_is_refused() {
        let refusal = |name: &str, head: &str| {
            of(Path::new(name), head.as_bytes(), &ReadOptions::default()).unwrap_err().to_string()
        };
        assert_eq!(
            refusal("a.xlsx", "x"),
            "a.xlsx: found extension .xlsx, expected .jsonl, .json, .csv, .tsv, .conll or .txt (also .gz or .zst) or .parquet"
        );
        assert!(
            refusal("a.csv", "PK\x03\x04").contains("is a ZIP archive or a spreadsheet, expected")
        );
    }
}
