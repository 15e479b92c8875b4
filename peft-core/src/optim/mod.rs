//! Optimizers, which turn gradients into the next values of the parameters.
//!
//! | file | what it is |
//! |---|---|
//! | [`adamw`] | AdamW, equal to torch's |
//! | [`adafactor`] | Adafactor as prompt tuning uses it: no momentum, no parameter scaling |
//! | [`sgd`] | gradient descent with momentum |
//! | [`optimizer`] | one of them by name, and what it remembers of each parameter |
//! | `parameter_state` | running averages of one parameter, and its decay |
//! | [`clip`] | clipping by the norm of all gradients together |
//! | `sum` | sums that do not depend on the number of threads |
//! | [`schedule`] | the learning rate as a function of the step |
//!
//! All of them work on flattened parameters on the plain device, see [`crate::contract::params`]. Weight
//! decay is decoupled in all three and applies to every trained tensor, including heads and biases.

pub mod adafactor;
pub mod adamw;
pub mod clip;
pub mod optimizer;
mod parameter_state;
pub mod schedule;
pub mod sgd;
mod sum;

pub use adafactor::Adafactor;
pub use adamw::AdamW;
pub use clip::{clip_to_norm, clip_to_unread_norm, global_norm};
pub use optimizer::{Optimizer, OptimizerConfig};
pub use schedule::Schedule;
pub use sgd::Sgd;
