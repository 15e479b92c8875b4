//! The complete state of a run at one step.

use std::path::Path;

use burn::tensor::Device;

use super::{
    best_metric::BestMetric,
    identity::Identity,
    loss_scale::LossScale,
    snapshot::{Counters, Evaluation, Snapshot},
    trainable::{Trainable, all_finite},
};
use crate::{
    contract::{
        frozen::FrozenModel, head::Head, method::PeftMethod, params, task::Task,
        tensors::NamedTensors,
    },
    error::{Error, Result},
    metrics::Metrics,
    optim::Optimizer,
};

/// A run at one step.
#[derive(Debug)]
pub(crate) struct State<M: PeftMethod> {
    pub(crate) counters: Counters,
    /// What is trained, on the autodiff device.
    pub(crate) trainable: Trainable<M>,
    pub(crate) optimizer: Optimizer,
    /// The trainable that scored best, folded.
    pub(crate) best: Option<Trainable<M>>,
}

/// A key of stored states, kept as it is so that older runs can be resumed.
const TRAINABLE: &str = "learner/";
const OPTIMIZER: &str = "optimizer/";
const BEST_METHOD: &str = "best.method/";
const BEST_HEAD: &str = "best.head/";

/// The key of the head of a task that scored best; of the first task it is that of a run on one.
fn best_head(task: usize) -> String {
    match task {
        0 => BEST_HEAD.to_string(),
        task => format!("best.other_heads.{}/", task - 1),
    }
}

impl<M: PeftMethod> State<M> {
    /// Creates the state before the first step.
    pub(crate) fn new(trainable: Trainable<M>, optimizer: Optimizer) -> Self {
        Self {
            counters: Counters::default(),
            trainable: params::as_leaves(trainable),
            optimizer,
            best: None,
        }
    }

    /// Records scores, and keeps the trainable if they are the best so far, which is answered. Where every step since the
    /// evaluation before was skipped they are those of then, and take no patience.
    pub(crate) fn evaluated(&mut self, metrics: Metrics, by: &BestMetric) -> Result<bool> {
        let value = by.read(&metrics)?;
        let step = self.counters.step;
        let has_changed = self.counters.loss_scale.as_mut().is_none_or(LossScale::evaluated);
        let is_best = by.better(value, self.counters.best.map(|(_, value)| value));
        if is_best {
            self.counters.best = Some((step, value));
            self.counters.without_improvement = 0;
            self.best = Some(self.trainable.fold());
        } else if has_changed {
            self.counters.without_improvement += 1;
        }
        self.counters.history.push(Evaluation { step, metrics });
        Ok(is_best)
    }

    /// Rejects parameters that are not finite; they must not be stored.
    pub(crate) fn check_finite(&self) -> Result<()> {
        if all_finite(&self.trainable.parameters()?) {
            return Ok(());
        }
        Err(Error::NotFinite { step: self.counters.step, loss: f64::NAN })
    }

    /// Returns the state for storage. `tasks` has the task of each head.
    pub(crate) fn store(
        &self,
        model: &dyn FrozenModel,
        tasks: &[Task],
        identity: Identity,
    ) -> Result<Snapshot> {
        let mut tensors = NamedTensors::new();
        let mut put = |prefix: &str, part: NamedTensors| {
            tensors.extend(part.into_iter().map(|(name, data)| (format!("{prefix}{name}"), data)));
        };
        put(TRAINABLE, self.trainable.parameters()?);
        put(OPTIMIZER, self.optimizer.state()?);
        if let Some(best) = &self.best {
            put(BEST_METHOD, best.method.state());
            for (index, (head, task)) in best.heads().zip(tasks).enumerate() {
                let state = head.map(|head| head.state(model.head_layout(*task)));
                put(&best_head(index), state.unwrap_or_default());
            }
        }
        Ok(Snapshot { counters: self.counters.clone(), identity, tensors })
    }

    /// Continues from what [`store`](Self::store) returned; `path` is where it is stored, for
    /// messages.
    pub(crate) fn restore(
        &mut self,
        stored: Snapshot,
        model: &dyn FrozenModel,
        tasks: &[Task],
        path: &Path,
    ) -> Result<()> {
        let device: Device = model.device();
        let part = |prefix: &str| -> NamedTensors {
            let own = |(name, data): (&String, _)| {
                Some((name.strip_prefix(prefix)?.to_string(), Clone::clone(data)))
            };
            stored.tensors.iter().filter_map(own).collect()
        };
        self.trainable = self
            .trainable
            .clone()
            .with_parameters(&part(TRAINABLE))
            .map_err(|name| Error::tensor(path, name, "is missing or has another size"))?;
        self.optimizer.load_state(&part(OPTIMIZER), &device)?;
        self.best = None;
        // A method without tensors (the head alone) has no entries under `BEST_METHOD`.
        if stored.counters.best.is_some() {
            let best = part(BEST_METHOD);
            let spec = model.spec();
            let config = self.trainable.method.fold().config().clone();
            let head = |(index, task): (usize, &Task)| {
                let state = part(&best_head(index));
                let layout = model.head_layout(*task);
                let read = || Head::from_state(layout, spec.hidden_size, &state, &device);
                (!state.is_empty()).then(read).transpose()
            };
            let heads = tasks.iter().enumerate().map(head).collect::<Result<Vec<_>>>()?;
            let method = M::from_state(config, spec, &best, &device)?;
            self.best = Some(Trainable::joint(method, heads));
        }
        self.counters = stored.counters;
        Ok(())
    }
}
