//! The geometry of models of one stack, encoders and decoders.

use burn::tensor::DType;
use peft_core::{ModelSpec, Site, SiteSpec, Topology};

use crate::blocks::Heads;

/// The geometry of a causal or bidirectional model, which has one attention site.
pub fn spec(
    model_type: &str,
    topology: Topology,
    [hidden_size, vocab_size, num_layers, max_positions]: [usize; 4],
    heads: Heads,
    dtype: DType,
) -> ModelSpec {
    let site =
        if topology == Topology::DecoderOnly { Site::DecoderSelf } else { Site::EncoderSelf };
    ModelSpec {
        model_type: model_type.to_string(),
        topology,
        hidden_size,
        vocab_size,
        sites: vec![SiteSpec {
            site,
            num_layers,
            num_heads: heads.query,
            num_kv_heads: heads.key_value,
            head_dim: heads.size,
        }],
        max_positions: Some(max_positions),
        max_decoder_positions: None,
        dtype,
    }
}
