//! Texts that a language model writes with a new adapter, for the page about its run.

use std::collections::BTreeSet;

use peft_core::{FrozenModel, Result, data::Example, text::Encoded};
use peft_models::generate::{GenerateConfig, Watcher, generate};

use super::{
    PreparedRun, TrainedRun, closing,
    validation::{RowTexts, Sample, spread},
};
use crate::{
    end_token,
    generation_scores::{special_tokens, split},
    session::Session,
    signals::Signals,
    text_stream::NewText,
    token_text::TokenText,
};

/// Rows that are continued.
const MOST_ROWS: usize = 8;
/// The most new tokens of each.
const MOST_TOKENS: usize = 64;

/// Continues some of the validation rows by the likeliest tokens. None where rows are learnt as a whole, where they are
/// token ids, and where a signal came.
///
/// # Errors
///
/// As for [`generate`].
pub fn generated(
    run: &PreparedRun,
    trained: &TrainedRun,
    signals: &Signals,
) -> Result<Vec<Sample>> {
    let limit = closing::new_tokens(run).and_then(|count| closing::fitting(run, trained, count));
    let Some(limit) = limit.filter(|_| run.valid.texts > 0) else { return Ok(Vec::new()) };
    let model = run.base.model.as_ref();
    let chosen = chosen(&run.valid, model);
    let adapter = Some(trained.adapter.clone());
    let session = Session::new(run.base.clone(), run.dir.clone(), adapter, &run.device)?;
    let end = end_token::find(&run.base, &run.dir)?;
    let config = GenerateConfig::for_model(&run.base, limit.min(MOST_TOKENS))?
        .with_end_tokens(end.ids().to_vec());
    let inputs: Vec<&[u32]> = chosen.iter().map(|(_, input, _)| *input).collect();
    let mut watcher = UntilSignal(signals);
    let made = generate(model, &inputs, &session.virtual_tokens, &config, &mut watcher)?;
    if signals.came() {
        return Ok(Vec::new());
    }
    let special = special_tokens(&run.base, &config);
    let tokenizer = &run.dir.tokenizer()?.tokenizer;
    let texts = RowTexts::of(&run.valid, &run.dir);
    let written = |ids: &[u32]| -> (Vec<u32>, String) {
        let ids: Vec<u32> = ids.iter().copied().filter(|id| !special.contains(id)).collect();
        let text = NewText::new(TokenText::new(tokenizer), &[], &[]).whole(&ids);
        (ids, text.unwrap_or_default().trim().to_string())
    };
    let mut samples = Vec::with_capacity(made.len());
    for ((row, input, target), sequences) in chosen.iter().zip(&made) {
        let target_end = target.iter().position(|id| config.end_tokens.contains(id));
        let (expected_ids, expected) = written(&target[..target_end.unwrap_or(target.len())]);
        let made = sequences.first().map_or(&[][..], |best| best.ids.as_slice());
        let (ids, text) = written(made);
        let references: Vec<Vec<u32>> =
            run.valid.examples[*row].references.iter().map(|one| written(one).0).collect();
        let is_right = ids == expected_ids || references.contains(&ids);
        // What was cut off while it was the beginning of a reference might have become that.
        let has_end = made.iter().any(|id| config.end_tokens.contains(id));
        let is_forced = made.len() >= config.max_new_tokens && !config.forced_eos.is_empty();
        let begins = |one: &Vec<u32>| {
            one.len() + usize::from(is_forced) > made.len() && one.starts_with(&ids)
        };
        let is_open =
            (!has_end || is_forced) && (begins(&expected_ids) || references.iter().any(begins));
        let is_right = (is_right || !is_open).then_some(is_right);
        let sample = texts.sample(*row, expected, text, is_right);
        samples.push(Sample { text: texts.text(input).trim().to_string(), ..sample });
    }
    // Those with errors first, as elsewhere; then those that nothing is known of.
    samples.sort_by_key(|sample| match sample.is_right {
        Some(false) => 0,
        None => 1,
        Some(true) => 2,
    });
    Ok(samples)
}

/// Rows with different inputs, spread over the file: of each its index, its input and its target.
fn chosen<'r>(rows: &'r Encoded, model: &dyn FrozenModel) -> Vec<(usize, &'r [u32], Vec<u32>)> {
    let mut known = BTreeSet::new();
    let of_row = |(row, example): (usize, &'r Example)| {
        let (input, target) = split(example, model).ok()?;
        known.insert(input).then_some((row, input, target))
    };
    spread(rows.examples.iter().enumerate().filter_map(of_row).collect(), MOST_ROWS)
}

/// Goes on until a signal comes.
struct UntilSignal<'a>(&'a Signals);

impl Watcher for UntilSignal<'_> {
    fn ends(&mut self, _: usize, _: &[u32]) -> bool {
        self.0.came()
    }
}
