//! The slices of a step: which there are, in which order, and the sums over them on the devices of one process.
//!
//! On several devices the slices are dealt out in rounds, in their order, and added up in that order on the first device:
//! the sum has the same bits as on one device, as long as the slices are the same.

use super::{
    batch_loss::{Rows, count_targets},
    config::TrainConfig,
    exchange::{Flat, add},
    slice_gradient::Job,
    team::{AtLeast, Team},
};
use crate::{
    contract::{frozen::FrozenModel, head::Head, params, virtual_tokens::VirtualTokens},
    error::Result,
};

use burn::tensor::Tensor;

/// The batches of one task in a step.
pub(super) struct Share<'a> {
    /// The place of the task, and of its head.
    pub(super) task: usize,
    pub(super) config: &'a TrainConfig,
    pub(super) batches: Vec<Rows<'a>>,
    /// How much the mean loss over their targets counts; 1 in a run on one task.
    pub(super) weight: f64,
}

/// What a step is computed with, as a replica or another process has it.
#[derive(Clone)]
pub(super) struct OnDevice {
    pub(super) virtual_tokens: VirtualTokens,
    /// By task.
    pub(super) heads: Vec<Option<Head>>,
    /// The factor of the loss whose gradients are computed.
    pub(super) loss_scale: Option<f64>,
}

/// What the slices of a step add up to, on the first device.
pub(super) struct Sums {
    /// The number of targets.
    pub(super) labelled: usize,
    /// The losses of the slices, `[1]` each, in their order, by share.
    pub(super) of_slices: Vec<Vec<Tensor<1>>>,
    /// The gradients of the virtual tokens; these and those of the heads have the factor of the loss.
    pub(super) of_tokens: Flat,
    /// Those of the heads, by task; empty for a task without a slice that has targets.
    pub(super) of_heads: Vec<Flat>,
}

/// A slice that is to be computed.
pub(super) struct Slice<'a> {
    /// The place of its share.
    pub(super) share: usize,
    /// What its loss is divided by.
    pub(super) total: f64,
    rows: Rows<'a>,
}

impl<'a> Slice<'a> {
    /// What is to be done for it, with what is trained.
    pub(super) fn job(self, shares: &[Share<'a>], own: &OnDevice) -> Job<'a> {
        let share = &shares[self.share];
        Job {
            config: share.config,
            rows: self.rows,
            virtual_tokens: own.virtual_tokens.clone(),
            head: own.heads[share.task].clone(),
            total: self.total,
            loss_scale: own.loss_scale,
        }
    }
}

/// The slices of a step in rounds that are computed together, and the number of targets in all of them. A round has those of
/// whole batches, and at least `in_round` slices, where there are so many. `workers` devices take part.
///
/// On a CPU, slices depend on the batch alone, not on the number of devices. Devices that take a batch whole get parts of
/// it if the step has fewer batches than devices.
pub(super) fn rounds<'a>(
    model: &dyn FrozenModel,
    shares: &[Share<'a>],
    virtual_tokens: &VirtualTokens,
    (workers, in_round): (usize, usize),
) -> Result<(Vec<Vec<Slice<'a>>>, usize)> {
    let (mut batches, mut labelled) = (Vec::new(), 0);
    for (share, Share { config, batches: own, weight, .. }) in shares.iter().enumerate() {
        let (count, total) = count_targets(config, own, virtual_tokens)?;
        labelled += count;
        // Otherwise they are of classes that count nothing.
        if total != 0.0 {
            batches.extend(own.iter().map(|batch| (share, total / weight, batch)));
        }
    }
    let least = match model.reads_wait() && !batches.is_empty() {
        true => workers.div_ceil(batches.len()),
        false => 1,
    };
    let lanes = AtLeast(least, model.lanes());
    let mut rounds: Vec<Vec<Slice<'a>>> = Vec::new();
    for (share, total, batch) in batches {
        let slice = |rows| Slice { share, total, rows };
        let slices = batch.slices(&lanes, virtual_tokens.in_front()).into_iter().map(slice);
        match rounds.last_mut().filter(|round| round.len() < in_round) {
            Some(round) => round.extend(slices),
            None => rounds.push(slices.collect()),
        }
    }
    Ok((rounds, labelled))
}

/// Computes all slices of a step on the devices of this process: on one device those of one batch together, on several at
/// least as many as there are devices.
pub(super) fn sums<'a>(team: &Team<'a>, shares: &[Share<'a>], own: &OnDevice) -> Result<Sums> {
    let replicas = team.len();
    let (rounds, labelled) =
        rounds(team.first(), shares, &own.virtual_tokens, (replicas, replicas))?;
    let copies = copies(team, own);
    let tasks = own.heads.len();
    let mut sums = Sums {
        labelled,
        of_slices: shares.iter().map(|_| Vec::new()).collect(),
        of_tokens: Flat::new(),
        of_heads: vec![Flat::new(); tasks],
    };
    for round in rounds {
        let places: Vec<usize> = round.iter().map(|slice| slice.share).collect();
        let job =
            |(place, slice): (usize, Slice<'a>)| slice.job(shares, &copies[team.replica_at(place)]);
        let answers = team.compute(round.into_iter().enumerate().map(job).collect())?;
        let mut parts = Vec::with_capacity(answers.len());
        let mut parts_of_heads: Vec<Vec<Flat>> = (0..tasks).map(|_| Vec::new()).collect();
        for (share, answer) in places.into_iter().zip(answers) {
            let Some(part) = answer else { continue };
            sums.of_slices[share].push(part.loss);
            parts.push(part.of_tokens);
            parts_of_heads[shares[share].task].push(part.of_head);
        }
        add(&mut sums.of_tokens, parts);
        sums.of_heads.iter_mut().zip(parts_of_heads).for_each(|(sum, parts)| add(sum, parts));
    }
    Ok(sums)
}

/// What is trained, on each device: the first has it.
fn copies(team: &Team<'_>, own: &OnDevice) -> Vec<OnDevice> {
    let home = team.first().device();
    let copy = |device| match device == home {
        true => own.clone(),
        false => OnDevice {
            virtual_tokens: own.virtual_tokens.clone().without_autodiff().to_device(&device),
            heads: own
                .heads
                .iter()
                .map(|head| head.clone().map(|head| params::on_device(head, &device)))
                .collect(),
            loss_scale: own.loss_scale,
        },
    };
    team.devices().map(copy).collect()
}
