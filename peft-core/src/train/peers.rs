//! Several processes, on one machine or many, that make one run.
//!
//! The process of rank 0 leads: it makes the virtual tokens of each step, has what is trained and its optimizer, evaluates, and
//! writes the folder of the run ([`train`](super::train)). The others assist ([`assist`](super::assist())): they get the virtual
//! tokens and the heads of a step, compute the slices that are theirs, and give back their gradients. What an assistant has at
//! the end of a step is nothing that the next one needs, so a run is resumed on any number of processes.
//!
//! This crate knows no network: whoever starts the processes brings a [`Peers`]. [`in_threads`](super::in_threads()) has one for
//! processes that are threads.

use std::fmt::Debug;

use crate::error::Result;

/// What a process needs to exchange bytes with the others of its run.
///
/// Every call is made by all processes, in the same order; each waits for the others. All return an error
/// ([`Error::Peer`](crate::Error::Peer)) where another process is gone: none may wait for one that does not come any more.
pub trait Peers: Debug + Send + Sync {
    /// The rank of this process, from 0 on.
    fn rank(&self) -> usize;

    /// The number of processes.
    fn size(&self) -> usize;

    /// What messages call the process of a rank: where it is, if that is known.
    fn name(&self, rank: usize) -> String {
        format!("rank {rank}")
    }

    /// The bytes of rank 0; those of the others are passed over.
    ///
    /// # Errors
    ///
    /// [`Error::Peer`](crate::Error::Peer) if another process is gone.
    fn broadcast(&self, bytes: Vec<u8>) -> Result<Vec<u8>>;

    /// Gives the bytes at each place to the process of that rank, and returns those that each has given to this one, by rank.
    ///
    /// # Errors
    ///
    /// [`Error::Peer`](crate::Error::Peer) if another process is gone.
    fn exchange(&self, to_each: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>>;

    /// Whether this process was asked to stop, as by a signal: all of them then stop after the step.
    fn asked_to_stop(&self) -> bool {
        false
    }

    /// Called once, when every process knows that the run has ended, well or not: nobody waits for another any more. Where it
    /// was not called, others may wait for this process.
    fn parted(&self) {}
}
