//! Settings of P-tuning v2.

use peft_core::{Error, ModelSpec, Result, SiteSpec, reparameterization::MlpSizes};
use serde::{Deserialize, Serialize};

/// Settings of [`PTuningV2`](crate::PTuningV2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PTuningV2Config {
    /// P: virtual tokens in each layer; 20. The paper: below 20 for simple classification, about 100 for
    /// sequence labelling.
    pub num_virtual_tokens: usize,
    /// The layers that have virtual tokens, counted from 0, in rising order; all where not given. The
    /// later layers matter most.
    pub layers: Option<Vec<usize>>,
    /// Share of the keys and values that a training step leaves out; 0. The paper's code has the model's
    /// own dropout here, 0.1.
    pub dropout: f64,
    /// Whether keys and values come from an MLP while training lasts; false. The paper finds that it helps
    /// on some tasks and hurts on others.
    pub prefix_projection: bool,
    /// M: width of the MLP's hidden layer; 512.
    pub hidden_size: usize,
}

impl Default for PTuningV2Config {
    fn default() -> Self {
        Self::new(20)
    }
}

impl PTuningV2Config {
    /// P virtual tokens in every layer.
    pub fn new(num_virtual_tokens: usize) -> Self {
        Self {
            num_virtual_tokens,
            layers: None,
            dropout: 0.0,
            prefix_projection: false,
            hidden_size: 512,
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

    /// Sets the dropout of keys and values.
    #[must_use]
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.dropout = dropout;
        self
    }

    /// Sets whether keys and values come from an MLP.
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

    /// Checks the settings for a model of L = `num_layers` layers.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the flag.
    pub fn validate(&self, num_layers: usize) -> Result<()> {
        for (flag, size) in [
            ("--num-virtual-tokens", self.num_virtual_tokens),
            ("--prefix-hidden-size", self.hidden_size),
        ] {
            if size == 0 {
                return Err(Error::setting(flag, "found 0, expected at least 1"));
            }
        }
        if !(0.0..1.0).contains(&self.dropout) {
            let message = format!("found {}, expected a number from 0 to below 1", self.dropout);
            return Err(Error::setting("--prefix-dropout", message));
        }
        let Some(layers) = &self.layers else { return Ok(()) };
        let refuse = |message: String| Err(Error::setting("--layers", message));
        if layers.is_empty() {
            return refuse("found no layer, expected at least one".into());
        }
        if let Some(pair) = layers.windows(2).find(|pair| pair[0] >= pair[1]) {
            return refuse(format!(
                "found {} before {}, expected each layer once, in rising order",
                pair[0], pair[1]
            ));
        }
        if let Some(layer) = layers.iter().find(|layer| **layer >= num_layers) {
            return refuse(format!(
                "found {layer}, the model has the layers 0 to {}",
                num_layers - 1
            ));
        }
        Ok(())
    }

    /// The layers that have virtual tokens, of L.
    pub fn chosen_layers(&self, num_layers: usize) -> Vec<usize> {
        self.layers.clone().unwrap_or_else(|| (0..num_layers).collect())
    }

    /// Sizes of the tensors for the attention `site` of the model `spec`.
    pub(crate) fn sizes(&self, spec: &ModelSpec, site: &SiteSpec) -> MlpSizes {
        MlpSizes {
            virtual_tokens: self.num_virtual_tokens,
            embedding: spec.hidden_size,
            hidden: self.hidden_size,
            output: self.chosen_layers(site.num_layers).len() * site.kv_width(),
        }
    }
}
