//! What a training step costs, counted from a config: operations, memory, bytes between devices, and from them time.
//!
//! Nothing here computes with a model. Everything is a function of an [`Outline`](crate::Outline), of what is trained and
//! where it enters, and of the rows of a step. docs/PLAN.md has the equations with what is exact and what an estimate.
//!
//! | file | what it holds |
//! |---|---|
//! | `step` | a step: its rows, what is trained, and what computes it |
//! | `stack` | the operations of one pass through a stack of layers, forward and backward |
//! | `parts` | the operations of a step, part by part |
//! | `work` | what a part does: operations, and numbers that are read and written |
//! | `memory` | the memory of a step, part by part |
//! | `weights` | the memory of the frozen weights |
//! | `all_reduce` | what devices exchange, and how long that takes |
//! | `roofline` | from operations and bytes to seconds |

mod all_reduce;
mod memory;
mod parts;
mod roofline;
mod stack;
mod step;
mod weights;
mod work;

pub use all_reduce::{Cluster, Exchange, Link};
pub use memory::{StepMemory, StepSize};
pub use parts::{Part, parts_of};
pub use roofline::Machine;
pub use step::{Batch, Executor, Method, Placing, Step, TrainedHead};
pub use weights::weight_bytes;
pub use work::Work;
