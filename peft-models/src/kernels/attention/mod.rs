//! `softmax(scale q kᵀ + bias) v` over `[virtual tokens | tokens]`, whose keys and values stay where they are:
//! no copy of them is made, and those of virtual tokens that the batch shares are read by all rows.
//!
//! ```text
//! s = scale q [kᵖ | k]ᵀ + bias      p = softmax(s)      o = p [vᵖ | v]
//! ds = p (dp - Σ p dp)              dp = do [vᵖ | v]ᵀ
//! dq = scale ds [kᵖ | k]            d[kᵖ | k] = scale dsᵀ q            d[vᵖ | v] = pᵀ do
//! ```
//!
//! Scores exist for one block of queries at a time. The backward pass makes them again, with the largest score and
//! the denominator of each softmax (Dao et al. 2022, arXiv 2205.14135), so memory grows with S, not with S².

mod backward;
mod forward;
mod place;
mod plan;
mod softmax;

use burn::{
    backend::{Dispatch, Flex, flex::FlexTensor},
    tensor::{Bool, Tensor},
};
use peft_core::LayerKeyValues;

use super::{
    node::{Inputs, Kernel, run},
    tensors::{frozen, in_order, sizes},
};
use crate::blocks::Heads;

/// What scores are made with.
#[derive(Debug)]
pub(crate) struct Scores {
    /// What products are multiplied with.
    pub scale: f64,
    /// `[1 or B, 1, S or 1, P + T]`, `true` where a query may not see a key.
    pub hidden: Option<Tensor<4, Bool>>,
    /// Added to the scores, `[1 or B, N, S, P + T]`.
    pub bias: Option<Tensor<4>>,
}

/// Queries, keys and values side by side, `[B, S, (N + 2 K) D]`, behind `past` `[1 or B, K, P, D]`. `None` where
/// bias or mask cannot be read in place.
///
/// # Shapes
///
/// - output: `[B, S, N * D]`
pub(crate) fn joined(
    rows: Tensor<3>,
    past: Option<&LayerKeyValues>,
    heads: Heads,
    scores: Scores,
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

/// Queries `[B, N, S, D]` that read `own` keys and values `[B, K, T, D]`, behind `past`. As [`joined`] otherwise.
pub(crate) fn separate(
    query: Tensor<4>,
    own: LayerKeyValues,
    past: Option<&LayerKeyValues>,
    scores: Scores,
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

/// A mask whose numbers lie in order, a byte each. `None` where it is not kept like that.
fn bytes(mask: &Tensor<4, Bool>) -> Option<FlexTensor> {
    let mask = mask.clone().try_into_primitive::<Flex>().ok()?.to_contiguous();
    let count: usize = sizes(&mask).iter().product();
    (mask.bytes().len() == count).then_some(mask)
}

#[derive(Debug)]
struct Attention {
    /// The heads of joined rows; `None` where queries, keys and values are tensors of their own.
    joined: Option<Heads>,
    scale: f32,
    /// Bytes, 1 where a query may not see a key.
    hidden: Option<FlexTensor>,
    bias: Option<FlexTensor>,
}

impl Attention {
    fn new(joined: Option<Heads>, scores: Scores) -> Option<Self> {
        let hidden = match scores.hidden {
            Some(hidden) => Some(bytes(&hidden)?),
            None => None,
        };
        let bias = match scores.bias {
            Some(bias) => Some(in_order(&frozen(&bias)?)),
            None => None,
        };
        Some(Self { joined, scale: scores.scale as f32, hidden, bias })
    }
}

/// Queries whose scores exist at a time.
const QUERIES: usize = 64;

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
