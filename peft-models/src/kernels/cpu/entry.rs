//! The functions that the blocks call: each is `None` if no kernel can compute it.

use burn::tensor::{DType, Device, Tensor};
use peft_core::LayerKeyValues;

use super::{
    super::{Heads, LayerInputs, Nonlinearity, Scores},
    activation, attention, cross_entropy,
    frozen::Frozen,
    gradient_checkpointing, linear, norm, rotate,
    switch::enabled,
};
use crate::weights::Matrix;

/// Why a model on `device` has no kernels; `None` if it has.
pub(crate) fn unavailable(device: &Device) -> Option<String> {
    (*device != Device::flex()).then(|| format!("the model is on {device:?}"))
}

/// Whether models on `device` compute with kernels.
pub fn compute_on(device: &Device) -> bool {
    enabled() && unavailable(device).is_none()
}

/// Whether kernels can compute with `x`.
pub(super) fn supports<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32
        && x.dims().iter().all(|size| *size > 0)
        && enabled()
        && x.device() == Device::flex()
}

/// The matrices as kernels read them.
fn frozen(matrices: &[Matrix]) -> Option<Vec<Frozen>> {
    matrices.iter().map(Frozen::of).collect()
}

/// `f(x)`, element by element.
pub(crate) fn activate<const D: usize>(x: &Tensor<D>, function: Nonlinearity) -> Option<Tensor<D>> {
    supports(x).then(|| activation::activation(x.clone(), function))
}

/// `silu(g) u` of rows `[g | u]`: `[B, S, 2 F]` to `[B, S, F]`.
pub(crate) fn gated_silu(gate_up: &Tensor<3>) -> Option<Tensor<3>> {
    supports(gate_up).then(|| activation::gated(gate_up.clone()))
}

/// Whether kernels read each of these matrices where it lies.
pub(crate) fn reads_in_place(matrices: &[Matrix]) -> bool {
    frozen(matrices).is_some()
}

/// Whether kernels read matrices as a GGUF file stores them, on `device`.
pub(crate) fn reads_stored(device: &Device) -> bool {
    enabled() && *device == Device::flex()
}

/// `f(x Wᵀ + b)`, or without `f`; the outputs of several weights `[out, in]` stand side by side.
pub(crate) fn apply_linear<const D: usize>(
    x: &Tensor<D>,
    weights: &[Matrix],
    bias: Option<&Tensor<1>>,
    function: Option<Nonlinearity>,
) -> Option<Tensor<D>> {
    if !supports(x) {
        return None;
    }
    linear::linear(x.clone(), frozen(weights)?, bias, function)
}

/// `residual + x Wᵀ + b`.
pub(crate) fn linear_onto<const D: usize>(
    residual: &Tensor<D>,
    x: &Tensor<D>,
    weights: &[Matrix],
    bias: Option<&Tensor<1>>,
) -> Option<Tensor<D>> {
    if !supports(x) {
        return None;
    }
    linear::linear_onto(x.clone(), frozen(weights)?, bias, residual.clone())
}

/// The sum over rows `[M, H]` of the cross entropy of a language-model head `[V, H]`, which must be one matrix, with
/// smoothed targets.
pub(crate) fn lm_cross_entropy(
    hidden: &Tensor<2>,
    head: &[Matrix],
    bias: Option<&Tensor<1>>,
    targets: &[usize],
    label_smoothing: f64,
) -> Option<Tensor<1>> {
    match head {
        [head] if supports(hidden) => cross_entropy::cross_entropy(
            hidden.clone(),
            Frozen::of(head)?,
            bias,
            targets,
            label_smoothing,
        ),
        _ => None,
    }
}

/// LayerNorm if there is a shift β, else RMSNorm, over the last dimension.
pub(crate) fn normalize<const D: usize>(
    x: &Tensor<D>,
    scale: &Tensor<1>,
    shift: Option<&Tensor<1>>,
    epsilon: f64,
) -> Option<Tensor<D>> {
    if !supports(x) {
        return None;
    }
    norm::norm(x.clone(), scale, shift, epsilon)
}

/// Rotates the first `heads` heads of rows `[B, S, any * D]` by angles whose cosines and sines are `[B, 1, S, D]`.
pub(crate) fn rotate_heads(
    x: &Tensor<3>,
    cos: &Tensor<4>,
    sin: &Tensor<4>,
    heads: usize,
) -> Option<Tensor<3>> {
    if !supports(x) {
        return None;
    }
    rotate::rotate(x.clone(), cos, sin, heads)
}

/// Attention of queries `[B, N, S, D]` over the keys and values `past` and `own`.
pub(crate) fn attend(
    query: &Tensor<4>,
    own: &LayerKeyValues,
    past: Option<&LayerKeyValues>,
    scores: &Scores,
) -> Option<Tensor<3>> {
    if !supports(query) || !supports(&own.key) {
        return None;
    }
    attention::separate(query.clone(), own.clone(), past, scores)
}

/// Attention of rows `[B, S, (N + 2 K) D]` of queries, keys and values side by side.
pub(crate) fn attend_joined(
    rows: &Tensor<3>,
    past: Option<&LayerKeyValues>,
    heads: Heads,
    scores: &Scores,
) -> Option<Tensor<3>> {
    if !supports(rows) {
        return None;
    }
    attention::joined(rows.clone(), past, heads, scores)
}

/// `body` of the inputs, by gradient checkpointing if one of them needs a gradient. They must be on flex.
pub(crate) fn checkpointed(
    inputs: LayerInputs,
    body: impl Fn(LayerInputs) -> Tensor<3> + Send + Sync + 'static,
) -> Tensor<3> {
    let is_tracked = |past: &Option<LayerKeyValues>| {
        past.as_ref().is_some_and(|past| past.key.is_tracked() || past.value.is_tracked())
    };
    let encoded = inputs.encoded.as_ref();
    let needs_gradient = inputs.x.is_tracked()
        || is_tracked(&inputs.past)
        || encoded.is_some_and(|encoded| encoded.hidden.is_tracked() || is_tracked(&encoded.past));
    if needs_gradient { gradient_checkpointing::checkpointed(inputs, body) } else { body(inputs) }
}
