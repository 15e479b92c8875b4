//! Virtual tokens for tests: random prompts and prefixes, and prompts made of real tokens.

use burn::tensor::{Device, Int, Tensor, TensorData};
use peft_core::{
    FrozenModel, LayerKeyValues, Site, SiteKeyValues, VirtualTokens,
    contract::init::{Distribution, tensor},
};
use rand::Rng;

/// Values that are large enough to matter.
const VALUES: Distribution = Distribution::Normal { std: 0.7 };

/// A random prompt `[R, P, H]`.
pub fn random_prompt(
    model: &dyn FrozenModel,
    [r, p]: [usize; 2],
    stream: &mut impl Rng,
    device: &Device,
) -> VirtualTokens {
    let shape = [r, p, model.spec().hidden_size];
    VirtualTokens::embeddings(tensor(shape, VALUES, stream, device))
}

/// Random keys and values `[R, K, P, D]` at some attention sites, in every layer or in the last one only.
///
/// # Panics
///
/// If the model lacks one of the sites.
pub fn random_prefix(
    model: &dyn FrozenModel,
    sites: &[Site],
    last_layer_only: bool,
    [r, p]: [usize; 2],
    stream: &mut impl Rng,
    device: &Device,
) -> VirtualTokens {
    let spec = model.spec();
    let mut made = Vec::new();
    for site in sites {
        let site = spec.site(*site).unwrap_or_else(|| panic!("no site {site:?}"));
        let shape = [r, site.num_kv_heads, p, site.head_dim];
        let layers = (0..site.num_layers)
            .map(|layer| {
                (!last_layer_only || layer + 1 == site.num_layers).then(|| LayerKeyValues {
                    key: tensor(shape, VALUES, stream, device),
                    value: tensor(shape, VALUES, stream, device),
                })
            })
            .collect();
        made.push(SiteKeyValues { site: site.site, layers });
    }
    VirtualTokens::key_values(made)
}

/// A prompt of the embeddings of real tokens, of which there is at least one.
pub fn prompt_of(model: &dyn FrozenModel, words: &[u32]) -> VirtualTokens {
    let index: Vec<i64> = words.iter().map(|id| i64::from(*id)).collect();
    let index = TensorData::new(index, [1, words.len()]);
    VirtualTokens::embeddings(model.embed(Tensor::<2, Int>::from_data(index, &model.device())))
}
