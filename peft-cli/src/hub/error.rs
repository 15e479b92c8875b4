//! What keeps a model of the Hub from being used, and what to do about it.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::client::Again;

/// A failure to get something from the Hub.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// There is no such folder, and it is no name of the Hub's either.
    #[error(
        "cannot read {}: {source}. A folder is meant; one of the Hugging Face Hub's {kind}s is \
         written org/name", path.display()
    )]
    Missing {
        /// The file that was looked for.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
        /// Model or adapter.
        kind: &'static str,
    },
    /// An environment variable has a value that cannot be used.
    #[error("{variable}: {message}")]
    Setting {
        /// The variable.
        variable: &'static str,
        /// What was found and what was expected.
        message: String,
    },
    /// It is not in the cache, and nothing may be downloaded.
    #[error(
        "{name}: there is no such folder, and {file} is not in the cache {}. HF_HUB_OFFLINE or \
         TRANSFORMERS_OFFLINE is set: unset it to download, or give the path of a copy of the {kind}",
        cache.display()
    )]
    Offline {
        /// The repository.
        name: String,
        /// Model or adapter.
        kind: &'static str,
        /// The first file that is not there.
        file: String,
        /// The cache folder.
        cache: PathBuf,
    },
    /// The Hub has no such repository, or does not tell that it has.
    #[error(
        "{name}: there is no such folder, and {endpoint} has no such repository, or a private one. Check \
         the name; for a private one set HF_TOKEN to a token that may read it ({token})"
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
    #[error("{name}: the repository has no revision {revision}; {url} lists those it has")]
    NoRevision {
        /// The repository.
        name: String,
        /// The revision.
        revision: String,
        /// Where they are listed.
        url: String,
    },
    /// The Hub does not let us read it.
    #[error(
        "{name}: access is refused ({said}). Ask for it or accept the licence at {url}, and set HF_TOKEN \
         to a token of that account ({token})"
    )]
    Denied {
        /// The repository.
        name: String,
        /// The Hub's words.
        said: String,
        /// The repository's page.
        url: String,
        /// Whether a token was sent.
        token: &'static str,
    },
    /// The repository lacks a file that is needed.
    #[error("{name}: the repository has no file {file}")]
    NoFile {
        /// The repository.
        name: String,
        /// The file.
        file: String,
    },
    /// A model without safetensors weights.
    #[error(
        "{name}: the repository has no safetensors weights ({found}). Convert them with Python, \
         transformers.AutoModel.from_pretrained({id:?}).save_pretrained(\"folder\", \
         safe_serialization=True) with the class of its task for AutoModel, and give that folder"
    )]
    NoWeights {
        /// The repository, with its revision.
        name: String,
        /// Without it.
        id: String,
        /// What was found instead.
        found: String,
    },
    /// The index of a model's shards is malformed.
    #[error("{}: {message}", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        message: String,
    },
    /// No answer, or half of one.
    #[error(
        "{name}: cannot download from {url}: {said}. {partial}Check the network, HTTPS_PROXY, \
         SSL_CERT_FILE and HF_ENDPOINT; or download it elsewhere (`hf download {name} --local-dir \
         folder`), copy the folder and give its path"
    )]
    Network {
        /// The repository, without a revision.
        name: String,
        /// What was asked for.
        url: String,
        /// What went wrong.
        said: String,
        /// What is there already.
        partial: String,
        /// Whether it is worth trying again.
        again: Again,
    },
    /// An answer that the Hub would not give.
    #[error("{url}: {message}: not an answer of the Hugging Face Hub; check HF_ENDPOINT")]
    Answer {
        /// What was asked for.
        url: String,
        /// What was found and what was expected.
        message: String,
    },
    /// The bytes are not those that the Hub has.
    #[error(
        "{name}: {file}: has the {kind} {found}, the Hub expects {expected}: the download is damaged and \
         was removed. Run the command again"
    )]
    Damaged {
        /// The repository.
        name: String,
        /// The file.
        file: String,
        /// The sort of checksum, or the size.
        kind: &'static str,
        /// That of the bytes.
        found: String,
        /// That of the Hub.
        expected: String,
    },
    /// The cache cannot be written.
    #[error(
        "cannot write {}: {source}. HF_HOME chooses another folder for downloads; run again, what is \
         there already is not downloaded twice", path.display()
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

    /// Whether it is worth trying again.
    pub fn again(&self) -> Again {
        match self {
            Self::Network { again, .. } => *again,
            _ => Again::Never,
        }
    }
}
