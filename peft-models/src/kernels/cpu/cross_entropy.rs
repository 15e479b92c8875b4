//! Cross entropy of a frozen language-model head, some of its outputs at a time: the logits `[M, V]` are never in memory
//! as a whole.
//!
//! ```text
//! z = h W + b      loss = Σ logsumexp(z) - (1 - ε) z[target] - ε mean(z)
//!                  dh   = softmax(z) Wᵀ - (1 - ε) Wᵀ[target] - ε mean(Wᵀ)
//! ```
//!
//! ε is the smoothing of targets, which is 0 unless asked for.
//!
//! The head is frozen, so the forward pass computes the gradient of the hidden states too, while it has the logits. Outputs
//! are a block W_j of the head after another, and all rows are multiplied with it forward and backward while it is in the
//! cache. The sum of the exponentials and the gradient are those of the blocks so far (Milakov and Gimelshein, "Online
//! normalizer calculation for softmax", 2018; Dao et al., "FlashAttention", 2022):
//!
//! ```text
//! z_j = h W_j + b_j      m' = max(m, max z_j)      s = e^(m - m') s + Σ e^(z_j - m')
//!                                                  d = e^(m - m') d + e^(z_j - m') W_jᵀ      softmax(z) Wᵀ = d / s
//! ```

use burn::{backend::flex::FlexTensor, tensor::Tensor};

use super::{
    super::parts::{logit_parts, logit_parts_bf16},
    autodiff::{Inputs, Kernel, run},
    block::Block,
    layer_weights::LayerWeights,
    parallel::{change_rows_with, elements, make_rows, part},
    simd::{exp, max_body, sum_body, vectorised},
    tensors::{floats, frozen, in_order, rows_of, tensor},
    unwritten::again,
    view::MatrixView,
};

/// The sum over rows of the negative log-likelihood of their targets. `None` if the bias cannot be read in place.
///
/// # Shapes
///
/// - hidden: `[M, H]`
/// - head: `[V, H]`, bias: `[V]`
/// - targets: M, each below V
pub(super) fn cross_entropy(
    hidden: Tensor<2>,
    head: LayerWeights,
    bias: Option<&Tensor<1>>,
    targets: &[usize],
    label_smoothing: f64,
) -> Option<Tensor<1>> {
    let bias = match bias {
        Some(bias) => Some(in_order(&frozen(bias)?)),
        None => None,
    };
    let smoothing = label_smoothing as f32;
    let kernel = CrossEntropy { head, bias, targets: targets.to_vec(), smoothing };
    Some(run(kernel, Inputs::One(hidden.into_dispatch())))
}

#[derive(Debug)]
struct CrossEntropy {
    head: LayerWeights,
    bias: Option<FlexTensor>,
    targets: Vec<usize>,
    smoothing: f32,
}

/// What is known of a row after some blocks of its logits.
#[derive(Clone, Copy, Debug)]
struct Row {
    /// The largest logit.
    largest: f32,
    /// The sum of `e^(z - largest)`.
    exponentials: f32,
    /// The logit of the target.
    of_target: f32,
    /// The sum of the logits, if it is asked for.
    logits: f32,
    /// What sums before the last block are multiplied by, since a larger logit came: at most 1.
    shrink: f32,
}

impl Row {
    const NONE: Self = Self {
        largest: f32::NEG_INFINITY,
        exponentials: 0.0,
        of_target: 0.0,
        logits: 0.0,
        shrink: 1.0,
    };
}

vectorised! {
    /// Adds a block of logits to what is known of their row, and replaces them by `e^(z - largest)`.
    fn add_logits<FMA>(logits: &mut [f32], target: Option<usize>, adds_up: bool, row: &mut Row) {
        if let Some(target) = target {
            row.of_target = logits[target];
        }
        if adds_up {
            row.logits += sum_body::<FMA>(logits);
        }
        let largest = max_body(logits);
        row.shrink = 1.0;
        if largest > row.largest {
            row.shrink = exp::<FMA>(row.largest - largest);
            row.largest = largest;
        }
        // Nothing is known of a row whose logits are all minus infinity so far: their exponentials are 0.
        let from = if row.largest == f32::NEG_INFINITY { 0.0 } else { row.largest };
        for x in logits.iter_mut() {
            *x = exp::<FMA>(*x - from);
        }
        row.exponentials = row.exponentials * row.shrink + sum_body::<FMA>(logits);
    }

    fn shrink_row<FMA>(row: &mut [f32], factor: f32) {
        for x in row.iter_mut() {
            *x *= factor;
        }
    }

    fn scale_and_subtract<FMA>(row: &mut [f32], factor: f32, other: &[f32]) {
        for (x, other) in row.iter_mut().zip(other) {
            *x = *x * factor - other;
        }
    }

    fn scaled<FMA>(row: &[f32], factor: f32, out: &mut [f32]) {
        for (out, x) in out.iter_mut().zip(row) {
            *out = x * factor;
        }
    }
}

impl CrossEntropy {
    /// The loss of a row all of whose logits are known.
    fn loss_of(&self, row: &Row, classes: usize) -> f32 {
        let mut own = row.of_target;
        if self.smoothing > 0.0 {
            own = (1.0 - self.smoothing) * own + self.smoothing * row.logits / classes as f32;
        }
        row.largest - own + row.exponentials.ln()
    }
}

impl Kernel for CrossEntropy {
    fn forward(&self, inputs: &[FlexTensor], keep: bool) -> (FlexTensor, Vec<FlexTensor>) {
        let hidden = in_order(&inputs[0]);
        let (rows, width) = rows_of(&hidden);
        assert_eq!(self.targets.len(), rows, "one target per row");
        let classes = self.head.num_outputs();
        let parts = match self.head.in_bf16() {
            true => logit_parts_bf16(rows, classes),
            false => logit_parts(rows, classes),
        };
        let bias = self.bias.as_ref().map(floats);
        let mut logits = vec![0.0; parts.at_once(rows, classes)];
        let mut gradient = vec![0.0; if keep { rows * width } else { 0 }];
        let smoothing = self.smoothing;
        let mean = (keep && smoothing > 0.0).then(|| self.head.mean_over_outputs());
        let mut total = 0.0f64;
        for index in 0..parts.of_rows {
            let own = part(rows, parts.of_rows, index);
            let (count, targets) = (own.len(), &self.targets[own.clone()]);
            let states = &floats(&hidden)[elements(&own, width)];
            let states = MatrixView::by_rows(states, count, width, width);
            let gradient = &mut gradient[if keep { elements(&own, width) } else { 0..0 }];
            let mut known = vec![Row::NONE; count];
            for block in 0..parts.of_outputs {
                let outputs = parts.outputs(classes, block);
                let logits = &mut logits[..count * outputs.len()];
                let (forward, backward) = self.head.outputs(outputs.clone(), keep);
                let bias = bias.map(|bias| &bias[outputs.clone()]);
                let add = |block: &Block| block.start_with(bias, None);
                let add = bias.is_some().then_some(&add as &(dyn Fn(&Block) + Sync));
                // SAFETY: a product writes only numbers.
                forward.product(unsafe { again(logits) }, states, add, None);
                change_rows_with(logits, outputs.len(), &mut known, |range, logits, known| {
                    let rows = logits.chunks_exact_mut(outputs.len()).zip(&targets[range]);
                    for ((logits, target), known) in rows.zip(known) {
                        let target = outputs.contains(target).then(|| target - outputs.start);
                        add_logits(logits, target, smoothing > 0.0, known);
                    }
                });
                let Some(backward) = backward else { continue };
                if block > 0 && known.iter().any(|row| row.shrink < 1.0) {
                    change_rows_with(gradient, width, &mut known, |_, rows, known| {
                        for (row, known) in rows.chunks_exact_mut(width).zip(known) {
                            if known.shrink < 1.0 {
                                shrink_row(row, known.shrink);
                            }
                        }
                    });
                }
                let exponentials = MatrixView::by_rows(logits, count, outputs.len(), outputs.len());
                // What is there, of the blocks before, is added to.
                let as_it_is = |_: &Block| {};
                let start = (block > 0).then_some(&as_it_is as &(dyn Fn(&Block) + Sync));
                // SAFETY: as above.
                backward.product(unsafe { again(gradient) }, exponentials, start, None);
            }
            total += known.iter().map(|row| f64::from(self.loss_of(row, classes))).sum::<f64>();
            if !keep {
                continue;
            }
            change_rows_with(gradient, width, &mut known, |range, rows, known| {
                let rows = rows.chunks_exact_mut(width).zip(&targets[range]);
                for ((to, target), known) in rows.zip(known) {
                    // Rounded as those that it is subtracted from, so that what is left is none of the rounding.
                    let mut column = self.head.of_output(*target);
                    for (x, mean) in column.iter_mut().zip(mean.iter().flatten()) {
                        *x = (1.0 - smoothing) * *x + smoothing * mean;
                    }
                    scale_and_subtract(to, 1.0 / known.exponentials, &column);
                }
            });
        }
        let saved = if keep { vec![tensor(gradient, [rows, width])] } else { Vec::new() };
        (tensor(vec![total as f32], [1]), saved)
    }

    fn backward(
        &self,
        saved: &[FlexTensor],
        gradient: &FlexTensor,
        _: &[bool],
    ) -> Vec<Option<FlexTensor>> {
        let factor = floats(&in_order(gradient))[0];
        let (rows, width) = rows_of(&saved[0]);
        let out = make_rows(rows, width, |range, out| {
            scaled(&floats(&saved[0])[elements(&range, width)], factor, out);
        });
        vec![Some(tensor(out, [rows, width]))]
    }
}
