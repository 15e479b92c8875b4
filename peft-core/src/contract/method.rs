//! What the three methods have in common: they make virtual tokens, and can be folded and stored.

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

/// Whether dropout is on, and which masks it draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// No dropout.
    Evaluate,
    /// Dropout masks are drawn from `seed` and `step`, so that a resumed run draws the same.
    Train {
        /// The run's seed.
        seed: u64,
        /// The training step, from 0.
        step: u64,
    },
}

/// A method of adapting a frozen model by training virtual tokens.
///
/// A method is a Burn [`Module`]: its parameters are what is trained. It is not a function of the
/// input, so it has no `forward(x)`: it says what it contributes, and the model takes it from there.
pub trait PeftMethod: Module + ModuleDisplay {
    /// Its settings.
    type Config: Clone + Serialize + DeserializeOwned;

    /// Its settings.
    fn config(&self) -> &Self::Config;

    /// What the method contributes to a forward pass, differentiably. Called once a step.
    fn virtual_tokens(&self, mode: Mode) -> VirtualTokens;

    /// The deployed form: the same virtual tokens, any reparameterisation computed once and dropped.
    #[must_use]
    fn fold(&self) -> Self;

    /// Numbers that are trained, those of a reparameterisation included.
    fn num_trainable(&self) -> usize {
        Module::num_params(self)
    }

    /// Numbers that are deployed: those of the folded form, which an adapter file holds.
    fn num_deployed(&self) -> usize {
        Module::num_params(&self.fold())
    }

    /// All tensors needed to go on training, under their names. Those of a folded method are what an
    /// adapter file holds: `prompt_embeddings` in PEFT's layout.
    fn state(&self) -> NamedTensors;

    /// Reads what [`state`](Self::state) gives, folded or not.
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

    /// The fields that describe the method in an adapter's config.
    fn fields(&self, spec: &ModelSpec) -> MethodFields;
}
