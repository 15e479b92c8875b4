//! What a method says of itself in an adapter's config.

use serde_json::{Map, Value};

use super::{peft_type::PeftType, spec::Site, virtual_tokens::PrefixPositions};

/// What a method writes about itself to the config.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodFields {
    /// The name of the method: `prompt`, `prefix`, `ptv2` or `head`.
    pub method: &'static str,
    /// What is stored.
    pub peft_type: PeftType,
    /// The number of virtual tokens, P.
    pub num_virtual_tokens: usize,
    /// The layers that have virtual tokens, if not all do.
    pub layers: Option<Vec<usize>>,
    /// Where a prefix of an encoder-decoder goes.
    pub sites: Option<StoredSites>,
    /// PEFT's fields that only this type has.
    pub extra: Map<String, Value>,
    /// The settings of the method, as this workspace spells them.
    pub settings: Value,
}

/// Where the prefix of an encoder-decoder goes, and the conventions it was trained with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSites {
    /// The attention sites, in the model's order.
    pub sites: Vec<Site>,
    /// Where positions start after a prefix.
    pub positions: PrefixPositions,
    /// Whether the relative position bias covers the prefix.
    pub relative_bias: bool,
}

/// The fields that PEFT expects of prompt tuning alone.
///
/// `prompt_tuning_init` is `RANDOM` whatever the prompt started from: with any other value PEFT
/// wants a tokenizer, even to load the adapter.
pub fn prompt_tuning_fields() -> Map<String, Value> {
    Map::from_iter([
        ("prompt_tuning_init".to_string(), Value::from("RANDOM")),
        ("prompt_tuning_init_text".to_string(), Value::Null),
        ("tokenizer_name_or_path".to_string(), Value::Null),
        ("tokenizer_kwargs".to_string(), Value::Null),
    ])
}
