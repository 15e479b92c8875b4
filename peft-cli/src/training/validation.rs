//! `validation.json`: what the best step predicts for the validation rows, class by class and for some of the rows. It is
//! written whenever a step is the best so far, from predictions that were made to score it.

use std::{fmt::Write, path::Path, sync::Arc};

use peft_core::{
    Error, ProblemType, Result,
    adapter::atomic,
    data::{Example, IGNORE, Labels, Target},
    evaluate::{Assessment, Predicted, Report, THRESHOLD},
    formats::read,
    metrics::{ClassReport, EntityScores, Metrics, Score},
    text::Encoded,
};
use serde::{Deserialize, Serialize};

use super::PreparedRun;
use crate::{model_dir::ModelDir, token_text::TokenText};

/// Rows with errors that are kept, and rows without.
const MOST_WRONG: usize = 24;
const MOST_RIGHT: usize = 12;
/// Characters of a row that are kept, and of what is predicted for it.
const MOST_OF_TEXT: usize = 600;
const MOST_OF_ANSWER: usize = 300;
/// Classes whose confusion matrix is kept as one; of more, the pairs that are confused most.
const MOST_CLASSES: usize = 30;
const MOST_PAIRS: usize = 20;

/// What the best step predicts for the validation rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// The step.
    pub step: usize,
    /// Its scores.
    pub metrics: Metrics,
    /// The rows that something is predicted for: questions, not their windows.
    pub rows: usize,
    /// How many of them are wrong, where that can be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrong: Option<usize>,
    /// The classes one by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<ByClass>,
    /// The types of entities one by one, all of them together last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entities: Vec<Named>,
    /// Some of the rows, those with errors first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Sample>,
}

/// Scores with a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Named {
    /// What they are of.
    pub name: String,
    /// Precision, from 0 to 1.
    pub precision: f64,
    /// Recall, from 0 to 1.
    pub recall: f64,
    /// Their harmonic mean.
    pub f1: f64,
    /// How many there are.
    pub support: usize,
}

/// Classes one by one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ByClass {
    /// The scores of each.
    pub scores: Vec<Named>,
    /// Their averages.
    pub averages: Vec<Named>,
    /// How many of each class (first index) are predicted to be of each (second index); none where there are many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confusion: Vec<Vec<usize>>,
    /// The right class, another that is predicted, and how often: the most frequent pairs.
    pub confused: Vec<(String, String, usize)>,
}

/// A row with what is predicted for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Its file, by its name.
    pub file: String,
    /// Its line, counted from 1.
    pub line: usize,
    /// The row, as the model reads it.
    pub text: String,
    /// What should be predicted.
    pub expected: String,
    /// What is.
    pub predicted: String,
    /// Whether that is right, where it can be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_right: Option<bool>,
}

impl Validation {
    /// Reads the file; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] or [`Error::File`].
    pub fn read(path: &Path) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let found = serde_json::from_slice(&read::bytes(path)?);
        found.map(Some).map_err(|error| {
            Error::file(
                path,
                format!(
                    "found something else than the predictions of a run's validation rows ({error}): it may be removed, and \
                     the page about the run then goes without them"
                ),
            )
        })
    }

    /// Writes the file.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self);
        let text = text.map_err(|error| Error::file(path, error.to_string()))?;
        atomic::write_file(path, format!("{text}\n").as_bytes())
    }
}

impl Named {
    fn new(name: impl Into<String>, score: &Score) -> Self {
        let Score { precision, recall, f1, support } = *score;
        Self { name: name.into(), precision, recall, f1, support }
    }
}

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

/// At most so many, at equal distances.
pub(super) fn spread<T>(all: Vec<T>, most: usize) -> Vec<T> {
    let count = all.len();
    let step = count.div_ceil(most.max(1)).max(1);
    all.into_iter().step_by(step).collect()
}

/// The rows of a run as texts.
pub(super) struct RowTexts<'r> {
    rows: &'r Encoded,
    tokens: Option<TokenText<'r>>,
}

impl<'r> RowTexts<'r> {
    /// Those of encoded rows. Rows of token ids stay so, and need no tokenizer.
    pub(super) fn of(rows: &'r Encoded, dir: &'r ModelDir) -> Self {
        let tokenizer = (rows.texts > 0).then(|| dir.tokenizer().ok()).flatten();
        Self { rows, tokens: tokenizer.map(|own| TokenText::new(&own.tokenizer)) }
    }

    /// Tokens as text, else as numbers.
    pub(super) fn text(&self, ids: &[u32]) -> String {
        let text = self.tokens.as_ref().and_then(|tokens| tokens.decode(ids));
        text.unwrap_or_else(|| ids.iter().map(u32::to_string).collect::<Vec<_>>().join(" "))
    }

    /// The words of a row with targets of their own, each from its first token to the next one's.
    fn words(&self, example: usize) -> Vec<String> {
        let Example { input_ids, target, .. } = &self.rows.examples[example];
        let Target::Tokens(targets) = target else { return Vec::new() };
        let starts: Vec<usize> =
            (0..targets.len()).filter(|token| targets[*token] != IGNORE).collect();
        let word = |(at, start): (usize, &usize)| {
            let end = starts.get(at + 1).copied().unwrap_or(input_ids.len());
            input_ids.get(*start..end).map_or_else(String::new, |ids| self.text(ids).trim().into())
        };
        starts.iter().enumerate().map(word).collect()
    }

    /// A row to show. Of a context the part around the right answer is kept.
    pub(super) fn sample(
        &self,
        example: usize,
        expected: String,
        predicted: String,
        is_right: Option<bool>,
    ) -> Sample {
        let row = &self.rows.examples[example];
        let text = match &row.window {
            Some(window) => {
                let question = row.input_ids.iter().zip(&window.bytes);
                let question = question.filter(|(_, bytes)| bytes.is_none()).map(|(id, _)| *id);
                let question = self.text(&question.collect::<Vec<_>>());
                let context = &window.passage.context;
                let answer = window.passage.answers.iter().flatten().next();
                let at = answer.and_then(|answer| context.find(answer.as_str())).unwrap_or(0);
                format!("{} {}", question.trim(), around(context, at, MOST_OF_TEXT / 2))
            }
            None => self.text(&row.input_ids),
        };
        let file = self.rows.file_of(example).and_then(Path::file_name);
        Sample {
            file: file.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            line: row.line,
            text: cut(text.trim(), MOST_OF_TEXT),
            expected: cut(&expected, MOST_OF_ANSWER),
            predicted: cut(&predicted, MOST_OF_ANSWER),
            is_right,
        }
    }
}

/// The beginning of a text.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

/// So many characters of a text, about half of them before the byte `at`.
fn around(text: &str, at: usize, most: usize) -> String {
    let before = text.get(..at).map_or(0, |before| before.chars().count());
    let skipped = before.saturating_sub(most / 2);
    let rest: String = text.chars().skip(skipped).collect();
    let begun = if skipped > 0 { "…" } else { "" };
    format!("{begun}{}", cut(&rest, most))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
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

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!((cut("äöü", 2).as_str(), cut("äöü", 3).as_str()), ("äö…", "äöü"));
        assert_eq!(around("0123456789", 6, 4), "…4567…");
        assert_eq!(around("0123", 0, 4), "0123");
        assert_eq!(spread((0..10).collect(), 4), [0, 3, 6, 9]);
        assert_eq!(spread(vec![1], 4), [1]);
    }
}
