//! Rows of token ids, ready for a model.
//!
//! | file | what it is |
//! |---|---|
//! | `class_counts` | how many rows, or tokens, there are of each class |
//! | `class_value` | what a name of a class says whichever way it is written |
//! | [`collate`] | examples padded to one batch |
//! | [`example`](mod@example) | [`Example`]: token ids and [`Target`] |
//! | [`labels`] | [`Labels`]: the classes and their order |
//! | [`packing`] | which rows make up which packed row |
//! | [`passage`] | [`Passage`] and [`Window`]: where a question's answer is looked for |
//! | [`sampler`] | [`Sampler`]: which rows make up which batch |
//! | [`mod@slices`] | which rows of a batch are computed side by side |

mod class_counts;
pub(crate) mod class_value;
pub mod collate;
pub mod example;
pub mod labels;
pub mod packing;
pub mod passage;
pub mod sampler;
pub mod slices;

pub use class_counts::class_counts;
pub use collate::{packed_batch, token_batch};
pub use example::{Example, IGNORE, Target};
pub use labels::Labels;
pub use passage::{Excerpt, Passage, Window};
pub use sampler::{Batch, DEFAULT_BATCH_SIZE, MAX_BATCH_SIZE, Order, Sampler, eval_batches};
pub use slices::slices;
