//! What a method says of itself in an adapter's config.

use serde_json::{Map, Value};

use super::{peft_type::PeftType, spec::Site, virtual_tokens::PrefixPositions};

/// What a method writes about itself to the config.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodFields {
    /// The name of the method: `prompt`, `prefix`, `ptv2`.
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
