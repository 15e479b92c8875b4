//! What is checked, how, and on what.

use peft_models::{Compute, LoadOptions, random_model::Family};

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Hidden states or logits.
    Forward,
    /// Gradients of what a method trains.
    Gradients,
    /// The losses of a run.
    Training,
    /// Texts, with a cache.
    Generation,
    /// Several adapters in one batch.
    Mixed,
}

impl Check {
    /// All.
    pub const ALL: [Self; 5] =
        [Self::Forward, Self::Gradients, Self::Training, Self::Generation, Self::Mixed];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward pass",
            Self::Gradients => "gradients",
            Self::Training => "20 training steps",
            Self::Generation => "generation",
            Self::Mixed => "mixed adapters",
        }
    }

    /// Whether a family has it: encoders generate nothing.
    pub fn concerns(self, family: Family) -> bool {
        let generates = family.is_causal() || Family::ENCODER_DECODER.contains(&family);
        self != Self::Generation || generates
    }
}

/// How a model computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// In f32.
    F32,
    /// In f32, with gradient checkpointing.
    Recomputed,
    /// In f32, with products in bf16.
    Bf16Products,
}

impl How {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Recomputed => "f32, recomputed",
            Self::Bf16Products => "bf16 products",
        }
    }

    /// The options that a model is loaded with.
    pub fn options(self) -> LoadOptions {
        LoadOptions {
            recompute: self == Self::Recomputed,
            compute: if self == Self::Bf16Products { Compute::Bf16 } else { Compute::F32 },
            ..LoadOptions::default()
        }
    }

    /// The checks that are made of it.
    pub fn checks(self) -> &'static [Check] {
        match self {
            Self::F32 => &Check::ALL,
            Self::Recomputed => &[Check::Gradients],
            Self::Bf16Products => &[Check::Forward, Check::Gradients],
        }
    }
}

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// The processor: kernels are compared with Burn's own operations.
    Cpu,
    /// Anything else: it is compared with the processor.
    Gpu,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoders_generate_nothing() {
        let generate = |family| Check::Generation.concerns(family);
        assert!(generate(Family::Qwen3) && generate(Family::Bart) && !generate(Family::Roberta));
        assert!(Check::ALL.into_iter().all(|check| check.concerns(Family::Gpt2)));
    }
}
