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
