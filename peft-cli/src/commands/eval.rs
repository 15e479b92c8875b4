//! `peft eval`: metrics of an adapter, or of the base model, on a file.

use std::path::PathBuf;

use clap::Args;
use peft_core::{Error, Task, evaluate::Predictor, metrics::Metrics};
use peft_models::generate::{Beams, GenerateConfig};

use crate::{
    encoding::{TextArgs, padding_side},
    error::CliResult,
    output::line,
    produced,
    session::{Session, UseArgs},
};

/// Scores an adapter, or the base model alone, on a file of rows with targets.
///
/// Example: peft eval --model models/minilm --adapter runs/intent --data valid.jsonl
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct EvalArgs {
    #[command(flatten)]
    model: UseArgs,
    #[command(flatten)]
    text: TextArgs,
    /// Class names in order, separated by commas. Default: those of the adapter or the model.
    #[arg(long, value_name = "LIST")]
    labels: Option<String>,
    /// Rows with targets: .jsonl, .tsv, .csv, or SQuAD's .json.
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Rows at once; the scores do not depend on it.
    #[arg(long, value_name = "B", default_value_t = 32)]
    batch_size: usize,
    /// Side of the padding: right or left; the scores do not depend on it.
    #[arg(long, value_name = "SIDE", default_value = "right")]
    padding: String,
    /// Also generates, this many tokens a row at most, and scores what comes out: exact_match and
    /// token_error_rate. For language models.
    #[arg(long, value_name = "N")]
    max_new_tokens: Option<usize>,
    /// Generates with B beams.
    #[arg(long, value_name = "B", default_value_t = 1, requires = "max_new_tokens")]
    num_beams: usize,
    /// Prints a JSON object keyed by metric name.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// Whatever is wrong with the model, the adapter or the rows.
pub fn run(args: &EvalArgs) -> CliResult {
    let side = padding_side(&args.padding)?;
    let session = Session::open(&args.model)?.with_labels(args.labels.as_deref())?;
    let (_, encoded) = session.encode(&args.data, &args.text, true)?;
    let mut metrics = predictor(&session)?
        .with_max_answer_length(session.max_answer_length(&args.text)?)
        .with_padding(side)
        .with_batch_size(args.batch_size)
        .evaluate(&encoded.examples, session.labels.as_ref())
        .map_err(|error| match error {
            Error::Mismatch(message) => Error::file(&args.data, message),
            other => other,
        })?;
    if let Some(limit) = args.max_new_tokens {
        if !matches!(session.task()?, Task::CausalLm | Task::Seq2SeqLm) {
            let message = format!("{} generates nothing", session.task()?);
            return Err(Error::setting("--max-new-tokens", message).into());
        }
        let config = GenerateConfig::for_model(&session.base, limit)?
            .with_batch_size(args.batch_size.max(1))
            .with_beams(Beams::new(args.num_beams));
        let produced = produced::score(&session, &encoded.examples, &config, &args.data)?;
        metrics.extend(produced.iter());
    }
    if args.json {
        return line(serde_json::to_string(&metrics).unwrap_or_default());
    }
    print(&metrics)
}

/// What scores and predicts with a session's adapter.
///
/// # Errors
///
/// [`peft_core::Error::Mismatch`] where a head is missing.
pub fn predictor(session: &Session) -> peft_core::Result<Predictor<'_>> {
    let (task, head) = (session.task()?, session.head.as_ref());
    Ok(Predictor::new(session.model(), &session.virtual_tokens, head, task)?
        .with_pooling(session.pooling))
}

/// Prints metrics, one a line.
///
/// # Errors
///
/// [`crate::CliError::Closed`].
pub fn print(metrics: &Metrics) -> CliResult {
    let width = metrics.iter().map(|(name, _)| name.len()).max().unwrap_or(0).max(10);
    for (name, value) in metrics.iter() {
        line(format!("{name:<width$} {value:>9.4}"))?;
    }
    Ok(())
}
