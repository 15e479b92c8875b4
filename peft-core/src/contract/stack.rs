//! One pass through a stack of layers: embedded rows, their positions, and who may see whom.

use burn::tensor::{Bool, Device, Int, Tensor};

use super::{
    batch::Mask,
    cross_input::CrossInput,
    spec::{Side, Site},
    token_cache::TokenCache,
    virtual_tokens::{LayerKeyValues, VirtualTokens},
    visibility::{Distances, Visibility, rightmost},
};

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
