//! The names that transformers gives the sizes of every family, where a family's own differ: `num_attention_heads` for
//! GPT-2's `n_head`. It reads both (its `attribute_map`), and so do we.

use peft_core::Result;

use crate::config::ModelConfig;

/// The other names of a family's settings, each with the family's own.
fn names(model_type: &str) -> &'static [(&'static str, &'static str)] {
    match model_type {
        "bart" => &[
            ("hidden_size", "d_model"),
            ("num_attention_heads", "encoder_attention_heads"),
            ("num_hidden_layers", "encoder_layers"),
        ],
        "gpt2" => &[
            ("hidden_size", "n_embd"),
            ("max_position_embeddings", "n_positions"),
            ("num_attention_heads", "n_head"),
            ("num_hidden_layers", "n_layer"),
        ],
        "mt5" | "t5" => &[
            ("head_dim", "d_kv"),
            ("hidden_size", "d_model"),
            ("num_attention_heads", "num_heads"),
            ("num_hidden_layers", "num_layers"),
        ],
        _ => &[],
    }
}

/// The config with the family's own names for what it only has by the others.
pub fn with_own_names(mut config: ModelConfig) -> ModelConfig {
    let Ok(model_type) = config.model_type().map(str::to_owned) else { return config };
    for (other, own) in names(&model_type) {
        if !config.has(own)
            && let Some(value) = config.get(other).cloned()
        {
            config = config.with(own, value);
        }
    }
    config
}

/// Refuses a setting whose two names have different values. Without a look at the weights neither is known to be right.
///
/// # Errors
///
/// [`peft_core::Error::Config`] naming both.
pub fn check(config: &ModelConfig) -> Result<()> {
    for (other, own) in names(config.model_type()?) {
        if let (Some(found), Some(usual)) = (config.get(other), config.get(own))
            && found != usual
        {
            let message = format!(
                "found {found}, and `{own}`, another name of the same setting, is {usual}: remove the wrong one"
            );
            return Err(config.error(other, message));
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::*;

    fn read(value: Value) -> ModelConfig {
        with_own_names(ModelConfig::from_value(value, Path::new("config.json")).unwrap())
    }

    #[test]
    fn either_name_is_read() {
        let config = read(json!({"model_type": "bart", "num_attention_heads": 2, "d_model": 8}));
        assert_eq!(config.size("encoder_attention_heads").unwrap(), 2);
        assert_eq!(config.size("d_model").unwrap(), 8);
        assert!(check(&config).is_ok());
        let both = read(json!({"model_type": "gpt2", "n_layer": 3, "num_hidden_layers": 3}));
        assert!(check(&both).is_ok());
        // Another family has no such names.
        let other = read(json!({"model_type": "bert", "hidden_size": 8}));
        assert!(!other.has("d_model") && check(&other).is_ok());
    }

    #[test]
    fn names_that_contradict_each_other_are_refused() {
        let config = read(json!({"model_type": "t5", "d_kv": 8, "head_dim": 16}));
        let error = check(&config).unwrap_err().to_string();
        let says = "config.json: key `head_dim`: found 16, and `d_kv`, another name of the same setting, is 8";
        assert!(error.contains(says), "{error}");
    }
}
