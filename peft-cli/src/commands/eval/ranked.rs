//! Classes that a language model ranks for rows, scored against their targets.

use peft_core::{data::Labels, evaluate::Report, metrics::Metrics};
use peft_models::generate::GenerateConfig;
use serde_json::{Map, Value};

use super::{EvalArgs, ReadRows, interrupted};
use crate::{
    class_texts::ranked::{self, RankBy},
    decoder_start,
    decoding::{Purpose, settle},
    error::CliResult,
    flags::decoding::DecodingArgs,
};

/// What was ranked, and how good it is.
pub(super) struct Ranked {
    /// The scores.
    pub metrics: Metrics,
    /// Rows of predictions.
    pub rows: Vec<Map<String, Value>>,
    /// The scores class by class, where they are asked for.
    pub report: Option<Report>,
    /// How the model is read.
    pub config: GenerateConfig,
}

/// Ranks the classes for each row.
///
/// # Errors
///
/// Returns an error if the model cannot rank, if a target is none of the classes, or if a signal came.
pub(super) fn rank(
    args: &EvalArgs,
    (by, labels): (RankBy, &Labels),
    rows: &ReadRows<'_>,
) -> CliResult<Ranked> {
    let ReadRows { session, records, encoded, block, end, signals } = *rows;
    let config = settle(&DecodingArgs::default(), &session.base, end, Purpose::Scoring)?
        .with_batch_size(args.batch_size);
    decoder_start::note(&session.base);
    let groups = session.groups(records, &args.text)?;
    let of_block = (groups.as_deref(), block);
    let found = ranked::rank(
        session,
        labels,
        (records, encoded),
        &args.text,
        (&config, by),
        of_block,
        signals,
    )
    .map_err(|error| interrupted(error, signals))?;
    let report = match args.report {
        true => Some(Report::Classes(found.report(labels)?)),
        false => None,
    };
    let rows = found.rows(&records[block.rows.clone()], labels);
    Ok(Ranked { metrics: found.metrics, rows, report, config })
}
