//! From hidden states to logits, at selected positions only: `[B, T, V]` is never computed.

use burn::tensor::{
    DType, Tensor,
    activation::{sigmoid, softmax},
};

use crate::{
    contract::{
        batch::TokenBatch,
        block::Block,
        frozen::{FrozenModel, Hidden},
        head::Head,
        loss::{at_least_f32, binary_cross_entropy_sum, squared_error_sum},
        pooling::Pooling,
        problem_type::ProblemType,
        task::Task,
        tensors::select_first,
    },
    error::{Error, Result},
};

/// Returns the classifier to use: the trained or the adapter's `head`, else the one in the
/// checkpoint.
///
/// # Errors
///
/// [`Error::Mismatch`] naming the tensor that is in neither.
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

/// Hidden states of real tokens, each given as its example and its index in it, without padding: an
/// example is a row, or a block of a packed one. On an encoder-decoder, those of the decoder.
///
/// # Shapes
///
/// - hidden: `[B, T, H]`
/// - output: `[M, H]`, where M = `tokens.len()`
pub fn token_states(hidden: &Hidden, batch: &TokenBatch, tokens: &[(usize, usize)]) -> Tensor<2> {
    let (batch, [b, t, h]) = (batch.output_rows(), hidden.tokens.dims());
    let place = |(example, token): &(usize, usize)| {
        let block = batch.example(*example);
        block.row * t + block.start + token
    };
    let flat: Vec<usize> = tokens.iter().map(place).collect();
    choose(hidden.tokens.clone().reshape([b * t, h]), &flat)
}

/// The input of a classifier of whole rows, after the model's frozen pooler.
///
/// On a decoder this is the last real token or, with [`Pooling::LastNot`], the last that is another one; on an encoder,
/// the first position of the sequence or, with [`Pooling::FirstToken`], the first real token.
///
/// # Shapes
///
/// - hidden: `[B, T, H]`
/// - output: `[B, H]`
///
/// # Errors
///
/// [`Error::Mismatch`] if an encoder did not return its first position, a row has no tokens, or the batch is
/// [for a classifier](TokenBatch::for_classifier) that reads elsewhere.
pub fn sequence_states(
    model: &dyn FrozenModel,
    hidden: &Hidden,
    batch: &TokenBatch,
    pooling: Pooling,
) -> Result<Tensor<2>> {
    let [b, _, h] = hidden.tokens.dims();
    let examples = batch.num_examples();
    if (0..examples).any(|row| batch.example(row).len == 0) {
        return Err(Error::Mismatch("a row without tokens cannot be classified".into()));
    }
    if let Some(said) = batch.pooling().filter(|said| *said != pooling) {
        return Err(Error::Mismatch(format!(
            "the batch was read for a classifier with the pooling {said:?}, found {pooling:?}"
        )));
    }
    let at = |token: &dyn Fn(usize) -> usize| {
        token_states(hidden, batch, &(0..examples).map(|row| (row, token(row))).collect::<Vec<_>>())
    };
    let states = if model.spec().is_causal() {
        at(&|row| {
            let Block { row, start, len } = batch.example(row);
            let last = len - 1;
            let Pooling::LastNot(padding) = pooling else { return last };
            let id = |token: &usize| batch.ids()[row * batch.len() + start + token];
            (0..=last).rev().find(|token| id(token) != padding).unwrap_or(0)
        })
    } else if pooling == Pooling::FirstToken {
        // The only one that was computed.
        let is_alone = hidden.tokens.dims()[1] == 1;
        if is_alone { hidden.tokens.clone().reshape([b, h]) } else { at(&|_| 0) }
    } else {
        let first = hidden.first.clone().ok_or_else(|| {
            let name = &model.spec().model_type;
            Error::Mismatch(format!("the {name} model returned no first position"))
        })?;
        first.reshape([b, h])
    };
    Ok(model.pool(states))
}

/// Selects rows; returns all of them unchanged if all are selected.
pub(crate) fn choose(rows: Tensor<2>, chosen: &[usize]) -> Tensor<2> {
    if chosen.iter().copied().eq(0..rows.dims()[0]) { rows } else { select_first(rows, chosen) }
}

/// Logits of selected hidden states, in f32 or wider.
///
/// For classification the trained head is used, else the classifier of the checkpoint.
///
/// # Shapes
///
/// - states: `[M, H]`
/// - output: `[M, V]` for language models, else `[M, C]`; for question answering C = 2, start and end
///
/// # Errors
///
/// [`Error::Mismatch`] if the head that the task needs is missing.
pub fn logits(
    model: &dyn FrozenModel,
    head: Option<&Head>,
    task: Task,
    states: Tensor<2>,
) -> Result<Tensor<2>> {
    let logits = if task.is_language_model() {
        model.lm_logits(states)?
    } else {
        let head = classifier(model, head, task)?;
        head.forward(to(states, head.weight.val().dtype()))
    };
    Ok(at_least_f32(logits))
}

/// What the logits say, for each position: the softmax over the classes, the probability of each
/// class by itself, or the numbers that the logits are.
///
/// # Shapes
///
/// - logits: `[M, C]`
/// - output: `[M, C]`, still on the device
pub(crate) fn answers(problem_type: ProblemType, logits: Tensor<2>) -> Tensor<2> {
    match problem_type {
        ProblemType::SingleLabel => softmax(logits, 1),
        ProblemType::MultiLabel => sigmoid(logits),
        ProblemType::Regression => logits,
    }
}

/// Numbers that were read of a tensor with `width` columns, row by row.
pub(crate) fn in_rows(numbers: Vec<f32>, width: usize) -> Vec<Vec<f32>> {
    numbers.chunks(width.max(1)).map(<[f32]>::to_vec).collect()
}

/// The loss of logits `[M, C]` against the numbers to predict, summed over both: `[1]`.
///
/// # Errors
///
/// [`Error::Mismatch`] for another number of values, and for a problem that has classes.
pub fn loss_of_values(
    problem_type: ProblemType,
    logits: Tensor<2>,
    values: &[f32],
) -> Result<Tensor<1>> {
    match problem_type {
        ProblemType::MultiLabel => binary_cross_entropy_sum(logits, values),
        ProblemType::Regression => squared_error_sum(logits, values),
        ProblemType::SingleLabel => {
            Err(Error::Mismatch(format!("{problem_type} has classes, found numbers to predict")))
        }
    }
}

fn to(tensor: Tensor<2>, dtype: DType) -> Tensor<2> {
    if tensor.dtype() == dtype { tensor } else { tensor.cast(dtype) }
}
