//! The loss of a step and its gradient: slices of each batch side by side, one sum at the end. Tasks of a joint run add up.

use burn::tensor::Tensor;

use super::{
    batch_loss::{Rows, count_targets, loss_of_rows},
    config::TrainConfig,
    step_loss::UnreadLoss,
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

/// The batches of one task in a step.
pub(super) struct Share<'a> {
    /// The place of the task, and of its head.
    pub(super) task: usize,
    pub(super) config: &'a TrainConfig,
    pub(super) batches: Vec<Rows<'a>>,
    /// How much the mean loss over their targets counts; 1 in a run on one task.
    pub(super) weight: f64,
}

/// What a step learns from its batches.
pub(super) struct StepGradient {
    /// The mean loss over the targets, in nats; over several tasks the sum of their weighted means. Nobody has read it.
    pub(super) loss: UnreadLoss,
    /// The number of targets.
    pub(super) labelled: usize,
    /// The gradient of the loss, by the parameters of the [`Trainable`]; empty if nothing had a target that counts.
    pub(super) gradients: Flat,
}

/// What one slice adds: its loss, and the gradients of the virtual tokens and of the head.
struct Part {
    /// `[1]`, on the plain device.
    loss: Tensor<1>,
    of_tokens: Flat,
    of_head: Flat,
}

/// Computes the mean loss over all targets of a step, and its gradient. Each task of a joint run has a share, with a mean
/// of its own.
///
/// The virtual tokens are made, and a causal prompt is prefilled, once for the step. Each slice then computes the
/// gradient with respect to virtual tokens and a head of its own; the sums, in the order of the slices, go through the
/// method once.
pub(super) fn step_gradient<M: PeftMethod>(
    model: &dyn FrozenModel,
    frozen: &FrozenStates,
    trainable: &Trainable<M>,
    shares: &[Share<'_>],
    mode: Mode,
) -> Result<StepGradient> {
    let virtual_tokens = trainable.method.virtual_tokens(mode);
    let virtual_tokens = model.prefill(&virtual_tokens.cast(model.spec().dtype))?;
    let (lanes, reader) = (model.lanes(), (model, frozen));
    let heads: Vec<Option<&Head>> = trainable.heads().collect();
    let (mut loss, mut labelled) = (UnreadLoss::default(), 0);
    let mut of_tokens = Vec::new();
    let mut of_heads: Vec<Flat> = vec![Vec::new(); heads.len()];
    for Share { task, config, batches, weight } in shares {
        let (count, total) = count_targets(config, batches, &virtual_tokens)?;
        labelled += count;
        // Of classes that count nothing.
        if total == 0.0 {
            continue;
        }
        let (head, mut of_slices) = (heads[*task], Vec::new());
        for batch in batches {
            let slices = batch.slices(lanes, virtual_tokens.in_front());
            let part = |rows: Rows<'_>| {
                gradient_of_slice(reader, config, head, &rows, &virtual_tokens, total / weight)
            };
            for part in side_by_side(lanes, slices, part) {
                let Some(part) = part? else { continue };
                of_slices.push(part.loss);
                add(&mut of_tokens, part.of_tokens);
                add(&mut of_heads[*task], part.of_head);
            }
        }
        loss.add(*task, *weight, of_slices);
    }
    if loss.is_empty() {
        return Ok(StepGradient { loss, labelled, gradients: Vec::new() });
    }
    let mut gradients = match virtual_tokens.dot(of_tokens) {
        Some(dot) => params::gradients(&trainable.method, &mut dot.backward()),
        None => vec![None; params::values(&trainable.method).len()],
    };
    // The fields of a `Trainable` are in this order.
    for (head, of_head) in heads.into_iter().zip(of_heads) {
        match head.filter(|_| of_head.is_empty()) {
            // A task without a batch in this step.
            Some(head) => gradients.extend(vec![None; params::values(head).len()]),
            None => gradients.extend(of_head),
        }
    }
    Ok(StepGradient { loss, labelled, gradients })
}

/// The sum of the loss over the targets of a slice divided by `total`, and its gradients.
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
        loss: part.without_autodiff(),
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
