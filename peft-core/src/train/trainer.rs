//! The training loop.
//!
//! | file | what it is |
//! |---|---|
//! | `setup` | what a run is made of, checked |
//! | `scoring` | scores on the validation rows |
//! | `storing` | checkpoints: where a run goes on, and where it could |

mod scoring;
mod setup;
mod storing;

use std::{thread, time::Instant};

use burn::tensor::Tensor;

use super::{
    batch_loss::Rows,
    best_metric::BestMetric,
    checkpoint::Checkpoints,
    config::TrainConfig,
    gradient::{StepGradient, step_gradient},
    group::Group,
    identity::Identity,
    joint::Joint,
    kept_states::RunStates,
    loss_scale::LossScale,
    mixing::TaskOrder,
    observer::{Flow, Observer, Plan, StepReport},
    reading::Reading,
    run_context::RunContext,
    snapshot::{Counters, Evaluation},
    state::State,
    step_slices::Share,
    task_run::TaskRun,
    team::Team,
    trainable::{Trainable, is_head},
    training_data::TrainingData,
    unread::Unread,
};
use crate::{
    adapter::FolderLock,
    contract::{
        frozen::FrozenModel,
        method::{Mode, PeftMethod},
        params,
    },
    error::{Error, Result},
    metrics::Metrics,
    optim::{Optimizer, clip_to_norm, clip_to_unread_norm, global_norm},
};

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Outcome<M: PeftMethod> {
    /// What was learnt, folded, on the plain device: the best step if there are validation rows,
    /// else the last.
    pub trainable: Trainable<M>,
    /// The step of `trainable`, counted from 1; 0 is the start.
    pub step: usize,
    /// Scores of `trainable` on the validation rows.
    pub metrics: Option<Metrics>,
    /// The number of steps made.
    pub last_step: usize,
    /// The number of steps planned.
    pub total_steps: usize,
    /// All evaluations.
    pub history: Vec<Evaluation>,
    /// Whether the observer stopped the run: it would continue when resumed.
    pub interrupted: bool,
    /// Whether the run ended early because the scores stopped improving.
    pub stopped_early: bool,
}

/// Trains a method, and a head if there is one, on a frozen model.
///
/// A step computes the virtual tokens, runs `accumulation` batches through the model and makes one
/// update. All labelled tokens (or rows) of the step have the same weight, so that k batches of b
/// rows give the loss and the gradient of one batch of k b. The model gets no gradient and never
/// changes.
///
/// # Examples
///
/// Any method on any model, from rows to a folder that Python's `peft` reads:
///
/// ```
/// use std::path::Path;
///
/// use peft_core::{
///     FrozenModel, PeftMethod, Result, Task,
///     data::Example,
///     train::{RunContext, Silent, TrainConfig, Trainable, TrainingData, adapter_of, train},
/// };
///
/// fn adapt<M: PeftMethod>(
///     model: &dyn FrozenModel,
///     method: M,
///     rows: &[Example],
///     out: &Path,
/// ) -> Result<()> {
///     let config = TrainConfig { steps: Some(300), lr: 0.2, ..TrainConfig::new(Task::CausalLm) };
///     let data = TrainingData { train: rows, valid: &[] };
///     // With a folder in it, the run writes checkpoints there and can be resumed.
///     let run = RunContext::default();
///     let trainable = Trainable::new(method, None); // no head: the model's own
///     let outcome = train(model, trainable, &data, &config, &run, &mut Silent)?;
///
///     let about = run.about(&config, outcome.metrics.as_ref())?;
///     adapter_of(&outcome.trainable, model, &about)?.save(out)
/// }
/// ```
///
/// # Errors
///
/// [`Error::Setting`] for an invalid setting; [`Error::Mismatch`] if model, method, head and data
/// do not fit together; [`Error::Replica`] if one of several devices fails; [`Error::Peer`] if one of several processes does, and
/// [`Error::OtherPeer`] if one would make another run; [`Error::OtherRun`] if a run is resumed with other settings than more steps,
/// epochs or patience; [`Error::OldCheckpoint`] if the folder has checkpoints and the run is not
/// resumed; [`Error::InUse`] if another process trains in the folder; [`Error::TooLong`] if a row
/// does not fit; [`Error::NotFinite`] if the loss is not finite any more (what was stored before is
/// still there); [`Error::Write`] if a checkpoint cannot be stored.
pub fn train<M: PeftMethod>(
    model: &dyn FrozenModel,
    trainable: Trainable<M>,
    data: &TrainingData<'_>,
    config: &TrainConfig,
    run: &RunContext,
    observer: &mut dyn Observer,
) -> Result<Outcome<M>> {
    let trainer = Trainer::of_one(model, &trainable, data, config, run);
    run_to_the_end(trainer, run, trainable, observer)
}

/// Trains the virtual tokens of a method on several tasks at once, with a head for each ([`Trainable::joint`]).
///
/// Everything that holds for [`train`] holds here; on one task both compute the same. Scores are those of
/// [`Joint::best_metric`], and of each task under its name: `ner.f1`.
///
/// # Errors
///
/// As for [`train`]; [`Error::Setting`] if two tasks have one name, or differ in a setting that all share.
pub fn train_joint<M: PeftMethod>(
    model: &dyn FrozenModel,
    trainable: Trainable<M>,
    joint: &Joint<'_>,
    run: &RunContext,
    observer: &mut dyn Observer,
) -> Result<Outcome<M>> {
    let trainer = Trainer::of_several(model, &trainable, joint, run);
    run_to_the_end(trainer, run, trainable, observer)
}

/// Makes all steps that are left, on all devices and with all processes.
fn run_to_the_end<M: PeftMethod>(
    trainer: Result<Trainer<'_>>,
    run: &RunContext,
    trainable: Trainable<M>,
    observer: &mut dyn Observer,
) -> Result<Outcome<M>> {
    let group = run.peers.as_deref().map(Group::new);
    let Some(group) = &group else { return on_devices(trainer?, None, trainable, observer) };
    if group.rank() > 0 {
        let message = format!("found rank {}, which assists: rank 0 leads the run", group.rank());
        return Err(Error::setting("peers", message));
    }
    let own = trainer.and_then(|trainer| Ok((trainer.identity_with_weights()?, trainer)));
    let trainer = group.agree(own)?;
    group.end(on_devices(trainer, Some(group), trainable, observer))
}

/// Makes all steps that are left, on all devices.
fn on_devices<M: PeftMethod>(
    trainer: Trainer<'_>,
    group: Option<&Group<'_>>,
    trainable: Trainable<M>,
    observer: &mut dyn Observer,
) -> Result<Outcome<M>> {
    thread::scope(|scope| {
        let frozen = trainer.frozen.train.clone();
        let team = Team::new(scope, trainer.model, &trainer.run.replicas, frozen)?;
        steps(trainer, &team, group, trainable, observer)
    })
}

/// Makes all steps that are left.
fn steps<'a, M: PeftMethod>(
    mut trainer: Trainer<'a>,
    team: &Team<'a>,
    group: Option<&Group<'_>>,
    trainable: Trainable<M>,
    observer: &mut dyn Observer,
) -> Result<Outcome<M>> {
    let (config, run) = (trainer.config, trainer.run);
    let own_lock = run.own_lock()?;
    if let Some(warning) = own_lock.as_ref().and_then(FolderLock::warning) {
        observer.note(&warning);
    }
    let optimizer = Optimizer::new(config.optimizer);
    let optimizer = if trainer.model.reads_wait() { optimizer } else { optimizer.on_host() };
    let mut state = State::new(trainable, optimizer);
    if run.resume {
        trainer.resume(&mut state, observer)?;
    }
    state.counters.loss_scale = LossScale::of_run(trainer.model, state.counters.loss_scale);
    observer.spare_room(trainer.frozen.spare_room());
    observer.started(&trainer.plan(&state.counters))?;
    if !run.resume {
        trainer.refuse_old_checkpoints()?;
    }
    let mut interrupted = false;
    while !trainer.done(&state) && !interrupted {
        let made = trainer.step(&mut state, team, group);
        let scale = state.counters.loss_scale;
        if let Some(advice) = scale.and(made.as_ref().err()).and_then(LossScale::advice) {
            observer.note(advice);
        }
        let mut stop = false;
        let mut tell = |report: Option<StepReport>| {
            stop |= report.is_some_and(|report| observer.step(&report) == Flow::Stop);
            stop
        };
        if made.as_ref().is_err_and(|error| !matches!(error, Error::NotFinite { .. })) {
            // Nobody has read the step before yet: if its loss is not finite, that comes first.
            match trainer.reading.rest() {
                Err(late @ Error::NotFinite { .. }) => return Err(late),
                late => tell(late.ok().flatten()),
            };
        }
        let asked = group.is_some_and(Group::stops);
        let stops = tell(made?) || asked;
        let step = state.counters.step;
        let due = |every: Option<usize>| every.is_some_and(|every| step.is_multiple_of(every));
        let evaluates = trainer.has_valid() && (due(config.eval_every) || step == trainer.total);
        // No step is evaluated, stored or the last one whose loss is not known to be finite.
        if stops || evaluates || due(config.checkpoint_every) || step == trainer.total {
            tell(trainer.reading.rest()?);
        }
        if evaluates {
            trainer.evaluate(&mut state, observer)?;
        }
        let done = trainer.done(&state);
        interrupted = (stop || asked) && !done;
        let last = done && config.checkpoint_every.is_some();
        if interrupted || last || due(config.checkpoint_every) {
            trainer.save(&state, observer)?;
        }
        if let Some(trouble) = trainer.frozen.trouble() {
            observer.note(&trouble);
        }
    }
    state.check_finite()?;
    let scale = state.counters.loss_scale;
    if let Some(note) = scale.and_then(|scale| scale.note(state.counters.step)) {
        observer.note(&note);
    }
    Ok(outcome(state, trainer.total, interrupted))
}

/// What a run has made: its best step, or the last one where none was scored.
fn outcome<M: PeftMethod>(state: State<M>, total_steps: usize, interrupted: bool) -> Outcome<M> {
    let (best_step, trainable) = match (state.counters.best, state.best) {
        (Some((step, _)), Some(best)) => (step, best),
        _ => (state.counters.step, state.trainable.fold()),
    };
    let best = state.counters.history.iter().rfind(|evaluation| evaluation.step == best_step);
    Outcome {
        trainable,
        step: best_step,
        metrics: best.map(|evaluation| evaluation.metrics.clone()),
        last_step: state.counters.step,
        total_steps,
        history: state.counters.history,
        interrupted,
        stopped_early: !interrupted && state.counters.step < total_steps,
    }
}

/// What stays the same during a run.
pub(super) struct Trainer<'a> {
    pub(super) model: &'a dyn FrozenModel,
    /// One, or those of a joint run.
    tasks: Vec<TaskRun<'a>>,
    joint: Option<&'a Joint<'a>>,
    /// What all tasks share; what they do not is in theirs.
    config: &'a TrainConfig,
    best_metric: BestMetric,
    run: &'a RunContext,
    order: TaskOrder,
    /// Batches, or of a joint run places that have one or one of each task.
    places_per_epoch: usize,
    total: usize,
    checkpoints: Option<Checkpoints>,
    identity: Identity,
    /// The states of its rows that are kept.
    pub(super) frozen: RunStates,
    reading: Reading,
}

impl<'a> Trainer<'a> {
    /// What is to be done after the steps that were made.
    fn plan(&self, made: &Counters) -> Plan {
        Plan {
            after_step: made.step,
            total_steps: self.total,
            steps_per_epoch: self.places_per_epoch as f64 / self.config.accumulation as f64,
            best_metric: self.has_valid().then(|| self.best_metric.clone()),
            best: made.best,
        }
    }

    /// Whether there are validation rows.
    fn has_valid(&self) -> bool {
        self.tasks.iter().any(|task| !task.rows.data.valid.is_empty())
    }

    fn done<M: PeftMethod>(&self, state: &State<M>) -> bool {
        let patience = self.config.patience;
        state.counters.step >= self.total
            || patience.is_some_and(|patience| state.counters.without_improvement >= patience)
    }

    /// Makes one update; returns what there is to report, of this step or, where reading waits for the device, of the one
    /// before.
    fn step<M: PeftMethod>(
        &mut self,
        state: &mut State<M>,
        team: &Team<'a>,
        group: Option<&Group<'_>>,
    ) -> Result<Option<StepReport>> {
        let start = Instant::now();
        let (config, step) = (self.config, state.counters.step);
        let lr = config.lr_at(step, self.total, self.places_per_epoch);
        // The same dropout masks for all batches of the step.
        let mode = Mode::Train { seed: config.seed, step: step as u64 };
        let shares = self.shares(step);
        let batches = shares.iter().flat_map(|share| &share.batches);
        let tokens = batches.map(Rows::num_tokens).sum::<usize>();
        let loss_scale = state.counters.loss_scale.map(|scale| scale.factor);
        let StepGradient { loss, labelled, gradients: mut grads } =
            step_gradient(team, group, &state.trainable, &shares, (mode, step), loss_scale)?;
        let exchanged = group.map(Group::take_exchanged);
        let loss = loss.with_norm(global_norm(&grads));
        let made = |loss| {
            let step = step + 1;
            Unread { step, loss, lr, tokens, labelled, loss_scale, start, exchanged }
        };
        // With a scaled loss, only the norm tells whether there is an update.
        if self.model.reads_wait() && loss_scale.is_none() {
            if let (Some(limit), Some(norm)) = (config.clip_norm, loss.norm()) {
                clip_to_unread_norm(&mut grads, norm, limit);
            }
            self.update(state, grads, lr);
            return self.reading.late(made(loss));
        }
        // Before the update: a loss that is not finite changes nothing.
        let mut report = self.reading.now(made(loss))?;
        if let Some(scale) = &mut state.counters.loss_scale {
            scale.judge(&mut report)?;
        }
        match report.skipped {
            true => state.counters.step += 1,
            false => {
                if let (Some(limit), Some(norm)) = (config.clip_norm, report.grad_norm) {
                    clip_to_norm(&mut grads, norm, limit);
                }
                self.update(state, grads, lr);
            }
        }
        Ok(Some(self.reading.timed(report, start)))
    }

    /// Changes what is trained, if anything had a target that counts, and counts the step.
    fn update<M: PeftMethod>(&self, state: &mut State<M>, grads: Vec<Option<Tensor<1>>>, lr: f64) {
        if !grads.is_empty() {
            let values = params::values(&state.trainable);
            // The schedule is the same for all.
            let config = self.config;
            let of_head = config.head_lr.map_or(1.0, |head_lr| head_lr / config.lr);
            let lr_of = |name: &str| if is_head(name) { lr * of_head } else { lr };
            let next = state.optimizer.step_each(&values, grads, lr_of);
            state.trainable = params::replace(state.trainable.clone(), next);
        }
        state.counters.step += 1;
    }

    /// The batches of a step, by task.
    pub(super) fn shares(&mut self, step: usize) -> Vec<Share<'a>> {
        let k = self.config.accumulation;
        let mut batches: Vec<Vec<Rows<'a>>> = self.tasks.iter().map(|_| Vec::new()).collect();
        for place in step.saturating_mul(k)..(step + 1).saturating_mul(k) {
            for (task, index) in self.order.at(place) {
                let TaskRun { rows, sampler } = &mut self.tasks[task];
                batches[task].push(Rows::new(rows.data.train, sampler.batch(index)));
            }
        }
        let share = |((task, of), batches): ((usize, &TaskRun<'a>), Vec<Rows<'a>>)| Share {
            task,
            config: of.rows.config,
            weight: of.rows.weight * (batches.len() as f64 / k as f64),
            batches,
        };
        let shares = self.tasks.iter().enumerate().zip(batches);
        shares.filter(|(_, batches)| !batches.is_empty()).map(share).collect()
    }
}
