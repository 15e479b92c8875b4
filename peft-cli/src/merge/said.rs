//! What a line predicts.

use std::fmt;

use serde_json::{Map, Value};

use crate::scoring::{Asked, Metric};

/// What a line predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// A class.
    Class,
    /// Several classes.
    Classes,
    /// A number, or several.
    Number,
    /// A tag for each word.
    Tags,
    /// An answer to a question.
    Answer,
    /// A text, or its tokens.
    Text,
}

use Said::*;

/// The fields that say it.
const FIELDS: [(&str, Said); 8] = [
    ("label", Class),
    ("labels", Classes),
    ("score", Number),
    ("tags", Tags),
    ("answer", Answer),
    ("start_position", Answer),
    ("output", Text),
    ("output_ids", Text),
];

impl Said {
    /// What a line of the whole predicts; `None` for what is no prediction.
    pub fn of(fields: &Map<String, Value>) -> Option<Self> {
        FIELDS.iter().find(|(name, _)| fields.contains_key(*name)).map(|(_, said)| *said)
    }

    /// The fields that say it, as messages list them.
    pub fn fields() -> String {
        FIELDS.map(|(name, _)| name).join(", ")
    }

    /// What it is scored by, if nothing is asked for: what `peft eval` prints that follows from predictions. `fields` are
    /// those of a line.
    pub fn metrics(self, fields: &Map<String, Value>) -> Vec<Asked> {
        let names: &[(Metric, &str)] = match self {
            Class => &[
                (Metric::Accuracy, "accuracy"),
                (Metric::F1Macro, "f1_macro"),
                (Metric::F1Micro, "f1_micro"),
                (Metric::Matthews, "matthews"),
            ],
            Classes => &[(Metric::F1Micro, "f1_micro"), (Metric::F1Macro, "f1_macro")],
            Number => &[
                (Metric::Pearson, "pearson"),
                (Metric::Spearman, "spearman"),
                (Metric::Mse, "mse"),
            ],
            Tags => &[(Metric::EntityF1, "entity_f1")],
            Answer if fields.contains_key("null_score_diff") => &[(Metric::SquadV2, "squad_v2")],
            Answer if fields.contains_key("answer") => &[(Metric::Squad, "squad")],
            Text if fields.contains_key("output") => &[(Metric::ExactMatch, "exact_match")],
            // No metric reads token ids.
            Answer | Text => &[],
        };
        names.iter().map(|(metric, name)| Asked { metric: *metric, name: (*name).into() }).collect()
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class => "a class",
            Classes => "several classes",
            Number => "a number",
            Tags => "tags",
            Answer => "an answer",
            Text => "a text",
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn a_prediction_is_told_by_its_fields() {
        let of = |value: Value| Said::of(&fields(value));
        assert_eq!(of(json!({"label": "x", "input": {"tags": []}})), Some(Class));
        assert_eq!(of(json!({"exact_match": true, "output": "", "references": []})), Some(Text));
        assert_eq!(of(json!({"text": "x", "input": {"label": 1}})), None);
    }

    #[test]
    fn questions_that_may_have_no_answer_are_scored_so() {
        let names = |value: Value| -> Vec<String> {
            Answer.metrics(&fields(value)).into_iter().map(|asked| asked.name).collect()
        };
        assert_eq!(names(json!({"answer": "x"})), ["squad"]);
        assert_eq!(names(json!({"answer": "x", "null_score_diff": 0.5})), ["squad_v2"]);
        assert!(names(json!({"start_position": 1})).is_empty());
        let several: Vec<String> =
            Classes.metrics(&fields(json!({}))).into_iter().map(|asked| asked.name).collect();
        assert_eq!(several, ["f1_micro", "f1_macro"]);
    }
}
