//! The training loop.

use std::{cell::RefCell, ops::ControlFlow, time::Instant};

use super::{
    batch_loss::Rows,
    checkpoint::Checkpoints,
    config::TrainConfig,
    export::adapter_of,
    gradient::{StepGradient, step_gradient},
    identity::Identity,
    kept_states::KeptStates,
    longer,
    observer::{Flow, Observer, Plan, StepReport},
    run_context::RunContext,
    snapshot::{Counters, Evaluation},
    state::State,
    trainable::Trainable,
    training_data::TrainingData,
};
use crate::{
    adapter::FolderLock,
    contract::{
        context_budget::ContextBudget,
        frozen::FrozenModel,
        method::{Mode, PeftMethod},
        params,
        task::Task,
    },
    data::{Example, Sampler},
    error::{Error, Result},
    evaluate::{
        checks::{check_lengths, check_targets, check_task},
        frozen_states::FrozenStates,
        positions::Positions,
        predictor::Predictor,
        rows::RowsRead,
    },
    metrics::{Metrics, SQUAD_V2_SCORES},
    optim::{clip_global_norm, global_norm},
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
/// do not fit together; [`Error::OtherRun`] if a run is resumed with other settings than more steps,
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
    let mut trainer = Trainer::new(model, &trainable, data, config, run)?;
    let own_lock = match (&run.dir, &run.lock) {
        (Some(dir), None) => Some(FolderLock::new(dir)?),
        _ => None,
    };
    if let Some(warning) = own_lock.as_ref().and_then(FolderLock::warning) {
        observer.note(&warning);
    }
    let mut state = State::new(trainable, config.optimizer);
    if run.resume {
        trainer.resume(&mut state, observer)?;
    }
    observer.started(&trainer.plan(&state.counters))?;
    if !run.resume {
        trainer.refuse_old_checkpoints()?;
    }
    let mut interrupted = false;
    while !trainer.done(&state) && !interrupted {
        let report = trainer.step(&mut state)?;
        let stop = observer.step(&report) == Flow::Stop;
        let step = state.counters.step;
        let due = |every: Option<usize>| every.is_some_and(|every| step.is_multiple_of(every));
        if !data.valid.is_empty() && (due(config.eval_every) || step == trainer.total) {
            trainer.evaluate(&mut state, observer)?;
        }
        let done = trainer.done(&state);
        interrupted = stop && !done;
        let last = done && config.checkpoint_every.is_some();
        if interrupted || last || due(config.checkpoint_every) {
            trainer.save(&state, observer)?;
        }
    }
    state.check_finite()?;
    let total_steps = trainer.total;
    let stopped_early = !interrupted && state.counters.step < total_steps;
    let (best_step, trainable) = match (state.counters.best, state.best) {
        (Some((step, _)), Some(best)) => (step, best),
        _ => (state.counters.step, state.trainable.fold()),
    };
    let best = state.counters.history.iter().rfind(|evaluation| evaluation.step == best_step);
    Ok(Outcome {
        trainable,
        step: best_step,
        metrics: best.map(|evaluation| evaluation.metrics.clone()),
        last_step: state.counters.step,
        total_steps,
        history: state.counters.history,
        interrupted,
        stopped_early,
    })
}

/// What stays the same during a run.
struct Trainer<'a> {
    model: &'a dyn FrozenModel,
    data: &'a TrainingData<'a>,
    config: &'a TrainConfig,
    run: &'a RunContext,
    sampler: Sampler,
    total: usize,
    checkpoints: Option<Checkpoints>,
    identity: Identity,
    /// Of the training rows and of the validation rows.
    frozen: [FrozenStates; 2],
}

impl<'a> Trainer<'a> {
    fn new<M: PeftMethod>(
        model: &'a dyn FrozenModel,
        trainable: &Trainable<M>,
        data: &'a TrainingData<'a>,
        config: &'a TrainConfig,
        run: &'a RunContext,
    ) -> Result<Self> {
        config.validate()?;
        check_task(model, trainable.head.as_ref(), config.task)?;
        let fields = trainable.method.fields(model.spec());
        let examples = data.train.iter().chain(data.valid);
        let virtual_tokens = trainable.method.fold().virtual_tokens(Mode::Evaluate);
        check_lengths(model.spec(), &virtual_tokens, examples.clone())?;
        check_targets(config.task, config.problem_type, examples)?;
        let may_be_null = config.null_score_diff_threshold.is_some()
            || data.valid.iter().any(Example::is_unanswerable);
        let known = match config.task {
            Task::QuestionAns if may_be_null => [&["loss"][..], &SQUAD_V2_SCORES[..]].concat(),
            task => Predictor::score_names(task, config.problem_type, run.labels.as_ref()).to_vec(),
        };
        let best = config.best_metric(run.labels.as_ref()).name;
        if !data.valid.is_empty() && !known.contains(&best.as_str()) {
            let message = format!("found `{best}`, expected one of {}", known.join(", "));
            return Err(Error::setting("best_metric", message));
        }
        if data.valid.is_empty() && config.patience.is_some() {
            return Err(Error::setting("patience", "needs validation rows"));
        }
        // Nothing predicts token 0 without a prompt before it.
        let prompt = fields.peft_type.is_prompt() && model.spec().is_causal();
        let num_targets = |row: &Example| Positions::num_targets(config.task, &[row], |_| prompt);
        if data.train.iter().all(|row| num_targets(row) == 0) {
            return Err(Error::Mismatch("no training row has a target to learn".into()));
        }
        let lengths = data.train.iter().map(Example::num_tokens).collect();
        let sampler = config.sampler(lengths)?;
        if let Some((_, longest)) = sampler.packed_rows() {
            ContextBudget::new(model.spec(), &virtual_tokens).check_packed(longest)?;
        }
        let total = config.total_steps(sampler.batches_per_epoch());
        if config.warmup_steps >= total {
            let message = format!("found {}, the run has {total} steps", config.warmup_steps);
            return Err(Error::setting("warmup_steps", message));
        }
        let checkpoints =
            run.dir.as_deref().map(|dir| Checkpoints::new(dir, config.keep_checkpoints));
        let identity = Identity::new(config, &fields, run, data);
        let batches = sampler.batches_per_epoch();
        let kept = KeptStates::of(run.cache_frozen, model.spec(), config, batches, data);
        let frozen = [kept.train, kept.valid].map(FrozenStates::new);
        Ok(Self { model, data, config, run, sampler, total, checkpoints, identity, frozen })
    }

    /// What is to be done after the steps that were made.
    fn plan(&self, made: &Counters) -> Plan {
        let batches = self.sampler.batches_per_epoch();
        let best = || self.config.best_metric(self.run.labels.as_ref());
        Plan {
            after_step: made.step,
            total_steps: self.total,
            steps_per_epoch: batches as f64 / self.config.accumulation as f64,
            best_metric: (!self.data.valid.is_empty()).then(best),
            best: made.best,
        }
    }

    fn done<M: PeftMethod>(&self, state: &State<M>) -> bool {
        let patience = self.config.patience;
        state.counters.step >= self.total
            || patience.is_some_and(|patience| state.counters.without_improvement >= patience)
    }

    /// A resumed run would take them for its own. The caller had the chance to remove them.
    fn refuse_old_checkpoints(&self) -> Result<()> {
        let Some(checkpoints) = &self.checkpoints else { return Ok(()) };
        match checkpoints.list()?.first() {
            None => Ok(()),
            Some((_, path)) => Err(Error::OldCheckpoint { path: path.clone() }),
        }
    }

    /// Continues from the newest complete checkpoint, if there is one.
    fn resume<M: PeftMethod>(
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
                if self.total > then {
                    observer.note(&longer::note(self.config, (then, self.total), &stored.counters));
                }
                state.restore(stored, self.model, self.config.task, &path)?;
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
        earlier.total_steps(self.sampler.batches_per_epoch())
    }

    /// Makes one update.
    fn step<M: PeftMethod>(&mut self, state: &mut State<M>) -> Result<StepReport> {
        let start = Instant::now();
        let (config, step) = (self.config, state.counters.step);
        let lr = config.lr_at(step, self.total, self.sampler.batches_per_epoch());
        // The same dropout masks for all batches of the step.
        let mode = Mode::Train { seed: config.seed, step: step as u64 };
        let k = config.accumulation;
        let batches: Vec<Rows<'_>> = (step.saturating_mul(k)..(step + 1).saturating_mul(k))
            .map(|index| Rows::new(self.data.train, self.sampler.batch(index)))
            .collect();
        let tokens = batches.iter().map(Rows::num_tokens).sum::<usize>();
        let StepGradient { loss, labelled, gradients: mut grads } =
            step_gradient(self.model, &self.frozen[0], config, &state.trainable, &batches, mode)?;
        if !loss.is_finite() {
            return Err(Error::NotFinite { step: step + 1, loss });
        }

        let grad_norm = match config.clip_norm {
            Some(limit) => clip_global_norm(&mut grads, limit),
            None => global_norm(&grads),
        };
        if !grads.is_empty() {
            let values = params::values(&state.trainable);
            // The schedule is the same for all.
            let of_head = config.head_lr.map_or(1.0, |head_lr| head_lr / config.lr);
            let lr_of = |name: &str| if is_head(name) { lr * of_head } else { lr };
            let next = state.optimizer.step_each(&values, grads, lr_of);
            state.trainable = params::replace(state.trainable.clone(), next);
        }
        state.counters.step += 1;
        Ok(StepReport {
            step: state.counters.step,
            loss,
            lr,
            tokens,
            tokens_per_second: tokens as f64 / start.elapsed().as_secs_f64().max(1e-9),
            labelled,
            grad_norm: Some(grad_norm),
        })
    }

    fn evaluate<M: PeftMethod>(
        &self,
        state: &mut State<M>,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let config = self.config;
        let folded = state.trainable.fold();
        let virtual_tokens = folded.method.virtual_tokens(Mode::Evaluate);
        let step = state.counters.step;
        let told = RefCell::new(observer);
        let tell = |rows, of| {
            told.borrow_mut().evaluating(step, rows, of);
            ControlFlow::Continue(())
        };
        let found = Predictor::new(self.model, &virtual_tokens, folded.head.as_ref(), config.task)?
            .with_pooling(config.pooling)
            .with_problem_type(config.problem_type)
            .with_padding(config.padding)
            .with_batch_size(config.batch_size)
            .with_max_answer_length(config.max_answer_length)
            .with_null_score_diff_threshold(config.null_score_diff_threshold)
            .with_frozen_states(&self.frozen[1])
            .with_watch(RowsRead(&tell))
            .assess(self.data.valid, self.run.labels.as_ref())
            .map_err(|error| match error {
                // As where the loss of training rows shows it first.
                Error::ScoreNotFinite { found, .. } => {
                    Error::NotFinite { step, loss: f64::from(found) }
                }
                other => other,
            })?;
        let by = config.best_metric(self.run.labels.as_ref());
        let is_best = state.evaluated(found.metrics.clone(), &by)?;
        told.into_inner().evaluated(step, &found, is_best);
        Ok(())
    }

    fn save<M: PeftMethod>(&self, state: &State<M>, observer: &mut dyn Observer) -> Result<()> {
        let Some(checkpoints) = &self.checkpoints else { return Ok(()) };
        state.check_finite()?;
        let last = state.counters.history.last();
        let current = last.filter(|evaluation| evaluation.step == state.counters.step);
        let about = self.run.about(self.config, current.map(|evaluation| &evaluation.metrics))?;
        let adapter = adapter_of(&state.trainable, self.model, &about)?;
        let identity = self.identity.clone().with_base_sum(about.base_sha256.as_deref());
        let path =
            checkpoints.save(&state.store(self.model, self.config.task, identity), &adapter)?;
        observer.saved(&path);
        Ok(())
    }
}

/// Whether a parameter of a [`Trainable`] is one of its head's.
fn is_head(name: &str) -> bool {
    name.starts_with("head.")
}
