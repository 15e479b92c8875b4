//! Reads data files: their rows become [`Record`](super::Record)s, one at a time.
//!
//! What a file holds is told from its content; its name decides only where the content leaves a choice.
//!
//! | file | what it is |
//! |---|---|
//! | `records` | [`Records`]: the records of some files, in order; [`read_records`] |
//! | `options` | [`ReadOptions`], and what is said of files |
//! | `files` | [`find_files`]: files, folders and patterns |
//! | `source` | the bytes of a file or of standard input, unpacked |
//! | `input` | the bytes of a file, line by line, and the encodings that are refused |
//! | `line_end` | what ends its lines |
//! | `format` | what a file holds, told from its first bytes |
//! | `json` | JSON Lines, arrays and documents |
//! | `json_document` | one document that holds all rows |
//! | `delimited` | CSV and TSV |
//! | `dialect` | how their columns are separated |
//! | `enclosing` | whether quotes that are text might enclose fields |
//! | `conll` | CoNLL files: words with their tags |
//! | `lines` | plain text |
//! | `text_lines` | [`text_lines()`]: plain text with its blank lines; [`content`] |
//! | `fast_text` | plain text with fastText's labels |
//! | `parquet` | Parquet files |
//! | `class_names` | the names of classes, in Parquet files and in what describes a data set |
//! | `header` | the names of the columns |

mod class_names;
mod conll;
mod delimited;
mod dialect;
mod enclosing;
mod fast_text;
mod files;
mod format;
mod header;
mod input;
mod json;
mod json_document;
mod line_end;
mod lines;
mod options;
#[cfg(feature = "parquet")]
mod parquet;
mod records;
mod source;
mod text_lines;

pub use files::{FoundFiles, find_files};
pub use format::Content;
pub use options::ReadOptions;
pub use records::{Records, read_records};
pub use text_lines::{content, text_lines};
