//! The operations of one pass through a stack of layers, forward and backward.
//!
//! A product of n positions with a frozen matrix `[a, b]` takes `2 n a b` operations forward, and as many backward, for the
//! gradient of its input alone, where that input depends on something trained: a frozen matrix has no gradient. What depends
//! on something trained is followed from layer to layer as automatic differentiation does.

use peft_core::{Side, SiteSpec};

use super::work::Work;
use crate::{families::Outline, kernels::parts::QUERIES};

/// Virtual tokens whose keys and values some layers have.
#[derive(Clone, Copy, Debug)]
pub(super) enum Past<'a> {
    /// No layer.
    None,
    /// Every layer has those of so many.
    All(usize),
    /// These layers have.
    Layers(usize, &'a [usize]),
}

impl Past<'_> {
    /// How many a layer has.
    fn of(self, layer: usize) -> usize {
        match self {
            Self::None => 0,
            Self::All(p) => p,
            Self::Layers(p, layers) if layers.contains(&layer) => p,
            Self::Layers(..) => 0,
        }
    }
}

/// What a decoder reads from an encoder.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read<'a> {
    pub site: &'a SiteSpec,
    /// Positions of the encoder, in each row.
    pub encoded: usize,
    /// Whether they depend on something trained.
    pub tracked: bool,
    pub past: Past<'a>,
}

/// A pass through a stack.
#[derive(Clone, Copy, Debug)]
pub(super) struct StackPass<'a> {
    pub outline: &'a Outline,
    pub side: Side,
    /// Its self-attention.
    pub site: &'a SiteSpec,
    pub rows: u64,
    /// Positions in each row.
    pub queries: usize,
    /// Whether they see only what is before them.
    pub causal: bool,
    pub past: Past<'a>,
    pub read: Option<Read<'a>>,
    /// Whether what enters the first layer depends on something trained.
    pub tracked: bool,
    /// Whether what leaves the last layer is read; otherwise only its keys and values are, and have gradients.
    pub output_read: bool,
    /// The positions of each row that the last layer computes behind its keys and values; all, if it is the number of
    /// queries.
    pub computed: usize,
    pub recompute: bool,
    /// Whether the kernels compute it.
    pub kernels: bool,
}

/// What a pass costs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Products with the matrices of layers that something trained reaches.
    pub forward: Work,
    pub backward: Work,
    /// Those that are made a second time.
    pub again: Work,
    /// Products of queries, keys, weights and values.
    pub attention: Work,
    /// All that layers take which nothing trained reaches.
    pub frozen: Work,
    /// Norms, activations and the like.
    pub elements: Work,
    /// Whether what leaves the stack depends on something trained.
    pub tracked: bool,
}

/// Numbers of a layer that are written and read where they are made, in passes over them: once forward; where there is a
/// backward pass, also their gradients, and they themselves.
const PASSES_FORWARD: f64 = 2.0;
const PASSES_BACKWARD: f64 = 3.0;

impl StackPass<'_> {
    pub(super) fn tally(&self) -> Tally {
        let h = self.outline.spec.hidden_size as f64;
        let positions = self.rows as f64 * self.queries as f64;
        let inner = self.outline.inner(self.side) as f64;
        let forward_matrices = self.outline.forward_matrices() as f64 * h * inner;
        let mut tally = Tally { tracked: self.tracked, ..Tally::default() };
        for layer in 0..self.site.num_layers {
            let mut cost = Layer { kernels: self.kernels, ..Layer::default() };
            let is_last = layer + 1 == self.site.num_layers;
            // Of the positions, those that go on behind the keys and values.
            let share = match is_last {
                true => self.computed as f64 / self.queries.max(1) as f64,
                false => 1.0,
            };
            let mut x = tally.tracked;
            // Queries, keys and values of the rows themselves.
            let joined = h * (self.site.num_heads as f64 * self.site.head_dim as f64)
                + h * self.site.kv_width() as f64;
            let output = h * (self.site.num_heads * self.site.head_dim) as f64;
            cost.linear(positions, joined, x);
            let of_key_values = cost.backward;
            let past = self.past.of(layer);
            let own = self.own_scores(self.outline.window(layer));
            let pairs = [own, self.pairs(past)].map(|pairs| pairs * share);
            cost.attention(self.site, self.rows as f64, pairs, [x, x]);
            x |= past > 0;
            cost.linear(positions * share, output, x);
            if let Some(read) = &self.read {
                cost.linear(positions, output, x);
                let of_encoder = self.rows as f64 * read.encoded as f64;
                cost.linear(of_encoder, h * read.site.kv_width() as f64, read.tracked);
                let past = read.past.of(layer);
                let pairs = [self.pairs(read.encoded), self.pairs(past)];
                cost.attention(read.site, self.rows as f64, pairs, [x, read.tracked]);
                x |= read.tracked || past > 0;
                cost.linear(positions, output, x);
            }
            cost.linear(positions * share, forward_matrices, x);
            if !self.output_read && is_last {
                cost.backward = of_key_values;
                cost.attention_backward = Work::default();
            }
            let moved = PASSES_FORWARD * positions * self.made();
            tally.tracked = x;
            if !x {
                tally.frozen += cost.forward + cost.attention_forward;
                tally.elements += Work::moved(moved);
                continue;
            }
            let back = PASSES_BACKWARD * positions * self.made();
            tally.forward += cost.forward;
            tally.backward += cost.backward;
            tally.attention += cost.attention_forward + cost.attention_backward;
            tally.elements += Work::moved(moved + back);
            if self.recompute {
                tally.again += cost.forward + cost.attention_forward;
                tally.elements += Work::moved(moved);
            }
        }
        tally
    }

    /// Queries of a row times `keys` that each of them sees.
    fn pairs(&self, keys: usize) -> f64 {
        self.queries as f64 * keys as f64
    }

    /// Queries of a row times the keys of the row that they are multiplied with. The kernels take queries in blocks, and
    /// for each of these the keys from the first to the last that any of them sees; general operations take all.
    fn own_scores(&self, window: Option<usize>) -> f64 {
        if !self.causal || !self.kernels {
            return self.pairs(self.queries);
        }
        let blocks = (0..self.queries).step_by(QUERIES);
        let of_block = |start: usize| {
            let end = (start + QUERIES).min(self.queries);
            let first = window.map_or(0, |window| (start + 1).saturating_sub(window));
            (end - start) as f64 * (end - first) as f64
        };
        blocks.map(of_block).sum()
    }

    /// Numbers that a layer makes for each position: what both norms, queries, keys and values, the attention, its output
    /// layer, the feed-forward layer and its activation leave.
    fn made(&self) -> f64 {
        let heads = (self.site.num_heads * self.site.head_dim) as f64;
        let h = self.outline.spec.hidden_size as f64;
        let of_cross = if self.read.is_some() { 2.0 * heads + 2.0 * h } else { 0.0 };
        let inner = self.outline.forward_matrices() as f64 * self.outline.inner(self.side) as f64;
        4.0 * h + 2.0 * heads + self.site.kv_width() as f64 + inner + of_cross
    }
}

/// What one layer costs.
#[derive(Clone, Copy, Debug, Default)]
struct Layer {
    kernels: bool,
    forward: Work,
    backward: Work,
    attention_forward: Work,
    attention_backward: Work,
}

impl Layer {
    /// A product of so many positions with a matrix of `weights` numbers, whose input is `tracked` or not.
    fn linear(&mut self, positions: f64, weights: f64, tracked: bool) {
        let product = Work::product(positions, weights);
        self.forward += product;
        if tracked {
            self.backward += product;
        }
    }

    /// The attention of `rows` rows, with so many pairs of a query and a key of a row's own and of virtual tokens.
    /// `tracked`: whether its queries, and its own keys and values, depend on something trained; virtual ones always do.
    fn attention(&mut self, site: &SiteSpec, rows: f64, [own, past]: [f64; 2], tracked: [bool; 2]) {
        let unit = 2.0 * rows * (site.num_heads * site.head_dim) as f64;
        let all = own + past;
        // Scores, and their sum over values.
        self.attention_forward += Work::operations(unit * 2.0 * all);
        let [queries, keys] = tracked;
        let backward = match self.kernels {
            _ if !queries && !keys && past == 0.0 => 0.0,
            // Scores again, gradients of the weights, of queries, of keys and of values: all of them, if one is wanted.
            true if queries || keys => 5.0 * all,
            // Scores again and gradients of the weights; of keys and values the virtual ones alone.
            true => 2.0 * all + 2.0 * past,
            // Weights are kept, and have gradients. Keys and values are one tensor with the virtual ones.
            false => {
                let of_queries = if queries { 1.0 } else { 0.0 };
                let of_keys_and_values = if keys || past > 0.0 { 2.0 } else { 0.0 };
                (1.0 + of_queries + of_keys_and_values) * all
            }
        };
        self.attention_backward += Work::operations(unit * backward);
    }
}
