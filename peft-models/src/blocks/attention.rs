//! Attention over `[virtual tokens | tokens]`.
//!
//! ```text
//! MHA (K = N)      GQA (K = 2, N = 4)
//! q0 q1 q2 q3      q0 q1 q2 q3
//! |  |  |  |        \ /   \ /
//! k0 k1 k2 k3       k0     k1
//! ```

use std::ops::{ControlFlow, Range};

use burn::tensor::{Bool, Tensor, activation::softmax};
use peft_core::{
    LayerKeyValues, LayerProbe, LayerStates, PassProbe, Site, StackInput, StackOutput, TokenCache,
};

use super::layer::{Recompute, run_layer};
use crate::kernels::{self, Heads, LayerInputs, Scores};

/// The self-attention of one pass through a stack, layer after layer.
#[derive(Debug)]
pub struct SelfAttention<'a> {
    input: &'a StackInput,
    site: Site,
    recompute: Recompute,
    /// The cache of earlier tokens, if the caller of the pass wants it back with the rows appended.
    tokens: Option<TokenCache>,
    /// A window, and its mask in layers with all columns. Models have at most one window.
    windowed: Option<(usize, Option<Tensor<4, Bool>>)>,
    /// What enters the first layer to run, until it does.
    from: Option<LayerStates>,
    /// What enters the first layer that does not run any more, once the pass is there.
    below: Option<Tensor<3>>,
    /// Records what the layers attend to.
    probe: Option<PassProbe>,
    /// The columns whose output is read, if not all are.
    read: Option<Range<usize>>,
    /// The last layer, if it computes only these.
    last: Option<usize>,
}

impl<'a> SelfAttention<'a> {
    /// A pass of `input` at `site`. With `recompute`, or a tape, by gradient checkpointing, see [`Recompute`].
    pub fn new(input: &'a mut StackInput, site: Site, recompute: bool) -> Self {
        let tokens = input.tokens.take();
        let from = input.from.take();
        let (probe, read) = (input.probe.take(), input.read.take());
        let recompute = Recompute::new(recompute, input.tape.take(), &input.embeddings);
        Self {
            input,
            site,
            recompute,
            tokens,
            windowed: None,
            from,
            below: None,
            probe,
            read,
            last: None,
        }
    }

    /// Says how many layers there are, whose last one then computes only the columns that are [read](StackInput::read), see
    /// [`LayerAttention::read_of`].
    #[must_use]
    pub fn of_layers(mut self, count: usize) -> Self {
        self.last = count.checked_sub(1);
        self
    }

    /// Runs one layer, `body`, on rows `[B, S, H]`. With a window, a query sees the keys that are fewer than `window`
    /// positions before it.
    pub fn layer(
        &mut self,
        index: usize,
        x: Tensor<3>,
        window: Option<usize>,
        body: impl Fn(Tensor<3>, &mut LayerAttention) -> Tensor<3> + Send + Sync + 'static,
    ) -> Tensor<3> {
        let x = match self.enter(index, x) {
            ControlFlow::Continue(x) => x,
            ControlFlow::Break(x) => return x,
        };
        let mut attention = self.of_layer(index, x.dims()[1], window);
        if attention.has_tokens() {
            let y = body(x, &mut attention);
            self.put_back(attention);
            return y;
        }
        let LayerAttention { past, hidden, probe, read, .. } = attention;
        let inputs = LayerInputs { x, past, encoded: None };
        run_layer(inputs, &self.recompute, move |inputs| {
            let (hidden, probe) = (hidden.clone(), probe.clone());
            let attention = LayerAttention::new(inputs.past, hidden, probe);
            body(inputs.x, &mut LayerAttention { read: read.clone(), ..attention })
        })
    }

    /// What enters a layer, given what leaves the one below; a break if the layer does not run in this pass.
    pub(super) fn enter(
        &mut self,
        index: usize,
        x: Tensor<3>,
    ) -> ControlFlow<Tensor<3>, Tensor<3>> {
        if self.input.until.is_some_and(|until| index >= until) {
            self.below.get_or_insert_with(|| x.clone());
            return ControlFlow::Break(x);
        }
        match self.from.take_if(|from| from.layer <= index) {
            Some(from) => ControlFlow::Continue(from.states),
            None if self.from.is_some() => ControlFlow::Break(x),
            None => ControlFlow::Continue(x),
        }
    }

    /// The attention of one layer with `rows` rows. It takes the cache with it, see [`put_back`](Self::put_back).
    pub(super) fn of_layer(
        &mut self,
        index: usize,
        rows: usize,
        window: Option<usize>,
    ) -> LayerAttention {
        let past = self.input.past(self.site, index).cloned();
        let tokens = self.tokens.take();
        let read = tokens.as_ref().map_or(0, TokenCache::len);
        let columns = read + rows + past.as_ref().map_or(0, |past| past.key.dims()[2]);
        let hidden = match window {
            Some(window) => self.hidden_in_window(window, columns),
            None => self.input.hidden_keys(columns),
        };
        let probe = self.probe_at(self.site, index);
        let read = self.read.clone().filter(|_| self.last == Some(index));
        LayerAttention { tokens: tokens.map(|tokens| (index, tokens)), past, hidden, probe, read }
    }

    /// Whether layers run again in the backward pass.
    pub(super) fn recompute(&self) -> &Recompute {
        &self.recompute
    }

    /// What records the attention of one layer of one site, if something does.
    pub(super) fn probe_at(&self, site: Site, index: usize) -> Option<LayerProbe> {
        self.probe.as_ref().map(|probe| probe.at(site, index))
    }

    /// The mask of a window in a layer with `columns` columns.
    fn hidden_in_window(&mut self, window: usize, columns: usize) -> Option<Tensor<4, Bool>> {
        let hidden = match self.windowed.take().filter(|(known, _)| *known == window) {
            Some((_, hidden)) => hidden,
            None => self.input.hidden_keys_in_window(window),
        };
        self.windowed = Some((window, hidden.clone()));
        // A layer without virtual tokens has only the rightmost columns.
        hidden.map(|hidden| {
            let extra = hidden.dims()[3] - columns;
            hidden.narrow(3, extra, columns)
        })
    }

    /// Takes back the cache that a layer took with it, with the rows appended.
    pub(super) fn put_back(&mut self, layer: LayerAttention) {
        self.tokens = layer.tokens.map(|(_, tokens)| tokens);
    }

    /// The end of the pass, with `hidden` `[B, S, H]` as its output.
    pub fn finish(self, hidden: Tensor<3>) -> StackOutput {
        let (tokens, below) = (self.tokens, self.below);
        StackOutput { hidden, tokens, cross_key_values: Vec::new(), below }
    }
}

/// The self-attention of one layer.
#[derive(Debug)]
pub struct LayerAttention {
    past: Option<LayerKeyValues>,
    /// The index of the layer, and the cache of earlier tokens.
    tokens: Option<(usize, TokenCache)>,
    /// `[1 or B, 1, S, P + T + S]`, `true` where a query may not see a key.
    hidden: Option<Tensor<4, Bool>>,
    probe: Option<LayerProbe>,
    /// The columns whose output is read, if the layer computes no others.
    read: Option<Range<usize>>,
}

impl LayerAttention {
    /// The attention of rows that see `past` and themselves, except what is `hidden`.
    pub(super) fn new(
        past: Option<LayerKeyValues>,
        hidden: Option<Tensor<4, Bool>>,
        probe: Option<LayerProbe>,
    ) -> Self {
        Self { past, tokens: None, hidden, probe, read: None }
    }

    /// The keys and values before the rows, the mask, and what records the attention.
    pub(super) fn into_parts(
        self,
    ) -> (Option<LayerKeyValues>, Option<Tensor<4, Bool>>, Option<LayerProbe>) {
        (self.past, self.hidden, self.probe)
    }

    /// Whether there is a cache to append the rows to.
    pub(super) fn has_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// Those of the rows `[B, S, H]` that a layer computes: all, or the columns that are read of the last one.
    pub fn read_of(&self, x: Tensor<3>) -> Tensor<3> {
        match &self.read {
            Some(read) => x.narrow(1, read.start, read.len()),
            None => x,
        }
    }

    /// Appends the rows' keys and values to the cache; returns those of all tokens.
    fn keep(&mut self, own: LayerKeyValues) -> LayerKeyValues {
        match &mut self.tokens {
            Some((layer, tokens)) => tokens.append(*layer, own),
            None => own,
        }
    }

    /// The attention of the rows over the layer's virtual tokens, earlier tokens and one another. `bias`, a value per
    /// query and key, is called with the number of keys and returns `[1 or B, N, S, P + T + S]`.
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
        let scores = (scale, bias, self.hidden.clone());
        attention(query, own, self.past.as_ref(), scores, self.probe.as_ref())
    }

    /// As [`attend`](Self::attend), with queries, keys and values side by side, and without a bias.
    ///
    /// # Shapes
    ///
    /// - rows: `[B, S, (N + 2 K) D]`
    /// - output: `[B, S, N * D]`, of the last layer only what [is read](Self::read_of)
    pub fn attend_joined(&mut self, rows: Tensor<3>, heads: Heads, scale: f64) -> Tensor<3> {
        let Heads { query: n, key_value: k, size: d } = heads;
        let part = |start: usize, count: usize| rows.clone().narrow(2, start * d, count * d);
        let own = || LayerKeyValues {
            key: heads.split_key_values(part(n, k)),
            value: heads.split_key_values(part(n + k, k)),
        };
        if let Some(read) = self.read.clone() {
            let query = heads.split_queries(self.read_of(part(0, n)));
            let hidden = self.hidden.clone().map(|hidden| match hidden.dims()[2] {
                1 => hidden,
                _ => hidden.narrow(2, read.start, read.len()),
            });
            let scores = (scale, |_| None, hidden);
            return attention(query, own(), self.past.as_ref(), scores, None);
        }
        // Only if the rows see nothing but virtual tokens and themselves, also if they are cached. A probe needs the
        // weights, which this kernel never has in one place.
        if self.probe.is_none()
            && self
                .tokens
                .as_ref()
                .is_none_or(|(_, tokens)| tokens.returns_unchanged(rows.dims()[1]))
        {
            let scores = Scores { scale, hidden: self.hidden.clone(), bias: None };
            let past = self.past.as_ref();
            if let Some(read) = kernels::attend_joined(&rows, past, heads, &scores) {
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
/// - own: the keys and values of earlier tokens and the rows, `[B, K, T + S, D]` each
/// - past: `[1 or B, K, P, D]` each
/// - scale; bias: called with the number of keys, `[1 or B, N, S, P + T + S]`; hidden: `[1 or B, 1, S or 1, P + T + S]`,
///   `true` where a query may not see a key
/// - output: `[B, S, N * D]`
pub fn attention(
    query: Tensor<4>,
    own: LayerKeyValues,
    past: Option<&LayerKeyValues>,
    (scale, bias, hidden): (f64, impl FnOnce(usize) -> Option<Tensor<4>>, Option<Tensor<4, Bool>>),
    probe: Option<&LayerProbe>,
) -> Tensor<3> {
    let [b, n, s, d] = query.dims();
    let p = past.map_or(0, |past| past.key.dims()[2]);
    let bias = bias(own.key.dims()[2] + p);
    let scores = Scores { scale, hidden, bias };
    let joined = |past: Option<&Tensor<4>>, own: Tensor<4>| match past {
        None => own,
        Some(past) => {
            let [r, k, p, d] = past.dims();
            let past = if r == b { past.clone() } else { past.clone().expand([b, k, p, d]) };
            Tensor::cat(vec![past, own], 2)
        }
    };
    let key = |own: &LayerKeyValues| joined(past.map(|past| &past.key), own.key.clone());
    if let Some(probe) = probe {
        let weights = attention_weights(query.clone(), key(&own), &scores);
        probe.record(weights, scores.hidden.as_ref(), p);
    }
    if let Some(read) = kernels::attend(&query, &own, past, &scores) {
        return read;
    }
    let key = key(&own);
    let [_, k, columns, _] = key.dims();
    let weights = attention_weights(query, key, &scores).reshape([b, k, n / k * s, columns]);
    let value = joined(past.map(|past| &past.value), own.value);
    weights.matmul(value).reshape([b, n, s, d]).swap_dims(1, 2).reshape([b, s, n * d])
}

/// `softmax(scale q kᵀ + bias)`, 0 for keys that are hidden.
///
/// # Shapes
///
/// - query: `[B, N, S, D]`
/// - key: those of the virtual tokens and all others, `[B, K, P + T + S, D]`
/// - output: `[B, N, S, P + T + S]`
fn attention_weights(query: Tensor<4>, key: Tensor<4>, scores: &Scores) -> Tensor<4> {
    let [b, n, s, d] = query.dims();
    let [_, k, columns, _] = key.dims();
    // The N / K query heads that share a key head become rows of one matrix, so no key is repeated.
    let query = query.mul_scalar(scores.scale).reshape([b, k, n / k * s, d]);
    let mut products = query.matmul(key.swap_dims(2, 3)).reshape([b, n, s, columns]);
    if let Some(bias) = &scores.bias {
        products = products + bias.clone();
    }
    if let Some(hidden) = &scores.hidden {
        let hidden = hidden.clone().expand([b, n, s, columns]);
        let score = Scores::hidden_in(products.dtype());
        products = products.mask_fill(hidden, score);
    }
    softmax(products, 3)
}
