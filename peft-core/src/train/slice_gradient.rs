//! The gradient of one slice of a batch.

use burn::tensor::{Device, Tensor};

use super::{
    batch_loss::{Rows, loss_of_rows},
    config::TrainConfig,
    exchange::{Flat, to},
};
use crate::{
    contract::{frozen::FrozenModel, head::Head, params, virtual_tokens::VirtualTokens},
    error::Result,
    evaluate::frozen_states::FrozenStates,
};

/// A slice and what it is computed with, on the device that computes it.
pub(super) struct Job<'a> {
    pub(super) config: &'a TrainConfig,
    pub(super) rows: Rows<'a>,
    pub(super) virtual_tokens: VirtualTokens,
    pub(super) head: Option<Head>,
    /// What the loss of its targets is divided by.
    pub(super) total: f64,
    /// The factor of the loss whose gradients are computed.
    pub(super) loss_scale: Option<f64>,
}

/// What a slice adds: its loss, `[1]`, and the gradients of the virtual tokens and of the head, on the plain device. These
/// have the factor of the loss.
pub(super) struct Part {
    pub(super) loss: Tensor<1>,
    pub(super) of_tokens: Flat,
    pub(super) of_head: Flat,
}

impl Part {
    /// The same on another device.
    pub(super) fn on(self, device: &Device) -> Self {
        let each =
            |flat: Flat| flat.into_iter().map(|own| own.map(|own| to(own, device))).collect();
        Self {
            loss: to(self.loss, device),
            of_tokens: each(self.of_tokens),
            of_head: each(self.of_head),
        }
    }
}

/// The sum of the loss over the targets of a slice divided by its total, and its gradients; `None` if it has no targets.
pub(super) fn gradient_of_slice(
    reader: (&dyn FrozenModel, &FrozenStates),
    job: Job<'_>,
) -> Result<Option<Part>> {
    // No two slices share a node of a graph: Burn would make one graph of theirs, and lock it.
    let virtual_tokens = job.virtual_tokens.leaves();
    let head = job.head.map(params::as_leaves);
    let sum = loss_of_rows(reader, job.config, head.as_ref(), &job.rows, &virtual_tokens)?;
    let Some(sum) = sum else { return Ok(None) };
    let part = sum / job.total;
    let mut gradients = match job.loss_scale {
        Some(factor) => (part.clone() * factor).backward(),
        None => part.backward(),
    };
    Ok(Some(Part {
        loss: part.without_autodiff(),
        of_tokens: virtual_tokens.take_gradients(&mut gradients),
        of_head: head.map_or(Vec::new(), |head| params::gradients(&head, &mut gradients)),
    }))
}
