//! `peft generate`: continues text, or rows of token ids.

use std::path::PathBuf;

use clap::Args;
use peft_core::{
    Error,
    adapter::atomic,
    data::{Example, load_tokenizer},
};
use peft_models::generate::{Stop, check_causal, greedy};
use serde_json::json;

use crate::{
    error::{CliError, CliResult},
    output,
    session::{Session, TextArgs, UseArgs},
};

/// Continues text greedily, with an adapter or without.
///
/// Examples:
///   peft generate --model models/stories --prompt "Once upon a time" --max-new-tokens 60
///   peft generate --model models/stories --adapter runs/e2e --input rows.jsonl --output out.jsonl
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct GenerateArgs {
    #[command(flatten)]
    model: UseArgs,
    #[command(flatten)]
    text: TextArgs,
    /// The text to continue.
    #[arg(long, value_name = "TEXT", conflicts_with = "input", required_unless_present = "input")]
    prompt: Option<String>,
    /// Rows to continue: `source`, `text` or `input_ids`.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Where the rows go, JSONL. Default: stdout.
    #[arg(long, value_name = "FILE", requires = "input")]
    output: Option<PathBuf>,
    /// New tokens at most.
    #[arg(long, value_name = "N", default_value_t = 64)]
    max_new_tokens: usize,
    /// Rows at once.
    #[arg(long, value_name = "B", default_value_t = 16)]
    batch_size: usize,
}

/// Runs the command.
///
/// # Errors
///
/// Whatever is wrong with the model, the adapter or the rows.
pub fn run(args: &GenerateArgs) -> CliResult {
    let session = Session::open(&args.model)?;
    check_causal(session.model())?;
    let stop = Stop {
        max_new_tokens: args.max_new_tokens,
        end_tokens: session.base.config.token_ids("eos_token_id"),
    };
    match (&args.prompt, &args.input) {
        (Some(prompt), _) => continue_text(&session, prompt, &args.text, &stop),
        (None, Some(input)) => {
            let (records, encoded) = session.encode(input, &args.text, false)?;
            session.check_lengths(&encoded.examples, args.max_new_tokens, input)?;
            let texts = records.iter().any(|record| !record.has("input_ids"));
            let outputs = continue_rows(&session, &encoded.examples, &stop, args.batch_size)?;
            let tokenizer = texts.then(|| load_tokenizer(&session.dir)).transpose()?;
            let mut lines = String::new();
            for (record, ids) in records.iter().zip(outputs) {
                let json = match &tokenizer {
                    Some(tokenizer) if !record.has("input_ids") => {
                        let text = tokenizer.decode(&ids, true).map_err(|error| {
                            record.error(format!("the output cannot be decoded: {error}"))
                        })?;
                        json!({ "output": text.trim(), "output_ids": ids })
                    }
                    _ => json!({ "output_ids": ids }),
                };
                lines += &format!("{json}\n");
            }
            match &args.output {
                Some(path) => Ok(atomic::write_file(path, lines.as_bytes())?),
                None => output::piece(&lines),
            }
        }
        (None, None) => Err(CliError::Usage("give --prompt or --input".into())),
    }
}

/// Prints a text and its continuation as it is made.
fn continue_text(session: &Session, prompt: &str, text: &TextArgs, stop: &Stop) -> CliResult {
    let tokenizer = load_tokenizer(&session.dir)?;
    let failed = |error| CliError::Failed(Error::Mismatch(format!("tokenizer: {error}")));
    let ids = session.encode_prompt(prompt, text).map_err(|error| match error {
        // No fault of the text, but of the tokenizer.
        Error::Data { message, .. } if message.starts_with("token id") => {
            let path = session.dir.join("tokenizer.json");
            Error::file(&path, format!("--prompt: {message}")).into()
        }
        Error::Data { message, .. } => CliError::Usage(format!("--prompt: {message}")),
        other => other.into(),
    })?;
    let mut so_far = ids.clone();
    // Pieces only become text together: print what the longer sequence adds.
    let mut shown = tokenizer.decode(&so_far, true).map_err(failed)?.len();
    // With the first token: nothing is printed of what cannot be continued.
    let mut begun = false;
    let mut closed = Ok(());
    greedy(session.model(), &[&ids], &session.virtual_tokens, stop, |_, token| {
        so_far.push(token);
        if !std::mem::replace(&mut begun, true) {
            closed = output::piece(prompt);
        }
        if let Ok(text) = tokenizer.decode(&so_far, true)
            && let Some(new) = text.get(shown..)
            // An unfinished character decodes to the replacement character: wait for the rest.
            && !new.ends_with('\u{fffd}')
        {
            shown = text.len();
            if closed.is_ok() {
                closed = output::piece(new);
            }
        }
    })?;
    closed?;
    output::line(if begun { "" } else { prompt })
}

/// Continues rows of token ids; rows of similar length together, results in the order of the rows.
///
/// # Errors
///
/// As [`greedy`].
pub fn continue_rows(
    session: &Session,
    examples: &[Example],
    stop: &Stop,
    batch_size: usize,
) -> peft_core::Result<Vec<Vec<u32>>> {
    let lengths: Vec<usize> = examples.iter().map(|example| example.input_ids.len()).collect();
    let mut outputs = vec![Vec::new(); examples.len()];
    for batch in peft_core::data::eval_batches(&lengths, batch_size.max(1)) {
        let rows: Vec<&[u32]> = batch.iter().map(|i| examples[*i].input_ids.as_slice()).collect();
        let made = greedy(session.model(), &rows, &session.virtual_tokens, stop, |_, _| {})?;
        for (index, ids) in batch.into_iter().zip(made) {
            outputs[index] = ids;
        }
    }
    Ok(outputs)
}
