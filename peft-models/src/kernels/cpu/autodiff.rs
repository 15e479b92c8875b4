//! Registers kernels as operations of Burn: one backend extension for all of them, which runs forward on `Flex` and is
//! recorded for the backward pass on `Autodiff<Flex>`.

use std::{fmt::Debug, sync::Arc};

use burn::{
    backend::{
        Autodiff, Backend, Dispatch, ExtensionType, Flex,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
        backend_extension,
        flex::FlexTensor,
        tensor::FloatTensor,
    },
    tensor::Tensor,
};

/// A differentiable function of up to six f32 tensors. What is frozen (weights, masks) is part of the kernel itself and
/// never gets a gradient.
pub(super) trait Kernel: Debug + Send + Sync {
    /// The output and, with `keep`, what [`backward`](Self::backward) needs.
    fn forward(&self, inputs: &[FlexTensor], keep: bool) -> (FlexTensor, Vec<FlexTensor>);

    /// The gradient of each input that is `wanted`, from that of the output.
    fn backward(
        &self,
        saved: &[FlexTensor],
        gradient: &FlexTensor,
        wanted: &[bool],
    ) -> Vec<Option<FlexTensor>>;
}

/// The inputs of a kernel.
#[derive(ExtensionType)]
pub enum Inputs<B: Backend> {
    /// One tensor.
    One(FloatTensor<B>),
    /// Two.
    Two(FloatTensor<B>, FloatTensor<B>),
    /// Three.
    Three(FloatTensor<B>, FloatTensor<B>, FloatTensor<B>),
    /// Four.
    Four(FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, FloatTensor<B>),
    /// Five.
    Five(FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, FloatTensor<B>),
    /// Six.
    Six(
        FloatTensor<B>,
        FloatTensor<B>,
        FloatTensor<B>,
        FloatTensor<B>,
        FloatTensor<B>,
        FloatTensor<B>,
    ),
}

/// A kernel on its way through Burn's dispatch.
#[derive(Clone, Debug)]
pub struct SharedKernel(Arc<dyn Kernel>);

/// The operation itself.
#[backend_extension(Flex, Autodiff)]
pub trait FrozenOperation: Backend {
    /// Runs a kernel.
    fn run_kernel(
        #[extension_type] inputs: Inputs<Self>,
        kernel: SharedKernel,
    ) -> FloatTensor<Self>;
}

/// Runs `kernel` on f32 tensors of any rank on flex, tracked or not.
pub(super) fn run<const D: usize>(
    kernel: impl Kernel + 'static,
    inputs: Inputs<Dispatch>,
) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::run_kernel(inputs, SharedKernel(Arc::new(kernel))))
}

impl FrozenOperation for Flex {
    fn run_kernel(inputs: Inputs<Self>, SharedKernel(kernel): SharedKernel) -> FlexTensor {
        let inputs = match inputs {
            Inputs::One(a) => vec![a],
            Inputs::Two(a, b) => vec![a, b],
            Inputs::Three(a, b, c) => vec![a, b, c],
            Inputs::Four(a, b, c, d) => vec![a, b, c, d],
            Inputs::Five(a, b, c, d, e) => vec![a, b, c, d, e],
            Inputs::Six(a, b, c, d, e, f) => vec![a, b, c, d, e, f],
        };
        kernel.forward(&inputs, false).0
    }
}

impl<C: CheckpointStrategy> FrozenOperation for Autodiff<Flex, C> {
    fn run_kernel(inputs: Inputs<Self>, kernel: SharedKernel) -> FloatTensor<Self> {
        match inputs {
            Inputs::One(a) => record::<1, C>([a], kernel),
            Inputs::Two(a, b) => record::<2, C>([a, b], kernel),
            Inputs::Three(a, b, c) => record::<3, C>([a, b, c], kernel),
            Inputs::Four(a, b, c, d) => record::<4, C>([a, b, c, d], kernel),
            Inputs::Five(a, b, c, d, e) => record::<5, C>([a, b, c, d, e], kernel),
            Inputs::Six(a, b, c, d, e, f) => record::<6, C>([a, b, c, d, e, f], kernel),
        }
    }
}

/// Runs a kernel and records it if any of its inputs needs a gradient.
fn record<const N: usize, C: CheckpointStrategy>(
    inputs: [FloatTensor<Autodiff<Flex, C>>; N],
    SharedKernel(kernel): SharedKernel,
) -> FloatTensor<Autodiff<Flex, C>> {
    let mut primitives = Vec::with_capacity(N);
    let guards = inputs.map(|input| {
        let (primitive, guard) = input.into_parts();
        primitives.push(primitive);
        guard
    });
    match BackwardStep.prepare::<C>(guards).compute_bound().stateful() {
        OpsKind::Tracked(node) => {
            let (output, tensors) = kernel.forward(&primitives, true);
            node.finish(Saved { kernel, tensors }, output)
        }
        OpsKind::UnTracked(node) => node.finish(kernel.forward(&primitives, false).0),
    }
}

/// What is kept for the backward pass.
#[derive(Clone, Debug)]
struct Saved {
    kernel: Arc<dyn Kernel>,
    tensors: Vec<FlexTensor>,
}

/// The backward step of every kernel.
#[derive(Debug)]
struct BackwardStep;

impl<const N: usize> Backward<Flex, N> for BackwardStep {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        let Saved { kernel, tensors } = ops.state;
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let gradients = kernel.backward(&tensors, &gradient, &wanted);
        // They may be large, and adding gradients below takes memory of its own.
        drop((tensors, gradient));
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                grads.register::<Flex>(parent.id, gradient);
            }
        }
    }
}
