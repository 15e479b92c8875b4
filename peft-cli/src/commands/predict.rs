//! `peft predict`: labels, tags or answers with their probability.

use std::path::PathBuf;

use clap::Args;
use peft_core::{
    Error, Task,
    adapter::atomic,
    data::{Example, Labels},
    train::Answer,
};
use serde_json::{Value, json};

use super::eval::predictor;
use crate::{
    error::CliResult,
    output,
    session::{Session, TextArgs, UseArgs},
};

/// Predicts a label for each row, a tag for each word or an answer to each question: a JSON line a row.
///
/// Example: peft predict --model models/minilm --adapter runs/intent --input texts.jsonl
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct PredictArgs {
    #[command(flatten)]
    model: UseArgs,
    #[command(flatten)]
    text: TextArgs,
    /// Class names in order, separated by commas. Default: those of the adapter or the model.
    #[arg(long, value_name = "LIST")]
    labels: Option<String>,
    /// Rows: .jsonl, .tsv or .csv.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Where the predictions go. Default: stdout.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Rows at once.
    #[arg(long, value_name = "B", default_value_t = 32)]
    batch_size: usize,
}

/// Runs the command.
///
/// # Errors
///
/// Whatever is wrong with the model, the adapter or the rows.
pub fn run(args: &PredictArgs) -> CliResult {
    let session = Session::open(&args.model)?.with_labels(args.labels.as_deref())?;
    let (records, encoded) = session.encode(&args.input, &args.text, false)?;
    let predictor = predictor(&session)?.with_batch_size(args.batch_size);
    let labels = session.labels.as_ref();
    let mut lines = String::new();
    match session.task()? {
        Task::SeqCls => {
            for probabilities in predictor.classify(&encoded.examples)? {
                // The last of equals is taken: reversed, the first, as `eval` does.
                let best = (0..probabilities.len())
                    .rev()
                    .max_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b]))
                    .unwrap_or(0);
                let json = json!({
                    "label": name(labels, best),
                    "probability": probabilities.get(best),
                    "probabilities": probabilities,
                });
                lines += &format!("{json}\n");
            }
        }
        Task::TokenCls => {
            let tagged = predictor.tag(&encoded.examples)?;
            for ((record, example), tags) in records.iter().zip(&encoded.examples).zip(tagged) {
                let json = match &example.word_of_token {
                    // A word without a piece, or one that was cut off, has no prediction.
                    Some(word_of_token) => {
                        let words = record.strings("tokens")?.len();
                        let mut of_word = vec![(Value::Null, Value::Null); words];
                        for (word, (class, p)) in word_of_token.iter().zip(&tags) {
                            if let Some(word) = word {
                                of_word[*word] = (name(labels, *class), json!(p));
                            }
                        }
                        let (tags, p): (Vec<_>, Vec<_>) = of_word.into_iter().unzip();
                        json!({ "tags": tags, "probabilities": p })
                    }
                    None => json!({
                        "tags": tags.iter().map(|(c, _)| name(labels, *c)).collect::<Vec<_>>(),
                        "probabilities": tags.iter().map(|(_, p)| p).collect::<Vec<_>>(),
                    }),
                };
                lines += &format!("{json}\n");
            }
        }
        Task::QuestionAns => {
            let predictor =
                predictor.with_max_answer_length(session.max_answer_length(&args.text)?);
            for answer in predictor.answer(&encoded.examples)? {
                lines += &format!("{}\n", answered(&encoded.examples[answer.example], &answer));
            }
        }
        other @ (Task::CausalLm | Task::Seq2SeqLm) => {
            return Err(Error::Mismatch(format!(
                "predict is for classification and qa; for {other} use `peft generate`"
            ))
            .into());
        }
    }
    match &args.output {
        Some(path) => Ok(atomic::write_file(path, lines.as_bytes())?),
        None => output::piece(&lines),
    }
}

/// The answer's text and its characters in the context; of a row of token ids, its first and last token.
fn answered(example: &Example, answer: &Answer) -> Value {
    let probability = answer.probability;
    let excerpt = example.window.as_ref().and_then(|w| w.excerpt(answer.start, answer.end));
    match excerpt {
        Some(found) => json!({
            "answer": found.text, "start": found.start, "end": found.end,
            "probability": probability,
        }),
        None => json!({
            "start_position": answer.start, "end_position": answer.end,
            "probability": probability,
        }),
    }
}

/// The name of a class, or its index where classes have no names.
fn name(labels: Option<&Labels>, class: usize) -> Value {
    labels.and_then(|labels| labels.name(class)).map_or_else(|| json!(class), |name| json!(name))
}
