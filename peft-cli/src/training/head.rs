//! The head that a run starts with.

use std::path::Path;

use peft_core::{
    Adapter, Error, Head, ProblemType, Result, Task,
    data::{Example, Labels},
};

use super::{
    class_names::are_indices,
    prepared::PreparedRun,
    started_from::{HeadSource, has_head, is_for, of_start},
};
use crate::{encoding::adapter_labels, error::in_adapter, flags::method_name::MethodName, output};

impl PreparedRun {
    /// The head of `--init-adapter` if it is for the same task and classes, otherwise the base model's own if that is,
    /// otherwise a new one; none for a task without a head. A head of the adapter that is not used is told.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if the head is all that there is to start from, and is for something else.
    pub(super) fn head(&self) -> Result<Option<(Head, HeadSource)>> {
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
        let mut unused = None;
        if let Some(adapter) = &self.start_adapter {
            let dir = self.settings.init_adapter.as_deref().unwrap_or(Path::new(""));
            let head =
                of_start(adapter, model, self.task, &self.device).map_err(in_adapter(dir))?;
            unused = self.why_another_head(adapter, head.as_ref(), classes)?;
            match head.filter(|_| unused.is_none()) {
                Some(head) => return Ok(Some((head, HeadSource::Adapter))),
                None if self.method == MethodName::Head && unused.is_some() => {
                    let why = unused.unwrap_or_default();
                    return Err(Error::Mismatch(format!(
                        "the adapter of --init-adapter is a head alone, which cannot start this run: {why}"
                    )));
                }
                None => {}
            }
        }
        let own = model.classifier().filter(|own| {
            own.num_classes() == classes
                && own.bias.is_some() == layout.bias
                && self.has_labels_of_base()
                && same_problem
                // Two classes of another task are not start and end of an answer.
                && answers == (self.base.config.task() == Some(Task::QuestionAns))
        });
        let own = own.cloned().map(|own| (own, HeadSource::Base));
        let (head, source) = own.unwrap_or_else(|| {
            let seed = self.settings.seed();
            let new = Head::init(layout, classes, spec.hidden_size, seed, &self.device);
            (new, HeadSource::New)
        });
        if let Some(why) = unused {
            let instead = match source {
                HeadSource::Base => "the head is the base model's own",
                HeadSource::Adapter | HeadSource::New => "the head starts anew",
            };
            output::note(format!(
                "note: {instead}; of the adapter of --init-adapter, only the virtual tokens are used: {why}"
            ));
        }
        Ok(Some((head, source)))
    }

    /// Why a head of the adapter to start from is not that of this run; `None` if it is, or if there is none.
    fn why_another_head(
        &self,
        adapter: &Adapter,
        head: Option<&Head>,
        classes: usize,
    ) -> Result<Option<String>> {
        if !has_head(adapter) {
            return Ok(None);
        }
        if let Some(task) = adapter.config.task.filter(|_| !is_for(adapter, self.task)) {
            return Ok(Some(format!("its head is for {task}")));
        }
        let own = &adapter.config.own;
        let problem_type = own.problem_type.unwrap_or_default();
        if own.method.is_some() && problem_type != self.config.problem_type {
            return Ok(Some(format!("its head is for {problem_type}")));
        }
        if let (Some(own), Some(labels)) = (adapter_labels(adapter)?, &self.labels)
            && own != *labels
        {
            let names = own.names().join(", ");
            return Ok(Some(format!("its head is for the classes {names}")));
        }
        let found = head.map(Head::num_classes).filter(|found| *found != classes);
        Ok(found
            .map(|found| format!("its head is for {found} classes, and the rows have {classes}")))
    }

    /// Whether the classes are those of the base model's own classifier, in its order.
    fn has_labels_of_base(&self) -> bool {
        self.labels.as_ref().is_none_or(|labels| {
            are_indices(labels)
                || self.base.config.labels().is_some_and(|own| own == labels.names())
        })
    }
}
