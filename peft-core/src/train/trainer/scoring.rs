//! The scores of what is trained on the validation rows.

use std::{cell::RefCell, ops::ControlFlow};

use super::Trainer;
use crate::{
    contract::{
        method::{Mode, PeftMethod},
        virtual_tokens::VirtualTokens,
    },
    error::{Error, Result},
    evaluate::{Assessment, predictor::Predictor, rows::RowsRead},
    train::{observer::Observer, state::State, task_run::TaskRows, trainable::Trainable},
};

impl Trainer<'_> {
    /// Scores the validation rows of all tasks.
    pub(super) fn evaluate<M: PeftMethod>(
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
}
