//! Keys and values of virtual tokens, layer by layer.

use burn::tensor::Tensor;
use peft_core::{Content, LayerKeyValues, Site, VirtualTokens};
use serde::Serialize;

use super::{summary::Summary, vocabulary::numbers};

/// The keys and values of one layer of an attention site.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerVectors {
    /// The site.
    pub site: Site,
    /// The layer, from 0.
    pub layer: usize,
    /// The keys of each key head and virtual token: K times P vectors of D numbers.
    pub keys: Vec<Vec<Vec<f32>>>,
    /// The values of each.
    pub values: Vec<Vec<Vec<f32>>>,
}

/// All layers that have virtual tokens. Empty for a prompt.
pub fn layers(virtual_tokens: &VirtualTokens) -> Vec<LayerVectors> {
    let Content::KeyValues(sites) = &virtual_tokens.content else { return Vec::new() };
    let of_site = sites.iter().flat_map(|site| {
        let layers = site.layers.iter().enumerate();
        layers.filter_map(|(layer, found)| Some((site.site, layer, found.as_ref()?)))
    });
    of_site.map(|(site, layer, found)| vectors(site, layer, found)).collect()
}

fn vectors(site: Site, layer: usize, found: &LayerKeyValues) -> LayerVectors {
    let heads = |tensor: &Tensor<4>| {
        let [_, _, p, d] = tensor.dims();
        let all = numbers(tensor.clone().narrow(0, 0, 1));
        let head = |head: &[f32]| head.chunks(d).map(<[f32]>::to_vec).collect();
        all.chunks(p * d).map(head).collect()
    };
    LayerVectors { site, layer, keys: heads(&found.key), values: heads(&found.value) }
}

/// How long the keys and values of a layer are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerNorms {
    /// The attention site.
    pub site: Site,
    /// The layer, from 0.
    pub layer: usize,
    /// Of the keys of all heads and virtual tokens.
    pub key: Summary,
    /// Of the values.
    pub value: Summary,
    /// The mean norm of the keys of each key head.
    pub key_heads: Vec<f64>,
    /// The mean norm of its values.
    pub value_heads: Vec<f64>,
}

impl LayerNorms {
    /// Those of a layer.
    pub fn of(layer: &LayerVectors) -> Option<Self> {
        let heads = |heads: &[Vec<Vec<f32>>]| -> Vec<Summary> {
            let of = |head: &Vec<Vec<f32>>| Summary::of(head.iter().map(|vector| norm(vector)));
            heads.iter().filter_map(of).collect()
        };
        let all = |heads: &[Vec<Vec<f32>>]| Summary::of(heads.iter().flatten().map(|v| norm(v)));
        let means = |heads: Vec<Summary>| heads.iter().map(|head| head.mean).collect();
        Some(Self {
            site: layer.site,
            layer: layer.layer,
            key: all(&layer.keys)?,
            value: all(&layer.values)?,
            key_heads: means(heads(&layer.keys)),
            value_heads: means(heads(&layer.values)),
        })
    }
}

/// The length of a vector.
pub fn norm(vector: &[f32]) -> f64 {
    vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::Device;
    use peft_core::SiteKeyValues;

    use super::*;

    #[test]
    fn norms_are_of_each_key_head_and_virtual_token() {
        let device = Device::default();
        // Two heads, two virtual tokens, D = 2.
        let key =
            Tensor::from_data([[[[3.0, 4.0], [0.0, 1.0]], [[0.0, 2.0], [6.0, 8.0]]]], &device);
        let value = Tensor::<4>::ones([1, 2, 2, 2], &device);
        let layers_of = vec![None, Some(LayerKeyValues { key, value })];
        let site = Site::DecoderSelf;
        let made = VirtualTokens::key_values(vec![SiteKeyValues { site, layers: layers_of }]);
        let found = layers(&made);
        assert_eq!((found.len(), found[0].layer), (1, 1));
        let norms = LayerNorms::of(&found[0]).unwrap();
        assert_eq!(norms.key, Summary { mean: 4.5, min: 1.0, median: 3.5, max: 10.0 });
        assert_eq!(norms.key_heads, [3.0, 6.0]);
        assert_eq!(norms.value_heads, [2f64.sqrt(); 2]);
        assert!(layers(&VirtualTokens::none()).is_empty());
    }
}
