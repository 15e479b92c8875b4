//! A base model with the adapter to use on it.
//!
//! | file | contents |
//! |---|---|
//! | `flags` | [`UseArgs`]: the flags that name model and adapters |
//! | [`numbers`] | in which numbers an adapter's run had the base model |
//! | `open` | [`Session`]: loaded and checked |
//! | `rows` | how a session reads rows and prompts |

mod flags;
pub mod numbers;
mod open;
mod rows;

pub use flags::UseArgs;
pub use open::Session;
