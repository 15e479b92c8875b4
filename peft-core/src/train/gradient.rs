//! The loss of a step and its gradient: slices of its batches side by side, one sum at the end. Tasks of a joint run add up.
//!
//! Only virtual tokens and heads travel to other devices and processes, and their gradients back; what makes virtual tokens,
//! such as the MLP of a prefix, runs forward and backward on the first device of rank 0 alone.

use super::{
    exchange::Flat,
    group::Group,
    shared_sums::{lead_step, shared_sums},
    step_loss::UnreadLoss,
    step_slices::{OnDevice, Share, Sums, sums},
    team::Team,
    trainable::Trainable,
};
use crate::{
    contract::{
        method::{Mode, PeftMethod},
        params,
    },
    error::Result,
};

/// What a step learns from its batches.
pub(super) struct StepGradient {
    /// The mean loss over the targets, in nats; over several tasks the sum of their weighted means. Nobody has read it.
    pub(super) loss: UnreadLoss,
    /// The number of targets.
    pub(super) labelled: usize,
    /// The gradient of the loss, by the parameters of the [`Trainable`]; empty if nothing had a target that counts.
    pub(super) gradients: Flat,
}

/// Computes the mean loss over all targets of a step, and its gradient, with the other processes of `group` if there are
/// any; `step` is counted from 0. Each task of a joint run has a share, with a mean of its own.
///
/// The virtual tokens are made, and a causal prompt is prefilled, once for the step. Each slice then computes the
/// gradient with respect to virtual tokens and a head of its own; the sums, in the order of the slices, go through the
/// method once. With `loss_scale`, all that passes through the model is multiplied by it, and the gradient divided by it
/// at the end.
pub(super) fn step_gradient<'a, M: PeftMethod>(
    team: &Team<'a>,
    group: Option<&Group<'_>>,
    trainable: &Trainable<M>,
    shares: &[Share<'a>],
    (mode, step): (Mode, usize),
    loss_scale: Option<f64>,
) -> Result<StepGradient> {
    let model = team.first();
    let virtual_tokens = trainable.method.virtual_tokens(mode);
    let virtual_tokens = model.prefill(&virtual_tokens.cast(model.spec().dtype))?;
    let heads = trainable.heads().map(|head| head.cloned()).collect();
    let own = OnDevice { virtual_tokens, heads, loss_scale };
    let Sums { labelled, of_slices, of_tokens, of_heads } = match group {
        None => sums(team, shares, &own)?,
        Some(group) => {
            lead_step(group, step, &own)?;
            shared_sums(group, team, shares, &own)?
        }
    };
    let mut loss = UnreadLoss::default();
    for (Share { task, weight, .. }, of_slices) in shares.iter().zip(of_slices) {
        loss.add(*task, *weight, of_slices);
    }
    if loss.is_empty() {
        return Ok(StepGradient { loss, labelled, gradients: Vec::new() });
    }
    let mut gradients = match own.virtual_tokens.dot(of_tokens) {
        Some(dot) => params::gradients(&trainable.method, &mut dot.backward()),
        None => vec![None; params::values(&trainable.method).len()],
    };
    // The fields of a `Trainable` are in this order.
    for (head, of_head) in trainable.heads().zip(of_heads) {
        match head.filter(|_| of_head.is_empty()) {
            // A task without a batch in this step.
            Some(head) => gradients.extend(vec![None; params::values(head).len()]),
            None => gradients.extend(of_head),
        }
    }
    if let Some(factor) = loss_scale {
        for gradient in gradients.iter_mut().flatten() {
            *gradient = gradient.clone() / factor;
        }
    }
    Ok(StepGradient { loss, labelled, gradients })
}
