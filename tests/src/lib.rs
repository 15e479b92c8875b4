//! What the integration tests share: where things are, small random models, tensors from files.

pub mod g2p;

use std::{
    env,
    path::{Path, PathBuf},
};

use burn::tensor::{DType, Device};
use peft_models::{LoadOptions, Loaded, ModelConfig, Weights};
use serde_json::json;

/// Set by `.ci/run`: what is missing fails a test instead of skipping it.
const REQUIRE: &str = "PEFT_TESTS_REQUIRE_ALL";

/// A file or folder below `tests/vectors`.
pub fn vectors(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(path)
}

/// A real input: below `$PEFT_SHARED`, or `shared` beside the checkout. Where it is missing, prints why
/// the test is skipped and gives `None`.
///
/// # Panics
///
/// Where it is missing and `.ci/run` demands it.
pub fn shared(path: &str) -> Option<PathBuf> {
    let root = env::var_os("PEFT_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    present(root.join(path), "real inputs are not here; set PEFT_SHARED to their folder")
}

/// The folder of MiniLM, a real BERT: `$PEFT_MINILM`.
///
/// # Panics
///
/// Where it is missing and `.ci/run` demands it.
pub fn minilm() -> Option<PathBuf> {
    let path = env::var_os("PEFT_MINILM").map(PathBuf::from).unwrap_or_default();
    present(path.join("model.safetensors"), "set PEFT_MINILM to the folder of all-MiniLM-L6-v2")
        .map(|_| path)
}

fn present(path: PathBuf, reason: &str) -> Option<PathBuf> {
    if path.exists() {
        return Some(path);
    }
    let required = env::var_os(REQUIRE).is_some();
    assert!(!required, "{} is missing and {REQUIRE} is set: {reason}", path.display());
    eprintln!("skipped: {} is missing ({reason})", path.display());
    None
}

/// The device that tests run on: wgpu where that is compiled in, else the CPU.
pub fn device() -> Device {
    #[cfg(feature = "wgpu")]
    return Device::wgpu(burn::tensor::DeviceKind::DefaultDevice);
    #[cfg(not(feature = "wgpu"))]
    Device::flex()
}

/// A family of small random models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Encoder, learned positions.
    Bert,
    /// Decoder, learned positions.
    Gpt2,
    /// Decoder, rotary positions, two query heads for each key.
    Llama,
    /// Encoder, positions from the padding token's id on.
    Roberta,
    /// A Llama whose layers see the last few positions only.
    Mistral,
    /// A Llama with biases, and a window in its last layer.
    Qwen2,
    /// A Llama with norms of queries and keys.
    Qwen3,
    /// Two stacks, relative positions, a tied head; the decoder has a layer more.
    T5,
    /// A T5 1.1: gated, with a head of its own where its config says so.
    T5Gated,
    /// Two stacks, learned positions, scaled embeddings; the decoder has a layer and a head more.
    Bart,
}

impl Family {
    /// Those of one stack. A GPU in software is slow: there one of a kind stands for the others.
    #[cfg(feature = "wgpu")]
    pub const ALL: [Self; 3] = [Self::Bert, Self::Gpt2, Self::Llama];

    /// Those of one stack.
    #[cfg(not(feature = "wgpu"))]
    pub const ALL: [Self; 7] = [
        Self::Bert,
        Self::Roberta,
        Self::Gpt2,
        Self::Llama,
        Self::Mistral,
        Self::Qwen2,
        Self::Qwen3,
    ];

    /// Those that generate.
    pub const CAUSAL: [Self; 5] =
        [Self::Gpt2, Self::Llama, Self::Mistral, Self::Qwen2, Self::Qwen3];

    /// Those of two stacks.
    pub const TWO_SIDED: [Self; 3] = [Self::T5, Self::T5Gated, Self::Bart];

    /// Whether it generates from one stack.
    pub fn is_causal(self) -> bool {
        Self::CAUSAL.contains(&self)
    }
}

/// Sizes of a small random model.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// L.
    pub layers: usize,
    /// K; there are 2 K query heads in a Llama, K in the others.
    pub kv_heads: usize,
    /// D, even.
    pub head_dim: usize,
    /// Positions.
    pub positions: usize,
}

impl Default for Shape {
    fn default() -> Self {
        Self { layers: 2, kv_heads: 2, head_dim: 6, positions: 64 }
    }
}

/// The vocabulary of the small random models.
pub const VOCAB: usize = 23;

/// A small random model in f32, on the tests' device.
pub fn random_model(family: Family, shape: Shape, seed: u64) -> Loaded {
    random_model_on(family, shape, seed, &device(), DType::F32)
}

/// A small random model. Its weights are large enough for every part to matter.
///
/// # Panics
///
/// Where the model cannot be built, which is what a test would have to tell.
pub fn random_model_on(
    family: Family,
    shape: Shape,
    seed: u64,
    device: &Device,
    dtype: DType,
) -> Loaded {
    random_model_with(family, shape, seed, device, dtype, LoadOptions::default())
}

/// As [`random_model_on`], with options.
///
/// # Panics
///
/// As [`random_model_on`].
pub fn random_model_with(
    family: Family,
    shape: Shape,
    seed: u64,
    device: &Device,
    dtype: DType,
    options: LoadOptions,
) -> Loaded {
    let Shape { layers, kv_heads, head_dim, positions } = shape;
    let h = kv_heads * head_dim;
    // H is not N * D here.
    let llama = |model_type: &str, architecture: &str| {
        json!({
            "model_type": model_type, "hidden_size": h + 2, "intermediate_size": 2 * h + 1,
            "vocab_size": VOCAB, "max_position_embeddings": positions,
            "num_hidden_layers": layers, "num_attention_heads": 2 * kv_heads,
            "num_key_value_heads": kv_heads, "head_dim": head_dim,
            "architectures": [architecture],
        })
    };
    // H is not N * D here either.
    let t5 = |forward: &str, tied: bool| {
        json!({
            "model_type": "t5", "d_model": h + 2, "d_kv": head_dim, "d_ff": 2 * h + 1,
            "vocab_size": VOCAB, "num_layers": layers, "num_decoder_layers": layers + 1,
            "num_heads": kv_heads, "relative_attention_num_buckets": 8,
            "relative_attention_max_distance": 12, "feed_forward_proj": forward,
            "tie_word_embeddings": tied, "architectures": ["T5ForConditionalGeneration"],
        })
    };
    let config = match family {
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
            // The table has rows that no token takes.
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
    };
    let config = ModelConfig::from_value(config, Path::new("(random)/config.json"));
    // T5 does not scale its scores: with more, its softmax would magnify roundings.
    let std = if matches!(family, Family::T5 | Family::T5Gated) { 0.2 } else { 0.4 };
    let weights = Weights::random(seed, std, device, dtype);
    config
        .and_then(|config| peft_models::build_with(config, weights, options))
        .unwrap_or_else(|error| panic!("a random {family:?}: {error}"))
}
