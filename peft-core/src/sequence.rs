//! One pass through a stack of layers: embedded rows, their positions, and who may see whom.

use burn::tensor::{Bool, Device, Int, Tensor};

use crate::{
    batch::Mask,
    cache::TokenCache,
    frozen::select_first,
    spec::Site,
    virtual_tokens::{LayerKeyValues, VirtualTokens},
    visibility::{Visibility, rightmost},
};

pub use crate::visibility::Distances;

/// A stack of layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The bidirectional stack.
    Encoder,
    /// The causal stack.
    Decoder,
}

/// Embedded rows on their way through the layers of one stack.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// The stack.
    pub side: Side,
    /// Embedded rows `[B, S, H]`, without position or segment embeddings.
    pub embeddings: Tensor<3>,
    /// Position of each row's entries `[B, S]`, virtual tokens counted; 0 where padded.
    pub positions: Tensor<2, Int>,
    /// Segment ids `[B, S]`, where the batch has them.
    pub token_types: Option<Tensor<2, Int>>,
    /// Virtual tokens, whose keys and values come first in self-attention.
    pub past: VirtualTokens,
    /// Tokens read in earlier passes, which follow them, where the caller wants the keys and values of the rows
    /// themselves: see [`keep`](Self::keep).
    pub tokens: Option<TokenCache>,
    /// What the decoder of an encoder-decoder reads.
    pub cross: Option<CrossInput>,
    visibility: Visibility,
    /// Whether any key is hidden from any query, `true` = hidden: `[B or 1, 1, S, P + T + S]`.
    hidden: Option<Tensor<4, Bool>>,
    device: Device,
}

impl Sequence {
    /// Rows with their masks; positions follow from the masks.
    ///
    /// `mask` `[B, S]` tells which entries of `embeddings` are real.
    pub fn new(side: Side, embeddings: Tensor<3>, mask: &Mask, past: VirtualTokens) -> Self {
        Self::with(side, None, embeddings, mask, past)
    }

    /// Rows of a decoder behind the tokens that a cache has read behind `past`.
    pub fn after(
        tokens: TokenCache,
        embeddings: Tensor<3>,
        mask: &Mask,
        past: VirtualTokens,
    ) -> Self {
        Self::with(Side::Decoder, Some(tokens), embeddings, mask, past)
    }

    fn with(
        side: Side,
        tokens: Option<TokenCache>,
        embeddings: Tensor<3>,
        mask: &Mask,
        past: VirtualTokens,
    ) -> Self {
        let device = embeddings.device().without_autodiff();
        let nothing = Mask::full(1, 0);
        let read = tokens.as_ref().map_or(&nothing, TokenCache::mask);
        let visibility = Visibility::new(read, mask, &past, side == Side::Decoder);
        Self {
            side,
            positions: visibility.positions(mask.rows(), &device),
            token_types: None,
            cross: None,
            hidden: visibility.hidden(None, &device),
            embeddings,
            past,
            tokens,
            visibility,
            device,
        }
    }

    /// P + T + S: all keys that a layer with virtual tokens has.
    pub fn columns(&self) -> usize {
        self.visibility.columns()
    }

    /// Takes the rows' own keys and values `[B, K, S, D]` in a layer, and gives them behind those of the tokens read
    /// before, `[B, K, T + S, D]`, which the rows read too. Every layer has to call this once, in order.
    pub fn keep(&mut self, layer: usize, own: LayerKeyValues) -> LayerKeyValues {
        match &mut self.tokens {
            Some(tokens) => tokens.append(layer, own),
            None => own,
        }
    }

    /// Keys and values of the virtual tokens in one layer of one site, `[1 or B, K, P, D]`.
    pub fn past(&self, site: Site, layer: usize) -> Option<&LayerKeyValues> {
        self.past.layer(site, layer)
    }

    /// Which keys are hidden (`true`) from which queries, `[B or 1, 1, S, columns]`, for a layer whose
    /// keys, those before the rows included, have `columns` columns. `None` where all are visible.
    pub fn hidden_keys(&self, columns: usize) -> Option<Tensor<4, Bool>> {
        // A layer without virtual tokens has only the rightmost columns.
        self.hidden.clone().map(|hidden| rightmost(hidden, columns))
    }

    /// As [`hidden_keys`](Self::hidden_keys) where a query sees only keys less than `window` positions
    /// behind it, virtual tokens and cached ones among them. Built anew at each call: call it once a pass.
    pub fn hidden_keys_in_window(&self, window: usize) -> Option<Tensor<4, Bool>> {
        self.visibility.hidden(Some(window), &self.device)
    }

    /// How far each key stands from each query, for models with a relative position bias.
    pub fn distances(&self) -> Distances {
        self.visibility.distances()
    }
}

/// What the decoder of an encoder-decoder reads: the encoder's output, with the virtual tokens of the
/// cross-attention before it.
#[derive(Clone, Debug)]
pub struct CrossInput {
    /// The encoder's output `[B, S, H]`, rows of a prompt included.
    pub hidden: Tensor<3>,
    /// Keys and values of the encoder's output, a layer each `[B, K, S, D]`, once a pass has made them;
    /// empty before.
    pub key_values: Vec<LayerKeyValues>,
    past: VirtualTokens,
    /// `[B, P + S]`.
    mask: Mask,
}

impl CrossInput {
    /// The encoder's output, of which the entries of `mask` `[B, S]` are real, behind the keys and values
    /// that `virtual_tokens` have for [`Site::Cross`].
    pub fn new(hidden: Tensor<3>, mask: &Mask, virtual_tokens: &VirtualTokens) -> Self {
        let past = virtual_tokens.at(Site::Cross);
        let mask = past.mask().concat(mask);
        Self { hidden, key_values: Vec::new(), past, mask }
    }

    /// Keys and values of virtual tokens in one layer, `[1 or B, K, P, D]`.
    pub fn past(&self, layer: usize) -> Option<&LayerKeyValues> {
        self.past.layer(Site::Cross, layer)
    }

    /// Which keys are hidden (`true`) from all queries, `[B, 1, 1, columns]`, for a layer with `columns`
    /// of them, its virtual tokens included. `None` where all are visible.
    pub fn hidden_keys(&self, columns: usize) -> Option<Tensor<4, Bool>> {
        if self.mask.all() {
            return None;
        }
        let (rows, all) = (self.mask.rows(), self.mask.len());
        let hidden: Vec<bool> =
            (0..rows).flat_map(|row| self.mask.row(row).iter().map(|real| !real)).collect();
        let data = burn::tensor::TensorData::new(hidden, [rows, 1, 1, all]);
        let device = self.hidden.device().without_autodiff();
        Some(rightmost(Tensor::from_data(data, &device), columns))
    }

    /// Chosen rows, in the order given.
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

/// What a stack of layers gives back.
#[derive(Clone, Debug)]
pub struct Run {
    /// Final hidden states `[B, S, H]`, after the last norm.
    pub hidden: Tensor<3>,
    /// The tokens of the sequence with the rows behind them, where they were asked for.
    pub tokens: Option<TokenCache>,
    /// Keys and values of the encoder's output, a layer each, where they were asked for and the stack
    /// reads one.
    pub cross_key_values: Vec<LayerKeyValues>,
}
