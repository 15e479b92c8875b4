//! What a method says of itself in an adapter's config.

use serde_json::{Map, Value};

use super::{peft_type::PeftType, spec::Site, virtual_tokens::PrefixPositions};

/// What a method says of itself in the config.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodFields {
    /// The method's name here: `prompt`, `prefix`, `ptv2`.
    pub method: &'static str,
    /// What is stored.
    pub peft_type: PeftType,
    /// P.
    pub num_virtual_tokens: usize,
    /// The layers that have virtual tokens, where not all have.
    pub layers: Option<Vec<usize>>,
    /// Where a prefix of an encoder-decoder goes.
    pub sites: Option<StoredSites>,
    /// Fields of PEFT that only this type has.
    pub extra: Map<String, Value>,
    /// The method's settings, as this workspace spells them.
    pub settings: Value,
}

/// Where the prefix of an encoder-decoder goes, and the rules it was trained with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSites {
    /// The attention sites, in the model's order.
    pub sites: Vec<Site>,
    /// Where positions start after a prefix.
    pub positions: PrefixPositions,
    /// Whether a relative position bias reaches over it.
    pub relative_bias: bool,
}
