//! The gradient of one slice of a batch.

use burn::tensor::{Device, Tensor};

use super::{
    batch_loss::{Rows, loss_of_rows},
    config::TrainConfig,
    exchange::{Flat, add, to},
};
use crate::{
    contract::{
        frozen::FrozenModel, head::Head, layer_tape::LayerTape, params,
        virtual_tokens::VirtualTokens,
    },
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
    let tape = reader.0.recomputes().then(LayerTape::default);
    let sum =
        loss_of_rows(reader, tape.as_ref(), job.config, head.as_ref(), &job.rows, &virtual_tokens)?;
    let Some(sum) = sum else { return Ok(None) };
    let part = sum / job.total;
    let scaled = job.loss_scale.map_or_else(|| part.clone(), |factor| part.clone() * factor);
    let mut all = match &tape {
        Some(tape) => tape.backward(&scaled),
        None => vec![scaled.backward()],
    };
    let (mut of_tokens, mut of_head) = (Flat::new(), Flat::new());
    for gradients in &mut all {
        add(&mut of_tokens, vec![virtual_tokens.clone().take_gradients(gradients)]);
        if let Some(head) = &head {
            add(&mut of_head, vec![params::gradients(head, gradients)]);
        }
    }
    Ok(Some(Part { loss: part.without_autodiff(), of_tokens, of_head }))
}
