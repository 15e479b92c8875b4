//! Turns what was trained into what is deployed.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::trainable::Trainable;
use crate::{
    adapter::{Adapter, AdapterConfig},
    contract::{
        frozen::FrozenModel, method::PeftMethod, pooling::Pooling, problem_type::ProblemType,
        task::Task,
    },
    data::Labels,
    error::Result,
};

/// What the config of an adapter says besides its method.
#[derive(Clone, Debug)]
pub struct About {
    /// The task.
    pub task: Task,
    /// The position that an encoder's classifier reads.
    pub pooling: Pooling,
    /// What the outputs of a classifier of rows mean.
    pub problem_type: ProblemType,
    /// Names of the classes.
    pub labels: Option<Labels>,
    /// Path or name of the base model.
    pub base_model: Option<String>,
    /// Fingerprint of the base model.
    pub base_fingerprint: Option<String>,
    /// SHA-256 of all its weights.
    pub base_sha256: Option<String>,
    /// Its config, as far as outputs follow from it.
    pub base_config: Map<String, Value>,
    /// SHA-256 of its files by which texts become tokens, by name.
    pub base_tokenizer: BTreeMap<String, String>,
    /// How it was trained.
    pub recipe: Value,
    /// Its scores.
    pub metrics: Value,
}

/// Returns the adapter of a trainable: its method folded, its head under the names used by the model.
///
/// # Errors
///
/// [`Error::Mismatch`](crate::error::Error::Mismatch) for a model whose adapters cannot be stored.
pub fn adapter_of<M: PeftMethod>(
    trainable: &Trainable<M>,
    model: &dyn FrozenModel,
    about: &About,
) -> Result<Adapter> {
    let spec = model.spec();
    let folded = trainable.fold();
    let fields = folded.method.fields(spec);
    let mut config = AdapterConfig::new(fields, spec, about.task, about.pooling)?;
    config.base_model.clone_from(&about.base_model);
    config.own.problem_type = Some(about.problem_type).filter(|kind| kind.has_values());
    config.own.labels = about.labels.as_ref().map(|labels| labels.names().to_vec());
    config.own.base_fingerprint.clone_from(&about.base_fingerprint);
    config.own.base_sha256.clone_from(&about.base_sha256);
    config.own.base_config.clone_from(&about.base_config);
    config.own.base_tokenizer.clone_from(&about.base_tokenizer);
    config.own.recipe.clone_from(&about.recipe);
    config.own.metrics.clone_from(&about.metrics);
    let mut tensors = folded.method.state();
    if let Some(head) = &folded.head {
        tensors.extend(head.state(model.head_layout(about.task)));
    }
    Ok(Adapter { config, tensors })
}
