//! The kernels of a build without the feature `cpu`: there are none.

use burn::tensor::{Device, Tensor};
use peft_core::{Lanes, LayerKeyValues, OneLane};

use super::{Heads, LayerInputs, Nonlinearity, Scores};
use crate::weights::Matrix;

/// There are no copies in bf16.
#[derive(Clone, Debug)]
pub(crate) enum Bf16Copies {}

impl Bf16Copies {
    pub(crate) fn new() -> Option<Self> {
        None
    }
}

/// Does nothing: there are no kernels to turn on.
pub fn set_enabled(_: bool) {}

/// Whether kernels are turned on: never.
pub fn enabled() -> bool {
    false
}

/// Whether models on `device` compute with kernels: never.
pub fn compute_on(_: &Device) -> bool {
    false
}

/// What is wrong with `PEFT_KERNELS`: it means nothing here.
pub fn wrong_environment() -> Option<&'static str> {
    None
}

/// The vector instructions of the kernels: there are none.
pub fn instructions() -> Option<&'static str> {
    None
}

/// The instructions that multiply in bf16: none.
pub fn bf16_instructions() -> Option<&'static str> {
    None
}

pub(crate) fn lanes(_: &Device) -> &'static dyn Lanes {
    &OneLane
}

pub(crate) fn unavailable(_: &Device) -> Option<String> {
    Some("this program was built without the feature `cpu`".to_string())
}

/// Why kernels cannot multiply in bf16: there are none.
pub fn why_no_bf16(device: &Device) -> Option<String> {
    unavailable(device).map(|reason| format!("which kernels multiply in; {reason}"))
}

pub(crate) fn activate<const D: usize>(_: &Tensor<D>, _: Nonlinearity) -> Option<Tensor<D>> {
    None
}

pub(crate) fn gated_silu(_: &Tensor<3>) -> Option<Tensor<3>> {
    None
}

pub(crate) fn reads_in_place(_: &[Matrix]) -> bool {
    false
}

pub(crate) fn reads_stored(_: &Device) -> bool {
    false
}

pub(crate) fn apply_linear<const D: usize>(
    _: &Tensor<D>,
    _: &[Matrix],
    _: Option<&Bf16Copies>,
    _: Option<&Tensor<1>>,
    _: Option<Nonlinearity>,
) -> Option<Tensor<D>> {
    None
}

pub(crate) fn linear_onto<const D: usize>(
    _: &Tensor<D>,
    _: &Tensor<D>,
    _: &[Matrix],
    _: Option<&Bf16Copies>,
    _: Option<&Tensor<1>>,
) -> Option<Tensor<D>> {
    None
}

pub(crate) fn lm_cross_entropy(
    _: &Tensor<2>,
    _: &[Matrix],
    _: Option<&Bf16Copies>,
    _: Option<&Tensor<1>>,
    _: &[usize],
    _: f64,
) -> Option<Tensor<1>> {
    None
}

pub(crate) fn normalize<const D: usize>(
    _: &Tensor<D>,
    _: &Tensor<1>,
    _: Option<&Tensor<1>>,
    _: f64,
) -> Option<Tensor<D>> {
    None
}

pub(crate) fn rotate_heads(
    _: &Tensor<3>,
    _: &Tensor<4>,
    _: &Tensor<4>,
    _: usize,
) -> Option<Tensor<3>> {
    None
}

pub(crate) fn attend(
    _: &Tensor<4>,
    _: &LayerKeyValues,
    _: Option<&LayerKeyValues>,
    _: &Scores,
) -> Option<Tensor<3>> {
    None
}

pub(crate) fn attend_joined(
    _: &Tensor<3>,
    _: Option<&LayerKeyValues>,
    _: Heads,
    _: &Scores,
) -> Option<Tensor<3>> {
    None
}

pub(crate) fn checkpointed(
    inputs: LayerInputs,
    body: impl Fn(LayerInputs) -> Tensor<3> + Send + Sync + 'static,
) -> Tensor<3> {
    body(inputs)
}
