//! A prepared run, trained: by its method, on its own rows or, if it is a joint run, on those of its tasks.

use std::{sync::Arc, time::Instant};

use burn::module::Module;
use peft_core::{
    Adapter, ContextBudget, Mode, PeftMethod, Result,
    adapter::FolderLock,
    evaluate::checks::check_infix,
    metrics::Metrics,
    train::{
        self, BaseSum, Observer, Outcome, Peers, RunContext, Trainable, TrainingData, adapter_of,
    },
};

use super::{
    inputs::sum_of,
    method_builder::MethodBuilder,
    prepared::{PreparedRun, TaskRun},
    started_from::{HeadSource, StartedFrom},
};
use crate::{
    encoding::{check_lengths, check_sources},
    flags::{field_flags::as_flag, method_name::MethodName},
    model_files, output,
    settings::joint::in_task,
};

/// What a run has made.
#[derive(Debug)]
pub struct TrainedRun {
    /// What was trained, ready to be saved; of a joint run what its tasks share.
    pub adapter: Adapter,
    /// The adapter of each task of a joint run, by its name.
    pub tasks: Vec<(String, Adapter)>,
    /// The step it is from.
    pub step: usize,
    /// The last step made.
    pub last_step: usize,
    /// Whether the run ended early because the scores stopped improving.
    pub stopped_early: bool,
    /// The steps planned.
    pub total_steps: usize,
    /// Its scores on the validation rows.
    pub metrics: Option<Metrics>,
    /// The scores of the last step.
    pub last_metrics: Option<Metrics>,
    /// Whether the run was interrupted.
    pub interrupted: bool,
    /// Parameters that were trained, those of an MLP and a head included.
    pub trained_parameters: usize,
    /// Seconds that training took.
    pub seconds: f64,
    /// What it started from, if that is an adapter.
    pub started_from: Option<StartedFrom>,
}

impl TrainedRun {
    /// Parameters of the adapter, its head included; those that the adapters of several tasks share count once.
    pub fn stored_parameters(&self) -> usize {
        let shared = &self.adapter.tensors;
        let of_tasks = self.tasks.iter().flat_map(|(_, adapter)| &adapter.tensors);
        let own = of_tasks.filter(|(name, _)| !shared.contains_key(*name)).map(|(_, data)| data);
        shared.values().chain(own).map(|data| data.num_elements()).sum()
    }
}

impl PreparedRun {
    /// Trains. `out` is the run's folder, for checkpoints, held by the caller.
    ///
    /// # Errors
    ///
    /// Returns an error if the settings cannot be used, if a file cannot be written, or if the loss
    /// is no longer finite ([`NotFinite`](peft_core::Error::NotFinite)).
    pub fn train(
        &self,
        out: Option<&Arc<FolderLock>>,
        resume: bool,
        observer: &mut dyn Observer,
    ) -> Result<TrainedRun> {
        let builder = self.builder();
        match self.method {
            MethodName::Prompt => self.train_with(builder.prompt()?, out, resume, observer),
            MethodName::Prefix => self.train_with(builder.prefix()?, out, resume, observer),
            MethodName::Ptv2 => self.train_with(builder.ptv2()?, out, resume, observer),
            MethodName::Head => self.train_with(builder.head()?, out, resume, observer),
        }
    }

    /// Assists a run that the process of rank 0 leads, until that has ended.
    ///
    /// # Errors
    ///
    /// As for [`train`](Self::train); [`Error::Peer`](peft_core::Error::Peer) for an error of another process.
    pub fn assist(&self) -> Result<()> {
        let builder = self.builder();
        match self.method {
            MethodName::Prompt => self.assist_with(builder.prompt()?),
            MethodName::Prefix => self.assist_with(builder.prefix()?),
            MethodName::Ptv2 => self.assist_with(builder.ptv2()?),
            MethodName::Head => self.assist_with(builder.head()?),
        }
    }

    fn assist_with<M: PeftMethod>(&self, method: M) -> Result<()> {
        if self.is_joint() {
            return self.assist_tasks(method);
        }
        let head = self.head()?.map(|(head, _)| head);
        let run = self.context(None, false, serde_json::Value::Null)?;
        let data = TrainingData { train: &self.train.examples, valid: &self.valid.examples };
        let model = self.base.model.as_ref();
        train::assist(model, &Trainable::new(method, head), &data, &self.config, &run)
    }

    /// Checks that the method can be made, and that the rows have a place for it, before processes begin together.
    ///
    /// # Errors
    ///
    /// As for [`train`](Self::train).
    pub fn check_method(&self) -> Result<()> {
        let builder = self.builder();
        match self.method {
            MethodName::Prompt => self.check_rows(&builder.prompt()?),
            MethodName::Prefix => self.check_rows(&builder.prefix()?),
            MethodName::Ptv2 => self.check_rows(&builder.ptv2()?),
            MethodName::Head => self.check_rows(&builder.head()?),
        }
    }

    fn builder(&self) -> MethodBuilder<'_> {
        MethodBuilder {
            settings: &self.settings,
            model: self.base.model.as_ref(),
            dir: &self.dir,
            labels: self.labels.as_ref(),
            adapter: self.start_adapter.as_ref(),
            device: self.device.clone().autodiff(),
        }
    }

    fn train_with<M: PeftMethod>(
        &self,
        method: M,
        out: Option<&Arc<FolderLock>>,
        resume: bool,
        observer: &mut dyn Observer,
    ) -> Result<TrainedRun> {
        self.check_rows(&method)?;
        if self.is_joint() {
            return self.train_tasks(method, out, resume, observer);
        }
        let model = self.base.model.as_ref();
        let (head, source) = self.head()?.unzip();
        let started_from = self.started_from(source);
        let trainable = Trainable::new(method, head);
        let trained_parameters = trainable.num_params();
        let recipe = self.recipe(trained_parameters, started_from.as_ref());
        let run = self.context(out, resume, recipe)?;
        let data = TrainingData { train: &self.train.examples, valid: &self.valid.examples };
        let clock = Instant::now();
        let outcome: Outcome<M> =
            train::train(model, trainable, &data, &self.config, &run, observer)?;
        let about = run.about(&self.config, outcome.metrics.as_ref())?;
        self.note_other_weights(about.base_sha256.as_deref());
        let adapter = adapter_of(&outcome.trainable, model, &about)?;
        let seconds = clock.elapsed().as_secs_f64();
        Ok(outcome_of(outcome, adapter, started_from, trained_parameters, seconds))
    }

    /// Checks that its rows, those of each task of a joint run, fit the model beside the virtual tokens, and have a place for
    /// an infix.
    fn check_rows<M: PeftMethod>(&self, method: &M) -> Result<()> {
        let virtual_tokens = method.fold().virtual_tokens(Mode::Evaluate);
        let model = &self.base.model;
        let budget = ContextBudget::new(model.spec(), &virtual_tokens)
            .with_uncounted(model.uncounted_token());
        let of = |run: &Self| {
            [&run.train, &run.valid].into_iter().try_for_each(|rows| {
                check_infix(&virtual_tokens, run.task).map_err(as_flag)?;
                check_sources(&virtual_tokens, rows)?;
                check_lengths(budget, rows, 0)
            })
        };
        match self.is_joint() {
            true => {
                let named =
                    |task: &TaskRun| of(&task.run).map_err(|error| in_task(&task.name, error));
                self.tasks.iter().try_for_each(named)
            }
            false => of(self),
        }
    }

    /// What it remembers of the adapter that it started from, and of its head.
    pub(super) fn started_from(&self, head: Option<HeadSource>) -> Option<StartedFrom> {
        let recorded = self.recorded_start.clone();
        recorded.or_else(|| StartedFrom::of(self.start_adapter.as_ref(), head))
    }

    /// What the training loop is told beside settings and rows.
    pub(super) fn context(
        &self,
        out: Option<&Arc<FolderLock>>,
        resume: bool,
        recipe: serde_json::Value,
    ) -> Result<RunContext> {
        let room = self.frozen()?.room;
        Ok(RunContext {
            dir: out.map(|lock| lock.dir().to_path_buf()),
            lock: out.cloned(),
            resume,
            labels: self.labels.clone(),
            base_model: Some(self.base_name.clone()),
            base_fingerprint: self.base.report.fingerprint.clone(),
            base_sum: Some(self.base_sum()),
            base_files: model_files::of(self.dir.path(), &self.base),
            base_weights: self
                .settings
                .base_weights
                .filter(|format| format.is_rounded())
                .map(|format| format.to_string()),
            replicas: self.replicas.clone(),
            peers: self.member.clone().map(|member| member as Arc<dyn Peers>),
            cache_frozen: room.memory,
            cache_frozen_file: room.file,
            compute: self
                .settings
                .dtype
                .filter(|dtype| dtype.is_rounded())
                .map(|dtype| dtype.to_string()),
            recipe,
        })
    }

    /// The sum of the base model's weights, computed while training begins, once for all runs on it.
    fn base_sum(&self) -> BaseSum {
        sum_of(&self.base, &self.sum)
    }

    /// Tells if the adapter of --init-adapter was trained on weights that differ where a fingerprint does not show it.
    pub(super) fn note_other_weights(&self, now: Option<&str>) {
        // A run that goes on holds that of its checkpoint, which has its own check.
        if self.recorded_start.is_some() {
            return;
        }
        let own = self.start_adapter.as_ref().map(|adapter| &adapter.config.own);
        if own.is_some_and(|own| {
            own.base_fingerprint == self.base.report.fingerprint
                && own.base_sha256.as_deref().zip(now).is_some_and(|(then, now)| then != now)
        }) {
            output::note(
                "note: some weights of the base model are not those that the adapter of --init-adapter was trained on",
            );
        }
    }
}

/// What a run has made, from how its loop ended.
pub(super) fn outcome_of<M: PeftMethod>(
    outcome: Outcome<M>,
    adapter: Adapter,
    started_from: Option<StartedFrom>,
    trained_parameters: usize,
    seconds: f64,
) -> TrainedRun {
    TrainedRun {
        started_from,
        adapter,
        tasks: Vec::new(),
        step: outcome.step,
        last_step: outcome.last_step,
        stopped_early: outcome.stopped_early,
        last_metrics: outcome
            .history
            .last()
            .filter(|last| last.step == outcome.last_step)
            .map(|last| last.metrics.clone()),
        total_steps: outcome.total_steps,
        metrics: outcome.metrics,
        interrupted: outcome.interrupted,
        trained_parameters,
        seconds,
    }
}
