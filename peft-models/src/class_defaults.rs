//! What the configuration classes of transformers assume where a `config.json` lacks a key.
//!
//! A config from which the keys with default values were left out is whole for transformers, which takes them from the
//! class of the `model_type`. The values are those of transformers 5.23.

use std::fmt::Display;

use peft_core::{Error, Result};

use crate::config::ModelConfig;

/// Sizes by key.
type Sizes = [(&'static str, usize)];

const BERT: &Sizes = &[
    ("vocab_size", 30522),
    ("hidden_size", 768),
    ("num_hidden_layers", 12),
    ("num_attention_heads", 12),
    ("intermediate_size", 3072),
    ("max_position_embeddings", 512),
    ("type_vocab_size", 2),
];
const ROBERTA: &Sizes = &[
    ("vocab_size", 50265),
    ("hidden_size", 768),
    ("num_hidden_layers", 12),
    ("num_attention_heads", 12),
    ("intermediate_size", 3072),
    ("max_position_embeddings", 512),
    ("type_vocab_size", 2),
];
const GPT2: &Sizes = &[
    ("vocab_size", 50257),
    ("n_positions", 1024),
    ("n_embd", 768),
    ("n_layer", 12),
    ("n_head", 12),
];
const LLAMA: &Sizes = &[
    ("vocab_size", 32000),
    ("hidden_size", 4096),
    ("intermediate_size", 11008),
    ("num_hidden_layers", 32),
    ("num_attention_heads", 32),
    ("max_position_embeddings", 2048),
];
const MISTRAL: &Sizes = &[
    ("vocab_size", 32000),
    ("hidden_size", 4096),
    ("intermediate_size", 14336),
    ("num_hidden_layers", 32),
    ("num_attention_heads", 32),
    ("num_key_value_heads", 8),
    ("max_position_embeddings", 131_072),
];
const QWEN2: &Sizes = &[
    ("vocab_size", 151_936),
    ("hidden_size", 4096),
    ("intermediate_size", 22016),
    ("num_hidden_layers", 32),
    ("num_attention_heads", 32),
    ("num_key_value_heads", 32),
    ("max_position_embeddings", 32768),
];
const QWEN3: &Sizes = &[
    ("vocab_size", 151_936),
    ("hidden_size", 4096),
    ("intermediate_size", 22016),
    ("num_hidden_layers", 32),
    ("num_attention_heads", 32),
    ("num_key_value_heads", 32),
    ("head_dim", 128),
    ("max_position_embeddings", 32768),
];
const T5: &Sizes = &[
    ("vocab_size", 32128),
    ("d_model", 512),
    ("d_kv", 64),
    ("d_ff", 2048),
    ("num_layers", 6),
    ("num_heads", 8),
];
const MT5: &Sizes = &[
    ("vocab_size", 250_112),
    ("d_model", 512),
    ("d_kv", 64),
    ("d_ff", 1024),
    ("num_layers", 8),
    ("num_heads", 6),
];
const BART: &Sizes = &[
    ("vocab_size", 50265),
    ("d_model", 1024),
    ("max_position_embeddings", 1024),
    ("encoder_layers", 12),
    ("encoder_ffn_dim", 4096),
    ("encoder_attention_heads", 16),
    ("decoder_layers", 12),
    ("decoder_ffn_dim", 4096),
    ("decoder_attention_heads", 16),
];

/// The sizes of a class; none for a model type that is not known.
fn sizes(config: &ModelConfig) -> &'static Sizes {
    match config.model_type().unwrap_or_default() {
        "bart" => BART,
        "bert" | "camembert" | "xlm-roberta" => BERT,
        "gpt2" => GPT2,
        "llama" => LLAMA,
        "mistral" => MISTRAL,
        "mt5" => MT5,
        "qwen2" => QWEN2,
        "qwen3" => QWEN3,
        "roberta" => ROBERTA,
        "t5" => T5,
        _ => &[],
    }
}

/// The size that the class has under a key.
fn of_class(config: &ModelConfig, key: &str) -> Option<usize> {
    sizes(config).iter().find(|(name, _)| *name == key).map(|(_, size)| *size)
}

/// A size: that of the file or, where it lacks the key, that of the class.
///
/// # Errors
///
/// [`Error::Config`] if the value is null or of another kind, or is missing and the class has none.
pub fn size(config: &ModelConfig, key: &str) -> Result<usize> {
    match (config.optional_size(key)?, of_class(config, key)) {
        (Some(size), _) => Ok(size),
        (None, None) => Err(config.error(key, "is missing")),
        (None, Some(default)) => refuse_null(config, key, default).map(|()| default),
    }
}

/// Refuses null under a key for which the class takes none; `default` is what it has where the key is missing.
///
/// # Errors
///
/// [`Error::Config`] if the value is null.
pub fn refuse_null(config: &ModelConfig, key: &str, default: impl Display) -> Result<()> {
    match config.is_null(key) {
        true => Err(config.error(
            key,
            format!("is null: set it, or remove it for {default}, which transformers assumes then"),
        )),
        false => Ok(()),
    }
}

/// A number: that of the file or, where it lacks the key, the `default` of the class.
///
/// # Errors
///
/// [`Error::Config`] if the value is null or of another kind.
pub fn number(config: &ModelConfig, key: &str, default: f64) -> Result<f64> {
    refuse_null(config, key, default)?;
    config.number(key, default)
}

/// As [`number`], for `true` and `false`.
///
/// # Errors
///
/// [`Error::Config`] if the value is null or of another kind.
pub fn flag(config: &ModelConfig, key: &str, default: bool) -> Result<bool> {
    refuse_null(config, key, default)?;
    config.flag(key, default)
}

/// As [`number`], for a string.
///
/// # Errors
///
/// [`Error::Config`] if the value is null or of another kind.
pub fn text<'a>(config: &'a ModelConfig, key: &str, default: &'a str) -> Result<&'a str> {
    refuse_null(config, key, default)?;
    config.text(key, default)
}

/// A number of layers, limited because memory may be allocated for each before any tensor is read.
///
/// # Errors
///
/// Returns the errors of [`size`], and [`Error::Config`] for a number larger than that of any model.
pub fn layers(config: &ModelConfig, key: &str) -> Result<usize> {
    const MOST: usize = 10_000;
    match size(config, key)? {
        layers @ ..=MOST => Ok(layers),
        layers => Err(config.error(key, format!("found {layers}, expected at most {MOST}"))),
    }
}

/// The sizes that the file lacks, with those of the class, which stand in their place.
pub fn assumed_sizes(config: &ModelConfig) -> Vec<(&'static str, usize)> {
    let is_missing = |key: &str| !config.has(key) && !config.is_null(key);
    sizes(config).iter().copied().filter(|(key, _)| is_missing(key)).collect()
}

/// An error about a tensor, with the sizes that the file lacks: one of them may be what does not fit.
pub fn explained(error: Error, config: &ModelConfig) -> Error {
    match (error, &assumed_sizes(config)[..]) {
        (Error::Tensor { path, name, message }, sizes @ [_, ..]) => {
            let sizes: Vec<String> =
                sizes.iter().map(|(key, size)| format!("{key} {size}")).collect();
            let message = format!(
                "{message}. {} lacks sizes, for which those of transformers' class stand: {}",
                config.path().display(),
                sizes.join(", ")
            );
            Error::Tensor { path, name, message }
        }
        (error, _) => error,
    }
}

/// The special token that the class has under a key.
fn token_of_class(model_type: &str, key: &str) -> Option<u32> {
    match (model_type, key) {
        ("bart", "decoder_start_token_id") => Some(2),
        ("mt5", "decoder_start_token_id") => Some(0),
        ("bart" | "camembert" | "roberta" | "xlm-roberta", "pad_token_id") => Some(1),
        ("bert" | "mt5" | "t5", "pad_token_id") => Some(0),
        _ => None,
    }
}

/// The special tokens of a `config.json` under a key that rows are made and losses computed with: those of the file or,
/// where it lacks the key, that of the class. Null names none. Generation asks the files alone, in transformers too.
pub fn special_tokens(config: &ModelConfig, key: &str) -> Vec<u32> {
    if config.has(key) || config.is_null(key) {
        return config.token_ids(key);
    }
    let model_type = config.model_type().unwrap_or_default();
    token_of_class(model_type, key).into_iter().collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::*;

    fn read(fields: Value) -> ModelConfig {
        ModelConfig::from_value(fields, Path::new("config.json")).unwrap()
    }

    #[test]
    fn a_size_is_that_of_the_file_or_of_the_class() {
        let config = read(json!({"model_type": "mt5", "d_model": 8, "d_ff": null}));
        assert_eq!(size(&config, "d_model").unwrap(), 8);
        assert_eq!(layers(&config, "num_layers").unwrap(), 8);
        let null = size(&config, "d_ff").unwrap_err().to_string();
        let says = "config.json: key `d_ff`: is null: set it, or remove it for 1024, which";
        assert!(null.contains(says), "{null}");
        let unknown = size(&config, "hidden_size").unwrap_err().to_string();
        assert!(unknown.contains("key `hidden_size`: is missing"), "{unknown}");
        assert_eq!(
            assumed_sizes(&config),
            [("vocab_size", 250_112), ("d_kv", 64), ("num_layers", 8), ("num_heads", 6)]
        );
        let many = layers(&read(json!({"n_layer": 10_001})), "n_layer").unwrap_err().to_string();
        assert!(many.contains("found 10001, expected at most 10000"), "{many}");
    }

    #[test]
    fn a_tensor_that_does_not_fit_is_told_with_the_sizes_that_are_missing() {
        let tensor = || Error::tensor(Path::new("model.safetensors"), "wte.weight", "does not fit");
        let config = read(json!({"model_type": "gpt2", "n_embd": 8, "n_layer": 2, "n_head": 2}));
        let error = explained(tensor(), &config).to_string();
        let says = "does not fit. config.json lacks sizes, for which those of transformers' class stand: vocab_size \
                    50257, n_positions 1024";
        assert!(error.ends_with(says), "{error}");
        let whole = config.with("vocab_size", 3).with("n_positions", 4);
        assert!(explained(tensor(), &whole).to_string().ends_with("does not fit"));
    }

    #[test]
    fn special_tokens_are_those_of_the_file_or_of_the_class() {
        let config = read(json!({"model_type": "bart", "pad_token_id": 7, "bos_token_id": null}));
        for (key, expected) in
            [("pad_token_id", &[7][..]), ("bos_token_id", &[]), ("decoder_start_token_id", &[2])]
        {
            assert_eq!(special_tokens(&config, key), expected, "{key}");
        }
        assert_eq!(special_tokens(&read(json!({"model_type": "roberta"})), "pad_token_id"), [1]);
        assert!(special_tokens(&read(json!({"model_type": "llama"})), "pad_token_id").is_empty());
    }
}
