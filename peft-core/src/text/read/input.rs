//! The bytes of a data file, and the text in them.

use std::{
    io::{self, BufRead, BufReader, Cursor, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    dialect::Dialect,
    line_end::LineEnd,
    source::{self, STANDARD_INPUT},
};
use crate::{
    error::{Error, Result},
    formats::lfs,
};

/// What messages call standard input.
const SHOWN: &str = "standard input";
/// The longest line, in bytes: no text is longer, and a damaged file may be all one line.
const LONGEST_LINE: u64 = 1_000_000_000;
/// Bytes that are looked at before a file is read, to tell what it holds.
const HEAD: usize = 1 << 16;

/// A file that is being read, with the number of the line that comes next.
pub(super) struct Input {
    /// The file.
    pub path: Arc<Path>,
    /// The line of the next byte, counted from 1.
    pub line: usize,
    head: Arc<[u8]>,
    /// What to open for what follows the head, to look ahead; `None` if nothing does.
    source: Option<PathBuf>,
    /// The last byte of a line: CR in files of old Macs, which have no LF, or only in quotes.
    line_end: u8,
    reader: BufReader<Box<dyn Read + Send>>,
}

impl Input {
    /// Opens a file, or standard input for `-`.
    ///
    /// # Errors
    /// [`Error::Read`] if it cannot be read, [`Error::File`] if it is a Git LFS pointer.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = match path.as_os_str() == STANDARD_INPUT {
            true => Path::new(SHOWN),
            false => path,
        };
        let mut input = Self::new(shown, source::open(path).map_err(Error::read(shown))?)?;
        input.source = input.source.map(|_| path.to_path_buf());
        input.find_line_end(None)?;
        Ok(input)
    }

    /// Reads `bytes` in place of the file at `path`, from line `line`.
    pub fn of_bytes(path: &Arc<Path>, line: usize, bytes: Vec<u8>) -> Self {
        let reader: Box<dyn Read + Send> = Box::new(Cursor::new(bytes));
        let reader = BufReader::new(reader);
        let head = Arc::default();
        Self { path: path.clone(), line, head, source: None, line_end: b'\n', reader }
    }

    fn new(path: &Path, mut reader: Box<dyn Read + Send>) -> Result<Self> {
        let head = start(&mut reader).map_err(Error::read(path))?;
        lfs::refuse_pointer(&head, path)?;
        let source = (head.len() == HEAD).then(|| path.to_path_buf());
        let skipped = usize::from(head.starts_with(BYTE_ORDER_MARK)) * BYTE_ORDER_MARK.len();
        let head: Arc<[u8]> = Arc::from(&head[skipped..]);
        let all: Box<dyn Read + Send> = Box::new(Cursor::new(head.clone()).chain(reader));
        let reader = BufReader::with_capacity(HEAD, all);
        Ok(Self { path: Arc::from(path), line: 1, head, source, line_end: b'\n', reader })
    }

    /// Finds out what ends the lines, of a table where its dialect is given. Where the first bytes look like a file of old
    /// Macs, all of it is looked at: its first line may be long, and a CR in it text.
    ///
    /// # Errors
    /// [`Error::Read`] if the file cannot be read.
    pub fn find_line_end(&mut self, table: Option<Dialect>) -> Result<()> {
        let mut end = LineEnd::new(table);
        end.push(&self.head);
        if end.is_old_mac()
            && let Some(source) = &self.source
        {
            follow(&mut end, source).map_err(Error::read(&self.path))?;
        }
        self.line_end = if end.is_old_mac() { b'\r' } else { b'\n' };
        Ok(())
    }

    /// The first bytes of the file, without a byte-order mark: all of them, or 64 KiB.
    pub fn head(&self) -> Arc<[u8]> {
        self.head.clone()
    }

    /// The bytes that come next; none at the end of the file.
    ///
    /// # Errors
    /// [`Error::Read`] if the file cannot be read.
    pub fn fill(&mut self) -> Result<&[u8]> {
        let path = &self.path;
        self.reader.fill_buf().map_err(Error::read(path))
    }

    /// Steps over `count` bytes of [`fill`](Self::fill), which the caller has counted the lines of.
    pub fn consume(&mut self, count: usize) {
        self.reader.consume(count);
    }

    /// Appends the next line with its end to `text`; false at the end of the file.
    ///
    /// # Errors
    /// [`Error::Read`] if the file cannot be read, [`Error::Data`] if the line is not text.
    pub fn read_line(&mut self, text: &mut String) -> Result<bool> {
        let mut bytes = Vec::new();
        let path = &self.path;
        let mut line = self.reader.by_ref().take(LONGEST_LINE + 1);
        line.read_until(self.line_end, &mut bytes).map_err(Error::read(path))?;
        if bytes.len() as u64 > LONGEST_LINE {
            let message = "found a line of more than 1 GB: the file is damaged, or not a text file";
            return Err(Error::data(path, self.line, message));
        }
        if bytes.last() == Some(&END_OF_FILE)
            && self.reader.fill_buf().map_err(Error::read(path))?.is_empty()
        {
            bytes.pop();
        }
        text.push_str(utf8(&self.path, self.line, &bytes)?);
        self.line += 1;
        Ok(!bytes.is_empty())
    }
}

/// Ctrl-Z, by which old programs end a text.
const END_OF_FILE: u8 = 0x1a;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The first bytes of `reader`: [`HEAD`] of them, or all there are.
fn start(reader: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    reader.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// Takes what follows the head of a file, until it is known what ends its lines.
fn follow(end: &mut LineEnd, path: &Path) -> io::Result<()> {
    let mut reader = source::open(path)?;
    io::copy(&mut reader.by_ref().take(HEAD as u64), &mut io::sink())?;
    let mut reader = BufReader::with_capacity(HEAD, reader);
    loop {
        let bytes = reader.fill_buf()?;
        let read = bytes.len();
        if read == 0 || end.push(bytes) {
            return Ok(());
        }
        reader.consume(read);
    }
}

/// Removes LF, CRLF or CR.
pub(super) fn strip_end(row: &mut String) {
    let end = if row.ends_with("\r\n") { 2 } else { usize::from(row.ends_with(['\r', '\n'])) };
    row.truncate(row.len() - end);
}

/// The text in `bytes`, which begin on line `line`.
///
/// # Errors
/// [`Error::Data`] at the line of a byte that is not UTF-8, or of a NUL byte.
pub(super) fn utf8<'a>(path: &Path, line: usize, bytes: &'a [u8]) -> Result<&'a str> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let (before, rest) = bytes.split_at(error.valid_up_to());
        let line = line + line_ends(before);
        Error::data(path, line, not_utf8(path, rest.first().copied().unwrap_or_default()))
    })?;
    match bytes.iter().position(|&byte| byte == 0) {
        Some(at) => {
            let message =
                "found a NUL byte, which no text has: the file is damaged, or not a text file";
            Err(Error::data(path, line + line_ends(&bytes[..at]), message))
        }
        None => Ok(text),
    }
}

fn not_utf8(path: &Path, byte: u8) -> String {
    format!(
        "found text that is not UTF-8 (byte 0x{byte:02x}), expected UTF-8; if it is Latin-1 or \
         Windows-1252, convert it: {}",
        conversion(path, "WINDOWS-1252")
    )
}

/// Refuses UTF-16, which is told from its first bytes.
///
/// # Errors
/// [`Error::File`] saying how to convert the file.
pub(super) fn check_encoding(path: &Path, head: &[u8]) -> Result<()> {
    let (mark, encoding) = match head {
        [0xff, 0xfe, ..] => (true, "UTF-16"),
        [0xfe, 0xff, ..] => (true, "UTF-16"),
        [first, 0, third, 0, ..] if *first != 0 && *third != 0 => (false, "UTF-16LE"),
        [0, second, 0, fourth, ..] if *second != 0 && *fourth != 0 => (false, "UTF-16BE"),
        _ => return Ok(()),
    };
    let how = if mark { "begins with the mark of" } else { "seems to be" };
    let way_out = conversion(path, encoding);
    Err(Error::file(path, format!("{how} {encoding}, expected UTF-8; convert it: {way_out}")))
}

/// How to convert a file to UTF-8: a command that runs where the file is named as here, and writes there: the folder of
/// the data may not be writable, and all files in it may be rows.
fn conversion(path: &Path, encoding: &str) -> String {
    let through = format!("iconv -f {encoding} -t UTF-8");
    if path == Path::new(SHOWN) {
        return format!("pass what it holds through `{through}`");
    }
    let unpacks = match path.extension().and_then(|end| end.to_str()) {
        Some("gz" | "gzip") => Some("gzip -dc"),
        Some("zst" | "zstd") => Some("zstd -dc"),
        _ => None,
    };
    let named = if unpacks.is_some() { path.with_extension("") } else { path.to_path_buf() };
    let name = named.file_name().unwrap_or_default().to_string_lossy();
    let (from, to) = (quoted(path), quoted(Path::new(&format!("utf8-{name}"))));
    match unpacks {
        Some(unpacks) => format!("{unpacks} {from} | {through} > {to}"),
        None => format!("{through} {from} > {to}"),
    }
}

/// A path as a shell reads it.
fn quoted(path: &Path) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:@%=".contains(c);
    let path = match path.to_string_lossy() {
        path if path.starts_with('-') => format!("./{path}"),
        path => path.into_owned(),
    };
    match path.chars().all(plain) {
        true => path,
        false => format!("'{}'", path.replace('\'', "'\\''")),
    }
}

/// The number of lines that end in `bytes`.
fn line_ends(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn input(bytes: &[u8]) -> Input {
        let reader = Box::new(Cursor::new(bytes.to_vec()));
        let mut input = Input::new(Path::new("rows.csv"), reader).unwrap();
        input.find_line_end(None).unwrap();
        input
    }

    /// The lines of a file, without their ends; the last result is an error or `None`.
    fn rows(bytes: &[u8]) -> (Vec<String>, Option<String>) {
        let (mut input, mut rows) = (input(bytes), Vec::new());
        loop {
            let mut row = String::new();
            match input.read_line(&mut row) {
                Ok(true) => strip_end(&mut row),
                Ok(false) => return (rows, None),
                Err(error) => return (rows, Some(error.to_string())),
            }
            rows.push(row);
            assert_eq!(input.line, rows.len() + 1);
        }
    }

    #[test]
    fn lines_have_any_end() {
        assert_eq!(rows(b"\xef\xbb\xbfa\r\n\nb\rc\n\nd").0, ["a", "", "b\rc", "", "d"]);
        assert_eq!(rows(b"a\rb\r\rc").0, ["a", "b", "", "c"]);
        assert_eq!(rows(b"\n").0, [""]);
        assert!(rows(b"").0.is_empty());
        assert_eq!((rows(b"a\n\x1a").0, rows(b"a\x1a").0), (vec!["a".into()], vec!["a".into()]));
        assert_eq!(rows(b"a\x1ab\n").0, ["a\x1ab"]);
    }

    #[test]
    fn other_encodings_are_named_with_the_way_out() {
        let refusal = |bytes: &[u8]| {
            check_encoding(Path::new("a b/rows.csv"), bytes).unwrap_err().to_string()
        };
        assert_eq!(
            refusal(b"\xff\xfet\0"),
            "a b/rows.csv: begins with the mark of UTF-16, expected UTF-8; convert it: iconv -f UTF-16 -t UTF-8 \
             'a b/rows.csv' > utf8-rows.csv"
        );
        assert!(refusal(b"\xfe\xff\0t").contains("-f UTF-16 "));
        assert!(refusal(b"t\0e\0").contains("seems to be UTF-16LE"));
        assert!(refusal(b"\0t\0e").contains("-f UTF-16BE "));
        assert!(check_encoding(Path::new("a"), "é".as_bytes()).is_ok());
        let error = rows(b"text\ncaf\xe9,1\n").1.unwrap();
        assert!(
            error.starts_with("rows.csv, line 2: found text that is not UTF-8 (byte 0xe9)"),
            "{error}"
        );
        assert!(
            error.ends_with("iconv -f WINDOWS-1252 -t UTF-8 rows.csv > utf8-rows.csv"),
            "{error}"
        );
        let command = |path: &str| conversion(Path::new(path), "X");
        assert_eq!(command("d/a.csv"), "iconv -f X -t UTF-8 d/a.csv > utf8-a.csv");
        assert_eq!(command("-a.csv"), "iconv -f X -t UTF-8 ./-a.csv > utf8--a.csv");
        assert_eq!(command("it's.csv"), r"iconv -f X -t UTF-8 'it'\''s.csv' > 'utf8-it'\''s.csv'");
        let packed = "gzip -dc d/a.csv.gz | iconv -f X -t UTF-8 > utf8-a.csv";
        assert_eq!(command("d/a.csv.gz"), packed);
        let nul = utf8(Path::new("a"), 3, b"x\ny\0z").unwrap_err().to_string();
        assert!(nul.starts_with("a, line 4: found a NUL byte"), "{nul}");
    }
}
