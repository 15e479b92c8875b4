//! The keys and values of real words, laid flat.

use burn::tensor::{DType, Tensor};

use crate::{
    contract::{
        frozen::{self, FrozenModel},
        layout,
        virtual_tokens::{Content, SiteKeyValues},
    },
    error::{Error, Result},
};

/// Returns the keys and values that the first `virtual_tokens` subword tokens of some words have in
/// `layers`, as f32.
///
/// On a causal model, a prefix of these acts as the words would.
///
/// # Shapes
///
/// - output: `[P, l * 2 * K * D]`, where `l = layers.len()`
///
/// # Errors
///
/// [`Error::Setting`] if there are fewer than P subword tokens or one is not in the vocabulary;
/// those of [`frozen::activations`].
pub fn activations(
    model: &dyn FrozenModel,
    ids: &[u32],
    virtual_tokens: usize,
    layers: &[usize],
) -> Result<Tensor<2>> {
    if ids.len() < virtual_tokens {
        return Err(Error::setting(
            "num_virtual_tokens",
            format!(
                "found {virtual_tokens}, but the words to take activations of have {} subword tokens: give \
                 more words, or at most {} virtual tokens",
                ids.len(),
                ids.len()
            ),
        ));
    }
    let vocab_size = model.spec().vocab_size;
    if let Some(id) = ids.iter().find(|id| **id as usize >= vocab_size) {
        return Err(Error::setting(
            "init",
            format!("found the token id {id}, but the vocabulary has {vocab_size} rows"),
        ));
    }
    let words = frozen::activations(model, ids)?;
    let Content::KeyValues(sites) = words.content else {
        return Err(Error::Mismatch("the model returned no keys and values for the words".into()));
    };
    let flat = sites.into_iter().find_map(|site| {
        let of_layers = layers.iter().map(|layer| site.layers.get(*layer).cloned().flatten());
        layout::to_flat(&SiteKeyValues { site: site.site, layers: of_layers.collect() })
    });
    let flat = flat.ok_or_else(|| {
        Error::Mismatch(format!("the model returned no keys and values for the layers {layers:?}"))
    })?;
    // On a causal model later tokens cannot influence earlier ones; an encoder has read all of the
    // words.
    Ok(flat.narrow(0, 0, virtual_tokens).cast(DType::F32))
}
