//! From an evaluation to what is kept of it.

use std::{fmt::Write, sync::Arc};

use peft_core::{
    ProblemType,
    data::{Labels, Target},
    evaluate::{Assessment, Predicted, Report, THRESHOLD},
    metrics::{ClassReport, EntityScores},
    text::Encoded,
};

use super::{
    file::{ByClass, Named, Validation},
    texts::{RowTexts, spread},
};
use crate::{model_dir::ModelDir, training::PreparedRun};

/// Rows with errors that are kept, and rows without.
const MOST_WRONG: usize = 24;
const MOST_RIGHT: usize = 12;
/// Classes whose confusion matrix is kept as one; of more, the pairs that are confused most.
const MOST_CLASSES: usize = 30;
const MOST_PAIRS: usize = 20;

/// Makes [`Validation`]s of evaluations.
#[derive(Clone, Debug)]
pub struct Recorder {
    problem_type: ProblemType,
    labels: Option<Labels>,
    rows: Arc<Encoded>,
    dir: ModelDir,
}

impl Recorder {
    /// That of a run; `None` of one whose settings leave its page out, and of one on several tasks, whose page has no rows.
    pub fn of(run: &PreparedRun) -> Option<Self> {
        let is_wanted = !run.settings.no_report.unwrap_or_default();
        (is_wanted && !run.is_joint()).then(|| Self {
            problem_type: run.config.problem_type,
            labels: run.labels.clone(),
            rows: run.valid.clone(),
            dir: run.dir.clone(),
        })
    }

    /// What an evaluation after `step` has found.
    pub fn record(&self, step: usize, found: &Assessment) -> Validation {
        let mut recorded = Validation {
            step,
            metrics: found.metrics.clone(),
            rows: found.predictions.len(),
            ..Validation::default()
        };
        match &found.report {
            Some(Report::Classes(report)) => recorded.classes = Some(self.by_class(report)),
            Some(Report::Entities(scores)) => recorded.entities = by_type(scores),
            None => {}
        }
        let texts = RowTexts::of(&self.rows, &self.dir);
        let (chosen, wrong) = self.chosen(&found.predictions);
        recorded.wrong = wrong;
        let sample = |(example, predicted): &(usize, Predicted)| {
            let (expected, answer) = self.in_words(*example, predicted, &texts);
            let is_right = wrong.map(|_| self.is_right(predicted));
            texts.sample(*example, expected, answer, is_right)
        };
        recorded.samples = chosen.into_iter().map(sample).collect();
        recorded
    }

    /// The rows to show: those with errors first, spread over the file; of numbers the largest differences. Also how many
    /// are wrong, where that can be said.
    fn chosen<'p>(
        &self,
        all: &'p [(usize, Predicted)],
    ) -> (Vec<&'p (usize, Predicted)>, Option<usize>) {
        if self.problem_type == ProblemType::Regression {
            let mut sorted: Vec<_> = all.iter().collect();
            sorted.sort_by(|(_, a), (_, b)| difference(b).total_cmp(&difference(a)));
            sorted.truncate(MOST_WRONG + MOST_RIGHT);
            return (sorted, None);
        }
        let (right, wrong): (Vec<_>, Vec<_>) =
            all.iter().partition(|(_, predicted)| self.is_right(predicted));
        let count = (!all.is_empty()).then_some(wrong.len());
        ([spread(wrong, MOST_WRONG), spread(right, MOST_RIGHT)].concat(), count)
    }

    fn is_right(&self, predicted: &Predicted) -> bool {
        match predicted {
            Predicted::Classes(pairs) => pairs.iter().all(|(found, expected)| found == expected),
            Predicted::Values { found, expected } => {
                let has = |value: &f32| *value > THRESHOLD;
                found.iter().map(has).eq(expected.iter().map(has))
            }
            Predicted::Answer { is_right, .. } => *is_right,
        }
    }

    /// What should be predicted for a row, and what is.
    fn in_words(
        &self,
        example: usize,
        predicted: &Predicted,
        texts: &RowTexts<'_>,
    ) -> (String, String) {
        match predicted {
            Predicted::Classes(pairs) => match &self.rows.examples[example].target {
                Target::Tokens(_) => self.tagged(example, pairs, texts),
                _ => {
                    let (found, expected) = pairs.first().copied().unwrap_or_default();
                    (self.name(expected), self.name(found))
                }
            },
            Predicted::Values { found, expected }
                if self.problem_type == ProblemType::Regression =>
            {
                let list = |values: &[f32]| {
                    let values = values.iter().map(|value| format!("{value:.3}"));
                    values.collect::<Vec<_>>().join(", ")
                };
                (list(expected), list(found))
            }
            Predicted::Values { found, expected } => {
                let names = |values: &[f32]| {
                    let has = |(class, value): (usize, &f32)| {
                        (*value > THRESHOLD).then(|| self.name(class))
                    };
                    let names: Vec<String> = values.iter().enumerate().filter_map(has).collect();
                    if names.is_empty() { "none".to_string() } else { names.join(", ") }
                };
                (names(expected), names(found))
            }
            Predicted::Answer { found, expected, .. } => {
                let said = |text: &str| {
                    if text.is_empty() { "no answer".to_string() } else { text.to_string() }
                };
                (said(&expected.join(" | ")), said(found))
            }
        }
    }

    /// The words that have a tag other than `O`, or should have one, with their tags.
    fn tagged(
        &self,
        example: usize,
        pairs: &[(usize, usize)],
        texts: &RowTexts<'_>,
    ) -> (String, String) {
        let words = texts.words(example);
        let [mut expected, mut found] = [String::new(), String::new()];
        for (word, (is, should)) in words.iter().zip(pairs) {
            for (text, class) in [(&mut expected, should), (&mut found, is)] {
                let tag = self.name(*class);
                if tag != "O" {
                    let between = if text.is_empty() { "" } else { "  " };
                    // A string takes whatever is written.
                    let _ = write!(text, "{between}{word}/{tag}");
                }
            }
        }
        let or_none = |text: String| if text.is_empty() { "none".to_string() } else { text };
        (or_none(expected), or_none(found))
    }

    fn name(&self, class: usize) -> String {
        let name = self.labels.as_ref().and_then(|labels| labels.name(class));
        name.map_or_else(|| class.to_string(), str::to_string)
    }

    fn by_class(&self, report: &ClassReport) -> ByClass {
        let scores = report.classes.iter().enumerate();
        let is_small = report.classes.len() <= MOST_CLASSES;
        let pairs = report.confused().into_iter().take(MOST_PAIRS);
        ByClass {
            scores: scores.map(|(class, score)| Named::new(self.name(class), score)).collect(),
            averages: vec![
                Named::new("macro average", &report.macro_average()),
                Named::new("weighted average", &report.weighted_average()),
            ],
            confusion: if is_small { report.confusion.clone() } else { Vec::new() },
            confused: pairs
                .map(|(right, found, count)| (self.name(right), self.name(found), count))
                .collect(),
        }
    }
}

fn by_type(scores: &EntityScores) -> Vec<Named> {
    let all = ("all entities".to_string(), &scores.overall);
    let types = scores.by_kind.iter().map(|(kind, score)| (kind.to_string(), score));
    types.chain([all]).map(|(name, score)| Named::new(name, score)).collect()
}

/// The largest difference of a row's numbers.
fn difference(predicted: &Predicted) -> f32 {
    let Predicted::Values { found, expected } = predicted else { return 0.0 };
    found.iter().zip(expected).map(|(found, expected)| (found - expected).abs()).fold(0.0, f32::max)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use peft_core::{
        data::{Example, IGNORE},
        metrics::Metrics,
    };

    use super::*;

    /// A recorder of rows of token ids with these targets.
    fn recorder(targets: Vec<Target>, labels: &[&str], problem_type: ProblemType) -> Recorder {
        let example = |(at, target): (usize, Target)| Example::new(vec![7, 8, 9], target, at + 1);
        let examples: Vec<Example> = targets.into_iter().enumerate().map(example).collect();
        let files = vec![(0, Arc::from(Path::new("data/valid.jsonl")))];
        let names = labels.iter().map(ToString::to_string).collect();
        Recorder {
            problem_type,
            labels: Some(Labels::from_list(names).unwrap()),
            rows: Arc::new(Encoded { examples, files, ..Encoded::default() }),
            dir: ModelDir::from(std::path::PathBuf::new()),
        }
    }

    fn assessment(predictions: Vec<Predicted>, report: Option<Report>) -> Assessment {
        Assessment {
            metrics: Metrics::from_iter([("accuracy", 0.5)]),
            constant: None,
            report,
            predictions: predictions.into_iter().enumerate().collect(),
        }
    }

    #[test]
    fn rows_with_errors_come_first() {
        let recorder =
            recorder(vec![Target::Class(0); 100], &["no", "yes"], ProblemType::default());
        let pairs = |row: usize| Predicted::Classes(vec![(usize::from(row % 2 == 1), 0)]);
        let report = ClassReport::of(&[0, 1], &[0, 0], 2).unwrap();
        let found = assessment((0..100).map(pairs).collect(), Some(Report::Classes(report)));
        let recorded = recorder.record(3, &found);
        assert_eq!((recorded.rows, recorded.wrong), (100, Some(50)));
        let right: Vec<bool> =
            recorded.samples.iter().map(|sample| sample.is_right.unwrap()).collect();
        assert!(right.len() <= MOST_WRONG + MOST_RIGHT && right.is_sorted(), "{right:?}");
        assert!(right.contains(&true) && right.contains(&false));
        let first = &recorded.samples[0];
        assert_eq!(
            (first.line, first.file.as_str(), first.text.as_str()),
            (2, "valid.jsonl", "7 8 9")
        );
        assert_eq!((first.expected.as_str(), first.predicted.as_str()), ("no", "yes"));
        let classes = recorded.classes.as_ref().unwrap();
        assert_eq!(classes.confusion, [[1, 1], [0, 0]]);
        assert_eq!(classes.confused, [("no".to_string(), "yes".to_string(), 1)]);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("validation.json");
        assert_eq!(Validation::read(&path).unwrap(), None);
        recorded.write(&path).unwrap();
        assert_eq!(Validation::read(&path).unwrap(), Some(recorded));
        std::fs::write(&path, "{\"step\": \"x\"}").unwrap();
        let message = Validation::read(&path).unwrap_err().to_string();
        assert!(
            message.contains("validation.json") && message.contains("may be removed"),
            "{message}"
        );
    }

    #[test]
    fn tags_stand_behind_their_words() {
        let targets = vec![Target::Tokens(vec![IGNORE, 0, 1])];
        let recorder = recorder(targets, &["O", "B-LOC"], ProblemType::default());
        let found = assessment(vec![Predicted::Classes(vec![(1, 0), (1, 1)])], None);
        let sample = &recorder.record(1, &found).samples[0];
        assert_eq!(
            (sample.expected.as_str(), sample.predicted.as_str()),
            ("9/B-LOC", "8/B-LOC  9/B-LOC")
        );
    }

    #[test]
    fn numbers_are_shown_by_their_differences() {
        let targets = vec![Target::Values(vec![0.0]); 3];
        let recorder = recorder(targets, &["score"], ProblemType::Regression);
        let row = |found: f32| Predicted::Values { found: vec![found], expected: vec![0.0] };
        let recorded = recorder.record(1, &assessment(vec![row(0.5), row(-2.0), row(1.0)], None));
        let shown: Vec<&str> = recorded.samples.iter().map(|s| s.predicted.as_str()).collect();
        assert_eq!((shown, recorded.wrong), (vec!["-2.000", "1.000", "0.500"], None));
    }

    #[test]
    fn several_classes_of_a_row_are_listed() {
        let targets = vec![Target::Values(vec![1.0, 1.0]); 2];
        let recorder = recorder(targets, &["a", "b"], ProblemType::MultiLabel);
        let row =
            |found: [f32; 2]| Predicted::Values { found: found.into(), expected: vec![1.0, 1.0] };
        let recorded =
            recorder.record(1, &assessment(vec![row([0.9, 0.8]), row([0.1, 0.2])], None));
        let shown: Vec<(&str, &str)> =
            recorded.samples.iter().map(|s| (s.expected.as_str(), s.predicted.as_str())).collect();
        assert_eq!((shown, recorded.wrong), (vec![("a, b", "none"), ("a, b", "a, b")], Some(1)));
    }
}
