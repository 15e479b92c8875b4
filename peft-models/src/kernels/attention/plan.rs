//! One pass of attention: its sizes, where its parts lie, and who sees whom.

use std::ops::Range;

use burn::backend::flex::FlexTensor;

use super::{
    super::tensors::{floats, in_order, sizes},
    Attention, QUERIES,
    place::Place,
};
use crate::blocks::Heads;

/// Sizes of a pass, and where its parts lie.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub b: usize,
    /// Heads of queries.
    pub n: usize,
    /// Heads of keys.
    pub k: usize,
    /// Queries.
    pub s: usize,
    /// Keys of tokens.
    pub t: usize,
    pub d: usize,
    /// Keys of virtual tokens, in `r` sets: one, or one for each row.
    pub p: usize,
    pub r: usize,
    pub query: Place,
    /// Keys and values of tokens.
    pub own: [Place; 2],
    /// Keys and values of virtual tokens.
    past: Option<[Place; 2]>,
    hidden: Option<Added<'a, u8>>,
    bias: Option<Added<'a, f32>>,
    /// See [`reach`](Self::reach): for each block of queries of each row of the mask.
    reaches: Vec<usize>,
}

/// A number for each query and key, `P + T` keys in order.
#[derive(Clone, Copy, Debug)]
struct Added<'a, T> {
    numbers: &'a [T],
    /// From one row of the batch, head or query to the next; 0 where they share.
    batch: usize,
    head: usize,
    query: usize,
}

impl<'a, T> Added<'a, T> {
    /// Of a tensor `[1 or B, 1 or N, 1 or S, columns]`.
    fn new(numbers: &'a [T], shape: &[usize]) -> Self {
        let stride = |axis: usize| {
            if shape[axis] == 1 { 0 } else { shape[axis + 1..].iter().product() }
        };
        Self { numbers, batch: stride(0), head: stride(1), query: stride(2) }
    }

    fn row(&self, batch: usize, head: usize, query: usize, keys: usize) -> &'a [T] {
        let start = batch * self.batch + head * self.head + query * self.query;
        &self.numbers[start..start + keys]
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
    /// The plan of a pass, and the tensors that its places are in.
    pub fn new(kernel: &'a Attention, inputs: &[FlexTensor]) -> (Self, Vec<FlexTensor>) {
        let (own, of_virtual) = inputs.split_at(if kernel.joined.is_some() { 1 } else { 3 });
        let mut tensors = Vec::new();
        let ([b, n, k, s, t, d], [query, key, value]) = match kernel.joined {
            Some(heads) => {
                let rows = in_order(&own[0]);
                let [b, s, width] = sizes(&rows)[..] else { unreachable!("three dimensions") };
                let Heads { query: n, key_value: k, size: d } = heads;
                assert_eq!(width, (n + 2 * k) * d, "width of joined rows");
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
                let [b, n, s, d] = sizes(&own[0])[..] else { unreachable!("four dimensions") };
                let [_, k, t, _] = sizes(&own[1])[..] else { unreachable!("four dimensions") };
                let places = [0, 1, 2].map(|which| Place::add(&own[which], &mut tensors));
                ([b, n, k, s, t, d], places)
            }
        };
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

    /// How many of the tokens' keys any query of a block sees; all where one sees nothing at all, as the plain
    /// softmax then spreads over all.
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

    /// Keys (0) or values (1): those of virtual tokens, then the first `reach` of tokens. Where they are, how many,
    /// and their first column among the scores.
    pub fn parts(&self, which: usize, reach: usize) -> impl Iterator<Item = (Place, usize, usize)> {
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
