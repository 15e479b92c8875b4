//! Settings of prefix tuning.

use peft_core::{
    ModelSpec, Result,
    methods::prefix::{self, MlpSizes, Placement, SiteLayers},
};
use serde::{Deserialize, Serialize};

/// Settings of [`PrefixTuning`](crate::PrefixTuning).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PrefixConfig {
    /// P: length of the prefix. Default 20; the paper finds 10 best for tables and 200 for summaries.
    pub num_virtual_tokens: usize,
    /// Whether an MLP makes the keys and values during training. Default true; without it they are free
    /// parameters, which the paper finds less stable to train.
    pub prefix_projection: bool,
    /// E: width of the MLP's input. Default `None`, for H, as in the paper; PEFT uses K * D.
    pub embedding_size: Option<usize>,
    /// M: width of the MLP's hidden layer. Default 512, as in the paper for tables (800 for summaries).
    pub hidden_size: usize,
    /// Dropout rate of the prefix's keys and values. Default 0, as in the paper.
    pub dropout: f64,
    /// On an encoder-decoder: the attention sites that get a prefix (default all three, as in the paper), and
    /// which positions follow it. On a decoder: whether it is an infix.
    #[serde(flatten)]
    pub placement: Placement,
}

impl Default for PrefixConfig {
    fn default() -> Self {
        Self::new(Self::DEFAULT_NUM_VIRTUAL_TOKENS)
    }
}

impl PrefixConfig {
    /// The default P.
    pub const DEFAULT_NUM_VIRTUAL_TOKENS: usize = 20;

    /// The default M.
    pub const DEFAULT_HIDDEN_SIZE: usize = prefix::DEFAULT_HIDDEN_SIZE;

    /// AdamW's default learning rate. An MLP amplifies each step, so with one it is smaller.
    pub const fn default_lr(prefix_projection: bool) -> f64 {
        prefix::default_lr(prefix_projection)
    }

    /// A prefix of P virtual tokens, made by the MLP.
    pub fn new(num_virtual_tokens: usize) -> Self {
        Self {
            num_virtual_tokens,
            prefix_projection: true,
            embedding_size: None,
            hidden_size: Self::DEFAULT_HIDDEN_SIZE,
            dropout: 0.0,
            placement: Placement::default(),
        }
    }

    /// Sets P.
    #[must_use]
    pub fn with_num_virtual_tokens(mut self, num_virtual_tokens: usize) -> Self {
        self.num_virtual_tokens = num_virtual_tokens;
        self
    }

    /// Sets whether an MLP makes the keys and values.
    #[must_use]
    pub fn with_prefix_projection(mut self, prefix_projection: bool) -> Self {
        self.prefix_projection = prefix_projection;
        self
    }

    /// Sets E, `None` for H.
    #[must_use]
    pub fn with_embedding_size(mut self, embedding_size: Option<usize>) -> Self {
        self.embedding_size = embedding_size;
        self
    }

    /// Sets M.
    #[must_use]
    pub fn with_hidden_size(mut self, hidden_size: usize) -> Self {
        self.hidden_size = hidden_size;
        self
    }

    /// Sets the dropout rate of the keys and values.
    #[must_use]
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.dropout = dropout;
        self
    }

    /// Sets where the prefix goes on an encoder-decoder, or in the row of a decoder.
    #[must_use]
    pub fn with_placement(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`](peft_core::Error::Setting) naming the field.
    pub fn validate(&self) -> Result<()> {
        prefix::check_settings(
            &[
                ("num_virtual_tokens", self.num_virtual_tokens),
                ("embedding_size", self.embedding_size.unwrap_or(1)),
                ("hidden_size", self.hidden_size),
            ],
            self.dropout,
        )
    }

    /// Sizes of the MLP for one attention site of a model.
    pub(crate) fn sizes(&self, spec: &ModelSpec, site: &SiteLayers) -> MlpSizes {
        MlpSizes {
            virtual_tokens: self.num_virtual_tokens,
            embedding: self.embedding_size.unwrap_or(spec.hidden_size),
            hidden: self.hidden_size,
            output: site.width(),
        }
    }
}
