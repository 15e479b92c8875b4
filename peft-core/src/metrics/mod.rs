//! Scores of predictions against references.
//!
//! | file | holds |
//! |---|---|
//! | `set` | [`Metrics`]: named scores in order |
//! | `score` | [`Score`]: precision, recall and F1 |
//! | `classification` | [`accuracy`], [`f1_micro`], [`f1_macro`], [`f1_of_class`], [`binary_score`], [`matthews`] |
//! | `report` | [`ClassReport`]: the scores of each class, and which was taken for which |
//! | `grouped` | [`exact_match_by_group`], [`f1_by_group`]: rows that belong together, as MultiRC's |
//! | `multi_label` | [`multi_label_metrics`]: F1 of rows with any number of classes |
//! | `regression` | [`pearson`], [`spearman`], [`mean_squared_error`] |
//! | `entities` | [`entity_scores`]: precision, recall and F1 of tagged entities, as seqeval's |
//! | `squad` | [`squad_scores`]: exact match and F1 of extracted answers |
//! | `squad_v2` | [`squad_v2_scores`]: the same where questions may have no answer |
//! | `referent` | [`names_referent`]: what a pronoun stands for, as T5 counts it |
//! | `perplexity` | [`perplexity()`] |
//! | `segments` | [`Segment`]: a produced text with its references; [`exact_matches`] |
//! | `mteval` | [`mteval_tokens`]: the tokens of mteval-v13a |
//! | `ngrams` | n-grams, counted |
//! | `bleu` | [`bleu()`], [`sacrebleu`] |
//! | `nist` | [`nist()`] |
//! | `rouge` | [`rouge()`]: ROUGE-1, -2, -L and -Lsum, as rouge-score |
//! | `porter` | [`porter_stem`]: its stemmer |
//! | `caption` | [`caption_tokens`]: the words of COCO's and E2E's evaluation |
//! | `rouge_coco` | [`rouge_l_coco`]: their ROUGE-L |
//! | `cider` | [`cider()`] |
//! | `chrf` | [`chrf()`], [`chrf_plus_plus`] |
//! | `ter` | [`ter()`]: translation edit rate |
//! | `edits` | its edit distance |
//! | `significance` | [`paired_bootstrap`], [`approximate_randomisation`], [`welch`]: whether two systems differ |
//! | `student` | the distribution that Welch's test needs |
//! | `sequences` | [`edit_distance`], exact matches and token error rate of produced sequences |

mod bleu;
mod caption;
mod chrf;
mod cider;
mod classification;
mod edits;
mod entities;
mod grouped;
mod mteval;
mod multi_label;
mod ngrams;
mod nist;
mod perplexity;
mod porter;
mod referent;
mod regression;
mod report;
mod rouge;
mod rouge_coco;
mod score;
mod segments;
mod sequences;
mod set;
mod significance;
mod squad;
mod squad_v2;
mod student;
mod ter;

pub use bleu::{bleu, sacrebleu};
pub use caption::caption_tokens;
pub use chrf::{chrf, chrf_plus_plus};
pub use cider::cider;
pub use classification::{
    accuracy, binary_score, classification_metrics, f1_macro, f1_micro, f1_of_class, matthews,
};
pub use entities::{Entity, EntityScores, entities, entity_scores};
pub use grouped::{exact_match_by_group, f1_by_group};
pub use mteval::mteval_tokens;
pub use multi_label::multi_label_metrics;
pub use nist::nist;
pub use perplexity::perplexity;
pub use porter::porter_stem;
pub use referent::names_referent;
pub use regression::{mean_squared_error, pearson, regression_metrics, spearman};
pub use report::ClassReport;
pub use rouge::{Rouge, rouge, rouge_tokens};
pub use rouge_coco::rouge_l_coco;
pub use score::Score;
pub use segments::{Segment, exact_matches};
pub use sequences::{edit_distance, sequence_metrics};
pub use set::Metrics;
pub use significance::{
    COVERAGE, Interval, RowScore, Welch, approximate_randomisation, deviation, holm, mean,
    paired_bootstrap, ratio, welch,
};
pub use squad::{
    answer_f1, answer_scores, exact_match, normalized_answer, overlap_f1, squad_scores,
};
pub use squad_v2::{Attempt, SQUAD_V2_SCORES, squad_v2_scores};
pub use ter::ter;
