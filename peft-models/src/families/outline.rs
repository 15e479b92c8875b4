//! A model without its weights: what its config alone says of its sizes.

use peft_core::{HeadLayout, ModelSpec, Side, Site, SiteSpec, Task};

/// What a config says of a model: enough to count what the model costs, without a single weight.
#[derive(Clone, Debug)]
pub struct Outline {
    /// The geometry of its attention sites, H, V and the positions.
    pub spec: ModelSpec,
    /// F, the width of the feed-forward layers: of the encoder and of the decoder. A model of one stack has the same
    /// twice.
    pub inner: [usize; 2],
    /// Whether a second product gates what the first one makes (SwiGLU, T5 1.1).
    pub gated: bool,
    /// How many keys a query of each decoder layer sees at most; `None` if it sees all before it. Empty if no layer has
    /// a window.
    pub windows: Vec<Option<usize>>,
    /// The language-model head: what the config tells of, or what its weights have.
    pub lm_head: LmHead,
    /// Whether a frozen layer `[H, H]` stands between the encoder and a classifier of whole rows.
    pub pooler: bool,
    /// The layout of a trained head.
    pub head_layout: fn(Task) -> HeadLayout,
    /// Its parameters.
    pub parameters: Parameters,
}

/// The language-model head of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LmHead {
    /// There is none.
    None,
    /// It is the embedding.
    Tied,
    /// A matrix of its own, `[V, H]`.
    Own,
}

/// How many numbers a model has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// Those of the embedding, `V H`.
    pub embedding: usize,
    /// Those of the other matrices that products multiply with, the head among them.
    pub matrices: usize,
    /// The rows of all matrices, the embedding's too: each has a scale where it is kept in eight bits.
    pub channels: usize,
    /// All others: biases, norms, tables of positions.
    pub vectors: usize,
}

impl Parameters {
    /// Those of an embedding `[V, H]`.
    pub(super) fn of_embedding([vocab, h]: [usize; 2]) -> Self {
        Self { embedding: vocab.saturating_mul(h), channels: vocab, ..Self::default() }
    }

    /// All of them.
    pub fn total(&self) -> usize {
        self.embedding.saturating_add(self.matrices).saturating_add(self.vectors)
    }

    /// Adds a linear layer, with a bias or without.
    pub(super) fn linear(&mut self, [input, output]: [usize; 2], bias: bool) {
        self.add(
            1,
            Self {
                matrices: input.saturating_mul(output),
                channels: output,
                vectors: if bias { output } else { 0 },
                ..Self::default()
            },
        );
    }

    /// Adds tables or lists of so many numbers in all.
    pub(super) fn vector(&mut self, [rows, columns]: [usize; 2]) {
        let vectors = rows.saturating_mul(columns);
        self.add(1, Self { vectors, ..Self::default() });
    }

    /// Adds `count` times `other`. A config may name any sizes: what has no room in a number stays the largest one.
    fn add(&mut self, count: usize, other: Self) {
        let sum = |own: usize, other: usize| own.saturating_add(count.saturating_mul(other));
        self.matrices = sum(self.matrices, other.matrices);
        self.channels = sum(self.channels, other.channels);
        self.vectors = sum(self.vectors, other.vectors);
    }

    /// Adds `count` times what `part` adds.
    pub(super) fn repeat(&mut self, count: usize, part: impl FnOnce(&mut Self)) {
        let mut one = Self::default();
        part(&mut one);
        self.add(count, one);
    }

    /// Adds the head of a language model, if it has one of its own.
    pub(super) fn lm_head(&mut self, head: LmHead, [vocab, h]: [usize; 2]) {
        if head == LmHead::Own {
            self.linear([h, vocab], false);
        }
    }
}

impl Outline {
    /// F of a stack.
    pub fn inner(&self, side: Side) -> usize {
        match side {
            Side::Encoder => self.inner[0],
            Side::Decoder => self.inner[1],
        }
    }

    /// The largest F.
    pub fn widest(&self) -> usize {
        self.inner[0].max(self.inner[1])
    }

    /// The number of keys that a query of a decoder's layer sees at most, if there is a limit.
    pub fn window(&self, layer: usize) -> Option<usize> {
        self.windows.get(layer).copied().flatten()
    }

    /// Products of the feed-forward layers: two, or three where one of them is a gate.
    pub fn forward_matrices(&self) -> usize {
        if self.gated { 3 } else { 2 }
    }

    /// The self-attention of the stack that reads rows: the encoder's, or that of a decoder alone.
    pub fn reader(&self) -> Option<&SiteSpec> {
        let site = if self.spec.is_causal() { Site::DecoderSelf } else { Site::EncoderSelf };
        self.spec.site(site)
    }
}
