//! Several adapters, scored alone and together, and their vote.

use peft_core::{Error, PaddingSide, text::LabelRenames};

use super::{
    EvalArgs, interrupted,
    part::{note_part, show_part},
    reports::{report_json, shown_report},
};
use crate::{
    adapter_set::AdapterSet,
    class_texts::ranked::rankable,
    ensemble::score::{self, By},
    error::{CliError, CliResult},
    output,
    predictions::Format,
    session::Session,
    shard::Taken,
    signals::{AFTER_BATCH, Signals},
};

/// Scores several adapters, and their vote.
pub(super) fn by_vote(
    args: &EvalArgs,
    side: PaddingSide,
    (taken, format): (&Taken, Format),
    renames: &LabelRenames,
) -> CliResult {
    let Some(vote) = args.vote else {
        let message = format!(
            "found {} of them: give --vote majority or --vote mean, by which they choose a class together",
            args.model.adapters.len()
        );
        return Err(Error::setting("--adapter", message).into());
    };
    for (flag, given) in [("--shots", args.shots.count() > 0), ("--out", args.out.is_some())] {
        if given {
            let message = "is for one adapter or the base model alone, without --vote";
            return Err(Error::setting(flag, message).into());
        }
    }
    let mut set = AdapterSet::open(&args.model)?;
    if set.names.is_empty() {
        return Err(Error::setting("--vote", "needs adapters that vote (--adapter)").into());
    }
    // Each head has an order of its own, which one list cannot name; words have none.
    let has_heads = !set.task()?.is_language_model();
    if has_heads {
        set = set
            .with_labels(args.outputs.labels.as_deref())?
            .with_problem_type(args.outputs.problem_type)?;
    }
    let AdapterSet { names, sessions } = set;
    let complete = |session: Session| match has_heads {
        true => args.with_task(session, renames),
        false => args.completed(session, renames),
    };
    let sessions = sessions.into_iter().map(complete).collect::<CliResult<Vec<Session>>>()?;
    let set = AdapterSet { names, sessions };
    args.check_task(set.task()?)?;
    if !args.metric.is_empty() {
        let message = "scores texts, and a vote chooses a class: score each adapter by itself";
        return Err(Error::setting("--metric", message).into());
    }
    let by = match (args.rank_classes, args.max_new_tokens) {
        (Some(by), _) => Some(By::Rank(by)),
        (None, Some(limit)) => Some(By::Writing(limit, args.num_beams)),
        (None, None) => None,
    };
    let asked = score::Asked {
        text: &args.text,
        votes: &[vote.into()],
        by,
        batch_size: args.batch_size,
        padding: side,
        shard: taken.shard,
        encoded: None,
    };
    asked.check(&set)?;
    let records = set.read(&args.data, &args.text)?;
    if args.rank_classes.is_some() {
        rankable(set.labels(0), &records)?;
    }
    let records = args.rows(&set.sessions[0]).renamed(records, renames)?;
    let signals = Signals::follow(AFTER_BATCH);
    let scored = asked.score(&set, &records, &signals).map_err(|error| match error {
        CliError::Failed(error @ Error::Stopped { .. }) => interrupted(error, &signals),
        CliError::Failed(error) => args.rows(&set.sessions[0]).with_way_out(error, &records).into(),
        other => other,
    })?;
    if taken.shard.is_some() {
        note_part(&scored.block);
        if scored.block.rows.is_empty() {
            return args.write_nothing(taken, &scored.block);
        }
    }
    if let Some(path) = &taken.output {
        let run = || args.run_sum(&set.sessions).records(&records).finish();
        args.write_predictions(path, (taken, format), (scored.block.clone(), &run), scored.rows)?;
    }
    let report = scored.report.filter(|_| args.report);
    if args.json {
        let report = report.as_ref().map(|report| report_json(report, set.labels(0)));
        let part = taken.shard.map(|shard| scored.block.json(shard));
        return Ok(output::line(scored.table.json(report.as_ref(), part.as_ref()))?);
    }
    output::line(scored.table.text())?;
    if let Some(report) = &report {
        output::line("")?;
        output::line(shown_report(report, set.labels(0)))?;
    }
    show_part(taken, &scored.block)
}
