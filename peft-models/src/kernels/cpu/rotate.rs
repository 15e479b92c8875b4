//! Rotary positions (Su et al. 2021, arXiv 2104.09864) of queries and keys side by side. With the halves (a, b) of a
//! head and the angles θ of its position:
//!
//! ```text
//! a' = a cos θ - b sin θ      b' = b cos θ + a sin θ
//! ```
//!
//! The gradient is rotated by -θ.

use burn::{backend::flex::FlexTensor, tensor::Tensor};

use super::{
    autodiff::{Inputs, Kernel, run},
    parallel::{elements, make_rows},
    simd::{mul_add, vectorised},
    tensors::{floats, frozen, in_order, rows_of, sizes, tensor},
};

/// Rotates the first `heads` heads of each row and leaves the others. `None` if the tables cannot be read
/// in place.
///
/// # Shapes
///
/// - x: `[B, S, any * D]`
/// - cos, sin: `[B, 1, S, D]`
pub(super) fn rotate(
    x: Tensor<3>,
    cos: &Tensor<4>,
    sin: &Tensor<4>,
    heads: usize,
) -> Option<Tensor<3>> {
    let kernel = Rotate { cos: in_order(&frozen(cos)?), sin: in_order(&frozen(sin)?), heads };
    Some(run(kernel, Inputs::One(x.into_dispatch())))
}

#[derive(Debug)]
struct Rotate {
    cos: FlexTensor,
    sin: FlexTensor,
    heads: usize,
}

vectorised! {
    /// Rotates the heads of one row by the angles of its position times `direction`, 1 or -1.
    fn rotate_row<FMA>(
        x: &[f32], cos: &[f32], sin: &[f32], heads: usize, direction: f32, out: &mut [f32],
    ) {
        let (size, half) = (cos.len(), cos.len() / 2);
        for head in 0..heads {
            let (a, b) = x[head * size..(head + 1) * size].split_at(half);
            let (to_a, to_b) = out[head * size..(head + 1) * size].split_at_mut(half);
            // Both halves of a table are alike.
            for i in 0..half {
                let (cos, sin) = (cos[i], direction * sin[i]);
                to_a[i] = mul_add::<FMA>(a[i], cos, -(b[i] * sin));
                to_b[i] = mul_add::<FMA>(b[i], cos, a[i] * sin);
            }
        }
        let rest = heads * size;
        out[rest..].copy_from_slice(&x[rest..]);
    }
}

impl Rotate {
    fn apply(&self, x: &FlexTensor, direction: f32) -> FlexTensor {
        let x = in_order(x);
        let (rows, width) = rows_of(&x);
        let (positions, size) = rows_of(&self.cos);
        assert!(positions == rows && self.heads * size <= width, "sizes of a rotation");
        let out = make_rows(rows, width, |range, out| {
            let angles = elements(&range, size);
            let cos = floats(&self.cos)[angles.clone()].chunks_exact(size);
            let sin = floats(&self.sin)[angles].chunks_exact(size);
            let x = floats(&x)[elements(&range, width)].chunks_exact(width);
            for (((x, cos), sin), out) in x.zip(cos).zip(sin).zip(out.chunks_exact_mut(width)) {
                rotate_row(x, cos, sin, self.heads, direction, out);
            }
        });
        tensor(out, sizes(&x))
    }
}

impl Kernel for Rotate {
    fn forward(&self, inputs: &[FlexTensor], _: bool) -> (FlexTensor, Vec<FlexTensor>) {
        (self.apply(&inputs[0], 1.0), Vec::new())
    }

    fn backward(
        &self,
        _: &[FlexTensor],
        gradient: &FlexTensor,
        _: &[bool],
    ) -> Vec<Option<FlexTensor>> {
        vec![Some(self.apply(gradient, -1.0))]
    }
}
