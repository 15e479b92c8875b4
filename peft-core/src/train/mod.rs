//! Training virtual tokens and a head on a frozen model, counted in steps.
//!
//! | file | what it is |
//! |---|---|
//! | [`learner`] | what is trained: a method and, for classification, a head |
//! | [`config`] | the settings of a run |
//! | [`positions`] | which positions are read, and what is to be predicted there |
//! | [`outputs`] | the logits there |
//! | [`evaluate`] | scores, class probabilities, tags and answers |
//! | [`observer`] | how a caller follows a run and stops it |
//! | [`identity`] | what must be the same when a run is resumed |
//! | [`export`] | from a learner to an adapter |
//! | [`state`] | everything that a run is at one step |
//! | [`checkpoint`] | that state as folders that survive kills |
//! | [`trainer`] | the loop |
//!
//! A run is a pure function of its settings, its data and its seed: batches and dropout masks follow
//! from the step's number, so a resumed run gives, bit for bit, what one never stopped gives.

pub mod checkpoint;
pub mod config;
pub mod evaluate;
pub mod export;
pub mod identity;
pub mod learner;
pub mod mixture;
pub mod observer;
pub mod outputs;
pub mod positions;
pub mod state;
pub mod trainer;

#[cfg(test)]
mod test_model;
#[cfg(test)]
mod tests;

pub use config::{BestMetric, TrainConfig};
pub use evaluate::{Answer, Predictor};
pub use export::{About, adapter_of};
pub use learner::Learner;
pub use mixture::{Member, Mixture, Vote};
pub use observer::{Flow, Observer, Silent, StepReport};
pub use positions::Positions;
pub use state::Evaluation;
pub use trainer::{Data, Outcome, Run, train};
