//! `peft forward`: logits of given token ids, for checking against other implementations.

use std::path::{Path, PathBuf};

use burn::tensor::TensorData;
use clap::Args;
use peft_core::{
    Error, NamedTensors, PaddingSide, Result, Task,
    adapter::{atomic, codec::to_safetensors},
    data::Example,
    train::TrainConfig,
};

use crate::{
    encoding::ChatArgs,
    error::CliResult,
    flags::choices::{PADDING, at_least_one},
    output,
    session::{Session, UseArgs},
    text_settings::TextArgs,
};

/// Writes the logits of rows of token ids to a safetensors file: one f32 tensor per row, `row_00000`, ...
///
/// Shapes: `[T, V]` for language models (the decoder's tokens, on an encoder-decoder), `[T, C]` for token
/// classification, `[T, 2]` (start, end) for question answering, `[C]` for sequence classification. Padding
/// is left out.
///
/// Example:
///   peft forward --model models/gpt2 --adapter runs/a \
///     --input rows.jsonl --output out.safetensors
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct ForwardArgs {
    #[command(flatten)]
    model: UseArgs,
    /// Rows {"input_ids": [...]}, optionally with "token_type_ids"; for encoder-decoders with
    /// "decoder_input_ids".
    #[arg(long, value_name = "FILE", required = true)]
    input: Vec<PathBuf>,
    /// File for the logits.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Rows per batch.
    #[arg(long, value_name = "B", default_value_t = 8, value_parser = at_least_one)]
    batch_size: usize,
    /// Side of the padding: right or left.
    #[arg(long, value_name = "SIDE", default_value = PADDING.name(TrainConfig::default().padding))]
    padding: String,
}

/// Runs the command.
///
/// # Errors
///
/// Returns an error if the settings, the model, the adapter or the rows cannot be used.
pub fn run(args: &ForwardArgs) -> CliResult {
    let side = PADDING.parse(&args.padding)?;
    output::check_output("--output", Some(&args.output), &args.input)?;
    check_name(&args.output)?;
    let session = Session::open(&args.model)?;
    if session.virtual_tokens.infix {
        let message = "holds an infix, which stands between the source and the target of a row, and these \
                       rows do not say where that is: peft eval scores rows with targets, peft generate and \
                       peft predict continue sources";
        return Err(Error::setting("--adapter", message).into());
    }
    let (records, encoded) =
        session.read_and_encode(&args.input, &TextArgs::default(), &ChatArgs::default())?;
    if session.task()? == Task::Seq2SeqLm {
        records.iter().try_for_each(|record| record.ids("decoder_input_ids").map(drop))?;
    }
    let rows = forward_rows(&session, &encoded.examples, args.batch_size, side)?;
    session.check_base_sum()?;
    let named: NamedTensors =
        rows.into_iter().enumerate().map(|(index, data)| (row_name(index), data)).collect();
    let bytes = to_safetensors(&named, &args.output)?;
    Ok(atomic::write_file(&args.output, &bytes)?)
}

/// Refuses a name that asks for another format than the one that is written.
fn check_name(output: &Path) -> Result<()> {
    const OTHERS: [&str; 9] = ["npy", "npz", "pt", "pth", "bin", "json", "jsonl", "csv", "tsv"];
    let end = output.extension().and_then(|end| end.to_str()).unwrap_or_default();
    match OTHERS.contains(&&*end.to_lowercase()) {
        true => Err(Error::setting(
            "--output",
            format!(
                "found {}, and logits are written as safetensors: name it .safetensors",
                output.display()
            ),
        )),
        false => Ok(()),
    }
}

/// The name of a row's tensor.
pub fn row_name(index: usize) -> String {
    format!("row_{index:05}")
}

/// Logits of each example, in their order.
///
/// # Errors
///
/// [`peft_core::Error::Mismatch`] if the model or adapter lacks the head that the task needs.
pub fn forward_rows(
    session: &Session,
    examples: &[Example],
    batch_size: usize,
    side: PaddingSide,
) -> Result<Vec<TensorData>> {
    let predictor = session.predictor()?.with_batch_size(batch_size).with_padding(side);
    predictor.logits(examples)
}
