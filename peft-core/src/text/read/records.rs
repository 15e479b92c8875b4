//! The records of data files, one at a time.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
};

#[cfg(feature = "parquet")]
use super::parquet::ParquetRecords;
use super::{
    class_names::Beside,
    conll::ConllRecords,
    delimited::DelimitedRecords,
    fast_text::FastTextRecords,
    format::{self, Format},
    input::Input,
    json::JsonRecords,
    lines::LineRecords,
    options::{Notes, ReadOptions},
};
use crate::{
    error::{Error, Result},
    text::record::Record,
};

/// Reads all records of a data file, in the file's order. [`Records`] reads them one at a time, and says which
/// files it reads.
///
/// # Errors
/// Those of [`Records`].
pub fn read_records(path: &Path) -> Result<Vec<Record>> {
    Records::open(&[path.to_path_buf()], &ReadOptions::default()).collect()
}

/// The records of some files, in order, read one at a time.
///
/// - JSON, whatever the file is called: one object after another (JSON Lines, or pretty-printed), an array of
///   objects, or one document that holds all rows: `{"data": [...]}` and the like, columns
///   (`{"text": [...], "label": [...]}`), SQuAD's own format, which gives one record per question. `NaN` and
///   `Infinity`, which Python writes, are `null`; half a surrogate pair is U+FFFD.
/// - `.csv`: fields separated by commas, or by semicolons, tabs or bars if the header is; in double quotes where
///   needed (RFC 4180).
/// - `.tsv`: fields separated by tabs, no quoting: a quote is a quote.
/// - `.txt`, if it is none of these: a line of text, a record with the field `text`.
/// - Lines with fastText's labels (`__label__good a text`), unless the name is that of a table, of JSON or of CoNLL:
///   `text` and `label`.
/// - `.conll`, `.conllu`, `.bio`, `.iob`, or lines of words and tags in a `.txt`: one record per sentence, with
///   `tokens`, `tags` (the last column) and the columns by their numbers.
///
/// - Parquet (the feature `parquet`): one record per row; dates and times are text as Python's `isoformat` writes
///   it, those with a time zone in UTC; decimals are text as Python's `str` writes them (`1.50`), whole ones and those in
///   lists numbers. Columns of bytes that are no text are left out, which is said.
///
/// Where a file has numbers of classes, their names are those that Parquet's metadata has, or the `README.md` or
/// `dataset_infos.json` of the data set: in the file's folder or up to two above it.
///
/// Files other than Parquet may be compressed with gzip or Zstandard, and `-` is standard input.
///
/// CSV and TSV have a header row, unless [`ReadOptions::columns`] names the columns. The text is UTF-8, with or
/// without a byte-order mark. Blank lines are skipped.
///
/// # Errors
/// Each item is a record or an error, after which there are no more: [`Error::Read`] if a file cannot be read,
/// [`Error::File`] for one of an unknown format and if there are no records at all, [`Error::Data`] naming the
/// line of anything malformed, [`Error::Setting`] for options that do not fit the file.
pub struct Records {
    files: VecDeque<PathBuf>,
    first: Option<PathBuf>,
    /// The files after the first one.
    others: usize,
    options: ReadOptions,
    notes: Notes,
    file: Option<Open>,
    /// What describes the file.
    beside: Beside,
    any: bool,
}

/// A file that is being read.
enum Open {
    Json(JsonRecords),
    Delimited(DelimitedRecords),
    Conll(ConllRecords),
    Lines(LineRecords),
    FastText(FastTextRecords),
    #[cfg(feature = "parquet")]
    Parquet(Box<ParquetRecords>),
}

impl Records {
    /// The records of some files. They are opened as they are read.
    pub fn open(files: &[PathBuf], options: &ReadOptions) -> Self {
        Self {
            files: files.iter().cloned().collect(),
            first: files.first().cloned(),
            others: files.len().saturating_sub(1),
            options: options.clone(),
            notes: Notes::default(),
            file: None,
            beside: Beside::default(),
            any: false,
        }
    }

    /// What the readers took for granted since this was last asked: a sentence each.
    pub fn take_notes(&mut self) -> Vec<String> {
        self.notes.take()
    }

    fn advance(&mut self) -> Result<Option<Record>> {
        loop {
            let found = match &mut self.file {
                Some(Open::Json(records)) => records.next(&mut self.notes)?,
                Some(Open::Delimited(records)) => records.next(&mut self.notes)?,
                Some(Open::Conll(records)) => records.next(&mut self.notes)?,
                Some(Open::Lines(records)) => records.next()?,
                Some(Open::FastText(records)) => records.next()?,
                #[cfg(feature = "parquet")]
                Some(Open::Parquet(records)) => records.next()?,
                None => None,
            };
            if let Some(mut record) = found {
                self.any = true;
                self.beside.describe(&mut record);
                return Ok(Some(record));
            }
            let Some(path) = self.files.pop_front() else { break };
            self.file = Some(self.open_file(&path)?);
            self.beside.open(&path);
        }
        match self.first.take() {
            Some(path) if !self.any => Err(Error::file(
                &path,
                match self.others {
                    0 => "holds no records".to_owned(),
                    others => format!("holds no records, nor do the files after it ({others})"),
                },
            )),
            _ => Ok(None),
        }
    }

    fn open_file(&mut self, path: &Path) -> Result<Open> {
        let mut input = Input::open(path)?;
        let is_named = self.options.columns.is_some();
        let format = format::of(path, &input.head(), &self.options)?;
        let unused = match format {
            Format::Json => Some("JSON names its fields itself"),
            Format::Lines => Some("a line of text has no columns"),
            Format::Parquet => Some("Parquet names its fields itself"),
            Format::FastText => Some("fastText's lines have a label and a text"),
            _ => None,
        };
        if let Some(reason) = unused.filter(|_| is_named) {
            let path = path.display();
            self.notes.say(format!("{path}: `columns` is not used: {reason}"));
        }
        Ok(match format {
            Format::Json => Open::Json(JsonRecords::new(input)),
            #[cfg(feature = "parquet")]
            Format::Parquet => {
                let records = ParquetRecords::open(path, input.path.clone(), &mut self.notes)?;
                Open::Parquet(Box::new(records))
            }
            #[cfg(not(feature = "parquet"))]
            Format::Parquet => {
                let message =
                    "is Parquet, which this program was built without (Cargo feature `parquet`)";
                return Err(Error::file(path, message));
            }
            Format::Conll => Open::Conll(ConllRecords::new(input, &self.options)),
            Format::Lines => Open::Lines(LineRecords::new(input, &mut self.notes)),
            Format::FastText => Open::FastText(FastTextRecords::new(path, input, &mut self.notes)?),
            Format::Delimited(dialect) => {
                input.find_line_end(Some(dialect))?;
                let (options, notes) = (&self.options, &mut self.notes);
                Open::Delimited(DelimitedRecords::new(input, dialect, options, notes)?)
            }
        })
    }
}

impl Iterator for Records {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.advance();
        if found.is_err() {
            (self.file, self.first) = (None, None);
            self.files.clear();
        }
        found.transpose()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The records of a file of this name and content, and what was said.
    pub fn notes(
        name: &str,
        content: impl AsRef<[u8]>,
        options: &ReadOptions,
    ) -> (Result<Vec<Record>>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        let mut records = Records::open(&[path], options);
        let found = records.by_ref().collect();
        (found, records.take_notes())
    }

    pub fn read_with(
        name: &str,
        content: impl AsRef<[u8]>,
        options: &ReadOptions,
    ) -> Result<Vec<Record>> {
        notes(name, content, options).0
    }

    pub fn read(name: &str, content: impl AsRef<[u8]>) -> Result<Vec<Record>> {
        read_with(name, content, &ReadOptions::default())
    }

    /// What an error says behind the name of the file.
    pub fn failure(name: &str, content: impl AsRef<[u8]>) -> String {
        let message = read(name, content).unwrap_err().to_string();
        message.split_once(name).unwrap().1.to_owned()
    }

    pub fn lines(records: &[Record]) -> Vec<usize> {
        records.iter().map(|record| record.line).collect()
    }

    #[test]
    fn what_is_not_utf8_is_placed() {
        assert!(failure("a.jsonl", b"{}\n{\"a\": \"\xe9\"}\n").contains(", line 2: found text"));
        assert!(failure("a.csv", b"a\nb\nc\xff\n").contains(", line 3: found text"));
        assert!(failure("a.tsv", b"\xff\xfea\0").contains(": begins with the mark of UTF-16"));
    }

    #[test]
    fn files_without_records_are_refused() {
        for (name, content) in
            [("a.jsonl", ""), ("a.json", "\n \n"), ("a.csv", "a,b\n"), ("a.tsv", "a\tb\n")]
        {
            assert_eq!(failure(name, content), ": holds no records");
        }
        assert_eq!(failure("a.csv", ""), ": holds no records");
        assert_eq!(failure("a.tsv", "\u{feff}"), ": holds no records");
    }

    #[test]
    fn several_files_are_read_one_after_another() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let files = [
            write("a.jsonl", "{\"x\": \"1\"}"),
            write("empty.jsonl", ""),
            write("b.csv", "x\n2\n3\n"),
        ];
        let records = Records::open(&files, &ReadOptions::default());
        let found: Vec<Record> = records.collect::<Result<_>>().unwrap();
        let shown: Vec<_> = found.iter().map(|r| (r.line, r.text("x").unwrap())).collect();
        assert_eq!(shown, [(1, "1"), (2, "2"), (3, "3")]);
        assert_eq!(&*found[1].path, files[2]);
        let broken = write("c.jsonl", "{\"x\": 1}\n[");
        let mut records = Records::open(&[broken, files[0].clone()], &ReadOptions::default());
        assert!(records.next().unwrap().is_ok() && records.next().unwrap().is_err());
        assert!(records.next().is_none(), "an error is the end");
        let empty = [files[1].clone(), write("b.jsonl", "")];
        let error = Records::open(&empty, &ReadOptions::default()).next().unwrap().unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("empty.jsonl: holds no records, nor do the files after it (1)")
        );
    }

    #[test]
    fn files_that_cannot_be_read_are_named() {
        assert!(matches!(read_records(Path::new("no/such.csv")), Err(Error::Read { .. })));
        assert!(failure("a.parq", "x").contains("found extension .parq, expected .jsonl"));
    }

    proptest! {
        /// No bytes make the readers panic.
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            for name in ["a.csv", "a.tsv", "a.jsonl", "a"] {
                let _ = read(name, &bytes);
            }
        }
    }
}
