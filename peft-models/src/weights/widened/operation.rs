//! The product as an operation of Burn: plain on a backend, and on tensors with gradients recorded with the factor as it is.

use burn::{
    backend::{
        Autodiff, Backend, Dispatch, DispatchDevice, DispatchKindConversion, DispatchTensor,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
        backend_extension,
        tensor::FloatTensor,
    },
    tensor::{Device, Tensor},
};

use crate::weights::factor::Factor;

/// A product that keeps its factor as it is.
#[backend_extension(
    Flex: cfg(feature = "cpu"),
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
    Autodiff
)]
pub trait WidenedProduct: Backend {
    /// The product of rows, `[M, _]`.
    fn widened_product(x: FloatTensor<Self>, factor: Factor) -> FloatTensor<Self>;
}

/// Whether it is there for `device`.
pub fn is_of(device: &Device) -> bool {
    let device = device.as_dispatch();
    #[cfg(feature = "cpu")]
    if matches!(device, DispatchDevice::Flex(_)) {
        return true;
    }
    #[cfg(any(feature = "wgpu", feature = "cuda"))]
    if matches!(device, DispatchDevice::Cube(_)) {
        return true;
    }
    false
}

/// Runs it, on a device that [it is there for](is_of).
pub fn run(x: Tensor<2>, factor: Factor) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::widened_product(x.into_dispatch(), factor))
}

#[cfg(feature = "cpu")]
impl WidenedProduct for burn::backend::Flex {
    fn widened_product(x: FloatTensor<Self>, factor: Factor) -> FloatTensor<Self> {
        multiplied::<Self>(x, &factor)
    }
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
impl WidenedProduct for burn::backend::Cube {
    fn widened_product(x: FloatTensor<Self>, factor: Factor) -> FloatTensor<Self> {
        multiplied::<Self>(x, &factor)
    }
}

fn multiplied<B: Backend>(x: FloatTensor<B>, factor: &Factor) -> FloatTensor<B>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    let y = factor.multiply(Tensor::<2>::from_primitive::<B>(x));
    // Nothing in it has a gradient, and both factors are on this backend.
    y.try_into_primitive::<B>().expect("a plain tensor of the backend of its factors")
}

impl<B: WidenedProduct, C: CheckpointStrategy> WidenedProduct for Autodiff<B, C> {
    fn widened_product(x: FloatTensor<Self>, factor: Factor) -> FloatTensor<Self> {
        let (x, guard) = x.into_parts();
        let step = Backward::<B, 1>::prepare::<C>(BackwardStep, [guard]);
        match step.compute_bound().stateful() {
            OpsKind::Tracked(node) => {
                let y = B::widened_product(x, factor.clone());
                node.finish(factor, y)
            }
            OpsKind::UnTracked(node) => node.finish(B::widened_product(x, factor)),
        }
    }
}

#[derive(Debug)]
struct BackwardStep;

impl<B: WidenedProduct> Backward<B, 1> for BackwardStep {
    type State = Factor;

    fn backward(self, ops: Ops<Factor, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            let gradient = B::widened_product(gradient, ops.state.of_gradient());
            grads.register::<B>(parent.id, gradient);
        }
    }
}
