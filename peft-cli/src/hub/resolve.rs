//! From what the user named to a local folder: a path, or a repository whose files are downloaded if the cache does
//! not have them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use peft_core::formats::gguf::is_gguf;

use super::{
    cache::RepoCache,
    client::Client,
    config::HubConfig,
    error::HubError,
    files::{Held, Kind, held, is_index, shards_of, wanted},
    name::RepoName,
    report::Report,
    transfer,
};
use crate::paths::shown;

/// The folder of a model: `given` itself if it exists, otherwise that of the Hub's model `org/name`, downloaded if it
/// is not in the cache; also of one that the Hub leads on to from a name without an organisation, as `gpt2`.
///
/// # Errors
///
/// Returns a [`HubError`], which says what to do.
pub fn model(given: &Path, report: &dyn Report) -> Result<PathBuf, HubError> {
    resolve(given, Kind::Model, report, |found| found.folder())
}

/// As [`model`], for its sizes alone: of the Hub's models the folder may hold its config and nothing else.
///
/// # Errors
///
/// Returns a [`HubError`], which says what to do.
pub fn model_config(given: &Path, report: &dyn Report) -> Result<PathBuf, HubError> {
    resolve(given, Kind::Model, report, |found| found.folder_with_config())
}

/// As [`model`], for an adapter.
///
/// # Errors
///
/// Returns a [`HubError`], which says what to do.
pub fn adapter(given: &Path, report: &dyn Report) -> Result<PathBuf, HubError> {
    resolve(given, Kind::Adapter, report, |found| found.folder())
}

/// How an adapter names its base model: by its name on the Hub, otherwise by the path.
pub fn base_name(given: &Path) -> String {
    match hub_name(given) {
        Some(name) => name.id().to_string(),
        None => shown(given).display().to_string(),
    }
}

/// Whether `given` is a name on the Hub, not a path.
pub fn is_name(given: &Path) -> bool {
    hub_name(given).is_some()
}

/// The name on the Hub that `given` is. Anything that exists on disk is a path instead.
fn hub_name(given: &Path) -> Option<RepoName> {
    // If that cannot be found out, the loader will say why.
    let exists = given.try_exists().unwrap_or(true);
    let text = given.to_str().filter(|_| !exists && !is_gguf(given))?;
    RepoName::parse(text).or_else(|| {
        // What such a name led on to is kept under it, by Python too.
        let name = short_name(given)?;
        let cache = HubConfig::from_env().ok()?.cache;
        cache.join(name.cache_folder()).is_dir().then_some(name)
    })
}

/// The folder of what is `given`, which `get` makes of a repository.
fn resolve(
    given: &Path,
    kind: Kind,
    report: &dyn Report,
    get: impl Fn(&Repository<'_>) -> Result<PathBuf, HubError>,
) -> Result<PathBuf, HubError> {
    let of_hub = |name: &RepoName| {
        let config = HubConfig::from_env()?;
        get(&Repository { config: &config, name, kind, report })
    };
    if let Some(name) = hub_name(given) {
        return of_hub(&name);
    }
    if given.try_exists().unwrap_or(true) {
        return Ok(given.to_path_buf());
    }
    let path = if is_gguf(given) { given.to_path_buf() } else { given.join(kind.config()) };
    let Err(source) = fs::metadata(&path) else { return Ok(given.to_path_buf()) };
    let mut asked = String::new();
    if let Some(name) = short_name(given).filter(|_| kind == Kind::Model) {
        match ask(&name) {
            Ok(()) => return of_hub(&name),
            Err(error @ (HubError::Denied { .. } | HubError::NoRevision { .. })) => {
                return Err(error);
            }
            Err(error) => asked = no_answer(&error),
        }
    }
    Err(HubError::Missing { path, source, kind: kind.name(), name: meant(given), asked })
}

/// The name without an organisation that `given` may be. The oldest models had such names, and the Hub leads on from them.
fn short_name(given: &Path) -> Option<RepoName> {
    RepoName::parse_short(given.to_str().filter(|_| !is_gguf(given))?)
}

/// Asks the Hub whether it has a model, or leads on from its name. Python's library asks it for any name, too.
fn ask(name: &RepoName) -> Result<(), HubError> {
    let config = HubConfig::from_env()?;
    if config.offline {
        let (name, file) = (name.to_string(), Kind::Model.config().into());
        return Err(HubError::Offline {
            name,
            kind: Kind::Model.name(),
            file,
            cache: config.cache,
        });
    }
    Client::new(&config, name)?.listing(name.revision()).map(drop)
}

/// What is said where the Hub leads on from no name without an organisation.
fn no_answer(error: &HubError) -> String {
    match error {
        HubError::NoRepository { endpoint, .. } => format!("; {endpoint} has none of this name"),
        HubError::Offline { .. } => {
            "; it is not asked for one of this name, as HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set".into()
        }
        HubError::Network { url, said, .. } => {
            format!("; it could not be asked for one of this name ({url}: {said})")
        }
        other => format!("; it could not be asked for one of this name ({other})"),
    }
}

/// The name that was probably meant by `given`, which is none: the end of an address, or one in the cache that goes on so
/// behind its organisation; else that of another model.
fn meant(given: &Path) -> String {
    let text = given.to_str().unwrap_or_default();
    let ends = text.split_once("://").map_or(text, |(scheme, rest)| match scheme {
        "hf" => rest.strip_prefix("models/").unwrap_or(rest),
        _ => rest.split_once('/').map_or(rest, |(_, path)| path),
    });
    if ends != text && RepoName::parse(ends.trim_end_matches('/')).is_some() {
        return ends.trim_end_matches('/').to_string();
    }
    let cached = || {
        let name = short_name(given)?;
        name.with_organisation(&HubConfig::from_env().ok()?.cache)
    };
    cached().unwrap_or_else(|| "google-bert/bert-base-uncased".into())
}

/// A repository that is asked for.
struct Repository<'a> {
    config: &'a HubConfig,
    name: &'a RepoName,
    kind: Kind,
    report: &'a dyn Report,
}

impl Repository<'_> {
    /// Its folder in the cache, after downloading what is missing.
    fn folder(&self) -> Result<PathBuf, HubError> {
        let Self { config, name, kind, report } = *self;
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
            // This commit, not the newest: looking for a tokenizer must not change the model.
            (Held::Unsure, Some(commit)) => self.download(&commit, &cache).or_else(|error| {
                report.note(&format!("note: using {name} as it is in the cache ({error})"));
                Ok(cache.snapshot(&commit))
            }),
            (Held::Missing(file), _) if config.offline => Err(HubError::Offline {
                name: name.to_string(),
                kind: kind.name(),
                file,
                cache: config.cache.clone(),
            }),
            _ => self.download(name.revision(), &cache),
        }
    }

    /// Its folder in the cache with its config, which is downloaded if it is not there. A ref, which promises a complete
    /// snapshot, is not written.
    fn folder_with_config(&self) -> Result<PathBuf, HubError> {
        let Self { config, name, kind, report } = *self;
        let (cache, file) = (RepoCache::new(config, name), kind.config());
        let known = cache.commit().map(|commit| cache.snapshot(&commit));
        if let Some(snapshot) = known.filter(|snapshot| snapshot.join(file).is_file()) {
            return Ok(snapshot);
        }
        if config.offline {
            return Err(HubError::Offline {
                name: name.to_string(),
                kind: kind.name(),
                file: file.into(),
                cache: config.cache.clone(),
            });
        }
        let client = Client::new(config, name)?;
        let listing = client.listing(name.revision())?;
        if !listing.files.iter().any(|listed| listed == file) {
            return Err(HubError::NoFile { name: name.to_string(), file: file.into() });
        }
        transfer::fetch(&client, &cache, &listing.commit, file, report)?;
        Ok(cache.snapshot(&listing.commit))
    }

    /// Downloads the files of a revision that are needed, and returns its snapshot.
    fn download(&self, revision: &str, cache: &RepoCache) -> Result<PathBuf, HubError> {
        let Self { config, name, kind, report } = *self;
        let client = Client::new(config, name)?;
        let listing = client.listing(revision)?;
        let commit = listing.commit;
        let snapshot = cache.snapshot(&commit);
        let (needed, absent) = wanted(kind, &listing.files, name)?;
        for file in needed {
            transfer::fetch(&client, cache, &commit, &file, report)?;
            if is_index(&file) {
                for shard in shards_of(&snapshot.join(&file))? {
                    if !listing.files.contains(&shard) {
                        return Err(HubError::NoFile { name: name.to_string(), file: shard });
                    }
                    transfer::fetch(&client, cache, &commit, &shard, report)?;
                }
            }
        }
        for file in absent {
            cache.note_absent(&commit, file)?;
        }
        if revision != commit {
            // Last of all: a ref promises a complete snapshot.
            cache.write_ref(&commit)?;
        }
        Ok(snapshot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name_leads_to_one() {
        for (given, name) in [
            ("hf://org/name", "org/name"),
            ("hf://models/org/name", "org/name"),
            ("https://huggingface.co/org/name/", "org/name"),
            ("runs/bert/a", "google-bert/bert-base-uncased"),
            ("mine", "google-bert/bert-base-uncased"),
            ("bert-run", "google-bert/bert-base-uncased"),
            ("t5_small.out", "google-bert/bert-base-uncased"),
        ] {
            assert_eq!(meant(Path::new(given)), name, "{given}");
        }
    }
}
