//! What the decoder of an encoder-decoder attends to.

use burn::tensor::{Bool, Tensor, TensorData};

use super::{
    mask::Mask,
    spec::Site,
    tensors::select_first,
    virtual_tokens::{LayerKeyValues, VirtualTokens},
    visibility::rightmost,
};

/// The cross-attention input of a decoder: the encoder's output, preceded by the virtual tokens of
/// the cross-attention.
#[derive(Clone, Debug)]
pub struct CrossInput {
    /// The encoder's output `[B, S, H]`, rows of a prompt included.
    pub hidden: Tensor<3>,
    /// Keys and values of the encoder's output, one `[B, K, S, D]` pair per layer, once a pass has
    /// computed them; empty before.
    pub key_values: Vec<LayerKeyValues>,
    past: VirtualTokens,
    /// `[B, P + S]`.
    mask: Mask,
}

impl CrossInput {
    /// Creates the input from the encoder's output, whose real entries are given by `mask`
    /// `[B, S]`, and the keys and values that `virtual_tokens` have for [`Site::Cross`], which
    /// precede it.
    pub fn new(hidden: Tensor<3>, mask: &Mask, virtual_tokens: &VirtualTokens) -> Self {
        let past = virtual_tokens.at(Site::Cross);
        let mask = past.mask().concat(mask);
        Self { hidden, key_values: Vec::new(), past, mask }
    }

    /// Returns the keys and values of virtual tokens in one layer, `[1 or B, K, P, D]`.
    pub fn past(&self, layer: usize) -> Option<&LayerKeyValues> {
        self.past.layer(Site::Cross, layer)
    }

    /// Returns which keys are hidden (`true`) from all queries, `[B, 1, 1, columns]`, for a layer
    /// with `columns` keys, its virtual tokens included. `None` if all are visible.
    pub fn hidden_keys(&self, columns: usize) -> Option<Tensor<4, Bool>> {
        if self.mask.all() {
            return None;
        }
        let (rows, all) = (self.mask.rows(), self.mask.len());
        let masked: Vec<bool> =
            (0..rows).flat_map(|row| self.mask.row(row).iter().map(|real| !real)).collect();
        let data = TensorData::new(masked, [rows, 1, 1, all]);
        let device = self.hidden.device().without_autodiff();
        Some(rightmost(Tensor::from_data(data, &device), columns))
    }

    /// Selects rows, in the given order.
    #[must_use]
    pub fn select_rows(&self, rows: &[usize]) -> Self {
        Self {
            hidden: select_first(self.hidden.clone(), rows),
            key_values: self.key_values.iter().map(|layer| layer.of_rows(rows)).collect(),
            past: self.past.select_rows(rows),
            mask: self.mask.select_rows(rows),
        }
    }
}
