//! The MLP that computes keys and values from a small matrix during training.

use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor},
};
use rand::Rng;

use crate::{
    contract::{
        init::{Distribution, tensor},
        params,
        tensors::NamedTensors,
    },
    error::Result,
};

/// Names as in PEFT's `PrefixEncoder`.
const EMBEDDING: &str = "embedding.weight";
const WEIGHT_IN: &str = "transform.0.weight";
const BIAS_IN: &str = "transform.0.bias";
const WEIGHT_OUT: &str = "transform.2.weight";
const BIAS_OUT: &str = "transform.2.bias";

/// Sizes of a [`PrefixMlp`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MlpSizes {
    /// The number of virtual tokens, P.
    pub virtual_tokens: usize,
    /// The width of the small matrix, E.
    pub embedding: usize,
    /// The width of the hidden layer, M.
    pub hidden: usize,
    /// The width of the output, `l * 2 * K * D`.
    pub output: usize,
}

/// The initialisation of a [`PrefixMlp`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MlpInit {
    /// torch's defaults, which Li & Liang and PEFT use: the embedding from N(0, 1), weights and
    /// biases of the linear layers from U(-1/sqrt(inputs), 1/sqrt(inputs)).
    Torch,
    /// All weights and the embedding from N(0, std²), biases 0.
    Normal {
        /// Standard deviation.
        std: f64,
    },
}

/// Linear, Tanh, Linear; weights are `[out, in]`, as in torch.
#[derive(Module, Debug)]
pub struct Transform {
    /// `[M, E]`.
    pub weight_in: Param<Tensor<2>>,
    /// `[M]`.
    pub bias_in: Param<Tensor<1>>,
    /// `[l * 2 * K * D, M]`.
    pub weight_out: Param<Tensor<2>>,
    /// `[l * 2 * K * D]`.
    pub bias_out: Param<Tensor<1>>,
}

impl Transform {
    /// Returns `W_out tanh(W_in x + b_in) + b_out`.
    ///
    /// # Shapes
    ///
    /// - input: `[P, E]`
    /// - output: `[P, l * 2 * K * D]`
    pub fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        let hidden = input.matmul(self.weight_in.val().transpose());
        let hidden = (hidden + self.bias_in.val().unsqueeze()).tanh();
        hidden.matmul(self.weight_out.val().transpose()) + self.bias_out.val().unsqueeze()
    }
}

/// A small matrix `[P, E]` and the two layers that compute keys and values from its rows.
#[derive(Module, Debug)]
pub struct PrefixMlp {
    /// The small matrix `[P, E]`.
    pub embedding: Param<Tensor<2>>,
    /// The two layers.
    pub transform: Transform,
}

impl PrefixMlp {
    /// Creates a new MLP.
    pub fn init(sizes: MlpSizes, init: MlpInit, rng: &mut impl Rng, device: &Device) -> Self {
        let MlpSizes { virtual_tokens, embedding, hidden, output } = sizes;
        let of_embedding = match init {
            MlpInit::Torch => Distribution::Normal { std: 1.0 },
            MlpInit::Normal { std } => Distribution::Normal { std },
        };
        let of_linear = |inputs: usize| match init {
            MlpInit::Torch => Distribution::Uniform { range: 1.0 / (inputs as f64).sqrt() },
            MlpInit::Normal { std } => Distribution::Normal { std },
        };
        let matrix = |shape: [usize; 2], from, rng: &mut _| {
            Param::from_tensor(tensor(shape, from, rng, device))
        };
        let bias = |width: usize, inputs, rng: &mut _| {
            Param::from_tensor(match init {
                MlpInit::Torch => tensor([width], of_linear(inputs), rng, device),
                MlpInit::Normal { .. } => Tensor::zeros([width], device),
            })
        };
        Self {
            embedding: matrix([virtual_tokens, embedding], of_embedding, rng),
            transform: Transform {
                weight_in: matrix([hidden, embedding], of_linear(embedding), rng),
                bias_in: bias(hidden, embedding, rng),
                weight_out: matrix([output, hidden], of_linear(hidden), rng),
                bias_out: bias(output, hidden, rng),
            },
        }
    }

    /// Sets the last layer to zero, so that all keys and values are zero.
    #[must_use]
    pub fn with_zero_output(mut self) -> Self {
        self.transform.weight_out =
            Param::from_tensor(self.transform.weight_out.val().zeros_like());
        self.transform.bias_out = Param::from_tensor(self.transform.bias_out.val().zeros_like());
        self
    }

    /// Returns the keys and values, differentiably.
    ///
    /// # Shapes
    ///
    /// - output: `[P, l * 2 * K * D]`
    pub fn forward(&self) -> Tensor<2> {
        self.transform.forward(self.embedding.val())
    }

    /// Whether `state` holds any tensor of an MLP.
    pub(super) fn is_in(state: &NamedTensors) -> bool {
        [EMBEDDING, WEIGHT_IN, BIAS_IN, WEIGHT_OUT, BIAS_OUT]
            .iter()
            .any(|name| state.contains_key(*name))
    }

    /// Returns the tensors: `embedding.weight`, `transform.0.weight`, `transform.0.bias`,
    /// `transform.2.weight`, `transform.2.bias`.
    pub fn state(&self) -> NamedTensors {
        let Transform { weight_in, bias_in, weight_out, bias_out } = &self.transform;
        [
            (EMBEDDING, self.embedding.val().into_data()),
            (WEIGHT_IN, weight_in.val().into_data()),
            (BIAS_IN, bias_in.val().into_data()),
            (WEIGHT_OUT, weight_out.val().into_data()),
            (BIAS_OUT, bias_out.val().into_data()),
        ]
        .into_iter()
        .map(|(name, data)| (name.to_string(), data))
        .collect()
    }

    /// Loads what [`state`](Self::state) returns.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`](crate::error::Error::Mismatch) naming a missing or misshapen tensor.
    pub fn from_state(sizes: MlpSizes, state: &NamedTensors, device: &Device) -> Result<Self> {
        let MlpSizes { virtual_tokens, embedding, hidden, output } = sizes;
        let get = |name, shape| params::from_named(name, shape, state, device);
        let bias = |name, width| params::from_named(name, [width], state, device);
        Ok(Self {
            embedding: get(EMBEDDING, [virtual_tokens, embedding])?,
            transform: Transform {
                weight_in: get(WEIGHT_IN, [hidden, embedding])?,
                bias_in: bias(BIAS_IN, hidden)?,
                weight_out: get(WEIGHT_OUT, [output, hidden])?,
                bias_out: bias(BIAS_OUT, output)?,
            },
        })
    }
}
