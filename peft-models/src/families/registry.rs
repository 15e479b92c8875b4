//! The table of families.

use peft_core::{FrozenModel, Result};

use super::{
    bart, bert, gpt2, llama, other_names,
    outline::{LmHead, Outline},
    roberta, t5,
};
use crate::{
    class_defaults,
    config::ModelConfig,
    options::LoadOptions,
    quantised,
    weights::{LoadReport, Weights},
};

/// Makes a model of a config and tensors.
type Loader = fn(&ModelConfig, Weights, LoadOptions) -> Result<(Box<dyn FrozenModel>, LoadReport)>;

/// Reads a model's sizes from its config, without the parameters of a language-model head.
type Outliner = fn(&ModelConfig) -> Result<Outline>;

/// Finds the language-model head of a checkpoint.
type HeadFinder = fn(&ModelConfig, Weights) -> Result<LmHead>;

/// A family: its `model_type`, what the names of its classes in transformers begin with, and what reads it.
type Family = (&'static str, &'static str, Loader, Outliner, HeadFinder);

/// The families, in alphabetical order.
const FAMILIES: [Family; 12] = [
    ("bart", "Bart", bart::load, bart::outline, bart::head),
    ("bert", "Bert", bert::load, bert::outline, no_head),
    ("camembert", "Camembert", roberta::load, roberta::outline, no_head),
    ("gpt2", "GPT2", gpt2::load, gpt2::outline, gpt2::head),
    ("llama", "Llama", llama::load, llama::outline, llama::head),
    ("mistral", "Mistral", llama::load, llama::outline, llama::head),
    ("mt5", "MT5", t5::load, t5::outline, t5::head),
    ("qwen2", "Qwen2", llama::load, llama::outline, llama::head),
    ("qwen3", "Qwen3", llama::load, llama::outline, llama::head),
    ("roberta", "Roberta", roberta::load, roberta::outline, no_head),
    ("t5", "T5", t5::load, t5::outline, t5::head),
    ("xlm-roberta", "XLMRoberta", roberta::load, roberta::outline, no_head),
];

/// Model types that load, in alphabetical order.
pub const SUPPORTED: [&str; FAMILIES.len()] = {
    let mut names = [""; FAMILIES.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = FAMILIES[index].0;
        index += 1;
    }
    names
};

/// What the names of transformers' classes go on with after the family: `BertForMaskedLM`, `GPT2LMHeadModel`.
const CLASSES: [&str; 7] = [
    "For",
    "Model",
    "LMHeadModel",
    "DoubleHeadsModel",
    "EncoderModel",
    "PreTrainedModel",
    "WithLMHeadModel",
];

/// The config with its `model_type`, which is told from `architectures` if it is missing, and with the names that its
/// family has for its settings.
pub fn complete(config: ModelConfig) -> ModelConfig {
    other_names::with_own_names(with_model_type(config))
}

fn with_model_type(config: ModelConfig) -> ModelConfig {
    if config.has("model_type") {
        return config;
    }
    let architectures = config.architectures();
    let is_named = |class: &str| {
        architectures.split(", ").any(|name| {
            let rest = name.strip_prefix(class);
            rest.is_some_and(|rest| CLASSES.iter().any(|end| rest.starts_with(end)))
        })
    };
    match FAMILIES.iter().find(|(_, class, ..)| is_named(class)) {
        Some((model_type, ..)) => config.with("model_type", *model_type),
        None => config,
    }
}

/// The family that the config names.
fn family(config: &ModelConfig) -> Result<&'static Family> {
    let known = SUPPORTED.join(", ");
    if !config.has("model_type") {
        let message = match config.architectures() {
            none if none.is_empty() => {
                format!("is missing, and so is `architectures`: add it, one of {known}")
            }
            found => format!("is missing, and `architectures` ({found}) is of none of {known}"),
        };
        return Err(config.error("model_type", message));
    }
    let found = config.model_type()?;
    FAMILIES.iter().find(|(model_type, ..)| *model_type == found).ok_or_else(|| {
        let part = match config.text("text_config.model_type", "") {
            Ok(part) if !part.is_empty() => {
                format!(" (its text part, `text_config`, is a {part:?})")
            }
            _ => String::new(),
        };
        config.error("model_type", format!("found {found:?}{part}, this version supports {known}"))
    })
}

/// Checks that the config names a family that loads, weights that are not quantised, no setting twice, none of single
/// layers, and no decoder that sees what follows.
///
/// # Errors
///
/// [`peft_core::Error::Config`] naming the families that do, how the weights are quantised, or two names of a setting
/// that contradict each other.
pub fn check(config: &ModelConfig) -> Result<()> {
    family(config)?;
    other_names::check(config)?;
    if config.is_set("per_layer_config", 0.0) {
        let message =
            "has settings of single layers, and this version knows those of all layers alone";
        return Err(config.error("per_layer_config", message));
    }
    // Others have no causal mask.
    let has_decoder =
        !matches!(config.model_type()?, "bert" | "camembert" | "roberta" | "xlm-roberta");
    if has_decoder && !config.flag("is_causal", true)? {
        let message = "found false, with which tokens see those behind them in transformers 5, and this version has a causal \
                       mask alone: remove the key for that, which transformers 4 has whatever the key says";
        return Err(config.error("is_causal", message));
    }
    quantised::refuse(config)
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
    let (_, _, load, ..) = family(config)?;
    load(config, weights, options).map_err(|error| class_defaults::explained(error, config))
}

/// What the config says of the model's sizes, without its weights. A file without `model_type` is told from
/// `architectures`, as when it is loaded.
///
/// # Errors
///
/// [`peft_core::Error::Config`] for an unknown family, weights that are quantised, or a setting that is missing, impossible
/// or not implemented.
pub fn outline_of(config: &ModelConfig) -> Result<Outline> {
    outline(config, None)
}

/// As [`outline_of`], with the language-model head that the model has once it is loaded from `weights`, whose names and shapes
/// are read: a config may tell of a head that a file lacks, or of none where a file has one. Of an encoder-decoder's file that
/// has both a head and an embedding, these two are compared, and so read.
///
/// # Errors
///
/// Those of [`outline_of`], and [`peft_core::Error::Read`] if a file cannot be read.
pub fn outline_with(config: &ModelConfig, weights: Weights) -> Result<Outline> {
    outline(config, Some(weights))
}

fn outline(config: &ModelConfig, weights: Option<Weights>) -> Result<Outline> {
    let config = complete(config.clone());
    check(&config)?;
    let (.., outline, head) = family(&config)?;
    let mut outline = outline(&config)?;
    if let Some(weights) = weights {
        outline.lm_head = head(&config, weights)?;
    }
    let size = [outline.spec.vocab_size, outline.spec.hidden_size];
    outline.parameters.lm_head(outline.lm_head, size);
    Ok(outline)
}

/// That of an encoder, which has none here.
fn no_head(_: &ModelConfig, _: Weights) -> Result<LmHead> {
    Ok(LmHead::None)
}

/// The sizes that a config lacks, by the names of its family, with those of transformers' class, which stand in their place.
pub fn assumed_sizes(config: &ModelConfig) -> Vec<(&'static str, usize)> {
    class_defaults::assumed_sizes(&complete(config.clone()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_missing_model_type_is_told_from_the_architectures() {
        for (architectures, expected) in [
            (json!(["BertForSequenceClassification"]), Ok("bert")),
            (json!(["BertModel"]), Ok("bert")),
            (json!(["XLMRobertaForMaskedLM"]), Ok("xlm-roberta")),
            (json!(["GPT2LMHeadModel"]), Ok("gpt2")),
            (json!(["T5WithLMHeadModel"]), Ok("t5")),
            (json!(["MT5ForConditionalGeneration"]), Ok("mt5")),
            (json!(["Qwen2MoeForCausalLM"]), Err("`architectures` (Qwen2MoeForCausalLM)")),
            (json!(["MBartForConditionalGeneration"]), Err("is of none of")),
            (json!(["LlamaForCausalLM"]), Ok("llama")),
            (json!([]), Err("add it, one of bart, bert")),
            (json!(null), Err("add it, one of bart, bert")),
        ] {
            let value = json!({ "architectures": architectures });
            let config = complete(ModelConfig::from_value(value, Path::new("c")).unwrap());
            match (check(&config), expected) {
                (Ok(()), Ok(expected)) => assert_eq!(config.model_type().unwrap(), expected),
                (Err(error), Err(says)) => assert!(error.to_string().contains(says), "{error}"),
                found => panic!("{architectures}: {found:?}"),
            }
        }
        let both = json!({"model_type": "gpt2", "architectures": ["BertModel"]});
        let config = complete(ModelConfig::from_value(both, Path::new("c")).unwrap());
        assert_eq!(config.model_type().unwrap(), "gpt2");
    }

    #[test]
    fn a_size_by_another_name_is_not_assumed() {
        let value = json!({
            "architectures": ["GPT2LMHeadModel"], "hidden_size": 8, "n_layer": 2, "n_head": 2, "vocab_size": 9
        });
        let config = ModelConfig::from_value(value, Path::new("c")).unwrap();
        assert_eq!(assumed_sizes(&config), [("n_positions", 1024)]);
    }

    #[test]
    fn settings_of_single_layers_are_refused() {
        let of = |layers: Value| {
            let value = json!({"model_type": "llama", "per_layer_config": layers});
            check(&ModelConfig::from_value(value, Path::new("c")).unwrap())
        };
        let error = of(json!({"1": {"rms_norm_eps": 0.5}})).unwrap_err().to_string();
        assert!(error.contains("key `per_layer_config`: has settings of single layers"), "{error}");
        assert!(of(json!({})).is_ok() && of(json!(null)).is_ok());
    }

    #[test]
    fn decoders_that_see_what_follows_are_refused() {
        let of = |model_type: &str, is_causal: Value| {
            let value = json!({"model_type": model_type, "is_causal": is_causal});
            check(&ModelConfig::from_value(value, Path::new("c")).unwrap())
        };
        let error = of("qwen2", json!(false)).unwrap_err().to_string();
        assert!(error.contains("key `is_causal`: found false, with which tokens see"), "{error}");
        assert!(of("qwen2", json!(true)).is_ok() && of("bert", json!(false)).is_ok());
    }

    #[test]
    fn the_text_part_of_another_model_is_named() {
        let value = json!({"model_type": "llava", "text_config": {"model_type": "llama"}});
        let config = ModelConfig::from_value(value, Path::new("c")).unwrap();
        let error = check(&config).unwrap_err().to_string();
        assert!(
            error.contains("\"llava\" (its text part, `text_config`, is a \"llama\")"),
            "{error}"
        );
    }

    #[test]
    fn unknown_families_are_refused_with_the_known_ones() {
        for name in ["no-such-family", "mbart", "Llama", ""] {
            let config = ModelConfig::from_value(json!({ "model_type": name }), Path::new("c"));
            let error = check(&config.unwrap()).unwrap_err().to_string();
            assert!(error.contains("model_type"), "{error}");
            assert!(name.is_empty() || error.contains("camembert, gpt2, llama"), "{error}");
        }
        assert!(SUPPORTED.is_sorted());
    }
}
