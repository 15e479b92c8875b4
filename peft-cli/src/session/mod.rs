//! A base model with the adapter to use on it.
//!
//! | file | contents |
//! |---|---|
//! | `flags` | [`UseArgs`]: the flags that name model and adapters |
//! | [`numbers`] | in which numbers an adapter's run had the base model |
//! | `adapted` | [`Session`]: the model with the adapter on it |
//! | `open` | from flags to sessions: loaded and checked |
//! | `settings` | what it knows of rows: by flags, tasks, and what the adapter remembers |
//! | `rows` | how it reads rows and prompts |

mod adapted;
mod flags;
pub mod numbers;
mod open;
mod rows;
mod settings;

pub use adapted::Session;
pub use flags::UseArgs;
