//! What can go wrong, what to do about it, and whether to retry.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

/// Whether a failed request is worth repeating.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// No.
    Never,
    /// Yes.
    Soon,
    /// Yes, after the time that the server asked for.
    After(Duration),
}

/// A failure to get something from the Hub.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// There is no such folder, and the text is not a name on the Hub either.
    #[error(
        "cannot read {}: {source}. It was taken for a local folder; {kind}s of the Hugging Face Hub are \
         written org/name, such as {name}{asked}", path.display()
    )]
    Missing {
        /// The file that was looked for.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
        /// Model or adapter.
        kind: &'static str,
        /// The name that was probably meant, or the name of another.
        name: String,
        /// What the Hub, if it was asked, said to a name without an organisation, to be added to the sentence.
        asked: String,
    },
    /// An environment variable has an unusable value.
    #[error("{variable}: {message}")]
    Setting {
        /// The variable.
        variable: &'static str,
        /// What was found and what was expected.
        message: String,
    },
    /// A file is not in the cache, and nothing may be downloaded.
    #[error(
        "{name}: no such local folder, and {file} is not in the cache {}. HF_HUB_OFFLINE or \
         TRANSFORMERS_OFFLINE is set: unset it to download, or give the path of a local copy of the {kind}",
        cache.display()
    )]
    Offline {
        /// The repository.
        name: String,
        /// Model or adapter.
        kind: &'static str,
        /// The first file that is missing.
        file: String,
        /// The cache folder.
        cache: PathBuf,
    },
    /// The Hub has no such repository, or does not admit to it.
    #[error(
        "{name}: no such local folder, and the repository does not exist on {endpoint} or is private. Check \
         the name; if it is private, set HF_TOKEN to a token that may read it ({token})"
    )]
    NoRepository {
        /// The repository.
        name: String,
        /// The Hub.
        endpoint: String,
        /// Whether a token was sent.
        token: &'static str,
    },
    /// The repository has no such branch, tag or commit.
    #[error("{name}: the repository has no revision {revision}; {url} lists its revisions")]
    NoRevision {
        /// The repository.
        name: String,
        /// The revision.
        revision: String,
        /// Where its revisions are listed.
        url: String,
    },
    /// The Hub refuses access.
    #[error(
        "{name}: access denied ({said}). Request access or accept the licence at {url}, and set HF_TOKEN \
         to a token of that account ({token})"
    )]
    Denied {
        /// The repository.
        name: String,
        /// The Hub's reason.
        said: String,
        /// The repository's page.
        url: String,
        /// Whether a token was sent.
        token: &'static str,
    },
    /// The repository lacks a required file.
    #[error("{name}: the repository has no file {file}")]
    NoFile {
        /// The repository.
        name: String,
        /// The file.
        file: String,
    },
    /// A model without weights that can be read.
    #[error("{name}: the repository has no safetensors weights and no pytorch_model.bin: {found}")]
    NoWeights {
        /// The repository, with its revision.
        name: String,
        /// What was found instead.
        found: String,
    },
    /// The index of a sharded model is malformed.
    #[error("{}: {message}", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        message: String,
    },
    /// The response is missing or incomplete.
    #[error(
        "{name}: no such local folder, and cannot download it from {url}: {said}. {partial}Check the network, HTTPS_PROXY, \
         SSL_CERT_FILE and HF_ENDPOINT; or download it on another machine (`hf download {name} \
         --local-dir folder`), copy the folder here and give its path"
    )]
    Network {
        /// The repository, without a revision.
        name: String,
        /// What was requested.
        url: String,
        /// What went wrong.
        said: String,
        /// How much was received, as a sentence to insert; empty if nothing.
        partial: String,
        /// Whether to retry.
        retry: Retry,
    },
    /// A response that the Hub would not give.
    #[error("{url}: {message}. This is not a response of the Hugging Face Hub; check HF_ENDPOINT")]
    Response {
        /// What was requested.
        url: String,
        /// What was found and what was expected.
        message: String,
    },
    /// The bytes received are not those of the Hub.
    #[error(
        "{name}: {file}: the {kind} is {found}, the Hub expects {expected}. The download is corrupt and \
         was removed; run the command again"
    )]
    Corrupt {
        /// The repository.
        name: String,
        /// The file.
        file: String,
        /// The kind of checksum, or the size.
        kind: &'static str,
        /// Its value for the bytes received.
        found: String,
        /// Its value on the Hub.
        expected: String,
    },
    /// The cache cannot be written.
    #[error(
        "cannot write {}: {source}. Set HF_HOME to keep downloads in another folder; what was already \
         downloaded is kept", path.display()
    )]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The cache cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl HubError {
    /// Pairs a write error with its path, for `map_err`.
    pub fn write(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Write { path: path.to_path_buf(), source }
    }

    /// Pairs a read error with its path, for `map_err`.
    pub fn read(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::Read { path: path.to_path_buf(), source }
    }

    /// Whether to retry.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Network { retry, .. } => *retry,
            _ => Retry::Never,
        }
    }
}
