//! One pass of attention: its sizes, how its tensors lie in memory, and which query sees which key.

use std::ops::Range;

use burn::backend::flex::FlexTensor;

use super::{
    super::{
        super::{Heads, parts::QUERIES},
        destination::Destination,
        product::{product, product_by_tiles},
        tensors::{floats, in_order, sizes},
        view::MatrixView,
    },
    frozen_inputs::Attention,
    layout::HeadLayout,
};

/// A block of so many queries ends where the next query sees none of its keys.
const ENOUGH: usize = 16;

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
    /// The blocks of queries of each row of the mask, or one list for all rows.
    blocks: Vec<Vec<Block>>,
}

/// Queries whose scores are in memory together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub queries: Range<usize>,
    /// From the first to the last of the tokens' keys that they see. All, if they see nothing at all: their softmax spreads
    /// over all keys, as without kernels.
    pub keys: Range<usize>,
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

    /// Those of one query, over the first `p` keys, and those `keys` of the others.
    fn row(&self, [batch, head, query]: [usize; 3], p: usize, keys: &Range<usize>) -> [&'a [T]; 2] {
        let row = &self.values[batch * self.batch + head * self.head + query * self.query..];
        [&row[..p], &row[p..][keys.clone()]]
    }
}

/// What is added to the scores of one query: over virtual tokens, then over tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    /// 1 where a key is hidden.
    pub hidden: Option<[&'a [u8]; 2]>,
    pub bias: Option<[&'a [f32]; 2]>,
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
        let blocks = Vec::new();
        let mut plan = Self { b, n, k, s, t, d, p, r, query, own, past, hidden, bias, blocks };
        let rows = if plan.hidden.is_some_and(|hidden| hidden.batch > 0) { b } else { 1 };
        plan.blocks = (0..rows).map(|row| plan.divide(row)).collect();
        (plan, tensors)
    }

    /// The product of queries and keys. A query alone in its row, as in generation, is made of dot products, one among others
    /// never: the last block of a row may have one query or more, as far as the row is padded.
    ///
    /// # Safety
    ///
    /// As [`product`].
    pub unsafe fn scores(&self, to: Destination, queries: MatrixView<'_>, keys: MatrixView<'_>) {
        // SAFETY: the caller's promise.
        unsafe {
            if self.s == 1 {
                product(to, queries, keys.transposed());
            } else {
                product_by_tiles(to, queries, keys.transposed());
            }
        }
    }

    /// The blocks of queries of a row of the batch.
    pub fn blocks(&self, batch: usize) -> &[Block] {
        &self.blocks[if self.blocks.len() == 1 { 0 } else { batch }]
    }

    /// Divides the queries of a row into blocks; those of examples that share a packed row get blocks of their own, and so
    /// do those that see nothing: the keys of a block change the order of additions, and padding should change no bit.
    fn divide(&self, row: usize) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::with_capacity(self.s.div_ceil(QUERIES));
        let mut last_sees = true;
        for query in 0..self.s {
            let seen = self.seen_by(row, query);
            let as_before = seen.is_some() == last_sees;
            last_sees = seen.is_some();
            let keys = seen.unwrap_or(0..self.t);
            match blocks.last_mut() {
                Some(Block { queries, keys: all })
                    if as_before
                        && (queries.len() < ENOUGH
                            || queries.len() < QUERIES && overlap(all, &keys)) =>
                {
                    queries.end = query + 1;
                    *all = covering(all, &keys);
                }
                _ => blocks.push(Block { queries: query..query + 1, keys }),
            }
        }
        blocks
    }

    /// From the first to the last of the tokens' keys that a query sees; `None` if it sees nothing at all, no virtual
    /// tokens either.
    fn seen_by(&self, row: usize, query: usize) -> Option<Range<usize>> {
        let all = 0..self.t;
        let Some([of_virtual, of_tokens]) = self.row([row, 0, query], &all).hidden else {
            return Some(all);
        };
        match (first_seen(of_tokens), last_seen(of_tokens)) {
            (Some(first), Some(last)) => Some(first..last + 1),
            _ => of_virtual.contains(&0).then_some(0..0),
        }
    }

    /// Keys (0) or values (1): those of virtual tokens, then these `keys` of tokens. Their layout, which they are, and
    /// their first column among the scores.
    pub fn sources(
        &self,
        which: usize,
        keys: &Range<usize>,
    ) -> impl Iterator<Item = (HeadLayout, Range<usize>, usize)> {
        let past = self.past.map(|past| (past[which], 0..self.p, 0));
        past.into_iter()
            .chain([(self.own[which], keys.clone(), self.p)])
            .filter(|(_, keys, _)| !keys.is_empty())
    }

    /// What is added to the scores of a query, given as row of the batch, head and query, over virtual tokens and these
    /// `keys` of tokens.
    pub fn row(&self, query: [usize; 3], keys: &Range<usize>) -> Row<'a> {
        Row {
            hidden: self.hidden.map(|hidden| hidden.row(query, self.p, keys)),
            bias: self.bias.map(|bias| bias.row(query, self.p, keys)),
        }
    }
}

/// Keys that are looked at together: most are hidden from a query of a long packed row.
const KEYS: usize = 256;

/// Without a branch for each key, so that the compiler can vectorise it.
fn any_seen(hidden: &[u8]) -> bool {
    hidden.iter().fold(1, |all, hidden| all & hidden) == 0
}

fn first_seen(hidden: &[u8]) -> Option<usize> {
    let skipped = hidden.chunks(KEYS).position(any_seen)? * KEYS;
    let found = hidden[skipped..].iter().position(|hidden| *hidden == 0)?;
    Some(skipped + found)
}

fn last_seen(hidden: &[u8]) -> Option<usize> {
    let skipped = hidden.rchunks(KEYS).position(any_seen)? * KEYS;
    hidden[..hidden.len() - skipped].iter().rposition(|hidden| *hidden == 0)
}

/// Whether both have a key, or neither has any.
fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end || a.is_empty() && b.is_empty()
}

/// From the first to the last of both.
fn covering(a: &Range<usize>, b: &Range<usize>) -> Range<usize> {
    match (a.is_empty(), b.is_empty()) {
        (true, _) => b.clone(),
        (_, true) => a.clone(),
        _ => a.start.min(b.start)..a.end.max(b.end),
    }
}
