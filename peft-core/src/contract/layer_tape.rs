//! Gradient checkpointing on any device (Chen et al. 2016, arXiv 1604.06174): nothing that a layer computes is kept for the
//! backward pass, which runs it again.
//!
//! A pass with a tape cuts its graph behind each layer: the layer runs without a graph, and what leaves it is a leaf.
//! The backward pass begins at the loss and ends at the last of these leaves. Then each layer, from the last to the first, runs
//! again with a graph, and the gradient g of the leaf behind it goes on through `Σ y · g`, where y is what the layer
//! computes this time.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use burn::tensor::{Gradients, Tensor};

/// The layers of a pass, in the order in which they ran. Copies are the same tape.
#[derive(Clone, Default)]
pub struct LayerTape(Arc<Mutex<Vec<Cut>>>);

/// Where the graph is cut.
struct Cut {
    /// What is behind the cut.
    leaf: Tensor<3>,
    /// The same values with what is before it.
    again: Box<dyn FnOnce() -> Tensor<3> + Send>,
}

impl fmt::Debug for LayerTape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerTape").field("cuts", &self.lock().len()).finish()
    }
}

impl LayerTape {
    /// `output` `[B, S, H]`, which was computed without a graph, as a leaf. The backward pass has a graph of it by `again`,
    /// whose inputs are leaves or constants.
    pub fn layer(
        &self,
        output: Tensor<3>,
        again: impl FnOnce() -> Tensor<3> + Send + 'static,
    ) -> Tensor<3> {
        let leaf = output.autodiff().require_grad();
        self.lock().push(Cut { leaf: leaf.clone(), again: Box::new(again) });
        leaf
    }

    /// A tensor cut off from its graph, which the backward pass goes through once, whatever number of layers reads it. A
    /// leaf or a constant stays as it is.
    pub fn cut(&self, tensor: Tensor<3>) -> Tensor<3> {
        match tensor.is_tracked() && !tensor.is_require_grad() {
            true => self.layer(tensor.clone().without_autodiff(), move || tensor),
            false => tensor,
        }
    }

    /// The number of cuts.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nothing was cut.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The backward pass of a loss, `[1]`, through all layers; the tape is empty then. The gradient of a leaf is the sum of
    /// those that it has in all of these.
    pub fn backward(&self, loss: &Tensor<1>) -> Vec<Gradients> {
        let mut all = vec![loss.backward()];
        loop {
            let last = self.lock().pop();
            let Some(Cut { leaf, again }) = last else { return all };
            let own = all.iter_mut().filter_map(|gradients| leaf.grad_remove(gradients));
            // What the loss does not depend on has none.
            let Some(gradient) = own.reduce(|sum, gradient| sum + gradient) else { continue };
            all.push((again() * gradient.autodiff()).sum().backward());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Cut>> {
        // Each change is one insertion or removal: what a panic leaves is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use burn::tensor::Device;

    use super::*;

    fn leaf(values: [f32; 2]) -> Tensor<3> {
        let tensor = Tensor::<1>::from_floats(values, &Device::default()).reshape([1, 1, 2]);
        tensor.autodiff().require_grad()
    }

    fn sum_of(tensor: &Tensor<3>, all: &[Gradients]) -> Vec<f32> {
        let sum = all.iter().filter_map(|own| tensor.grad(own)).reduce(|sum, own| sum + own);
        sum.unwrap().into_data().iter().collect()
    }

    /// `y = w (w x)²` of x, which is made of a leaf, twice: two layers that read w, and x = u².
    #[test]
    fn gradients_are_those_of_one_graph_and_each_layer_runs_once_more() {
        let runs = Arc::new(AtomicUsize::new(0));
        let (u, w) = (leaf([0.5, -2.0]), leaf([3.0, 0.25]));
        let counted = runs.clone();
        let layer = move |x: Tensor<3>, w: Tensor<3>| {
            counted.fetch_add(1, Ordering::Relaxed);
            w.clone() * (w * x).square()
        };
        let tape = LayerTape::default();
        let run = |x: Tensor<3>| {
            let x = tape.cut(x);
            let (layer, w) = (layer.clone(), w.clone());
            let output = layer(x.clone().without_autodiff(), w.clone().without_autodiff());
            tape.layer(output, move || layer(x, w))
        };
        let y = run(run(u.clone().square()));
        assert_eq!((runs.swap(0, Ordering::Relaxed), tape.len()), (2, 3));
        let all = tape.backward(&(y * 2.0).sum());
        assert_eq!((runs.swap(0, Ordering::Relaxed), tape.len()), (2, 0));
        let (found_u, found_w) = (sum_of(&u, &all), sum_of(&w, &all));
        let once = layer(layer(u.clone().square(), w.clone()), w.clone());
        let all = [(once * 2.0).sum().backward()];
        for (found, expected) in [(found_u, sum_of(&u, &all)), (found_w, sum_of(&w, &all))] {
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() <= 1e-5 * expected.abs(), "{found} {expected}");
            }
        }
    }

    #[test]
    fn leaves_and_constants_are_not_cut() {
        let tape = LayerTape::default();
        let constant = Tensor::<3>::ones([1, 1, 2], &Device::default());
        assert!(!tape.cut(constant).is_tracked());
        assert!(tape.cut(leaf([1.0, 2.0])).is_require_grad());
        assert!(tape.is_empty());
    }
}
