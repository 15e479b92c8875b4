//! Scores of generated text: what a language model writes, compared with what it should have written.

use std::path::Path;

use peft_core::{
    Error, FrozenModel, Result,
    data::{Example, IGNORE, Target},
    metrics::{Metrics, sequence_metrics},
    text::Encoded,
};
use peft_models::{
    Loaded,
    generate::{GenerateConfig, generate},
};

use crate::session::Session;

/// `exact_match` and `token_error_rate` of the text generated for rows with targets, of which the closest
/// counts; special tokens are ignored on both sides.
///
/// # Errors
///
/// [`Error::Data`] at a row without a target or, on a decoder-only model, with nothing
/// before it; as [`generate`].
pub fn score(session: &Session, rows: &Encoded, config: &GenerateConfig) -> Result<Metrics> {
    let special = special_tokens(&session.base, config);
    let written = |ids: &[u32]| -> Vec<u32> {
        ids.iter().copied().filter(|id| !special.contains(id)).collect()
    };
    let (mut inputs, mut expected) = (Vec::new(), Vec::new());
    for (index, example) in rows.examples.iter().enumerate() {
        let path = rows.file_of(index).unwrap_or(Path::new(""));
        let (input, mut target) = split(example, session.model())
            .map_err(|message| Error::data(path, example.line, message))?;
        // A chat template may write on behind the token that ends a message; generation does not.
        if let Some(end) = target.iter().position(|id| config.end_tokens.contains(id)) {
            target.truncate(end);
        }
        inputs.push(input);
        let others = example.references.iter().map(Vec::as_slice);
        expected.push(std::iter::once(target.as_slice()).chain(others).map(written).collect());
    }
    let made = generate(session.model(), &inputs, &session.virtual_tokens, config, &mut ())?;
    let found = made.iter().map(|sequences| sequences.first());
    let found = found.map(|sequence| sequence.map_or_else(Vec::new, |best| written(&best.ids)));
    Ok(sequence_metrics(&found.zip(expected).collect::<Vec<_>>()))
}

/// The tokens that a row is continued from, and those that should follow: its last targets, in a conversation those of
/// the last message.
fn split<'e>(
    example: &'e Example,
    model: &dyn FrozenModel,
) -> std::result::Result<(&'e [u32], Vec<u32>), &'static str> {
    let Target::Tokens(targets) = &example.target else { return Err("has no target tokens") };
    let known = |target: &i64| *target != IGNORE;
    let end = 1 + targets.iter().rposition(known).ok_or("has no target tokens")?;
    let ids = |targets: &[i64]| -> Vec<u32> {
        targets.iter().filter_map(|target| u32::try_from(*target).ok()).collect()
    };
    if model.spec().is_encoder_decoder() {
        return Ok((&example.input_ids, ids(&targets[..end])));
    }
    let start = targets[..end].iter().rposition(|target| !known(target)).map_or(0, |at| at + 1);
    match &example.input_ids[..start] {
        [] => Err("is a target from its first token on: there is nothing to continue"),
        source => Ok((source, ids(&targets[start..end]))),
    }
}

/// The tokens that mark where a text begins and ends, those that only `generation_config.json` names included.
fn special_tokens(base: &Loaded, config: &GenerateConfig) -> Vec<u32> {
    let keys = ["bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id"];
    let of_model = keys.into_iter().flat_map(|key| base.config.token_ids(key));
    of_model.chain(config.end_tokens.iter().copied()).chain(config.decoder_start).collect()
}
