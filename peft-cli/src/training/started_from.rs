//! The adapter that a run started from, as its result and its adapter remember it: transfer between tasks (SPoT, Vu et al.
//! 2022, arXiv 2110.07904).

use burn::tensor::Device;
use peft_core::{Adapter, FrozenModel, Head, Result, Task, contract::layout::is_virtual};
use serde::{Deserialize, Serialize};

use super::file_names::{TASK_NAME, TASKS};

/// The key of what an adapter remembers of it.
pub const STARTED_FROM: &str = "started_from";

/// The adapter that a run started from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StartedFrom {
    /// SHA-256 of the file of its tensors.
    pub tensors_sha256: Option<String>,
    /// The task that it was trained for, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Its classes, if it names them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// Where the head is from, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadSource>,
}

impl StartedFrom {
    /// What a run remembers of the adapter that it starts from, and of its head.
    pub(super) fn of(adapter: Option<&Adapter>, head: Option<HeadSource>) -> Option<Self> {
        let adapter = adapter?;
        let config = &adapter.config;
        Some(Self {
            tensors_sha256: config.own.tensors_sha256.clone(),
            task: config.task.filter(|_| !is_shared(adapter)).map(Task::name).map(str::to_string),
            labels: config.own.labels.clone(),
            head,
        })
    }
}

/// Where the head that a run starts with is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadSource {
    /// The adapter to start from.
    Adapter,
    /// The base model's checkpoint.
    Base,
    /// Nowhere: it is drawn by the seed.
    New,
}

/// The head of an adapter to start from; `None` of one for another task, whose head reads something else.
///
/// # Errors
///
/// As for [`Adapter::head`].
pub(super) fn of_start(
    adapter: &Adapter,
    model: &dyn FrozenModel,
    task: Task,
    device: &Device,
) -> Result<Option<Head>> {
    match is_for(adapter, task) {
        true => adapter.head(model.head_layout(task), model.spec(), device),
        false => Ok(None),
    }
}

/// Whether an adapter is what the tasks of a joint run share: the task that it names is one of several.
fn is_shared(adapter: &Adapter) -> bool {
    let recipe = &adapter.config.own.recipe;
    recipe.get(TASKS).is_some() && recipe.get(TASK_NAME).is_none()
}

/// Whether an adapter holds a head beside its virtual tokens, or alone.
pub(super) fn has_head(adapter: &Adapter) -> bool {
    !adapter.tensors.keys().all(|name| is_virtual(name))
}

/// Whether an adapter is for a task, as far as it says.
pub(super) fn is_for(adapter: &Adapter, task: Task) -> bool {
    adapter.config.task.is_none_or(|of| of == task)
}
