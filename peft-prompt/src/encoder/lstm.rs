//! A bidirectional LSTM over the rows of a prompt.

use burn::{
    module::{Module, Param},
    tensor::{
        Device, Tensor, TensorData,
        activation::{sigmoid, tanh},
    },
};
use peft_core::{
    NamedTensors, Result,
    contract::{
        init::{Distribution, dropout, tensor},
        params,
    },
};
use rand::Rng;

/// Torch's names of the tensors of a direction: `suffix` is `l0` for the first layer, `l0_reverse` for its way back.
fn names(suffix: &str) -> [String; 4] {
    ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
        .map(|name| format!("lstm_head.{name}_{suffix}"))
}

/// Layers that read the rows from both ends, each what the one before it wrote.
#[derive(Module, Debug)]
pub struct Lstm {
    /// The layers, in their order.
    pub layers: Vec<LstmLayer>,
}

/// Both directions of a layer.
#[derive(Module, Debug)]
pub struct LstmLayer {
    /// From the first row to the last.
    pub forward: LstmDirection,
    /// From the last row to the first.
    pub backward: LstmDirection,
}

/// One direction of a layer, with torch's layout: four blocks of M rows for the input gate i, the forget gate f, the
/// candidate g and the output gate o.
#[derive(Module, Debug)]
pub struct LstmDirection {
    /// `[4 * M, inputs]`.
    pub weight_ih: Param<Tensor<2>>,
    /// `[4 * M, M]`.
    pub weight_hh: Param<Tensor<2>>,
    /// `[4 * M]`.
    pub bias_ih: Param<Tensor<1>>,
    /// `[4 * M]`.
    pub bias_hh: Param<Tensor<1>>,
}

impl LstmDirection {
    /// Draws all from U(-1/sqrt(M), 1/sqrt(M)), torch's default.
    fn init(inputs: usize, m: usize, rng: &mut impl Rng, device: &Device) -> Self {
        let from = Distribution::Uniform { range: 1.0 / (m as f64).sqrt() };
        Self {
            weight_ih: Param::from_tensor(tensor([4 * m, inputs], from, rng, device)),
            weight_hh: Param::from_tensor(tensor([4 * m, m], from, rng, device)),
            bias_ih: Param::from_tensor(tensor([4 * m], from, rng, device)),
            bias_hh: Param::from_tensor(tensor([4 * m], from, rng, device)),
        }
    }

    /// The hidden state `[1, M]` after each row of `order`; before the first of them both states are 0.
    ///
    /// ```text
    /// i, f, o = sigmoid(x W_ihᵀ + b_ih + h W_hhᵀ + b_hh)      each from its own block of rows
    /// g       = tanh(the same)
    /// c       = f c + i g
    /// h       = o tanh(c)
    /// ```
    fn run(&self, input: &Tensor<2>, order: impl Iterator<Item = usize>) -> Vec<Tensor<2>> {
        // What the rows add to the gates needs no hidden state: one product for all of them.
        let of_rows = input.clone().matmul(self.weight_ih.val().transpose())
            + self.bias_ih.val().unsqueeze()
            + self.bias_hh.val().unsqueeze();
        recur(&of_rows, &self.weight_hh.val().transpose(), order)
    }

    fn state(&self, suffix: &str) -> [(String, TensorData); 4] {
        let [weight_ih, weight_hh, bias_ih, bias_hh] = names(suffix);
        [
            (weight_ih, self.weight_ih.val().into_data()),
            (weight_hh, self.weight_hh.val().into_data()),
            (bias_ih, self.bias_ih.val().into_data()),
            (bias_hh, self.bias_hh.val().into_data()),
        ]
    }

    fn from_state(
        suffix: &str,
        [inputs, m]: [usize; 2],
        state: &NamedTensors,
        device: &Device,
    ) -> Result<Self> {
        let [weight_ih, weight_hh, bias_ih, bias_hh] = names(suffix);
        Ok(Self {
            weight_ih: params::from_named(&weight_ih, [4 * m, inputs], state, device)?,
            weight_hh: params::from_named(&weight_hh, [4 * m, m], state, device)?,
            bias_ih: params::from_named(&bias_ih, [4 * m], state, device)?,
            bias_hh: params::from_named(&bias_hh, [4 * m], state, device)?,
        })
    }
}

/// The hidden state `[1, M]` after each row of `order`, from what the rows add to the gates, `[P, 4 * M]`, and W_hhᵀ.
fn recur(
    of_rows: &Tensor<2>,
    weight: &Tensor<2>,
    order: impl Iterator<Item = usize>,
) -> Vec<Tensor<2>> {
    let m = weight.dims()[0];
    let mut hidden = Tensor::zeros([1, m], (&of_rows.device(), of_rows.dtype()));
    let mut cell = hidden.clone();
    order
        .map(|row| {
            let gates = of_rows.clone().narrow(0, row, 1) + hidden.clone().matmul(weight.clone());
            let block = |index: usize| gates.clone().narrow(1, index * m, m);
            let (input, forget) = (sigmoid(block(0)), sigmoid(block(1)));
            cell = forget * cell.clone() + input * tanh(block(2));
            hidden = sigmoid(block(3)) * tanh(cell.clone());
            hidden.clone()
        })
        .collect()
}

impl LstmLayer {
    /// Both directions side by side.
    ///
    /// # Shapes
    ///
    /// - input: `[P, inputs]`
    /// - output: `[P, 2 * M]`
    pub fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        let rows = input.dims()[0];
        let forward = self.forward.run(&input, 0..rows);
        let mut backward = self.backward.run(&input, (0..rows).rev());
        backward.reverse();
        Tensor::cat(vec![Tensor::cat(forward, 0), Tensor::cat(backward, 0)], 1)
    }
}

impl Lstm {
    pub(super) fn init(
        inputs: usize,
        m: usize,
        num_layers: usize,
        rng: &mut impl Rng,
        device: &Device,
    ) -> Self {
        let layers = (0..num_layers).map(|layer| {
            let inputs = if layer == 0 { inputs } else { 2 * m };
            LstmLayer {
                forward: LstmDirection::init(inputs, m, rng, device),
                backward: LstmDirection::init(inputs, m, rng, device),
            }
        });
        Self { layers: layers.collect() }
    }

    /// What the last layer writes. In training, `drop` is the rate of dropout between two layers and its random stream.
    ///
    /// # Shapes
    ///
    /// - input: `[P, inputs]`
    /// - output: `[P, 2 * M]`
    pub fn forward(&self, input: Tensor<2>, mut drop: Option<(f64, &mut impl Rng)>) -> Tensor<2> {
        let last = self.layers.len().saturating_sub(1);
        self.layers.iter().enumerate().fold(input, |rows, (index, layer)| {
            let rows = layer.forward(rows);
            match &mut drop {
                Some((rate, rng)) if index < last => dropout(rows, *rate, rng),
                _ => rows,
            }
        })
    }

    /// All tensors under torch's names below `lstm_head`, PEFT's name for it.
    pub(super) fn state(&self) -> NamedTensors {
        let of_layer = |(index, layer): (usize, &LstmLayer)| {
            let forward = layer.forward.state(&format!("l{index}"));
            forward.into_iter().chain(layer.backward.state(&format!("l{index}_reverse")))
        };
        self.layers.iter().enumerate().flat_map(of_layer).collect()
    }

    /// Loads what [`state`](Self::state) returns.
    pub(super) fn from_state(
        inputs: usize,
        m: usize,
        num_layers: usize,
        state: &NamedTensors,
        device: &Device,
    ) -> Result<Self> {
        let layers = (0..num_layers).map(|index| {
            let sizes = [if index == 0 { inputs } else { 2 * m }, m];
            let read = |suffix: String| LstmDirection::from_state(&suffix, sizes, state, device);
            Ok(LstmLayer {
                forward: read(format!("l{index}"))?,
                backward: read(format!("l{index}_reverse"))?,
            })
        });
        Ok(Self { layers: layers.collect::<Result<_>>()? })
    }
}
