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
use place::Place;

/// What scores are made with.
#[derive(Debug)]
pub(crate) struct Scores {
    /// What products are multiplied with.
    pub scale: f64,
    /// `[1 or B, 1, S or 1, P + S]`, `true` where a query may not see a key.
    pub hidden: Option<Tensor<4, Bool>>,
    /// Added to the scores, `[1 or B, N, S, P + S]`.
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

    /// The sizes of a pass, and where its parts lie.
    fn plan(&self, inputs: &[FlexTensor]) -> (Plan, Vec<FlexTensor>) {
        let (own, of_virtual) = inputs.split_at(if self.joined.is_some() { 1 } else { 3 });
        let mut tensors = Vec::new();
        let (sizes_of_plan, places) = match self.joined {
            Some(heads) => {
                let rows = in_order(&own[0]);
                let [b, s, width] = sizes(&rows)[..] else { unreachable!("three dimensions") };
                let Heads { query: n, key_value: k, size: d } = heads;
                let place = |head: usize| Place {
                    tensor: 0,
                    start: head * d,
                    batch: s * width,
                    head: d,
                    row: width,
                };
                tensors.push(rows);
                ([b, n, k, s, s, d], [place(0), place(n), place(n + k)])
            }
            None => {
                let of_query = sizes(&own[0]);
                let of_key = sizes(&own[1]);
                let places = [0, 1, 2].map(|which| Place::add(&own[which], &mut tensors));
                let [b, n, s, d] = of_query[..] else { unreachable!("four dimensions") };
                ([b, n, of_key[1], s, of_key[2], d], places)
            }
        };
        let [b, n, k, s, t, d] = sizes_of_plan;
        let (mut p, mut r) = (0, 1);
        let past = (of_virtual.len() == 2).then(|| {
            let of_past = sizes(&of_virtual[0]);
            (r, p) = (of_past[0], of_past[2]);
            [0, 1].map(|which| {
                let mut place = Place::add(&of_virtual[which], &mut tensors);
                if r == 1 {
                    place.batch = 0;
                }
                place
            })
        });
        let is = |tensor: &FlexTensor, first: [usize; 2], rest: [usize; 3]| {
            let of = sizes(tensor);
            assert!(first.contains(&of[0]) && of[1..] == rest, "sizes in attention: {of:?}");
        };
        if self.joined.is_none() {
            own[1..].iter().for_each(|own| is(own, [b, b], [k, t, d]));
        } else {
            assert_eq!(sizes(&own[0])[2], (n + 2 * k) * d, "width of joined rows");
        }
        of_virtual.iter().for_each(|past| is(past, [r, r], [k, p, d]));
        if let Some(hidden) = &self.hidden {
            let queries = if sizes(hidden)[2] == 1 { 1 } else { s };
            is(hidden, [1, b], [1, queries, p + t]);
        }
        self.bias.iter().for_each(|bias| is(bias, [1, b], [n, s, p + t]));
        let [query, key, value] = places;
        (Plan { b, n, k, s, t, d, p, r, query, key, value, past }, tensors)
    }

    /// What is added to the scores of a query, over all keys: the bias, and whether each key is hidden.
    fn row(&self, plan: &Plan, batch: usize, head: usize, query: usize) -> Row<'_> {
        let columns = plan.p + plan.t;
        let hidden = self.hidden.as_ref().map(|hidden| {
            let shape = sizes(hidden);
            let batch = if shape[0] == 1 { 0 } else { batch };
            let query = if shape[2] == 1 { 0 } else { query };
            let start = (batch * shape[2] + query) * columns;
            &hidden.bytes()[start..start + columns]
        });
        let bias = self.bias.as_ref().map(|bias| {
            let shape = sizes(bias);
            let batch = if shape[0] == 1 { 0 } else { batch };
            let start = ((batch * plan.n + head) * plan.s + query) * columns;
            &super::tensors::floats(bias)[start..start + columns]
        });
        Row { hidden, bias }
    }

    /// How many of the tokens' keys any of these queries sees; all where one sees nothing at all, as the plain
    /// softmax then spreads over all.
    fn reach(&self, plan: &Plan, batch: usize, queries: std::ops::Range<usize>) -> usize {
        if self.hidden.is_none() {
            return plan.t;
        }
        let mut reach = 0;
        for query in queries {
            let hidden = self.row(plan, batch, 0, query).hidden.unwrap_or(&[]);
            match hidden.iter().rposition(|hidden| *hidden == 0) {
                Some(last) => reach = reach.max((last + 1).saturating_sub(plan.p)),
                None => return plan.t,
            }
        }
        reach
    }
}

/// Sizes of a pass, and where its parts lie.
#[derive(Clone, Copy, Debug)]
struct Plan {
    b: usize,
    /// Heads of queries.
    n: usize,
    /// Heads of keys.
    k: usize,
    /// Queries.
    s: usize,
    /// Keys of tokens.
    t: usize,
    d: usize,
    /// Keys of virtual tokens, in `r` sets: one, or one for each row.
    p: usize,
    r: usize,
    query: Place,
    key: Place,
    value: Place,
    past: Option<[Place; 2]>,
}

/// Queries whose scores exist at a time.
const QUERIES: usize = 64;

/// What is added to the scores of one query.
#[derive(Clone, Copy, Debug)]
struct Row<'a> {
    hidden: Option<&'a [u8]>,
    bias: Option<&'a [f32]>,
}

impl Row<'_> {
    /// Of the first keys only.
    fn first(self, keys: usize) -> Self {
        Self { hidden: self.hidden.map(|h| &h[..keys]), bias: self.bias.map(|b| &b[..keys]) }
    }
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
