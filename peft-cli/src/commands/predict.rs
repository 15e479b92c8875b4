//! `peft predict`: labels, tags or answers, with their probabilities.

use std::{fmt::Debug, path::PathBuf, sync::Arc};

use clap::Args;
use peft_core::{
    Error, ProblemType, Task,
    data::Example,
    evaluate::{RowsRead, Vote, multi_adapter::PerPosition, questions},
    text::{FieldNames, Record, Role},
    train::TrainConfig,
};
use serde_json::{Map, Value, json};

use crate::{
    adapter_set::{AdapterSet, VoteName},
    class_texts::ranked::{RankBy, Ranking, rankable},
    decoder_start,
    decoding::{Purpose, settle},
    end_token,
    ensemble::{
        heads::{Voters, together},
        score::cannot_vote,
    },
    error::CliResult,
    flags::{
        choices::{at_least_one, parse_value},
        decoding::DecodingArgs,
        help::FlagHelp,
    },
    output,
    predictions::{
        Asked, Format, Given, REFERENCE, References, Shown, Worded, Words, answers, name, named,
        tags, words,
    },
    row_output::RowOutput,
    session::{Session, UseArgs},
    shard::{Cut, RunSum, ShardArgs, Taken},
    shots::{self, ShotArgs},
    signals::{AFTER_BATCH, Signals},
    text_settings::TextArgs,
};

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
    /// Class names in order, separated by commas, or as a JSON list.
    #[arg(
        long,
        value_name = "LIST",
        allow_hyphen_values = true,
        show_default = "those of the adapter or the model"
    )]
    labels: Option<String>,
    /// What the labels of a row are: single_label_classification, multi_label_classification or regression.
    #[arg(long, value_name = "TYPE", value_parser = parse_value::<ProblemType>,
        show_default = "that of the adapter or the model")]
    problem_type: Option<ProblemType>,
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
        .with_labels(args.labels.as_deref())?
        .with_problem_type(args.problem_type)?;
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

/// One adapter's answers to questions.
fn answer(args: &PredictArgs, taken: &Taken, set: AdapterSet) -> CliResult {
    let session = set.only("qa")?;
    let records = match args.asked.row(std::slice::from_ref(&session), &args.rows)? {
        Some(row) => vec![row],
        None => session.read(&args.input, &args.rows)?,
    };
    let encoded = session.encode_records(&records, &args.rows, false)?;
    session.check_lengths(&encoded, 0)?;
    let longest = session.max_answer_length(&args.rows)?;
    let threshold = session.null_score_diff_threshold(&args.rows)?;
    let predictor = session
        .predictor()?
        .with_batch_size(args.batch_size)
        .with_max_answer_length(longest)
        .with_null_score_diff_threshold(threshold);
    // A question has a record of its own, whatever the number of its windows.
    let questions = questions(&encoded.examples);
    let own = std::slice::from_ref(&session);
    let cut = args.cut(taken, (&records, &encoded.examples), own, &(longest, threshold));
    args.write(taken, &cut, own, |output, watch| {
        let predictor = predictor.with_watch(watch);
        for part in cut.block().groups(together(args.batch_size)) {
            let windows = questions[part.start].start..questions[part.end - 1].end;
            let windows = &encoded.examples[windows];
            let found = predictor.best_answers(windows, args.n_best.unwrap_or(1))?;
            let of_block = part.zip(&found).filter(|(row, _)| cut.block().contains(*row));
            for (row, found) in of_block {
                let mut fields = answers(windows, found, args.n_best);
                args.given().add(&records[row], &mut fields);
                output.add(fields)?;
            }
        }
        Ok(())
    })
}

/// Each row answered by the adapter that it names.
fn by_named(args: &PredictArgs, taken: &Taken, set: &AdapterSet) -> CliResult {
    let records = args.read(set)?;
    let of_row = set.of_rows(&records)?;
    let rows = Worded::new(records, set.task()?, &set.field_names(&args.rows));
    let (examples, names) = set.encode(rows.encoded(), &of_row, &args.rows)?;
    let references = args.references(set, &rows.given, &of_row, &names)?;
    let model = set.multi_adapter()?.with_batch_size(args.batch_size);
    let line = |row: usize, answer: PerPosition| -> CliResult<Map<String, Value>> {
        let labels = set.labels(of_row[row]);
        let problem_type = set.sessions[of_row[row]].problem_type;
        let mut fields = if problem_type.has_values() {
            let values = answer.first().map_or(&[] as &[f32], Vec::as_slice);
            args.shown().values(problem_type, labels, values)
        } else {
            let chosen: Vec<_> = answer.into_iter().map(|p| Vote::Mean.choose(&[p])).collect();
            match set.task()? {
                Task::SeqCls => args.shown().one_class(labels, chosen[0].0, &chosen[0].1),
                _ => {
                    let words = words_of(&rows, row, &examples[row], &names[of_row[row]]);
                    tags(&examples[row], labels, &chosen, &words, args.shown())
                }
            }
        };
        if set.names.len() > 1 {
            fields.insert("adapter".into(), json!(set.names[of_row[row]]));
        }
        references.add(row, &mut fields);
        args.given().add(&rows.given[row], &mut fields);
        Ok(fields)
    };
    // Where there are several, lines say which of them answered.
    let named = (set.names.len() > 1).then_some(&set.names);
    let cut = args.cut(taken, (&rows.given, &examples), &set.sessions, &named);
    args.write(taken, &cut, &set.sessions, |output, watch| {
        let model = model.with_watch(watch);
        for part in cut.block().groups(together(args.batch_size)) {
            let answers = model.answer(&examples[part.clone()], &of_row[part.clone()])?;
            for (row, answer) in part.zip(answers).filter(|(row, _)| cut.block().contains(*row)) {
                output.add(line(row, answer)?)?;
            }
        }
        Ok(())
    })
}

/// The likeliest class of each row that a language model reads.
fn by_likelihood(args: &PredictArgs, taken: &Taken, set: AdapterSet, by: RankBy) -> CliResult {
    let session = set.only("--rank-classes")?;
    let mut session = session.with_task_labels(&args.rows, args.labels.is_some())?;
    let records = match args.asked.row(std::slice::from_ref(&session), &args.rows)? {
        Some(row) => vec![row],
        None => session.read(&args.input, &args.rows)?,
    };
    let labels = rankable(session.labels.as_ref(), &records)?.clone();
    let (encoded, _) = shots::encode(&mut session, &records, &args.rows, (false, 0), &args.shots)?;
    let end = end_token::find(&session.base, &session.dir)?;
    end_token::note(&end, &session.dir);
    decoder_start::note(&session.base);
    let config = settle(&DecodingArgs::default(), &session.base, &end, Purpose::Scoring)?
        .with_batch_size(args.batch_size);
    let rows = (records.as_slice(), &encoded);
    let ranking = Ranking::new(&session, &labels, rows, &args.rows, (&config, by))?;
    let own = std::slice::from_ref(&session);
    let cut = args.cut(taken, (&records, &encoded.examples), own, &config);
    args.write(taken, &cut, own, |output, watch| {
        for part in cut.block().groups(together(args.batch_size)) {
            let inputs: Vec<&[u32]> =
                encoded.examples[part.clone()].iter().map(|row| row.input_ids.as_slice()).collect();
            let found = ranking.likelihoods(&inputs)?;
            let of_block = part.clone().zip(&found).filter(|(row, _)| cut.block().contains(*row));
            for (row, sums) in of_block {
                let record = &records[row];
                let mut fields = ranking.predicted(&labels, sums, args.shown());
                let own = ranking.own(record).filter(|own| labels.index(own).is_some());
                if let Some(own) = own.filter(|_| args.given().fields) {
                    fields.insert(REFERENCE.into(), own.into());
                }
                args.given().add(record, &mut fields);
                output.add(fields)?;
            }
            if (watch.0)(part.end, records.len()).is_break() {
                break;
            }
        }
        Ok(())
    })
}

/// The words that a row's tags are of.
fn words_of<'a>(rows: &'a Worded, row: usize, example: &Example, names: &FieldNames) -> Words<'a> {
    match (rows.text(row), &example.word_of_token) {
        (Some(text), _) => Words::Text(text, words(text)),
        (None, Some(_)) => {
            let found = rows.given[row].strings(names.name(Role::Tokens));
            found.map_or(Words::Unknown, Words::List)
        }
        (None, None) => Words::Unknown,
    }
}

/// Each row answered by all adapters, which vote on its class or on each of its tags.
fn by_vote(args: &PredictArgs, taken: &Taken, set: &AdapterSet, vote: Vote) -> CliResult {
    let rows = Worded::new(args.read(set)?, set.task()?, &set.field_names(&args.rows));
    let records = rows.encoded();
    let voters = Voters::new(set, records, &args.rows, false)?.with_batch_size(args.batch_size);
    let first = Arc::clone(voters.rows());
    let (examples, names) = (&first.examples, &first.fields);
    let of_first = vec![0; records.len()];
    let references = args.references(set, &rows.given, &of_first, std::slice::from_ref(names))?;
    let labels = set.labels(0);
    // The answers of all adapters to a row.
    let line = |row: usize, of_members: &[PerPosition]| -> CliResult<Map<String, Value>> {
        let places = of_members[0].len();
        let at = |place: usize| -> PerPosition {
            of_members.iter().map(|answer| answer[place].clone()).collect()
        };
        let chosen: Vec<(usize, Vec<f32>)> =
            (0..places).map(|place| vote.choose(&at(place))).collect();
        let mut fields = if set.task()? == Task::SeqCls {
            let mut fields = args.shown().one_class(labels, chosen[0].0, &chosen[0].1);
            let votes = of_members.iter().map(|answer| {
                let (class, _) = Vote::Mean.choose(&answer[..1]);
                name(labels, class)
            });
            fields.insert("votes".into(), votes.collect());
            fields
        } else {
            let words = words_of(&rows, row, &examples[row], names);
            tags(&examples[row], labels, &chosen, &words, args.shown())
        };
        references.add(row, &mut fields);
        args.given().add(&rows.given[row], &mut fields);
        Ok(fields)
    };
    let cut = args.cut(taken, (&rows.given, examples), &set.sessions, &());
    args.write(taken, &cut, &set.sessions, |output, watch| {
        let voters = voters.with_watch(watch);
        for part in voters.groups(cut.block()) {
            let answers = part.clone().zip(voters.answer(part)?);
            for (row, of_members) in answers.filter(|(row, _)| cut.block().contains(*row)) {
                output.add(line(row, &of_members)?)?;
            }
        }
        Ok(())
    })
}
