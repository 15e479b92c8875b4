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
/// is not in the cache.
///
/// # Errors
///
/// Returns a [`HubError`], which says what to do.
pub fn model(given: &Path, report: &dyn Report) -> Result<PathBuf, HubError> {
    resolve(given, Kind::Model, report)
}

/// As [`model`], for its sizes alone: of the Hub's models the folder may hold its config and nothing else.
///
/// # Errors
///
/// Returns a [`HubError`], which says what to do.
pub fn model_config(given: &Path, report: &dyn Report) -> Result<PathBuf, HubError> {
    let kind = Kind::Model;
    let Some(name) = hub_name(given) else { return resolve(given, kind, report) };
    let config = HubConfig::from_env()?;
    Repository { config: &config, name: &name, kind, report }.folder_with_config()
}

/// As [`model`], for an adapter.
///
/// # Errors
///
/// Returns a [`HubError`], which says what to do.
pub fn adapter(given: &Path, report: &dyn Report) -> Result<PathBuf, HubError> {
    resolve(given, Kind::Adapter, report)
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
        // Names without an organisation lead on, on the Hub, and Python keeps what it found under them.
        let name = RepoName::parse_short(text)?;
        let cache = HubConfig::from_env().ok()?.cache;
        cache.join(name.cache_folder()).is_dir().then_some(name)
    })
}

fn resolve(given: &Path, kind: Kind, report: &dyn Report) -> Result<PathBuf, HubError> {
    if let Some(name) = hub_name(given) {
        let config = HubConfig::from_env()?;
        let repository = Repository { config: &config, name: &name, kind, report };
        return repository.folder();
    }
    if given.try_exists().unwrap_or(true) {
        return Ok(given.to_path_buf());
    }
    let path = if is_gguf(given) { given.to_path_buf() } else { given.join(kind.config()) };
    match fs::metadata(&path) {
        Ok(_) => Ok(given.to_path_buf()),
        Err(source) => {
            Err(HubError::Missing { path, source, kind: kind.name(), name: meant(given) })
        }
    }
}

/// The name that was probably meant by `given`, which is none: the end of an address, or a model that had a name without
/// an organisation once.
fn meant(given: &Path) -> String {
    /// Who has such models now, and their names.
    const MOVED: [(&str, &[&str]); 5] = [
        (
            "google-bert",
            &[
                "bert-base-uncased",
                "bert-base-cased",
                "bert-large-uncased",
                "bert-large-cased",
                "bert-base-multilingual-uncased",
                "bert-base-multilingual-cased",
                "bert-base-chinese",
            ],
        ),
        ("FacebookAI", &["roberta-base", "roberta-large", "xlm-roberta-base", "xlm-roberta-large"]),
        (
            "distilbert",
            &[
                "distilbert-base-uncased",
                "distilbert-base-cased",
                "distilbert-base-multilingual-cased",
                "distilroberta-base",
                "distilgpt2",
            ],
        ),
        ("openai-community", &["gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"]),
        ("google-t5", &["t5-small", "t5-base", "t5-large", "t5-3b", "t5-11b"]),
    ];
    let text = given.to_str().unwrap_or_default();
    let ends = text.split_once("://").map_or(text, |(scheme, rest)| match scheme {
        "hf" => rest.strip_prefix("models/").unwrap_or(rest),
        _ => rest.split_once('/').map_or(rest, |(_, path)| path),
    });
    if ends != text && RepoName::parse(ends.trim_end_matches('/')).is_some() {
        return ends.trim_end_matches('/').to_string();
    }
    let moved = MOVED.iter().find(|(_, names)| names.contains(&text));
    let moved = moved.map(|(org, _)| format!("{org}/{text}"));
    moved.unwrap_or_else(|| "google-bert/bert-base-uncased".into())
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
            ("bert-base-cased", "google-bert/bert-base-cased"),
            ("roberta-base", "FacebookAI/roberta-base"),
            ("distilbert-base-uncased", "distilbert/distilbert-base-uncased"),
            ("runs/bert/a", "google-bert/bert-base-uncased"),
            ("mine", "google-bert/bert-base-uncased"),
            ("bert-run", "google-bert/bert-base-uncased"),
            ("t5_small.out", "google-bert/bert-base-uncased"),
            ("gpt2-xl", "openai-community/gpt2-xl"),
            ("distilgpt2", "distilbert/distilgpt2"),
            ("t5-small", "google-t5/t5-small"),
        ] {
            assert_eq!(meant(Path::new(given)), name, "{given}");
        }
    }
}
