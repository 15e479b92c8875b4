//! The table of families.

use peft_core::{FrozenModel, Result};

use super::{bart, bert, gpt2, llama, roberta, t5};
use crate::{
    config::ModelConfig,
    options::LoadOptions,
    weights::{LoadReport, Weights},
};

/// Makes a model of a config and tensors.
type Loader = fn(&ModelConfig, Weights, LoadOptions) -> Result<(Box<dyn FrozenModel>, LoadReport)>;

/// What loads each `model_type`, in alphabetical order.
const FAMILIES: [(&str, Loader); 12] = [
    ("bart", bart::load),
    ("bert", bert::load),
    ("camembert", roberta::load),
    ("gpt2", gpt2::load),
    ("llama", llama::load),
    ("mistral", llama::load),
    ("mt5", t5::load),
    ("qwen2", llama::load),
    ("qwen3", llama::load),
    ("roberta", roberta::load),
    ("t5", t5::load),
    ("xlm-roberta", roberta::load),
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

/// What loads the family that the config names.
fn loader(config: &ModelConfig) -> Result<Loader> {
    let found = config.model_type()?;
    let family = FAMILIES.iter().find(|(model_type, _)| *model_type == found);
    family.map(|(_, load)| *load).ok_or_else(|| {
        let known = SUPPORTED.join(", ");
        config.error("model_type", format!("found {found:?}, this version supports {known}"))
    })
}

/// Checks that the config names a family that loads.
///
/// # Errors
///
/// [`peft_core::Error::Config`] naming the families that do.
pub fn check(config: &ModelConfig) -> Result<()> {
    loader(config).map(drop)
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
    loader(config)?(config, weights, options)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

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
