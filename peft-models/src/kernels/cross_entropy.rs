//! Cross entropy of a frozen language-model head, some rows at a time: `[M, V]` is never whole in memory.
//!
//! ```text
//! loss = Σ logsumexp(h W) - (h W)[target]      dh = softmax(h W) Wᵀ - Wᵀ[target]
//! ```
//!
//! The head is frozen, so the gradient of the hidden states can be made at once, while the logits are there.

use burn::{backend::flex::FlexTensor, tensor::Tensor};

use super::{
    frozen::{Frozen, map, map_back},
    node::{Inputs, Kernel, run},
    parallel::{Target, over_rows},
    product::{Matrix, product_by_columns},
    simd::{exp, max_body, sum_body, vectorised},
    tensors::{floats, in_order, rows_of, tensor},
};

/// The sum over rows of the negative log-likelihood of their targets.
///
/// # Shapes
///
/// - hidden: `[M, H]`
/// - head: `[V, H]`
/// - targets: M, each below V
pub(crate) fn cross_entropy(hidden: Tensor<2>, head: Frozen, targets: &[usize]) -> Tensor<1> {
    let kernel = CrossEntropy { head: [head], targets: targets.to_vec() };
    run(kernel, Inputs::One(hidden.into_dispatch()))
}

#[derive(Debug)]
struct CrossEntropy {
    head: [Frozen; 1],
    targets: Vec<usize>,
}

/// Logits that are in memory at a time.
const LOGITS: usize = 8 << 20;

vectorised! {
    /// Makes `exp(x - max)` of logits; gives the largest one and the sum of the exponentials.
    fn exponentials<FMA>(x: &mut [f32]) -> [f32; 2] {
        let largest = max_body(x);
        for x in x.iter_mut() {
            *x = exp::<FMA>(*x - largest);
        }
        [largest, sum_body::<FMA>(x)]
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
        assert_eq!(self.targets.len(), rows, "a target for each row");
        let (head, back) = (map(&self.head), map_back(&self.head));
        let classes = head[0].weight.num_columns();
        let step = (LOGITS / classes.max(1)).clamp(32, 4096).min(rows.max(1));
        let mut logits = vec![0.0; step * classes];
        let mut gradient = vec![0.0; if keep { rows * width } else { 0 }];
        let mut total = 0.0f64;
        for start in (0..rows).step_by(step) {
            let count = step.min(rows - start);
            let part = &floats(&hidden)[start * width..(start + count) * width];
            let logits = &mut logits[..count * classes];
            product_by_columns(logits, Matrix::rows(part, count, width, width), &head, None, None);
            // For each row: its loss, and the sum of its exponentials.
            let mut scores = vec![0.0; count * 2];
            let (of_logits, of_scores) = (Target::new(logits), Target::new(&mut scores));
            over_rows(count, classes, |range| {
                for row in range {
                    // SAFETY: each row belongs to one range.
                    let (logits, scores) = unsafe {
                        (
                            of_logits.slice(row * classes..(row + 1) * classes),
                            of_scores.slice(row * 2..row * 2 + 2),
                        )
                    };
                    let target = logits[self.targets[start + row]];
                    let [largest, sum] = exponentials(logits);
                    scores.copy_from_slice(&[largest - target + sum.ln(), sum]);
                }
            });
            total += scores.chunks(2).map(|row| f64::from(row[0])).sum::<f64>();
            if !keep {
                continue;
            }
            let gradient = &mut gradient[start * width..(start + count) * width];
            let exponentials = Matrix::rows(logits, count, classes, classes);
            product_by_columns(gradient, exponentials, &back, None, None);
            let of_gradient = Target::new(gradient);
            over_rows(count, width, |range| {
                for row in range {
                    // SAFETY: each row belongs to one range.
                    let to = unsafe { of_gradient.slice(row * width..(row + 1) * width) };
                    let target = self.targets[start + row];
                    let mut room = Vec::new();
                    let target: Vec<f32> =
                        head[0].weight.columns(target..target + 1, &mut room).numbers().collect();
                    scale_and_subtract(to, 1.0 / scores[row * 2 + 1], &target);
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
        let mut out = vec![0.0; rows * width];
        let target = Target::new(&mut out);
        over_rows(rows, width, |range| {
            let places = range.start * width..range.end * width;
            // SAFETY: the ranges of rows do not overlap.
            let out = unsafe { target.slice(places.clone()) };
            scaled(&floats(&saved[0])[places], factor, out);
        });
        vec![Some(tensor(out, [rows, width]))]
    }
}
