//! Settings of P-tuning v2.

use peft_core::{
    ModelSpec, Result,
    methods::prefix::{self, MlpSizes, Placement, ResolvedPlacement, SiteLayers},
};
use serde::{Deserialize, Serialize};

/// Settings of [`PTuningV2`](crate::PTuningV2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PTuningV2Config {
    /// P: virtual tokens in each layer. Default 16; the paper recommends fewer than 20 for simple
    /// classification and about 100 for sequence labelling.
    pub num_virtual_tokens: usize,
    /// The layers that have virtual tokens, counted from 0, in rising order. Default `None`, for all; the
    /// later layers matter most.
    pub layers: Option<Vec<usize>>,
    /// Dropout rate of the keys and values. Default 0; the paper's code uses the model's own dropout, 0.1.
    pub dropout: f64,
    /// Whether an MLP makes the keys and values during training. Default false; the paper finds that it
    /// helps on some tasks and hurts on others.
    pub prefix_projection: bool,
    /// M: width of the MLP's hidden layer. Default 512.
    pub hidden_size: usize,
    /// On an encoder-decoder: the attention sites that get virtual tokens (default all three), and which
    /// positions follow them. On a decoder: whether they are an infix.
    #[serde(flatten)]
    pub placement: Placement,
}

impl Default for PTuningV2Config {
    fn default() -> Self {
        Self::new(Self::DEFAULT_NUM_VIRTUAL_TOKENS)
    }
}

impl PTuningV2Config {
    /// The default P.
    pub const DEFAULT_NUM_VIRTUAL_TOKENS: usize = 16;

    /// The default M.
    pub const DEFAULT_HIDDEN_SIZE: usize = prefix::DEFAULT_HIDDEN_SIZE;

    /// AdamW's default learning rate. An MLP amplifies each step, so with one it is smaller.
    pub const fn default_lr(prefix_projection: bool) -> f64 {
        prefix::default_lr(prefix_projection)
    }

    /// P virtual tokens in every layer.
    pub fn new(num_virtual_tokens: usize) -> Self {
        Self {
            num_virtual_tokens,
            layers: None,
            dropout: 0.0,
            prefix_projection: false,
            hidden_size: Self::DEFAULT_HIDDEN_SIZE,
            placement: Placement::default(),
        }
    }

    /// Sets P.
    #[must_use]
    pub fn with_num_virtual_tokens(mut self, num_virtual_tokens: usize) -> Self {
        self.num_virtual_tokens = num_virtual_tokens;
        self
    }

    /// Sets the layers, `None` for all.
    #[must_use]
    pub fn with_layers(mut self, layers: Option<Vec<usize>>) -> Self {
        self.layers = layers;
        self
    }

    /// Sets the dropout rate of the keys and values.
    #[must_use]
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.dropout = dropout;
        self
    }

    /// Sets whether an MLP makes the keys and values.
    #[must_use]
    pub fn with_prefix_projection(mut self, prefix_projection: bool) -> Self {
        self.prefix_projection = prefix_projection;
        self
    }

    /// Sets M.
    #[must_use]
    pub fn with_hidden_size(mut self, hidden_size: usize) -> Self {
        self.hidden_size = hidden_size;
        self
    }

    /// Sets where the virtual tokens go on an encoder-decoder, or in the row of a decoder.
    #[must_use]
    pub fn with_placement(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self
    }

    /// Checks the settings that need no model.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`](peft_core::Error::Setting) naming the field.
    pub fn validate(&self) -> Result<()> {
        prefix::check_settings(
            &[("num_virtual_tokens", self.num_virtual_tokens), ("hidden_size", self.hidden_size)],
            self.dropout,
        )
    }

    /// The attention sites and layers of a model that get virtual tokens.
    pub(crate) fn place(&self, spec: &ModelSpec) -> Result<ResolvedPlacement> {
        self.validate()?;
        self.placement.resolve(spec, self.layers.as_deref())
    }

    /// Sizes of the tensors for one attention site of a model.
    pub(crate) fn sizes(&self, spec: &ModelSpec, site: &SiteLayers) -> MlpSizes {
        MlpSizes {
            virtual_tokens: self.num_virtual_tokens,
            embedding: spec.hidden_size,
            hidden: self.hidden_size,
            output: site.width(),
        }
    }
}
