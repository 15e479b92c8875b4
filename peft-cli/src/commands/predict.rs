//! `peft predict`: labels, tags or answers, with their probabilities.

use std::path::PathBuf;

use clap::Args;
use peft_core::{
    Error, ProblemType, Task,
    adapter::atomic,
    data::{Example, Labels},
    evaluate::{Answer, THRESHOLD, Vote, multi_adapter::PerPosition},
    train::TrainConfig,
};
use serde_json::{Map, Value, json};

use crate::{
    adapter_set::{AdapterSet, VoteName},
    error::CliResult,
    flags::{
        choices::{at_least_one, parse_value},
        help::FlagHelp,
    },
    output,
    session::UseArgs,
    text_settings::TextArgs,
};

/// Predicts labels, tags or answers, each with its probability: one JSON line per row.
///
/// Several adapters share one pass: each row names its adapter in the field `adapter` (the folder's name, or
/// NAME of --adapter NAME=DIR), or with --vote all of them answer every row and vote.
///
/// Example: peft predict --model models/minilm --adapter runs/intent --input texts.jsonl
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct PredictArgs {
    #[command(flatten)]
    model: UseArgs,
    #[command(flatten)]
    text: TextArgs,
    /// Class names in order, separated by commas.
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
    /// Again for more of them.
    #[arg(long, value_name = "FILE", required = true)]
    input: Vec<PathBuf>,
    /// JSONL file for the predictions.
    #[arg(long, value_name = "FILE", show_default = "stdout")]
    output: Option<PathBuf>,
    /// Rows per batch.
    #[arg(long, value_name = "B", default_value_t = TrainConfig::default().batch_size, value_parser = at_least_one)]
    batch_size: usize,
}

/// Runs the command.
///
/// # Errors
///
/// Returns an error if the settings, the model, an adapter or the rows cannot be used.
pub fn run(args: &PredictArgs) -> CliResult {
    output::check_output("--output", args.output.as_deref(), &args.input)?;
    let set = AdapterSet::open(&args.model)?
        .with_labels(args.labels.as_deref())?
        .with_problem_type(args.problem_type)?;
    let lines = match set.task()? {
        Task::SeqCls | Task::TokenCls => match args.vote {
            None => by_named(args, &set)?,
            Some(how) => by_vote(args, &set, how.into())?,
        },
        Task::QuestionAns => questions(args, set)?,
        other @ (Task::CausalLm | Task::Seq2SeqLm) => {
            return Err(Error::Mismatch(format!(
                "predict is for classification and qa; for {other} use `peft generate`"
            ))
            .into());
        }
    };
    match &args.output {
        Some(path) => Ok(atomic::write_file(path, lines.as_bytes())?),
        None => Ok(output::piece(&lines)?),
    }
}

/// One adapter's answers to questions.
fn questions(args: &PredictArgs, set: AdapterSet) -> CliResult<String> {
    let session = set.only("qa")?;
    if args.vote.is_some() {
        return Err(Error::setting("--vote", "not used by qa").into());
    }
    let encoded = session.encode(&args.input, &args.text, false)?;
    let predictor = session
        .predictor()?
        .with_batch_size(args.batch_size)
        .with_max_answer_length(session.max_answer_length(&args.text)?)
        .with_null_score_diff_threshold(session.null_score_diff_threshold(&args.text)?);
    let mut lines = String::new();
    for answer in predictor.answer(&encoded.examples)? {
        lines += &format!("{}\n", answered(&encoded.examples[answer.example], &answer));
    }
    Ok(lines)
}

/// Each row answered by the adapter that it names.
fn by_named(args: &PredictArgs, set: &AdapterSet) -> CliResult<String> {
    let records = set.read(&args.input, &args.text)?;
    let of_row = set.of_rows(&records)?;
    let examples = set.encode(&records, &of_row, &args.text)?;
    let model = set.multi_adapter()?.with_batch_size(args.batch_size);
    let answers = model.answer(&examples, &of_row)?;
    let mut lines = String::new();
    for (row, answer) in answers.into_iter().enumerate() {
        let labels = set.labels(of_row[row]);
        let problem_type = set.sessions[of_row[row]].problem_type;
        let mut fields = if problem_type.has_values() {
            value_fields(problem_type, labels, answer.first().map_or(&[], Vec::as_slice))
        } else {
            let chosen = answer.into_iter().map(|p| Vote::Mean.choose(&[p])).collect::<Vec<_>>();
            row_fields(set.task()?, labels, &examples[row], &chosen)?
        };
        if set.names.len() > 1 {
            fields.insert("adapter".into(), json!(set.names[of_row[row]]));
        }
        lines += &format!("{}\n", Value::Object(fields));
    }
    Ok(lines)
}

/// Each row answered by all adapters, which vote on its class or on each of its tags.
fn by_vote(args: &PredictArgs, set: &AdapterSet, vote: Vote) -> CliResult<String> {
    if set.names.is_empty() {
        return Err(Error::setting("--vote", "needs adapters that vote (--adapter)").into());
    }
    if let Some(session) = set.sessions.iter().find(|session| session.problem_type.has_values()) {
        let message = format!("not used by {}: a vote chooses one class", session.problem_type);
        return Err(Error::setting("--vote", message).into());
    }
    let order = set.same_classes()?;
    let records = set.read(&args.input, &args.text)?;
    let count = set.sessions.len();
    // Each adapter reads the rows as its own training rows were encoded.
    let (mut examples, mut of_row) = (Vec::new(), Vec::new());
    for member in 0..count {
        let own = vec![member; records.len()];
        examples.extend(set.encode(&records, &own, &args.text)?);
        of_row.extend(own);
    }
    let model = set.multi_adapter()?.with_batch_size(args.batch_size.saturating_mul(count));
    let answers = model.answer(&examples, &of_row)?;
    let labels = set.labels(0);
    let mut lines = String::new();
    for (row, record) in records.iter().enumerate() {
        let of_members: Vec<PerPosition> = (0..count)
            .map(|member| {
                let answer = &answers[member * records.len() + row];
                let reorder = |p: &Vec<f32>| order[member].iter().map(|class| p[*class]).collect();
                answer.iter().map(reorder).collect()
            })
            .collect();
        let places = of_members[0].len();
        if let Some(other) = of_members.iter().position(|answer| answer.len() != places) {
            let name = &set.names[other];
            let message = format!("{name} was trained on rows that were made or cut differently");
            return Err(record.error(message).into());
        }
        let at = |place: usize| -> PerPosition {
            of_members.iter().map(|answer| answer[place].clone()).collect()
        };
        let chosen: Vec<(usize, Vec<f32>)> =
            (0..places).map(|place| vote.choose(&at(place))).collect();
        let mut fields = row_fields(set.task()?, labels, &examples[row], &chosen)?;
        if set.task()? == Task::SeqCls {
            let votes = of_members.iter().map(|answer| {
                let (class, _) = Vote::Mean.choose(&answer[..1]);
                name(labels, class)
            });
            fields.insert("votes".into(), votes.collect());
        }
        lines += &format!("{}\n", Value::Object(fields));
    }
    Ok(lines)
}

/// The output for one row, from the class chosen at each place and the probabilities of all classes.
fn row_fields(
    task: Task,
    labels: Option<&Labels>,
    example: &Example,
    chosen: &[(usize, Vec<f32>)],
) -> CliResult<Map<String, Value>> {
    let mut fields = Map::new();
    if task == Task::SeqCls {
        let (best, probabilities) = &chosen[0];
        fields.insert("label".into(), name(labels, *best));
        fields.insert("probability".into(), json!(probabilities.get(*best)));
        fields.insert("probabilities".into(), json!(probabilities));
        return Ok(fields);
    }
    let tag = |(class, p): &(usize, Vec<f32>)| (name(labels, *class), json!(p.get(*class)));
    let (tags, p): (Vec<_>, Vec<_>) = match &example.word_of_token {
        // A word without subword tokens, or one that was cut off, has no prediction.
        Some(word_of_token) => {
            let mut of_word = vec![(Value::Null, Value::Null); example.num_words];
            for (word, at) in word_of_token.iter().zip(chosen) {
                if let Some(word) = word {
                    of_word[*word] = tag(at);
                }
            }
            of_word.into_iter().unzip()
        }
        None => chosen.iter().map(tag).unzip(),
    };
    fields.insert("tags".into(), Value::Array(tags));
    fields.insert("probabilities".into(), Value::Array(p));
    Ok(fields)
}

/// The output for one row of a regression, or with any number of classes: those whose probability is above
/// the threshold, and the probabilities of all.
fn value_fields(
    problem_type: ProblemType,
    labels: Option<&Labels>,
    values: &[f32],
) -> Map<String, Value> {
    let mut fields = Map::new();
    if problem_type == ProblemType::Regression {
        let score = match values {
            [score] => json!(score),
            scores => json!(scores),
        };
        fields.insert("score".into(), score);
        return fields;
    }
    let (classes, p): (Vec<Value>, Vec<f32>) = values
        .iter()
        .enumerate()
        .filter(|(_, p)| **p > THRESHOLD)
        .map(|(class, p)| (name(labels, class), *p))
        .unzip();
    fields.insert("labels".into(), classes.into());
    fields.insert("probability".into(), json!(p));
    fields.insert("probabilities".into(), json!(values));
    fields
}

/// The answer's text and its place in the context, in characters; for a row of token ids, its first and last
/// token. Where questions may have no answer, also whether this one has, and by how much none scores above the
/// best; no answer is an empty text without a place, or the first token.
fn answered(example: &Example, answer: &Answer) -> Value {
    let probability = answer.probability;
    let excerpt = example.window.as_ref().and_then(|w| w.excerpt(answer.start, answer.end));
    let mut fields = match (answer.null.filter(|none| none.is_chosen), excerpt) {
        (Some(none), _) if example.window.is_some() => json!({
            "answer": "", "start": null, "end": null,
            "probability": none.probability,
        }),
        (Some(none), _) => json!({
            "start_position": 0, "end_position": 0,
            "probability": none.probability,
        }),
        (None, Some(found)) => json!({
            "answer": found.text, "start": found.start, "end": found.end,
            "probability": probability,
        }),
        (None, None) => json!({
            "start_position": answer.start, "end_position": answer.end,
            "probability": probability,
        }),
    };
    if let (Some(none), Some(fields)) = (answer.null, fields.as_object_mut()) {
        fields.insert("has_answer".into(), json!(!none.is_chosen));
        fields.insert("null_score_diff".into(), json!(none.score_diff));
    }
    fields
}

/// The name of a class, or its index if classes have no names.
fn name(labels: Option<&Labels>, class: usize) -> Value {
    labels.and_then(|labels| labels.name(class)).map_or_else(|| json!(class), |name| json!(name))
}
