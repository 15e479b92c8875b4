//! Slices of a batch, computed side by side.
//!
//! Rows of a batch are independent through a frozen model: nothing flows between them until the gradients of what they
//! share, the virtual tokens and the head, are summed. So a slice goes through the whole forward and backward pass
//! on its own, which needs no exchange between cores inside a layer.

use std::{fmt::Debug, sync::Mutex};

/// Workers that compute slices of a batch side by side: the cores of a CPU.
///
/// A model says which it has ([`FrozenModel::lanes`](super::frozen::FrozenModel::lanes)).
pub trait Lanes: Debug + Send + Sync {
    /// How many slices are computed at the same time. One that is asked from within [`run`](Self::run) answers with its share.
    fn workers(&self) -> usize;

    /// Into how many slices a batch is divided that has `positions` of tokens and of virtual tokens in front of them.
    ///
    /// Sums are made slice by slice, so results depend on it in their last digits. It should not depend on how many
    /// cores a machine has.
    fn slices(&self, positions: usize) -> usize;

    /// Calls `work` with each of `0..count` once, [`workers`](Self::workers) of them at a time. If there are fewer, each
    /// has an equal share of the workers. Returns when all are done; a panic of one of them goes on to the caller.
    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync));

    /// From how many positions on a pass over rows of two tokens or more, or of one token each, padded on the right and
    /// without virtual tokens, computes each of them the same, bit for bit, whatever is beside it; `None`, the default,
    /// where nobody knows.
    fn alike_from(&self) -> Option<usize> {
        None
    }
}

/// One worker, with the whole batch.
#[derive(Clone, Copy, Debug)]
pub struct OneLane;

impl Lanes for OneLane {
    fn workers(&self) -> usize {
        1
    }

    fn slices(&self, _: usize) -> usize {
        1
    }

    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        (0..count).for_each(work);
    }
}

/// What `work` makes of each of `items`, side by side; in their order.
///
/// # Panics
///
/// Panics if `work` does, or if `lanes` left out an item.
pub fn side_by_side<I: Send, T: Send>(
    lanes: &dyn Lanes,
    items: Vec<I>,
    work: impl Fn(I) -> T + Sync,
) -> Vec<T> {
    if items.len() <= 1 {
        return items.into_iter().map(work).collect();
    }
    let items: Vec<Mutex<(Option<I>, Option<T>)>> =
        items.into_iter().map(|item| Mutex::new((Some(item), None))).collect();
    // A lock is poisoned only if `work` panicked, which goes on to the caller.
    lanes.run(items.len(), &|index| {
        if let Ok(mut slot) = items[index].lock() {
            let item = slot.0.take();
            slot.1 = item.map(&work);
        }
    });
    let count = items.len();
    let found: Vec<T> = items.into_iter().filter_map(|slot| slot.into_inner().ok()?.1).collect();
    assert_eq!(found.len(), count, "slices that were computed");
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Threads;

    impl Lanes for Threads {
        fn workers(&self) -> usize {
            3
        }

        fn slices(&self, _: usize) -> usize {
            3
        }

        fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
            std::thread::scope(|scope| {
                for index in (0..count).rev() {
                    scope.spawn(move || work(index));
                }
            });
        }
    }

    #[test]
    fn results_come_in_the_order_of_their_items() {
        for lanes in [&Threads as &dyn Lanes, &OneLane] {
            for count in [0, 1, 2, 7] {
                let found = side_by_side(lanes, (0..count).collect(), |item| 10 * item);
                assert_eq!(found, (0..count).map(|item| 10 * item).collect::<Vec<_>>());
            }
        }
    }
}
