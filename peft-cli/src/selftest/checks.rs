//! What is checked, how, and on what.

use peft_models::{Compute, LoadOptions, WeightFormat, random_model::Family};

use super::rows::Batches;

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
    /// In f32, with gradient checkpointing as the device does it: by an operation of the CPU's kernels, or by a tape.
    Recomputed,
    /// In f32, with gradient checkpointing by a tape where it would not be so: by Burn's own operations on the CPU.
    Taped,
    /// In f32, with products in bf16 by kernels.
    Bf16Products,
    /// In f32, with frozen matrices in eight bits: by kernels, or on a device that widens them for each product.
    Int8,
    /// In f32, with frozen matrices that are kept and multiplied in 16 bits, by Burn's own operations.
    Reduced(Compute),
}

impl How {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Recomputed => "f32, recomputed",
            Self::Taped => "f32, by a tape",
            Self::Bf16Products => "bf16 products",
            Self::Int8 => "f32, int8 matrices",
            Self::Reduced(compute) => compute.name(),
        }
    }

    /// Whether layers run again in the backward pass.
    pub fn recomputes(self) -> bool {
        matches!(self, Self::Recomputed | Self::Taped)
    }

    /// Whether it is of Burn's own operations, on the CPU, too.
    pub fn is_general(self) -> bool {
        matches!(self, Self::Taped | Self::Reduced(_))
    }

    /// The options that a model is loaded with.
    pub fn options(self) -> LoadOptions {
        LoadOptions {
            recompute: self.recomputes(),
            compute: match self {
                Self::F32 | Self::Recomputed | Self::Taped | Self::Int8 => Compute::F32,
                Self::Bf16Products => Compute::Bf16,
                Self::Reduced(compute) => compute,
            },
            weights: match self {
                Self::Int8 => WeightFormat::Int8,
                _ => WeightFormat::default(),
            },
        }
    }

    /// The options of the model that it is compared with, where they are not those of f32: a matrix is the same, once it is
    /// rounded.
    pub fn reference(self) -> Option<LoadOptions> {
        (self == Self::Int8).then(|| self.options())
    }

    /// How much smaller what rounding does is than in bf16, where factors are rounded: f16 has three bits more. `None` where
    /// none are.
    pub fn rounding(self) -> Option<f64> {
        match self {
            Self::F32 | Self::Recomputed | Self::Taped | Self::Int8 => None,
            Self::Reduced(Compute::F32) => None,
            Self::Bf16Products | Self::Reduced(Compute::Bf16) => Some(1.0),
            Self::Reduced(Compute::F16) => Some(1.0 / 8.0),
        }
    }

    /// The batches of a check that is made of it. A GPU has kernels for each shape, which are compiled and compared when it is
    /// first seen: there batches vary only in the gradients in f32, whose pass back follows one forward.
    pub fn batches(self, check: Check, on: On) -> Batches {
        match on {
            On::Cpu => Batches::Varied,
            On::Gpu if (self, check) == (Self::F32, Check::Gradients) => Batches::Varied,
            On::Gpu => Batches::Alike,
        }
    }

    /// The checks that are made of it.
    pub fn checks(self) -> &'static [Check] {
        match self {
            Self::F32 => &Check::ALL,
            Self::Recomputed | Self::Taped => &[Check::Gradients, Check::Training],
            Self::Int8 => &[Check::Forward, Check::Gradients],
            // The first steps of a run in f16 may be left out, until its loss is scaled as it has to be.
            Self::Bf16Products | Self::Reduced(Compute::F16) => {
                &[Check::Forward, Check::Gradients, Check::Generation]
            }
            Self::Reduced(_) => {
                &[Check::Forward, Check::Gradients, Check::Training, Check::Generation]
            }
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
    fn matrices_in_16_bits_are_a_way_to_compute() {
        for compute in [Compute::Bf16, Compute::F16] {
            let how = How::Reduced(compute);
            assert_eq!((how.options().compute, how.name()), (compute, compute.name()));
            assert!(how.rounding().is_some() && how.checks().contains(&Check::Gradients));
        }
        assert_eq!(How::F32.rounding(), None);
    }

    #[test]
    fn layers_that_run_again_are_a_way_to_compute() {
        for how in [How::Recomputed, How::Taped] {
            assert!(how.options().recompute && how.rounding().is_none(), "{how:?}");
            assert_eq!(how.checks(), [Check::Gradients, Check::Training]);
        }
        assert!(!How::Bf16Products.options().recompute);
        assert!(How::Taped.is_general() && !How::Recomputed.is_general());
    }

    #[test]
    fn what_is_rounded_before_it_is_compared_has_a_measure_of_its_own() {
        let weights = How::Int8.reference().map(|options| options.weights);
        assert_eq!((weights, How::Int8.rounding()), (Some(WeightFormat::Int8), None));
        assert_eq!(How::Int8.options().weights, WeightFormat::Int8);
        for how in [How::F32, How::Recomputed, How::Reduced(Compute::Bf16)] {
            assert!(how.reference().is_none() && how.options().weights == WeightFormat::Auto);
        }
    }

    #[test]
    fn on_a_gpu_one_check_has_many_shapes() {
        let all = [How::F32, How::Recomputed, How::Int8, How::Reduced(Compute::F16)];
        let every =
            || all.into_iter().flat_map(|how| how.checks().iter().map(move |check| (how, *check)));
        assert!(every().all(|(how, check)| how.batches(check, On::Cpu) == Batches::Varied));
        let varied: Vec<_> = every()
            .filter(|(how, check)| how.batches(*check, On::Gpu) == Batches::Varied)
            .collect();
        assert_eq!(varied, [(How::F32, Check::Gradients)]);
    }

    #[test]
    fn encoders_generate_nothing() {
        let generate = |family| Check::Generation.concerns(family);
        assert!(generate(Family::Qwen3) && generate(Family::Bart) && !generate(Family::Roberta));
        assert!(Check::ALL.into_iter().all(|check| check.concerns(Family::Gpt2)));
    }
}
