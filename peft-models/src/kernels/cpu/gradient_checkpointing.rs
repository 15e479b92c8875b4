//! Gradient checkpointing (Chen et al. 2016, arXiv 1604.06174): the forward pass of a layer keeps nothing but its
//! inputs, and the backward pass runs the layer again.
//!
//! That is a backward pass of its own inside the one of the model: the inputs become leaves, the layer is recorded,
//! and the gradient that arrived is handed to its output.

use std::fmt;

use burn::{
    backend::{Flex, flex::FlexTensor},
    tensor::{Gradients, Tensor},
};
use peft_core::LayerKeyValues;

use super::{
    super::{Encoded, LayerInputs},
    autodiff::{Inputs, Kernel, run},
    tensors::{frozen, tensor},
};

/// `body` of these inputs, which must be on flex and may be of any float type.
pub(super) fn checkpointed(
    inputs: LayerInputs,
    body: impl Fn(LayerInputs) -> Tensor<3> + Send + Sync + 'static,
) -> Tensor<3> {
    let kernel = Layer {
        past: inputs.past.is_some(),
        encoded: inputs.encoded.as_ref().map(|encoded| encoded.past.is_some()),
        body: Box::new(body),
    };
    let LayerInputs { x, past, encoded } = inputs;
    let x = x.into_dispatch();
    let pair = |past: LayerKeyValues| (past.key.into_dispatch(), past.value.into_dispatch());
    let encoded = encoded.map(|Encoded { hidden, past }| (hidden.into_dispatch(), past.map(pair)));
    let inputs = match (past.map(pair), encoded) {
        (None, None) => Inputs::One(x),
        (Some((k, v)), None) => Inputs::Three(x, k, v),
        (None, Some((y, None))) => Inputs::Two(x, y),
        (Some((k, v)), Some((y, None))) => Inputs::Four(x, k, v, y),
        (None, Some((y, Some((k, v))))) => Inputs::Four(x, y, k, v),
        (Some((k, v)), Some((y, Some((l, w))))) => Inputs::Six(x, k, v, y, l, w),
    };
    run(kernel, inputs)
}

/// A layer, and which inputs it has: `[x, (past key, past value), (encoded, (past key, past value))]`.
struct Layer {
    past: bool,
    /// Whether virtual tokens precede the encoder's output, if there is one.
    encoded: Option<bool>,
    body: Box<dyn Fn(LayerInputs) -> Tensor<3> + Send + Sync>,
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer")
            .field("past", &self.past)
            .field("encoded", &self.encoded)
            .finish_non_exhaustive()
    }
}

impl Layer {
    /// The inputs as tensors of Burn; those whose gradient is wanted are leaves of a graph of their own.
    fn inputs(&self, tensors: &[FlexTensor], wanted: &[bool]) -> LayerInputs {
        fn leaf<const D: usize>(tensor: &FlexTensor, wanted: bool) -> Tensor<D> {
            let plain = Tensor::from_primitive::<Flex>(tensor.clone());
            if wanted { plain.autodiff().require_grad() } else { plain }
        }
        let pair = |at: usize| LayerKeyValues {
            key: leaf(&tensors[at], wanted[at]),
            value: leaf(&tensors[at + 1], wanted[at + 1]),
        };
        let next = if self.past { 3 } else { 1 };
        LayerInputs {
            x: leaf(&tensors[0], wanted[0]),
            past: self.past.then(|| pair(1)),
            encoded: self.encoded.map(|past| Encoded {
                hidden: leaf(&tensors[next], wanted[next]),
                past: past.then(|| pair(next + 1)),
            }),
        }
    }
}

/// The gradients of the inputs, in their order; `None` for those that are not leaves.
fn gradients_of(inputs: &LayerInputs, gradients: &mut Gradients) -> Vec<Option<FlexTensor>> {
    fn take<const D: usize>(leaf: &Tensor<D>, gradients: &mut Gradients) -> Option<FlexTensor> {
        leaf.grad_remove(gradients)?.try_into_primitive::<Flex>().ok()
    }
    let pair = |past: &LayerKeyValues, gradients: &mut Gradients| {
        [take(&past.key, gradients), take(&past.value, gradients)]
    };
    let mut all = vec![take(&inputs.x, gradients)];
    if let Some(past) = &inputs.past {
        all.extend(pair(past, gradients));
    }
    if let Some(encoded) = &inputs.encoded {
        all.push(take(&encoded.hidden, gradients));
        if let Some(past) = &encoded.past {
            all.extend(pair(past, gradients));
        }
    }
    all
}

impl Kernel for Layer {
    fn forward(&self, inputs: &[FlexTensor], keep: bool) -> (FlexTensor, Vec<FlexTensor>) {
        let output = (self.body)(self.inputs(inputs, &vec![false; inputs.len()]));
        // Inputs on flex without gradients give nothing else.
        let output = frozen(&output).expect("a plain tensor on flex");
        (output, if keep { inputs.to_vec() } else { Vec::new() })
    }

    fn backward(
        &self,
        saved: &[FlexTensor],
        gradient: &FlexTensor,
        wanted: &[bool],
    ) -> Vec<Option<FlexTensor>> {
        let inputs = self.inputs(saved, wanted);
        let output = (self.body)(inputs.clone());
        let start: Tensor<1> =
            run(Seed { gradient: gradient.clone() }, Inputs::One(output.into_dispatch()));
        gradients_of(&inputs, &mut start.backward())
    }
}

/// Starts a backward pass from a gradient that is there already: a zero whose gradient is that one.
#[derive(Debug)]
struct Seed {
    gradient: FlexTensor,
}

impl Kernel for Seed {
    fn forward(&self, _: &[FlexTensor], _: bool) -> (FlexTensor, Vec<FlexTensor>) {
        (tensor(vec![0.0], [1]), Vec::new())
    }

    fn backward(&self, _: &[FlexTensor], _: &FlexTensor, _: &[bool]) -> Vec<Option<FlexTensor>> {
        vec![Some(self.gradient.clone())]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use burn::tensor::{Device, Distribution};

    use super::{super::entry, *};

    fn layer(past: bool, encoded: Option<bool>) -> Layer {
        // Products, as their gradients need the factors.
        let body = |inputs: LayerInputs| {
            let mut y = inputs.x.clone().square() * inputs.x;
            let of_encoder = inputs.encoded.as_ref().and_then(|encoded| encoded.past.as_ref());
            for past in inputs.past.as_ref().into_iter().chain(of_encoder) {
                y = y * (past.key.clone() * past.value.clone()).sum().reshape([1, 1, 1]);
            }
            match inputs.encoded {
                Some(encoded) => y * encoded.hidden.sum().reshape([1, 1, 1]),
                None => y,
            }
        };
        Layer { past, encoded, body: Box::new(body) }
    }

    fn random<const D: usize>(shape: [usize; D]) -> FlexTensor {
        let tensor = Tensor::<D>::random(shape, Distribution::Default, &Device::flex());
        frozen(&tensor).unwrap()
    }

    #[test]
    fn inputs_alone_are_kept_and_only_for_the_backward_pass() {
        for (past, encoded) in [
            (false, None),
            (true, None),
            (false, Some(false)),
            (false, Some(true)),
            (true, Some(true)),
        ] {
            let layer = layer(past, encoded);
            let pair = || [random([1, 2, 3, 4]), random([1, 2, 3, 4])];
            let mut inputs = vec![random([2, 5, 8])];
            inputs.extend(past.then(pair).into_iter().flatten());
            if let Some(past) = encoded {
                inputs.push(random([2, 7, 8]));
                inputs.extend(past.then(pair).into_iter().flatten());
            }
            assert!(layer.forward(&inputs, false).1.is_empty());
            let (output, saved) = layer.forward(&inputs, true);
            assert_eq!(saved.len(), inputs.len());
            for (saved, input) in saved.iter().zip(&inputs) {
                // The memory itself, no copy.
                let place = |tensor: &FlexTensor| tensor.as_slice::<f32>().unwrap().as_ptr();
                assert_eq!(place(saved), place(input));
            }
            for unwanted in 0..inputs.len() {
                let wanted: Vec<bool> = (0..inputs.len()).map(|at| at != unwanted).collect();
                if !wanted.contains(&true) {
                    continue;
                }
                let gradients = layer.backward(&saved, &output, &wanted);
                assert_eq!(gradients.len(), inputs.len());
                for (at, gradient) in gradients.iter().enumerate() {
                    let shape =
                        gradient.as_ref().map(|gradient| gradient.layout().shape().to_vec());
                    let expected = wanted[at].then(|| inputs[at].layout().shape().to_vec());
                    assert_eq!(shape, expected, "input {at} without {unwanted}");
                }
            }
        }
    }

    #[test]
    fn a_layer_runs_once_forward_and_once_backward() {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = runs.clone();
        let x = Tensor::<3>::ones([1, 2, 3], &Device::flex().autodiff()).require_grad();
        let run = |x: Tensor<3>, recompute: bool| {
            let counted = counted.clone();
            let inputs = LayerInputs { x, past: None, encoded: None };
            let body = move |inputs: LayerInputs| {
                counted.fetch_add(1, Ordering::Relaxed);
                inputs.x.square()
            };
            if recompute { entry::checkpointed(inputs, body) } else { body(inputs) }
        };
        let count = || runs.swap(0, Ordering::Relaxed);
        let y = run(run(x.clone(), true), true);
        assert_eq!(count(), 2);
        let gradients = y.sum().backward();
        assert_eq!(count(), 2);
        let found = x.grad(&gradients).unwrap().into_data();
        assert!(found.iter::<f32>().all(|x| x == 4.0));
        run(x.clone(), false).sum().backward();
        assert_eq!(count(), 1);
        // Nothing needs a gradient.
        assert!(!run(x.inner(), true).is_tracked());
        assert_eq!(count(), 1);
    }
}
