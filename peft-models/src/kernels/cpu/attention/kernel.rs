//! Attention as an operation of Burn.

use burn::{
    backend::{Dispatch, flex::FlexTensor},
    tensor::Tensor,
};
use peft_core::LayerKeyValues;

use super::{
    super::{
        super::{Heads, Scores},
        autodiff::{Inputs, Kernel, run},
    },
    backward, forward,
    frozen_inputs::Attention,
};

/// The attention of rows `[B, S, (N + 2 K) D]`, queries, keys and values side by side, over `past`
/// `[1 or B, K, P, D]` and themselves. `None` if bias or mask cannot be read in place.
///
/// # Shapes
///
/// - output: `[B, S, N * D]`
pub(in super::super) fn joined(
    rows: Tensor<3>,
    past: Option<&LayerKeyValues>,
    heads: Heads,
    scores: &Scores,
) -> Option<Tensor<3>> {
    let kernel = Attention::new(Some(heads), scores)?;
    let rows = rows.into_dispatch();
    Some(run(
        kernel,
        match past {
            None => Inputs::One(rows),
            Some(past) => Inputs::Three(
                rows,
                past.key.clone().into_dispatch(),
                past.value.clone().into_dispatch(),
            ),
        },
    ))
}

/// The attention of queries `[B, N, S, D]` over `past` and `own` keys and values, `[B, K, T, D]`. As [`joined`]
/// otherwise.
pub(in super::super) fn separate(
    query: Tensor<4>,
    own: LayerKeyValues,
    past: Option<&LayerKeyValues>,
    scores: &Scores,
) -> Option<Tensor<3>> {
    let kernel = Attention::new(None, scores)?;
    let [query, key, value] = [query, own.key, own.value].map(Tensor::into_dispatch);
    let inputs: Inputs<Dispatch> = match past {
        None => Inputs::Three(query, key, value),
        Some(past) => Inputs::Five(
            query,
            key,
            value,
            past.key.clone().into_dispatch(),
            past.value.clone().into_dispatch(),
        ),
    };
    Some(run(kernel, inputs))
}

impl Kernel for Attention {
    fn forward(&self, inputs: &[FlexTensor], keep: bool) -> (FlexTensor, Vec<FlexTensor>) {
        forward::forward(self, inputs, keep)
    }

    fn backward(
        &self,
        saved: &[FlexTensor],
        gradient: &FlexTensor,
        wanted: &[bool],
    ) -> Vec<Option<FlexTensor>> {
        backward::backward(self, saved, gradient, wanted)
    }
}
