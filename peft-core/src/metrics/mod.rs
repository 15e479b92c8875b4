//! Scores of predictions against references.
//!
//! | file | holds |
//! |---|---|
//! | `set` | [`Metrics`]: named scores in order |
//! | `classification` | [`accuracy`], [`f1_micro`], [`f1_macro`], [`matthews`] |
//! | `multi_label` | [`multi_label_metrics`]: F1 of rows with any number of classes |
//! | `regression` | [`pearson`], [`spearman`], [`mean_squared_error`] |
//! | `entities` | [`entity_scores`]: precision, recall and F1 of tagged entities, as seqeval's |
//! | `squad` | [`squad_scores`]: exact match and F1 of extracted answers |
//! | `squad_v2` | [`squad_v2_scores`]: the same where questions may have no answer |
//! | `perplexity` | [`perplexity()`] |
//! | `sequences` | [`edit_distance`], exact matches and token error rate of produced sequences |

mod classification;
mod entities;
mod multi_label;
mod perplexity;
mod regression;
mod sequences;
mod set;
mod squad;
mod squad_v2;

pub use classification::{accuracy, classification_metrics, f1_macro, f1_micro, matthews};
pub use entities::{Entity, EntityScores, Score, entities, entity_scores};
pub use multi_label::multi_label_metrics;
pub use perplexity::perplexity;
pub use regression::{mean_squared_error, pearson, regression_metrics, spearman};
pub use sequences::{edit_distance, sequence_metrics};
pub use set::Metrics;
pub use squad::{answer_f1, exact_match, normalized_answer, overlap_f1, squad_scores};
pub use squad_v2::{Attempt, SQUAD_V2_SCORES, squad_v2_scores};
