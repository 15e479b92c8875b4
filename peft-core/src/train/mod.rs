//! Training virtual tokens and a head on a frozen model, counted in steps.
//!
//! | file | what it is |
//! |---|---|
//! | [`trainable`] | what is trained: a method and, for classification, a head |
//! | [`joint`] | several tasks on one set of virtual tokens, each with its head |
//! | [`mixing`] | which of them a batch is of |
//! | `task_run` | one task of a run: its rows and batches |
//! | [`config`] | the settings of a run |
//! | [`best_metric`] | the score that determines its best step |
//! | [`training_data`] | the rows of a run |
//! | [`run_context`] | where a run is stored, and what its adapter says about it |
//! | [`base_files`] | what a base model is beside its weights |
//! | [`base_sum`] | the sum of the base model's weights, computed while training begins |
//! | [`observer`] | how a caller follows a run and stops it |
//! | [`identity`] | what must be the same when a run is resumed |
//! | [`kept_states`] | how much a run keeps of its rows' hidden states below the first layer that virtual tokens enter |
//! | [`spare_room`] | the room of these states on a full disk, which checkpoints and metrics may take |
//! | `longer` | what there is to know of a run that goes on for more steps |
//! | [`export`] | from what is trained to an adapter |
//! | [`state`] | everything that a run is at one step |
//! | [`snapshot`] | that state as it is stored |
//! | [`checkpoint`] | snapshots as folders that survive kills |
//! | `batch_loss` | the rows of a batch, what they are to predict, and their loss |
//! | [`peers`] | several processes that make one run, and what they need to exchange bytes |
//! | [`mod@in_threads`] | processes that are threads of one |
//! | `packet` | what processes send each other, as bytes |
//! | `group` | what the processes of a run agree on, and what rank 0 tells the others |
//! | `shared_sums` | the sums over the slices of a step, of which each process computes some |
//! | `sections` | the numbers of its gradients in a row, and the section that a process adds up |
//! | `assist` | the part of a process that does not lead |
//! | `team` | the frozen model on each device of a run, and who computes with it |
//! | `slice_gradient` | the gradient of one slice of a batch |
//! | `exchange` | gradients of several slices and devices, summed |
//! | `step_slices` | the slices of a step, and the sums over them in one process |
//! | `gradient` | the gradient of a step: slices of its batches side by side, one sum at the end |
//! | [`loss_scale`] | the factor of the loss where gradients pass through f16 |
//! | `step_loss` | the loss of a step and the norm of its gradient, read together |
//! | `unread` | steps whose loss nobody has read yet |
//! | `reading` | when they are read: at once, or when the next one has been given to the device |
//! | [`trainer`] | the loop |
//!
//! A run is a pure function of its settings, its data and its seed: batches and dropout masks
//! follow from the number of the step, so a resumed run gives, bit for bit, the result of an
//! uninterrupted one.

mod assist;
pub mod base_files;
pub mod base_sum;
mod batch_loss;
pub mod best_metric;
pub mod checkpoint;
pub mod config;
mod exchange;
pub mod export;
mod gradient;
mod group;
pub mod identity;
pub mod in_threads;
pub mod joint;
pub mod kept_states;
mod longer;
pub mod loss_scale;
pub mod mixing;
pub mod observer;
mod packet;
pub mod peers;
mod reading;
pub mod run_context;
mod sections;
mod shared_sums;
mod slice_gradient;
pub mod snapshot;
pub mod spare_room;
pub mod state;
mod step_loss;
mod step_slices;
mod task_run;
mod team;
pub mod trainable;
pub mod trainer;
pub mod training_data;
mod unread;

#[cfg(test)]
mod test_model;
#[cfg(test)]
mod tests;

pub use assist::{assist, assist_joint};
pub use base_files::{BaseFiles, other_keys};
pub use base_sum::BaseSum;
pub use best_metric::BestMetric;
pub use config::TrainConfig;
pub use export::{About, adapter_of};
pub use identity::sum_of_rows;
pub use in_threads::{InThreads, in_threads};
pub use joint::{Joint, JointAdapters, JointTask};
pub use kept_states::KeptStates;
pub use loss_scale::LossScale;
pub use mixing::Mixing;
pub use observer::{Exchanged, Flow, Observer, Plan, Silent, StepReport};
pub use peers::Peers;
pub use run_context::RunContext;
pub use snapshot::Evaluation;
pub use spare_room::SpareRoom;
pub use trainable::Trainable;
pub use trainer::{Outcome, train, train_joint};
pub use training_data::TrainingData;
