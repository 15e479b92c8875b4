//! Parts of predictions, put together by the rows that their lines say they are of.
//!
//! | file | contents |
//! |---|---|
//! | `lines` | the lines of a part |
//! | `said` | what a line predicts |
//! | `whole` | the lines of all parts in the order of their rows |

mod lines;
mod said;
mod whole;

pub use said::Said;
pub use whole::{Whole, check_rows};
