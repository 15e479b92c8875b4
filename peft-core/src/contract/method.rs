//! What the methods have in common: they produce virtual tokens, and can be folded and stored.

use burn::{
    module::{Module, ModuleDisplay},
    tensor::Device,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    method_fields::MethodFields, spec::ModelSpec, tensors::NamedTensors,
    virtual_tokens::VirtualTokens,
};
use crate::error::Result;

/// Whether dropout is on, and how its masks are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// No dropout.
    Evaluate,
    /// Dropout masks are drawn from `seed` and `step`, so that a resumed run draws the same.
    Train {
        /// The seed of the run.
        seed: u64,
        /// The training step, from 0.
        step: u64,
    },
}

/// A method that adapts a frozen model by training virtual tokens.
///
/// A method is a Burn [`Module`] whose parameters are trained. It is not a function of the input,
/// so it has no `forward(x)`: it returns virtual tokens, and the model does the rest.
pub trait PeftMethod: Module + ModuleDisplay {
    /// The settings of the method.
    type Config: Clone + Serialize + DeserializeOwned;

    /// Returns the settings.
    fn config(&self) -> &Self::Config;

    /// Returns the method's virtual tokens for a forward pass, differentiably. Training calls it once
    /// per step.
    fn virtual_tokens(&self, mode: Mode) -> VirtualTokens;

    /// Returns the deployed form: the same virtual tokens, with any reparameterisation computed
    /// once and dropped.
    #[must_use]
    fn fold(&self) -> Self;

    /// The number of trainable parameters, including those of a reparameterisation.
    fn num_trainable(&self) -> usize {
        Module::num_params(self)
    }

    /// The number of deployed parameters: those of the folded form, which an adapter file holds.
    fn num_deployed(&self) -> usize {
        Module::num_params(&self.fold())
    }

    /// Returns all tensors needed to continue training, by name. For a folded method these are the
    /// tensors of an adapter file: `prompt_embeddings` in PEFT's layout.
    fn state(&self) -> NamedTensors;

    /// Loads what [`state`](Self::state) returns, folded or not.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`](crate::error::Error::Mismatch) naming a missing or misshapen tensor.
    fn from_state(
        config: Self::Config,
        spec: &ModelSpec,
        state: &NamedTensors,
        device: &Device,
    ) -> Result<Self>;

    /// Returns the fields that describe the method in an adapter's config.
    fn fields(&self, spec: &ModelSpec) -> MethodFields;
}
