//! A training step, as far as it decides what the step costs.

use peft_core::Site;

use crate::{families::Outline, kernels::parts};

/// The rows of a batch, padded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// B.
    pub rows: u64,
    /// Tokens of a row that the only stack reads, or the encoder.
    pub tokens: u64,
    /// Tokens of a row that the decoder of an encoder-decoder reads.
    pub decoder_tokens: u64,
    /// Positions of all rows with something to predict, M.
    pub targets: u64,
}

/// Where virtual tokens enter a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placing {
    /// There are none: a head is trained alone.
    Nothing,
    /// In front of the embedded rows.
    Prompt,
    /// As keys and values in these layers of these attention sites.
    KeyValues(Vec<(Site, Vec<usize>)>),
}

/// What is trained beside a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    /// P.
    pub virtual_tokens: usize,
    /// Where they enter.
    pub placing: Placing,
    /// The numbers of the matrices of the MLP or LSTM that makes the virtual tokens; each is multiplied with every virtual
    /// token. 0 if they are trained themselves.
    pub network: usize,
    /// All parameters that are trained, without the head's.
    pub trained: usize,
}

impl Method {
    /// The numbers that one virtual token has: H in a prompt, otherwise a key and a value in each layer that it enters.
    pub fn width(&self, outline: &Outline) -> usize {
        match &self.placing {
            Placing::Nothing => 0,
            Placing::Prompt => outline.spec.hidden_size,
            Placing::KeyValues(sites) => {
                let of_site = |(site, layers): &(Site, Vec<usize>)| {
                    outline.spec.site(*site).map_or(0, |site| site.kv_width() * layers.len())
                };
                sites.iter().map(of_site).sum()
            }
        }
    }

    /// The layers of a site that have keys and values.
    pub(super) fn layers_of(&self, wanted: Site) -> &[usize] {
        match &self.placing {
            Placing::KeyValues(sites) => {
                let found = sites.iter().find(|(site, _)| *site == wanted);
                found.map_or(&[], |(_, layers)| layers)
            }
            Placing::Nothing | Placing::Prompt => &[],
        }
    }

    /// The first layer of the stack that reads rows which something trained reaches; `None` if there is none.
    pub fn first_layer(&self, outline: &Outline) -> Option<usize> {
        let reader = outline.reader()?;
        match &self.placing {
            Placing::Nothing => None,
            Placing::Prompt => Some(0),
            Placing::KeyValues(_) => {
                Some(self.layers_of(reader.site).iter().copied().min().unwrap_or(reader.num_layers))
            }
        }
    }
}

/// A head that is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrainedHead {
    /// C.
    pub classes: usize,
    /// Whether it has a hidden layer `[H, H]`.
    pub hidden: bool,
    /// Whether it reads whole rows, behind the pooler of a model that has one.
    pub reads_rows: bool,
}

impl TrainedHead {
    /// Its parameters on a model, biases left out.
    pub fn matrices(&self, h: usize) -> usize {
        self.classes * h + if self.hidden { h * h } else { 0 }
    }
}

/// What computes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Executor {
    /// The kernels of the CPU, on so many threads.
    Kernels {
        /// Threads.
        threads: usize,
    },
    /// Burn's general operations, on any device.
    General,
}

impl Executor {
    /// Into how many slices a batch is divided.
    pub(super) fn slices(self, positions: u64, rows: u64) -> u64 {
        let slices = match self {
            Self::Kernels { .. } => parts::slices(usize::try_from(positions).unwrap_or(usize::MAX)),
            Self::General => 1,
        };
        (slices as u64).clamp(1, rows.max(1))
    }

    /// How many slices are computed side by side.
    pub(super) fn workers(self) -> u64 {
        match self {
            Self::Kernels { threads } => threads.max(1) as u64,
            Self::General => 1,
        }
    }

    /// How many logits of rows are in memory at a time, with a head that is multiplied in f32 or as a copy in bf16.
    pub(super) fn logits(self, rows: u64, vocabulary: u64, in_bf16: bool) -> u64 {
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let (own_rows, classes) = (size(rows), size(vocabulary));
        let parts = match (self, in_bf16) {
            (Self::General, _) => return rows.saturating_mul(vocabulary),
            (Self::Kernels { .. }, false) => parts::logit_parts(own_rows, classes),
            (Self::Kernels { .. }, true) => parts::logit_parts_bf16(own_rows, classes),
        };
        parts.at_once(own_rows, classes) as u64
    }
}

/// A training step.
#[derive(Clone, Debug)]
pub struct Step<'a> {
    /// The model.
    pub outline: &'a Outline,
    /// What is trained.
    pub method: &'a Method,
    /// The head that is trained with it; `None` for a language model, whose own head is used.
    pub head: Option<TrainedHead>,
    /// One batch.
    pub batch: Batch,
    /// How many batches the step has.
    pub batches: u64,
    /// Whether layers are computed again in the backward pass.
    pub recompute: bool,
    /// What computes it.
    pub executor: Executor,
}

impl Step<'_> {
    /// The virtual tokens that each row has among its positions: those of a prompt, where tokens see what follows.
    pub(super) fn in_front(&self) -> usize {
        match self.method.placing {
            Placing::Prompt if !self.outline.spec.is_causal() => self.method.virtual_tokens,
            _ => 0,
        }
    }

    /// Into how many slices each batch is divided.
    pub fn slices(&self) -> u64 {
        let Batch { rows, tokens, decoder_tokens, .. } = self.batch;
        let positions = rows * (tokens + decoder_tokens + self.in_front() as u64);
        self.executor.slices(positions, rows)
    }
}
