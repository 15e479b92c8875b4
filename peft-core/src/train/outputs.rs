//! From hidden states to logits, at chosen positions only: `[B, T, V]` is never made.

use burn::tensor::{DType, Tensor};

use crate::{
    adapter::Pooling,
    batch::{PaddingSide, TokenBatch},
    data::Example,
    error::{Error, Result},
    frozen::{FrozenModel, Hidden, select_first},
    head::Head,
    loss::at_least_f32,
    room::Room,
    spec::ModelSpec,
    task::Task,
    virtual_tokens::VirtualTokens,
};

/// Pads examples to one batch, on both sides where they have two.
pub fn token_batch(examples: &[&Example], side: PaddingSide) -> TokenBatch {
    let rows: Vec<&[u32]> = examples.iter().map(|example| example.input_ids.as_slice()).collect();
    let mut batch = TokenBatch::new(&rows, side);
    if examples.iter().any(|example| example.decoder_input_ids.is_some()) {
        let rows: Vec<&[u32]> = examples
            .iter()
            .map(|example| example.decoder_input_ids.as_deref().unwrap_or(&[]))
            .collect();
        batch = batch.with_decoder(TokenBatch::new(&rows, side));
    }
    if examples.iter().all(|example| example.token_type_ids.is_none()) {
        return batch;
    }
    let types: Vec<&[u32]> =
        examples.iter().map(|example| example.token_type_ids.as_deref().unwrap_or(&[])).collect();
    batch.with_token_types(&types)
}

/// Checks that a task can be done with what is there.
///
/// # Errors
///
/// [`Error::Setting`] for a task that this kind of model cannot do, [`Error::Mismatch`] where a head is
/// missing, one too many, or of another size.
pub fn check_task(model: &dyn FrozenModel, head: Option<&Head>, task: Task) -> Result<()> {
    check_topology(model.spec(), task)?;
    match task {
        Task::CausalLm | Task::Seq2SeqLm if head.is_some() => {
            Err(Error::Mismatch(format!("{task} has no classification head to train")))
        }
        Task::CausalLm | Task::Seq2SeqLm => Ok(()),
        Task::SeqCls | Task::TokenCls => classifier(model, head, task).map(|_| ()),
        Task::QuestionAns => match classifier(model, head, task)?.num_classes() {
            2 => Ok(()),
            outputs => Err(Error::Mismatch(format!(
                "the head `{}` has {outputs} outputs, qa needs 2: start and end",
                model.head_layout(task).weight_name()
            ))),
        },
    }
}

/// Checks that a task can be done with this kind of model.
///
/// # Errors
///
/// [`Error::Setting`] where it cannot.
pub fn check_topology(spec: &ModelSpec, task: Task) -> Result<()> {
    let fail = |message: String| Err(Error::setting("--task", message));
    match task {
        Task::Seq2SeqLm if !spec.is_encoder_decoder() => {
            fail(format!("seq2seq-lm needs an encoder-decoder, {} has one stack", spec.model_type))
        }
        Task::CausalLm | Task::SeqCls | Task::TokenCls | Task::QuestionAns
            if spec.is_encoder_decoder() =>
        {
            fail(format!(
                "{task} needs a model of one stack, {} has two and does seq2seq-lm",
                spec.model_type
            ))
        }
        Task::CausalLm if !spec.is_causal() => {
            fail(format!("causal-lm needs a decoder-only model, {} is none", spec.model_type))
        }
        _ => Ok(()),
    }
}

/// The classifier to use: the learner's or adapter's `head`, else the one found in the checkpoint.
///
/// # Errors
///
/// [`Error::Mismatch`] naming the tensor that neither has.
pub fn classifier<'a>(
    model: &'a dyn FrozenModel,
    head: Option<&'a Head>,
    task: Task,
) -> Result<&'a Head> {
    head.or_else(|| model.classifier()).ok_or_else(|| {
        Error::Mismatch(format!(
            "the task needs a classifier: neither the adapter nor the {} checkpoint has the tensor \
             `{}`",
            model.spec().model_type,
            model.head_layout(task).weight_name()
        ))
    })
}

/// Hidden states of real tokens, each given as its row and its place in the row, padding not counted. On an
/// encoder-decoder they are the decoder's.
///
/// # Shapes
///
/// - hidden: `[B, T, H]`
/// - output: `[M, H]`, where M = `tokens.len()`
pub fn token_states(hidden: &Hidden, batch: &TokenBatch, tokens: &[(usize, usize)]) -> Tensor<2> {
    let (batch, [b, t, h]) = (batch.output_rows(), hidden.tokens.dims());
    let flat: Vec<usize> =
        tokens.iter().map(|(row, token)| row * t + batch.column(*row, *token)).collect();
    choose(hidden.tokens.clone().reshape([b * t, h]), &flat)
}

/// What a classifier of whole rows reads, the model's frozen pooler applied.
///
/// On a decoder it is the last real token; on an encoder the first position of the sequence or, with
/// [`Pooling::FirstToken`], the first real token.
///
/// # Shapes
///
/// - hidden: `[B, T, H]`
/// - output: `[B, H]`
///
/// # Errors
///
/// [`Error::Mismatch`] where an encoder gave no first position, or a row has no token.
pub fn sequence_states(
    model: &dyn FrozenModel,
    hidden: &Hidden,
    batch: &TokenBatch,
    pooling: Pooling,
) -> Result<Tensor<2>> {
    let [b, _, h] = hidden.tokens.dims();
    if (0..b).any(|row| batch.row_len(row) == 0) {
        return Err(Error::Mismatch("a row without tokens cannot be classified".into()));
    }
    let at = |token: &dyn Fn(usize) -> usize| {
        token_states(hidden, batch, &(0..b).map(|row| (row, token(row))).collect::<Vec<_>>())
    };
    let states = if model.spec().is_causal() {
        at(&|row| batch.row_len(row) - 1)
    } else if pooling == Pooling::FirstToken {
        at(&|_| 0)
    } else {
        let first = hidden.first.clone().ok_or_else(|| {
            let name = &model.spec().model_type;
            Error::Mismatch(format!("the {name} model gave no first position"))
        })?;
        first.reshape([b, h])
    };
    Ok(model.pool(states))
}

/// Chosen rows; all of them where that is what was chosen.
pub(crate) fn choose(rows: Tensor<2>, chosen: &[usize]) -> Tensor<2> {
    if chosen.iter().copied().eq(0..rows.dims()[0]) { rows } else { select_first(rows, chosen) }
}

/// Logits of chosen hidden states, at least in f32.
///
/// For classification the learner's head is used, else the classifier of the checkpoint.
///
/// # Shapes
///
/// - states: `[M, H]`
/// - output: `[M, V]` for language models, else `[M, C]`; for question answering C = 2, start and end
///
/// # Errors
///
/// [`Error::Mismatch`] where the head that the task needs is missing.
pub fn logits(
    model: &dyn FrozenModel,
    head: Option<&Head>,
    task: Task,
    states: Tensor<2>,
) -> Result<Tensor<2>> {
    let logits = if matches!(task, Task::CausalLm | Task::Seq2SeqLm) {
        model.lm_logits(states)?
    } else {
        let head = classifier(model, head, task)?;
        head.forward(to(states, head.weight.val().dtype()))
    };
    Ok(at_least_f32(logits))
}

fn to(tensor: Tensor<2>, dtype: DType) -> Tensor<2> {
    if tensor.dtype() == dtype { tensor } else { tensor.cast(dtype) }
}

/// Checks that all examples fit a model together with virtual tokens.
///
/// # Errors
///
/// [`Error::TooLong`] with the first example that does not.
pub fn check_lengths<'a>(
    spec: &ModelSpec,
    virtual_tokens: &VirtualTokens,
    examples: impl IntoIterator<Item = &'a Example>,
) -> Result<()> {
    let room = Room::new(spec, virtual_tokens);
    examples
        .into_iter()
        .try_for_each(|example| room.check(example.input_ids.len(), example.decoder_len(), 0))
}
