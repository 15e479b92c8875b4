//! Runs side by side.
//!
//! | file | contents |
//! |---|---|
//! | `run` | [`Run`]: what the folder of a run says |
//! | `find` | [`find`]: the runs that paths lead to |
//! | `identity` | the settings by which runs differ |
//! | `same_content` | what they name by other paths is the same where its sum is |
//! | `metric` | the score that they are compared by, and which way is better |
//! | `groups` | [`Comparison`]: runs that differ by the seed alone as one system |
//! | `columns` | which settings tell the systems apart |
//! | `row_scores` | what each row adds to the score of a system, from files of predictions |
//! | `alike` | which systems answered the same rows and are scored alike |
//! | `differences` | [`Differences`]: whether systems differ by more than chance |
//! | `cells` | numbers as people read them |
//! | [`table`] | the table as text, Markdown, LaTeX or CSV |
//! | `json` | the same as JSON |
//! | `files` | [`of_files`]: files of predictions without runs |
//! | [`plot`], [`svg`] | two pictures in a file: scores against parameters, and over the steps |
//! | `scale` | the axes of a picture |

mod alike;
pub(crate) mod cells;
pub(crate) mod columns;
mod differences;
mod files;
mod find;
mod groups;
pub(crate) mod identity;
mod json;
mod metric;
pub mod plot;
mod row_scores;
mod run;
mod same_content;
pub(crate) mod scale;
pub mod svg;
pub mod table;

pub use columns::Columns;
pub use differences::Differences;
pub use files::{Files, of_files};
pub use find::{Found, find};
pub use groups::{Comparison, System, compare};
pub use identity::of_run as settings_of_run;
pub use json::{as_json, of_files as files_as_json};
pub use metric::Metric;
pub use row_scores::Fields;
pub use run::{Lines, Point, Run, State, TRAIN_LOSS};
