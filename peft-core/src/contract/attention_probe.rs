//! How much real tokens attend to virtual tokens, recorded while a model reads rows.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use burn::tensor::{Bool, DType, Tensor};

use super::{mask::Mask, spec::Site};

/// Records the attention weights that real tokens give to virtual tokens, in every pass that is given it. Copies share
/// what they record.
#[derive(Clone, Debug, Default)]
pub struct AttentionProbe(Arc<Mutex<BTreeMap<(Site, usize), Sums>>>);

/// Sums over the queries of one layer.
#[derive(Clone, Debug, Default)]
struct Sums {
    /// `[N, P]`.
    heads: Vec<Vec<f64>>,
    /// The share of visible virtual tokens among the visible keys.
    uniform: f64,
    queries: usize,
}

/// The attention mass of virtual tokens in one layer: the mean over all queries of real tokens of the weight that
/// `softmax(scale q [virtual keys ; keys]ᵀ + bias)` gives each of them.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionMass {
    /// The attention site.
    pub site: Site,
    /// The layer, from 0.
    pub layer: usize,
    /// The mass of each virtual token in each head, `[N, P]`, between 0 and 1.
    pub heads: Vec<Vec<f64>>,
    /// What all virtual tokens together would get if every query attended to all keys that it sees alike; it may see only
    /// some of them where attention has a window.
    pub uniform: f64,
    /// The number of queries: real tokens, padding left out.
    pub queries: usize,
}

impl AttentionProbe {
    /// What was recorded, by site and layer. Layers without virtual tokens are left out.
    pub fn masses(&self) -> Vec<AttentionMass> {
        let sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mass = |((site, layer), sums): (&(Site, usize), &Sums)| {
            let count = sums.queries as f64;
            let mean = |head: &Vec<f64>| head.iter().map(|sum| sum / count).collect();
            AttentionMass {
                site: *site,
                layer: *layer,
                heads: sums.heads.iter().map(mean).collect(),
                uniform: sums.uniform / count,
                queries: sums.queries,
            }
        };
        sums.iter().filter(|(_, sums)| sums.queries > 0).map(mass).collect()
    }

    /// This probe in a pass whose rows are real tokens where `queries` `[B, S]` says so, with `in_front` virtual tokens
    /// among the rows themselves, in front of the tokens.
    pub(super) fn pass(&self, queries: Mask, in_front: usize) -> PassProbe {
        PassProbe { probe: self.clone(), queries, in_front }
    }
}

/// A probe in one pass through a stack of layers.
#[derive(Clone, Debug)]
pub struct PassProbe {
    probe: AttentionProbe,
    /// Which rows are real tokens, `[B, S]`.
    queries: Mask,
    /// The virtual tokens among the rows.
    in_front: usize,
}

impl PassProbe {
    /// The probe of one layer of one site.
    pub fn at(&self, site: Site, layer: usize) -> LayerProbe {
        LayerProbe { pass: self.clone(), site, layer }
    }
}

/// A probe in one layer.
#[derive(Clone, Debug)]
pub struct LayerProbe {
    pass: PassProbe,
    site: Site,
    layer: usize,
}

impl LayerProbe {
    /// Adds the attention weights of a layer, in which `past` virtual tokens come before the rows' own keys.
    ///
    /// # Shapes
    ///
    /// - weights: `[B, N, S, P + T]`, which sum to 1 over the last dimension
    /// - hidden: `[1 or B, 1, 1 or S, P + T]`, `true` where a query may not see a key
    pub fn record(&self, weights: Tensor<4>, hidden: Option<&Tensor<4, Bool>>, past: usize) {
        let PassProbe { probe, queries, in_front } = &self.pass;
        // An encoder's prompt is not read by cross-attention as keys of its own.
        let p = past + if self.site == Site::Cross { 0 } else { *in_front };
        let [b, n, s, columns] = weights.dims();
        if p == 0 {
            return;
        }
        let weights = weights.narrow(3, 0, p).into_data().convert_dtype(DType::F32);
        let weights: Vec<f32> = weights.iter().collect();
        let visible = visible_keys(hidden, p, columns);
        let mut all = probe.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sums = all.entry((self.site, self.layer)).or_default();
        sums.heads.resize(n, vec![0.0; p]);
        for row in 0..b {
            let real = queries.row(row);
            for query in (0..s).filter(|query| real[*query]) {
                sums.queries += 1;
                let (of_virtual, of_all) = visible(row, query);
                sums.uniform += of_virtual as f64 / of_all as f64;
                for (head, sum) in sums.heads.iter_mut().enumerate() {
                    let from = ((row * n + head) * s + query) * p;
                    for (sum, weight) in sum.iter_mut().zip(&weights[from..from + p]) {
                        *sum += f64::from(*weight);
                    }
                }
            }
        }
    }
}

/// How many virtual tokens, the first `p` of all keys, a query of a row sees, and how many keys. A sliding window hides
/// virtual tokens, too.
fn visible_keys(
    hidden: Option<&Tensor<4, Bool>>,
    p: usize,
    columns: usize,
) -> impl Fn(usize, usize) -> (usize, usize) {
    let counted = hidden.map(|hidden| {
        let [rows, _, queries, _] = hidden.dims();
        let hidden: Vec<bool> = hidden.to_data().iter().collect();
        let seen = |keys: &[bool]| keys.iter().filter(|key| !**key).count();
        let counts = hidden.chunks(columns).map(|keys| (seen(&keys[..p]), seen(keys)));
        (rows, queries, counts.collect::<Vec<(usize, usize)>>())
    });
    move |row, query| match &counted {
        None => (p, columns),
        Some((rows, queries, counts)) => {
            let row = if *rows == 1 { 0 } else { row };
            let query = if *queries == 1 { 0 } else { query };
            counts[row * queries + query]
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    /// Two rows of two tokens, the last of which is padding, behind two virtual tokens: one head.
    #[test]
    fn masses_are_means_over_the_queries_of_real_tokens() {
        let device = Device::default();
        let weights = Tensor::<4>::from_data(
            [
                [[[0.5, 0.2, 0.3, 0.0], [0.1, 0.1, 0.4, 0.4]]],
                [[[0.2, 0.2, 0.6, 0.0], [0.7, 0.1, 0.1, 0.1]]],
            ],
            &device,
        );
        let hidden = Tensor::<4, Bool>::from_data(
            [[[[false, false, false, true], [false, false, false, false]]]],
            &device,
        );
        let queries = Mask::new(2, 2, vec![true, true, true, false]).unwrap();
        let probe = AttentionProbe::default();
        let pass = probe.pass(queries, 0);
        pass.at(Site::DecoderSelf, 3).record(weights, Some(&hidden), 2);
        // A layer without virtual tokens says nothing.
        let plain = Tensor::<4>::ones([2, 1, 2, 2], &device).mul_scalar(0.5);
        pass.at(Site::DecoderSelf, 0).record(plain, None, 0);
        let masses = probe.masses();
        assert_eq!(masses.len(), 1);
        let mass = &masses[0];
        assert_eq!((mass.site, mass.layer, mass.queries), (Site::DecoderSelf, 3, 3));
        for (found, expected) in mass.heads[0].iter().zip([0.8 / 3.0, 0.5 / 3.0]) {
            assert!((found - expected).abs() < 1e-7, "{found}, not {expected}");
        }
        // Of 3, 4 and 3 visible keys two are virtual.
        let expected = (2.0 / 3.0 + 2.0 / 4.0 + 2.0 / 3.0) / 3.0;
        assert!((mass.uniform - expected).abs() < 1e-12, "{}", mass.uniform);
    }

    /// Two virtual tokens and two tokens: the second token's window begins behind the first virtual token.
    #[test]
    fn a_window_hides_virtual_tokens_too() {
        let device = Device::default();
        let hidden = Tensor::<4, Bool>::from_data(
            [[[[false, false, false, true], [true, false, false, false]]]],
            &device,
        );
        let visible = visible_keys(Some(&hidden), 2, 4);
        assert_eq!([visible(0, 0), visible(1, 1)], [(2, 3), (1, 3)]);
        assert_eq!(visible_keys(None, 2, 4)(0, 0), (2, 4));
    }
}
