//! The checkpoints of a run: where it goes on, and where it could.

use super::Trainer;
use crate::{
    contract::{method::PeftMethod, task::Task},
    error::{Error, Result},
    train::{
        config::TrainConfig, export::adapter_of, identity::Identity, longer, observer::Observer,
        state::State, trainable::Trainable,
    },
};

impl Trainer<'_> {
    /// A resumed run would take them for its own. The caller had the chance to remove them.
    pub(super) fn refuse_old_checkpoints(&self) -> Result<()> {
        let Some(checkpoints) = &self.checkpoints else { return Ok(()) };
        match checkpoints.list()?.first() {
            None => Ok(()),
            Some((_, path)) => Err(Error::OldCheckpoint { path: path.clone() }),
        }
    }

    /// Continues from the newest complete checkpoint, if there is one.
    pub(super) fn resume<M: PeftMethod>(
        &self,
        state: &mut State<M>,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let Some(checkpoints) = &self.checkpoints else {
            return Err(Error::setting("resume", "needs the run's folder"));
        };
        match checkpoints.newest(|message| observer.note(message))? {
            Some((path, stored)) => {
                let then = self.total_of(&stored.identity);
                let now = self.identity.clone().with_base_sum(self.run.base_sha256()?.as_deref());
                now.check(&stored.identity, self.total >= then, &path)?;
                if let Some(note) = now.note(&stored.identity) {
                    observer.note(&note);
                }
                if self.total > then {
                    observer.note(&longer::note(self.config, (then, self.total), &stored.counters));
                }
                state.restore(stored, self.model, &self.kinds(), &path)?;
            }
            None => observer.note("there is no complete checkpoint to resume from: starting anew"),
        }
        // Later ones are damaged, else they would have been chosen.
        checkpoints.discard_after(state.counters.step)
    }

    /// The steps that a run was to make.
    fn total_of(&self, earlier: &Identity) -> usize {
        let (steps, epochs) = earlier.length();
        let earlier = TrainConfig { steps, epochs, ..self.config.clone() };
        earlier.total_steps(self.places_per_epoch)
    }

    /// The task of each head.
    fn kinds(&self) -> Vec<Task> {
        self.tasks.iter().map(|task| task.rows.config.task).collect()
    }

    /// Writes a checkpoint, if the run has a folder.
    pub(super) fn save<M: PeftMethod>(
        &self,
        state: &State<M>,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let Some(checkpoints) = &self.checkpoints else { return Ok(()) };
        state.check_finite()?;
        let last = state.counters.history.last();
        let current = last.filter(|evaluation| evaluation.step == state.counters.step);
        let about = self.run.about(self.config, current.map(|evaluation| &evaluation.metrics))?;
        let adapter = match self.joint {
            None => adapter_of(&state.trainable, self.model, &about)?,
            // What they share: a folder holds one adapter.
            Some(_) => {
                let shared = Trainable::new(state.trainable.method.clone(), None);
                adapter_of(&shared, self.model, &about)?
            }
        };
        let identity = self.identity.clone().with_base_sum(about.base_sha256.as_deref());
        let stored = state.store(self.model, &self.kinds(), identity)?;
        // The states of frozen layers can be computed again.
        let path = self.frozen.spare_room().retry(|| checkpoints.save(&stored, &adapter))?;
        observer.saved(&path);
        Ok(())
    }
}
