//! What carries bytes between the processes of a run.

use peft_core::train::Peers;

/// A way between processes, which is joined once and left once.
pub trait Transport: Peers {
    /// Leaves the others, when all of them do.
    fn finish(&self);

    /// Ends all processes, with this exit code.
    fn abort(&self, code: u8) -> !;
}
