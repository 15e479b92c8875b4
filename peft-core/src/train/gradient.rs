//! The loss of a step and its gradient: slices of each batch side by side, one sum at the end.

use burn::tensor::Tensor;

use super::{
    batch_loss::{Rows, count_targets, loss_of_rows},
    config::TrainConfig,
    trainable::Trainable,
};
use crate::{
    contract::{
        frozen::FrozenModel,
        head::Head,
        lanes::side_by_side,
        method::{Mode, PeftMethod},
        params,
        virtual_tokens::VirtualTokens,
    },
    error::Result,
    evaluate::frozen_states::FrozenStates,
};

/// Gradients of some tensors, flat; `None` for one that the loss does not depend on.
type Flat = Vec<Option<Tensor<1>>>;

/// What a step learns from its batches.
pub(super) struct StepGradient {
    /// The mean loss over the targets, in nats.
    pub(super) loss: f64,
    /// The number of targets.
    pub(super) labelled: usize,
    /// Its gradients, by the parameters of the [`Trainable`]; empty if nothing had a target that counts.
    pub(super) gradients: Flat,
}

/// What one slice adds: its loss, and the gradients of the virtual tokens and of the head.
struct Part {
    loss: f64,
    of_tokens: Flat,
    of_head: Flat,
}

/// Computes the mean loss over all targets of `batches`, and its gradient.
///
/// The virtual tokens are made, and a causal prompt is prefilled, once for the step. Each slice then computes the
/// gradient with respect to virtual tokens and a head of its own; the sums, in the order of the slices, go through the
/// method once.
pub(super) fn step_gradient<M: PeftMethod>(
    model: &dyn FrozenModel,
    frozen: &FrozenStates,
    config: &TrainConfig,
    trainable: &Trainable<M>,
    batches: &[Rows<'_>],
    mode: Mode,
) -> Result<StepGradient> {
    let virtual_tokens = trainable.method.virtual_tokens(mode);
    let virtual_tokens = model.prefill(&virtual_tokens.cast(model.spec().dtype))?;
    let (labelled, total) = count_targets(config, batches, &virtual_tokens)?;
    let (mut loss, mut of_tokens, mut of_head) = (0.0, Vec::new(), Vec::new());
    // Of classes that count nothing.
    if total == 0.0 {
        return Ok(StepGradient { loss, labelled, gradients: Vec::new() });
    }
    let (lanes, head) = (model.lanes(), trainable.head.as_ref());
    let reader = (model, frozen);
    let mut nothing = true;
    for batch in batches {
        let slices = batch.slices(lanes, virtual_tokens.in_front());
        let part =
            |rows: Rows<'_>| gradient_of_slice(reader, config, head, &rows, &virtual_tokens, total);
        for part in side_by_side(lanes, slices, part) {
            let Some(part) = part? else { continue };
            nothing = false;
            loss += part.loss;
            add(&mut of_tokens, part.of_tokens);
            add(&mut of_head, part.of_head);
        }
    }
    if nothing {
        return Ok(StepGradient { loss, labelled, gradients: Vec::new() });
    }
    let mut gradients = match virtual_tokens.dot(of_tokens) {
        Some(dot) => params::gradients(&trainable.method, &mut dot.backward()),
        None => vec![None; params::values(&trainable.method).len()],
    };
    // The fields of a `Trainable` are in this order.
    gradients.append(&mut of_head);
    Ok(StepGradient { loss, labelled, gradients })
}

/// The loss of a slice, as its share of the mean over `total` targets, and its gradients.
fn gradient_of_slice(
    reader: (&dyn FrozenModel, &FrozenStates),
    config: &TrainConfig,
    head: Option<&Head>,
    rows: &Rows<'_>,
    virtual_tokens: &VirtualTokens,
    total: f64,
) -> Result<Option<Part>> {
    // No two slices share a node of a graph: Burn would make one graph of theirs, and lock it.
    let virtual_tokens = virtual_tokens.leaves();
    let head = head.cloned().map(params::as_leaves);
    let Some(sum) = loss_of_rows(reader, config, head.as_ref(), rows, &virtual_tokens)? else {
        return Ok(None);
    };
    let part = sum / total;
    let mut gradients = part.backward();
    Ok(Some(Part {
        loss: part.into_scalar::<f64>(),
        of_tokens: virtual_tokens.take_gradients(&mut gradients),
        of_head: head.map_or(Vec::new(), |head| params::gradients(&head, &mut gradients)),
    }))
}

/// Adds the gradients of one slice to those of the slices before it.
fn add(sum: &mut Flat, gradients: Flat) {
    if sum.is_empty() {
        *sum = gradients;
        return;
    }
    for (sum, gradient) in sum.iter_mut().zip(gradients) {
        *sum = match (sum.take(), gradient) {
            (Some(sum), Some(gradient)) => Some(sum + gradient),
            (sum, gradient) => sum.or(gradient),
        };
    }
}
