//! The forward pass.

use std::{mem::MaybeUninit, ops::Range};

use burn::backend::flex::FlexTensor;
use rayon::prelude::*;

use super::{
    super::{
        destination::Destination,
        parallel::SharedBuffer,
        product::product_by_tiles,
        tensors::{memory, tensor},
        unwritten::Unwritten,
        view::MatrixView,
    },
    frozen_inputs::Attention,
    layout::HeadLayout,
    plan::{Block, Plan},
    softmax,
};

/// See the [module](super). Keeps the inputs, and the largest score and inverse denominator of each softmax,
/// `[B, N, S, 2]`.
pub(super) fn forward(
    kernel: &Attention,
    inputs: &[FlexTensor],
    keep: bool,
) -> (FlexTensor, Vec<FlexTensor>) {
    let (plan, tensors) = Plan::new(kernel, inputs);
    let data: Vec<&[f32]> = tensors.iter().map(memory).collect();
    let Plan { b, n, s, d, .. } = plan;
    let mut out = Unwritten::new(b * s * n * d);
    let mut moments = vec![0.0; b * n * s * 2];
    let targets = (SharedBuffer::unwritten(out.elements()), SharedBuffer::new(&mut moments));
    let of_batch = |batch| {
        let blocks = plan.blocks(batch).iter();
        (0..n).flat_map(move |head| blocks.clone().map(move |block| (batch, head, block)))
    };
    let tasks: Vec<(usize, usize, &Block)> = (0..b).flat_map(of_batch).collect();
    tasks.into_par_iter().for_each_init(Vec::new, |products, (batch, head, block)| {
        let Block { queries, keys } = block;
        let pass =
            Pass { scale: kernel.scale, plan: &plan, data: &data, targets, batch, head, keys };
        pass.block(queries.clone(), products);
    });
    // SAFETY: the blocks of each head wrote theirs, which together are all queries.
    let out = tensor(unsafe { out.written() }, [b, s, n * d]);
    if !keep {
        return (out, Vec::new());
    }
    let mut saved = inputs.to_vec();
    saved.push(tensor(moments, [b, n, s, 2]));
    (out, saved)
}

/// A block of queries of one head.
struct Pass<'a> {
    scale: f32,
    plan: &'a Plan<'a>,
    data: &'a [&'a [f32]],
    /// The output `[B, S, N * D]`, and the moments of the softmaxes `[B, N, S, 2]`.
    targets: (SharedBuffer, SharedBuffer),
    batch: usize,
    head: usize,
    /// The tokens' keys that the queries see.
    keys: &'a Range<usize>,
}

impl Pass<'_> {
    /// The key head that this query head reads.
    fn key_head(&self) -> usize {
        self.head / (self.plan.n / self.plan.k)
    }

    fn block(&self, queries: Range<usize>, products: &mut Vec<f32>) {
        let Self { plan, data, batch, head, keys, .. } = *self;
        let (rows, d, columns) = (queries.len(), plan.d, plan.p + keys.len());
        // Every element is written before it is read.
        if products.len() < rows * columns {
            products.resize(rows * columns, 0.0);
        }
        let products = &mut products[..rows * columns];
        let of_query = data[plan.query.tensor];
        let query = plan.query.matrix(of_query, [batch, head], queries.clone(), d);
        let at = [batch, self.key_head()];
        for (layout, keys, column) in plan.sources(0, keys) {
            let key = layout.matrix(data[layout.tensor], at, keys, d);
            let to = Destination::of(&mut products[column..], columns, false);
            // SAFETY: nobody else has the products.
            unsafe { plan.scores(to, query, key) };
        }
        let output = HeadLayout::by_row(plan.n, plan.s, d);
        for (query, products) in queries.clone().zip(products.chunks_mut(columns.max(1))) {
            let added = plan.row([batch, head, query], keys);
            self.keep(query, softmax::weights(products, self.scale, added));
        }
        let start = output.at(batch, head, queries.start);
        for (index, (layout, keys, column)) in plan.sources(1, keys).enumerate() {
            let weights = MatrixView::by_rows(&products[column..], rows, keys.len(), columns);
            let value = layout.matrix(data[layout.tensor], at, keys, d);
            let span = output.span(rows, d);
            let to = self.targets.0.destination(start, span, output.row, index > 0);
            // SAFETY: these queries of this head belong to this task alone, and what the first source has written is
            // added to from the second on.
            unsafe { product_by_tiles(to, weights, value) };
        }
        if columns == 0 {
            // Nothing to see, and nothing written.
            for query in queries {
                let at = output.at(batch, head, query);
                // SAFETY: as above.
                unsafe { self.targets.0.unwritten_slice(at..at + d) }.fill(MaybeUninit::new(0.0));
            }
        }
    }

    fn keep(&self, query: usize, moments: [f32; 2]) {
        let at = 2 * ((self.batch * self.plan.n + self.head) * self.plan.s + query);
        // SAFETY: this query of this head belongs to this task alone.
        unsafe { self.targets.1.slice(at..at + 2) }.copy_from_slice(&moments);
    }
}
