//! Our own fields of an adapter, for which PEFT's config has no place.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::contract::{
    pooling::Pooling, problem_type::ProblemType, spec::Site, virtual_tokens::PrefixPositions,
};

/// The key of our own fields beside PEFT's. Earlier versions wrote it into `adapter_config.json`.
pub(super) const OWN: &str = "burn_peft";

/// Our own field that holds the sum of the others, and of PEFT's.
pub(super) const SUM: &str = "config_sha256";

/// The field that holds the sum of the tensors.
pub(super) const TENSORS_SUM: &str = "tensors_sha256";

/// Both sums.
pub(super) const SUMS: [&str; 2] = [SUM, TENSORS_SUM];

/// Our own fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OwnFields {
    /// The method that trained the adapter: `prompt`, `prefix`, `ptv2` or `head`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The settings of the method.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub settings: Value,
    /// The layers that have virtual tokens, if not all do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<usize>>,
    /// The attention sites of an encoder-decoder that have virtual tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sites: Option<Vec<Site>>,
    /// Where positions start after the prefix of an encoder-decoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix_positions: Option<PrefixPositions>,
    /// Whether the relative position bias covers that prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relative_bias: Option<bool>,
    /// Whether every token has type 0, whatever the rows say: what PEFT computes in question
    /// answering, and so what its adapters were trained with.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ignores_token_types: bool,
    /// The position that an encoder's classifier reads.
    #[serde(default)]
    pub pooling: Pooling,
    /// What the outputs of a classifier of rows mean, if it is not one class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem_type: Option<ProblemType>,
    /// Names of the classes, in the order of the head's rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// Fingerprint of the base model that the adapter was trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_fingerprint: Option<String>,
    /// SHA-256 of all its weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_sha256: Option<String>,
    /// Its config, as far as outputs follow from it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub base_config: Map<String, Value>,
    /// SHA-256 of its files by which texts become tokens, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub base_tokenizer: BTreeMap<String, String>,
    /// SHA-256 of `adapter_model.safetensors`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tensors_sha256: Option<String>,
    /// How it was trained.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub recipe: Value,
    /// Scores on the validation rows.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub metrics: Value,
}

fn is_false(value: &bool) -> bool {
    !value
}
