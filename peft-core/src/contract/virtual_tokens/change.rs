//! What is done alike to each tensor of virtual tokens.

use burn::tensor::{DType, Device, Tensor};

use super::{Content, LayerKeyValues, VirtualTokens};

/// Something that is done to tensors of any rank.
pub(super) trait Change {
    fn change<const D: usize>(&mut self, tensor: Tensor<D>) -> Tensor<D>;
}

impl LayerKeyValues {
    pub(super) fn changed(&self, change: &mut impl Change) -> Self {
        Self { key: change.change(self.key.clone()), value: change.change(self.value.clone()) }
    }
}

impl VirtualTokens {
    /// The same virtual tokens with all tensors changed: those of the content in its order, and
    /// `last_hidden`.
    pub(super) fn changed(mut self, change: &mut impl Change) -> Self {
        match &mut self.content {
            Content::None => {}
            Content::Embeddings(rows) => *rows = change.change(rows.clone()),
            Content::KeyValues(sites) => {
                for layer in sites.iter_mut().flat_map(|site| site.layers.iter_mut().flatten()) {
                    *layer = layer.changed(change);
                }
            }
        }
        self.last_hidden = self.last_hidden.map(|hidden| change.change(hidden));
        self
    }

    /// Returns the same virtual tokens in another float type, differentiably.
    pub fn cast(self, dtype: DType) -> Self {
        struct Cast(DType);
        impl Change for Cast {
            fn change<const D: usize>(&mut self, tensor: Tensor<D>) -> Tensor<D> {
                if tensor.dtype() == self.0 { tensor } else { tensor.cast(self.0) }
            }
        }
        self.changed(&mut Cast(dtype))
    }

    /// Returns the same virtual tokens on another device.
    #[must_use]
    pub fn to_device(self, device: &Device) -> Self {
        struct Move<'a>(&'a Device);
        impl Change for Move<'_> {
            fn change<const D: usize>(&mut self, tensor: Tensor<D>) -> Tensor<D> {
                tensor.to_device(self.0)
            }
        }
        self.changed(&mut Move(device))
    }

    /// Returns the same virtual tokens as constants on the plain device, for evaluation.
    #[must_use]
    pub fn without_autodiff(self) -> Self {
        struct Plain;
        impl Change for Plain {
            fn change<const D: usize>(&mut self, tensor: Tensor<D>) -> Tensor<D> {
                tensor.without_autodiff()
            }
        }
        self.changed(&mut Plain)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::contract::{
        spec::Site,
        virtual_tokens::{SiteKeyValues, VirtualTokens},
    };

    /// What another device computes with: a copy cut off from what made it, whose leaves get gradients of their own.
    #[test]
    fn copies_on_a_device_have_the_same_values_and_gradients() {
        let device = Device::default();
        let trained = Tensor::<3>::from_floats([[[1.0, -2.0], [0.5, 4.0]]], &device);
        let trained = trained.autodiff().require_grad();
        let key_values = || {
            let key = trained.clone().unsqueeze::<4>();
            let layers = vec![None, Some(LayerKeyValues { value: key.clone() * 2.0, key })];
            VirtualTokens::key_values(vec![SiteKeyValues { site: Site::DecoderSelf, layers }])
        };
        for made in [VirtualTokens::embeddings(trained.clone() * 3.0), key_values()] {
            let last_hidden = Some(trained.clone() * 5.0);
            let made = VirtualTokens { last_hidden, infix: true, relative_bias: false, ..made };
            let copy = made.clone().without_autodiff().to_device(&device);
            assert_eq!((copy.len(), copy.mask()), (made.len(), made.mask()));
            let gradients = |own: VirtualTokens| -> Vec<Vec<f32>> {
                let leaves = own.leaves();
                // Twice its value is the gradient of each number.
                let mut squares = Squares(None);
                leaves.clone().changed(&mut squares);
                let mut gradients = squares.0.unwrap().backward();
                assert!(trained.grad(&gradients).is_none());
                let found = leaves.take_gradients(&mut gradients);
                found.into_iter().map(|own| own.unwrap().into_data().iter().collect()).collect()
            };
            // So has one that was taken apart, and put together from other values of these sizes.
            let other =
                copy.clone().with_values(copy.values().into_iter().map(|v| v * 0.0).collect());
            assert!(gradients(other.clone()).concat().iter().all(|number| *number == 0.0));
            assert!(other.infix && !other.relative_bias);
            assert!(!made.are_leaves() && other.are_leaves() && other.leaves().are_leaves());
            assert_eq!(gradients(other.with_values(made.values())), gradients(made.clone()));
            let found = gradients(copy);
            assert_eq!(found, gradients(made));
            assert_eq!(found.last().unwrap(), &[10.0, -20.0, 5.0, 40.0]);
        }
    }

    /// The sum of the squares of all numbers.
    struct Squares(Option<Tensor<1>>);

    impl Change for Squares {
        fn change<const D: usize>(&mut self, tensor: Tensor<D>) -> Tensor<D> {
            let own = (tensor.clone() * tensor.clone()).sum();
            self.0 = Some(match self.0.take() {
                Some(sum) => sum + own,
                None => own,
            });
            tensor
        }
    }
}
