//! Scores of predictions against references.
//!
//! | file | holds |
//! |---|---|
//! | `set` | [`Metrics`]: named scores in order |
//! | `classification` | [`accuracy`], [`f1_micro`], [`f1_macro`], [`matthews`] |
//! | `entities` | [`entity_scores`]: precision, recall and F1 of tagged entities, as seqeval's |
//! | `squad` | [`squad_scores`]: exact match and F1 of extracted answers |
//! | `perplexity` | [`perplexity()`] |
//! | `sequences` | [`edit_distance`], exact matches and token error rate of produced sequences |

mod classification;
mod entities;
mod perplexity;
mod sequences;
mod set;
mod squad;

pub use classification::{accuracy, classification_metrics, f1_macro, f1_micro, matthews};
pub use entities::{Entity, EntityScores, Score, entities, entity_scores};
pub use perplexity::perplexity;
pub use sequences::{edit_distance, sequence_metrics};
pub use set::Metrics;
pub use squad::{answer_f1, exact_match, normalized_answer, overlap_f1, squad_scores};
