//! The methods by name, and their defaults, which are those of their crates.

use std::fmt::Display;

use peft_prefix::PrefixConfig;
use peft_prompt::PromptConfig;
use peft_ptv2::PTuningV2Config;
use serde::{Deserialize, Serialize};

/// A method's name on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum MethodName {
    /// Prompt tuning.
    Prompt,
    /// Prefix tuning.
    Prefix,
    /// P-tuning v2.
    Ptv2,
    /// The task head alone: the baseline that a method has to beat.
    Head,
}

impl MethodName {
    /// The methods that train virtual tokens, in the order of the papers.
    pub const ALL: [Self; 3] = [Self::Prompt, Self::Prefix, Self::Ptv2];

    /// As users write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prompt => "prompt",
            Self::Prefix => "prefix",
            Self::Ptv2 => "ptv2",
            Self::Head => "head",
        }
    }

    /// Whether an MLP can make its virtual tokens.
    pub fn can_project(self) -> bool {
        matches!(self, Self::Prefix | Self::Ptv2)
    }

    /// P.
    pub fn default_num_virtual_tokens(self) -> usize {
        match self {
            Self::Prompt => PromptConfig::DEFAULT_NUM_VIRTUAL_TOKENS,
            Self::Prefix => PrefixConfig::DEFAULT_NUM_VIRTUAL_TOKENS,
            Self::Ptv2 => PTuningV2Config::DEFAULT_NUM_VIRTUAL_TOKENS,
            Self::Head => 0,
        }
    }

    /// What the virtual tokens start from; `encoder`: what the input of a prompt's encoder does.
    pub fn default_init(self, encoder: bool) -> &'static str {
        match (self, encoder) {
            (Self::Prompt, true) => "normal",
            (Self::Prompt, false) => "vocab",
            _ => "random",
        }
    }

    /// Whether an MLP makes the virtual tokens.
    pub fn default_projection(self) -> bool {
        match self {
            Self::Prefix => PrefixConfig::default().prefix_projection,
            Self::Ptv2 => PTuningV2Config::default().prefix_projection,
            Self::Prompt | Self::Head => false,
        }
    }

    /// The width of that MLP.
    pub fn default_hidden_size(self) -> usize {
        match self {
            Self::Ptv2 => PTuningV2Config::DEFAULT_HIDDEN_SIZE,
            Self::Prefix | Self::Prompt | Self::Head => PrefixConfig::DEFAULT_HIDDEN_SIZE,
        }
    }

    /// The dropout rate of keys and values.
    pub fn default_dropout(self) -> f64 {
        match self {
            Self::Ptv2 => PTuningV2Config::default().dropout,
            Self::Prefix | Self::Prompt | Self::Head => PrefixConfig::default().dropout,
        }
    }

    /// The learning rate with an optimizer; measured in docs/RECIPES.md. `projection`: a network makes the virtual tokens.
    pub fn default_lr(self, projection: bool, optimizer: &str) -> f64 {
        match (optimizer, self) {
            // Lester et al.: a constant 0.3.
            ("adafactor", _) => 0.3,
            ("sgd", _) => 0.1,
            (_, Self::Prompt) => PromptConfig::default_lr(projection),
            (_, Self::Prefix) => PrefixConfig::default_lr(projection),
            (_, Self::Ptv2) => PTuningV2Config::default_lr(projection),
            (_, Self::Head) => 1e-2,
        }
    }

    /// The learning rate of the head beside a method, where that of the method is lower; measured in docs/RECIPES.md.
    pub fn default_head_lr(self, optimizer: &str) -> Option<f64> {
        (optimizer == "adamw" && self != Self::Head).then_some(3e-2)
    }

    /// A default as help texts write it: `20; ptv2: 16` if most of the methods have 20.
    pub fn default_of_each<T: Display>(methods: &[Self], of: impl Fn(Self) -> T) -> String {
        let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
        for method in methods {
            let value = of(*method).to_string();
            match groups.iter_mut().find(|(known, _)| *known == value) {
                Some((_, names)) => names.push(method.name()),
                None => groups.push((value, vec![method.name()])),
            }
        }
        let mut texts = Vec::new();
        for (index, (value, names)) in groups.into_iter().enumerate() {
            texts.push(if index == 0 { value } else { format!("{}: {value}", names.join(", ")) });
        }
        texts.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_crates_and_read_well() {
        let all = &MethodName::ALL;
        let of_each = MethodName::default_of_each(all, MethodName::default_num_virtual_tokens);
        assert_eq!(of_each, "20; ptv2: 16");
        let of_each = MethodName::default_of_each(all, |method| method.default_init(false));
        assert_eq!(of_each, "vocab; prefix, ptv2: random");
        assert_eq!(PrefixConfig::default().num_virtual_tokens, 20);
        assert_eq!(PTuningV2Config::default().num_virtual_tokens, 16);
    }
}
