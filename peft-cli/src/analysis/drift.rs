//! How far virtual tokens are from where training began.

use peft_core::{Content, Site, VirtualTokens};
use serde::Serialize;

use super::{
    layers::{LayerVectors, layers, norm},
    neighbours::{as_rows, prompt_rows},
    summary::Summary,
};

/// How far a vector is from its start.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Distance {
    /// `|w - w0|`.
    pub distance: f64,
    /// `|w - w0| / |w0|`; `None` from zero.
    pub relative: Option<f64>,
    /// The cosine of w and w0; `None` where one of them is zero.
    pub cosine: Option<f64>,
}

impl Distance {
    /// That of two vectors of the same length.
    pub fn of(now: &[f32], then: &[f32]) -> Self {
        let pairs = || now.iter().zip(then).map(|(a, b)| (f64::from(*a), f64::from(*b)));
        let distance = pairs().map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
        let (length, length_then) = (norm(now), norm(then));
        let product: f64 = pairs().map(|(a, b)| a * b).sum();
        let relative = (length_then > 0.0).then(|| distance / length_then);
        let both = length * length_then;
        Self { distance, relative, cosine: (both > 0.0).then(|| product / both) }
    }
}

/// How far the virtual tokens of an adapter are from their start.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Drift {
    /// Each virtual token of a prompt.
    pub positions: Vec<Distance>,
    /// Each layer of a prefix.
    pub layers: Vec<LayerDrift>,
    /// Of all positions, or of the keys and the values of all layers.
    pub distance: Option<Summary>,
    /// In relation to the start, of those that did not start from zero.
    pub relative: Option<Summary>,
}

/// How far the keys and values of a layer are from their start, all of them as one vector.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LayerDrift {
    /// The attention site.
    pub site: Site,
    /// The layer, from 0.
    pub layer: usize,
    /// Of the keys.
    pub key: Distance,
    /// Of the values.
    pub value: Distance,
}

/// How far virtual tokens are from their start; `None` if they are of another shape.
pub fn drift(now: &VirtualTokens, then: &VirtualTokens) -> Option<Drift> {
    let mut found = Drift::default();
    match (&now.content, &then.content) {
        (Content::Embeddings(now), Content::Embeddings(then)) if now.dims() == then.dims() => {
            let [now, then] = [now, then].map(|rows| as_rows(prompt_rows(rows)));
            found.positions =
                now.iter().zip(&then).map(|(now, then)| Distance::of(now, then)).collect();
        }
        (Content::KeyValues(_), Content::KeyValues(_)) => {
            let (now, then) = (layers(now), layers(then));
            if now.len() != then.len() {
                return None;
            }
            found.layers = now.iter().zip(&then).map(of_layer).collect::<Option<_>>()?;
        }
        _ => return None,
    }
    let sides = found.layers.iter().flat_map(|layer| [layer.key, layer.value]);
    let all: Vec<Distance> = found.positions.iter().copied().chain(sides).collect();
    found.distance = Summary::of(all.iter().map(|one| one.distance));
    found.relative = Summary::of(all.iter().filter_map(|one| one.relative));
    Some(found)
}

fn of_layer((now, then): (&LayerVectors, &LayerVectors)) -> Option<LayerDrift> {
    let flat = |heads: &[Vec<Vec<f32>>]| heads.concat().concat();
    let between = |now: &[Vec<Vec<f32>>], then: &[Vec<Vec<f32>>]| {
        let (now, then) = (flat(now), flat(then));
        (now.len() == then.len()).then(|| Distance::of(&now, &then))
    };
    if (now.site, now.layer) != (then.site, then.layer) {
        return None;
    }
    Some(LayerDrift {
        site: now.site,
        layer: now.layer,
        key: between(&now.keys, &then.keys)?,
        value: between(&now.values, &then.values)?,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::*;

    #[test]
    fn distances_are_of_each_position() {
        let of = |rows: [[f32; 2]; 2]| {
            VirtualTokens::embeddings(Tensor::<2>::from_data(rows, &Device::default()).unsqueeze())
        };
        let found = drift(&of([[3.0, 4.0], [0.0, 2.0]]), &of([[3.0, 0.0], [0.0, 0.0]])).unwrap();
        let first = Distance { distance: 4.0, relative: Some(4.0 / 3.0), cosine: Some(0.6) };
        let second = Distance { distance: 2.0, relative: None, cosine: None };
        assert_eq!(found.positions, [first, second]);
        assert_eq!(found.distance.unwrap().mean, 3.0);
        assert_eq!(found.relative.unwrap().max, 4.0 / 3.0);
        assert_eq!(drift(&of([[1.0, 0.0]; 2]), &VirtualTokens::none()), None);
    }
}
