//! What a model finds of the targets of rows: its loss, and the scores of its own answers.

use peft_core::{
    Error, PaddingSide, Task,
    data::Example,
    evaluate::{Assessment, DEFAULT_NULL_SCORE_DIFF_THRESHOLD, RowsRead, questions},
    text::Encoded,
};

use super::{EvalArgs, ReadRows, interrupted};
use crate::{constant, error::CliResult, output, screen::rows::RowsDone, shard::Block};

/// Scores the rows of a block.
///
/// # Errors
///
/// Returns an error if the rows cannot be scored, if a weight of the base model is another than in training, or if a signal
/// came.
pub(super) fn assess(
    args: &EvalArgs,
    side: PaddingSide,
    rows: &ReadRows<'_>,
) -> CliResult<Assessment> {
    let ReadRows { session, encoded, block, signals, .. } = *rows;
    let examples = examples_of(session.task()?, encoded, block);
    let threshold = session.null_score_diff_threshold(&args.text)?;
    if threshold.is_none() && encoded.examples.iter().any(Example::is_unanswerable) {
        output::note(format!(
            "note: --null-score-diff-threshold is {DEFAULT_NULL_SCORE_DIFF_THRESHOLD} here; give it to predict, \
             which otherwise answers every question"
        ));
    }
    let done = RowsDone::new("eval", examples.len(), &signals.bars());
    let tell = |rows, _| {
        done.set(rows);
        signals.flow()
    };
    let found = session
        .predictor()?
        .with_max_answer_length(session.max_answer_length(&args.text)?)
        .with_null_score_diff_threshold(threshold)
        .with_padding(side)
        .with_batch_size(args.batch_size)
        .with_watch(RowsRead(&tell))
        .assess(examples, session.labels.as_ref());
    drop(done);
    let found = found.map_err(|error| match error {
        Error::Mismatch(message) => Error::file(&args.data[0], message).into(),
        other => interrupted(other, signals),
    })?;
    session.check_base_sum()?;
    if let Some(constant) = &found.constant {
        let recipe = session.adapter.as_ref().map(|adapter| &adapter.config.own.recipe);
        let has_head_lr = recipe.is_some_and(|recipe| recipe.get("head_lr").is_some());
        constant::warn(constant, session.labels.as_ref(), has_head_lr);
    }
    Ok(found)
}

/// The examples of the rows of a block: of a question all windows.
fn examples_of<'e>(task: Task, encoded: &'e Encoded, block: &Block) -> &'e [Example] {
    if task != Task::QuestionAns {
        return &encoded.examples[block.rows.clone()];
    }
    let questions = questions(&encoded.examples);
    let of_block = &questions[block.rows.clone()];
    match (of_block.first(), of_block.last()) {
        (Some(first), Some(last)) => &encoded.examples[first.start..last.end],
        _ => &[],
    }
}
