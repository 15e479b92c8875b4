//! `peft eval`: metrics of an adapter, or of the base model, on a file.
//!
//! | file | contents |
//! |---|---|
//! | `eval/flags.rs` | what the flags ask for, and what they refuse |
//! | `eval/scored.rs` | what a model finds of the targets of rows |
//! | `eval/generated.rs` | texts that a language model writes for them |
//! | `eval/ranked.rs` | classes that it ranks for them |
//! | `eval/voted.rs` | several adapters and their vote |
//! | `eval/reports.rs` | scores class by class |
//! | `eval/part.rs` | of which rows scores and predictions are |

mod flags;
mod generated;
mod part;
mod ranked;
mod reports;
mod scored;
mod voted;

use std::path::PathBuf;

use clap::Args;
use peft_core::{
    Error,
    data::Labels,
    evaluate::Report,
    metrics::Metrics,
    text::{Encoded, Record},
    train::TrainConfig,
};
use peft_models::generate::{EndTokens, GenerateConfig};
use serde_json::{Value, json};

use self::{
    flags::NO_CLASSES,
    part::{note_part, show_part},
    reports::{report_json, shown_report},
};
use crate::{
    adapter_set::VoteName,
    class_texts::ranked::{RankBy, rankable},
    end_token,
    error::{CliError, CliResult},
    evaluation_folder::{Evaluated, EvaluationFolder},
    flags::{
        choices::{PADDING, at_least_one},
        help::FlagHelp,
        outputs::OutputArgs,
    },
    label_renames::RenameArgs,
    output::{self, grouped},
    scoring::Asked,
    session::{Session, UseArgs},
    shard::{Block, ShardArgs, Taken},
    shots::ShotArgs,
    signals::{AFTER_BATCH, Signals},
    text_settings::TextArgs,
};

/// Scores an adapter, or the base model alone, on a file of rows with targets.
///
/// Several adapters are scored alone and together: with --vote they choose a class for each row. Rows of another data set
/// may call the classes otherwise: --rename-label and --rename-labels say how.
///
/// Examples:
///   peft eval --model models/minilm \
///     --adapter runs/intent --data valid.jsonl
///   peft eval --model models/minilm \
///     --adapter runs/a --adapter runs/b \
///     --vote majority --data valid.jsonl
///   peft eval --model models/minilm \
///     --adapter runs/intent --data theirs.jsonl \
///     --rename-label play=PlayMusic --rename-label alarm=
///   peft eval --model models/stories \
///     --adapter runs/e2e --data test.jsonl \
///     --max-new-tokens 60 --shard 1/4 \
///     --predictions part-1.jsonl
///   peft eval --model models/smollm2.gguf \
///     --task-file snips-intent --data valid.jsonl \
///     --rank-classes --shots 7 --shots-from train.jsonl \
///     --out runs/few-shot
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct EvalArgs {
    #[command(flatten)]
    model: UseArgs,
    #[command(flatten)]
    text: TextArgs,
    #[command(flatten)]
    outputs: OutputArgs,
    /// Leave out rows that have no label (none, -1, - or nan), no tags, no target or no answers, and say how many.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL",
        show_default = "as in training, otherwise refuse them")]
    skip_unlabelled: Option<bool>,
    #[command(flatten)]
    renames: RenameArgs,
    /// Score each adapter, their mean, the best, and their vote on every row. For classes: of a head, or of a language
    /// model with --rank-classes or (majority alone) --max-new-tokens. docs/ENSEMBLES.md says how ties are broken.
    #[arg(long, value_enum, value_name = "HOW")]
    vote: Option<VoteName>,
    /// Rows with targets: JSON, JSON Lines, CSV, TSV, CoNLL (also .gz, .zst) or Parquet: a file, a folder or pattern of
    /// files, or -. Again for more of them.
    #[arg(long, value_name = "FILE", required = true)]
    data: Vec<PathBuf>,
    /// Rows per batch; the scores do not depend on it. All parts of --shard need the same.
    #[arg(long, value_name = "B", default_value_t = TrainConfig::default().batch_size, value_parser = at_least_one)]
    batch_size: usize,
    #[command(flatten)]
    part: ShardArgs,
    /// Side of the padding: right or left; the scores do not depend on it.
    #[arg(long, value_name = "SIDE", default_value = PADDING.name(TrainConfig::default().padding))]
    padding: String,
    /// Also generate up to this many tokens per row, and score them: exact_match and token_error_rate. For
    /// language models. Rows with the same input are one, and the closest of their targets counts. Penalties and beams
    /// are those of generation_config.json; tokens are never drawn.
    #[arg(long, value_name = "N")]
    max_new_tokens: Option<usize>,
    /// Rank the classes of --labels (or of the adapter, or of --task-file) by how likely the language model finds each as
    /// the target, instead of generating: by the sum over the tokens, or the mean. Each row is read once.
    #[arg(long, value_enum, value_name = "BY", num_args = 0..=1, default_missing_value = "sum",
        conflicts_with = "max_new_tokens")]
    rank_classes: Option<RankBy>,
    /// Generate with B beams.
    #[arg(
        long,
        value_name = "B",
        requires = "max_new_tokens",
        show_default = "that of generation_config.json, else 1"
    )]
    num_beams: Option<usize>,
    /// Also score the generated texts by a metric of `peft score`: bleu, rouge-l, chrf and so on. Again for more.
    #[arg(
        long,
        value_name = "METRIC",
        requires = "max_new_tokens",
        value_delimiter = ',',
        show_default = "those that the task in TOML names"
    )]
    metric: Vec<Asked>,
    /// File for what is generated (.jsonl, or a table: .csv, .tsv), with all targets of the input (`references`); with
    /// --rank-classes for the likeliest class of each row.
    #[arg(long, value_name = "FILE")]
    predictions: Option<PathBuf>,
    #[command(flatten)]
    shots: ShotArgs,
    /// Write settings, scores and predictions to a folder that `peft compare` puts beside those of runs: the model alone as
    /// zero-shot or few-shot, an adapter as its run.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace the evaluation in --out.
    #[arg(long, requires = "out")]
    overwrite: bool,
    /// Also print precision, recall, F1 and support class by class, and which class was taken for which; for token-cls
    /// by type of entity, and with --rank-classes for the classes that are ranked.
    #[arg(long)]
    report: bool,
    /// Print a JSON object keyed by metric name.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// Returns an error if the settings, the model, the adapter or the rows cannot be used.
pub fn run(args: &EvalArgs) -> CliResult {
    let side = PADDING.parse(&args.padding)?;
    let (taken, format) = args.taken()?;
    args.check_metrics()?;
    args.shots.check()?;
    let renames = args.renames()?;
    if args.vote.is_some() || args.model.adapters.len() > 1 {
        return voted::by_vote(args, side, (&taken, format), &renames);
    }
    args.out.as_deref().map_or(Ok(()), |out| output::check_folder("--out", out))?;
    let out = args.out.as_deref().map(|out| EvaluationFolder::open(out, args.overwrite));
    let out = out.transpose()?;
    if let Some(out) = &out {
        out.check_apart("--predictions", &taken.output)?;
        out.check_apart("--data", &args.data)?;
        out.check_apart("--shots-from", &args.shots.shots_from)?;
    }
    let mut session = args.completed(Session::open(&args.model)?, &renames)?;
    let task = session.task()?;
    args.check_task(task)?;
    let is_language_model = task.is_language_model();
    let classes = session.labels.clone().filter(|_| is_language_model);
    let scores_classes = classes.is_some() && args.max_new_tokens.is_some();
    let metric = match args.max_new_tokens {
        Some(_) if args.metric.is_empty() => session.task_metrics(&args.text)?,
        _ => args.metric.clone(),
    };
    // What was generated is written beside the rows, or compared with them, and classes are read from them.
    let keeps_rows = taken.output.is_some()
        || !metric.is_empty()
        || args.rank_classes.is_some()
        || scores_classes
        || session.referent(&args.text)?.is_some()
        || args.shots.count() > 0
        || out.is_some()
        || !renames.is_empty();
    let (records, encoded, shots) = args.read(&mut session, &renames, keeps_rows)?;
    let block = taken.block(encoded.records());
    if taken.shard.is_some() {
        note_part(&block);
        if block.rows.is_empty() {
            return args.write_nothing(&taken, &block);
        }
    }
    // What cannot be made is refused before the model reads all rows.
    let to_rank = match args.rank_classes {
        Some(by) => Some((by, rankable(classes.as_ref(), &records)?)),
        None => None,
    };
    let mut end = EndTokens::default();
    if is_language_model {
        end = end_token::find(&session.base, &session.dir)?;
        if args.max_new_tokens.is_some() || encoded.texts > 0 {
            end_token::note(&end, &session.dir);
        }
    }
    let signals = Signals::follow(AFTER_BATCH);
    let rows = ReadRows {
        session: &session,
        records: &records,
        encoded: &encoded,
        block: &block,
        end: &end,
        signals: &signals,
    };
    let found = scored::assess(args, side, &rows)?;
    let mut report = match (args.report, found.report) {
        // Ranked below.
        (true, None) if to_rank.is_some() => None,
        // Numbers, or several classes a row.
        (true, None) => return Err(Error::setting("--report", NO_CLASSES).into()),
        (asked, report) => report.filter(|_| asked),
    };
    let mut metrics = found.metrics;
    let mut predictions = None;
    // How texts were made or read.
    let mut decoded: Option<GenerateConfig> = None;
    // Which of them these are: those of the rows, or of their inputs.
    let mut predicted = block.clone();
    if let Some(limit) = args.max_new_tokens {
        let of_texts = (classes.as_ref(), metric.as_slice());
        let keeps = taken.output.is_some() || out.is_some();
        let made = generated::generate(args, limit, &rows, of_texts, keeps)?;
        metrics.extend(made.metrics.iter());
        (predictions, decoded, predicted) = (made.rows, Some(made.config), made.inputs);
    }
    if let Some(how) = to_rank {
        let made = ranked::rank(args, how, &rows)?;
        metrics.extend(made.metrics.iter());
        (predictions, decoded) = (Some(made.rows), Some(made.config));
        report = made.report.or(report);
    }
    if let (Some(path), Some(rows)) = (&taken.output, &predictions) {
        let run = || {
            let sum = args.run_sum(std::slice::from_ref(&session)).rows(&encoded.examples);
            sum.records(&records).settings(&decoded).finish()
        };
        args.write_predictions(path, (&taken, format), (predicted, &run), rows.clone())?;
    }
    if let Some(out) = &out {
        out.write(&Evaluated {
            session: &session,
            model: &args.model,
            text: &args.text,
            data: &args.data,
            shots: (&args.shots, &shots),
            encoded: &encoded,
            asked: args.asked(),
            metrics: &metrics,
            predictions: predictions.as_deref(),
        })?;
    }
    let names = session.labels.as_ref();
    show(args, &metrics, report.as_ref().map(|report| (report, names)), (&taken, &block))
}

/// Prints the scores, those class by class where they are given with the names of the classes, and of which part they are.
fn show(
    args: &EvalArgs,
    metrics: &Metrics,
    report: Option<(&Report, Option<&Labels>)>,
    (taken, block): (&Taken, &Block),
) -> CliResult {
    if args.json {
        let mut all: Vec<(&str, Value)> =
            metrics.iter().map(|(name, value)| (name, json!(value))).collect();
        all.extend(report.map(|(report, names)| ("report", report_json(report, names))));
        all.extend(taken.shard.map(|shard| ("shard", block.json(shard))));
        return Ok(output::line(output::object(&all))?);
    }
    output::metrics(metrics)?;
    if let Some((report, names)) = report {
        output::line("")?;
        output::line(shown_report(report, names))?;
    }
    show_part(taken, block)
}

/// Rows that are scored, as a session reads them.
#[derive(Clone, Copy)]
struct ReadRows<'a> {
    session: &'a Session,
    /// As they are in files, where they are kept.
    records: &'a [Record],
    /// As the model reads them.
    encoded: &'a Encoded,
    /// Those that are scored.
    block: &'a Block,
    /// What ends a text.
    end: &'a EndTokens,
    signals: &'a Signals,
}

/// What a signal left of a loop that it ended.
fn interrupted(error: Error, signals: &Signals) -> CliError {
    let Error::Stopped { done, of } = error else { return error.into() };
    let message = format!(
        "interrupted after {} of {} rows: scores are of all of them, and nothing is written",
        grouped(done),
        grouped(of)
    );
    CliError::Interrupted { signal: signals.number(), message }
}
