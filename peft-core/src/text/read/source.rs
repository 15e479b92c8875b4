//! Where the bytes of a data file come from: a file or standard input, compressed or not.
//!
//! Compression is told from the first bytes, not from the name: gzip, and Zstandard with windows of up to
//! 128 MiB, the limit of its own program. Both are unpacked as they are read, so that a small file that unpacks
//! to a large one takes no more memory than its rows.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufReader, Cursor, Read, stdin},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use crate::guard::guarded;

/// The name of standard input where a file is expected.
pub(super) const STANDARD_INPUT: &str = "-";

/// What standard input and pipes held, by name. They can be read once, but rows are read more than once: to find
/// their fields and their classes, and to encode them.
static HELD: Mutex<BTreeMap<PathBuf, Arc<[u8]>>> = Mutex::new(BTreeMap::new());

/// The most that standard input or a pipe may hold, which is kept in memory.
const LARGEST_PIPE: u64 = 4_000_000_000;

/// Opens a file, or standard input for `-`.
///
/// # Errors
/// Those of the operating system; for a device without an end, and a pipe that holds more than memory should.
pub(super) fn open(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    match held(path)? {
        Some(bytes) => unpacked(Box::new(Cursor::new(bytes))),
        None => unpacked(Box::new(File::open(path)?)),
    }
}

/// Bytes in any order: those of a file, or in memory.
#[cfg(feature = "parquet")]
pub(super) trait Seekable: Read + io::Seek + Send {}

#[cfg(feature = "parquet")]
impl<T: Read + io::Seek + Send> Seekable for T {}

/// Opens a file, or standard input for `-`, to be read in any order.
///
/// # Errors
/// Those of the operating system.
#[cfg(feature = "parquet")]
pub(super) fn open_seekable(path: &Path) -> io::Result<Box<dyn Seekable>> {
    Ok(match held(path)? {
        Some(bytes) => Box::new(Cursor::new(bytes)),
        None => Box::new(File::open(path)?),
    })
}

/// What standard input or a pipe holds; `None` for a file, which can be read again.
fn held(path: &Path) -> io::Result<Option<Arc<[u8]>>> {
    let is_standard_input = path.as_os_str() == STANDARD_INPUT;
    if !is_standard_input && fs::metadata(path)?.is_file() {
        return Ok(None);
    }
    let mut all = HELD.lock().map_err(|_| io::Error::other("an earlier read failed"))?;
    if let Some(bytes) = all.get(path) {
        return Ok(Some(bytes.clone()));
    }
    let bytes = match is_standard_input {
        true => whole(stdin().lock(), is_endless(Path::new("/dev/stdin")))?,
        false => whole(File::open(path)?, is_endless(path))?,
    };
    Ok(Some(all.entry(path.to_path_buf()).or_insert(bytes.into()).clone()))
}

/// All bytes of a pipe. What may have no end must have no beginning either, as `/dev/null`.
fn whole(pipe: impl Read, is_endless: bool) -> io::Result<Vec<u8>> {
    let most = if is_endless { 0 } else { LARGEST_PIPE };
    let mut bytes = Vec::new();
    pipe.take(most + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > most {
        true if is_endless => Err(io::Error::other("it is a device, expected a file or a pipe")),
        true => Err(io::Error::other(
            "it holds more than 4 GB, and what a pipe holds is kept in memory: give a file",
        )),
        false => Ok(bytes),
    }
}

/// Whether this is a device, but no terminal, which ends with Ctrl-D.
#[cfg(unix)]
fn is_endless(path: &Path) -> bool {
    use std::{io::IsTerminal, os::unix::fs::FileTypeExt};
    let is_device = fs::metadata(path).is_ok_and(|found| found.file_type().is_char_device());
    is_device && !File::open(path).is_ok_and(|device| device.is_terminal())
}

#[cfg(not(unix))]
fn is_endless(_: &Path) -> bool {
    false
}

/// What `bytes` unpack to, if they are compressed.
///
/// # Errors
/// Those of the operating system, and for damaged bytes.
pub(super) fn unpacked(bytes: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut bytes = Peeked::new(bytes);
    let head = bytes.peek(4)?;
    if head.starts_with(b"\x1f\x8b") {
        return Ok(Box::new(MultiGzDecoder::new(BufReader::new(bytes))));
    }
    if zstd_magic(head).is_some() {
        return Ok(Box::new(Zstd { place: Place::Between(bytes) }));
    }
    Ok(Box::new(bytes))
}

/// A reader whose next bytes can be looked at.
struct Peeked {
    /// Bytes that were read from `reader` already, from `at` on.
    ahead: Vec<u8>,
    at: usize,
    reader: Box<dyn Read + Send>,
}

impl Peeked {
    fn new(reader: Box<dyn Read + Send>) -> Self {
        Self { ahead: Vec::new(), at: 0, reader }
    }

    /// The next `count` bytes, which stay to be read; fewer at the end.
    fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        self.ahead.drain(..self.at);
        self.at = 0;
        let missing = count.saturating_sub(self.ahead.len());
        (&mut self.reader).take(missing as u64).read_to_end(&mut self.ahead)?;
        Ok(&self.ahead[..count.min(self.ahead.len())])
    }
}

impl Read for Peeked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut ahead = &self.ahead[self.at..];
        if ahead.is_empty() {
            return self.reader.read(buffer);
        }
        let count = ahead.read(buffer)?;
        self.at += count;
        Ok(count)
    }
}

/// The frames of a Zstandard file, one after another.
struct Zstd {
    place: Place,
}

enum Place {
    Between(Peeked),
    Frame(Box<StreamingDecoder<Peeked, FrameDecoder>>),
    End,
}

impl Read for Zstd {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.place = match std::mem::replace(&mut self.place, Place::End) {
                Place::Frame(mut frame) => {
                    let count = guarded(|| frame.read(buffer), damaged)?;
                    if count > 0 || buffer.is_empty() {
                        self.place = Place::Frame(frame);
                        return Ok(count);
                    }
                    Place::Between(frame.into_inner())
                }
                Place::Between(bytes) => next_frame(bytes)?,
                Place::End => return Ok(0),
            };
        }
    }
}

/// The frame that `bytes` begin with; frames that hold no data are skipped.
fn next_frame(mut bytes: Peeked) -> io::Result<Place> {
    loop {
        let head = bytes.peek(14)?;
        if head.is_empty() {
            return Ok(Place::End);
        }
        match zstd_magic(head) {
            None => return Err(io::Error::other("found other bytes behind a Zstandard frame")),
            Some(false) => {
                let length: [u8; 4] = match head.get(4..8) {
                    Some(&[a, b, c, d]) => [a, b, c, d],
                    _ => return Err(io::ErrorKind::UnexpectedEof.into()),
                };
                let length = 8 + u64::from(u32::from_le_bytes(length));
                let skipped = io::copy(&mut (&mut bytes).take(length), &mut io::sink())?;
                if skipped < length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Some(true) => {
                let window = window(head);
                if window > LARGEST_WINDOW {
                    let message = format!(
                        "the Zstandard frame needs a window of {window} bytes, expected at most {LARGEST_WINDOW}"
                    );
                    return Err(io::Error::other(message));
                }
                let frame = || StreamingDecoder::new(bytes).map_err(io::Error::other);
                let frame = guarded(frame, damaged)?;
                return Ok(Place::Frame(Box::new(frame)));
            }
        }
    }
}

fn damaged() -> io::Error {
    io::Error::other("the Zstandard frame is damaged")
}

/// What the Zstandard program accepts if it is not told to accept more.
const LARGEST_WINDOW: u64 = 1 << 27;

/// Whether Zstandard's magic number is that of a frame with data; `None` for other bytes.
fn zstd_magic(head: &[u8]) -> Option<bool> {
    match head {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(true),
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(false),
        _ => None,
    }
}

/// The bytes that a frame with this header keeps to look back on (RFC 8878, section 3.1.1.1); 0 if it is cut off.
fn window(head: &[u8]) -> u64 {
    let Some(&descriptor) = head.get(4) else { return 0 };
    let single_segment = descriptor & 0x20 != 0;
    if !single_segment {
        let Some(&window) = head.get(5) else { return 0 };
        let base = 1u64 << (10 + (window >> 3));
        return base + base / 8 * u64::from(window & 7);
    }
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let (length, offset) = [(1, 0), (2, 256), (4, 0), (8, 0)][usize::from(descriptor >> 6)];
    let size = head.get(5 + dictionary..).unwrap_or_default().iter().take(length);
    let size = size.rev().fold(0u64, |size, &byte| size << 8 | u64::from(byte));
    size.saturating_add(offset)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;
    use crate::text::read::{
        read_records,
        records::tests::{failure, read},
    };

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(content: &[u8]) -> Vec<u8> {
        compress_to_vec(content, CompressionLevel::Fastest)
    }

    fn unpack(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        unpacked(Box::new(Cursor::new(bytes)))?.read_to_end(&mut content)?;
        Ok(content)
    }

    #[test]
    fn compressed_files_are_told_by_their_content() {
        let rows = b"{\"a\": \"1\"}\n{\"a\": \"2\"}\n";
        for name in ["a.jsonl.gz", "a.gz", "a.jsonl.zst", "a.jsonl", "a"] {
            for packed in [gzip(rows), zstd(rows)] {
                let records = read(name, packed).unwrap();
                assert_eq!(records[1].text("a").unwrap(), "2", "{name}");
            }
        }
        assert_eq!(read("a.tsv.gz", gzip(b"a\n\"x\"\n")).unwrap()[0].text("a").unwrap(), "\"x\"");
        assert_eq!(read("a.CSV.zst", zstd(b"a\n\"x\"\n")).unwrap()[0].text("a").unwrap(), "x");
        assert!(read("a.csv.gz", b"a\nx\n").is_ok(), "not compressed in spite of its name");
        assert_eq!(failure("a.jsonl.gz", gzip(b"")), ": holds no records");
    }

    #[test]
    fn frames_and_members_follow_one_another() {
        let skipped = [&[0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
        let text = b"a long text, a long text, a long text".repeat(9000);
        let frames = [&skipped[..], &zstd(&text), &skipped, &zstd(b"end"), &skipped].concat();
        assert_eq!(unpack(frames).unwrap(), [&text[..], b"end"].concat());
        assert_eq!(
            unpack([gzip(&text), gzip(b"end")].concat()).unwrap(),
            [&text[..], b"end"].concat()
        );
        assert_eq!(unpack(skipped.repeat(100_000)).unwrap(), b"");
    }

    #[test]
    fn damaged_files_are_refused() {
        let text = b"a text, and more".repeat(100);
        for packed in [gzip(&text), zstd(&text)] {
            let end = packed.len() - 5;
            assert!(unpack(packed[..end].to_vec()).is_err());
        }
        assert!(unpack([&zstd(&text)[..], b"more bytes"].concat()).is_err());
        let wide = unpack(vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0xf8, 1, 0, 0]).unwrap_err().to_string();
        assert!(
            wide.contains("a window of 2199023255552 bytes, expected at most 134217728"),
            "{wide}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_read_once_and_gives_its_rows_again() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let writer = pipe.clone();
        let writer =
            std::thread::spawn(move || fs::write(writer, "{\"a\": 1}\n{\"a\": 2}\n").unwrap());
        for _ in 0..2 {
            assert_eq!(read_records(&pipe).unwrap().len(), 2);
        }
        writer.join().unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn devices_are_not_read_without_end() {
        for device in ["/dev/zero", "/dev/urandom"] {
            let error = read_records(Path::new(device)).unwrap_err().to_string();
            assert!(error.ends_with("it is a device, expected a file or a pipe"), "{error}");
        }
        let error = read_records(Path::new("/dev/null")).unwrap_err().to_string();
        assert!(error.contains("holds no records"), "{error}");
        assert!(whole(io::repeat(0).take(9), false).is_ok_and(|bytes| bytes.len() == 9));
    }

    #[test]
    fn windows_are_those_of_the_header() {
        let header = |rest: &[u8]| window(&[&[0x28, 0xb5, 0x2f, 0xfd], rest].concat());
        assert_eq!(header(&[0, 0]), 1024);
        assert_eq!(header(&[0, 0b0000_1001]), 2048 + 256);
        assert_eq!(header(&[0x20, 7]), 7);
        assert_eq!(header(&[0x61, 9, 1, 0]), 257);
        assert_eq!(header(&[0xe0, 0, 0, 0, 0, 1, 0, 0, 0]), 1 << 32);
        assert_eq!((header(&[]), header(&[0])), (0, 0));
    }
}
