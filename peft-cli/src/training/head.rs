//! The head that a run starts with.

use std::path::Path;

use peft_core::{
    Error, Head, ProblemType, Result, Task,
    data::{Example, Labels},
};

use super::{class_names::are_indices, prepared::PreparedRun};
use crate::error::in_adapter;

impl PreparedRun {
    /// The head of `--init-adapter`, otherwise the base model's own if its classes are the same,
    /// otherwise a new one; none for a task without a head.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if the adapter's head has a different number of classes.
    pub(super) fn head(&self) -> Result<Option<Head>> {
        if !self.task.has_head() {
            return Ok(None);
        }
        let model = self.base.model.as_ref();
        let (spec, layout) = (model.spec(), model.head_layout(self.task));
        let answers = self.task == Task::QuestionAns;
        let problem_type = self.config.problem_type;
        let classes = match problem_type {
            _ if answers => 2,
            // As many numbers as the rows have.
            ProblemType::Regression => {
                self.train.examples.iter().map(Example::labelled).max().unwrap_or(1)
            }
            _ => self.labels.as_ref().map_or(0, Labels::len),
        };
        let same_problem = match self.task {
            Task::SeqCls => self.base.config.problem_type()?.unwrap_or_default() == problem_type,
            _ => true,
        };
        let of_adapter = match &self.start_adapter {
            Some(adapter) => {
                let dir = self.settings.init_adapter.as_deref().unwrap_or(Path::new(""));
                adapter.head(layout, spec, &self.device).map_err(in_adapter(dir))?
            }
            None => None,
        };
        if let Some(head) = of_adapter {
            let found = head.num_classes();
            if found != classes {
                return Err(Error::Mismatch(format!(
                    "the adapter of --init-adapter has a head for {found} classes, the data has {classes}"
                )));
            }
            return Ok(Some(head));
        }
        let own = model.classifier().filter(|own| {
            own.num_classes() == classes
                && own.bias.is_some() == layout.bias
                && self.has_labels_of_base()
                && same_problem
                // Two classes of another task are not start and end of an answer.
                && answers == (self.base.config.task() == Some(Task::QuestionAns))
        });
        Ok(Some(own.cloned().unwrap_or_else(|| {
            let seed = self.settings.seed();
            Head::init(layout, classes, spec.hidden_size, seed, &self.device)
        })))
    }

    /// Whether the classes are those of the base model's own classifier, in its order.
    fn has_labels_of_base(&self) -> bool {
        self.labels.as_ref().is_none_or(|labels| {
            are_indices(labels)
                || self.base.config.labels().is_some_and(|own| own == labels.names())
        })
    }
}
