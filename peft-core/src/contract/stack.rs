//! One pass through a stack of layers: embedded rows, their positions, and which keys each query
//! sees.

use std::{ops::Range, sync::OnceLock};

use burn::tensor::{Bool, Device, Int, Tensor};

use super::{
    attention_probe::PassProbe,
    batch::TokenBatch,
    block::Block,
    cross_input::CrossInput,
    layer_tape::LayerTape,
    mask::Mask,
    spec::{Side, Site},
    token_cache::TokenCache,
    virtual_tokens::{LayerKeyValues, VirtualTokens},
    visibility::{Distances, Visibility, rightmost},
};

/// The columns of each row that the last layer of an encoder computes where a classifier of whole rows reads one of them. They
/// are more than one because a product of fewer rows may add in another order.
pub const READ_COLUMNS: usize = 4;

/// The input of one stack of layers: embedded rows.
#[derive(Clone, Debug)]
pub struct StackInput {
    /// The stack.
    pub side: Side,
    /// Embedded rows `[B, S, H]`, without position or segment embeddings.
    pub embeddings: Tensor<3>,
    /// The position of each entry `[B, S]`, virtual tokens counted; 0 where padded, and -1 at a model's
    /// [`uncounted_token`](super::frozen::FrozenModel::uncounted_token).
    pub positions: Tensor<2, Int>,
    /// Segment ids `[B, S]`, if the batch has them.
    pub token_types: Option<Tensor<2, Int>>,
    /// Virtual tokens, whose keys and values come first in self-attention.
    pub past: VirtualTokens,
    /// Tokens read in earlier passes, which follow the virtual tokens; given if the caller wants
    /// the keys and values of the rows, see [`keep`](Self::keep).
    pub tokens: Option<TokenCache>,
    /// The decoder's cross-attention input, for encoder-decoders.
    pub cross: Option<CrossInput>,
    /// The hidden states that enter the first layer to run, in place of those that embeddings and lower layers compute. Not
    /// together with [`tokens`](Self::tokens).
    pub from: Option<LayerStates>,
    /// The first layer that is not to run: a model that stops there returns the hidden states that enter it as
    /// [`StackOutput::below`]. Not together with [`tokens`](Self::tokens).
    pub until: Option<usize>,
    /// The columns of the rows whose output is read, if not all are. Optional: a model that never uses it returns all of
    /// them, and one that does `[B, read.len(), H]`. Not together with [`tokens`](Self::tokens).
    pub read: Option<Range<usize>>,
    /// Records what the layers attend to. Optional: a model that never uses it records nothing.
    pub probe: Option<PassProbe>,
    /// Cuts the graph after each layer. Optional: a model that never uses it keeps the graph of its layers. Not together with
    /// [`tokens`](Self::tokens).
    pub tape: Option<LayerTape>,
    visibility: Visibility,
    /// Whether rows whose padding no token sees share one mask.
    shares_mask: bool,
    /// Which keys are masked, `true` = hidden from the query: `[B or 1, 1, S, P + T + S]`; `None` if
    /// none are. Made when a layer first asks.
    masked: OnceLock<Option<Tensor<4, Bool>>>,
    device: Device,
}

impl StackInput {
    /// Creates the input from rows and their mask, which determines the positions.
    ///
    /// `mask` `[B, S]` tells which entries of `embeddings` `[B, S, H]` are real.
    pub fn new(side: Side, embeddings: Tensor<3>, mask: &Mask, past: VirtualTokens) -> Self {
        let nothing = Mask::full(1, 0);
        let visibility = Visibility::new(&nothing, mask, &past, side == Side::Decoder);
        Self::with(side, None, embeddings, past, visibility)
    }

    /// Creates the input from packed rows of a decoder, shaped as for [`new`](Self::new): each of their `blocks` sees
    /// `past` and itself, and its positions follow those of `past`.
    pub fn packed(
        embeddings: Tensor<3>,
        mask: &Mask,
        blocks: &[Block],
        past: VirtualTokens,
    ) -> Self {
        let visibility = Visibility::packed(mask, blocks, &past);
        Self::with(Side::Decoder, None, embeddings, past, visibility)
    }

    /// Creates the input from rows of a decoder, shaped as for [`new`](Self::new), that follow the tokens of a cache, which
    /// follow `past`. If that is an infix, it stands among these tokens and the rows, where the cache says.
    pub fn after(
        tokens: TokenCache,
        embeddings: Tensor<3>,
        mask: &Mask,
        past: VirtualTokens,
    ) -> Self {
        let visibility = match tokens.infix(mask.rows()).filter(|_| past.infix) {
            Some(places) => Visibility::around(tokens.mask(), mask, places, &past),
            None => Visibility::new(tokens.mask(), mask, &past, true),
        };
        Self::with(Side::Decoder, Some(tokens), embeddings, past, visibility)
    }

    fn with(
        side: Side,
        tokens: Option<TokenCache>,
        embeddings: Tensor<3>,
        past: VirtualTokens,
        visibility: Visibility,
    ) -> Self {
        let device = embeddings.device().without_autodiff();
        Self {
            side,
            positions: visibility.positions(embeddings.dims()[0], &device),
            token_types: None,
            cross: None,
            from: None,
            until: None,
            read: None,
            probe: None,
            tape: None,
            shares_mask: false,
            masked: OnceLock::new(),
            embeddings,
            past,
            tokens,
            visibility,
            device,
        }
    }

    /// Lets rows share one mask where they are causal and padded on the right alone, see [`Visibility::masked_alike`].
    pub(crate) fn share_mask(&mut self) {
        self.shares_mask = true;
    }

    fn masked(&self, window: Option<usize>) -> Option<Tensor<4, Bool>> {
        match self.shares_mask {
            true => self.visibility.masked_alike(window, &self.device),
            false => self.visibility.masked(window, &self.device),
        }
    }

    /// Takes a token out of the count of positions in the rows of `batch` that have no prompt in front; `prompt` `[1 or B, P]`
    /// tells which rows of it are real.
    pub(crate) fn leave_uncounted(&mut self, token: u32, batch: &TokenBatch, prompt: &Mask) {
        if !batch.ids().contains(&token) {
            return;
        }
        let mut uncounted = Vec::with_capacity(batch.rows() * (prompt.len() + batch.len()));
        for row in 0..batch.rows() {
            let has_prompt = prompt.count(if prompt.rows() == 1 { 0 } else { row }) > 0;
            let ids = &batch.ids()[row * batch.len()..(row + 1) * batch.len()];
            uncounted.resize(uncounted.len() + prompt.len(), false);
            uncounted.extend(ids.iter().map(|id| *id == token && !has_prompt));
        }
        self.positions = self.visibility.positions_without(&uncounted, batch.rows(), &self.device);
    }

    /// P + T + S: the number of keys of a layer with virtual tokens.
    pub fn columns(&self) -> usize {
        self.visibility.columns()
    }

    /// Takes the rows' own keys and values `[B, K, S, D]` in a layer, and returns them after those
    /// of the tokens read before, `[B, K, T + S, D]`; the rows attend to all of these. Every layer
    /// must call this once, in order.
    pub fn keep(&mut self, layer: usize, own: LayerKeyValues) -> LayerKeyValues {
        match &mut self.tokens {
            Some(tokens) => tokens.append(layer, own),
            None => own,
        }
    }

    /// Returns the keys and values of the virtual tokens in one layer of one site,
    /// `[1 or B, K, P, D]`.
    pub fn past(&self, site: Site, layer: usize) -> Option<&LayerKeyValues> {
        self.past.layer(site, layer)
    }

    /// Returns which keys are hidden (`true`) from which queries, `[B or 1, 1, S, columns]`, for a
    /// layer with `columns` keys in all. `None` if all are visible.
    pub fn hidden_keys(&self, columns: usize) -> Option<Tensor<4, Bool>> {
        // A layer without virtual tokens has only the rightmost columns.
        let masked = self.masked.get_or_init(|| self.masked(None));
        masked.clone().map(|masked| rightmost(masked, columns))
    }

    /// As [`hidden_keys`](Self::hidden_keys), but a query sees only keys less than `window`
    /// positions before it, virtual and cached tokens included. Computed anew in each call: call it
    /// once per pass.
    pub fn hidden_keys_in_window(&self, window: usize) -> Option<Tensor<4, Bool>> {
        self.masked(Some(window))
    }

    /// Returns the distance of each key from each query, for models with a relative position bias.
    pub fn distances(&self) -> Distances {
        self.visibility.distances()
    }
}

/// What enters a layer.
#[derive(Clone, Debug)]
pub struct LayerStates {
    /// The layer; the number of layers for the states that leave the last one, after the final norm.
    pub layer: usize,
    /// Hidden states `[B, S, H]`.
    pub states: Tensor<3>,
}

/// The output of a stack of layers.
#[derive(Clone, Debug)]
pub struct StackOutput {
    /// Final hidden states `[B, S, H]`, after the final norm; of a model that uses [`StackInput::read`] only those columns.
    pub hidden: Tensor<3>,
    /// The tokens of the input followed by the rows, if they were requested.
    pub tokens: Option<TokenCache>,
    /// Keys and values of the encoder's output, one entry per layer, if they were requested and the
    /// stack reads one.
    pub cross_key_values: Vec<LayerKeyValues>,
    /// What enters the layer [`StackInput::until`], `[B, S, H]`; `None` if all layers ran. A model that returns it can
    /// also begin [`from`](StackInput::from) a layer.
    pub below: Option<Tensor<3>>,
}
