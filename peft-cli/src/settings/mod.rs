//! The settings of a training run.
//!
//! | file | contents |
//! |---|---|
//! | `definition` | [`Settings`]: what can be set, as flags and in `run.toml` |
//! | `define` | how one list makes them |
//! | `precedence` | settings of two sources, merged |
//! | `values` | what is read from settings |
//! | `encoder` | the encoder that makes a prompt |
//! | [`resolve`] | defaults and checks that need no model |
//! | [`tasks`] | `[[tasks]]`: the tasks of a joint run |
//! | [`joint`] | its settings and those of its tasks, put together |
//! | [`train_config`] | the part that the training loop takes |
//! | [`mod@file`] | `run.toml` and other TOML files, and where their paths start from |
//! | [`whole`] | whether such a file of the program is whole |
//! | [`lists`] | lists in flags, such as `--layers 0-3,11` |

mod define;
mod definition;
mod encoder;
pub mod file;
pub mod joint;
pub mod lists;
mod precedence;
pub mod resolve;
pub mod tasks;
pub mod train_config;
mod values;
pub mod whole;

pub use definition::Settings;
