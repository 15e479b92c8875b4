//! What the best step predicts for the validation rows, class by class and for some of the rows.
//!
//! | file | contents |
//! |---|---|
//! | `file` | [`Validation`]: `validation.json` |
//! | `recorder` | [`Recorder`]: from an evaluation to it |
//! | `texts` | rows as texts to show |

mod file;
mod recorder;
mod texts;

pub use file::{ByClass, Named, Sample, Validation};
pub use recorder::Recorder;
pub(super) use texts::{RowTexts, spread};
