//! What queries read.

use burn::backend::flex::FlexTensor;
use rayon::prelude::*;

use super::{
    super::{
        parallel::Target,
        product::product,
        simd::{add_scaled, dots},
        tensors::{memory, tensor},
    },
    Attention, Plan, QUERIES,
    place::Place,
    softmax,
};

/// Up to so many queries are read key by key; packing keys into a product would cost more.
const FEW: usize = 4;

/// See the [module](super). What is kept: the inputs, and largest scores and inverse denominators `[B, N, S, 2]`.
pub(super) fn forward(
    kernel: &Attention,
    inputs: &[FlexTensor],
    keep: bool,
) -> (FlexTensor, Vec<FlexTensor>) {
    let (plan, tensors) = kernel.plan(inputs);
    let data: Vec<&[f32]> = tensors.iter().map(memory).collect();
    let Plan { b, n, s, d, .. } = plan;
    let mut out = vec![0.0; b * s * n * d];
    let mut moments = vec![0.0; b * n * s * 2];
    let targets = (Target::new(&mut out), Target::new(&mut moments));
    let blocks = s.div_ceil(QUERIES);
    (0..b * n * blocks).into_par_iter().for_each_init(Vec::new, |products, task| {
        let (batch, head, block) = (task / (n * blocks), task / blocks % n, task % blocks);
        let queries = block * QUERIES..((block + 1) * QUERIES).min(s);
        let pass = Block { kernel, plan: &plan, data: &data, targets, batch, head };
        if queries.len() <= FEW {
            pass.few(queries, products)
        } else {
            pass.many(queries, products)
        }
    });
    let out = tensor(out, [b, s, n * d]);
    if !keep {
        return (out, Vec::new());
    }
    let mut saved = inputs.to_vec();
    saved.push(tensor(moments, [b, n, s, 2]));
    (out, saved)
}

/// A block of queries of one head.
struct Block<'a> {
    kernel: &'a Attention,
    plan: &'a Plan,
    data: &'a [&'a [f32]],
    /// Output `[B, S, N * D]`, and what softmaxes gave, `[B, N, S, 2]`.
    targets: (Target, Target),
    batch: usize,
    head: usize,
}

impl Block<'_> {
    /// Keys or values of virtual tokens and of tokens, with how many there are of each.
    fn parts(&self, past: usize, own: Place, reach: usize) -> [(Place, usize); 2] {
        let Plan { past: places, p, .. } = self.plan;
        [(places.map_or(own, |places| places[past]), *p), (own, reach)]
    }

    /// The head of the keys that this head's queries read.
    fn key_head(&self) -> usize {
        self.head / (self.plan.n / self.plan.k)
    }

    fn many(&self, queries: std::ops::Range<usize>, products: &mut Vec<f32>) {
        let plan = self.plan;
        let reach = self.kernel.reach(plan, self.batch, queries.clone());
        let columns = plan.p + reach;
        let (rows, d) = (queries.len(), plan.d);
        products.clear();
        products.resize(rows * columns, 0.0);
        let query = plan.query.matrix(
            self.data[plan.query.tensor],
            [self.batch, self.head],
            queries.clone(),
            d,
        );
        let at = [self.batch, self.key_head()];
        let mut column = 0;
        for (place, count) in self.parts(0, plan.key, reach) {
            let key = place.matrix(self.data[place.tensor], at, 0..count, d);
            let to = products[column.min(rows * columns)..].as_mut_ptr();
            // SAFETY: the columns from `column` on, `count` of them, are inside the products.
            unsafe { product(to, columns, query, key.transposed(), false) };
            column += count;
        }
        let output = Place::by_row(plan.n, plan.s, d);
        for (row, products) in products.chunks_mut(columns.max(1)).enumerate() {
            let query = queries.start + row;
            let added = self.kernel.row(plan, self.batch, self.head, query).first(columns);
            let moments = softmax::weights(products, self.kernel.scale, added);
            self.keep(query, moments);
        }
        let start = output.at(self.batch, self.head, queries.start);
        let to = self.targets.0.at(start, output.span(rows, d));
        let mut column = 0;
        for (place, count) in self.parts(1, plan.value, reach) {
            let value = place.matrix(self.data[place.tensor], at, 0..count, d);
            let weights = super::super::product::Matrix::rows(
                &products[column.min(products.len())..],
                rows,
                count,
                columns,
            );
            if count > 0 {
                // SAFETY: these queries of this head belong to this task alone.
                unsafe { product(to, output.row, weights, value, column > 0) };
            }
            column += count;
        }
    }

    fn few(&self, queries: std::ops::Range<usize>, products: &mut Vec<f32>) {
        let plan = self.plan;
        let reach = self.kernel.reach(plan, self.batch, queries.clone());
        let (columns, d) = (plan.p + reach, plan.d);
        products.clear();
        products.resize(columns, 0.0);
        let output = Place::by_row(plan.n, plan.s, d);
        for at in queries {
            let start = plan.query.at(self.batch, self.head, at);
            let query = &self.data[plan.query.tensor][start..start + d];
            let mut column = 0;
            for (place, count) in self.parts(0, plan.key, reach) {
                let keys = &self.data[place.tensor][place.at(self.batch, self.key_head(), 0)..];
                dots(query, keys, place.row, &mut products[column..column + count]);
                column += count;
            }
            let added = self.kernel.row(plan, self.batch, self.head, at).first(columns);
            let moments = softmax::weights(products, self.kernel.scale, added);
            self.keep(at, moments);
            let start = output.at(self.batch, self.head, at);
            // SAFETY: this query of this head belongs to this task alone.
            let out = unsafe { self.targets.0.slice(start..start + d) };
            let mut column = 0;
            for (place, count) in self.parts(1, plan.value, reach) {
                let values = &self.data[place.tensor][place.at(self.batch, self.key_head(), 0)..];
                for (index, weight) in products[column..column + count].iter().enumerate() {
                    let value = &values[index * place.row..index * place.row + d];
                    add_scaled(out, value, *weight);
                }
                column += count;
            }
        }
    }

    fn keep(&self, query: usize, moments: [f32; 2]) {
        let at = 2 * ((self.batch * self.plan.n + self.head) * self.plan.s + query);
        // SAFETY: this query of this head belongs to this task alone.
        unsafe { self.targets.1.slice(at..at + 2) }.copy_from_slice(&moments);
    }
}
