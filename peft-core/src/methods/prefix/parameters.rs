//! Keys and values laid flat as parameters, or the MLP that makes them.

use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor},
};

use super::mlp::{MlpSizes, PrefixMlp};
use crate::{
    contract::{layout::PROMPT_EMBEDDINGS, params, tensors::NamedTensors},
    error::Result,
};

/// Flat keys and values, `[P, l * 2 * K * D]`, or the MLP that computes them.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a run has one of these")]
pub enum PrefixParameters {
    /// The keys and values themselves.
    Direct(Param<Tensor<2>>),
    /// An MLP and its input.
    Mlp(PrefixMlp),
}

impl PrefixParameters {
    /// Creates parameters from the keys and values themselves.
    ///
    /// # Shapes
    ///
    /// - flat: `[P, l * 2 * K * D]`
    pub fn direct(flat: Tensor<2>) -> Self {
        Self::Direct(Param::from_tensor(flat))
    }

    /// Creates free parameters on `device` from given keys and values.
    ///
    /// # Shapes
    ///
    /// - flat: `[P, l * 2 * K * D]`
    pub fn copied(flat: Tensor<2>, device: &Device) -> Self {
        Self::direct(on_device(flat, device))
    }

    /// Returns the keys and values, differentiably.
    ///
    /// # Shapes
    ///
    /// - output: `[P, l * 2 * K * D]`
    pub fn flat(&self) -> Tensor<2> {
        match self {
            Self::Direct(flat) => flat.val(),
            Self::Mlp(mlp) => mlp.forward(),
        }
    }

    /// Returns the same keys and values without an MLP, as new leaves on the same device.
    #[must_use]
    pub fn fold(&self) -> Self {
        match self {
            Self::Direct(_) => self.clone(),
            Self::Mlp(mlp) => Self::direct(mlp.forward().detach()),
        }
    }

    /// Returns all tensors under PEFT's names: `prompt_embeddings`, or those of
    /// [`PrefixMlp::state`].
    pub fn state(&self) -> NamedTensors {
        match self {
            Self::Direct(flat) => {
                NamedTensors::from([(PROMPT_EMBEDDINGS.to_string(), flat.val().into_data())])
            }
            Self::Mlp(mlp) => mlp.state(),
        }
    }

    /// Loads what [`state`](Self::state) returns; the names tell which of the two it is.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`](crate::error::Error::Mismatch) naming a missing or misshapen tensor.
    pub fn from_state(sizes: MlpSizes, state: &NamedTensors, device: &Device) -> Result<Self> {
        if state.contains_key(PROMPT_EMBEDDINGS) || !PrefixMlp::is_in(state) {
            let shape = [sizes.virtual_tokens, sizes.output];
            return params::from_named(PROMPT_EMBEDDINGS, shape, state, device).map(Self::Direct);
        }
        PrefixMlp::from_state(sizes, state, device).map(Self::Mlp)
    }
}

/// A tensor as a constant on `device`, autodiff or not: gradients stop here.
pub(super) fn on_device<const D: usize>(tensor: Tensor<D>, device: &Device) -> Tensor<D> {
    let plain = tensor.without_autodiff().to_device(&device.clone().without_autodiff());
    match device.gradient_checkpointing_strategy() {
        Some(strategy) => plain.autodiff().with_gradient_checkpointing_strategy(strategy),
        None => plain,
    }
}
