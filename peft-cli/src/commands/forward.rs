//! `peft forward`: logits of given token ids, for checking against other implementations.

use std::path::PathBuf;

use burn::tensor::{Tensor, TensorData};
use clap::Args;
use peft_core::{
    NamedTensors, PaddingSide, Result, Task, TokenBatch,
    adapter::{atomic, folder::to_safetensors},
    data::{Example, eval_batches},
    train::outputs,
};

use crate::{
    choices::PADDING,
    encoding::TextArgs,
    error::CliResult,
    session::{Session, UseArgs},
};

/// Writes the logits of rows of token ids to a safetensors file: one f32 tensor per row, `row_00000`, ...
///
/// Shapes: `[T, V]` for language models (the decoder's tokens, on an encoder-decoder), `[T, C]` for token
/// classification, `[T, 2]` (start, end) for question answering, `[C]` for sequence classification. Padding
/// is left out.
///
/// Example: peft forward --model models/gpt2 --adapter runs/a --input rows.jsonl --output out.safetensors
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct ForwardArgs {
    #[command(flatten)]
    model: UseArgs,
    /// Rows {"input_ids": [...]}, optionally with "token_type_ids"; for encoder-decoders with
    /// "decoder_input_ids".
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// File for the logits.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Rows per batch.
    #[arg(long, value_name = "B", default_value_t = 8)]
    batch_size: usize,
    /// Side of the padding: right or left.
    #[arg(long, value_name = "SIDE", default_value = "right")]
    padding: String,
}

/// Runs the command.
///
/// # Errors
///
/// Whatever is wrong with the model, the adapter or the rows.
pub fn run(args: &ForwardArgs) -> CliResult {
    let side = PADDING.parse(&args.padding)?;
    let session = Session::open(&args.model)?;
    let (records, encoded) = session.encode(&args.input, &TextArgs::default(), false)?;
    if session.task()? == Task::Seq2SeqLm {
        records.iter().try_for_each(|record| record.ids("decoder_input_ids").map(drop))?;
    }
    let rows = forward_rows(&session, &encoded.examples, args.batch_size, side)?;
    let named: NamedTensors =
        rows.into_iter().enumerate().map(|(index, data)| (row_name(index), data)).collect();
    let bytes = to_safetensors(&named, &args.output)?;
    Ok(atomic::write_file(&args.output, &bytes)?)
}

/// The name of a row's tensor.
pub fn row_name(index: usize) -> String {
    format!("row_{index:05}")
}

/// Logits of each example, in their order.
///
/// # Errors
///
/// [`peft_core::Error::Mismatch`] where the model or adapter lacks the head that the task needs.
pub fn forward_rows(
    session: &Session,
    examples: &[Example],
    batch_size: usize,
    side: PaddingSide,
) -> Result<Vec<TensorData>> {
    let task = session.task()?;
    let model = session.model();
    let lengths: Vec<usize> = examples.iter().map(Example::num_tokens).collect();
    let mut rows = vec![None; examples.len()];
    for indices in eval_batches(&lengths, batch_size.max(1)) {
        let chosen: Vec<&Example> = indices.iter().map(|index| &examples[*index]).collect();
        let batch = outputs::token_batch(&chosen, side);
        let hidden = model.forward(&batch, &session.virtual_tokens)?;
        let (logits, counts) = match task {
            Task::SeqCls => {
                let states = outputs::sequence_states(model, &hidden, &batch, session.pooling)?;
                let head = outputs::classifier(model, session.head.as_ref(), task)?;
                (head.forward(states), vec![1; indices.len()])
            }
            Task::TokenCls | Task::QuestionAns | Task::CausalLm | Task::Seq2SeqLm => {
                let rows = batch.output_rows();
                let states = outputs::token_states(&hidden, &batch, &all_positions(rows));
                let logits = if task.has_head() {
                    outputs::classifier(model, session.head.as_ref(), task)?.forward(states)
                } else {
                    model.lm_logits(states)?
                };
                (logits, (0..rows.rows()).map(|row| rows.row_len(row)).collect())
            }
        };
        for (index, part) in indices.into_iter().zip(split(logits, &counts, task)) {
            rows[index] = Some(part);
        }
    }
    Ok(rows.into_iter().flatten().collect())
}

/// Every real token of a batch: (row, index).
fn all_positions(batch: &TokenBatch) -> Vec<(usize, usize)> {
    (0..batch.rows()).flat_map(|row| (0..batch.row_len(row)).map(move |i| (row, i))).collect()
}

/// Splits `[sum of counts, C]` into `[count, C]`, or into `[C]` for one answer per row.
fn split(logits: Tensor<2>, counts: &[usize], task: Task) -> Vec<TensorData> {
    let [_, c] = logits.dims();
    let mut start = 0;
    counts
        .iter()
        .map(|count| {
            let part = logits.clone().narrow(0, start, *count);
            start += count;
            let data = part.into_data().convert::<f32>();
            match task {
                Task::SeqCls => TensorData::from_bytes_vec(
                    data.as_bytes().to_vec(),
                    [c],
                    burn::tensor::DType::F32,
                ),
                _ => data,
            }
        })
        .collect()
}
