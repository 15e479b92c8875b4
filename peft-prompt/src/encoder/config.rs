//! Settings of the encoder of a prompt.

use peft_core::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The layers that make a prompt W `[P, H]` from a trained matrix Z `[P, H]` while it is trained
/// (P-tuning, Liu et al. 2021, <https://arxiv.org/abs/2103.10385>). Afterwards only W is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum EncoderConfig {
    /// Linear, ReLU, Linear, ReLU, Linear.
    Mlp {
        /// M: width of both hidden layers. Default `None`, for H.
        #[serde(default)]
        hidden_size: Option<usize>,
    },
    /// A bidirectional LSTM over the P rows, then Linear, ReLU, Linear.
    Lstm {
        /// M: width of each direction of the LSTM, half of that of the hidden linear layer. Default `None`, for H.
        #[serde(default)]
        hidden_size: Option<usize>,
        /// Layers of the LSTM. Default 2.
        #[serde(default = "default_num_layers")]
        num_layers: usize,
        /// Dropout rate between the layers of the LSTM. Default 0.
        #[serde(default)]
        dropout: f64,
    },
}

fn default_num_layers() -> usize {
    EncoderConfig::DEFAULT_NUM_LAYERS
}

impl EncoderConfig {
    /// The default number of layers of the LSTM.
    pub const DEFAULT_NUM_LAYERS: usize = 2;

    /// The default dropout rate between them.
    pub const DEFAULT_DROPOUT: f64 = 0.0;

    /// An MLP of width H.
    pub fn mlp() -> Self {
        Self::Mlp { hidden_size: None }
    }

    /// An LSTM of two layers and width H, without dropout.
    pub fn lstm() -> Self {
        Self::Lstm {
            hidden_size: None,
            num_layers: Self::DEFAULT_NUM_LAYERS,
            dropout: Self::DEFAULT_DROPOUT,
        }
    }

    /// Sets M, `None` for H.
    #[must_use]
    pub fn with_hidden_size(mut self, size: Option<usize>) -> Self {
        match &mut self {
            Self::Mlp { hidden_size } | Self::Lstm { hidden_size, .. } => *hidden_size = size,
        }
        self
    }

    /// M on a model of hidden size H.
    pub fn hidden_size(&self, h: usize) -> usize {
        match self {
            Self::Mlp { hidden_size } | Self::Lstm { hidden_size, .. } => hidden_size.unwrap_or(h),
        }
    }

    /// Layers of the LSTM and the dropout rate between them. An MLP has none, and the numbers that PEFT stores for it:
    /// its defaults.
    pub fn layers(&self) -> (usize, f64) {
        match self {
            Self::Mlp { .. } => (Self::DEFAULT_NUM_LAYERS, Self::DEFAULT_DROPOUT),
            Self::Lstm { num_layers, dropout, .. } => (*num_layers, *dropout),
        }
    }

    /// The number of parameters of the layers on a model of hidden size H; those of Z are `P * H` more.
    /// The largest number where it would be larger still.
    pub fn num_params(&self, h: usize) -> usize {
        let m = self.hidden_size(h);
        let linear =
            |inputs: usize, outputs: usize| inputs.saturating_add(1).saturating_mul(outputs);
        match self {
            Self::Mlp { .. } => {
                linear(h, m).saturating_add(linear(m, m)).saturating_add(linear(m, h))
            }
            Self::Lstm { num_layers, .. } => {
                let wide = m.saturating_mul(2);
                // Two directions of four gates, each with an input's and a hidden state's part.
                let of_layer = |inputs: usize| {
                    linear(inputs, m).saturating_add(linear(m, m)).saturating_mul(8)
                };
                let later = of_layer(wide).saturating_mul(num_layers.saturating_sub(1));
                of_layer(h)
                    .saturating_add(later)
                    .saturating_add(linear(wide, wide))
                    .saturating_add(linear(wide, h))
            }
        }
    }

    /// The fields of PEFT's config for `P_TUNING`, on a model of hidden size H.
    pub fn peft_fields(&self, h: usize) -> Map<String, Value> {
        let (num_layers, dropout) = self.layers();
        let kind = match self {
            Self::Mlp { .. } => "MLP",
            Self::Lstm { .. } => "LSTM",
        };
        Map::from_iter([
            ("encoder_reparameterization_type".to_string(), json!(kind)),
            ("encoder_hidden_size".to_string(), json!(self.hidden_size(h))),
            ("encoder_num_layers".to_string(), json!(num_layers)),
            ("encoder_dropout".to_string(), json!(dropout)),
        ])
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming PEFT's field: `encoder_hidden_size`, `encoder_num_layers` or `encoder_dropout`.
    pub fn validate(&self) -> Result<()> {
        let refuse = |field: &str, message: String| Err(Error::setting(field, message));
        let (num_layers, dropout) = self.layers();
        // H is at least 1.
        if self.hidden_size(1) == 0 {
            return refuse("encoder_hidden_size", "found 0, expected at least 1".into());
        }
        if num_layers == 0 {
            return refuse("encoder_num_layers", "found 0, expected at least 1".into());
        }
        if !(0.0..1.0).contains(&dropout) {
            let message = format!("found {dropout}, expected a number from 0 to below 1");
            return refuse("encoder_dropout", message);
        }
        if dropout > 0.0 && num_layers == 1 {
            let message = format!(
                "found {dropout}, but it is for what one layer of the LSTM hands to the next, and there is one: \
                 give 0, or more layers"
            );
            return refuse("encoder_dropout", message);
        }
        Ok(())
    }
}
