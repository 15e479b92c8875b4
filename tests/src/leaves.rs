//! Virtual tokens whose gradients a test reads.

use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};
use peft_core::{FrozenModel, LayerKeyValues, Site, SiteKeyValues, VirtualTokens};

use crate::random_values;

/// What is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// R prompts: one that the batch shares, or one for each row.
    Prompt(usize),
    /// R prefixes: keys and values of every layer of every site, shared or one for each row.
    Prefix(usize),
    /// Of the last layer of every site.
    LastLayer,
    /// Of one site.
    OneSite(Site),
}

/// The gradient of one leaf, if it has one.
type GradientOf = Box<dyn Fn(&Gradients) -> Option<TensorData>>;

/// Leaf tensors with values from N(0, 1), and how to read their gradients.
pub struct Leaves {
    device: Device,
    dtype: DType,
    all: Vec<GradientOf>,
}

impl Leaves {
    /// None yet; `device` keeps track of gradients.
    pub fn new(device: Device, dtype: DType) -> Self {
        Self { device, dtype, all: Vec::new() }
    }

    /// Another leaf.
    pub fn draw<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        let data =
            random_values(shape, 1.0, self.all.len() as u64, "leaf").convert_dtype(self.dtype);
        let leaf = Tensor::<D>::from_data(data, (&self.device, self.dtype)).require_grad();
        let own = leaf.clone();
        self.all.push(Box::new(move |gradients| own.grad(gradients).map(Tensor::into_data)));
        leaf
    }

    /// P virtual tokens of leaves for a model.
    pub fn virtual_tokens(
        &mut self,
        model: &dyn FrozenModel,
        kind: Kind,
        p: usize,
    ) -> VirtualTokens {
        let spec = model.spec();
        let r = match kind {
            Kind::Prompt(r) => {
                return VirtualTokens::embeddings(self.draw([r, p, spec.hidden_size]));
            }
            Kind::Prefix(r) => r,
            Kind::LastLayer | Kind::OneSite(_) => 1,
        };
        let chosen = |site: Site| !matches!(kind, Kind::OneSite(only) if only != site);
        let mut sites = Vec::new();
        for site in spec.sites.iter().filter(|site| chosen(site.site)) {
            let shape = [r, site.num_kv_heads, p, site.head_dim];
            let layers = (0..site.num_layers)
                .map(|layer| {
                    (kind != Kind::LastLayer || layer + 1 == site.num_layers)
                        .then(|| LayerKeyValues { key: self.draw(shape), value: self.draw(shape) })
                })
                .collect();
            sites.push(SiteKeyValues { site: site.site, layers });
        }
        VirtualTokens::key_values(sites)
    }

    /// The gradients of all leaves, in the order in which they were drawn, each the sum of those of several backward
    /// passes.
    ///
    /// # Panics
    ///
    /// If a leaf has none.
    pub fn sums(&self, all: &[Gradients]) -> Vec<Vec<f64>> {
        let of_leaf = |leaf: &GradientOf| {
            let parts =
                all.iter().filter_map(leaf).map(|data| data.iter::<f64>().collect::<Vec<_>>());
            let add = |sum: Vec<f64>, part: Vec<f64>| {
                sum.into_iter().zip(part).map(|(sum, part)| sum + part).collect()
            };
            parts.reduce(add).expect("every leaf has a gradient")
        };
        self.all.iter().map(of_leaf).collect()
    }

    /// The gradients of all leaves, in the order in which they were drawn.
    ///
    /// # Panics
    ///
    /// If a leaf has none.
    pub fn gradients(&self, gradients: &Gradients) -> Vec<TensorData> {
        let of_leaf = |leaf: &GradientOf| leaf(gradients).expect("every leaf has a gradient");
        self.all.iter().map(of_leaf).collect()
    }
}
