//! Initial values of P-tuning v2.

use burn::tensor::{Device, Tensor};
use peft_core::{
    Error, FrozenModel, Result,
    contract::{
        init::{Distribution, tensor},
        rng,
    },
    methods::prefix::{FitConfig, MlpInit, PrefixMlp, PrefixParameters, SiteLayers, activations},
};

use crate::PTuningV2Config;

/// What the virtual tokens start from.
#[derive(Clone, Debug, PartialEq)]
pub enum PTuningV2Init {
    /// Keys and values from N(0, std²); with the projection, its embedding and weights, while its biases are
    /// zero. 0.02 is what transformers, on which the paper's code is built, uses for new modules of a BERT.
    Random {
        /// Standard deviation. Default 0.02.
        std: f64,
    },
    /// All keys and values zero (with the projection: its last layer is zero).
    ///
    /// This is not the base model: a zero key scores 0 against every query, so P virtual tokens take a share
    /// of the attention and contribute nothing. Without the projection all virtual tokens of a layer start
    /// equal, get equal gradients and stay equal: together they learn what one of them could, unless dropout
    /// tells them apart.
    Zero,
    /// The keys and values that real words have in the chosen layers of the frozen model. The words need at
    /// least P subword tokens; the first P are used. With the projection, its two layers are fitted to them.
    Activations {
        /// Ids of the words' subword tokens.
        ids: Vec<u32>,
        /// How the projection is fitted.
        fit: FitConfig,
    },
}

impl Default for PTuningV2Init {
    fn default() -> Self {
        Self::Random { std: 0.02 }
    }
}

impl PTuningV2Init {
    /// The keys and values of real words, by the ids of their subword tokens.
    pub fn activations(ids: Vec<u32>) -> Self {
        Self::Activations { ids, fit: FitConfig::default() }
    }

    /// The parameters of one attention site.
    pub(crate) fn parameters(
        &self,
        config: &PTuningV2Config,
        site: &SiteLayers,
        model: &dyn FrozenModel,
        seed: u64,
        device: &Device,
    ) -> Result<PrefixParameters> {
        let sizes = config.sizes(model.spec(), site);
        if config.prefix_projection {
            let projection = |init| {
                let mut stream = rng::stream(seed, 0, &site.name("ptv2.projection"));
                PrefixMlp::init(sizes, init, &mut stream, device)
            };
            return Ok(PrefixParameters::Mlp(match self {
                Self::Random { std } => projection(check_std(*std)?),
                Self::Zero => projection(MlpInit::Torch).with_zero_output(),
                Self::Activations { ids, fit } => {
                    let words = activations(model, ids, sizes.virtual_tokens, &site.layers)?;
                    projection(MlpInit::Torch).fit(words, *fit)
                }
            }));
        }
        let shape = [sizes.virtual_tokens, sizes.output];
        Ok(match self {
            Self::Random { std } => {
                check_std(*std)?;
                let mut stream = rng::stream(seed, 0, &site.name("ptv2.free"));
                let from = Distribution::Normal { std: *std };
                PrefixParameters::direct(tensor(shape, from, &mut stream, device))
            }
            Self::Zero => PrefixParameters::direct(Tensor::zeros(shape, device)),
            Self::Activations { ids, .. } => {
                let words = activations(model, ids, sizes.virtual_tokens, &site.layers)?;
                PrefixParameters::copied(words, device)
            }
        })
    }
}

fn check_std(std: f64) -> Result<MlpInit> {
    if !std.is_finite() || std < 0.0 {
        let message = format!("found the standard deviation {std}, expected at least 0");
        return Err(Error::setting("init", message));
    }
    Ok(MlpInit::Normal { std })
}
