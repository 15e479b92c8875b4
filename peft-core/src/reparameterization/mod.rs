//! What prefix tuning and P-tuning v2 train: keys and values laid flat, `[P, l * 2 * K * D]`, either
//! directly or through an MLP that makes them while training lasts.
//!
//! | type | what it is |
//! |---|---|
//! | [`PrefixParameters`] | the one or the other; folds, is stored and read back |
//! | [`PrefixMlp`] | Embedding, Linear, Tanh, Linear (Li & Liang 2021, section 4.3) |
//! | [`SitePrefixes`] | a set of them for every attention site that a prefix goes to |
//! | [`FitConfig`] | how an MLP is fitted to given keys and values |
//! | [`activations`] | the keys and values of real words, laid flat |
//!
//! Both methods name their tensors as PEFT's `PrefixEncoder` does, so they share this too.

mod fit;
mod mlp;
mod sites;

use burn::{
    module::{Module, Param},
    tensor::{DType, Device, Tensor},
};

pub use fit::FitConfig;
pub use mlp::{MlpInit, MlpSizes, PrefixMlp, Transform};
pub use sites::{Placed, Placement, SitePrefixes, Slot};

use crate::{
    adapter::{PROMPT_EMBEDDINGS, layout},
    error::{Error, Result},
    frozen::{self, FrozenModel},
    method::NamedTensors,
    params,
    virtual_tokens::{Content, SiteKeyValues},
};

/// Keys and values laid flat, `[P, l * 2 * K * D]`, or the MLP that makes them.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a run has one of these")]
pub enum PrefixParameters {
    /// The numbers themselves.
    Direct(Param<Tensor<2>>),
    /// An MLP and its input.
    Mlp(PrefixMlp),
}

impl PrefixParameters {
    /// The numbers themselves as parameters.
    ///
    /// # Shapes
    ///
    /// - flat: `[P, l * 2 * K * D]`
    pub fn direct(flat: Tensor<2>) -> Self {
        Self::Direct(Param::from_tensor(flat))
    }

    /// Given keys and values as free parameters on `device`.
    ///
    /// # Shapes
    ///
    /// - flat: `[P, l * 2 * K * D]`
    pub fn copied(flat: Tensor<2>, device: &Device) -> Self {
        Self::direct(on_device(flat, device))
    }

    /// The keys and values, differentiably.
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

    /// The same keys and values without an MLP, as fresh leaves on the same device.
    #[must_use]
    pub fn fold(&self) -> Self {
        match self {
            Self::Direct(_) => self.clone(),
            Self::Mlp(mlp) => Self::direct(mlp.forward().detach()),
        }
    }

    /// All tensors under PEFT's names: `prompt_embeddings`, or those of [`PrefixMlp::state`].
    pub fn state(&self) -> NamedTensors {
        match self {
            Self::Direct(flat) => {
                NamedTensors::from([(PROMPT_EMBEDDINGS.to_string(), flat.val().into_data())])
            }
            Self::Mlp(mlp) => mlp.state(),
        }
    }

    /// Reads what [`state`](Self::state) gives; which of the two it is shows in the names.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] naming a missing or misshapen tensor.
    pub fn from_state(sizes: MlpSizes, state: &NamedTensors, device: &Device) -> Result<Self> {
        if state.contains_key(PROMPT_EMBEDDINGS) || !PrefixMlp::is_in(state) {
            let shape = [sizes.virtual_tokens, sizes.output];
            return params::from_named(PROMPT_EMBEDDINGS, shape, state, device).map(Self::Direct);
        }
        PrefixMlp::from_state(sizes, state, device).map(Self::Mlp)
    }
}

/// The keys and values that the first `virtual_tokens` pieces of some words have in `layers`, as f32.
///
/// On a causal model a prefix of these acts as the words would.
///
/// # Shapes
///
/// - output: `[P, l * 2 * K * D]`, where `l = layers.len()`
///
/// # Errors
///
/// [`Error::Setting`] where the words have fewer pieces than P or one is not in the vocabulary; those of
/// [`frozen::activations`].
pub fn activations(
    model: &dyn FrozenModel,
    ids: &[u32],
    virtual_tokens: usize,
    layers: &[usize],
) -> Result<Tensor<2>> {
    if ids.len() < virtual_tokens {
        return Err(Error::setting(
            "--num-virtual-tokens",
            format!(
                "found {virtual_tokens}, but the words to take activations of have {} pieces: give more \
                 words, or at most {} virtual tokens",
                ids.len(),
                ids.len()
            ),
        ));
    }
    let vocab_size = model.spec().vocab_size;
    if let Some(id) = ids.iter().find(|id| **id as usize >= vocab_size) {
        return Err(Error::setting(
            "--init",
            format!("found the token id {id}, the vocabulary has {vocab_size} rows"),
        ));
    }
    let words = frozen::activations(model, ids)?;
    let Content::KeyValues(sites) = words.content else {
        return Err(Error::Mismatch("the model gave no keys and values for the words".into()));
    };
    let flat = sites.into_iter().find_map(|site| {
        let of_layers = layers.iter().map(|layer| site.layers.get(*layer).cloned().flatten());
        layout::to_flat(&SiteKeyValues { site: site.site, layers: of_layers.collect() })
    });
    let flat = flat.ok_or_else(|| {
        Error::Mismatch(format!("the model gave no keys and values for the layers {layers:?}"))
    })?;
    // Later pieces cannot reach earlier ones on a causal model; an encoder has read all of the words.
    Ok(flat.narrow(0, 0, virtual_tokens).cast(DType::F32))
}

/// A tensor as a constant on `device`, autodiff or not: gradients stop here.
fn on_device<const D: usize>(tensor: Tensor<D>, device: &Device) -> Tensor<D> {
    let plain = tensor.without_autodiff().to_device(&device.clone().without_autodiff());
    match device.gradient_checkpointing_strategy() {
        Some(strategy) => plain.autodiff().with_gradient_checkpointing_strategy(strategy),
        None => plain,
    }
}
