//! What a run is given beside its settings and its rows: where it is stored, and what its adapter is
//! to say about it.

use std::{path::PathBuf, sync::Arc};

use serde_json::{Value, json};

use super::{
    base_files::BaseFiles, base_sum::BaseSum, config::TrainConfig, export::About, peers::Peers,
};
use crate::{
    adapter::FolderLock, contract::frozen::FrozenModel, data::Labels, error::Result,
    evaluate::StatesRoom, metrics::Metrics,
};

/// Where a run is stored, and what its adapter says about it.
#[derive(Clone, Debug, Default)]
pub struct RunContext {
    /// The folder of the run; if not given, there are no checkpoints.
    pub dir: Option<PathBuf>,
    /// The lock on that folder, if the caller holds it. Otherwise training locks the folder while it
    /// lasts.
    pub lock: Option<Arc<FolderLock>>,
    /// Whether to continue from the newest checkpoint in the folder.
    pub resume: bool,
    /// Names of the classes.
    pub labels: Option<Labels>,
    /// Path or name of the base model.
    pub base_model: Option<String>,
    /// Fingerprint of the base model.
    pub base_fingerprint: Option<String>,
    /// SHA-256 of all its weights, which may still be computed while training begins.
    pub base_sum: Option<BaseSum>,
    /// Its config and its tokenizer, which a run that goes on compares with those of its start. Default none.
    pub base_files: BaseFiles,
    /// The format in which the base model's matrices are kept, if it differs from that of the
    /// computation.
    pub base_weights: Option<String>,
    /// The base model on further devices, which compute their part of each step; one may be there several times. Results,
    /// checkpoints and how a run is resumed do not depend on them, but for rounding where a batch is divided among
    /// devices that are no CPUs. Evaluations are made on the first device. Models of other sizes are refused; whether the
    /// weights are the same is not looked at. Default none.
    pub replicas: Vec<Arc<dyn FrozenModel>>,
    /// The processes that make the run together, each with the same settings, rows and base model on one device. Results,
    /// checkpoints and how a run is resumed do not depend on them, where all are on CPUs of one kind. Default: this one alone.
    pub peers: Option<Arc<dyn Peers>>,
    /// How many bytes of memory the run may fill with its rows' hidden states below the first layer that virtual tokens
    /// enter, which it then computes once for each row. It changes no result. Default 0.
    pub cache_frozen: u64,
    /// How many bytes it may keep of those that this memory has no room for, in a file in `dir`, which has no name and is
    /// gone when the run ends, however it ends. If the file cannot be written or read, the observer is told, and the run goes
    /// on without it. Default 0, and nothing without `dir`.
    pub cache_frozen_file: u64,
    /// The type in which products with the base model's matrices are computed, if it is another.
    pub compute: Option<String>,
    /// How the adapter is trained, for the record.
    pub recipe: Value,
}

impl RunContext {
    /// The bytes of `cache_frozen` that a program may choose; [`Default`] keeps nothing.
    pub const DEFAULT_CACHE_FROZEN: u64 = 1_000_000_000;

    /// The room for hidden states of its rows.
    pub fn room_for_states(&self) -> StatesRoom {
        let file = if self.dir.is_some() { self.cache_frozen_file } else { 0 };
        StatesRoom { memory: self.cache_frozen, file }
    }

    /// The lock on its folder, to hold while training lasts; `None` if the caller holds it, or there is no folder.
    ///
    /// # Errors
    ///
    /// Those of [`FolderLock::new`].
    pub(super) fn own_lock(&self) -> Result<Option<FolderLock>> {
        match (&self.dir, &self.lock) {
            (Some(dir), None) => FolderLock::new(dir).map(Some),
            _ => Ok(None),
        }
    }

    /// SHA-256 of all weights of the base model, once it is there; `None` if it is not computed.
    ///
    /// # Errors
    ///
    /// That of [`BaseSum::wait`].
    pub fn base_sha256(&self) -> Result<Option<String>> {
        self.base_sum.as_ref().map_or(Ok(None), BaseSum::wait)
    }

    /// What the adapter of this run says besides its method. It waits for the sum of the base model.
    ///
    /// # Errors
    ///
    /// The error of that sum.
    pub fn about(&self, config: &TrainConfig, metrics: Option<&Metrics>) -> Result<About> {
        Ok(About {
            task: config.task,
            pooling: config.pooling,
            problem_type: config.problem_type,
            labels: self.labels.clone(),
            base_model: self.base_model.clone(),
            base_fingerprint: self.base_fingerprint.clone(),
            base_sha256: self.base_sha256()?,
            base_config: self.base_files.config.clone(),
            base_tokenizer: self.base_files.tokenizer.clone(),
            recipe: self.recipe.clone(),
            metrics: metrics.map_or(Value::Null, |metrics| json!(metrics)),
        })
    }
}
