//! A run that goes on, where it started from an adapter: it does without the folder of that adapter.
//!
//! All that a run takes from an adapter to start from (its number of virtual tokens, layers, classes, names of fields) is the
//! same in the run's newest checkpoint, from which it goes on anyway. Its tensors are replaced by those of that checkpoint.

use std::path::PathBuf;

use burn::tensor::Device;
use peft_core::{Adapter, Result, train::checkpoint::Checkpoints};

use super::{
    prepared::PreparedRun,
    shared::Shared,
    started_from::{STARTED_FROM, StartedFrom},
};
use crate::{
    error::CliResult,
    settings::{Settings, joint::JointSettings},
};

impl PreparedRun {
    /// As [`sharing`](Self::sharing), for a run that goes on in its folder. Without a complete checkpoint, and with one of an
    /// earlier version, it reads the adapter to start from once more.
    ///
    /// # Errors
    ///
    /// As for [`sharing`](Self::sharing).
    pub fn resumed(settings: Settings, device: &Device, shared: &Shared) -> CliResult<Self> {
        let Some((checkpoint, start)) = in_place_of_start(&settings)? else {
            return Self::sharing(settings, device, shared);
        };
        let named = settings.init_adapter.clone();
        let settings = Settings { init_adapter: Some(checkpoint), ..settings };
        Ok(Self::sharing(settings, device, shared)?.with_start(named, start))
    }

    /// The same for a [joint](Self::joint) run.
    ///
    /// # Errors
    ///
    /// As for [`joint`](Self::joint).
    pub fn joint_resumed(settings: JointSettings, device: &Device) -> CliResult<Self> {
        let Some((checkpoint, start)) = in_place_of_start(&settings.run)? else {
            return Self::joint(settings, device);
        };
        let JointSettings { run, tasks } = settings;
        let named = run.init_adapter.clone();
        let run = Settings { init_adapter: Some(checkpoint), ..run };
        Ok(Self::joint(JointSettings { run, tasks }, device)?.with_start(named, start))
    }

    /// A run whose settings name what it started from, as it is remembered.
    fn with_start(mut self, named: Option<PathBuf>, start: StartedFrom) -> Self {
        self.settings.init_adapter = named;
        self.recorded_start = Some(start);
        self
    }
}

/// The newest checkpoint of a run that started from an adapter, and what it remembers of that.
fn in_place_of_start(settings: &Settings) -> Result<Option<(PathBuf, StartedFrom)>> {
    let (Some(_), Some(out)) = (&settings.init_adapter, &settings.out) else { return Ok(None) };
    // What is damaged is told when the run goes on.
    let Some((folder, _)) = Checkpoints::new(out, 1).newest(|_| {})? else { return Ok(None) };
    let recipe = Adapter::load(&folder)?.config.own.recipe;
    let start = recipe.get(STARTED_FROM).cloned().map(serde_json::from_value);
    // One that an earlier version wrote otherwise says nothing of it.
    Ok(start.and_then(|start| start.ok()).map(|start| (folder, start)))
}
