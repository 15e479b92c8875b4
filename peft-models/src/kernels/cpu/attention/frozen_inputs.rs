//! What an attention reads besides its inputs and never gets a gradient.

use burn::{
    backend::{Flex, flex::FlexTensor},
    tensor::{Bool, Tensor},
};

use super::super::{
    super::{Heads, Scores},
    tensors::{frozen, in_order, sizes},
};

/// A mask of one byte per element, in order. `None` if it is not stored like that.
fn bytes(mask: &Tensor<4, Bool>) -> Option<FlexTensor> {
    let mask = mask.clone().try_into_primitive::<Flex>().ok()?.to_contiguous();
    let count: usize = sizes(&mask).iter().product();
    (mask.bytes().len() == count).then_some(mask)
}

/// An attention without its queries, keys and values.
#[derive(Debug)]
pub(super) struct Attention {
    /// The heads of joined rows; `None` if queries, keys and values are tensors of their own.
    pub joined: Option<Heads>,
    /// The factor of the products.
    pub scale: f32,
    /// Bytes, 1 where a query may not see a key.
    pub hidden: Option<FlexTensor>,
    pub bias: Option<FlexTensor>,
}

impl Attention {
    pub fn new(joined: Option<Heads>, scores: &Scores) -> Option<Self> {
        let hidden = match &scores.hidden {
            Some(hidden) => Some(bytes(hidden)?),
            None => None,
        };
        let bias = match &scores.bias {
            Some(bias) => Some(in_order(&frozen(bias)?)),
            None => None,
        };
        Some(Self { joined, scale: scores.scale as f32, hidden, bias })
    }
}
