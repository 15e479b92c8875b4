//! What a pass keeps for its gradients, against the estimate of `peft_models::cost`, and without copies of matrices, wide ones
//! of those in eight bits among them. A test binary of its own, because its allocator counts.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "fuzz/counter.rs"]
mod counter;

use std::{env, process::Command};

use burn::tensor::{DType, Device, Tensor};
use peft_core::{LayerTape, PaddingSide, TokenBatch};
use peft_models::{
    Compute, LoadOptions, Loaded, WeightFormat,
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
    weights: WeightFormat,
    /// D, which all widths of the model grow with.
    head_dim: usize,
}

/// Bytes of a pass.
#[derive(Clone, Copy, Debug)]
struct Measured {
    /// What is allocated when the loss is there and the backward pass begins.
    kept: f64,
    /// The most that is allocated until its end.
    peak: f64,
}

impl Case {
    fn all() -> impl Iterator<Item = Self> {
        let families = [Family::Gpt2, Family::Llama].into_iter();
        families.flat_map(|family| {
            let (weights, head_dim) = (WeightFormat::F32, SHAPE.head_dim);
            let of = move |by_kernels, recompute| Self {
                family,
                by_kernels,
                recompute,
                weights,
                head_dim,
            };
            [of(true, false), of(true, true), of(false, false), of(false, true)]
        })
    }

    /// As on a GPU, with matrices in each format.
    fn without_kernels() -> impl Iterator<Item = Self> {
        [WeightFormat::F32, WeightFormat::Int8, WeightFormat::Bf16].into_iter().flat_map(
            |weights| {
                Self::all()
                    .filter(|case| !case.by_kernels)
                    .map(move |case| Self { weights, ..case })
            },
        )
    }

    /// Itself, twice and four times as wide.
    fn widths(self) -> [Self; 3] {
        [1, 2, 4].map(|times| Self { head_dim: times * self.head_dim, ..self })
    }

    fn model(self) -> Loaded {
        kernels::set_enabled(self.by_kernels);
        let Self { recompute, weights, head_dim, .. } = self;
        let options = LoadOptions { recompute, weights, ..LoadOptions::default() };
        let shape = Shape { head_dim, ..SHAPE };
        random_model_with(self.family, shape, 3, &Device::flex(), DType::F32, options)
    }

    fn measured(self) -> Measured {
        let loaded = self.model();
        let model = loaded.model.as_ref();
        let batch = TokenBatch::new(&[&ROW], PaddingSide::Right);
        // What is made once in a process and stays: threads, buffers of products.
        let words: Vec<u32> = (0..P).map(|at| (at % VOCAB) as u32).collect();
        model.forward(&batch, &prompt_of(model, &words)).unwrap();
        let mut leaves = Leaves::new(Device::flex().autodiff(), DType::F32);
        let prompt = leaves.virtual_tokens(model, Kind::Prompt(1), P);
        let tape = LayerTape::default();
        let ((made, read, hidden), [forward, kept]) = counter::memory_of(|| {
            // As training does: prefilled once, and what is read of it has a graph of its own.
            let made = model.prefill(&prompt).unwrap();
            let read = made.leaves();
            let hidden = match self.recompute && !self.by_kernels {
                true => model.forward_taped(&batch, &read, &tape),
                false => model.forward(&batch, &read),
            };
            (made, read, hidden.unwrap())
        });
        let is_taped = !tape.is_empty();
        assert_eq!(is_taped, !self.by_kernels && self.recompute);
        let (_held, [backward, _]) = counter::memory_of(|| {
            let loss = hidden.tokens.square().sum();
            let mut all = if is_taped { tape.backward(&loss) } else { vec![loss.backward()] };
            let of_tokens = all.iter_mut().map(|own| read.clone().take_gradients(own));
            let sums = of_tokens.reduce(|sums, own| sums.into_iter().zip(own).map(added).collect());
            made.dot(sums.unwrap()).map(|dot| leaves.gradients(&dot.backward())).unwrap()
        });
        let [forward, kept, backward] = [forward, kept, backward].map(|bytes| bytes as f64);
        Measured { kept, peak: forward.max(kept + backward) }
    }

    /// As [`measured`](Self::measured), in a process of its own: Burn keeps what no backward pass has consumed.
    fn measured_apart(self) -> Measured {
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", "one_pass_is_measured", "--nocapture"])
            .env(CASE, format!("{self:?}"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let numbers = |line: &str| {
            let (kept, peak) = line.strip_prefix("kept ")?.split_once(" peak ")?;
            Some(Measured { kept: kept.parse().ok()?, peak: peak.parse().ok()? })
        };
        let found = said.lines().find_map(numbers);
        found.unwrap_or_else(|| panic!("{self:?}: {output:?}"))
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

fn added((sum, own): (Option<Tensor<1>>, Option<Tensor<1>>)) -> Option<Tensor<1>> {
    match (sum, own) {
        (Some(sum), Some(own)) => Some(sum + own),
        (sum, own) => sum.or(own),
    }
}

/// In the process of a case; otherwise nothing.
#[test]
fn one_pass_is_measured() {
    let Ok(asked) = env::var(CASE) else { return };
    let mut all = Case::all().chain(Case::without_kernels().flat_map(Case::widths));
    let case = all.find(|case| format!("{case:?}") == asked);
    let Measured { kept, peak } = case.unwrap().measured();
    println!("\nkept {kept} peak {peak}");
}

/// Without kernels, as on a GPU, products read matrices in f32 where they are, and widen those of fewer bits: one at a time, and
/// again for the gradient, whether layers are computed again or not. A prompt is prefilled in a graph of its own, through all
/// layers.
///
/// Nodes of the graph take as much whatever the width, and activations grow with it: only matrices grow with its square. What
/// `k(4 H) - 3 k(2 H) + 2 k(H)` leaves of `k(H) = a + b H + c H²` is `6 c H²`.
#[test]
fn no_copy_of_a_matrix_is_kept() {
    for case in Case::without_kernels() {
        let found = case.widths().map(Case::measured_apart);
        let of_matrices = |of: fn(&Measured) -> f64| {
            let [once, twice, four_times] = found.each_ref().map(of);
            (four_times - 3.0 * twice + 2.0 * once) / 6.0
        };
        let kept = of_matrices(|measured| measured.kept);
        let peak = of_matrices(|measured| measured.peak);
        // The smallest matrix of a layer in f32, which is square or nearly so; kept in all layers it would be twelve times as
        // much.
        let square = (4 * (SHAPE.kv_heads * SHAPE.head_dim).pow(2)) as f64;
        println!("{case:?}: {found:?}, of matrices {kept:.0} and {peak:.0}; one has {square:.0}");
        assert!(kept < square, "{case:?}: {kept} is not below {square}: {found:?}");
        // The widest has three or four of these, and is there as its own numbers, widened, and laid out for the product. All of
        // the model are ninety-six or more.
        assert!(peak < 24.0 * square, "{case:?}: {peak} is not below 24 x {square}: {found:?}");
    }
}

/// A decoder's prompt is prefilled with a graph, whether layers are computed again or not, so that `--recompute` saves what
/// the rows keep and no more. How large a number is to its estimate differs by what lies between tensors, but not by that.
#[test]
fn what_is_kept_is_what_is_expected() {
    let cases: Vec<Case> = Case::all().collect();
    for pair in cases.chunks(2) {
        let both = |case: Case| (case.measured_apart().kept, case.expected());
        let [plain, less] = [pair[0], pair[1]].map(both);
        println!("{:?}: kept and expected {plain:?}, recomputed {less:?}", pair[0]);
        for (measured, expected) in [plain, less] {
            let part = expected / measured;
            assert!((0.5..2.0).contains(&part), "{pair:?}: {expected} of {measured}");
        }
        let left = |of: fn(&(f64, f64)) -> f64| of(&less) / of(&plain);
        let (measured, expected) = (left(|pair| pair.0), left(|pair| pair.1));
        assert!((measured - expected).abs() < 0.15, "{pair:?}: {measured} is not {expected}");
    }
}
