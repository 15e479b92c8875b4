//! The settings of a training run.
//!
//! | file | contents |
//! |---|---|
//! | `definition` | [`Settings`]: flags, `run.toml`, and how they are merged |
//! | `encoder` | the encoder that makes a prompt |
//! | [`resolve`] | defaults and checks that need no model |
//! | [`tasks`] | `[[tasks]]`: the tasks of a joint run |
//! | [`joint`] | its settings and those of its tasks, put together |
//! | [`train_config`] | the part that the training loop takes |
//! | [`mod@file`] | `run.toml` and other TOML files, and where their paths start from |
//! | [`whole`] | whether such a file of the program is whole |
//! | [`lists`] | lists in flags, such as `--layers 0-3,11` |

mod definition;
mod encoder;
pub mod file;
pub mod joint;
pub mod lists;
pub mod resolve;
pub mod tasks;
pub mod train_config;
pub mod whole;

pub use definition::Settings;
