//! The training loop.

use std::{cell::RefCell, ops::ControlFlow, thread, time::Instant};

use burn::tensor::{DType, Tensor};

use super::{
    batch_loss::Rows,
    checkpoint::Checkpoints,
    config::{BestMetric, TrainConfig},
    export::adapter_of,
    gradient::{StepGradient, step_gradient},
    group::Group,
    identity::Identity,
    joint::Joint,
    kept_states::{KeptStates, RunStates},
    longer,
    loss_scale::LossScale,
    mixing::{Mixing, TaskOrder},
    observer::{Flow, Observer, Plan, StepReport},
    run_context::RunContext,
    snapshot::{Counters, Evaluation},
    state::State,
    step_slices::Share,
    task_run::{TaskRows, TaskRun},
    team::Team,
    trainable::{Trainable, is_head},
    training_data::TrainingData,
    unread::{Timer, Unread},
};
use crate::{
    adapter::FolderLock,
    contract::{
        frozen::FrozenModel,
        method::{Mode, PeftMethod},
        params,
        task::Task,
        virtual_tokens::VirtualTokens,
    },
    error::{Error, Result},
    evaluate::{Assessment, predictor::Predictor, rows::RowsRead},
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
    let own_lock = match (&run.dir, &run.lock) {
        (Some(dir), None) => Some(FolderLock::new(dir)?),
        _ => None,
    };
    if let Some(warning) = own_lock.as_ref().and_then(FolderLock::warning) {
        observer.note(&warning);
    }
    let optimizer = Optimizer::new(config.optimizer);
    let optimizer = if trainer.model.reads_wait() { optimizer } else { optimizer.on_host() };
    let mut state = State::new(trainable, optimizer);
    if run.resume {
        trainer.resume(&mut state, observer)?;
    }
    let scales = trainer.model.scales_loss();
    let known = state.counters.loss_scale.filter(|_| scales);
    state.counters.loss_scale = known.or(scales.then(LossScale::default));
    observer.started(&trainer.plan(&state.counters))?;
    if !run.resume {
        trainer.refuse_old_checkpoints()?;
    }
    let mut interrupted = false;
    while !trainer.done(&state) && !interrupted {
        let made = trainer.step(&mut state, team, group);
        if scales && matches!(made, Err(Error::NotFinite { loss, .. }) if !loss.is_finite()) {
            observer.note(
                "the model multiplies in f16, whose largest number is 65504: in bf16, which has the range of f32, the loss \
                 may stay finite",
            );
        }
        let mut stop = false;
        let mut tell = |report: Option<StepReport>| {
            stop |= report.is_some_and(|report| observer.step(&report) == Flow::Stop);
            stop
        };
        if made.as_ref().is_err_and(|error| !matches!(error, Error::NotFinite { .. })) {
            // Nobody has read the step before yet: if its loss is not finite, that comes first.
            match trainer.read_late() {
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
            tell(trainer.read_late()?);
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
    if let Some(scale) = state.counters.loss_scale.filter(|scale| scale.skipped > 0) {
        observer.note(&format!(
            "{} of {} steps changed nothing: a gradient of the scaled loss was too large for f16, and the scale, now {}, was \
             halved",
            scale.skipped, state.counters.step, scale.factor
        ));
    }
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
    /// The last step, where steps are read one step late.
    unread: Option<Unread>,
    timer: Timer,
}

impl<'a> Trainer<'a> {
    /// That of a run on one task. Checks everything.
    pub(super) fn of_one<M: PeftMethod>(
        model: &'a dyn FrozenModel,
        trainable: &Trainable<M>,
        data: &TrainingData<'a>,
        config: &'a TrainConfig,
        run: &'a RunContext,
    ) -> Result<Self> {
        config.validate()?;
        let labels = run.labels.as_ref();
        let task = TaskRows { name: None, config, labels, weight: 1.0, data: *data };
        Self::new(model, trainable, &[task], None, run)
    }

    /// That of a joint run. Checks everything.
    pub(super) fn of_several<M: PeftMethod>(
        model: &'a dyn FrozenModel,
        trainable: &Trainable<M>,
        joint: &'a Joint<'a>,
        run: &'a RunContext,
    ) -> Result<Self> {
        joint.check()?;
        joint.tasks.iter().try_for_each(|task| task.config.validate())?;
        let tasks: Vec<TaskRows<'_>> = joint.tasks.iter().map(TaskRows::from).collect();
        Self::new(model, trainable, &tasks, Some(joint), run)
    }

    /// Checks everything. There is at least one task.
    fn new<M: PeftMethod>(
        model: &'a dyn FrozenModel,
        trainable: &Trainable<M>,
        tasks: &[TaskRows<'a>],
        joint: Option<&'a Joint<'a>>,
        run: &'a RunContext,
    ) -> Result<Self> {
        let fields = trainable.method.fields(model.spec());
        let virtual_tokens = trainable.method.fold().virtual_tokens(Mode::Evaluate);
        let is_prompt = fields.peft_type.is_prompt() && model.spec().is_causal();
        let heads: Vec<_> = trainable.heads().collect();
        if heads.len() != tasks.len() {
            let message = format!("found {} heads for {} tasks", heads.len(), tasks.len());
            return Err(Error::Mismatch(message));
        }
        let tasks = tasks
            .iter()
            .zip(heads)
            .map(|(rows, head)| TaskRun::new(model, (&virtual_tokens, is_prompt), head, *rows))
            .collect::<Result<Vec<_>>>()?;
        let first = &tasks[0].rows;
        let config = first.config;
        let best_metric = match joint {
            Some(joint) => joint.best_metric()?,
            None => config.best_metric(first.labels),
        };
        if tasks.iter().all(|task| task.rows.data.valid.is_empty()) && config.patience.is_some() {
            return Err(Error::setting("patience", "needs validation rows"));
        }
        let rows: Vec<usize> = tasks.iter().map(|task| task.rows.data.train.len()).collect();
        for task in &tasks {
            task.rows.check_named(&best_metric.name)?;
        }
        let mixing = joint.map_or(Mixing::All, |joint| joint.mixing);
        let order = TaskOrder::new(mixing, config.seed, &rows);
        let batches: Vec<usize> =
            tasks.iter().map(|task| task.sampler.batches_per_epoch()).collect();
        let places_per_epoch = mixing.places_per_epoch(&batches);
        let total = config.total_steps(places_per_epoch);
        if config.warmup_steps >= total {
            let message = format!("found {}, the run has {total} steps", config.warmup_steps);
            return Err(Error::setting("warmup_steps", message));
        }
        if run.peers.is_some() && !run.replicas.is_empty() {
            let message =
                "not used where several processes make the run, each of them on one device";
            return Err(Error::setting("replicas", message));
        }
        // What travels is in f32.
        if run.peers.is_some() && model.spec().dtype == DType::F64 {
            let message = "several processes make a run in f32 or fewer bits, found a model in f64";
            return Err(Error::Mismatch(message.into()));
        }
        let checkpoints =
            run.dir.as_deref().map(|dir| Checkpoints::new(dir, config.keep_checkpoints));
        let identity = Identity::new(config, &fields, run, &first.data);
        let identity = match joint {
            Some(joint) => identity.of_joint(joint),
            None => identity,
        };
        let data: Vec<TrainingData<'_>> = tasks.iter().map(|task| task.rows.data).collect();
        let room = run.room_for_states();
        let kept = KeptStates::of(room, model.spec(), config, (mixing, &batches), &data);
        let frozen = RunStates::new(kept, run);
        Ok(Self {
            model,
            tasks,
            joint,
            config,
            best_metric,
            run,
            order,
            places_per_epoch,
            total,
            checkpoints,
            identity,
            frozen,
            unread: None,
            timer: Timer::default(),
        })
    }

    /// All that the run follows from, with the weights of the base model, whether the device computes while the host goes on,
    /// and whether gradients pass through f16: what processes that make it together have to have in common.
    pub(super) fn identity_with_weights(&self) -> Result<Identity> {
        let sum = self.run.base_sha256()?;
        Ok(self.identity.clone().with_base_sum(sum.as_deref()).with_device(self.model))
    }

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

    /// The task of each head.
    fn kinds(&self) -> Vec<Task> {
        self.tasks.iter().map(|task| task.rows.config.task).collect()
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
            let before = self.unread.replace(made(loss));
            return before.map(|before| self.report(before)).transpose();
        }
        let made = made(loss);
        // Before the update: a loss that is not finite changes nothing.
        let mut report = made.read(|task| self.name(task))?;
        if let Some(scale) = &mut state.counters.loss_scale {
            report.skipped = !report.grad_norm.is_none_or(f64::is_finite);
            scale.count(!report.skipped);
            if scale.is_exhausted() {
                return Err(Error::NotFinite { step: step + 1, loss: report.loss });
            }
            if report.skipped {
                report.grad_norm = None;
                state.counters.step += 1;
                return Ok(Some(self.timer.timed(report, start)));
            }
        }
        if let (Some(limit), Some(norm)) = (config.clip_norm, report.grad_norm) {
            clip_to_norm(&mut grads, norm, limit);
        }
        self.update(state, grads, lr);
        Ok(Some(self.timer.timed(report, start)))
    }

    /// What there is to report of the last step, if that was not read yet.
    fn read_late(&mut self) -> Result<Option<StepReport>> {
        let last = self.unread.take();
        last.map(|last| self.report(last)).transpose()
    }

    /// Reads a step.
    fn report(&mut self, made: Unread) -> Result<StepReport> {
        let start = made.start;
        let report = made.read(|task| self.name(task))?;
        Ok(self.timer.timed(report, start))
    }

    /// The name of a task of a joint run.
    fn name(&self, task: usize) -> Option<String> {
        Some(self.tasks[task].rows.name?.to_string())
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

    fn evaluate<M: PeftMethod>(
        &self,
        state: &mut State<M>,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let folded = state.trainable.fold();
        let virtual_tokens = folded.method.virtual_tokens(Mode::Evaluate);
        let step = state.counters.step;
        let found = match self.joint {
            None => self.assess((&folded, &virtual_tokens), 0, step, observer)?,
            Some(joint) => {
                let mut of_tasks = Vec::with_capacity(self.tasks.len());
                for (index, task) in self.tasks.iter().enumerate() {
                    of_tasks.push(match task.rows.data.valid.is_empty() {
                        true => None,
                        false => Some(
                            self.assess((&folded, &virtual_tokens), index, step, observer)?.metrics,
                        ),
                    });
                }
                let metrics = joint.scores_of_all(&of_tasks)?;
                Assessment { metrics, constant: None, report: None, predictions: Vec::new() }
            }
        };
        let is_best = state.evaluated(found.metrics.clone(), &self.best_metric)?;
        observer.evaluated(step, &found, is_best);
        Ok(())
    }

    /// Scores the validation rows of a task.
    fn assess<M: PeftMethod>(
        &self,
        (folded, virtual_tokens): (&Trainable<M>, &VirtualTokens),
        index: usize,
        step: usize,
        observer: &mut dyn Observer,
    ) -> Result<Assessment> {
        let TaskRows { config, labels, data, .. } = self.tasks[index].rows;
        let told = RefCell::new(observer);
        let tell = |rows, of| {
            told.borrow_mut().evaluating(step, rows, of);
            ControlFlow::Continue(())
        };
        let head = folded.heads().nth(index).flatten();
        Predictor::new(self.model, virtual_tokens, head, config.task)?
            .with_pooling(config.pooling)
            .with_problem_type(config.problem_type)
            .with_padding(config.padding)
            .with_batch_size(config.batch_size)
            .with_max_answer_length(config.max_answer_length)
            .with_null_score_diff_threshold(config.null_score_diff_threshold)
            .with_frozen_states(&self.frozen.valid)
            .with_watch(RowsRead(&tell))
            .assess(data.valid, labels)
            .map_err(|error| match error {
                // As where the loss of training rows shows it first.
                Error::ScoreNotFinite { found, .. } => {
                    Error::NotFinite { step, loss: f64::from(found) }
                }
                other => other,
            })
    }

    fn save<M: PeftMethod>(&self, state: &State<M>, observer: &mut dyn Observer) -> Result<()> {
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
        let path = match checkpoints.save(&stored, &adapter) {
            // The states of frozen layers can be computed again.
            Err(error) if self.frozen.give_way(&error) => checkpoints.save(&stored, &adapter)?,
            saved => saved?,
        };
        observer.saved(&path);
        Ok(())
    }
}
