//! Many runs from one file.
//!
//! | file | contents |
//! |---|---|
//! | `file` | [`SweepFile`]: what the file says |
//! | `values` | settings in its tables, and their values |
//! | `points` | the settings of each run: lists, grid and search multiplied |
//! | `search` | values that are drawn |
//! | `names` | what the folders of the runs are called |
//! | `plan` | [`Plan`]: all runs with their folders, and what is there already |
//! | `differing` | by what a run that is there differs from what is asked for |
//! | [`changed`] | whether runs that ended are of the rows and the base model of now |
//! | [`elsewhere`] | whether runs that name them by other paths are, too |
//! | `work` | [`Work`]: makes the runs, several at a time |
//! | `halving` | how many runs are given up early, and when |
//! | `giving_up` | which these are, by their scores so far |
//! | `screen` | how far the sweep is |

pub mod changed;
mod differing;
pub mod elsewhere;
mod file;
mod giving_up;
mod halving;
mod names;
mod plan;
mod points;
mod screen;
mod search;
mod values;
mod work;

pub use file::SweepFile;
pub use plan::{Plan, Planned, There};
pub use work::{Ended, Work, check};
