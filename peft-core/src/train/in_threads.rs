//! Processes of a run that are threads of one: for tests, and to see what a [`Peers`] has to do.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
};

use super::peers::Peers;
use crate::error::{Error, Result};

/// One of several threads that make a run, each with what would be a process of its own. It is dropped with its thread; who
/// waits for it then gets an error.
pub struct InThreads {
    rank: usize,
    /// To each, and from each. Used by one thread alone, which locks them without ever waiting.
    ends: Mutex<Ends>,
    stop: Arc<AtomicBool>,
}

struct Ends {
    to: Vec<Sender<Vec<u8>>>,
    from: Vec<Receiver<Vec<u8>>>,
}

/// Makes the peers of `size` threads, by rank.
pub fn in_threads(size: usize) -> Vec<InThreads> {
    let mut from_each: Vec<Vec<Receiver<Vec<u8>>>> = (0..size).map(|_| Vec::new()).collect();
    // The ends at which a thread sends, in the order of who receives; those at which one receives come in the order of senders.
    let mut sends = || {
        let ends = from_each.iter_mut().map(|from| {
            let (to, end) = channel();
            from.push(end);
            to
        });
        ends.collect()
    };
    let to_each: Vec<Vec<Sender<Vec<u8>>>> = (0..size).map(|_| sends()).collect();
    let ends = to_each.into_iter().zip(from_each).enumerate();
    let of = |(rank, (to, from))| InThreads {
        rank,
        ends: Mutex::new(Ends { to, from }),
        stop: Arc::default(),
    };
    ends.map(of).collect()
}

impl InThreads {
    /// What asks this process to stop, once it is set.
    pub fn stop(&self) -> Arc<AtomicBool> {
        self.stop.clone()
    }
}

impl fmt::Debug for InThreads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InThreads").field("rank", &self.rank).finish_non_exhaustive()
    }
}

impl Peers for InThreads {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).to.len()
    }

    fn broadcast(&self, bytes: Vec<u8>) -> Result<Vec<u8>> {
        let to_each = match self.rank {
            0 => vec![bytes; self.size()],
            _ => vec![Vec::new(); self.size()],
        };
        Ok(self.exchange(to_each)?.swap_remove(0))
    }

    fn exchange(&self, to_each: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        // One that is gone does not receive, which is told where it does not send.
        for (to, bytes) in ends.to.iter().zip(to_each) {
            let _ = to.send(bytes);
        }
        let gone = |rank| Error::Peer { name: self.name(rank), message: "it has ended".into() };
        let received = ends.from.iter().enumerate();
        received.map(|(rank, from)| from.recv().map_err(|_| gone(rank))).collect()
    }

    fn asked_to_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn bytes_reach_whom_they_are_for_and_nobody_waits_for_one_that_is_gone() {
        let peers = in_threads(3);
        thread::scope(|scope| {
            for own in peers {
                scope.spawn(move || {
                    let rank = own.rank();
                    let found = own.broadcast(vec![rank as u8; 2]).unwrap();
                    assert_eq!(found, [0, 0]);
                    let to_each = (0..own.size()).map(|to| vec![rank as u8, to as u8]).collect();
                    let expected: Vec<Vec<u8>> =
                        (0..3).map(|from| vec![from, rank as u8]).collect();
                    assert_eq!(own.exchange(to_each).unwrap(), expected);
                    if rank == 1 {
                        return;
                    }
                    let error = own.exchange(vec![Vec::new(); 3]).unwrap_err();
                    assert!(
                        matches!(&error, Error::Peer { name, .. } if name == "rank 1"),
                        "{error}"
                    );
                });
            }
        });
    }
}
