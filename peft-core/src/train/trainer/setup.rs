//! What a run is made of, checked before its first step.

use burn::tensor::DType;

use super::Trainer;
use crate::{
    contract::{
        frozen::FrozenModel,
        method::{Mode, PeftMethod},
    },
    error::{Error, Result},
    train::{
        checkpoint::Checkpoints,
        config::TrainConfig,
        identity::Identity,
        joint::Joint,
        kept_states::{KeptStates, RunStates},
        mixing::{Mixing, TaskOrder},
        reading::Reading,
        run_context::RunContext,
        task_run::{TaskRows, TaskRun},
        trainable::Trainable,
        training_data::TrainingData,
    },
};

impl<'a> Trainer<'a> {
    /// That of a run on one task. Checks everything.
    pub(in crate::train) fn of_one<M: PeftMethod>(
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
    pub(in crate::train) fn of_several<M: PeftMethod>(
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
        let reading = Reading::new(tasks.iter().map(|task| task.rows.name.map(str::to_string)));
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
            reading,
        })
    }

    /// All that the run follows from, with the weights of the base model, whether the device computes while the host goes on,
    /// and whether gradients pass through f16: what processes that make it together have to have in common.
    pub(in crate::train) fn identity_with_weights(&self) -> Result<Identity> {
        let sum = self.run.base_sha256()?;
        Ok(self.identity.clone().with_base_sum(sum.as_deref()).with_device(self.model))
    }
}
