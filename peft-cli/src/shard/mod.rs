//! One of n parts of some work, for machines or processes that know nothing of each other.
//!
//! The rows of a file are cut into blocks, in their order. A part reads all rows, so that everything that only all of them
//! together tell (which fields there are, what stands in front of each, which inputs are the same) is as in the whole; it
//! answers those of its block, in the batches that the whole would make of them. So its lines are those of the whole, and
//! `peft merge` puts them together.
//!
//! | file | contents |
//! |---|---|
//! | `part` | [`Shard`]: which part of how many |
//! | `block` | [`Block`]: its rows |
//! | `launcher` | which part is this process's among those that Slurm or mpirun started |
//! | `flags` | [`ShardArgs`], and what is [`Taken`] by them |
//! | `mark` | [`Mark`]: which row a line is of |
//! | `cut` | [`Cut`]: the block of a run, and its lines |
//! | `run_sum` | [`RunSum`]: what tells the parts of one run from those of another |

mod block;
mod cut;
mod flags;
pub(crate) mod launcher;
mod mark;
mod part;
pub(crate) mod run_sum;

pub use block::Block;
pub use cut::Cut;
pub use flags::{Chosen, ShardArgs, Taken};
pub use mark::{Mark, NoMark};
pub use part::Shard;
pub use run_sum::RunSum;
