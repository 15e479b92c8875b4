//! The task head: a linear map from a hidden state to classes, trained beside the virtual tokens.

use std::collections::BTreeMap;

use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor, TensorData},
};

use crate::{
    error::{Error, Result},
    init::{Values, tensor},
    method::NamedTensors,
    rng,
};

/// Where the head of a model type stands in its checkpoint, and which parts it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLayout {
    /// Module name: `classifier` (BERT), `score` (decoders).
    pub name: &'static str,
    /// Whether it has a bias.
    pub bias: bool,
}

/// Names that heads have in checkpoints of the models of transformers.
const HEADS: [&str; 3] = ["classifier", "score", "qa_outputs"];

impl HeadLayout {
    /// Checks that a state has no tensor of a head that this one does not read.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] naming the tensor.
    pub fn check_no_other(&self, state: &NamedTensors) -> Result<()> {
        let other = state.keys().find(|name| match name.split_once('.') {
            Some((head, part)) if HEADS.contains(&head) => {
                head != self.name || !(part == "weight" || self.bias && part == "bias")
            }
            _ => false,
        });
        match other {
            None => Ok(()),
            Some(name) => Err(Error::Mismatch(format!(
                "the adapter has the tensor `{name}`, the head of its task on this model is `{}` {} a \
                 bias",
                self.name,
                if self.bias { "with" } else { "without" }
            ))),
        }
    }
}

/// Linear classifier `logits = hidden W^T + b`.
#[derive(Module, Debug)]
pub struct Head {
    /// W `[C, H]`.
    pub weight: Param<Tensor<2>>,
    /// b `[C]`.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Head {
    /// A new head: W from N(0, 0.02), b = 0, the initialisation of the models themselves.
    pub fn init(
        layout: HeadLayout,
        classes: usize,
        hidden_size: usize,
        seed: u64,
        device: &Device,
    ) -> Self {
        let mut stream = rng::stream(seed, 0, "head.weight");
        let weight =
            tensor([classes, hidden_size], Values::Normal { std: 0.02 }, &mut stream, device);
        let bias = layout.bias.then(|| Param::from_tensor(Tensor::zeros([classes], device)));
        Self { weight: Param::from_tensor(weight), bias }
    }

    /// C.
    pub fn num_classes(&self) -> usize {
        self.weight.dims()[0]
    }

    /// Logits of hidden states.
    ///
    /// # Shapes
    ///
    /// - hidden: `[M, H]`
    /// - output: `[M, C]`
    pub fn forward(&self, hidden: Tensor<2>) -> Tensor<2> {
        let logits = hidden.matmul(self.weight.val().transpose());
        match &self.bias {
            Some(bias) => logits + bias.val().unsqueeze(),
            None => logits,
        }
    }

    /// The head's tensors under the names they have in a checkpoint: `classifier.weight`.
    pub fn state(&self, layout: HeadLayout) -> NamedTensors {
        let mut state = BTreeMap::new();
        state.insert(format!("{}.weight", layout.name), self.weight.val().into_data());
        if let Some(bias) = &self.bias {
            state.insert(format!("{}.bias", layout.name), bias.val().into_data());
        }
        state
    }

    /// Reads what [`state`](Self::state) gives.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] naming a missing tensor, or one with a shape that fits no head of H columns.
    pub fn from_state(
        layout: HeadLayout,
        hidden_size: usize,
        state: &NamedTensors,
        device: &Device,
    ) -> Result<Self> {
        let get = |part: &str| -> Result<&TensorData> {
            let name = format!("{}.{part}", layout.name);
            state.get(&name).ok_or_else(|| {
                Error::Mismatch(format!("the adapter has no tensor `{name}`, its task needs one"))
            })
        };
        let shape = |data: &TensorData| data.shape().as_slice().to_vec();
        let weight = get("weight")?;
        let [classes, width] = shape(weight)[..] else {
            return Err(Error::Mismatch(format!(
                "`{}.weight` has the shape {:?}, expected [C, {hidden_size}]",
                layout.name,
                shape(weight)
            )));
        };
        if width != hidden_size || classes == 0 {
            return Err(Error::Mismatch(format!(
                "`{}.weight` has the shape [{classes}, {width}], expected [C, {hidden_size}] with C of at least 1",
                layout.name
            )));
        }
        let bias = layout.bias.then(|| get("bias")).transpose()?;
        if let Some(bias) = bias.filter(|bias| shape(bias) != [classes]) {
            return Err(Error::Mismatch(format!(
                "`{}.bias` has the shape {:?}, expected [{classes}]",
                layout.name,
                shape(bias)
            )));
        }
        let dtype = |data: &TensorData| (device, data.dtype());
        Ok(Self {
            weight: Param::from_tensor(Tensor::from_data(weight.clone(), dtype(weight))),
            bias: bias.map(|b| Param::from_tensor(Tensor::from_data(b.clone(), dtype(b)))),
        })
    }
}
