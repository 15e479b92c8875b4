//! Models and adapters of the Hugging Face Hub, named `org/name` or `org/name@revision`.
//!
//! What is in the cache folder that Python's `huggingface_hub` keeps is used as it is, without any request;
//! what is not is downloaded into it. Paths, names and the token file are those of the `hf-hub` crate. It is
//! kept at 0.5: from 1.0 on it needs an asynchronous runtime and a second transfer protocol. Its own
//! transfer checks no sums and shows the token to whatever host a file is redirected to, so files are moved
//! by [`transfer`], with the HTTP client that hf-hub uses.
//!
//! | file | what it is |
//! |---|---|
//! | [`name`] | `org/name@revision` |
//! | [`config`] | endpoint, cache folder, token and offline mode, from the environment |
//! | [`cache`] | the cache folder: refs, snapshots, blobs, locks |
//! | [`files`] | which files of a repository are needed |
//! | [`client`] | requests, redirects, who gets the token |
//! | [`address`] | which addresses are the Hub's own |
//! | [`transfer`] | a file from the Hub to the cache: resumed, checked, put in place |
//! | [`checksum`] | what a file's ETag says of its bytes |
//! | [`watch`] | what a person sees of it |

pub mod address;
pub mod cache;
pub mod checksum;
pub mod client;
pub mod config;
pub mod error;
pub mod files;
pub mod name;
pub mod transfer;
pub mod watch;

use std::{
    fs,
    path::{Path, PathBuf},
};

pub use error::HubError;

use self::{
    cache::RepoCache,
    client::Client,
    config::HubConfig,
    files::{Held, Kind, held, shards_of, wanted},
    name::RepoName,
};
use crate::output;

/// The folder of a model: `given` itself where it exists, else that of the Hub's model `org/name`, which is
/// downloaded where the cache does not have it.
///
/// # Errors
///
/// [`HubError`], which says what to do.
pub fn model(given: &Path) -> Result<PathBuf, HubError> {
    resolve(given, Kind::Model)
}

/// As [`model`], for an adapter.
///
/// # Errors
///
/// [`HubError`], which says what to do.
pub fn adapter(given: &Path) -> Result<PathBuf, HubError> {
    resolve(given, Kind::Adapter)
}

/// How an adapter names its base: the Hub's name of it, else the path as it was given.
pub fn base_name(given: &Path) -> String {
    match hub_name(given) {
        Some(name) => name.id().to_string(),
        None => given.display().to_string(),
    }
}

/// The Hub's name that `given` is: what exists on disk is none.
fn hub_name(given: &Path) -> Option<RepoName> {
    // What cannot be looked at is left to the loader, which says why.
    let is_there = given.try_exists().unwrap_or(true);
    given.to_str().filter(|_| !is_there).and_then(RepoName::parse)
}

fn resolve(given: &Path, kind: Kind) -> Result<PathBuf, HubError> {
    if let Some(name) = hub_name(given) {
        return folder(&HubConfig::from_env()?, &name, kind);
    }
    if given.try_exists().unwrap_or(true) {
        return Ok(given.to_path_buf());
    }
    let path = given.join(kind.config());
    match fs::metadata(&path) {
        Ok(_) => Ok(given.to_path_buf()),
        Err(source) => Err(HubError::Missing { path, source, kind: kind.name() }),
    }
}

fn folder(config: &HubConfig, name: &RepoName, kind: Kind) -> Result<PathBuf, HubError> {
    let cache = RepoCache::new(config, name);
    let commit = cache.commit();
    let found = match &commit {
        Some(commit) => {
            let is_absent = |file: &str| cache.is_absent(commit, file);
            held(kind, &cache.snapshot(commit), is_absent)
        }
        None => Held::Missing(kind.config().into()),
    };
    match (found, commit) {
        (Held::Whole, Some(commit)) => Ok(cache.snapshot(&commit)),
        (Held::Unsure, Some(commit)) if config.offline => Ok(cache.snapshot(&commit)),
        // That commit and not the newest: a model does not change because a tokenizer is looked for.
        (Held::Unsure, Some(commit)) => {
            download(config, name, &commit, kind, &cache).or_else(|error| {
                output::note(format!("note: using {name} as it is in the cache ({error})"));
                Ok(cache.snapshot(&commit))
            })
        }
        (Held::Missing(file), _) if config.offline => Err(HubError::Offline {
            name: name.to_string(),
            kind: kind.name(),
            file,
            cache: config.cache.clone(),
        }),
        _ => download(config, name, name.revision(), kind, &cache),
    }
}

/// Downloads what is needed of a revision; gives its snapshot.
fn download(
    config: &HubConfig,
    name: &RepoName,
    revision: &str,
    kind: Kind,
    cache: &RepoCache,
) -> Result<PathBuf, HubError> {
    let client = Client::new(config, name)?;
    let listing = client.listing(revision)?;
    let commit = listing.commit;
    let snapshot = cache.snapshot(&commit);
    let (needed, absent) = wanted(kind, &listing.files, name)?;
    for file in needed {
        transfer::fetch(&client, cache, &commit, file)?;
        if file == files::INDEX {
            for shard in shards_of(&snapshot.join(file))? {
                if !listing.files.contains(&shard) {
                    return Err(HubError::NoFile { name: name.to_string(), file: shard });
                }
                transfer::fetch(&client, cache, &commit, &shard)?;
            }
        }
    }
    for file in absent {
        cache.note_absent(&commit, file)?;
    }
    if revision != commit {
        // Last of all: a ref stands for a snapshot that is whole.
        cache.write_ref(&commit)?;
    }
    Ok(snapshot)
}
