//! The gradients of queries, keys and values.

use std::ops::Range;

use burn::backend::flex::FlexTensor;
use rayon::prelude::*;

use super::{
    super::{
        destination::Destination,
        parallel::SharedBuffer,
        product::product_by_tiles,
        tensors::{floats, in_order, memory, sizes, tensor},
        view::MatrixView,
    },
    frozen_inputs::Attention,
    layout::HeadLayout,
    plan::{Block, Plan},
    softmax,
};

/// Tasks that a pass has at least, if there are rows enough: they keep the cores of a slice busy. As many on every
/// machine, so that sums are the same.
const TASKS: usize = 16;

/// See the [module](super). `saved` is what the forward pass kept.
pub(super) fn backward(
    kernel: &Attention,
    saved: &[FlexTensor],
    gradient: &FlexTensor,
    wanted: &[bool],
) -> Vec<Option<FlexTensor>> {
    let Some((moments, inputs)) = saved.split_last() else { return Vec::new() };
    let (plan, tensors) = Plan::new(kernel, inputs);
    let data: Vec<&[f32]> = tensors.iter().map(memory).collect();
    let gradient = in_order(gradient);
    let Plan { b, k, p, r, d, .. } = plan;
    let num_own = if kernel.joined.is_some() { 1 } else { 3 };
    let of_own = wanted[..num_own].contains(&true);
    let of_past = wanted[num_own..].contains(&true);

    let mut own: Vec<Vec<f32>> = inputs[..num_own]
        .iter()
        .map(|input| vec![0.0; if of_own { sizes(input).iter().product() } else { 0 }])
        .collect();
    let layouts = match kernel.joined {
        Some(_) => [plan.query, plan.own[0], plan.own[1]],
        None => [(plan.n, plan.s), (k, plan.t), (k, plan.t)]
            .map(|(heads, rows)| HeadLayout::dense(heads, rows, d)),
    };
    // Several rows of the batch add to the same virtual tokens: into partial sums, which are added up at the end, always
    // in the same order.
    let parts = if r == 1 { TASKS.div_ceil(k).min(b) } else { b };
    let size = k * p * d;
    let mut past = [(); 2].map(|()| vec![0.0; if of_past { parts * size } else { 0 }]);
    let pass = Pass {
        scale: kernel.scale,
        plan: &plan,
        data: &data,
        gradient: floats(&gradient),
        moments: floats(moments),
        own: of_own.then(|| {
            let targets: Vec<SharedBuffer> =
                own.iter_mut().map(|own| SharedBuffer::new(own)).collect();
            let of = |which: usize| targets[if num_own == 1 { 0 } else { which }];
            [0, 1, 2].map(|which| (of(which), layouts[which]))
        }),
        past: of_past.then(|| past.each_mut().map(|past| SharedBuffer::new(past))),
    };
    (0..parts * k).into_par_iter().for_each_init(Scratch::default, |scratch, task| {
        let (part, head) = (task / k, task % k);
        for batch in b * part / parts..b * (part + 1) / parts {
            pass.head(batch, head, part, scratch);
        }
    });
    let own = own.into_iter().zip(inputs).zip(wanted);
    let own = own.map(|((own, input), wanted)| wanted.then(|| tensor(own, sizes(input))));
    let past = past.into_iter().zip(&inputs[num_own..]).zip(&wanted[num_own..]);
    let past = past.map(|((mut past, input), wanted)| {
        wanted.then(|| {
            if r == 1 && parts > 1 {
                add_up(&mut past, size);
            }
            tensor(past, sizes(input))
        })
    });
    own.chain(past).collect()
}

/// Adds up the partial sums of `size` elements each in a buffer, which then is as long as one of them.
fn add_up(buffer: &mut Vec<f32>, size: usize) {
    let (sum, others) = buffer.split_at_mut(size);
    for other in others.chunks(size) {
        sum.iter_mut().zip(other).for_each(|(sum, other)| *sum += other);
    }
    buffer.truncate(size);
}

/// Scratch memory for one block of queries.
#[derive(Default)]
struct Scratch {
    weights: Vec<f32>,
    products: Vec<f32>,
}

struct Pass<'a> {
    scale: f32,
    plan: &'a Plan<'a>,
    data: &'a [&'a [f32]],
    /// `[B, S, N * D]`.
    gradient: &'a [f32],
    /// The moments of the softmaxes, `[B, N, S, 2]`.
    moments: &'a [f32],
    /// Where the gradients of queries, keys and values go.
    own: Option<[(SharedBuffer, HeadLayout); 3]>,
    /// Where those of virtual keys and values go: `[parts, K, P, D]` each.
    past: Option<[SharedBuffer; 2]>,
}

impl Pass<'_> {
    /// One key head with all the queries that read it.
    fn head(&self, batch: usize, head: usize, part: usize, scratch: &mut Scratch) {
        let group = self.plan.n / self.plan.k;
        for query_head in head * group..(head + 1) * group {
            for block in self.plan.blocks(batch) {
                self.block([batch, query_head, head, part], block, scratch);
            }
        }
    }

    fn block(
        &self,
        [batch, query_head, head, part]: [usize; 4],
        block: &Block,
        scratch: &mut Scratch,
    ) {
        let (plan, Block { queries, keys }) = (self.plan, block);
        let (rows, d, p) = (queries.len(), plan.d, plan.p);
        let columns = p + keys.len();
        let Scratch { weights, products } = scratch;
        // Every element is written before it is read.
        let [weights, products] = [weights, products].map(|buffer| {
            if buffer.len() < rows * columns {
                buffer.resize(rows * columns, 0.0);
            }
            &mut buffer[..rows * columns]
        });
        let matrix = |layout: HeadLayout, head: usize, rows: Range<usize>| {
            layout.matrix(self.data[layout.tensor], [batch, head], rows, d)
        };
        let query = matrix(plan.query, query_head, queries.clone());
        let by_row = HeadLayout::by_row(plan.n, plan.s, d);
        let gradient = by_row.matrix(self.gradient, [batch, query_head], queries.clone(), d);

        for (left, which, into) in [(query, 0, &mut *weights), (gradient, 1, &mut *products)] {
            for (layout, keys, column) in plan.sources(which, keys) {
                let right = matrix(layout, head, keys);
                let to = Destination::of(&mut into[column..], columns, false);
                // SAFETY: nobody else has the buffer.
                unsafe { plan.scores(to, left, right) };
            }
        }
        self.softmaxes([batch, query_head], block, columns, weights, products);

        let (weights, ds) = ((&weights[..], rows, columns), (&products[..], rows, columns));
        if let Some([(target, layout), ..]) = &self.own {
            let start = layout.at(batch, query_head, queries.start);
            let to = target.destination(start, layout.span(rows, d), layout.row, true);
            for (from, keys, column) in plan.sources(0, keys) {
                let ds = columns_of(ds, column, keys.len());
                let key = matrix(from, head, keys);
                // SAFETY: this head of this row of the batch belongs to this task alone.
                unsafe { product_by_tiles(to, ds, key) };
            }
        }
        // `dsᵀ q` for keys, `pᵀ do` for values.
        for (which, buffer, right) in [(0, ds, query), (1, weights, gradient)] {
            if let Some(past) = self.past.as_ref().filter(|_| p > 0) {
                let start = (part * plan.k + head) * p * d;
                let to = past[which].destination(start, p * d, d, true);
                let left = columns_of(buffer, 0, p).transposed();
                // SAFETY: this head of this partial sum belongs to this task alone.
                unsafe { product_by_tiles(to, left, right) };
            }
            if let Some(own) = self.own.as_ref().filter(|_| !keys.is_empty()) {
                let (target, layout) = own[which + 1];
                let start = layout.at(batch, head, keys.start);
                let to = target.destination(start, layout.span(keys.len(), d), layout.row, true);
                let left = columns_of(buffer, p, keys.len()).transposed();
                // SAFETY: this head of this row of the batch belongs to this task alone.
                unsafe { product_by_tiles(to, left, right) };
            }
        }
    }

    /// Turns the products `q kᵀ` and `do vᵀ` of a block of queries, row by row, into the weights p and the gradients
    /// ds.
    fn softmaxes(
        &self,
        [batch, head]: [usize; 2],
        Block { queries, keys }: &Block,
        columns: usize,
        weights: &mut [f32],
        products: &mut [f32],
    ) {
        let plan = self.plan;
        let rows = weights.chunks_mut(columns.max(1)).zip(products.chunks_mut(columns.max(1)));
        for (query, (weights, products)) in queries.clone().zip(rows) {
            let added = plan.row([batch, head, query], keys);
            let at = 2 * ((batch * plan.n + head) * plan.s + query);
            softmax::weights_again(weights, self.scale, added, &self.moments[at..at + 2]);
            if added.hidden.is_some_and(|hidden| !hidden.iter().any(|part| part.contains(&0))) {
                // It sees nothing: all keys have the same weight, whatever the query is.
                products.fill(0.0);
                continue;
            }
            softmax::gradient(weights, products, self.scale);
        }
    }
}

/// Some columns of a buffer of `rows` rows, `width` elements each.
fn columns_of(
    (buffer, rows, width): (&[f32], usize, usize),
    column: usize,
    count: usize,
) -> MatrixView<'_> {
    MatrixView::from(buffer, column, [rows, count], [width, 1])
}
