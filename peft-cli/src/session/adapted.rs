//! A session: a loaded model with an adapter put on it.

use std::sync::Arc;

use burn::tensor::Device;
use peft_core::{
    Adapter, Error, FrozenModel, Head, Pooling, ProblemType, Result, Task, VirtualTokens,
    data::Labels, train::BaseSum,
};
use peft_models::Loaded;
use serde_json::Value;

use crate::{
    base_model,
    encoding::{adapter_labels, check_problem_type, parse_labels, stored_labels},
    model_dir::ModelDir,
    output,
    training::file_names::TASKS,
};

/// A model with its virtual tokens, ready to be used.
#[derive(Debug)]
pub struct Session {
    /// The base model; several adapters may share it.
    pub base: Arc<Loaded>,
    /// Its folder.
    pub dir: ModelDir,
    /// The adapter.
    pub adapter: Option<Adapter>,
    /// The adapter's virtual tokens, prefilled for the model.
    pub virtual_tokens: VirtualTokens,
    /// The adapter's head.
    pub head: Option<Head>,
    /// The task of the adapter, otherwise of the model.
    pub task: Option<Task>,
    /// The names of the classes.
    pub labels: Option<Labels>,
    /// Which position an encoder's classifier reads.
    pub pooling: Pooling,
    /// What the outputs of a classifier of rows mean.
    pub problem_type: ProblemType,
    /// Whether rows without a label are left out, where rows have labels.
    pub skip_unlabelled: bool,
    /// What stands in front of the source of every row, where examples do.
    pub source_prefix: Option<String>,
    /// The sum of the base model's weights, if the adapter knows what it should be.
    pub(super) base_sum: Option<BaseSum>,
}

impl Session {
    /// Puts an adapter on a loaded model.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if they do not fit.
    pub fn new(
        base: impl Into<Arc<Loaded>>,
        dir: impl Into<ModelDir>,
        adapter: Option<Adapter>,
        device: &Device,
    ) -> Result<Self> {
        let (base, dir) = (base.into(), dir.into());
        let model = base.model.as_ref();
        let spec = model.spec();
        let task = adapter.as_ref().and_then(|a| a.config.task).or(base.config.task());
        let mut virtual_tokens = VirtualTokens::none();
        let mut head = None;
        let mut pooling = pooling_of_transformers(&base, task);
        if let Some(adapter) = &adapter {
            base_model::check_surplus(adapter, dir.path())?;
            virtual_tokens = model.prefill(&adapter.virtual_tokens(spec, device)?)?;
            let layout = model.head_layout(task.unwrap_or(Task::SeqCls));
            head = adapter.head(layout, spec, device)?;
            let config = &adapter.config;
            if config.own.method.is_some() || config.peft_type.is_prompt() {
                pooling = config.own.pooling;
            }
            if let Some(task) = task.filter(|task| task.has_head() && head.is_none()) {
                if let Some(tasks) = adapter.config.own.recipe.get(TASKS).and_then(names) {
                    return Err(Error::Mismatch(format!(
                        "holds what the tasks {} share, and no head: use the adapter of one of them, such as {TASKS}/{} in \
                         this folder; --init-adapter of `peft train` starts another run from this one",
                        tasks.join(", "),
                        tasks[0]
                    )));
                }
                return Err(Error::Mismatch(format!(
                    "the adapter has no tensor `base_model.{}`: the head that its task {task} needs \
                     is missing",
                    layout.weight_name()
                )));
            }
        }
        let classes = head.as_ref().or(model.classifier()).map(Head::num_classes);
        let labels = class_names(&base, adapter.as_ref(), task, classes)?;
        let own = adapter.as_ref().map(|adapter| &adapter.config.own);
        let problem_type = match own {
            _ if task != Some(Task::SeqCls) => ProblemType::default(),
            // Ours says so where it is not one class.
            Some(own) if own.method.is_some() => own.problem_type.unwrap_or_default(),
            _ => base.config.problem_type()?.unwrap_or_default(),
        };
        let remembered = own.and_then(|own| own.recipe.get("skip_unlabelled")?.as_bool());
        let skip_unlabelled = remembered.unwrap_or_default();
        Ok(Self {
            base,
            dir,
            adapter,
            virtual_tokens,
            head,
            task,
            labels,
            pooling,
            problem_type,
            skip_unlabelled,
            source_prefix: None,
            base_sum: None,
        })
    }

    /// SHA-256 of the weights that the adapter was trained on, if it says so.
    pub(super) fn base_sha256(&self) -> Option<&str> {
        self.adapter.as_ref()?.config.own.base_sha256.as_deref()
    }

    /// Checks all weights of the base model against the sum that the adapter remembers: a fingerprint of parts of them
    /// was checked when it was opened. A thread reads them in the meantime, so the end of the work is the time to ask.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if a weight has changed.
    pub fn check_base_sum(&self) -> Result<()> {
        let Some(sum) = &self.base_sum else { return Ok(()) };
        base_model::check_sum(self.base_sha256(), sum.wait()?.as_deref(), self.dir.path())
    }

    /// With the class names of `--labels`, if they are given.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if the head has a different number of classes.
    pub fn with_labels(mut self, list: Option<&str>) -> Result<Self> {
        let Some(list) = list else { return Ok(self) };
        let labels = parse_labels(list)?;
        if let Some(classes) = self.classifier().map(Head::num_classes)
            && classes != labels.len()
        {
            let count = labels.len();
            let message = format!("found {count} labels, the head has {classes} classes");
            return Err(Error::setting("--labels", message));
        }
        let own = self.adapter.as_ref().map(adapter_labels).transpose()?.flatten();
        if let Some(own) = own.filter(|own| *own != labels)
            && own.names().iter().all(|name| labels.index(name).is_some())
        {
            let names = own.names().join(", ");
            let message =
                format!("found the classes of the adapter in another order than its own: {names}");
            return Err(Error::setting("--labels", message));
        }
        self.labels = Some(labels);
        Ok(self)
    }

    /// With the problem of `--problem-type`, if it is given.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for another task than `seq-cls`, which alone has it.
    pub fn with_problem_type(mut self, given: Option<ProblemType>) -> Result<Self> {
        if let Some(given) = given {
            check_problem_type(self.task()?)?;
            self.problem_type = given;
        }
        Ok(self)
    }

    /// Leaves rows without a label out or not, if it is given; otherwise it is as in training.
    #[must_use]
    pub fn with_skip_unlabelled(mut self, given: Option<bool>) -> Self {
        self.skip_unlabelled = given.unwrap_or(self.skip_unlabelled);
        self
    }

    /// Whether this is a prompt that PEFT made for question answering.
    pub(super) fn is_prompt_of_peft_for_spans(&self) -> bool {
        let made = |adapter: &Adapter| {
            adapter.config.own.ignores_token_types && adapter.config.peft_type.is_prompt()
        };
        self.adapter.as_ref().is_some_and(made)
    }

    /// The model.
    pub fn model(&self) -> &dyn FrozenModel {
        self.base.model.as_ref()
    }

    /// The classification head: the adapter's, otherwise the model's own.
    pub fn classifier(&self) -> Option<&Head> {
        self.head.as_ref().or(self.model().classifier())
    }

    /// The task, or an error that says how to name one.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`].
    pub fn task(&self) -> Result<Task> {
        self.task.ok_or_else(|| {
            Error::Mismatch(format!(
                "{}: neither the adapter nor `architectures` ({}) names a task: an adapter for it is needed (--adapter)",
                self.base.config.path().display(),
                self.base.config.architectures()
            ))
        })
    }
}

/// Which position the base model's own classifier reads in transformers, and with a prefix of PEFT.
fn pooling_of_transformers(base: &Loaded, task: Option<Task>) -> Pooling {
    let is_read_last = base.model.spec().is_causal() && task == Some(Task::SeqCls);
    match base.config.token_ids("pad_token_id").first().filter(|_| is_read_last) {
        Some(padding) => Pooling::LastNot(*padding),
        None => Pooling::First,
    }
}

/// The names of `classes` classes: the adapter's, otherwise the base model's.
fn class_names(
    base: &Loaded,
    adapter: Option<&Adapter>,
    task: Option<Task>,
    classes: Option<usize>,
) -> Result<Option<Labels>> {
    let mut names = adapter.and_then(|adapter| adapter.config.own.labels.clone());
    // The two outputs of a question answering head are not classes.
    if names.is_none() && task != Some(Task::QuestionAns) {
        let of_base = base.config.labels().filter(|names| Some(names.len()) == classes);
        names = of_base.filter(|names| adapter.is_none() || !are_placeholders(names));
        if let Some(fault) = base.config.labels_fault().filter(|_| classes.is_some()) {
            let config = base.config.path().display();
            output::note(format!(
                "note: {config}: key `id2label`: {fault}: its names are not used, and classes are called by number; --labels \
                 gives them names"
            ));
        }
    }
    if let (Some(names), Some(classes)) = (&names, classes)
        && names.len() != classes
    {
        let count = names.len();
        return Err(Error::Mismatch(format!(
            "the adapter names {count} labels, its head has {classes} classes"
        )));
    }
    match adapter.map(adapter_labels).transpose()?.flatten() {
        Some(labels) => Ok(Some(labels)),
        None => names.map(|names| stored_labels(names, "base model")).transpose(),
    }
}

/// Whether these are LABEL_0 and so on, which transformers writes if it knows no names.
fn are_placeholders(names: &[String]) -> bool {
    names.iter().enumerate().all(|(i, name)| *name == format!("LABEL_{i}"))
}

/// The tasks that an adapter remembers, if it is what they share.
fn names(list: &Value) -> Option<Vec<&str>> {
    let names: Option<Vec<&str>> = list.as_array()?.iter().map(Value::as_str).collect();
    names.filter(|names| !names.is_empty())
}
