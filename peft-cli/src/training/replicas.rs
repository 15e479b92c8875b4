//! The base model on several devices, and in several processes.

use std::{path::Path, sync::Arc};

use burn::tensor::Device;
use peft_core::{FrozenModel, Result};

use super::{PreparedRun, inputs::Base};
use crate::processes::Member;

/// The names of the lines that say how many devices share a run, and how many processes.
const FACT: &str = "devices";
const PROCESSES: &str = "processes";

impl PreparedRun {
    /// Puts the base model on all of `devices`, of which the first is the run's own. Where a device is named again, the
    /// same model computes: its weights are in memory once.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`peft_models::load_with`].
    pub fn on_devices(mut self, devices: &[Device]) -> Result<Self> {
        let mut models: Vec<(&Device, Arc<dyn FrozenModel>)> = Vec::with_capacity(devices.len());
        for device in devices {
            let known = models.iter().find(|(own, _)| *own == device);
            let model = match known {
                Some((_, model)) => model.clone(),
                None if models.is_empty() => self.base.model.clone(),
                // What there is to say of the files has been said.
                None => {
                    let options = Base::options(&self.settings);
                    peft_models::load_with(self.dir.path(), device, options)?.model
                }
            };
            models.push((device, model));
        }
        self.replicas = models.into_iter().skip(1).map(|(_, model)| model).collect();
        Ok(self)
    }

    /// Of a run that this process makes together with others, if there are any.
    #[must_use]
    pub fn with_member(self, member: Option<Arc<Member>>) -> Self {
        Self { member, ..self }
    }

    /// The processes that share the run, if it is not one.
    pub(super) fn fact_of_processes(&self) -> Option<(&'static str, String)> {
        self.member.as_ref().map(|member| (PROCESSES, member.shown()))
    }

    /// The folder or file of the base model.
    pub fn model_path(&self) -> &Path {
        self.dir.path()
    }

    /// How many devices share the run, if it is not one.
    pub(super) fn fact_of_devices(&self) -> Option<(&'static str, String)> {
        let count = 1 + self.replicas.len();
        let share = || format!("{count}, which share the batches of each step");
        (count > 1).then(|| (FACT, share()))
    }
}
