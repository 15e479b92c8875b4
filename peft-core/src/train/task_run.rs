//! One task of a run: its rows, its batches and how its loss counts. An ordinary run has one without a name.

use super::{config::TrainConfig, joint::JointTask, training_data::TrainingData};
use crate::{
    contract::{
        context_budget::ContextBudget, frozen::FrozenModel, head::Head, spec::ModelSpec,
        task::Task, virtual_tokens::VirtualTokens,
    },
    data::{Example, Labels, Sampler},
    error::{Error, Result},
    evaluate::{
        checks::{check_infix, check_lengths, check_sources, check_targets, check_task},
        positions::Positions,
        predictor::Predictor,
    },
    metrics::SQUAD_V2_SCORES,
};

/// A task of a run, before it is checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct TaskRows<'a> {
    /// Its name, in a joint run.
    pub(super) name: Option<&'a str>,
    pub(super) config: &'a TrainConfig,
    pub(super) labels: Option<&'a Labels>,
    /// How much its mean loss counts.
    pub(super) weight: f64,
    pub(super) data: TrainingData<'a>,
}

impl<'a> From<&'a JointTask<'a>> for TaskRows<'a> {
    fn from(task: &'a JointTask<'a>) -> Self {
        Self {
            name: Some(&task.name),
            config: &task.config,
            labels: task.labels.as_ref(),
            weight: task.weight,
            data: task.data,
        }
    }
}

/// A task of a run, with its batches.
#[derive(Debug)]
pub(super) struct TaskRun<'a> {
    pub(super) rows: TaskRows<'a>,
    pub(super) sampler: Sampler,
}

impl<'a> TaskRun<'a> {
    /// Checks that model, head, settings and rows fit together. `is_prompt` says that virtual tokens predict token 0.
    pub(super) fn new(
        model: &dyn FrozenModel,
        (virtual_tokens, is_prompt): (&VirtualTokens, bool),
        head: Option<&Head>,
        rows: TaskRows<'a>,
    ) -> Result<Self> {
        let checked = Self::checked(model, (virtual_tokens, is_prompt), head, rows);
        checked.map_err(|error| match (rows.name, error) {
            (Some(name), Error::Mismatch(message)) => {
                Error::Mismatch(format!("task {name}: {message}"))
            }
            (Some(name), Error::Setting { setting, message }) => {
                Error::setting(setting, format!("task {name}: {message}"))
            }
            (_, other) => other,
        })
    }

    fn checked(
        model: &dyn FrozenModel,
        (virtual_tokens, is_prompt): (&VirtualTokens, bool),
        head: Option<&Head>,
        rows: TaskRows<'a>,
    ) -> Result<Self> {
        let (config, data, spec) = (rows.config, rows.data, model.spec());
        check_task(model, head, config.task)?;
        check_infix(virtual_tokens, config.task)?;
        if virtual_tokens.infix && config.packing {
            let message = "not with an infix, which has one place in a row: a packed row has several sources and targets";
            return Err(Error::setting("packing", message));
        }
        let examples = data.train.iter().chain(data.valid);
        check_lengths(model, virtual_tokens, examples.clone())?;
        check_targets(config.task, config.problem_type, examples.clone())?;
        check_sources(virtual_tokens, examples)?;
        rows.check_best_metric()?;
        // Nothing predicts token 0 without a prompt before it.
        let num_targets =
            |row: &Example| Positions::num_targets(config.task, &[row], |_| is_prompt);
        if data.train.iter().all(|row| num_targets(row) == 0) {
            return Err(Error::Mismatch("no training row has a target to learn".into()));
        }
        let lengths = data.train.iter().map(Example::num_tokens).collect();
        let sampler = config.sampler(lengths)?;
        check_packed(spec, virtual_tokens, &sampler)?;
        Ok(Self { rows, sampler })
    }
}

impl TaskRows<'_> {
    /// The names of the scores that evaluations have.
    fn scores(&self) -> Vec<&'static str> {
        let config = self.config;
        let may_be_null = config.null_score_diff_threshold.is_some()
            || self.data.valid.iter().any(Example::is_unanswerable);
        match config.task {
            Task::QuestionAns if may_be_null => [&["loss"][..], &SQUAD_V2_SCORES[..]].concat(),
            task => Predictor::score_names(task, config.problem_type, self.labels).to_vec(),
        }
    }

    /// Checks that evaluations have the score by which the task is judged.
    fn check_best_metric(&self) -> Result<()> {
        self.check_score(&self.config.best_metric(self.labels).name)
    }

    fn check_score(&self, name: &str) -> Result<()> {
        let known = self.scores();
        if !self.data.valid.is_empty() && !known.contains(&name) {
            let message = format!("found `{name}`, expected one of {}", known.join(", "));
            return Err(Error::setting("best_metric", message));
        }
        Ok(())
    }

    /// Checks a score of all tasks of a joint run, if it is one of this task, as `ner.f1` is one of the task `ner`.
    pub(super) fn check_named(&self, score: &str) -> Result<()> {
        let own = score.split_once('.').filter(|(task, _)| self.name == Some(*task));
        own.map_or(Ok(()), |(_, name)| self.check_score(name))
    }
}

fn check_packed(spec: &ModelSpec, virtual_tokens: &VirtualTokens, sampler: &Sampler) -> Result<()> {
    match sampler.packed_rows() {
        Some((_, longest)) => ContextBudget::new(spec, virtual_tokens).check_packed(longest),
        None => Ok(()),
    }
}
