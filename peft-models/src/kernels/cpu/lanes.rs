//! The cores of the CPU as workers that compute slices of a batch side by side.

use std::sync::{Arc, Mutex};

use burn::tensor::Device;
use peft_core::{Lanes, OneLane};
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::{entry::unavailable, parallel::part};

/// The threads of rayon's pool that the caller belongs to: all cores, unless a program chose otherwise.
#[derive(Clone, Copy, Debug)]
struct Cores;

/// Pools that share a number of threads.
struct Pools {
    threads: usize,
    pools: Vec<ThreadPool>,
}

/// Those made so far. Threads are kept, since they have buffers of their own.
static MADE: Mutex<Vec<Arc<Pools>>> = Mutex::new(Vec::new());

impl Pools {
    /// `count` pools that share `threads` threads; `None` if the system gives no more threads.
    fn of(threads: usize, count: usize) -> Option<Arc<Self>> {
        // A panic while it was locked leaves a list of pools that are all complete.
        let mut made = MADE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let known =
            made.iter().find(|pools| pools.threads == threads && pools.pools.len() == count);
        if let Some(known) = known {
            return Some(known.clone());
        }
        let pool = |index| {
            let share = part(threads, count, index).len().max(1);
            ThreadPoolBuilder::new().num_threads(share).build()
        };
        let pools = (0..count).map(pool).collect::<Result<Vec<_>, _>>().ok()?;
        let pools = Arc::new(Self { threads, pools });
        made.push(pools.clone());
        Some(pools)
    }
}

impl Lanes for Cores {
    fn workers(&self) -> usize {
        rayon::current_num_threads()
    }

    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        let Some(pools) = Pools::of(self.workers(), count).filter(|_| count > 1) else {
            return (0..count).for_each(work);
        };
        start(&pools.pools, 0, work);
    }
}

/// Runs `work` in each of the pools, the first with `index`, and waits for all of them.
fn start(pools: &[ThreadPool], index: usize, work: &(dyn Fn(usize) + Sync)) {
    if let Some((pool, others)) = pools.split_first() {
        pool.in_place_scope(|scope| {
            scope.spawn(|_| work(index));
            start(others, index + 1, work);
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
    use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        sync::atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    #[test]
    fn workers_are_shared_among_slices() {
        for (threads, count) in [(1, 1), (2, 2), (5, 2), (5, 5), (2, 3)] {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (calls, shares) = (AtomicUsize::new(0), AtomicUsize::new(0));
            pool.install(|| {
                Cores.run(count, &|index| {
                    calls.fetch_add(1 << (8 * index), Ordering::Relaxed);
                    shares.fetch_add(Cores.workers(), Ordering::Relaxed);
                });
            });
            let once: usize = (0..count).map(|index| 1 << (8 * index)).sum();
            assert_eq!(calls.into_inner(), once);
            assert_eq!(shares.into_inner(), threads.max(count).max(1), "{threads} {count}");
        }
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
