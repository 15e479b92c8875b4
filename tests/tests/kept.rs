//! What a pass keeps for its gradients, against the estimate of `peft_models::cost`. A test binary of its own, because its
//! allocator counts.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "fuzz/counter.rs"]
mod counter;

use std::{env, process::Command};

use burn::tensor::{DType, Device};
use peft_core::{LayerTape, PaddingSide, TokenBatch};
use peft_models::{
    Compute, LoadOptions, Loaded,
    cost::{Batch, Executor, StepSize},
    kernels, outline_of,
};
use peft_tests::{
    Family, Shape, VOCAB,
    leaves::{Kind, Leaves},
    random_model_with,
    virtual_tokens::prompt_of,
};

const SHAPE: Shape = Shape { layers: 12, kv_heads: 4, head_dim: 16, positions: 64 };
/// A prompt that is longer than the row: what it keeps is most of what there is.
const P: usize = 32;
const ROW: [u32; 8] = [5, 11, 2, 20, 7, 9, 1, 3];
/// Set in a process that measures one pass.
const CASE: &str = "PEFT_TESTS_KEPT";

/// A pass of a decoder behind a prompt.
#[derive(Clone, Copy, Debug)]
struct Case {
    family: Family,
    /// Whether the kernels compute it, or Burn's own operations, as on a GPU.
    by_kernels: bool,
    recompute: bool,
}

impl Case {
    fn all() -> impl Iterator<Item = Self> {
        let families = [Family::Gpt2, Family::Llama].into_iter();
        families.flat_map(|family| {
            let of = move |by_kernels, recompute| Self { family, by_kernels, recompute };
            [of(true, false), of(true, true), of(false, false), of(false, true)]
        })
    }

    fn model(self) -> Loaded {
        kernels::set_enabled(self.by_kernels);
        let options = LoadOptions { recompute: self.recompute, ..LoadOptions::default() };
        random_model_with(self.family, SHAPE, 3, &Device::flex(), DType::F32, options)
    }

    /// The bytes that are allocated when the loss is there and the backward pass begins.
    fn measured(self) -> usize {
        let loaded = self.model();
        let model = loaded.model.as_ref();
        let batch = TokenBatch::new(&[&ROW], PaddingSide::Right);
        // What is made once in a process and stays: threads, buffers of products.
        let words: Vec<u32> = (0..P).map(|at| (at % VOCAB) as u32).collect();
        model.forward(&batch, &prompt_of(model, &words)).unwrap();
        let mut leaves = Leaves::new(Device::flex().autodiff(), DType::F32);
        let prompt = leaves.virtual_tokens(model, Kind::Prompt(1), P);
        let tape = LayerTape::default();
        let (_held, [_, bytes]) = counter::memory_of(|| {
            // As training does: prefilled once, and what is read of it has a graph of its own.
            let made = model.prefill(&prompt).unwrap();
            let read = made.leaves();
            let hidden = match self.recompute && !self.by_kernels {
                true => model.forward_taped(&batch, &read, &tape),
                false => model.forward(&batch, &read),
            };
            (made, read, hidden.unwrap())
        });
        assert_eq!(tape.is_empty(), self.by_kernels || !self.recompute);
        bytes
    }

    /// As [`measured`](Self::measured), in a process of its own: Burn keeps what no backward pass has consumed.
    fn measured_apart(self) -> f64 {
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", "what_is_kept_is_what_is_expected", "--nocapture"])
            .env(CASE, format!("{self:?}"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let bytes = said.lines().find_map(|line| line.strip_prefix("kept ")?.parse().ok());
        bytes.unwrap_or_else(|| panic!("{self:?}: {output:?}"))
    }

    fn expected(self) -> f64 {
        let loaded = self.model();
        let outline = outline_of(&loaded.config).unwrap();
        let tokens = ROW.len() as u64;
        let step = StepSize {
            outline: &outline,
            parameters: outline.parameters.total(),
            is_language_model: true,
            batch: Batch { rows: 1, tokens, decoder_tokens: 0, targets: tokens },
            evaluated: Batch::default(),
            prompt: P,
            first_layer: Some(0),
            virtual_tokens: P,
            trained: P * outline.spec.hidden_size,
            in_slices: 0,
            moments: 0,
            made: 0,
            recompute: self.recompute,
            narrow: false,
            compute: Compute::F32,
            executor: match self.by_kernels {
                true => Executor::Kernels { threads: 1 },
                false => Executor::General,
            },
            batches: 1,
            replicas: 1,
        };
        step.memory().kept as f64
    }
}

/// A decoder's prompt is prefilled with a graph, whether layers are computed again or not, so that `--recompute` saves what
/// the rows keep and no more. How large a number is to its estimate differs by what lies between tensors, but not by that.
#[test]
fn what_is_kept_is_what_is_expected() {
    if let Ok(asked) = env::var(CASE) {
        let case = Case::all().find(|case| format!("{case:?}") == asked).unwrap();
        println!("\nkept {}", case.measured());
        return;
    }
    let cases: Vec<Case> = Case::all().collect();
    for pair in cases.chunks(2) {
        let [plain, less] = [pair[0], pair[1]].map(|case| (case.measured_apart(), case.expected()));
        println!("{:?}: kept and expected {plain:?}, recomputed {less:?}", pair[0]);
        for (measured, expected) in [plain, less] {
            let part = expected / measured;
            assert!((1.0 / 3.0..3.0).contains(&part), "{pair:?}: {expected} of {measured}");
        }
        let left = |of: fn(&(f64, f64)) -> f64| of(&less) / of(&plain);
        let (measured, expected) = (left(|pair| pair.0), left(|pair| pair.1));
        assert!((measured - expected).abs() < 0.15, "{pair:?}: {measured} is not {expected}");
    }
}
