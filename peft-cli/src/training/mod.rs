//! A training run, from its settings to the adapter.
//!
//! | file | contents |
//! |---|---|
//! | [`prepared`] | [`PreparedRun`]: everything read, checked and encoded |
//! | [`trained`] | [`TrainedRun`]: what it has made |
//! | `remembered` | what its adapter remembers of it |
//! | [`joint_run`] | the same for several tasks that share the virtual tokens |
//! | [`inputs`] | what a run reads: base model, adapter to start from, rows |
//! | [`shared`] | what runs of one program share: a base model and rows |
//! | [`class_names`] | the classes of a run |
//! | [`class_count`] | how many its rows have, for a plan |
//! | `class_weights` | how much each class counts in the loss |
//! | [`head`] | the head it starts with |
//! | [`started_from`] | the adapter that it started from |
//! | `resumed` | a run that goes on without the folder of that adapter |
//! | [`method_builder`], [`initial_values`] | from settings to a method, and what its virtual tokens start from |
//! | `trained_numbers` | how many numbers a method trains |
//! | `replicas` | the base model on several devices |
//! | [`places`] | where a run may write |
//! | [`earlier_run`] | the run in a folder that `--resume` goes on with |
//! | [`moved`] | what its settings name and is not there any more |
//! | [`run_folder`] | what a run puts into its folder before its first step |
//! | `file_names` | what the files of that folder are called |
//! | `damaged` | files of that folder that were cut off, and the way out |
//! | [`ending`] | what became of a run |
//! | [`run_result`] | how a run ended, for whoever compares runs |
//! | [`row_sums`] | sums that tell its rows from others |
//! | [`saving`] | its adapter and its result are put into its folder |
//! | [`validation`] | what its best step predicts for the validation rows |
//! | [`samples`] | texts that a language model writes with its adapter |
//! | [`machine`] | the machine that it was made on |
//! | [`overwrite`] | a run in the place of another, whenever it is killed |
//! | `earlier_adapter` | the adapter that the other one left |
//! | [`step_lines`] | files with a line per step, when a run is resumed |
//! | `frozen_layers` | the layers that nothing trained reaches, and what is kept of them |
//! | `expected_memory` | how much memory it is expected to take |
//! | [`opening`] | what is said of the rows before it begins |
//! | [`progress`] | follows it: metrics file, screen, signals |
//! | [`run_screen`], [`run_numbers`] | what is shown of it while it lasts |
//! | [`loss_watch`] | whether its loss falls |
//! | [`closing`] | what is said when it has ended |

pub mod class_count;
pub mod class_names;
pub(crate) mod class_weights;
pub mod closing;
pub(crate) mod damaged;
pub(crate) mod earlier_adapter;
pub mod earlier_run;
pub mod ending;
pub(crate) mod expected_memory;
pub(crate) mod file_names;
mod frozen_layers;
pub mod head;
pub mod initial_values;
pub mod inputs;
pub mod joint_run;
pub mod loss_watch;
pub mod machine;
pub mod method_builder;
pub mod moved;
pub mod opening;
pub mod overwrite;
pub mod places;
pub mod prepared;
pub mod progress;
mod remembered;
mod replicas;
mod resumed;
pub mod row_sums;
pub mod run_folder;
pub mod run_numbers;
pub mod run_result;
pub mod run_screen;
pub mod samples;
pub mod saving;
pub mod shared;
pub mod started_from;
pub mod step_lines;
pub mod trained;
mod trained_numbers;
pub mod validation;

pub use prepared::PreparedRun;
pub use trained::TrainedRun;
