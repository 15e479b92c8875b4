//! One file a family, as short as its mathematics.

mod bert;
mod gpt2;
mod llama;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use peft_core::{FrozenModel, Head, HeadLayout, ModelSpec, Result, head::Dense};

use crate::{
    config::ModelConfig,
    weights::{LoadReport, Weights},
};

/// Model types that load, in alphabetical order.
pub const SUPPORTED: [&str; 3] = ["bert", "gpt2", "llama"];

/// Checks that the config names a family that loads.
///
/// # Errors
///
/// [`peft_core::Error::Config`] naming the families that do.
pub fn check(config: &ModelConfig) -> Result<()> {
    let found = config.model_type()?;
    if SUPPORTED.contains(&found) {
        return Ok(());
    }
    let known = SUPPORTED.join(", ");
    Err(config.bad("model_type", format!("found {found:?}, this version supports {known}")))
}

/// Loads the family that the config names.
///
/// # Errors
///
/// [`peft_core::Error::Config`] for an unknown family or a setting that is not implemented,
/// [`peft_core::Error::Tensor`] for a missing, misshapen or surplus tensor.
pub fn load(config: &ModelConfig, weights: Weights) -> Result<(Box<dyn FrozenModel>, LoadReport)> {
    check(config)?;
    match config.model_type()? {
        "bert" => bert::Bert::load(config, weights),
        "gpt2" => gpt2::Gpt2::load(config, weights),
        _ => llama::Llama::load(config, weights),
    }
}

/// Tensors of heads, which a checkpoint made for a task that does not need them may hold.
fn is_other_head(name: &str) -> bool {
    ["classifier.", "score.", "qa_outputs."].iter().any(|head| name.starts_with(head))
}

/// The classifier that a checkpoint may hold, with a bias where the file has one; where the `layout` has
/// a bias, the file must.
fn load_head(
    weights: &mut Weights,
    layout: HeadLayout,
    hidden_size: usize,
) -> Result<Option<Head>> {
    use burn::module::Param;
    let [key, rest @ ..] = &layout.names()[..] else { return Ok(None) };
    let Some(shape) = weights.shape(key) else { return Ok(None) };
    let [classes, _] = shape[..] else {
        return Err(weights.bad(key, &format!("has the shape {shape:?}, a head has two sizes")));
    };
    if classes == 0 {
        return Err(weights.bad(key, "is a head for no classes"));
    }
    let Some(weight) = weights.take_optional(key, [classes, hidden_size])? else {
        return Ok(None);
    };
    let bias = match rest.first() {
        Some(key) => Some(weights.take(key, [classes])?),
        None => weights.take_optional(&format!("{}.bias", layout.name), [classes])?,
    };
    let dense = match rest {
        [_, weight, bias] => Some(Dense {
            weight: Param::from_tensor(weights.take(weight, [hidden_size, hidden_size])?),
            bias: Param::from_tensor(weights.take(bias, [hidden_size])?),
        }),
        _ => None,
    };
    Ok(Some(Head { dense, weight: Param::from_tensor(weight), bias: bias.map(Param::from_tensor) }))
}

/// A causal or bidirectional model with one attention site.
fn single_stack_spec(
    model_type: &str,
    topology: peft_core::Topology,
    [hidden_size, vocab_size, num_layers, max_positions]: [usize; 4],
    heads: crate::blocks::Heads,
    dtype: burn::tensor::DType,
) -> ModelSpec {
    use peft_core::{Site, SiteSpec, Topology};
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
