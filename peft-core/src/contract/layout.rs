//! How virtual tokens are laid out in `prompt_embeddings`, PEFT's only tensor.
//!
//! A prompt is stored unchanged, `[P, H]`. Keys and values are stored flat, `[P, l * 2 * K * D]`:
//! for each virtual token, layer by layer, its key then its value, head by head. `l` is the number
//! of layers that have virtual tokens; in PEFT always L. Stored keys get no further rotation.

use burn::tensor::Tensor;

use super::{
    spec::{Site, SiteSpec},
    virtual_tokens::{LayerKeyValues, SiteKeyValues},
};

/// The name of PEFT's only tensor.
pub const PROMPT_EMBEDDINGS: &str = "prompt_embeddings";

/// The name of the tensor of one attention site of an encoder-decoder, such as
/// `prompt_embeddings.cross`.
pub fn tensor_of(site: Site) -> String {
    format!("{PROMPT_EMBEDDINGS}.{site}")
}

/// Whether a tensor holds virtual tokens, rather than a head.
pub fn is_virtual(name: &str) -> bool {
    name.strip_prefix(PROMPT_EMBEDDINGS)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Splits flat keys and values into layers, differentiably.
///
/// # Shapes
///
/// - flat: `[P, l * 2 * K * D]`, where `l = layers.len()`
/// - output: a key and a value `[1, K, P, D]` for each layer in `layers`
pub fn to_key_values(flat: Tensor<2>, site: &SiteSpec, layers: &[usize]) -> SiteKeyValues {
    let [p, _] = flat.dims();
    let (k, d, l) = (site.num_kv_heads, site.head_dim, layers.len());
    // [P, l * 2, K, D] -> [l * 2, K, P, D]
    let parts = flat.reshape([p, l * 2, k, d]).permute([1, 2, 0, 3]);
    let mut of_layer = vec![None; site.num_layers];
    for (slot, layer) in layers.iter().enumerate() {
        of_layer[*layer] = Some(LayerKeyValues {
            key: parts.clone().narrow(0, 2 * slot, 1),
            value: parts.clone().narrow(0, 2 * slot + 1, 1),
        });
    }
    SiteKeyValues { site: site.site, layers: of_layer }
}

/// Flattens the keys and values of the layers that have any; the inverse of [`to_key_values`].
///
/// # Shapes
///
/// - input: a key and a value `[1, K, P, D]` per layer
/// - output: `[P, l * 2 * K * D]`; `None` if no layer has any
pub fn to_flat(site: &SiteKeyValues) -> Option<Tensor<2>> {
    let columns: Vec<_> = site
        .layers
        .iter()
        .flatten()
        .flat_map(|layer| [layer.key.clone(), layer.value.clone()])
        .map(|tensor| {
            let [_, k, p, d] = tensor.dims();
            tensor.narrow(0, 0, 1).permute([0, 2, 1, 3]).reshape([p, k * d])
        })
        .collect();
    (!columns.is_empty()).then(|| Tensor::cat(columns, 1))
}
