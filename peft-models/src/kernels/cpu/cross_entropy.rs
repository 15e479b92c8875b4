//! Cross entropy of a frozen language-model head, some rows at a time: the logits `[M, V]` are never in memory as a
//! whole.
//!
//! ```text
//! z = h W + b      loss = Σ logsumexp(z) - (1 - ε) z[target] - ε mean(z)
//!                  dh   = softmax(z) Wᵀ - (1 - ε) Wᵀ[target] - ε mean(Wᵀ)
//! ```
//!
//! ε is the smoothing of targets, which is 0 unless asked for.
//!
//! The head is frozen, so the forward pass computes the gradient of the hidden states too, while it has the logits.

use std::ops::Range;

use burn::{backend::flex::FlexTensor, tensor::Tensor};

use super::{
    super::parts::{logit_parts, logit_rows_at_once},
    autodiff::{Inputs, Kernel, run},
    block::Block,
    layer_weights::LayerWeights,
    parallel::{change_rows, change_rows_with, elements, make_rows, part},
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

vectorised! {
    /// Replaces logits by `exp(x - max)`; returns the largest logit and the sum of the exponentials.
    fn exponentials<FMA>(x: &mut [f32]) -> [f32; 2] {
        let largest = max_body(x);
        for x in x.iter_mut() {
            *x = exp::<FMA>(*x - largest);
        }
        [largest, sum_body::<FMA>(x)]
    }

    fn sum_of<FMA>(x: &[f32]) -> f32 {
        sum_body::<FMA>(x)
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

impl Kernel for CrossEntropy {
    fn forward(&self, inputs: &[FlexTensor], keep: bool) -> (FlexTensor, Vec<FlexTensor>) {
        let hidden = in_order(&inputs[0]);
        let (rows, width) = rows_of(&hidden);
        assert_eq!(self.targets.len(), rows, "one target per row");
        let head = self.head.forward();
        let classes = head.num_columns();
        let back = keep.then(|| self.head.backward());
        let bias = self.bias.as_ref().map(floats);
        let add = |block: &Block| block.start_with(bias, None);
        let add = bias.is_some().then_some(&add as &(dyn Fn(&Block) + Sync));
        let parts = logit_parts(rows, classes);
        let mut logits = vec![0.0; logit_rows_at_once(rows, classes) * classes];
        let mut gradient = vec![0.0; if keep { rows * width } else { 0 }];
        let smoothing = self.smoothing;
        let mean = (keep && smoothing > 0.0).then(|| self.head.mean_over_outputs());
        let mut total = 0.0f64;
        for index in 0..parts {
            let Range { start, end } = part(rows, parts, index);
            let count = end - start;
            let states = &floats(&hidden)[start * width..(start + count) * width];
            let logits = &mut logits[..count * classes];
            let states = MatrixView::by_rows(states, count, width, width);
            // SAFETY: a product writes only numbers.
            head.product(unsafe { again(logits) }, states, add, None);
            // Per row: its loss, and the sum of its exponentials.
            let mut scores = vec![[0.0; 2]; count];
            let targets = &self.targets[start..start + count];
            change_rows_with(logits, classes, &mut scores, |range, logits, scores| {
                let rows = logits.chunks_exact_mut(classes).zip(&targets[range]);
                for ((logits, target), score) in rows.zip(scores) {
                    let mut own = logits[*target];
                    if smoothing > 0.0 {
                        own = (1.0 - smoothing) * own + smoothing * sum_of(logits) / classes as f32;
                    }
                    let [largest, sum] = exponentials(logits);
                    *score = [largest - own + sum.ln(), sum];
                }
            });
            total += scores.iter().map(|[loss, _]| f64::from(*loss)).sum::<f64>();
            let Some(back) = &back else { continue };
            let gradient = &mut gradient[start * width..(start + count) * width];
            let exponentials = MatrixView::by_rows(logits, count, classes, classes);
            // SAFETY: as above.
            back.product(unsafe { again(gradient) }, exponentials, None, None);
            change_rows(gradient, width, |range, rows| {
                for (row, to) in range.zip(rows.chunks_exact_mut(width)) {
                    let target = targets[row];
                    // Rounded as those that it is subtracted from, so that what is left is none of the rounding.
                    let mut column = self.head.of_output(target);
                    for (x, mean) in column.iter_mut().zip(mean.iter().flatten()) {
                        *x = (1.0 - smoothing) * *x + smoothing * mean;
                    }
                    scale_and_subtract(to, 1.0 / scores[row][1], &column);
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
