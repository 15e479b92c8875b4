//! How the members of the Llama family differ, and where their configs say so.
//!
//! | | biases of q, k, v | bias of o | norms of q, k | window |
//! |---|---|---|---|---|
//! | llama | `attention_bias` | `attention_bias` | no | none |
//! | mistral | no | no | no | all layers |
//! | qwen2 | yes | no | no | chosen layers |
//! | qwen3 | `attention_bias` | `attention_bias` | yes | chosen layers |

use peft_core::{Result, Task};
use serde_json::json;

use crate::{
    blocks::{Activation, Heads},
    class_defaults::{flag, layers, number, refuse_null, size},
    config::ModelConfig,
};

/// `sliding_window` and `max_window_layers` of configs without them.
const WINDOW: usize = 4096;
const FULL_LAYERS: usize = 28;

/// The names in `layer_types`.
const FULL: &str = "full_attention";
const SLIDING: &str = "sliding_attention";
/// What early versions of transformers called [`FULL`].
const FULL_BEFORE: &str = "attention";

/// The members of the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    Llama,
    Mistral,
    Qwen2,
    Qwen3,
}

impl Member {
    fn read(config: &ModelConfig) -> Result<Self> {
        match config.model_type()? {
            "llama" => Ok(Self::Llama),
            "mistral" => Ok(Self::Mistral),
            "qwen2" => Ok(Self::Qwen2),
            "qwen3" => Ok(Self::Qwen3),
            other => Err(config.error("model_type", format!("found {other:?}, which is no Llama"))),
        }
    }
}

/// A model of the family.
#[derive(Clone, Debug)]
pub struct LlamaConfig {
    /// H.
    pub hidden_size: usize,
    /// Width of the feed-forward block.
    pub inner_size: usize,
    /// V.
    pub vocab_size: usize,
    /// Positions.
    pub positions: usize,
    pub heads: Heads,
    /// ε of all norms.
    pub epsilon: f64,
    pub activation: Activation,
    /// Whether the linear layers of queries, keys and values have biases.
    pub input_bias: bool,
    /// Whether the output layer of the attention has a bias.
    pub output_bias: bool,
    /// Whether the linear layers of the feed-forward block have biases.
    pub mlp_bias: bool,
    /// Whether each head's queries and keys are normalised.
    pub head_norms: bool,
    /// The window of each layer; `None` if it sees all tokens before.
    pub windows: Vec<Option<usize>>,
}

impl LlamaConfig {
    /// Reads the config; defaults are those of transformers' config classes.
    ///
    /// # Errors
    ///
    /// [`peft_core::Error::Config`] naming a key that is missing, of another kind, or not possible.
    pub fn read(config: &ModelConfig) -> Result<Self> {
        let member = Member::read(config)?;
        let hidden_size = size(config, "hidden_size")?;
        // The head of a tagger has one in adapters, too.
        if config.task() == Some(Task::TokenCls) {
            config.require("token_classification_bias", &json!(true))?;
        }
        let bias = || flag(config, "attention_bias", false);
        let (input_bias, output_bias) = match member {
            Member::Mistral => (false, false),
            Member::Qwen2 => (true, false),
            Member::Llama | Member::Qwen3 => (bias()?, bias()?),
        };
        Ok(Self {
            hidden_size,
            inner_size: size(config, "intermediate_size")?,
            vocab_size: size(config, "vocab_size")?,
            positions: size(config, "max_position_embeddings")?,
            heads: heads(config, member, hidden_size)?,
            epsilon: number(config, "rms_norm_eps", 1e-6)?,
            activation: Activation::from_config(config, "hidden_act", "silu")?,
            input_bias,
            output_bias,
            mlp_bias: member == Member::Llama && flag(config, "mlp_bias", false)?,
            head_norms: member == Member::Qwen3,
            windows: windows(config, member, layers(config, "num_hidden_layers")?)?,
        })
    }
}

fn heads(config: &ModelConfig, member: Member, hidden_size: usize) -> Result<Heads> {
    let n = size(config, "num_attention_heads")?;
    let key = "num_key_value_heads";
    // The class of Llama has no number of its own: its key/value heads are as many as its heads.
    let k = match config.is_null(key) || member == Member::Llama && !config.has(key) {
        true => n,
        false => size(config, key)?,
    };
    if n % k != 0 {
        return Err(config.error(key, format!("{k} does not divide {n}")));
    }
    let key = "head_dim";
    let d = match config.optional_size(key)? {
        Some(d) => d,
        None if member == Member::Qwen3 && !config.is_null(key) => size(config, key)?,
        None if hidden_size.is_multiple_of(n) => hidden_size / n,
        None => {
            let message = format!("{n} does not divide {hidden_size}");
            return Err(config.error("num_attention_heads", message));
        }
    };
    if d % 2 != 0 {
        return Err(config.error(key, format!("found {d}, rotary heads have an even size")));
    }
    Ok(Heads { query: n, key_value: k, size: d })
}

/// The window of each of `layers` layers.
fn windows(config: &ModelConfig, member: Member, layers: usize) -> Result<Vec<Option<usize>>> {
    let on = match member {
        Member::Llama => return Ok(vec![None; layers]),
        Member::Mistral => true,
        Member::Qwen2 | Member::Qwen3 => flag(config, "use_sliding_window", false)?,
    };
    let window = match config.optional_size("sliding_window")? {
        _ if !on => None,
        Some(window) => Some(window),
        None if config.is_null("sliding_window") => None,
        None => Some(WINDOW),
    };
    let types = config.optional_texts("layer_types")?;
    if member == Member::Mistral {
        // All its layers are alike; a config that says otherwise belongs to another model.
        let all = if window.is_some() { SLIDING } else { FULL };
        let is_other = |name: &&&str| **name != all && !(all == FULL && **name == FULL_BEFORE);
        if let Some(other) = types.iter().flatten().find(is_other) {
            let message = format!(
                "found {other:?}, all layers of this mistral are {all:?}: remove the key to compute as transformers does, \
                 which passes over it"
            );
            return Err(config.error("layer_types", message));
        }
        return Ok(vec![window; layers]);
    }
    let Some(types) = types else {
        refuse_null(config, "max_window_layers", FULL_LAYERS)?;
        let first = config.count("max_window_layers", FULL_LAYERS)?;
        return Ok((0..layers).map(|layer| window.filter(|_| layer >= first)).collect());
    };
    if types.len() != layers {
        let message = format!("found {} of them for {layers} layers", types.len());
        return Err(config.error("layer_types", message));
    }
    types
        .into_iter()
        .map(|name| match (name, window) {
            (FULL | FULL_BEFORE, _) => Ok(None),
            (SLIDING, Some(window)) => Ok(Some(window)),
            (SLIDING, None) => Err(config.error(
                "layer_types",
                format!("found {SLIDING:?}, but `use_sliding_window` or `sliding_window` is off"),
            )),
            _ => {
                let message = format!("found {name:?}, this version knows {FULL} and {SLIDING}");
                Err(config.error("layer_types", message))
            }
        })
        .collect()
}
