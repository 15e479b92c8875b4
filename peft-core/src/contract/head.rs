//! The task head: a linear layer from a hidden state to classes, trained with the virtual tokens.

use std::collections::BTreeMap;

use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor, TensorData},
};

use super::{
    init::{Distribution, tensor},
    rng,
    task::Task,
    tensors::NamedTensors,
};
use crate::error::{Error, Result};

/// The name of a model type's head in its checkpoints, and its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLayout {
    /// Module name: `classifier` (BERT), `score` (decoders), `qa_outputs`.
    pub name: &'static str,
    /// Whether it has a bias.
    pub bias: bool,
    /// Whether it has a hidden layer: `name.dense`, then `name.out_proj`, both with a bias
    /// (RoBERTa).
    pub hidden: bool,
}

impl HeadLayout {
    /// The module names that the head of a task has in transformers' models: what stands before the first dot
    /// of its tensors, and in PEFT's `modules_to_save`. Empty for language models.
    pub const fn module_names(task: Task) -> &'static [&'static str] {
        match task {
            Task::SeqCls | Task::TokenCls => &["classifier", "score"],
            Task::QuestionAns => &["qa_outputs"],
            Task::CausalLm | Task::Seq2SeqLm => &[],
        }
    }

    /// Whether a tensor of this name belongs to the head of a task.
    pub fn is_head_tensor(name: &str) -> bool {
        let module = name.split_once('.').map(|(module, _)| module);
        Task::ALL.into_iter().flat_map(Self::module_names).any(|known| module == Some(*known))
    }

    /// A linear layer: `name.weight` and optionally `name.bias`.
    pub const fn linear(name: &'static str, bias: bool) -> Self {
        Self { name, bias, hidden: false }
    }

    /// A hidden layer with tanh and a linear layer: `name.dense` and `name.out_proj`.
    pub const fn with_hidden(name: &'static str) -> Self {
        Self { name, bias: true, hidden: true }
    }

    /// The name of the tensor that holds the rows of the classes.
    pub fn weight_name(&self) -> String {
        self.part("weight")
    }

    /// The name of a tensor of the last layer.
    fn part(&self, part: &str) -> String {
        let module = if self.hidden { ".out_proj" } else { "" };
        format!("{}{module}.{part}", self.name)
    }

    /// The name of a tensor of the hidden layer.
    fn dense_part(&self, part: &str) -> String {
        format!("{}.dense.{part}", self.name)
    }

    /// The names of all tensors of the head.
    pub fn names(&self) -> Vec<String> {
        let mut names = vec![self.weight_name()];
        names.extend(self.bias.then(|| self.part("bias")));
        if self.hidden {
            names.extend(["weight", "bias"].map(|part| self.dense_part(part)));
        }
        names
    }

    /// Checks that a state has no tensor of a head that this layout does not read.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] naming the tensor.
    pub fn check_no_other(&self, state: &NamedTensors) -> Result<()> {
        let own = self.names();
        match state.keys().find(|name| Self::is_head_tensor(name) && !own.contains(name)) {
            None => Ok(()),
            Some(name) => Err(Error::Mismatch(format!(
                "the adapter has the tensor `{name}`, the head of its task on this model is {}",
                own.join(", ")
            ))),
        }
    }
}

/// A hidden layer `tanh(x W^T + b)`.
#[derive(Module, Debug)]
pub struct Dense {
    /// W `[H, H]`.
    pub weight: Param<Tensor<2>>,
    /// b `[H]`.
    pub bias: Param<Tensor<1>>,
}

/// The classifier `logits = x W^T + b`, where x is the hidden state, or the output of the hidden
/// layer.
#[derive(Module, Debug)]
pub struct Head {
    /// The hidden layer, if the model's heads have one.
    pub dense: Option<Dense>,
    /// W `[C, H]`.
    pub weight: Param<Tensor<2>>,
    /// b `[C]`.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Head {
    /// Creates a new head: weights from N(0, 0.02²), biases 0, like the initialisation of the
    /// models.
    pub fn init(
        layout: HeadLayout,
        classes: usize,
        hidden_size: usize,
        seed: u64,
        device: &Device,
    ) -> Self {
        let weight = |rows: usize, place: &str| {
            let mut stream = rng::stream(seed, 0, place);
            let from = Distribution::Normal { std: 0.02 };
            Param::from_tensor(tensor([rows, hidden_size], from, &mut stream, device))
        };
        let zeros = |size: usize| Param::from_tensor(Tensor::zeros([size], device));
        Self {
            dense: layout.hidden.then(|| Dense {
                weight: weight(hidden_size, "head.dense.weight"),
                bias: zeros(hidden_size),
            }),
            weight: weight(classes, "head.weight"),
            bias: layout.bias.then(|| zeros(classes)),
        }
    }

    /// Checks that it reads hidden states of H columns and has a class.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] naming the tensor of another shape, as it is called in `layout`.
    pub fn check_shapes(&self, layout: HeadLayout, hidden_size: usize) -> Result<()> {
        let check = |name: String, found: &[usize], expected: &[usize]| match found == expected {
            true => Ok(()),
            false => Err(Error::Mismatch(format!(
                "the head has `{name}` of the shape {found:?}, expected {expected:?}"
            ))),
        };
        let classes = self.num_classes().max(1);
        check(layout.weight_name(), &self.weight.dims(), &[classes, hidden_size])?;
        if let Some(bias) = &self.bias {
            check(layout.part("bias"), &bias.dims(), &[classes])?;
        }
        let Some(dense) = &self.dense else { return Ok(()) };
        check(layout.dense_part("weight"), &dense.weight.dims(), &[hidden_size; 2])?;
        check(layout.dense_part("bias"), &dense.bias.dims(), &[hidden_size])
    }

    /// The number of classes, C.
    pub fn num_classes(&self) -> usize {
        self.weight.dims()[0]
    }

    /// Returns the logits of hidden states.
    ///
    /// # Shapes
    ///
    /// - hidden: `[M, H]`
    /// - output: `[M, C]`
    pub fn forward(&self, hidden: Tensor<2>) -> Tensor<2> {
        let hidden = match &self.dense {
            Some(dense) => {
                let sum = hidden.matmul(dense.weight.val().transpose());
                (sum + dense.bias.val().unsqueeze()).tanh()
            }
            None => hidden,
        };
        let logits = hidden.matmul(self.weight.val().transpose());
        match &self.bias {
            Some(bias) => logits + bias.val().unsqueeze(),
            None => logits,
        }
    }

    /// Returns the head's tensors under their names in a checkpoint, such as `classifier.weight`.
    pub fn state(&self, layout: HeadLayout) -> NamedTensors {
        let mut state = BTreeMap::new();
        state.insert(layout.weight_name(), self.weight.val().into_data());
        if let Some(bias) = &self.bias {
            state.insert(layout.part("bias"), bias.val().into_data());
        }
        if let Some(dense) = &self.dense {
            state.insert(layout.dense_part("weight"), dense.weight.val().into_data());
            state.insert(layout.dense_part("bias"), dense.bias.val().into_data());
        }
        state
    }

    /// Loads what [`state`](Self::state) returns.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] naming a missing tensor, or one whose shape does not fit a head on H
    /// columns.
    pub fn from_state(
        layout: HeadLayout,
        hidden_size: usize,
        state: &NamedTensors,
        device: &Device,
    ) -> Result<Self> {
        let read = Reader { state, device };
        let (weight, [classes, width]) = read.param::<2>(&layout.weight_name())?;
        if width != hidden_size || classes == 0 {
            return Err(Error::Mismatch(format!(
                "`{}` has the shape [{classes}, {width}], expected [C, {hidden_size}] with C of at least 1",
                layout.weight_name()
            )));
        }
        let bias = |name: String, size: usize| {
            read.param::<1>(&name).and_then(|(bias, found)| match found == [size] {
                true => Ok(bias),
                false => Err(Error::Mismatch(format!(
                    "`{name}` has the shape {found:?}, expected [{size}]"
                ))),
            })
        };
        let dense = layout.hidden.then(|| {
            let name = layout.dense_part("weight");
            let (weight, shape) = read.param::<2>(&name)?;
            if shape != [hidden_size, hidden_size] {
                return Err(Error::Mismatch(format!(
                    "`{name}` has the shape {shape:?}, expected [{hidden_size}, {hidden_size}]"
                )));
            }
            Ok(Dense { weight, bias: bias(layout.dense_part("bias"), hidden_size)? })
        });
        Ok(Self {
            weight,
            bias: layout.bias.then(|| bias(layout.part("bias"), classes)).transpose()?,
            dense: dense.transpose()?,
        })
    }
}

/// Uploads the tensors of a head to a device.
struct Reader<'a> {
    state: &'a NamedTensors,
    device: &'a Device,
}

impl Reader<'_> {
    /// Returns a tensor and its shape.
    fn param<const D: usize>(&self, name: &str) -> Result<(Param<Tensor<D>>, [usize; D])> {
        let data: &TensorData = self.state.get(name).ok_or_else(|| {
            Error::Mismatch(format!("the adapter has no tensor `{name}`, but its task needs one"))
        })?;
        let shape: [usize; D] = data.shape().as_slice().try_into().map_err(|_| {
            Error::Mismatch(format!(
                "`{name}` has the shape {:?}, expected one of {D} sizes",
                data.shape().as_slice()
            ))
        })?;
        let tensor = Tensor::from_data(data.clone(), (self.device, data.dtype()));
        Ok((Param::from_tensor(tensor), shape))
    }
}
