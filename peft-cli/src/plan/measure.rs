//! What products and memory of this machine do in a second, measured for about one.
//!
//! The products are those of the program, with a matrix as wide as the model's and as many rows as a slice of the batch
//! has, forward and backward in turn, on as many threads side by side as slices are computed. Matrices are read from
//! memory, not from a cache, as in a model with many of them. Memory is copied from one place to another.

use std::{
    hint::black_box,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use burn::tensor::{Device, Tensor, TensorData};
use peft_models::{Compute, bench::Product, cost::Step};
use rayon::ThreadPoolBuilder;

/// How long products and copies are repeated.
const PRODUCTS: Duration = Duration::from_millis(600);
const COPIES: Duration = Duration::from_millis(300);
/// A matrix is copied until its copies fill this many bytes: more than a cache holds.
const COLD: usize = 128 << 20;
/// The widest matrix, and the most rows, that are worth the wait.
const WIDEST: usize = 4096;
const MOST_ROWS: u64 = 512;
/// Bytes that the threads copy together, and at least each of them.
const COPIED: usize = 256 << 20;
const COPIED_BY_EACH: usize = 16 << 20;

/// What a machine did in a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Operations of products.
    pub operations: f64,
    /// Bytes that were read or written.
    pub bytes: f64,
    /// The threads.
    pub threads: usize,
}

impl Measured {
    /// Measures products of the step's size on so many threads.
    pub fn of(step: &Step<'_>, compute: Compute, threads: usize, device: &Device) -> Self {
        let slices = step.slices();
        let positions = step.batch.rows * (step.batch.tokens + step.batch.decoder_tokens);
        let rows = (positions / slices).clamp(1, MOST_ROWS) as usize;
        let spec = &step.outline.spec;
        let size = [spec.hidden_size, step.outline.widest()].map(|size| size.min(WIDEST));
        let side_by_side = threads.min(slices as usize).max(1);
        let operations = products(rows, size, compute, [side_by_side, threads], device);
        Self { operations, bytes: copies(threads), threads }
    }
}

/// Operations a second of products of `rows` rows, on some pools of threads side by side.
fn products(
    rows: usize,
    [h, inner]: [usize; 2],
    compute: Compute,
    [side_by_side, threads]: [usize; 2],
    device: &Device,
) -> f64 {
    let count = COLD.div_ceil(4 * h * inner * side_by_side).max(1);
    // As in the program: pools of 1, 2, 4, ... threads.
    let each = 1 << (threads / side_by_side).max(1).ilog2();
    let work = |barrier: &Barrier| {
        let weights: Vec<[Product; 2]> = (0..count)
            .map(|_| {
                let weight = numbers([inner, h], device);
                let forward = Product::new(&weight.clone().transpose(), compute);
                [forward, Product::new(&weight, compute)]
            })
            .collect();
        let (x, dy) = (numbers([rows, h], device), numbers([rows, inner], device));
        let pass = |[forward, backward]: &[Product; 2]| {
            black_box(forward.of(black_box(x.clone())));
            black_box(backward.of(black_box(dy.clone())));
        };
        // What is done once: copies in bf16, buffers of threads.
        weights.iter().for_each(pass);
        barrier.wait();
        let (start, mut passes) = (Instant::now(), 0usize);
        while start.elapsed() < PRODUCTS {
            pass(&weights[passes % weights.len()]);
            passes += 1;
        }
        let operations = 4.0 * rows as f64 * h as f64 * inner as f64;
        operations * passes as f64 / start.elapsed().as_secs_f64()
    };
    together(side_by_side, |barrier| {
        match ThreadPoolBuilder::new().num_threads(each).build() {
            Ok(pool) => pool.install(|| work(barrier)),
            // No more threads are given: what the pool of all computes.
            Err(_) => work(barrier),
        }
    })
}

/// Bytes a second that all threads copy, read and written.
fn copies(threads: usize) -> f64 {
    let part = (COPIED / threads).max(COPIED_BY_EACH) / size_of::<u64>();
    together(threads, |barrier| {
        let from = vec![1u64; part];
        let mut to = vec![0u64; part];
        to.copy_from_slice(&from);
        barrier.wait();
        let (start, mut passes) = (Instant::now(), 0usize);
        while start.elapsed() < COPIES || passes == 0 {
            to.copy_from_slice(black_box(&from));
            black_box(&mut to);
            passes += 1;
        }
        (2 * size_of_val(&from[..]) * passes) as f64 / start.elapsed().as_secs_f64()
    })
}

/// The sum of what threads return that work at the same time.
fn together(threads: usize, work: impl Fn(&Barrier) -> f64 + Sync) -> f64 {
    let barrier = Barrier::new(threads);
    let (barrier, work) = (&barrier, &work);
    thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(move || work(barrier))).collect();
        // A thread of this program panics nowhere.
        all.into_iter().filter_map(|one| one.join().ok()).sum()
    })
}

/// Values between -1/2 and 1/2, the same ones every time.
fn numbers(shape: [usize; 2], device: &Device) -> Tensor<2> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    let values: Vec<f32> = (0..shape[0] * shape[1]).map(|_| next()).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

#[cfg(test)]
#[cfg(feature = "cpu")]
mod tests {
    use super::*;

    #[test]
    fn a_machine_does_something_in_a_second() {
        let operations = products(8, [64, 256], Compute::F32, [1, 1], &Device::flex());
        // The slowest machine on which tests run in time makes a hundred million.
        assert!(operations.is_finite() && operations > 1e8, "{operations}");
        let bytes = copies(1);
        assert!(bytes.is_finite() && bytes > 1e8, "{bytes}");
    }
}
