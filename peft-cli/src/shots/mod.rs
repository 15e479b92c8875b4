//! Examples in front of each row that a language model without an adapter reads: few-shot prompting (Brown et al. 2020,
//! arXiv 2005.14165), the baseline that trains nothing.
//!
//! | file | contents |
//! |---|---|
//! | `flags` | [`ShotArgs`] |
//! | `draw` | [`Shot`]: which rows are the examples |
//! | `front` | [`encode`]: rows behind their examples |
//! | `share` | tokens that all rows begin with, read once |

mod draw;
mod flags;
mod front;
mod share;

pub use draw::Shot;
pub use flags::ShotArgs;
pub use front::encode;
