//! From the trained matrix Z to the rows W of a prompt.

use burn::{
    module::Module,
    tensor::{Device, Tensor, activation::relu},
};
use peft_core::{Mode, NamedTensors, Result, contract::rng};

use super::{EncoderConfig, Linear, Lstm};

/// The random stream of dropout between the layers of an LSTM.
const DROPOUT: &str = "prompt.encoder_dropout";

/// The layers of P-tuning's encoder: `MLP(Z)`, or `MLP(LSTM(Z))` with an LSTM that reads from both ends
/// (Liu et al. 2021, <https://arxiv.org/abs/2103.10385>).
///
/// The tensors have the names of PEFT's `PromptEncoder`.
#[derive(Module, Debug)]
pub struct PromptEncoder {
    /// The LSTM, if it has one.
    pub lstm: Option<Lstm>,
    /// The linear layers, with ReLU between them.
    pub mlp: Vec<Linear>,
}

/// Inputs and outputs of the linear layers.
fn sizes(config: &EncoderConfig, h: usize) -> Vec<[usize; 2]> {
    let m = config.hidden_size(h);
    match config {
        EncoderConfig::Mlp { .. } => vec![[h, m], [m, m], [m, h]],
        EncoderConfig::Lstm { .. } => vec![[2 * m, 2 * m], [2 * m, h]],
    }
}

/// PEFT's name of a linear layer: in its list every second one is a ReLU.
fn name(index: usize) -> String {
    format!("mlp_head.{}", 2 * index)
}

impl PromptEncoder {
    /// Layers for a model of hidden size H, with torch's initial values: those of the linear layers from
    /// U(-1/sqrt(inputs), 1/sqrt(inputs)), those of the LSTM from U(-1/sqrt(M), 1/sqrt(M)).
    pub(crate) fn init(config: &EncoderConfig, h: usize, seed: u64, device: &Device) -> Self {
        let stream = &mut rng::stream(seed, 0, "prompt.encoder");
        let lstm = match config {
            EncoderConfig::Mlp { .. } => None,
            EncoderConfig::Lstm { num_layers, .. } => {
                Some(Lstm::init(h, config.hidden_size(h), *num_layers, stream, device))
            }
        };
        let layer = |[inputs, outputs]: [usize; 2]| Linear::init(inputs, outputs, stream, device);
        Self { lstm, mlp: sizes(config, h).into_iter().map(layer).collect() }
    }

    /// Returns W, differentiably. In training, dropout is drawn for the step.
    ///
    /// # Shapes
    ///
    /// - input: Z `[P, H]`
    /// - output: `[P, H]`
    pub fn forward(&self, input: Tensor<2>, config: &EncoderConfig, mode: Mode) -> Tensor<2> {
        let mut stream = match mode {
            Mode::Train { seed, step } => Some(rng::stream(seed, step, DROPOUT)),
            Mode::Evaluate => None,
        };
        let (_, rate) = config.layers();
        let rows = match &self.lstm {
            Some(lstm) => lstm.forward(input, stream.as_mut().map(|stream| (rate, stream))),
            None => input,
        };
        self.mlp.iter().enumerate().fold(rows, |rows, (index, layer)| {
            layer.forward(if index == 0 { rows } else { relu(rows) })
        })
    }

    /// Whether `state` holds any tensor of an encoder.
    pub(crate) fn is_in(state: &NamedTensors) -> bool {
        state.keys().any(|name| name.starts_with("lstm_head.") || name.starts_with("mlp_head."))
    }

    /// All tensors but Z: `lstm_head.weight_ih_l0` and so on, `mlp_head.0.weight` and so on.
    pub fn state(&self) -> NamedTensors {
        let mut state = self.lstm.as_ref().map(Lstm::state).unwrap_or_default();
        state.extend(
            self.mlp.iter().enumerate().flat_map(|(index, layer)| layer.state(&name(index))),
        );
        state
    }

    /// Loads what [`state`](Self::state) returns, for a model of hidden size H.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`](peft_core::Error::Mismatch) naming a missing or misshapen tensor.
    pub fn from_state(
        config: &EncoderConfig,
        h: usize,
        state: &NamedTensors,
        device: &Device,
    ) -> Result<Self> {
        let lstm = match config {
            EncoderConfig::Mlp { .. } => None,
            EncoderConfig::Lstm { num_layers, .. } => {
                Some(Lstm::from_state(h, config.hidden_size(h), *num_layers, state, device)?)
            }
        };
        let layers = sizes(config, h).into_iter().enumerate();
        let layers =
            layers.map(|(index, sizes)| Linear::from_state(&name(index), sizes, state, device));
        Ok(Self { lstm, mlp: layers.collect::<Result<_>>()? })
    }
}
