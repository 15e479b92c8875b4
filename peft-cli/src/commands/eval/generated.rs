//! Texts that a language model writes for rows, scored against their targets.

use peft_core::{data::Labels, metrics::Metrics};
use peft_models::generate::GenerateConfig;
use serde_json::{Map, Value};

use super::{EvalArgs, ReadRows, interrupted};
use crate::{
    class_texts::{referents::of_referents, written::of_written},
    decoder_start,
    decoding::{Purpose, settle},
    error::CliResult,
    flags::decoding::DecodingArgs,
    generation_scores, output,
    scoring::{Asked, of_texts},
    shard::Block,
};

/// What was written, and how good it is.
pub(super) struct Generated {
    /// The scores.
    pub metrics: Metrics,
    /// Rows of predictions, where they are kept.
    pub rows: Option<Vec<Map<String, Value>>>,
    /// How it was written.
    pub config: GenerateConfig,
    /// The inputs of these rows, each once.
    pub inputs: Block,
}

/// Writes at most `limit` tokens for each input, and scores them: as sequences of tokens, as `classes` and by each `metric` of
/// texts. `keeps`: whether rows of predictions are made.
///
/// # Errors
///
/// Returns an error if the model cannot write, if texts cannot be scored, or if a signal came.
pub(super) fn generate(
    args: &EvalArgs,
    limit: usize,
    rows: &ReadRows<'_>,
    (classes, metric): (Option<&Labels>, &[Asked]),
    keeps: bool,
) -> CliResult<Generated> {
    let ReadRows { session, records, encoded, block, end, signals } = *rows;
    let decoding = DecodingArgs {
        max_new_tokens: Some(limit),
        num_beams: args.num_beams,
        ..DecodingArgs::default()
    };
    let config =
        settle(&decoding, &session.base, end, Purpose::Scoring)?.with_batch_size(args.batch_size);
    decoder_start::note(&session.base);
    let (written, inputs) = generation_scores::write(session, encoded, block, &config, signals)
        .map_err(|error| interrupted(error, signals))?;
    if inputs.total < encoded.examples.len() {
        output::note(format!(
            "note: {} rows have {} inputs: each is generated once, and the closest of its targets counts",
            encoded.examples.len(),
            inputs.total
        ));
    }
    if written.is_empty() {
        output::note(
            "note: nothing is generated here: other parts have rows with the same inputs before these",
        );
    }
    let mut metrics = Metrics::new();
    let is_any = !written.is_empty();
    if is_any {
        metrics.extend(generation_scores::score(&written).iter());
    }
    let of_text = records.iter().all(|record| !record.is_ids());
    if let Some(labels) = classes.filter(|_| of_text && is_any) {
        let groups = session.groups(records, &args.text)?;
        let groups = groups.as_deref();
        let found = of_written(session, labels, encoded, &written, &config, groups)?;
        metrics.extend(found.iter());
    }
    if let Some(label) = session.referent(&args.text)?.filter(|_| is_any) {
        let rows = (records, encoded);
        metrics.extend(of_referents(session, rows, &written, &config, &label)?.iter());
    }
    if !metric.is_empty() && is_any {
        let segments =
            generation_scores::segments(session, records, encoded, &written, &args.text)?;
        for asked in metric {
            metrics.insert(asked.name.clone(), of_texts(asked.metric, &segments)?);
        }
    }
    let rows = match keeps {
        true => Some(generation_scores::rows(session, records, encoded, &written, &args.text)?),
        false => None,
    };
    Ok(Generated { metrics, rows, config, inputs })
}
