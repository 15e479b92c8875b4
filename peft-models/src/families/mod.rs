//! One file a family, as short as its mathematics.

mod bart;
mod bert;
mod encoder_decoder;
mod gpt2;
mod llama;
mod roberta;
mod t5;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use peft_core::{Error, FrozenModel, Head, HeadLayout, ModelSpec, NamedTensors, Result, Task, contract::head::Dense};

use crate::{
    blocks::{Linear, Matrix, Part},
    config::ModelConfig,
    options::LoadOptions,
    weights::{LoadReport, Weights},
};

/// Model types that load, in alphabetical order.
pub const SUPPORTED: [&str; 12] = [
    "bart",
    "bert",
    "camembert",
    "gpt2",
    "llama",
    "mistral",
    "mt5",
    "qwen2",
    "qwen3",
    "roberta",
    "t5",
    "xlm-roberta",
];

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
pub fn load(
    config: &ModelConfig,
    weights: Weights,
    options: LoadOptions,
) -> Result<(Box<dyn FrozenModel>, LoadReport)> {
    check(config)?;
    match config.model_type()? {
        "bart" => bart::load(config, weights, options),
        "bert" => bert::load(config, weights, options),
        "camembert" | "roberta" | "xlm-roberta" => roberta::load(config, weights, options),
        "gpt2" => gpt2::Gpt2::load(config, weights, options),
        "mt5" | "t5" => t5::load(config, weights, options),
        _ => llama::Llama::load(config, weights, options),
    }
}

/// Tensors of heads, which a checkpoint made for a task that does not need them may hold.
fn is_other_head(name: &str) -> bool {
    ["classification_head.", "classifier.", "score.", "qa_outputs."]
        .iter()
        .any(|head| name.starts_with(head))
}

/// All weights of a model, under the names of its parts.
fn all_tensors(model: &impl Part) -> NamedTensors {
    let mut all = NamedTensors::new();
    model.collect("", &mut all);
    all
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
    if layout.name == "qa_outputs" && classes != 2 {
        let message = format!("is a head of {classes} rows, answers have a start and an end");
        return Err(weights.bad(key, &message));
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

/// The language-model head `[V, H]` of a decoder: one of its own, which wins over what the config says
/// of tying, else the embedding. A checkpoint without a language model has none.
fn load_lm_head(
    weights: &mut Weights,
    config: &ModelConfig,
    word: &Matrix,
    tied_by_default: bool,
) -> Result<Option<Linear>> {
    let [vocab, h] = word.dims();
    let is_other = match config.task() {
        Some(task) => task != Task::CausalLm,
        None => config.has("architectures"),
    };
    if weights.shape("lm_head.weight").is_some() {
        Linear::load(weights, "lm_head", [h, vocab], false).map(Some)
    } else if config.flag("tie_word_embeddings", tied_by_default)? {
        Ok(Some(Linear::tied(word.clone())))
    } else if is_other {
        Ok(None)
    } else {
        Linear::load(weights, "lm_head", [h, vocab], false).map(Some)
    }
}

/// The head of a checkpoint that must have one.
fn lm_head<'a>(head: &'a Option<Linear>, spec: &ModelSpec) -> Result<&'a Linear> {
    head.as_ref().ok_or_else(|| {
        Error::Mismatch(format!("this {} checkpoint has no language-model head", spec.model_type))
    })
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
