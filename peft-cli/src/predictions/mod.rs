//! What `predict` writes for a row.
//!
//! | file | contents |
//! |---|---|
//! | `given` | the row's id and its own fields |
//! | `references` | the row's own class, by its name |
//! | `classes` | classes with their probabilities |
//! | `tags` | tags of words, and the entities that they mark |
//! | `words` | the words of a text |
//! | `answers` | answers to a question |
//! | `asked` | the row that `--text` stands for |
//! | `format` | rows as lines of JSON or as a table |
//! | `verbatim` | numbers of rows of input as their files write them |

mod answers;
mod asked;
mod classes;
mod format;
mod given;
mod references;
mod tags;
mod verbatim;
mod words;

pub use answers::answers;
pub use asked::{Asked, named};
pub use classes::{Shown, name};
pub use format::{Format, line};
pub use given::{Given, INPUT, id_of};
pub use references::{REFERENCE, References};
pub use tags::{Words, tags};
pub use verbatim::{json, read_again};
pub use words::{Worded, words};
