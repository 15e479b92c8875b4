//! Virtual tokens cut off from the method that made them, so that several graphs can use them side by side.
//!
//! With virtual tokens v(θ) of a method's parameters θ, and a loss that is a sum over slices of a batch,
//! `∂loss/∂θ = (Σ ∂loss_slice/∂v) ∂v/∂θ`: each slice computes the gradient of leaves of its own, and their sum goes
//! through the method once, as the gradient of `Σ v · sum`.

use burn::tensor::{Gradients, Tensor};

use super::{VirtualTokens, change::Change};
use crate::contract::loss::at_least_f32;

impl VirtualTokens {
    /// The same values as leaves of a graph of their own.
    #[must_use]
    pub fn leaves(&self) -> Self {
        struct Leaf;
        impl Change for Leaf {
            fn change<const D: usize>(&mut self, tensor: Tensor<D>) -> Tensor<D> {
                tensor.without_autodiff().autodiff().require_grad()
            }
        }
        self.clone().changed(&mut Leaf)
    }

    /// Whether no tensor has a graph: each is a leaf or a constant.
    pub fn are_leaves(&self) -> bool {
        struct AllLeaves(bool);
        impl Change for AllLeaves {
            fn change<const D: usize>(&mut self, tensor: Tensor<D>) -> Tensor<D> {
                self.0 &= !tensor.is_tracked() || tensor.is_require_grad();
                tensor
            }
        }
        let mut all = AllLeaves(true);
        self.clone().changed(&mut all);
        all.0
    }

    /// Takes the gradients of [`leaves`](Self::leaves), flat, on the plain device, in f32 where the values have fewer bits, so
    /// that many can be added; `None` for what a loss does not depend on.
    pub fn take_gradients(self, gradients: &mut Gradients) -> Vec<Option<Tensor<1>>> {
        struct Take<'a>(Vec<Option<Tensor<1>>>, &'a mut Gradients);
        impl Change for Take<'_> {
            fn change<const D: usize>(&mut self, tensor: Tensor<D>) -> Tensor<D> {
                let count = tensor.dims().iter().product::<usize>();
                let flat = |gradient: Tensor<D>| at_least_f32(gradient).reshape([count]);
                self.0.push(tensor.grad_remove(self.1).map(flat));
                tensor
            }
        }
        let mut take = Take(Vec::new(), gradients);
        self.changed(&mut take);
        take.0
    }

    /// The values of all tensors, flat, on the plain device, in the order of [`take_gradients`](Self::take_gradients).
    pub fn values(&self) -> Vec<Tensor<1>> {
        struct Values(Vec<Tensor<1>>);
        impl Change for Values {
            fn change<const D: usize>(&mut self, tensor: Tensor<D>) -> Tensor<D> {
                let count = tensor.dims().iter().product::<usize>();
                self.0.push(tensor.clone().without_autodiff().reshape([count]));
                tensor
            }
        }
        let mut values = Values(Vec::new());
        self.clone().changed(&mut values);
        values.0
    }

    /// The same virtual tokens with other values, in the order of [`values`](Self::values) and of the same sizes: constants on
    /// the plain device.
    #[must_use]
    pub fn with_values(self, values: Vec<Tensor<1>>) -> Self {
        struct Replace(std::vec::IntoIter<Tensor<1>>);
        impl Change for Replace {
            fn change<const D: usize>(&mut self, tensor: Tensor<D>) -> Tensor<D> {
                match self.0.next() {
                    Some(values) => values.reshape(tensor.dims()),
                    None => tensor.without_autodiff(),
                }
            }
        }
        self.changed(&mut Replace(values.into_iter()))
    }

    /// `Σ v · g` over all tensors v and their gradients g, `[1]`: its gradient with respect to v is g. `None` if there are
    /// no gradients.
    ///
    /// # Panics
    ///
    /// Panics if the gradients are not those of tensors of these shapes, in this order.
    pub fn dot(&self, gradients: Vec<Option<Tensor<1>>>) -> Option<Tensor<1>> {
        struct Dot(std::vec::IntoIter<Option<Tensor<1>>>, Option<Tensor<1>>);
        impl Change for Dot {
            fn change<const D: usize>(&mut self, tensor: Tensor<D>) -> Tensor<D> {
                if let Some(Some(gradient)) = self.0.next() {
                    let gradient = gradient.reshape(tensor.dims()).autodiff();
                    let dot = (at_least_f32(tensor.clone()) * gradient).sum();
                    self.1 = Some(match self.1.take() {
                        Some(sum) => sum + dot,
                        None => dot,
                    });
                }
                tensor
            }
        }
        let mut dot = Dot(gradients.into_iter(), None);
        self.clone().changed(&mut dot);
        dot.1
    }
}
