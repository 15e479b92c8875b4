//! Initial values of prefix tuning.

use burn::tensor::{Device, Tensor};
use peft_core::{
    FrozenModel, Result,
    contract::{
        init::{Distribution, tensor},
        rng,
    },
    methods::prefix::{
        FitConfig, MlpInit, MlpSizes, PrefixMlp, PrefixParameters, SiteLayers, activations,
    },
};

use crate::PrefixConfig;

/// What a prefix starts from.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum PrefixInit {
    /// With the MLP: torch's defaults, as in the paper's code (embedding from N(0, 1), linear layers from
    /// U(-1/sqrt(inputs), 1/sqrt(inputs))). Without: keys and values from N(0, 0.02²).
    #[default]
    Random,
    /// All keys and values zero (with the MLP: its last layer is zero), as PEFT's `init_weights: "zero"`.
    ///
    /// This is not the base model: a zero key scores 0 against every query, so P virtual tokens take a share
    /// of the attention and contribute nothing. Without the MLP all virtual tokens start equal, get equal
    /// gradients and stay equal: together they learn what one of them could, unless dropout tells them apart.
    Zero,
    /// The keys and values that real words have in the frozen model, the paper's choice for few examples.
    /// The words need at least P subword tokens; the first P are used. Without the MLP they are copied; with
    /// it, its two layers are fitted to them while the embedding keeps its random rows.
    Activations {
        /// Ids of the words' subword tokens.
        ids: Vec<u32>,
        /// How the MLP is fitted.
        fit: FitConfig,
    },
}

impl PrefixInit {
    /// The keys and values of real words, by the ids of their subword tokens.
    pub fn activations(ids: Vec<u32>) -> Self {
        Self::Activations { ids, fit: FitConfig::default() }
    }

    /// The parameters of the prefix of one attention site.
    pub(crate) fn parameters(
        &self,
        config: &PrefixConfig,
        site: &SiteLayers,
        model: &dyn FrozenModel,
        seed: u64,
        device: &Device,
    ) -> Result<PrefixParameters> {
        let sizes = config.sizes(model.spec(), site);
        let words = match self {
            Self::Activations { ids, .. } => {
                Some(activations(model, ids, sizes.virtual_tokens, &site.layers)?)
            }
            _ => None,
        };
        if !config.prefix_projection {
            return Ok(match words {
                Some(flat) => PrefixParameters::copied(flat, device),
                None => PrefixParameters::direct(self.free(sizes, site, seed, device)),
            });
        }
        let mut stream = rng::stream(seed, 0, &site.name("prefix.mlp"));
        let mlp = PrefixMlp::init(sizes, MlpInit::Torch, &mut stream, device);
        Ok(PrefixParameters::Mlp(match (self, words) {
            (Self::Activations { fit, .. }, Some(flat)) => mlp.fit(flat, *fit),
            (Self::Zero, _) => mlp.with_zero_output(),
            _ => mlp,
        }))
    }

    /// Free parameters `[P, L * 2 * K * D]`.
    fn free(&self, sizes: MlpSizes, site: &SiteLayers, seed: u64, device: &Device) -> Tensor<2> {
        let shape = [sizes.virtual_tokens, sizes.output];
        match self {
            Self::Zero => Tensor::zeros(shape, device),
            _ => {
                let mut stream = rng::stream(seed, 0, &site.name("prefix.free"));
                tensor(shape, Distribution::Normal { std: 0.02 }, &mut stream, device)
            }
        }
    }
}
