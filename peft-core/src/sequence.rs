//! One pass through a stack of layers: embedded rows, their positions, and who may see whom.

use std::cell::OnceCell;

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use crate::{
    batch::Mask,
    spec::Site,
    virtual_tokens::{LayerKeyValues, VirtualTokens},
};

/// A stack of layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The bidirectional stack.
    Encoder,
    /// The causal stack.
    Decoder,
}

/// What the decoder of an encoder-decoder reads.
#[derive(Clone, Debug)]
pub struct CrossInput {
    /// The encoder's output `[B, S, H]`, rows of a prompt included.
    pub hidden: Tensor<3>,
    /// Which of its positions are real, `[B, S]`.
    pub mask: Mask,
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
    /// Keys and values that precede the rows.
    pub past: VirtualTokens,
    /// The encoder's output, where this is the decoder of an encoder-decoder.
    pub cross: Option<CrossInput>,
    /// Whether the caller wants the keys and values of the rows themselves.
    pub keep_key_values: bool,
    /// Whether any key is hidden from any query, `true` = hidden: `[B or 1, 1, S, P + S]`.
    hidden: Option<Tensor<4, Bool>>,
    /// The same within a window, once a layer has asked for it. A model has one window at most.
    hidden_in_window: OnceCell<(usize, Option<Tensor<4, Bool>>)>,
    /// `[B, S]`.
    mask: Mask,
}

impl Sequence {
    /// Rows with their masks; positions follow from the masks.
    ///
    /// `mask` `[B, S]` tells which entries of `embeddings` are real.
    pub fn new(side: Side, embeddings: Tensor<3>, mask: &Mask, past: VirtualTokens) -> Self {
        let device = embeddings.device().without_autodiff();
        let past_mask = past.mask();
        Self {
            side,
            positions: positions(mask, &past_mask, &past, &device),
            token_types: None,
            cross: None,
            keep_key_values: false,
            hidden: hidden_keys(mask, &past_mask, side == Side::Decoder, None, &device),
            hidden_in_window: OnceCell::new(),
            mask: mask.clone(),
            embeddings,
            past,
        }
    }

    /// Keys and values that precede the rows in one layer of one site, `[1 or B, K, P, D]`.
    pub fn past(&self, site: Site, layer: usize) -> Option<&LayerKeyValues> {
        self.past.layer(site, layer)
    }

    /// Which keys are hidden (`true`) from which queries, `[B or 1, 1, S, columns]`, for a layer whose
    /// keys, its past ones included, have `columns` columns. `None` where all are visible.
    pub fn hidden_keys(&self, columns: usize) -> Option<Tensor<4, Bool>> {
        self.hidden.clone().map(|hidden| rightmost(hidden, columns))
    }

    /// As [`hidden_keys`](Self::hidden_keys) for a layer with a sliding window: a query at position q sees
    /// the keys at positions above `q - window`. Positions count virtual tokens, so these leave the window
    /// as other tokens do.
    pub fn hidden_keys_in_window(&self, columns: usize, window: usize) -> Option<Tensor<4, Bool>> {
        let compute = || {
            let device = self.embeddings.device().without_autodiff();
            let causal = self.side == Side::Decoder;
            hidden_keys(&self.mask, &self.past.mask(), causal, Some(window), &device)
        };
        let (known, hidden) = self.hidden_in_window.get_or_init(|| (window, compute()));
        let hidden = if *known == window { hidden.clone() } else { compute() };
        hidden.map(|hidden| rightmost(hidden, columns))
    }
}

/// The columns of a layer: one without virtual tokens has only the rightmost.
fn rightmost(hidden: Tensor<4, Bool>, columns: usize) -> Tensor<4, Bool> {
    let extra = hidden.dims()[3] - columns;
    if extra == 0 { hidden } else { hidden.narrow(3, extra, columns) }
}

/// What a stack of layers gives back.
#[derive(Clone, Debug)]
pub struct Run {
    /// Final hidden states `[B, S, H]`, after the last norm.
    pub hidden: Tensor<3>,
    /// Keys and values of the rows, a layer each `[B, K, S, D]`; empty unless they were asked for.
    pub key_values: Vec<LayerKeyValues>,
}

/// Position of every entry: the number of real entries, past ones included, that stand before it.
fn positions(
    mask: &Mask,
    past_mask: &Mask,
    past: &VirtualTokens,
    device: &Device,
) -> Tensor<2, Int> {
    use crate::virtual_tokens::PrefixPositions::Shifted;
    let mut values = Vec::with_capacity(mask.rows() * mask.len());
    for row in 0..mask.rows() {
        let before = past_mask.count(if past_mask.rows() == 1 { 0 } else { row });
        let mut next = if past.positions == Shifted { before as i64 } else { 0 };
        for real in mask.row(row) {
            values.push(if *real { next } else { 0 });
            next += i64::from(*real);
        }
    }
    Tensor::from_data(TensorData::new(values, [mask.rows(), mask.len()]), device)
}

/// The visibility matrix, or `None` where every key is visible to every query.
fn hidden_keys(
    mask: &Mask,
    past_mask: &Mask,
    causal: bool,
    window: Option<usize>,
    device: &Device,
) -> Option<Tensor<4, Bool>> {
    let queries = mask.len();
    let past_len = past_mask.len();
    // A window as long as the rows hides nothing.
    let window = window.filter(|window| *window < past_len + queries);
    let padded = !(mask.all() && past_mask.all());
    if !padded && window.is_none() && (!causal || queries <= 1) {
        return None;
    }
    // Without padding all rows see the same: one row is enough.
    let rows = if padded { mask.rows() } else { 1 };
    let mut hidden = Vec::with_capacity(rows * queries * (past_len + queries));
    for row in 0..rows {
        let past_row = past_mask.row(if past_mask.rows() == 1 { 0 } else { row });
        let keys: Vec<bool> = past_row.iter().chain(mask.row(row)).copied().collect();
        let positions: Vec<usize> = keys
            .iter()
            .scan(0, |next, real| {
                let position = *next;
                *next += usize::from(*real);
                Some(position)
            })
            .collect();
        for query in past_len..past_len + queries {
            let seen_from =
                window.map_or(0, |window| (positions[query] + 1).saturating_sub(window));
            hidden.extend(keys.iter().zip(&positions).enumerate().map(
                |(key, (real, position))| !real || causal && key > query || *position < seen_from,
            ));
        }
    }
    Some(Tensor::from_data(TensorData::new(hidden, [rows, 1, queries, past_len + queries]), device))
}
