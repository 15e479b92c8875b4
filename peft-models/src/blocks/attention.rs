//! Attention over `[virtual tokens | tokens]`.
//!
//! ```text
//! MHA (K = N)      GQA (K = 2, N = 4)
//! q0 q1 q2 q3      q0 q1 q2 q3
//! |  |  |  |        \ /   \ /
//! k0 k1 k2 k3       k0     k1
//! ```

use burn::tensor::{Bool, Tensor, activation::softmax};
use peft_core::{LayerKeyValues, Run, Sequence, Site, TokenCache};

use super::LayerInputs;
#[cfg(feature = "cpu")]
use crate::kernels::{self, attention::Scores};

/// Stands for minus infinity, so that a query that sees nothing (padding) gives no NaN.
const HIDDEN: f64 = -1e9;

/// Geometry of an attention block.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    /// N.
    pub query: usize,
    /// K.
    pub key_value: usize,
    /// D.
    pub size: usize,
}

impl Heads {
    /// `[B, S, heads * D]` to `[B, heads, S, D]`.
    fn split(&self, x: Tensor<3>, heads: usize) -> Tensor<4> {
        let [b, s, _] = x.dims();
        x.reshape([b, s, heads, self.size]).swap_dims(1, 2)
    }

    /// Queries `[B, S, N * D]` to `[B, N, S, D]`.
    pub fn split_queries(&self, x: Tensor<3>) -> Tensor<4> {
        self.split(x, self.query)
    }

    /// Keys or values `[B, S, K * D]` to `[B, K, S, D]`.
    pub fn split_key_values(&self, x: Tensor<3>) -> Tensor<4> {
        self.split(x, self.key_value)
    }

    /// `1 / sqrt(D)`, the usual scale of scores.
    pub fn scale(&self) -> f64 {
        (self.size as f64).powf(-0.5)
    }
}

/// The self-attention of one pass through a stack, layer after layer.
#[derive(Debug)]
pub struct SelfAttention<'a> {
    sequence: &'a Sequence,
    site: Site,
    recompute: bool,
    /// Tokens read before, where the caller of the pass wants them with the rows behind them.
    tokens: Option<TokenCache>,
    /// A window, and what it hides in layers with all columns. Models have one window at most.
    windowed: Option<(usize, Option<Tensor<4, Bool>>)>,
}

impl<'a> SelfAttention<'a> {
    /// Of the rows of `sequence` at `site`. With `recompute`, layers keep their inputs alone for the way back:
    /// see [`LayerInputs::run`].
    pub fn new(sequence: &'a mut Sequence, site: Site, recompute: bool) -> Self {
        let tokens = sequence.tokens.take();
        Self { sequence, site, recompute, tokens, windowed: None }
    }

    /// One layer, `body`, of rows `[B, S, H]`. With a window, a query sees the keys that stand fewer than so
    /// many positions before it.
    pub fn layer(
        &mut self,
        index: usize,
        x: Tensor<3>,
        window: Option<usize>,
        body: impl Fn(Tensor<3>, &mut LayerAttention) -> Tensor<3> + Send + Sync + 'static,
    ) -> Tensor<3> {
        let mut attention = self.of_layer(index, x.dims()[1], window);
        if attention.has_tokens() {
            let y = body(x, &mut attention);
            self.put_back(attention);
            return y;
        }
        let LayerAttention { past, hidden, .. } = attention;
        LayerInputs { x, past, encoded: None }.run(self.recompute, move |inputs| {
            body(inputs.x, &mut LayerAttention::new(inputs.past, hidden.clone()))
        })
    }

    /// That of one layer, of so many rows. It takes the tokens with it, see [`put_back`](Self::put_back).
    pub(super) fn of_layer(
        &mut self,
        index: usize,
        rows: usize,
        window: Option<usize>,
    ) -> LayerAttention {
        let past = self.sequence.past(self.site, index).cloned();
        let tokens = self.tokens.take();
        let read = tokens.as_ref().map_or(0, TokenCache::len);
        let columns = read + rows + past.as_ref().map_or(0, |past| past.key.dims()[2]);
        let hidden = match window {
            Some(window) => self.hidden_in_window(window, columns),
            None => self.sequence.hidden_keys(columns),
        };
        LayerAttention { tokens: tokens.map(|tokens| (index, tokens)), past, hidden }
    }

    /// What a window hides in a layer with so many columns.
    fn hidden_in_window(&mut self, window: usize, columns: usize) -> Option<Tensor<4, Bool>> {
        let hidden = match self.windowed.take().filter(|(known, _)| *known == window) {
            Some((_, hidden)) => hidden,
            None => self.sequence.hidden_keys_in_window(window),
        };
        self.windowed = Some((window, hidden.clone()));
        // A layer without virtual tokens has only the rightmost columns.
        hidden.map(|hidden| {
            let extra = hidden.dims()[3] - columns;
            hidden.narrow(3, extra, columns)
        })
    }

    /// Takes back the tokens that a layer took with it, the rows now behind them.
    pub(super) fn put_back(&mut self, layer: LayerAttention) {
        self.tokens = layer.tokens.map(|(_, tokens)| tokens);
    }

    /// The end of the pass, with `hidden` `[B, S, H]` as its output.
    pub fn finish(self, hidden: Tensor<3>) -> Run {
        Run { hidden, tokens: self.tokens, cross_key_values: Vec::new() }
    }
}

/// The self-attention of one layer.
#[derive(Debug)]
pub struct LayerAttention {
    past: Option<LayerKeyValues>,
    /// Which layer this is, and the tokens before the rows.
    tokens: Option<(usize, TokenCache)>,
    /// `[1 or B, 1, S, P + T + S]`.
    hidden: Option<Tensor<4, Bool>>,
}

impl LayerAttention {
    /// Of rows behind `past`, which see what is not `hidden`.
    pub(super) fn new(past: Option<LayerKeyValues>, hidden: Option<Tensor<4, Bool>>) -> Self {
        Self { past, tokens: None, hidden }
    }

    /// Keys and values that precede the rows, and which keys are hidden from which rows.
    pub(super) fn into_parts(self) -> (Option<LayerKeyValues>, Option<Tensor<4, Bool>>) {
        (self.past, self.hidden)
    }

    /// Whether there are tokens to take with the rows.
    pub(super) fn has_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// The rows' keys and values, behind those of the tokens before them.
    fn keep(&mut self, own: LayerKeyValues) -> LayerKeyValues {
        match &mut self.tokens {
            Some((layer, tokens)) => tokens.append(*layer, own),
            None => own,
        }
    }

    /// What the rows read from the layer's virtual tokens, the tokens before them and one another. `bias` gives a
    /// number for each query and key, `[1 or B, N, S, P + T + S]`; it is asked for with the number of keys.
    ///
    /// # Shapes
    ///
    /// - query: `[B, N, S, D]`
    /// - own: keys and values `[B, K, S, D]` each
    /// - output: `[B, S, N * D]`
    pub fn attend(
        &mut self,
        query: Tensor<4>,
        own: LayerKeyValues,
        scale: f64,
        bias: impl FnOnce(usize) -> Option<Tensor<4>>,
    ) -> Tensor<3> {
        let own = self.keep(own);
        attention(query, own, self.past.as_ref(), scale, bias, self.hidden.clone())
    }

    /// As [`attend`](Self::attend), of queries, keys and values that stand side by side, and without a bias.
    ///
    /// # Shapes
    ///
    /// - rows: `[B, S, (N + 2 K) D]`
    /// - output: `[B, S, N * D]`
    pub fn attend_joined(&mut self, rows: Tensor<3>, heads: Heads, scale: f64) -> Tensor<3> {
        let Heads { query: n, key_value: k, size: d } = heads;
        let part = |start: usize, count: usize| rows.clone().narrow(2, start * d, count * d);
        let own = || LayerKeyValues {
            key: heads.split_key_values(part(n, k)),
            value: heads.split_key_values(part(n + k, k)),
        };
        // Where the rows read nothing but virtual tokens and themselves, also if they are kept.
        #[cfg(feature = "cpu")]
        if self.tokens.as_ref().is_none_or(|(_, tokens)| tokens.gives_back(rows.dims()[1]))
            && kernels::serve(&rows)
        {
            let scores = Scores { scale, hidden: self.hidden.clone(), bias: None };
            let past = self.past.as_ref();
            if let Some(read) = kernels::attention::joined(rows.clone(), past, heads, scores) {
                if self.has_tokens() {
                    self.keep(own());
                }
                return read;
            }
        }
        self.attend(heads.split_queries(part(0, n)), own(), scale, |_| None)
    }
}

/// `softmax(scale q kᵀ + bias) v`, where k and v begin with those of the virtual tokens.
///
/// # Shapes
///
/// - query: `[B, N, S, D]`
/// - own: the keys and values of the rows, behind those of tokens before them: `[B, K, T + S, D]` each
/// - past: `[1 or B, K, P, D]` each
/// - bias: a number for each query and key, `[1 or B, N, S, P + T + S]`, asked for with the number of keys
/// - hidden: `[1 or B, 1, S, P + T + S]`, `true` where a query may not see a key; see
///   [`Sequence::hidden_keys`](peft_core::Sequence::hidden_keys)
/// - output: `[B, S, N * D]`
pub fn attention(
    query: Tensor<4>,
    own: LayerKeyValues,
    past: Option<&LayerKeyValues>,
    scale: f64,
    bias: impl FnOnce(usize) -> Option<Tensor<4>>,
    hidden: Option<Tensor<4, Bool>>,
) -> Tensor<3> {
    let [b, n, s, d] = query.dims();
    let bias = bias(own.key.dims()[2] + past.map_or(0, |past| past.key.dims()[2]));
    #[cfg(feature = "cpu")]
    if kernels::serve(&query) && kernels::serve(&own.key) {
        let scores = Scores { scale, hidden: hidden.clone(), bias: bias.clone() };
        if let Some(read) = kernels::attention::separate(query.clone(), own.clone(), past, scores) {
            return read;
        }
    }
    let join = |past: &Tensor<4>, own: Tensor<4>| {
        let [r, k, p, d] = past.dims();
        let past = if r == b { past.clone() } else { past.clone().expand([b, k, p, d]) };
        Tensor::cat(vec![past, own], 2)
    };
    let (key, value) = match past {
        None => (own.key, own.value),
        Some(past) => (join(&past.key, own.key), join(&past.value, own.value)),
    };
    let [_, k, columns, _] = key.dims();
    // The N / K queries that share a key are laid below one another, so no key is repeated.
    let query = query.mul_scalar(scale).reshape([b, k, n / k * s, d]);
    let mut scores = query.matmul(key.swap_dims(2, 3)).reshape([b, n, s, columns]);
    if let Some(bias) = bias {
        scores = scores + bias;
    }
    if let Some(hidden) = hidden {
        scores = scores.mask_fill(hidden.expand([b, n, s, columns]), HIDDEN);
    }
    let weights = softmax(scores, 3).reshape([b, k, n / k * s, columns]);
    weights.matmul(value).reshape([b, n, s, d]).swap_dims(1, 2).reshape([b, s, n * d])
}
