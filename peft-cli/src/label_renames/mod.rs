//! Rows of another data set, whose labels have other names: which of them are which of the classes.
//!
//! | file | contents |
//! |---|---|
//! | `args` | [`RenameArgs`] and [`Pairs`]: the names, from flags, files and tasks |
//! | `field` | [`ClassField`]: rows whose labels are renamed, and labels that are no class |
//! | `rows` | [`ScoredRows`]: the same for rows that a session scores |

mod args;
mod field;
mod rows;

pub use args::{Pairs, RenameArgs};
pub use field::{ClassField, way_out};
pub use rows::ScoredRows;
