//! The cores of the CPU as workers that compute slices of a batch side by side.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use burn::tensor::Device;
use peft_core::{Lanes, OneLane};
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::{super::parts::slices, entry::unavailable, product::ALIKE_FROM, switch::enabled};

/// The threads of rayon's pool that the caller belongs to: all cores, unless a program chose otherwise.
#[derive(Clone, Copy, Debug)]
struct Cores;

/// Pools of 1, 2, 4, ... threads, which are kept, since threads have buffers of their own. With N cores there are N / s
/// pools of s threads at most, N for each s.
static POOLS: Mutex<Vec<Vec<Arc<ThreadPool>>>> = Mutex::new(Vec::new());

/// Whether the system gave no more threads. Slices are computed one after another from then on.
static NO_MORE_THREADS: AtomicBool = AtomicBool::new(false);

/// `count` pools that share `threads` threads, or all but a few of them; `None` if the system gives no more.
fn pools(threads: usize, count: usize) -> Option<Vec<Arc<ThreadPool>>> {
    // At least 1, so that it has a logarithm.
    let exponent = (threads / count).max(1).ilog2() as usize;
    // A panic while it was locked leaves lists of pools that are all complete.
    let mut made = POOLS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if made.len() <= exponent {
        made.resize(exponent + 1, Vec::new());
    }
    while made[exponent].len() < count {
        match ThreadPoolBuilder::new().num_threads(1 << exponent).build() {
            Ok(pool) => made[exponent].push(Arc::new(pool)),
            Err(_) => {
                NO_MORE_THREADS.store(true, Ordering::Relaxed);
                return None;
            }
        }
    }
    Some(made[exponent][..count].to_vec())
}

impl Lanes for Cores {
    fn workers(&self) -> usize {
        if NO_MORE_THREADS.load(Ordering::Relaxed) { 1 } else { rayon::current_num_threads() }
    }

    fn slices(&self, positions: usize) -> usize {
        slices(positions)
    }

    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        let threads = rayon::current_num_threads();
        let at_a_time = count.min(threads);
        if at_a_time > 1
            && !NO_MORE_THREADS.load(Ordering::Relaxed)
            && let Some(pools) = pools(threads, at_a_time)
        {
            let next = AtomicUsize::new(0);
            return in_each(&pools, &|| {
                while let index = next.fetch_add(1, Ordering::Relaxed)
                    && index < count
                {
                    work(index);
                }
            });
        }
        (0..count).for_each(work);
    }

    fn alike_from(&self) -> Option<usize> {
        enabled().then_some(ALIKE_FROM)
    }
}

/// Runs `work` in each of the pools, and waits for all of them.
fn in_each(pools: &[Arc<ThreadPool>], work: &(dyn Fn() + Sync)) {
    if let Some((pool, others)) = pools.split_first() {
        pool.in_place_scope(|scope| {
            scope.spawn(|_| work());
            in_each(others, work);
        });
    }
}

/// The workers of a model on `device`.
pub(crate) fn lanes(device: &Device) -> &'static dyn Lanes {
    if unavailable(device).is_none() { &Cores } else { &OneLane }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn workers_are_shared_among_slices() {
        for (threads, count, each) in
            [(1, 1, 1), (1, 4, 1), (2, 2, 1), (5, 2, 2), (5, 5, 1), (7, 2, 2), (2, 3, 1), (2, 8, 1)]
        {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let calls = Mutex::new(Vec::new());
            pool.install(|| {
                Cores.run(count, &|index| calls.lock().unwrap().push((index, Cores.workers())));
            });
            let mut calls = calls.into_inner().unwrap();
            calls.sort_unstable();
            assert_eq!(calls, (0..count).map(|index| (index, each)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_number_of_slices_depends_on_the_batch_alone() {
        for threads in [1, 2, 5] {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let of = |positions| pool.install(|| Cores.slices(positions));
            assert_eq!(
                [0, 127, 128, 1023, 1024, 2047, 2048, 5000].map(of),
                [1, 1, 2, 2, 4, 4, 8, 16]
            );
        }
    }

    #[test]
    fn pools_are_few() {
        for count in 2..=16 {
            assert_eq!(pools(16, count).unwrap().len(), count);
        }
        let made = POOLS.lock().unwrap();
        // Of 1, 2, 4 and 8 threads; other tests ask for at most 16 as well.
        assert!(made.iter().enumerate().all(|(exponent, pools)| pools.len() << exponent <= 16));
    }

    #[test]
    fn slices_run_at_the_same_time_and_their_panics_reach_the_caller() {
        let pool = ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        // Would wait for ever if one slice ended before the next began.
        let barrier = std::sync::Barrier::new(3);
        pool.install(|| {
            Cores.run(3, &|_| {
                barrier.wait();
            })
        });
        let panics = |index| assert_ne!(index, 1);
        let run = AssertUnwindSafe(|| pool.install(|| Cores.run(3, &panics)));
        assert!(catch_unwind(run).is_err());
        pool.install(|| {
            Cores.run(3, &|_| {
                barrier.wait();
            })
        });
    }
}
