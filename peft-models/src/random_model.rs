//! Small random models of every family, for tests and for the program's own test; not part of the interface.

use std::path::Path;

use burn::tensor::{DType, Device};
use peft_core::Result;
use serde_json::{Value, json};

use crate::{LoadOptions, Loaded, ModelConfig, Weights, build_with};

/// A model family of the small random models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Encoder, learned positions.
    Bert,
    /// Decoder, learned positions.
    Gpt2,
    /// Decoder, rotary positions, two query heads per key/value head.
    Llama,
    /// Encoder, positions counted from the padding token's id.
    Roberta,
    /// A Llama with a sliding window.
    Mistral,
    /// A Llama with biases, and a sliding window in its last layer.
    Qwen2,
    /// A Llama that normalises queries and keys.
    Qwen3,
    /// Encoder-decoder, relative positions, a tied head; the decoder has one layer more.
    T5,
    /// T5 1.1: gated, with an untied head.
    T5Gated,
    /// Encoder-decoder, learned positions, scaled embeddings; the decoder has one layer and one head more.
    Bart,
}

impl Family {
    /// Those with a single stack.
    pub const ALL: [Self; 7] = [
        Self::Bert,
        Self::Roberta,
        Self::Gpt2,
        Self::Llama,
        Self::Mistral,
        Self::Qwen2,
        Self::Qwen3,
    ];

    /// Decoders, which generate text.
    pub const CAUSAL: [Self; 5] =
        [Self::Gpt2, Self::Llama, Self::Mistral, Self::Qwen2, Self::Qwen3];

    /// Those with an encoder and a decoder.
    pub const ENCODER_DECODER: [Self; 3] = [Self::T5, Self::T5Gated, Self::Bart];

    /// Whether it is a decoder without an encoder.
    pub fn is_causal(self) -> bool {
        Self::CAUSAL.contains(&self)
    }

    /// Its name, as commands take it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bert => "bert",
            Self::Gpt2 => "gpt2",
            Self::Llama => "llama",
            Self::Roberta => "roberta",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::T5 => "t5",
            Self::T5Gated => "t5-gated",
            Self::Bart => "bart",
        }
    }
}

/// Sizes of a small random model.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// L, the number of layers.
    pub layers: usize,
    /// K, the number of key/value heads; a Llama has 2 K query heads, the others K.
    pub kv_heads: usize,
    /// D, the size of a head; even.
    pub head_dim: usize,
    /// The most positions of a row.
    pub positions: usize,
}

impl Default for Shape {
    fn default() -> Self {
        Self { layers: 2, kv_heads: 2, head_dim: 6, positions: 64 }
    }
}

/// V, the vocabulary size of the small random models.
pub const VOCAB: usize = 23;

/// A small random model, with weights large enough for every part of it to matter. The same seed gives the same weights on
/// every device.
///
/// # Errors
///
/// Those of [`build_with`].
pub fn random_model(
    family: Family,
    shape: Shape,
    seed: u64,
    device: &Device,
    dtype: DType,
    options: LoadOptions,
) -> Result<Loaded> {
    // It is so many times as wide, and its scores would be as many times as large: a softmax with two scores of nearly equal
    // size would magnify rounding a thousandfold.
    let wider = if family == Family::Bart { shape.kv_heads + 1 } else { 1 };
    let std = std(family) / (wider as f64).sqrt();
    built(config(family, shape), Weights::random(seed, std, device, dtype), options)
}

/// A small random model in f32 that is as wide as those of all other families: H is K D, and a feed-forward layer 2 K D + 1. So a
/// device that compiles and compares kernels for each size does so for few.
///
/// # Errors
///
/// Those of [`build_with`]; a BART needs K D that K + 1 divides.
pub fn random_model_of_one_width(
    family: Family,
    shape: Shape,
    seed: u64,
    device: &Device,
    options: LoadOptions,
) -> Result<Loaded> {
    let h = shape.kv_heads * shape.head_dim;
    let mut config = config(family, shape);
    match family {
        Family::Bert | Family::Roberta | Family::Gpt2 => {}
        Family::Llama | Family::Mistral | Family::Qwen2 | Family::Qwen3 => {
            config["hidden_size"] = json!(h);
        }
        Family::T5 | Family::T5Gated => config["d_model"] = json!(h),
        Family::Bart => {
            config["d_model"] = json!(h);
            config["decoder_ffn_dim"] = config["encoder_ffn_dim"].clone();
        }
    }
    // Attention scores are as large as those at H 32, whatever H is.
    let std = std(family) * (32.0 / h as f64).sqrt();
    built(config, Weights::random(seed, std, device, DType::F32), options)
}

/// How large weights are.
fn std(family: Family) -> f64 {
    match family {
        // It does not scale attention scores: larger weights would make its softmax magnify rounding errors.
        Family::T5 | Family::T5Gated => 0.2,
        _ => 0.4,
    }
}

fn built(config: Value, weights: Weights, options: LoadOptions) -> Result<Loaded> {
    let config = ModelConfig::from_value(config, Path::new("(random)/config.json"))?;
    build_with(config, weights, options)
}

/// The `config.json` of a small model.
fn config(family: Family, shape: Shape) -> Value {
    let Shape { layers, kv_heads, head_dim, positions } = shape;
    let h = kv_heads * head_dim;
    // H is not N * D.
    let llama = |model_type: &str, architecture: &str| {
        json!({
            "model_type": model_type, "hidden_size": h + 2, "intermediate_size": 2 * h + 1,
            "vocab_size": VOCAB, "max_position_embeddings": positions,
            "num_hidden_layers": layers, "num_attention_heads": 2 * kv_heads,
            "num_key_value_heads": kv_heads, "head_dim": head_dim,
            "architectures": [architecture],
        })
    };
    // Here too H is not N * D.
    let t5 = |forward: &str, tied: bool| {
        json!({
            "model_type": "t5", "d_model": h + 2, "d_kv": head_dim, "d_ff": 2 * h + 1,
            "vocab_size": VOCAB, "num_layers": layers, "num_decoder_layers": layers + 1,
            "num_heads": kv_heads, "relative_attention_num_buckets": 8,
            "relative_attention_max_distance": 12, "feed_forward_proj": forward,
            "tie_word_embeddings": tied, "architectures": ["T5ForConditionalGeneration"],
        })
    };
    match family {
        Family::T5 => t5("relu", true),
        Family::T5Gated => t5("gated-gelu", false),
        Family::Bart => json!({
            "model_type": "bart", "d_model": h * (kv_heads + 1), "vocab_size": VOCAB,
            "max_position_embeddings": positions, "encoder_layers": layers,
            "decoder_layers": layers + 1, "encoder_attention_heads": kv_heads,
            "decoder_attention_heads": kv_heads + 1, "encoder_ffn_dim": 2 * h + 1,
            "decoder_ffn_dim": 2 * h + 3, "scale_embedding": true,
            "architectures": ["BartForConditionalGeneration"],
        }),
        Family::Roberta => json!({
            // More rows than positions: the first ones are never used.
            "model_type": "roberta", "hidden_size": h, "intermediate_size": 2 * h + 1,
            "vocab_size": VOCAB, "max_position_embeddings": positions + 3, "pad_token_id": 2,
            "type_vocab_size": 1, "num_hidden_layers": layers, "num_attention_heads": kv_heads,
            "architectures": ["RobertaModel"],
        }),
        Family::Mistral => {
            let mut config = llama("mistral", "MistralForCausalLM");
            config["sliding_window"] = json!(4);
            config
        }
        Family::Qwen2 => {
            let mut config = llama("qwen2", "Qwen2ForCausalLM");
            config["use_sliding_window"] = json!(true);
            config["sliding_window"] = json!(4);
            config["max_window_layers"] = json!(layers - 1);
            config
        }
        Family::Qwen3 => llama("qwen3", "Qwen3ForCausalLM"),
        Family::Bert => json!({
            "model_type": "bert", "hidden_size": h, "intermediate_size": 2 * h + 1,
            "vocab_size": VOCAB, "max_position_embeddings": positions, "type_vocab_size": 2,
            "num_hidden_layers": layers, "num_attention_heads": kv_heads,
            "architectures": ["BertModel"],
        }),
        Family::Gpt2 => json!({
            "model_type": "gpt2", "n_embd": h, "n_inner": 2 * h + 1, "vocab_size": VOCAB,
            "n_positions": positions, "n_layer": layers, "n_head": kv_heads,
            "architectures": ["GPT2LMHeadModel"],
        }),
        Family::Llama => llama("llama", "LlamaForCausalLM"),
    }
}
