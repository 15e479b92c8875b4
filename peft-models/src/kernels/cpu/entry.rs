//! The functions that the blocks call: each is `None` if no kernel can compute it.

use burn::tensor::{DType, Device, Tensor};
use peft_core::LayerKeyValues;

use super::{
    super::{Heads, LayerInputs, Nonlinearity, Scores},
    activation, attention,
    bf16::Instructions,
    cross_entropy,
    frozen::Frozen,
    gradient_checkpointing,
    layer_weights::{Bf16Copies, LayerWeights},
    linear, norm, rotate,
    simd::Level,
    switch::{enabled, levels_left_out},
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

/// The vector instructions that kernels use on this machine; `None` if there are no kernels.
pub fn instructions() -> Option<&'static str> {
    Some(Level::of_machine().name())
}

/// The instructions that multiply in bf16 on this machine, if it has any.
pub fn bf16_instructions() -> Option<&'static str> {
    Instructions::of_machine().map(Instructions::name)
}

/// Why kernels cannot multiply in bf16 for models on `device`, as the end of a message that begins with what was found;
/// `None` if they can.
pub fn why_no_bf16(device: &Device) -> Option<String> {
    why_not(device, enabled(), Instructions::of_machine())
}

fn why_not(device: &Device, enabled: bool, found: Option<Instructions>) -> Option<String> {
    if let Some(reason) = unavailable(device) {
        return Some(format!("which kernels multiply in on the CPU backend, flex; {reason}"));
    }
    if !enabled {
        let reason = "which the kernels multiply in, and PEFT_KERNELS is off: Burn's own operations do, slower";
        return Some(reason.into());
    }
    let lacks = if levels_left_out() == 0 {
        "which needs a processor with AMX-BF16 or AVX512-BF16, and this one has neither"
    } else {
        "which needs AMX-BF16 or AVX512-BF16, and PEFT_KERNELS leaves out both"
    };
    found.is_none().then(|| lacks.into())
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
    matrices.iter().all(|matrix| Frozen::of(matrix).is_some())
}

/// Whether kernels read matrices as a GGUF file stores them, on `device`.
pub(crate) fn reads_stored(device: &Device) -> bool {
    enabled() && *device == Device::flex()
}

/// `f(x Wᵀ + b)`, or without `f`; the outputs of several weights `[out, in]` stand side by side. With copies, products
/// are in bf16.
pub(crate) fn apply_linear<const D: usize>(
    x: &Tensor<D>,
    weights: &[Matrix],
    copies: Option<&Bf16Copies>,
    bias: Option<&Tensor<1>>,
    function: Option<Nonlinearity>,
) -> Option<Tensor<D>> {
    if !supports(x) {
        return None;
    }
    linear::linear(x.clone(), LayerWeights::of(weights, copies)?, bias, function)
}

/// `residual + x Wᵀ + b`.
pub(crate) fn linear_onto<const D: usize>(
    residual: &Tensor<D>,
    x: &Tensor<D>,
    weights: &[Matrix],
    copies: Option<&Bf16Copies>,
    bias: Option<&Tensor<1>>,
) -> Option<Tensor<D>> {
    if !supports(x) {
        return None;
    }
    linear::linear_onto(x.clone(), LayerWeights::of(weights, copies)?, bias, residual.clone())
}

/// The sum over rows `[M, H]` of the cross entropy of a language-model head `[V, H]`, which must be one matrix, with
/// smoothed targets.
pub(crate) fn lm_cross_entropy(
    hidden: &Tensor<2>,
    head: &[Matrix],
    copies: Option<&Bf16Copies>,
    bias: Option<&Tensor<1>>,
    targets: &[usize],
    label_smoothing: f64,
) -> Option<Tensor<1>> {
    match head {
        [_] if supports(hidden) => cross_entropy::cross_entropy(
            hidden.clone(),
            LayerWeights::of(head, copies)?,
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
    match inputs.need_gradient() {
        true => gradient_checkpointing::checkpointed(inputs, body),
        false => body(inputs),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn instructions_have_names() {
        assert!(["AVX-512", "AVX2", "portable"].contains(&instructions().unwrap()));
        assert!([None, Some("AMX-BF16"), Some("AVX512-BF16")].contains(&bf16_instructions()));
    }

    #[test]
    fn what_is_missing_for_bf16_is_said() {
        let why = |enabled, found| why_not(&Device::flex(), enabled, found);
        assert!(why(true, None).unwrap().contains("AMX-BF16 or AVX512-BF16"));
        assert!(why(false, None).unwrap().contains("PEFT_KERNELS"));
        if let Some(found) = Instructions::of_machine() {
            assert_eq!(why(true, Some(found)), None);
            assert!(why(false, Some(found)).is_some());
        }
    }
}
