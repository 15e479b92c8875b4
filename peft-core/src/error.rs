//! The error type of the workspace's libraries.
//!
//! A message names the place (file, key, line, tensor), what was found and what was expected.

use std::path::{Path, PathBuf};

/// What went wrong, and where.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file or folder could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// Another process writes there.
    #[error(
        "{} is in use by {}: wait until it has ended, or write elsewhere",
        path.display(), named_process(*process)
    )]
    InUse {
        /// The file or folder.
        path: PathBuf,
        /// The id of the process, if it is known.
        process: Option<u32>,
    },
    /// A line of a data file is invalid.
    #[error("{}, line {line}: {message}", path.display())]
    Data {
        /// The data file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What was found and what was expected.
        message: String,
    },
    /// The label of a row is none of the classes.
    #[error("{}, line {line}: {message}", path.display())]
    UnknownClass {
        /// The data file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What was found and what was expected.
        message: String,
    },
    /// A file is malformed as a whole, not in a single line or key.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        message: String,
    },
    /// A key of a configuration file is missing or has an invalid value.
    #[error("{}: key `{key}`: {message}", path.display())]
    Config {
        /// The configuration file.
        path: PathBuf,
        /// The key, with dots for nesting.
        key: String,
        /// What was found and what was expected.
        message: String,
    },
    /// A tensor is missing, surplus, or has the wrong shape or type.
    #[error("{}: tensor `{name}`: {message}", path.display())]
    Tensor {
        /// The file that holds, or should hold, the tensor.
        path: PathBuf,
        /// The name of the tensor in that file.
        name: String,
        /// What was found and what was expected.
        message: String,
    },
    /// A row holds a token id outside the model's vocabulary, as with another model's tokenizer.
    #[error("{}, line {line}: token id {id} is outside the vocabulary of {vocab_size}", path.display())]
    TokenId {
        /// The data file.
        path: PathBuf,
        /// Its line, counted from 1.
        line: usize,
        /// The token id.
        id: u32,
        /// The size of the vocabulary, V.
        vocab_size: usize,
    },
    /// A special token that the model's configuration lacks although it is needed, or has outside the vocabulary.
    #[error("{key}: {message}")]
    SpecialToken {
        /// The key of the model's configuration, such as `eos_token_id`.
        key: &'static str,
        /// What was found and what was expected.
        message: String,
    },
    /// A setting has an invalid value.
    #[error("{setting}: {message}")]
    Setting {
        /// The name of the setting's field, such as `num_virtual_tokens`.
        setting: String,
        /// What was found and what was expected.
        message: String,
    },
    /// Two parts that are each valid do not fit together.
    #[error("{0}")]
    Mismatch(String),
    /// Virtual tokens, tokens and new tokens do not fit the model's context.
    #[error(
        "{virtual_tokens} virtual tokens + {tokens} tokens + {new_tokens} new tokens exceed the \
         model's limit of {limit} positions"
    )]
    TooLong {
        /// The number of virtual tokens, P.
        virtual_tokens: usize,
        /// The number of tokens, T.
        tokens: usize,
        /// The number of tokens still to be generated.
        new_tokens: usize,
        /// The number of positions on that side of the model.
        limit: usize,
    },
    /// What attention keeps for each pair of positions does not fit in memory.
    #[error(
        "{virtual_tokens} virtual tokens + {tokens} tokens exceed {limit}: what attention keeps for each pair of \
         them would take more than {} GB", gb(*bytes)
    )]
    TooWide {
        /// The number of virtual tokens, P.
        virtual_tokens: usize,
        /// The number of tokens, T.
        tokens: usize,
        /// The most positions that fit.
        limit: usize,
        /// The bytes that they may take.
        bytes: u64,
    },
    /// A new run found a checkpoint of an earlier one in its folder.
    #[error(
        "{} is a checkpoint of an earlier run: resume that run, remove the checkpoint, or train in another \
         folder", path.display()
    )]
    OldCheckpoint {
        /// The checkpoint.
        path: PathBuf,
    },
    /// What a model makes of a row is not finite: it holds such values itself, or its numbers overflow.
    #[error(
        "the model's scores for the row in line {line} are {found}: a weight of the base model is not finite, or its \
         numbers are too large for their type"
    )]
    ScoreNotFinite {
        /// The line of the row, counted from 1.
        line: usize,
        /// The score, NaN or an infinity.
        found: f32,
    },
    /// Whoever follows a loop over rows ended it.
    #[error("stopped after {done} of {of} rows")]
    Stopped {
        /// The rows that were done.
        done: usize,
        /// The rows that there are.
        of: usize,
    },
    /// A checkpoint is of a run with other settings, which cannot be continued with these.
    #[error(
        "{} was written by a run with other settings and cannot be resumed with these; what differs: {differing}; with \
         that as it was it goes on, and a new run can start from what that one learnt: it is an adapter", path.display()
    )]
    OtherRun {
        /// The checkpoint.
        path: PathBuf,
        /// What differs: then and now.
        differing: String,
    },
    /// One of several devices failed in a step; what was stored before, if anything was, is still there.
    #[error(
        "replica {number} of {of}, on {device}, failed: {message}; what was stored before is still there, if anything \
         was: resume the run, on other devices if this one fails again"
    )]
    Replica {
        /// Which one, counted from 1.
        number: usize,
        /// How many there are.
        of: usize,
        /// Its device.
        device: String,
        /// What happened.
        message: String,
    },
    /// One of several processes that make a run failed; what was stored before, if anything was, is still there.
    #[error(
        "{name} failed: {message}; what was stored before is still there, if anything was: resume the run, without that process \
         if it fails again"
    )]
    Peer {
        /// Which one: its rank, and where it is, if that is known.
        name: String,
        /// What happened.
        message: String,
    },
    /// One of several processes that are to make a run would make another than the first.
    #[error("{name} would make another run than rank 0: give all processes the same {differing}")]
    OtherPeer {
        /// Which one: its rank, and where it is, if that is known.
        name: String,
        /// What differs: there, and on the first.
        differing: String,
    },
    /// The loss, or its gradient, is no longer finite; nothing was written after the last good step.
    #[error("{}", not_finite(*step, *loss))]
    NotFinite {
        /// The step with this loss, counted from 1.
        step: usize,
        /// The loss; if it is finite, its gradient does not fit in f16 by any factor.
        loss: f64,
    },
}

fn not_finite(step: usize, loss: f64) -> String {
    match loss.is_finite() {
        true => format!(
            "the gradients of step {step} do not fit in f16, whatever the loss is multiplied by: set `dtype` to bf16 or f32"
        ),
        false => format!("the loss became {loss} at step {step}: lower `lr`, or set `clip_norm`"),
    }
}

/// Bytes in units of 10^9.
fn gb(bytes: u64) -> u64 {
    bytes / 1_000_000_000
}

fn named_process(id: Option<u32>) -> String {
    id.map_or("another process".to_string(), |id| format!("process {id}"))
}

/// A result of this workspace's libraries.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Pairs a read error with its path, for `map_err`.
    pub fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Read { path: path.to_path_buf(), source }
    }

    /// Pairs a write error with its path, for `map_err`.
    pub fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Write { path: path.to_path_buf(), source }
    }

    /// Creates an error for line `line` (from 1) of a data file.
    pub fn data(path: &Path, line: usize, message: impl Into<String>) -> Self {
        Self::Data { path: path.to_path_buf(), line, message: message.into() }
    }

    /// Creates an error for a label in line `line` (from 1) of a data file that is none of the classes.
    pub fn unknown_class(path: &Path, line: usize, message: impl Into<String>) -> Self {
        Self::UnknownClass { path: path.to_path_buf(), line, message: message.into() }
    }

    /// Creates an error for a whole file.
    pub fn file(path: &Path, message: impl Into<String>) -> Self {
        Self::File { path: path.to_path_buf(), message: message.into() }
    }

    /// Creates an error for a key of a configuration file.
    pub fn config(path: &Path, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Config { path: path.to_path_buf(), key: key.into(), message: message.into() }
    }

    /// Creates an error for a tensor of a file.
    pub fn tensor(path: &Path, name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Tensor { path: path.to_path_buf(), name: name.into(), message: message.into() }
    }

    /// Creates an error for an invalid setting.
    pub fn setting(setting: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Setting { setting: setting.into(), message: message.into() }
    }
}
