//! The metrics by name.

use std::{fmt, str::FromStr};

use crate::nearest::{alike, did_you_mean};

/// What is predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A class.
    Class,
    /// A number.
    Number,
    /// A text, with one or more references.
    Text,
    /// A tag for each word of a sentence.
    Tags,
    /// The answer to a question.
    Answer,
}

/// A metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// See [`peft_core::metrics::accuracy`].
    Accuracy,
    /// Precision of one class, see [`peft_core::metrics::binary_score`].
    Precision,
    /// Recall of one class.
    Recall,
    /// F1 of one class.
    F1,
    /// See [`peft_core::metrics::f1_macro`].
    F1Macro,
    /// See [`peft_core::metrics::f1_micro`].
    F1Micro,
    /// See [`peft_core::metrics::matthews`].
    Matthews,
    /// See [`peft_core::metrics::exact_match_by_group`].
    ExactMatchByGroup,
    /// See [`peft_core::metrics::f1_by_group`].
    F1ByGroup,
    /// See [`peft_core::metrics::ClassReport`].
    Report,
    /// See [`peft_core::metrics::pearson`].
    Pearson,
    /// See [`peft_core::metrics::spearman`].
    Spearman,
    /// See [`peft_core::metrics::mean_squared_error`].
    Mse,
    /// See [`peft_core::metrics::exact_matches`].
    ExactMatch,
    /// See [`peft_core::metrics::bleu`](fn@peft_core::metrics::bleu).
    Bleu,
    /// See [`peft_core::metrics::sacrebleu`].
    Sacrebleu,
    /// See [`peft_core::metrics::nist`](fn@peft_core::metrics::nist).
    Nist,
    /// See [`peft_core::metrics::Rouge`].
    Rouge1,
    /// See [`Rouge1`](Self::Rouge1).
    Rouge2,
    /// See [`Rouge1`](Self::Rouge1).
    RougeL,
    /// See [`Rouge1`](Self::Rouge1).
    RougeLsum,
    /// See [`peft_core::metrics::rouge_l_coco`].
    RougeLCoco,
    /// See [`peft_core::metrics::cider`](fn@peft_core::metrics::cider).
    Cider,
    /// See [`peft_core::metrics::chrf`](fn@peft_core::metrics::chrf).
    Chrf,
    /// See [`peft_core::metrics::chrf_plus_plus`].
    ChrfPlusPlus,
    /// See [`peft_core::metrics::ter`](fn@peft_core::metrics::ter).
    Ter,
    /// See [`peft_core::metrics::answer_scores`].
    AnswerExactMatch,
    /// See [`AnswerExactMatch`](Self::AnswerExactMatch).
    AnswerF1,
    /// By its own program.
    Meteor,
    /// F1 of whole entities, see [`peft_core::metrics::entity_scores`].
    EntityF1,
    /// All scores of [`peft_core::metrics::entity_scores`].
    Entities,
    /// See [`peft_core::metrics::squad_scores`].
    Squad,
    /// See [`peft_core::metrics::squad_v2_scores`].
    SquadV2,
}

use Metric::*;

/// All metrics with their names, by what they are of.
const ALL: [(Kind, &[(Metric, &str)]); 5] = [
    (
        Kind::Class,
        &[
            (Accuracy, "accuracy"),
            (F1, "f1"),
            (Precision, "precision"),
            (Recall, "recall"),
            (F1Macro, "f1_macro"),
            (F1Micro, "f1_micro"),
            (Matthews, "matthews"),
            (F1ByGroup, "f1_by_group"),
            (ExactMatchByGroup, "exact_match_by_group"),
            (Report, "report"),
        ],
    ),
    (Kind::Number, &[(Pearson, "pearson"), (Spearman, "spearman"), (Mse, "mse")]),
    (
        Kind::Text,
        &[
            (ExactMatch, "exact_match"),
            (Bleu, "bleu"),
            (Sacrebleu, "sacrebleu"),
            (Nist, "nist"),
            (Rouge1, "rouge_1"),
            (Rouge2, "rouge_2"),
            (RougeL, "rouge_l"),
            (RougeLsum, "rouge_lsum"),
            (RougeLCoco, "rouge_l_coco"),
            (Cider, "cider"),
            (Chrf, "chrf"),
            (ChrfPlusPlus, "chrf++"),
            (Ter, "ter"),
            (AnswerExactMatch, "answer_exact_match"),
            (AnswerF1, "answer_f1"),
            (Meteor, "meteor"),
        ],
    ),
    (Kind::Tags, &[(EntityF1, "entity_f1"), (Entities, "entities")]),
    (Kind::Answer, &[(Squad, "squad"), (SquadV2, "squad_v2")]),
];

/// The name of a metric without what may be left out or written otherwise.
fn plain(name: &str) -> String {
    name.to_lowercase().replace(['-', '_', ' '], "")
}

impl Metric {
    /// All metrics with what they are of.
    fn all() -> impl Iterator<Item = (Kind, Self, &'static str)> {
        ALL.iter().flat_map(|(kind, metrics)| {
            metrics.iter().map(|(metric, name)| (*kind, *metric, *name))
        })
    }

    /// What it is of.
    pub fn kind(self) -> Kind {
        // Each has its line in the table, which a test checks.
        Self::all().find(|(_, metric, _)| *metric == self).map_or(Kind::Text, |(kind, ..)| kind)
    }

    /// The names of the metrics of one kind.
    pub fn names(kind: Kind) -> Vec<&'static str> {
        Self::all().filter(|(of, ..)| *of == kind).map(|(.., name)| name).collect()
    }
}

/// A metric under the name by which it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The metric.
    pub metric: Metric,
    /// Its name, as it was written.
    pub name: String,
}

impl FromStr for Asked {
    type Err = String;

    /// The metric of a name in upper or lower case, with hyphens or underscores or neither.
    fn from_str(name: &str) -> Result<Self, String> {
        if let Some((_, metric, _)) = Metric::all().find(|(.., known)| plain(known) == plain(name))
        {
            return Ok(Self { metric, name: name.to_owned() });
        }
        let names: Vec<&str> = Metric::all().map(|(.., name)| name).collect();
        let meant = did_you_mean(alike(name, names.iter().copied()));
        Err(format!("expected one of {}{meant}", names.join(", ")))
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_metrics_and_their_kind() {
        for (name, metric) in [
            ("rouge-l", Metric::RougeL),
            ("ROUGE_Lsum", Metric::RougeLsum),
            ("rouge1", Metric::Rouge1),
            ("chrF++", Metric::ChrfPlusPlus),
            ("squad-v2", Metric::SquadV2),
        ] {
            let asked: Asked = name.parse().unwrap();
            assert_eq!((asked.metric, asked.to_string().as_str()), (metric, name));
        }
        for (kind, metric, name) in Metric::all() {
            assert_eq!((metric.kind(), name.parse::<Asked>().unwrap().metric), (kind, metric));
            assert!(Metric::names(kind).contains(&name));
        }
        let unknown = "blue".parse::<Asked>().unwrap_err();
        assert!(unknown.contains("accuracy, f1,") && unknown.contains("bleu?"), "{unknown}");
    }
}
