//! The loss of a step and its gradient: slices of its batches side by side, one sum at the end. Tasks of a joint run add up.
//!
//! On several devices the slices are dealt out in rounds, in their order, and added up in that order on the first device:
//! the sum has the same bits as on one device, as long as the slices are the same. Only virtual tokens and heads travel there,
//! and their gradients back; what makes virtual tokens, such as the MLP of a prefix, runs forward and backward on the first
//! device alone.

use super::{
    batch_loss::{Rows, count_targets},
    config::TrainConfig,
    exchange::{Flat, add},
    slice_gradient::Job,
    step_loss::UnreadLoss,
    team::{AtLeast, Team},
    trainable::Trainable,
};
use crate::{
    contract::{
        head::Head,
        method::{Mode, PeftMethod},
        params,
        virtual_tokens::VirtualTokens,
    },
    error::Result,
};

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

/// A slice that is to be computed.
struct Slice<'a> {
    /// The place of its share.
    share: usize,
    /// What its loss is divided by.
    total: f64,
    rows: Rows<'a>,
}

/// What is trained, as a replica has it.
struct OnDevice {
    virtual_tokens: VirtualTokens,
    heads: Vec<Option<Head>>,
}

/// Computes the mean loss over all targets of a step, and its gradient. Each task of a joint run has a share, with a mean
/// of its own.
///
/// The virtual tokens are made, and a causal prompt is prefilled, once for the step. Each slice then computes the
/// gradient with respect to virtual tokens and a head of its own; the sums, in the order of the slices, go through the
/// method once. With `loss_scale`, all that passes through the model is multiplied by it, and the gradient divided by it
/// at the end.
pub(super) fn step_gradient<'a, M: PeftMethod>(
    team: &Team<'a>,
    trainable: &Trainable<M>,
    shares: &[Share<'a>],
    mode: Mode,
    loss_scale: Option<f64>,
) -> Result<StepGradient> {
    let model = team.first();
    let virtual_tokens = trainable.method.virtual_tokens(mode);
    let virtual_tokens = model.prefill(&virtual_tokens.cast(model.spec().dtype))?;
    let heads: Vec<Option<&Head>> = trainable.heads().collect();
    let (mut of_batches, mut labelled) = (Vec::new(), 0);
    for (share, Share { config, batches, weight, .. }) in shares.iter().enumerate() {
        let (count, total) = count_targets(config, batches, &virtual_tokens)?;
        labelled += count;
        // Otherwise they are of classes that count nothing.
        if total != 0.0 {
            of_batches.extend(batches.iter().map(|batch| (share, total / weight, batch)));
        }
    }
    let copies = copies(team, &virtual_tokens, &heads);
    let mut of_slices: Vec<Vec<_>> = shares.iter().map(|_| Vec::new()).collect();
    let (mut of_tokens, mut of_heads) = (Flat::new(), vec![Flat::new(); heads.len()]);
    for round in rounds(team, &of_batches, virtual_tokens.in_front()) {
        let places: Vec<usize> = round.iter().map(|slice| slice.share).collect();
        let job = |(place, slice): (usize, Slice<'a>)| {
            let (own, share) = (&copies[team.replica_at(place)], &shares[slice.share]);
            Job {
                config: share.config,
                rows: slice.rows,
                virtual_tokens: own.virtual_tokens.clone(),
                head: own.heads[share.task].clone(),
                total: slice.total,
                loss_scale,
            }
        };
        let answers = team.compute(round.into_iter().enumerate().map(job).collect())?;
        let mut parts = Vec::with_capacity(answers.len());
        let mut parts_of_heads: Vec<Vec<Flat>> = heads.iter().map(|_| Vec::new()).collect();
        for (share, answer) in places.into_iter().zip(answers) {
            let Some(part) = answer else { continue };
            of_slices[share].push(part.loss);
            parts.push(part.of_tokens);
            parts_of_heads[shares[share].task].push(part.of_head);
        }
        add(&mut of_tokens, parts);
        of_heads.iter_mut().zip(parts_of_heads).for_each(|(sum, parts)| add(sum, parts));
    }
    let mut loss = UnreadLoss::default();
    for (Share { task, weight, .. }, of_slices) in shares.iter().zip(of_slices) {
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
    if let Some(factor) = loss_scale {
        for gradient in gradients.iter_mut().flatten() {
            *gradient = gradient.clone() / factor;
        }
    }
    Ok(StepGradient { loss, labelled, gradients })
}

/// The slices of a step in rounds that are computed together: on one device those of one batch, on several at least as many
/// as there are devices, where there are so many.
///
/// On a CPU, slices depend on the batch alone, not on the number of replicas. Devices that take a batch whole get parts of
/// it if the step has fewer batches than devices.
fn rounds<'a>(
    team: &Team<'a>,
    batches: &[(usize, f64, &Rows<'a>)],
    in_front: usize,
) -> Vec<Vec<Slice<'a>>> {
    let (model, replicas) = (team.first(), team.len());
    let least = match model.reads_wait() && !batches.is_empty() {
        true => replicas.div_ceil(batches.len()),
        false => 1,
    };
    let lanes = AtLeast(least, model.lanes());
    let mut rounds: Vec<Vec<Slice<'a>>> = Vec::new();
    for (share, total, batch) in batches {
        let slice = |rows| Slice { share: *share, total: *total, rows };
        let slices = batch.slices(&lanes, in_front).into_iter().map(slice);
        match rounds.last_mut().filter(|round| round.len() < replicas) {
            Some(round) => round.extend(slices),
            None => rounds.push(slices.collect()),
        }
    }
    rounds
}

/// What is trained, on each device: the first has it.
fn copies(
    team: &Team<'_>,
    virtual_tokens: &VirtualTokens,
    heads: &[Option<&Head>],
) -> Vec<OnDevice> {
    let home = team.first().device();
    let copy = |device| match device == home {
        true => OnDevice {
            virtual_tokens: virtual_tokens.clone(),
            heads: heads.iter().map(|head| head.cloned()).collect(),
        },
        false => OnDevice {
            virtual_tokens: virtual_tokens.clone().without_autodiff().to_device(&device),
            heads: heads
                .iter()
                .map(|head| head.map(|head| params::on_device(head.clone(), &device)))
                .collect(),
        },
    };
    team.devices().map(copy).collect()
}
