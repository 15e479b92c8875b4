//! One pass of attention: its sizes, how its tensors lie in memory, and which query sees which key.

use std::ops::Range;

use burn::backend::flex::FlexTensor;

use super::{
    super::{
        super::Heads,
        tensors::{floats, in_order, sizes},
    },
    frozen_inputs::Attention,
    layout::HeadLayout,
};

/// How many queries have their scores in memory at a time.
const QUERIES: usize = 64;

/// The sizes of a pass, and how its tensors lie in memory.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub b: usize,
    /// Query heads.
    pub n: usize,
    /// Key heads.
    pub k: usize,
    /// Queries.
    pub s: usize,
    /// Keys of tokens.
    pub t: usize,
    pub d: usize,
    /// Keys of virtual tokens, in `r` sets: one, or one per row of the batch.
    pub p: usize,
    pub r: usize,
    pub query: HeadLayout,
    /// Keys and values of tokens.
    pub own: [HeadLayout; 2],
    /// Keys and values of virtual tokens.
    past: Option<[HeadLayout; 2]>,
    hidden: Option<Added<'a, u8>>,
    bias: Option<Added<'a, f32>>,
    /// The [`reach`](Self::reach) of each block of queries of each row of the mask.
    reaches: Vec<usize>,
}

/// A value per query and key, `P + T` keys in order.
#[derive(Clone, Copy, Debug)]
struct Added<'a, T> {
    values: &'a [T],
    /// Strides from one row of the batch, head or query to the next; 0 if they share the values.
    batch: usize,
    head: usize,
    query: usize,
}

impl<'a, T> Added<'a, T> {
    /// Of a tensor `[1 or B, 1 or N, 1 or S, columns]`.
    fn new(values: &'a [T], shape: &[usize]) -> Self {
        let stride = |axis: usize| {
            if shape[axis] == 1 { 0 } else { shape[axis + 1..].iter().product() }
        };
        Self { values, batch: stride(0), head: stride(1), query: stride(2) }
    }

    fn row(&self, batch: usize, head: usize, query: usize, keys: usize) -> &'a [T] {
        let start = batch * self.batch + head * self.head + query * self.query;
        &self.values[start..start + keys]
    }
}

/// What is added to the scores of one query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    /// 1 where a key is hidden.
    pub hidden: Option<&'a [u8]>,
    pub bias: Option<&'a [f32]>,
}

impl<'a> Plan<'a> {
    /// The plan of a pass, and the tensors that its layouts refer to.
    pub fn new(kernel: &'a Attention, inputs: &[FlexTensor]) -> (Self, Vec<FlexTensor>) {
        let (own, of_virtual) = inputs.split_at(if kernel.joined.is_some() { 1 } else { 3 });
        let mut tensors = Vec::new();
        let ([b, n, k, s, t, d], [query, key, value]) = match kernel.joined {
            Some(heads) => {
                let rows = in_order(&own[0]);
                let [b, s, width] = sizes(&rows)[..] else { unreachable!("three dimensions") };
                let Heads { query: n, key_value: k, size: d } = heads;
                assert_eq!(width, (n + 2 * k) * d, "width of joined rows");
                let layout = |head: usize| HeadLayout {
                    tensor: 0,
                    start: head * d,
                    batch: s * width,
                    head: d,
                    row: width,
                };
                tensors.push(rows);
                ([b, n, k, s, s, d], [layout(0), layout(n), layout(n + k)])
            }
            None => {
                let [b, n, s, d] = sizes(&own[0])[..] else { unreachable!("four dimensions") };
                let [_, k, t, _] = sizes(&own[1])[..] else { unreachable!("four dimensions") };
                let layouts = [0, 1, 2].map(|which| HeadLayout::add(&own[which], &mut tensors));
                ([b, n, k, s, t, d], layouts)
            }
        };
        let (mut p, mut r) = (0, 1);
        let past = (of_virtual.len() == 2).then(|| {
            let of_past = sizes(&of_virtual[0]);
            (r, p) = (of_past[0], of_past[2]);
            [0, 1].map(|which| {
                let mut layout = HeadLayout::add(&of_virtual[which], &mut tensors);
                if r == 1 {
                    layout.batch = 0;
                }
                layout
            })
        });
        let is = |tensor: &FlexTensor, first: [usize; 2], rest: [usize; 3]| {
            let of = sizes(tensor);
            assert!(first.contains(&of[0]) && of[1..] == rest, "sizes in attention: {of:?}");
        };
        if kernel.joined.is_none() {
            own[1..].iter().for_each(|own| is(own, [b, b], [k, t, d]));
        }
        of_virtual.iter().for_each(|past| is(past, [r, r], [k, p, d]));
        let hidden = kernel.hidden.as_ref().map(|hidden| {
            let shape = sizes(hidden);
            is(hidden, [1, b], [1, if shape[2] == 1 { 1 } else { s }, p + t]);
            Added::new(hidden.bytes(), &shape)
        });
        let bias = kernel.bias.as_ref().map(|bias| {
            is(bias, [1, b], [n, s, p + t]);
            Added::new(floats(bias), &sizes(bias))
        });
        let own = [key, value];
        let reaches = Vec::new();
        let mut plan = Self { b, n, k, s, t, d, p, r, query, own, past, hidden, bias, reaches };
        if let Some(Added { batch, .. }) = plan.hidden {
            let rows = if batch == 0 { 1 } else { b };
            let blocks =
                (0..rows).flat_map(|row| (0..plan.blocks()).map(move |block| (row, block)));
            plan.reaches = blocks.map(|(row, block)| plan.scan(row, plan.queries(block))).collect();
        }
        (plan, tensors)
    }

    /// How many blocks of queries there are.
    pub fn blocks(&self) -> usize {
        self.s.div_ceil(QUERIES)
    }

    /// The queries of a block.
    pub fn queries(&self, block: usize) -> Range<usize> {
        block * QUERIES..((block + 1) * QUERIES).min(self.s)
    }

    /// How many of the tokens' keys the queries of a block see. All, if one query sees nothing at all: its softmax
    /// spreads over all keys, as without kernels.
    pub fn reach(&self, batch: usize, block: usize) -> usize {
        match self.hidden {
            None => self.t,
            Some(Added { batch: 0, .. }) => self.reaches[block],
            Some(_) => self.reaches[batch * self.blocks() + block],
        }
    }

    fn scan(&self, batch: usize, queries: Range<usize>) -> usize {
        let mut reach = 0;
        for query in queries {
            let hidden = self.row(batch, 0, query, self.p + self.t).hidden.unwrap_or(&[]);
            match hidden.iter().rposition(|hidden| *hidden == 0) {
                Some(last) => reach = reach.max((last + 1).saturating_sub(self.p)),
                None => return self.t,
            }
        }
        reach
    }

    /// Keys (0) or values (1): those of virtual tokens, then the first `reach` of tokens. Their layout, how many they
    /// are, and their first column among the scores.
    pub fn sources(
        &self,
        which: usize,
        reach: usize,
    ) -> impl Iterator<Item = (HeadLayout, usize, usize)> {
        let past = self.past.map(|past| (past[which], self.p, 0));
        past.into_iter()
            .chain([(self.own[which], reach, self.p)])
            .filter(|(_, count, _)| *count > 0)
    }

    /// What is added to the scores of a query over the first `keys` of all keys.
    pub fn row(&self, batch: usize, head: usize, query: usize, keys: usize) -> Row<'a> {
        Row {
            hidden: self.hidden.map(|hidden| hidden.row(batch, head, query, keys)),
            bias: self.bias.map(|bias| bias.row(batch, head, query, keys)),
        }
    }
}
