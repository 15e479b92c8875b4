//! Checkpoints: folders that hold a whole run at one step, or do not exist.
//!
//! ```text
//! RUN/checkpoints/step-000123/burn_peft.json              what is trained, folded: an adapter like any other
//!                             adapter_config.json
//!                             adapter_model.safetensors
//!                             state.safetensors           parameters unfolded, moments, what scored best
//!                             state.json                  counters, scores, SHA-256 of state.safetensors
//!                             SHA256SUMS                  of all five, for `sha256sum --check` too
//! ```

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    identity::Identity,
    snapshot::{Counters, Snapshot},
};
use crate::{
    adapter::{
        Adapter, atomic,
        codec::{from_safetensors, sha256, to_safetensors},
    },
    error::{Error, Result},
    formats::read,
};

const TENSORS: &str = "state.safetensors";
const STATE: &str = "state.json";
/// The files of a checkpoint, of which there are sums.
const FILES: [&str; 5] = [Adapter::FILES[0], Adapter::FILES[1], Adapter::FILES[2], TENSORS, STATE];
/// The sums of the others.
const SUMS: &str = "SHA256SUMS";

#[derive(Serialize, Deserialize)]
struct StateFile {
    tensors_sha256: String,
    progress: Counters,
    identity: Identity,
}

/// The checkpoints of one run, whose folder the caller has locked ([`FolderLock`](crate::adapter::FolderLock)).
#[derive(Clone, Debug)]
pub struct Checkpoints {
    dir: PathBuf,
    keep: usize,
}

impl Checkpoints {
    /// The checkpoints of the run in `run_dir`, of which the newest `keep` are kept.
    pub fn new(run_dir: &Path, keep: usize) -> Self {
        Self { dir: run_dir.join("checkpoints"), keep }
    }

    /// Lists the folders of all checkpoints with their steps, newest first, including damaged ones.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] if the folder exists but cannot be read.
    pub fn list(&self) -> Result<Vec<(usize, PathBuf)>> {
        if !self.dir.exists() {
            return Ok(Vec::new());
        }
        let entries = fs::read_dir(&self.dir).map_err(Error::read(&self.dir))?;
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(Error::read(&self.dir))?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let step = name.and_then(|name| name.strip_prefix("step-")?.parse().ok());
            found.extend(step.map(|step| (step, path)));
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        Ok(found)
    }

    /// Writes a checkpoint, and removes old ones and what killed saves left behind.
    ///
    /// # Errors
    ///
    /// [`Error::Write`]; then all earlier checkpoints are still there.
    pub fn save(&self, stored: &Snapshot, adapter: &Adapter) -> Result<PathBuf> {
        fs::create_dir_all(&self.dir).map_err(Error::write(&self.dir))?;
        atomic::sweep_all(&self.dir);
        let path = self.dir.join(format!("step-{:06}", stored.counters.step));
        let bytes = to_safetensors(&stored.tensors, &path.join(TENSORS))?;
        let state = StateFile {
            tensors_sha256: sha256(&bytes),
            progress: stored.counters.clone(),
            identity: stored.identity.clone(),
        };
        let state = serde_json::to_vec_pretty(&state)
            .map_err(|error| Error::file(&path.join(STATE), error.to_string()))?;
        let [own, config, adapter] = adapter.files(&path)?.map(|(_, content)| content);
        let contents = [own, config, adapter, bytes, state];
        let files = FILES.into_iter().zip(&contents);
        let sums: String =
            files.clone().map(|(name, bytes)| format!("{}  {name}\n", sha256(bytes))).collect();
        atomic::write_folder(&path, |inside| {
            files
                .chain([(SUMS, &sums.into_bytes())])
                .try_for_each(|(name, bytes)| atomic::write_file(&inside.join(name), bytes))
        })?;
        for (_, old) in self.list()?.into_iter().skip(self.keep.max(1)) {
            atomic::remove(&old)?;
        }
        Ok(path)
    }

    /// Removes checkpoints after `step`, which a run that continues from there will write anew.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub fn discard_after(&self, step: usize) -> Result<()> {
        for (_, path) in self.list()?.into_iter().take_while(|(found, _)| *found > step) {
            atomic::remove(&path)?;
        }
        Ok(())
    }

    /// Returns the newest complete checkpoint. Damaged ones are skipped and reported to `note`.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] if the folder of checkpoints cannot be read.
    pub fn newest(&self, mut note: impl FnMut(&str)) -> Result<Option<(PathBuf, Snapshot)>> {
        for (_, path) in self.list()? {
            match load(&path) {
                Ok(stored) => return Ok(Some((path, stored))),
                Err(error) => note(&format!(
                    "the checkpoint {} is damaged and was skipped: {error}",
                    path.display()
                )),
            }
        }
        Ok(None)
    }
}

/// Reads a checkpoint. One of an earlier version has no sums of all its files.
///
/// # Errors
///
/// [`Error::Read`] or [`Error::File`] naming what is missing or damaged.
pub fn load(folder: &Path) -> Result<Snapshot> {
    if folder.join(SUMS).exists() {
        check_sums(folder)?;
    }
    Adapter::load(folder)?;
    let path = folder.join(STATE);
    let text = read::bytes(&path)?;
    let state: StateFile = serde_json::from_slice(&text)
        .map_err(|error| Error::file(&path, format!("not the state of a run: {error}")))?;
    let path = folder.join(TENSORS);
    let bytes = read::bytes(&path)?;
    let found = sha256(&bytes);
    if found != state.tensors_sha256 {
        let expected = state.tensors_sha256;
        let message = format!("has the SHA-256 {found}, but {STATE} expects {expected}");
        return Err(Error::file(&path, message));
    }
    let tensors = from_safetensors(&bytes, &path)?;
    Ok(Snapshot { counters: state.progress, identity: state.identity, tensors })
}

/// Checks the sums of all files of a checkpoint.
fn check_sums(folder: &Path) -> Result<()> {
    let path = folder.join(SUMS);
    let text = read::text(&path)?;
    let sums: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(sum, name)| (name, sum))
        .collect();
    for name in FILES {
        // An earlier version wrote one file less.
        if name == Adapter::FILES[0] && !sums.contains_key(name) && !folder.join(name).exists() {
            continue;
        }
        let expected = sums
            .get(name)
            .ok_or_else(|| Error::file(&path, format!("has no line for {name}: it is damaged")))?;
        let file = folder.join(name);
        let found = sha256(&read::bytes(&file)?);
        if found != *expected {
            let message = format!("has the SHA-256 {found}, but {SUMS} expects {expected}");
            return Err(Error::file(&file, message));
        }
    }
    Ok(())
}
