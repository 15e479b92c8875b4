//! `peft predict`: labels, tags or answers, with their probabilities.

mod ways;

use std::{fmt::Debug, path::PathBuf};

use clap::Args;
use peft_core::{
    Error, ProblemType, Task,
    data::Example,
    evaluate::RowsRead,
    text::{FieldNames, Record},
    train::TrainConfig,
};

use crate::{
    adapter_set::{AdapterSet, VoteName},
    class_texts::ranked::RankBy,
    ensemble::{heads::together, score::cannot_vote},
    error::CliResult,
    flags::{choices::at_least_one, help::FlagHelp, outputs::OutputArgs},
    output,
    predictions::{Asked, Format, Given, References, Shown, named},
    row_output::RowOutput,
    session::{Session, UseArgs},
    shard::{Cut, RunSum, ShardArgs, Taken},
    shots::ShotArgs,
    signals::{AFTER_BATCH, Signals},
    text_settings::TextArgs,
};
use ways::{answer, by_likelihood, by_named, by_vote};

/// Predicts labels, tags or answers, each with its probability: one JSON line per row.
///
/// A line has the row's `id` (also called guid or idx), its own fields as `input`, and `label`, `tags` with `entities`,
/// or `answer`. Where rows have labels by number, `reference` is the name of the row's own class. Words and characters
/// are counted from 0, and an end is behind the last of them.
///
/// Several adapters share one pass: each row names its adapter in the field `adapter` (the folder's name, or
/// NAME of --adapter NAME=DIR), or with --vote all of them answer every row and vote.
///
/// Examples:
///   peft predict --model models/minilm \
///     --adapter runs/intent --input texts.jsonl
///   peft predict --model models/minilm \
///     --adapter runs/intent --input texts.jsonl \
///     --top-k 3 --output intents.tsv
///   peft predict --model models/minilm \
///     --adapter runs/intent --text "play jazz"
///   peft predict --model models/minilm \
///     --adapter runs/intent --input texts.jsonl \
///     --shard 1/4 --output part-1.jsonl
///   peft predict --model models/smollm2.gguf \
///     --task-file snips-intent --rank-classes \
///     --shots 7 --shots-from train.jsonl \
///     --input texts.jsonl
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct PredictArgs {
    #[command(flatten)]
    model: UseArgs,
    #[command(flatten)]
    rows: TextArgs,
    #[command(flatten)]
    outputs: OutputArgs,
    /// Let all adapters vote on every row.
    #[arg(long, value_enum, value_name = "HOW")]
    vote: Option<VoteName>,
    /// Rows: JSON, JSON Lines, CSV, TSV, CoNLL (also .gz, .zst) or Parquet: a file, a folder or pattern of files, or -.
    /// Again for more of them. token-cls also tags the words of a `text`.
    #[arg(long, value_name = "FILE", required_unless_present = "text")]
    input: Vec<PathBuf>,
    #[command(flatten)]
    asked: Asked,
    /// File for the predictions; - is standard output.
    #[arg(long, value_name = "FILE", show_default = "stdout")]
    output: Option<PathBuf>,
    /// How they are written: JSON Lines as they are made, a table at the end. Of a table, lists are JSON in a cell.
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        show_default = "by the name of --output, else jsonl"
    )]
    format: Option<Format>,
    /// The K likeliest classes (`top`), in place of all.
    #[arg(long, value_name = "K", value_parser = at_least_one)]
    top_k: Option<usize>,
    /// qa: also the N best answers (`answers`), with their scores, which are sums of two logits.
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    n_best: Option<usize>,
    /// For language models: the class of --labels (or of the adapter, or of --task-file) that the model finds likeliest as
    /// the target, by the sum over its tokens or the mean, with the log-likelihood of each. Each row is read once.
    #[arg(long, value_enum, value_name = "BY", num_args = 0..=1, default_missing_value = "sum",
        conflicts_with = "n_best")]
    rank_classes: Option<RankBy>,
    #[command(flatten)]
    shots: ShotArgs,
    /// Leave out the rows' own fields, all but the id.
    #[arg(long)]
    omit_input: bool,
    #[command(flatten)]
    part: ShardArgs,
    /// Rows per batch. All parts of --shard need the same.
    #[arg(long, value_name = "B", default_value_t = TrainConfig::default().batch_size, value_parser = at_least_one)]
    batch_size: usize,
}

/// Runs the command.
///
/// # Errors
///
/// Returns an error if the settings, the model, an adapter or the rows cannot be used.
pub fn run(args: &PredictArgs) -> CliResult {
    let mut inputs = [&args.input[..], &args.shots.shots_from].concat();
    inputs.extend(args.rows.task_file.clone());
    args.part.check_rows("--text", args.asked.text.is_some())?;
    let file = output::file_of(args.output.as_deref());
    let taken = match args.asked.text {
        Some(_) => Taken { shard: None, output: file.map(PathBuf::from) },
        None => args.part.take("--output", file)?,
    };
    output::check_output("--output", taken.output.as_deref(), &inputs)?;
    args.shots.check()?;
    let format = Format::told(args.format, "--output", taken.output.as_deref())?;
    taken.check_format(if args.format.is_some() { "--format" } else { "--output" }, format)?;
    let set = AdapterSet::open(&args.model)?
        .with_labels(args.outputs.labels.as_deref())?
        .with_problem_type(args.outputs.problem_type)?;
    args.check_task(&set)?;
    args.check_vote(&set)?;
    if let Some(by) = args.rank_classes {
        return by_likelihood(args, &taken, set, by).map_err(named);
    }
    let written = match set.task()? {
        Task::SeqCls | Task::TokenCls => match args.vote {
            None => by_named(args, &taken, &set),
            Some(how) => by_vote(args, &taken, &set, how.into()),
        },
        Task::QuestionAns => answer(args, &taken, set),
        other @ (Task::CausalLm | Task::Seq2SeqLm) => {
            return Err(Error::Mismatch(format!(
                "predict is for classification and qa; for {other} use `peft generate`, or --rank-classes for the likeliest of \
                 given classes"
            ))
            .into());
        }
    };
    written.map_err(named)
}

impl PredictArgs {
    /// Refuses flags that the task does not use.
    fn check_task(&self, set: &AdapterSet) -> CliResult {
        let task = set.task()?;
        if self.rank_classes.is_some() && task.has_head() {
            let message = format!("not used by {task}, whose head chooses among classes");
            return Err(Error::setting("--rank-classes", message).into());
        }
        if self.shots.count() > 0 && task.has_head() {
            let message = format!("not used by {task}: examples are for language models");
            return Err(Error::setting("--shots", message).into());
        }
        if self.n_best.is_some() && task != Task::QuestionAns {
            let message =
                format!("not used by {task}, which has no answers; --top-k is for classes");
            return Err(Error::setting("--n-best", message).into());
        }
        let is_regression =
            set.sessions.iter().all(|one| one.problem_type == ProblemType::Regression);
        let no_classes = match task {
            Task::QuestionAns => Some("qa, which has no classes; --n-best is for answers"),
            Task::SeqCls if is_regression => Some("a regression, which has no classes"),
            _ => None,
        };
        match no_classes.filter(|_| self.top_k.is_some()) {
            Some(what) => Err(Error::setting("--top-k", format!("not used by {what}")).into()),
            None => Ok(()),
        }
    }

    /// Refuses a vote where predictions have none.
    fn check_vote(&self, set: &AdapterSet) -> CliResult {
        if self.vote.is_none() {
            return Ok(());
        }
        let refuse = |message: String| Err(Error::setting("--vote", message).into());
        let task = set.task()?;
        if set.names.is_empty() {
            return refuse("needs adapters that vote (--adapter)".into());
        }
        if let Some(reason) =
            set.sessions.iter().find_map(|one| cannot_vote(task, one.problem_type))
        {
            return refuse(reason);
        }
        match task.is_language_model() {
            true => refuse(format!(
                "not used by {task}: the adapters of a language model vote in `peft eval --vote`, on rows with targets, where \
                 --predictions FILE keeps the class of each row; for rows without targets, --rank-classes with one adapter \
                 gives the likeliest class"
            )),
            false => Ok(()),
        }
    }

    /// The rows, of files or of --text.
    fn read(&self, set: &AdapterSet) -> CliResult<Vec<Record>> {
        Ok(match self.asked.row(&set.sessions, &self.rows)? {
            Some(_) if set.names.len() > 1 && self.vote.is_none() => {
                let message = "names no adapter: give one of them, or --vote";
                return Err(Error::setting("--text", message).into());
            }
            Some(row) => vec![row],
            None => set.read(&self.input, &self.rows)?,
        })
    }

    /// What a row takes over; a text of the command line needs no copy.
    fn given(&self) -> Given {
        Given { fields: !self.omit_input && self.asked.text.is_none() }
    }

    /// The classes of labelled rows, which the adapters that `of_row` says answer; `names` are what each of these calls
    /// the fields.
    fn references(
        &self,
        set: &AdapterSet,
        rows: &[Record],
        of_row: &[usize],
        names: &[FieldNames],
    ) -> CliResult<References> {
        if !self.given().fields || set.task()? != Task::SeqCls {
            return Ok(References::default());
        }
        let answered = |(record, at): (_, &usize)| {
            (record, &names[*at], set.labels(*at), set.sessions[*at].problem_type)
        };
        Ok(References::of(rows.iter().zip(of_row).map(answered)))
    }

    fn shown(&self) -> Shown {
        Shown { top: self.top_k }
    }

    /// The rows that are taken of `records`, which these examples are read as by the adapters of `sessions`. Predictions
    /// follow from `more`, too.
    fn cut(
        &self,
        taken: &Taken,
        (records, examples): (&[Record], &[Example]),
        sessions: &[Session],
        more: &dyn Debug,
    ) -> Cut {
        let cut = taken.cut(records.len(), || {
            let sum = RunSum::of("predict", &self.model, self.batch_size).sessions(sessions);
            let asked = (self.top_k, self.n_best, self.rank_classes, self.vote, self.omit_input);
            sum.rows(examples).records(records).settings(&asked).settings(more).finish()
        });
        cut.block().note_together(together(self.batch_size), Some("a smaller --batch-size"));
        cut
    }

    /// Writes the rows of a cut, which `make` makes in order with the adapters of `sessions` until a signal ends the
    /// reading.
    fn write(
        &self,
        taken: &Taken,
        cut: &Cut,
        sessions: &[Session],
        make: impl FnOnce(&mut RowOutput, RowsRead<'_>) -> CliResult,
    ) -> CliResult {
        let format = Format::of(self.format, "--output", taken.output.as_deref())?;
        let output = RowOutput::open(taken.output.as_deref(), cut)?;
        let signals = Signals::follow(AFTER_BATCH);
        let output = output.with_signals(&signals).with_format(format);
        let mut output = output.with_progress("predict");
        let made = make(&mut output, RowsRead(&|_, _| signals.flow()))
            .and_then(|()| Ok(sessions.iter().try_for_each(Session::check_base_sum)?));
        output.end(made)
    }
}
