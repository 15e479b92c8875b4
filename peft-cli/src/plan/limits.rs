//! What is not planned: other runs, rows that are too long, sizes that no model and no step has.

use std::path::Path;

use peft_core::{Error, PrefixPositions, Result, SiteSpec};
use peft_models::{
    Outline,
    cost::{Batch, Method, Placing},
};

use crate::settings::Settings;

/// The most parameters of a model, and numbers of a step: what is larger is none.
const MOST_PARAMETERS: f64 = 1e14;
const MOST_NUMBERS: f64 = 1e17;

/// Refuses settings of runs that are no single step of one method.
pub fn refuse_unplanned(settings: &Settings) -> Result<()> {
    let given = [
        (
            "--tasks",
            settings.tasks.is_some(),
            "plan each task by itself: their batches follow each other",
        ),
        (
            "--init-adapter",
            settings.init_adapter.is_some(),
            "give --num-virtual-tokens as the adapter has them, and for a prefix --prefix-projection false",
        ),
        (
            "--ensemble",
            settings.ensemble.is_some(),
            "its adapters are trained one after another, each like one alone",
        ),
    ];
    match given.into_iter().find(|(_, given, _)| *given) {
        Some((flag, _, way_on)) => Err(Error::setting(flag, format!("not planned for: {way_on}"))),
        None => Ok(()),
    }
}

/// The positions that virtual tokens take of those of a row, and of a row of the decoder of an encoder-decoder.
pub fn positions_taken(method: &Method, positions: PrefixPositions) -> [usize; 2] {
    let is_unshifted = positions == PrefixPositions::Unshifted;
    let taken = match &method.placing {
        Placing::KeyValues(_) if is_unshifted => 0,
        _ => method.virtual_tokens,
    };
    [taken, if method.placing == Placing::Prompt { 0 } else { taken }]
}

/// Refuses rows that are too long for the model together with the virtual tokens.
pub fn check_length(
    outline: &Outline,
    method: &Method,
    positions: PrefixPositions,
    batch: Batch,
) -> Result<()> {
    let spec = &outline.spec;
    let [taken, on_decoder] = positions_taken(method, positions);
    for (flag, limit, taken, tokens) in [
        ("--tokens-per-row", spec.max_positions, taken, batch.tokens),
        ("--target-tokens-per-row", spec.max_decoder_positions, on_decoder, batch.decoder_tokens),
    ] {
        if let Some(limit) =
            limit.filter(|limit| tokens > 0 && taken as u64 + tokens > *limit as u64)
        {
            let message = format!(
                "found {tokens}, with {taken} virtual tokens; the model has {limit} positions for them and the row"
            );
            return Err(Error::setting(flag, message));
        }
    }
    Ok(())
}

/// Refuses sizes that no model has, before they are multiplied with each other.
pub fn check_sizes(outline: &Outline, path: &Path) -> Result<()> {
    let parameters = outline.parameters.total() as f64;
    match parameters > MOST_PARAMETERS {
        true => {
            let message = format!(
                "describes a model of {parameters:.0e} parameters, expected at most {MOST_PARAMETERS:.0e}: are its sizes right?"
            );
            Err(Error::file(path, message))
        }
        false => Ok(()),
    }
}

/// Refuses a step with more numbers than are counted.
pub fn check_step(outline: &Outline, method: &Method, batch: Batch, path: &Path) -> Result<()> {
    let spec = &outline.spec;
    let layers: f64 = spec.sites.iter().map(|site| site.num_layers as f64).sum();
    let heads = |site: &SiteSpec| (site.num_heads * site.head_dim) as f64;
    let widest = spec.sites.iter().map(heads).fold(outline.widest() as f64, f64::max);
    let most_heads = spec.sites.iter().map(|site| site.num_heads).max().unwrap_or(1) as f64;
    let p = method.virtual_tokens as f64;
    // Those of a prompt are in each row of an encoder, and all are keys of each position.
    let tokens = (batch.tokens + batch.decoder_tokens + 1) as f64 + p;
    // General operations keep the scores of all pairs, too.
    let width = spec.hidden_size as f64 + 4.0 * widest + 2.0 * most_heads * tokens;
    let most = (batch.rows as f64 * tokens * width * layers)
        .max(batch.targets as f64 * spec.vocab_size as f64)
        // A slice, of which there are no more than rows, has gradients of what is trained.
        .max(batch.rows as f64 * method.trained as f64);
    match most > MOST_NUMBERS {
        true => {
            let message = format!(
                "with such rows and {p} virtual tokens a step would have {most:.0e} numbers, expected at most {MOST_NUMBERS:.0e}: \
                 give fewer or shorter rows, or fewer virtual tokens"
            );
            Err(Error::file(path, message))
        }
        false => Ok(()),
    }
}
