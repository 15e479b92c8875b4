//! `peft eval`: metrics of an adapter, or of the base model, on a file.

use std::path::{Path, PathBuf};

use clap::Args;
use peft_core::{
    Error, PaddingSide, ProblemType, Task,
    adapter::atomic,
    data::{Example, Labels},
    evaluate::{DEFAULT_NULL_SCORE_DIFF_THRESHOLD, Report, RowsRead, questions},
    metrics::ClassReport,
    text::{Encoded, LabelRenames},
    train::TrainConfig,
};
use peft_models::generate::{EndTokens, GenerateConfig};
use serde_json::{Map, Value, json};

use crate::{
    adapter_set::{AdapterSet, VoteName},
    class_texts::{
        ranked::{RankBy, rank, rankable},
        referents::of_referents,
        written::of_written,
    },
    constant, decoder_start,
    decoding::{Purpose, settle},
    end_token,
    ensemble::score::{self, By},
    error::{CliError, CliResult},
    evaluation_folder::{Evaluated, EvaluationFolder},
    flags::{
        choices::{PADDING, at_least_one, parse_value},
        decoding::DecodingArgs,
        help::FlagHelp,
    },
    generation_scores,
    label_renames::{RenameArgs, ScoredRows},
    output::{self, grouped},
    predictions::Format,
    scoring::{
        Asked, Kind, Metric, of_classes, of_entities, of_texts, shown_classes, shown_entities,
    },
    screen::rows::RowsDone,
    session::{Session, UseArgs},
    shard::{Block, Cut, RunSum, ShardArgs, Taken},
    shots::{self, ShotArgs},
    signals::{AFTER_BATCH, Signals},
    tasks::task_file::TaskFile,
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
    /// seq-cls: leave out rows without a label (none, -1, - or nan), and say how many.
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
    if args.predictions.is_some() && args.max_new_tokens.is_none() && args.rank_classes.is_none() {
        let message =
            "--predictions: needs --max-new-tokens or --rank-classes, whose results it is for";
        return Err(CliError::Usage(message.into()));
    }
    // Before the name becomes that of a part: scores are on standard output.
    let named = args.predictions.as_deref();
    output::check_output("--predictions", named.filter(|named| output::is_stdout(named)), &[])?;
    let taken = args.part.take("--predictions", named)?;
    output::check_output("--predictions", taken.output.as_deref(), &args.inputs())?;
    let format = Format::of(None, "--predictions", taken.output.as_deref())?;
    taken.check_format("--predictions", format)?;
    if taken.shard.is_some() && args.out.is_some() {
        let message = "an evaluation is of all rows, and --shard takes a part of them: write predictions, of classes and \
                       answers by `peft predict --shard`, of texts by --predictions, whose parts `peft merge` puts \
                       together and scores";
        return Err(Error::setting("--out", message).into());
    }
    args.check_metrics()?;
    args.shots.check()?;
    let renames = args.renames()?;
    if args.vote.is_some() || args.model.adapters.len() > 1 {
        return by_vote(args, side, (&taken, format), &renames);
    }
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
    let (records, encoded, shots) = match keeps_rows {
        true => {
            let records = session.read(&args.data, &args.text)?;
            let records = args.rows(&session).renamed(records, &renames)?;
            let how = (true, args.max_new_tokens.unwrap_or(0));
            let encoded = shots::encode(&mut session, &records, &args.text, how, &args.shots);
            let (encoded, shots) =
                encoded.map_err(|error| args.rows(&session).with_way_out(error, &records))?;
            (records, encoded, shots)
        }
        false => {
            let encoded = session.encode(&args.data, &args.text, true);
            let encoded = encoded.map_err(|error| args.rows(&session).with_way_out(error, &[]))?;
            (Vec::new(), encoded, Vec::new())
        }
    };
    let block = taken.block(encoded.records());
    if taken.shard.is_some() {
        note_part(&block);
        if block.rows.is_empty() {
            return args.write_nothing(&taken, &block);
        }
    }
    let examples = examples_of(task, &encoded, &block);
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
    let threshold = session.null_score_diff_threshold(&args.text)?;
    if threshold.is_none() && encoded.examples.iter().any(Example::is_unanswerable) {
        output::note(format!(
            "note: --null-score-diff-threshold is {DEFAULT_NULL_SCORE_DIFF_THRESHOLD} here; give it to predict, \
             which otherwise answers every question"
        ));
    }
    let signals = Signals::follow(AFTER_BATCH);
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
        other => interrupted(other, &signals),
    })?;
    session.check_base_sum()?;
    if let Some(constant) = &found.constant {
        let recipe = session.adapter.as_ref().map(|adapter| &adapter.config.own.recipe);
        let has_head_lr = recipe.is_some_and(|recipe| recipe.get("head_lr").is_some());
        constant::warn(constant, session.labels.as_ref(), has_head_lr);
    }
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
        let decoding = DecodingArgs {
            max_new_tokens: Some(limit),
            num_beams: args.num_beams,
            ..DecodingArgs::default()
        };
        let config = settle(&decoding, &session.base, &end, Purpose::Scoring)?
            .with_batch_size(args.batch_size);
        decoder_start::note(&session.base);
        let (written, inputs) =
            generation_scores::write(&session, &encoded, &block, &config, &signals)
                .map_err(|error| interrupted(error, &signals))?;
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
        predicted = inputs;
        let is_any = !written.is_empty();
        if is_any {
            metrics.extend(generation_scores::score(&written).iter());
        }
        let of_text = records.iter().all(|record| !record.is_ids());
        if let Some(labels) = classes.as_ref().filter(|_| of_text && is_any) {
            let groups = session.groups(&records, &args.text)?;
            let groups = groups.as_deref();
            let found = of_written(&session, labels, &encoded, &written, &config, groups)?;
            metrics.extend(found.iter());
        }
        if let Some(label) = session.referent(&args.text)?.filter(|_| is_any) {
            let rows = (records.as_slice(), &encoded);
            metrics.extend(of_referents(&session, rows, &written, &config, &label)?.iter());
        }
        if !metric.is_empty() && is_any {
            let segments =
                generation_scores::segments(&session, &records, &encoded, &written, &args.text)?;
            for asked in &metric {
                metrics.insert(asked.name.clone(), of_texts(asked.metric, &segments)?);
            }
        }
        if taken.output.is_some() || out.is_some() {
            let rows = generation_scores::rows(&session, &records, &encoded, &written, &args.text)?;
            predictions = Some(rows);
        }
        decoded = Some(config);
    }
    if let Some((by, labels)) = to_rank {
        let config = settle(&DecodingArgs::default(), &session.base, &end, Purpose::Scoring)?
            .with_batch_size(args.batch_size);
        decoder_start::note(&session.base);
        let groups = session.groups(&records, &args.text)?;
        let rows = (records.as_slice(), &encoded);
        let of_block = (groups.as_deref(), &block);
        let ranked = rank(&session, labels, rows, &args.text, (&config, by), of_block, &signals)
            .map_err(|error| interrupted(error, &signals))?;
        metrics.extend(ranked.metrics.iter());
        predictions = Some(ranked.rows(&records[block.rows.clone()], labels));
        if args.report {
            report = Some(Report::Classes(ranked.report(labels)?));
        }
        decoded = Some(config);
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
    if args.json {
        let mut all: Vec<(&str, Value)> =
            metrics.iter().map(|(name, value)| (name, json!(value))).collect();
        all.extend(report.as_ref().map(|report| ("report", report_json(report, names))));
        all.extend(taken.shard.map(|shard| ("shard", block.json(shard))));
        return Ok(output::line(output::object(&all))?);
    }
    output::metrics(&metrics)?;
    if let Some(report) = &report {
        output::line("")?;
        output::line(shown_report(report, names))?;
    }
    show_part(&taken, &block)
}

fn report_json(report: &Report, names: Option<&Labels>) -> Value {
    match report {
        Report::Classes(report) => of_classes(report, &class_names(report, names)),
        Report::Entities(scores) => of_entities(scores),
    }
}

fn shown_report(report: &Report, names: Option<&Labels>) -> String {
    match report {
        Report::Classes(report) => shown_classes(report, &class_names(report, names)),
        Report::Entities(scores) => shown_entities(scores),
    }
}

/// Scores several adapters, and their vote.
fn by_vote(
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
        set = set.with_labels(args.labels.as_deref())?.with_problem_type(args.problem_type)?;
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

/// What is wrong with `--report` where nothing has classes.
const NO_CLASSES: &str =
    "is for tasks that give each row or word one class, or with --rank-classes";

/// Says of which rows the scores are.
fn note_part(block: &Block) {
    output::note(format!(
        "note: scores are of {block}; scores of parts have no mean that is that of all: `peft merge` scores predictions \
         together, those of `peft predict --shard` or of --predictions"
    ));
}

/// Prints of which rows the scores above are, where these are a part.
fn show_part(taken: &Taken, block: &Block) -> CliResult {
    match taken.shard {
        Some(_) => Ok(output::line(format!("\nshard: {block}"))?),
        None => Ok(()),
    }
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

impl EvalArgs {
    /// What tells predictions of one run from those of another, but for its rows.
    fn run_sum(&self, sessions: &[Session]) -> RunSum {
        let sum = RunSum::of("eval", &self.model, self.batch_size).sessions(sessions);
        sum.settings(&(self.vote, self.rank_classes, self.max_new_tokens, self.num_beams))
    }

    /// Writes the predictions of a block of a run.
    fn write_predictions(
        &self,
        path: &Path,
        (taken, format): (&Taken, Format),
        (block, run): (Block, &dyn Fn() -> String),
        rows: Vec<Map<String, Value>>,
    ) -> CliResult {
        let text = match taken.shard {
            None => format.text(rows),
            Some(shard) => {
                let cut = Cut::part(block, shard, run());
                cut.check_replaces(path)?;
                rows.into_iter().enumerate().map(|(place, row)| cut.line(place, row)).collect()
            }
        };
        Ok(atomic::write_file(path, text.as_bytes())?)
    }

    /// Ends a part without rows: there are no scores, and an empty file of predictions.
    fn write_nothing(&self, taken: &Taken, block: &Block) -> CliResult {
        if let Some(path) = &taken.output {
            taken.check_replaces()?;
            atomic::write_file(path, b"")?;
        }
        match taken.shard.filter(|_| self.json) {
            Some(shard) => Ok(output::line(output::object(&[("shard", block.json(shard))]))?),
            None => Ok(output::line(format!("shard: {block}"))?),
        }
    }

    /// The files that are read beside the model and its adapters.
    fn inputs(&self) -> Vec<PathBuf> {
        let more = [&self.renames.rename_labels, &self.text.task_file];
        let more = more.into_iter().flatten().cloned();
        self.data.iter().chain(&self.shots.shots_from).cloned().chain(more).collect()
    }

    /// What tells an evaluation from others of the same adapter or model.
    fn asked(&self) -> Map<String, Value> {
        let renames = (!self.renames.rename_label.is_empty()).then_some(&self.renames.rename_label);
        let all = [
            ("answers", self.answers().map(|answers| json!(answers))),
            ("max_new_tokens", self.max_new_tokens.map(|most| json!(most))),
            ("rename_label", renames.map(|names| json!(names))),
            ("rename_labels", self.renames.rename_labels.as_ref().map(|path| json!(path))),
            ("max_length", self.text.max_length.map(|most| json!(most))),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?))).collect()
    }

    /// How answers are found.
    fn answers(&self) -> Option<&'static str> {
        match (self.rank_classes, self.max_new_tokens) {
            (Some(RankBy::Sum), _) => Some("ranked by sum"),
            (Some(RankBy::Mean), _) => Some("ranked by mean"),
            (None, Some(_)) => Some("generated"),
            (None, None) => None,
        }
    }

    /// A session with what the flags say of classes.
    fn completed(&self, session: Session, renames: &LabelRenames) -> CliResult<Session> {
        let session = session.with_labels(self.labels.as_deref())?;
        self.with_task(session.with_problem_type(self.problem_type)?, renames)
    }

    /// A session with what the task says of classes. Where labels are renamed, a task of other data does not replace the
    /// classes that an adapter remembers.
    fn with_task(&self, session: Session, renames: &LabelRenames) -> CliResult<Session> {
        let session = session.with_skip_unlabelled(self.skip_unlabelled);
        let keeps = self.labels.is_some() || !renames.is_empty();
        Ok(session.with_task_labels(&self.text, keeps)?)
    }

    /// What labels of the rows are called, by the flags and by the task that they name.
    fn renames(&self) -> CliResult<LabelRenames> {
        let file = self.text.task_file.as_deref().map(TaskFile::open).transpose()?;
        let of_task = file.and_then(|file| file.rename_labels);
        Ok(self.renames.renames(of_task.as_ref())?)
    }

    /// The rows that a session scores.
    fn rows<'a>(&'a self, session: &'a Session) -> ScoredRows<'a> {
        ScoredRows { session, text: &self.text, data: &self.data }
    }

    /// Refuses what a task does not have.
    fn check_task(&self, task: Task) -> CliResult {
        let refuse = |flag: &str, message: String| Err(Error::setting(flag, message).into());
        match task {
            _ if self.max_new_tokens.is_some() && task.has_head() => {
                refuse("--max-new-tokens", format!("{task} generates nothing"))
            }
            _ if self.rank_classes.is_some() && task.has_head() => {
                let message = format!("not used by {task}, whose head chooses among classes");
                refuse("--rank-classes", message)
            }
            Task::SeqCls | Task::TokenCls => Ok(()),
            _ if self.report && self.rank_classes.is_none() => {
                refuse("--report", NO_CLASSES.into())
            }
            _ => Ok(()),
        }
    }

    /// Refuses metrics of anything but texts.
    fn check_metrics(&self) -> CliResult {
        if self.metric.iter().any(|asked| asked.metric == Metric::Meteor) {
            let message = "meteor is run by `peft score` alone: keep what is generated with --predictions, and score that";
            return Err(Error::setting("--metric", message).into());
        }
        match self.metric.iter().find(|asked| asked.metric.kind() != Kind::Text) {
            Some(asked) => {
                let names = Metric::names(Kind::Text).join(", ");
                let message = format!("found {asked}, expected metrics of texts: {names}");
                Err(Error::setting("--metric", message).into())
            }
            None => Ok(()),
        }
    }
}

/// The names of all classes of a report; those without one are called by their numbers.
fn class_names(report: &ClassReport, labels: Option<&Labels>) -> Vec<String> {
    let name = |class| labels.and_then(|labels| labels.name(class)).map(str::to_owned);
    let classes = 0..report.classes.len();
    classes.map(|class| name(class).unwrap_or_else(|| class.to_string())).collect()
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
