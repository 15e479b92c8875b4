//! Linear layers with frozen W and b, `y = f(z)` and `y = r + z` with `z = x W + b`, where W may consist of several
//! matrices side by side. Only the inputs have gradients:
//!
//! ```text
//! dz = dy f'(z)      dx = dz Wᵀ      dr = dy
//! ```
//!
//! Products are in f32, or of x, dz and W rounded to bf16; everything else is in f32.

use burn::{backend::flex::FlexTensor, tensor::Tensor};

use super::{
    super::Nonlinearity,
    activation::{values, values_and_slopes},
    autodiff::{Inputs, Kernel, run},
    block::Block,
    layer_weights::LayerWeights,
    parallel::{SharedBuffer, products},
    tensors::{floats, frozen, in_order, rows_of, sizes, tensor},
    unwritten::Unwritten,
    view::MatrixView,
};

/// `f(x W + b)`, or without `f`. `None` if the bias cannot be read in place.
///
/// # Shapes
///
/// - x: `[.., in]`
/// - weights: `[out₁, in], [out₂, in], ..`; their outputs stand side by side
/// - bias: `[out]`
/// - output: `[.., out]`
pub(super) fn linear<const D: usize>(
    x: Tensor<D>,
    weights: LayerWeights,
    bias: Option<&Tensor<1>>,
    function: Option<Nonlinearity>,
) -> Option<Tensor<D>> {
    let kernel = Linear::new(weights, bias, function)?;
    Some(run(kernel, Inputs::One(x.into_dispatch())))
}

/// `residual + x W + b`. `None` if the bias cannot be read in place.
pub(super) fn linear_onto<const D: usize>(
    x: Tensor<D>,
    weights: LayerWeights,
    bias: Option<&Tensor<1>>,
    residual: Tensor<D>,
) -> Option<Tensor<D>> {
    let kernel = Linear::new(weights, bias, None)?;
    Some(run(kernel, Inputs::Two(x.into_dispatch(), residual.into_dispatch())))
}

#[derive(Debug)]
struct Linear {
    weights: LayerWeights,
    bias: Option<FlexTensor>,
    function: Option<Nonlinearity>,
}

impl Linear {
    fn new(
        weights: LayerWeights,
        bias: Option<&Tensor<1>>,
        function: Option<Nonlinearity>,
    ) -> Option<Self> {
        let bias = match bias {
            Some(bias) => Some(in_order(&frozen(bias)?)),
            None => None,
        };
        Some(Self { weights, bias, function })
    }
}

impl Kernel for Linear {
    fn forward(&self, inputs: &[FlexTensor], keep: bool) -> (FlexTensor, Vec<FlexTensor>) {
        let x = in_order(&inputs[0]);
        let residual = inputs.get(1).map(in_order);
        let weights = self.weights.forward();
        let (rows, width) = rows_of(&x);
        let outputs = weights.num_columns();
        let mut shape = sizes(&x);
        if let Some(last) = shape.last_mut() {
            *last = outputs;
        }
        let bias = self.bias.as_ref().map(floats);
        let residual = residual.as_ref().map(floats);
        let start = |block: &Block| block.start_with(bias, residual);
        let start =
            (bias.is_some() || residual.is_some()).then_some(&start as &(dyn Fn(&Block) + Sync));
        let a = MatrixView::by_rows(floats(&x), rows, width, width);
        let mut z = Unwritten::new(rows * outputs);
        let Some(function) = self.function else {
            weights.product(z.elements(), a, start, None);
            // SAFETY: the product wrote it.
            return (tensor(unsafe { z.written() }, shape), Vec::new());
        };
        if !keep {
            // In place: nothing reads z again.
            let finish = |block: &Block| {
                let apply = |_, z: &mut [f32]| {
                    let mut copy = [0.0; 256];
                    for z in z.chunks_mut(copy.len()) {
                        let copy = &mut copy[..z.len()];
                        copy.copy_from_slice(z);
                        values(function, copy, z);
                    }
                };
                // SAFETY: the product wrote them.
                unsafe { block.each_row(apply) };
            };
            weights.product(z.elements(), a, start, Some(&finish));
            // SAFETY: the product wrote it.
            return (tensor(unsafe { z.written() }, shape), Vec::new());
        }
        let mut y = Unwritten::new(rows * outputs);
        let target = SharedBuffer::unwritten(y.elements());
        let finish = |block: &Block| {
            let apply = |at: usize, z: &mut [f32]| {
                // SAFETY: the elements of a block belong to one task.
                let y = unsafe { target.unwritten_slice(at..at + z.len()) };
                values_and_slopes(function, z, y);
            };
            // SAFETY: the product wrote them.
            unsafe { block.each_row(apply) };
        };
        weights.product(z.elements(), a, start, Some(&finish));
        // SAFETY: the product wrote it, and so did the function after each block.
        let [y, slopes] = unsafe { [y.written(), z.written()] };
        (tensor(y, shape.clone()), vec![tensor(slopes, shape)])
    }

    fn backward(
        &self,
        saved: &[FlexTensor],
        gradient: &FlexTensor,
        wanted: &[bool],
    ) -> Vec<Option<FlexTensor>> {
        let gradient = in_order(gradient);
        let of_residual = wanted.get(1).is_some_and(|wanted| *wanted).then(|| gradient.clone());
        let of_x = wanted[0].then(|| {
            let (rows, outputs) = rows_of(&gradient);
            let dz = saved.first().map(|slopes| products(floats(&gradient), floats(slopes)));
            let dz = dz.as_deref().unwrap_or_else(|| floats(&gradient));
            let weights = self.weights.backward();
            let inputs = weights.num_columns();
            let mut dx = Unwritten::new(rows * inputs);
            let dz = MatrixView::by_rows(dz, rows, outputs, outputs);
            weights.product(dx.elements(), dz, None, None);
            let mut shape = sizes(&gradient);
            if let Some(last) = shape.last_mut() {
                *last = inputs;
            }
            // SAFETY: the product wrote it.
            tensor(unsafe { dx.written() }, shape)
        });
        vec![of_x, of_residual]
    }
}
