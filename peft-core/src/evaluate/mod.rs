//! What an adapted model answers, and how good its answers are. Training computes its loss from
//! [`positions`] and [`outputs`], which keep gradients; the rest computes none.
//!
//! | file | what it is |
//! |---|---|
//! | `assessment` | what an evaluation finds |
//! | `constant` | predictions that are the same for all rows |
//! | `frozen_states` | hidden states below the first layer that virtual tokens enter, kept |
//! | `states_file` | the same in a file, where memory has no room for them |
//! | [`checks`] | whether a model, a head, a task and rows fit together |
//! | [`outputs`] | from hidden states to logits, at chosen positions |
//! | [`positions`] | which positions are read, and what is to be predicted there |
//! | [`rows`] | one reading loop: rows of similar length together |
//! | [`predictor`] | scores, logits, class probabilities and tags |
//! | `classes` | one class of a row or of a token, and tokens of the vocabulary |
//! | `answers` | answers cut from a context |
//! | `spans` | the best span over the windows of a question, and whether there is none |
//! | `values` | several classes a row, and numbers |
//! | [`multi_adapter`] | several adapters in one batch |
//! | [`vote`] | how several adapters agree |

mod answers;
mod assessment;
pub mod checks;
mod classes;
mod constant;
pub(crate) mod frozen_states;
pub mod multi_adapter;
pub mod outputs;
pub mod positions;
pub mod predictor;
pub mod rows;
mod spans;
pub(crate) mod states_file;
mod values;
pub mod vote;

pub use answers::{DEFAULT_NULL_SCORE_DIFF_THRESHOLD, check_threshold};
pub use assessment::{Assessment, Predicted, Report};
pub use constant::Constant;
pub use frozen_states::{StatesRoom, bytes_of_frozen_states};
pub use multi_adapter::{Member, MultiAdapter};
pub use positions::Positions;
pub use predictor::Predictor;
pub use rows::RowsRead;
pub use spans::{Answer, NullAnswer, questions};
pub use values::THRESHOLD;
pub use vote::{Vote, plurality};
