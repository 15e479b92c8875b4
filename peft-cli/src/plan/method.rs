//! What a method costs on a model.

use peft_core::{
    PrefixPositions, Result, Site,
    methods::prefix::{Placement, ResolvedPlacement},
};
use peft_models::cost::{Method, Placing};

use crate::{
    flags::{field_flags::as_flag, method_name::MethodName},
    training::method_builder::MethodBuilder,
};

/// What a method costs, and where the positions of rows start after it.
pub fn method_of(
    builder: &MethodBuilder<'_>,
    name: MethodName,
) -> Result<(Method, PrefixPositions)> {
    let spec = builder.model.spec();
    let h = spec.hidden_size;
    match name {
        MethodName::Head => {
            builder.head()?;
            let method =
                Method { virtual_tokens: 0, placing: Placing::Nothing, network: 0, trained: 0 };
            Ok((method, PrefixPositions::Shifted))
        }
        MethodName::Prompt => {
            let config = builder.prompt_config()?;
            config.validate().map_err(as_flag)?;
            let network = config.encoder.as_ref().map_or(0, |encoder| encoder.num_params(h));
            let p = config.num_virtual_tokens;
            let method = Method {
                virtual_tokens: p,
                placing: Placing::Prompt,
                network,
                trained: p * h + network,
            };
            Ok((method, PrefixPositions::Shifted))
        }
        MethodName::Prefix => {
            let config = builder.prefix_config()?;
            config.validate().map_err(as_flag)?;
            let hidden = config.prefix_projection.then_some(config.hidden_size);
            let placed = (&config.placement, None);
            key_values(builder, config.num_virtual_tokens, hidden, placed)
        }
        MethodName::Ptv2 => {
            let config = builder.ptv2_config()?;
            config.validate().map_err(as_flag)?;
            let hidden = config.prefix_projection.then_some(config.hidden_size);
            let placed = (&config.placement, config.layers.as_deref());
            key_values(builder, config.num_virtual_tokens, hidden, placed)
        }
    }
}

/// P virtual tokens in each layer of each site, or in these layers. `hidden`: the width of the MLP that makes them.
fn key_values(
    builder: &MethodBuilder<'_>,
    p: usize,
    hidden: Option<usize>,
    (placement, layers): (&Placement, Option<&[usize]>),
) -> Result<(Method, PrefixPositions)> {
    let spec = builder.model.spec();
    let h = spec.hidden_size;
    let ResolvedPlacement { sites, positions, .. } =
        placement.resolve(spec, layers).map_err(as_flag)?;
    let (mut network, mut trained) = (0, 0);
    for site in &sites {
        match hidden {
            // The small matrix, and two layers with their biases.
            Some(hidden) => {
                let matrices = hidden.saturating_mul(h + site.width());
                network = matrices.saturating_add(network);
                let others = p.saturating_mul(h).saturating_add(hidden + site.width());
                trained = matrices.saturating_add(others).saturating_add(trained);
            }
            None => trained = p.saturating_mul(site.width()).saturating_add(trained),
        }
    }
    let places: Vec<(Site, Vec<usize>)> =
        sites.into_iter().map(|site| (site.spec.site, site.layers)).collect();
    let placing = Placing::KeyValues(places);
    Ok((Method { virtual_tokens: p, placing, network, trained }, positions))
}
