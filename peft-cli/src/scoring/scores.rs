//! What a metric says of predictions and references.

use std::{
    cell::OnceCell,
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use peft_core::{
    Error, Result,
    metrics::{self, ClassReport, EntityScores, Metrics, Rouge, Segment},
    text::Record,
};
use serde_json::{Value, json};

use super::{
    FieldArgs, Kind, Metric,
    answers::{self, Question},
    classes::{self, ClassArgs, Classes},
    meteor, report,
    source::{Source, check_whole},
    tags, texts,
};

/// What a metric says.
#[derive(Clone, Debug)]
pub enum Found {
    /// A number.
    Number(f64),
    /// Several numbers.
    Several(Metrics),
    /// The scores of entities.
    Entities(EntityScores),
    /// The scores of classes, with their names.
    Classes(ClassReport, Vec<String>),
}

impl Found {
    /// As JSON.
    pub fn json(&self) -> Value {
        match self {
            Self::Number(value) => json!(value),
            Self::Several(scores) => json!(scores),
            Self::Entities(scores) => report::of_entities(scores),
            Self::Classes(found, names) => report::of_classes(found, names),
        }
    }
}

/// The files to score, and how they are read.
#[derive(Debug)]
pub struct Files<'a> {
    /// The predictions.
    pub predictions: &'a Path,
    /// The files of the references; none if they stand beside the predictions.
    pub references: &'a [PathBuf],
    /// Whether both are read line by line, whatever they hold.
    pub as_lines: bool,
    /// Which fields of rows are read.
    pub fields: &'a FieldArgs,
    /// What metrics of classes want to know.
    pub classes: &'a ClassArgs,
    /// METEOR's program.
    pub meteor_jar: Option<&'a PathBuf>,
    /// The names of columns of references that are a table without a header.
    pub columns: Option<&'a str>,
    /// The predictions, where they are in memory.
    rows: Option<Vec<Record>>,
    read: Read,
}

/// What has been read already.
#[derive(Debug, Default)]
struct Read {
    classes: OnceCell<(Classes, Source)>,
    numbers: OnceCell<[Vec<f64>; 2]>,
    texts: OnceCell<Vec<Segment>>,
    entities: OnceCell<EntityScores>,
    questions: OnceCell<Vec<Question>>,
}

impl<'a> Files<'a> {
    /// Files that are read as they are needed.
    pub fn new(
        predictions: &'a Path,
        references: &'a [PathBuf],
        as_lines: bool,
        fields: &'a FieldArgs,
        classes: &'a ClassArgs,
    ) -> Self {
        let (meteor_jar, columns, rows, read) = (None, None, None, Read::default());
        Self { predictions, references, as_lines, fields, classes, meteor_jar, columns, rows, read }
    }

    /// With the rows of the predictions, as they would be read.
    #[must_use]
    pub fn with_rows(self, rows: Vec<Record>) -> Self {
        Self { rows: Some(rows), ..self }
    }

    /// With the names of the columns of references that are tables without a header.
    #[must_use]
    pub fn with_columns(self, columns: Option<&'a str>) -> Self {
        Self { columns, ..self }
    }

    /// Sets METEOR's program.
    #[must_use]
    pub fn with_meteor_jar(self, meteor_jar: Option<&'a PathBuf>) -> Self {
        Self { meteor_jar, ..self }
    }

    /// What a metric says.
    ///
    /// # Errors
    ///
    /// Returns an error naming the file, line or field that cannot be read, or the numbers that differ.
    pub fn score(&self, metric: Metric) -> Result<Found> {
        match metric.kind() {
            Kind::Class => self.of_classes(metric),
            Kind::Number => {
                let [found, wanted] = self.numbers()?;
                Ok(Found::Number(match metric {
                    Metric::Pearson => metrics::pearson(found, wanted),
                    Metric::Spearman => metrics::spearman(found, wanted),
                    _ => metrics::mean_squared_error(found, wanted),
                }))
            }
            Kind::Text if metric == Metric::Meteor => {
                let jar = meteor::named(self.meteor_jar)?;
                meteor::meteor(jar, self.texts()?).map(Found::Number)
            }
            Kind::Text => of_texts(metric, self.texts()?).map(Found::Number),
            Kind::Tags => {
                let found = self.entities()?;
                Ok(match metric {
                    Metric::EntityF1 => Found::Number(found.overall.f1),
                    _ => Found::Entities(found.clone()),
                })
            }
            Kind::Answer => self.of_answers(metric).map(Found::Several),
        }
    }

    fn sources(&self, kind: Kind) -> Result<(Source, Option<Source>)> {
        let read = |path: &Path| Source::read(path, kind, self.as_lines);
        let predictions = match &self.rows {
            Some(rows) => Source::Rows(self.predictions.to_path_buf(), rows.clone()),
            None => read(self.predictions)?,
        };
        check_whole(predictions.path(), predictions.rows().unwrap_or_default())?;
        let references = match self.references {
            [] => None,
            [one] if self.columns.is_none() => Some(read(one)?),
            several => Some(Source::of_rows(several, self.columns)?),
        };
        if references.is_none() && predictions.rows().is_none() {
            let path = predictions.path().display();
            let message =
                format!("needed, since the lines of {path} have no references beside them");
            return Err(Error::setting("--references", message));
        }
        Ok((predictions, references))
    }

    fn rows_of(&self, kind: Kind) -> Result<(Classes, Source)> {
        let (predictions, references) = self.sources(kind)?;
        let classes = classes::read(&predictions, references.as_ref(), kind, self.fields)?;
        Ok((classes, references.unwrap_or(predictions)))
    }

    fn of_classes(&self, metric: Metric) -> Result<Found> {
        let (classes, references) = kept(&self.read.classes, || self.rows_of(Kind::Class))?;
        let pairs = match classes {
            Classes::One(pairs) => pairs,
            Classes::Several(sets) => return sets.score(metric).map(Found::Number),
        };
        let (found, wanted) = (&pairs.predictions, &pairs.references);
        let positive = || pairs.positive(self.classes);
        let binary = || metrics::binary_score(found, wanted, &positive()?);
        Ok(Found::Number(match metric {
            Metric::F1 => binary()?.f1,
            Metric::Precision => binary()?.precision,
            Metric::Recall => binary()?.recall,
            Metric::F1Macro => metrics::f1_macro(found, wanted)?,
            Metric::F1Micro => metrics::f1_micro(found, wanted)?,
            Metric::Matthews => metrics::matthews(found, wanted)?,
            Metric::F1ByGroup => {
                let positive = positive()?;
                let is =
                    |classes: &[String]| classes.iter().map(|c| *c == positive).collect::<Vec<_>>();
                let groups = pairs.groups(references, self.classes)?;
                let scores = metrics::f1_by_group(&is(found), &is(wanted), &groups)?;
                scores.get("f1").unwrap_or(f64::NAN)
            }
            Metric::ExactMatchByGroup => {
                let right: Vec<bool> = found.iter().zip(wanted).map(|(f, w)| f == w).collect();
                metrics::exact_match_by_group(&right, &pairs.groups(references, self.classes)?)?
            }
            Metric::Report => {
                let names: BTreeSet<&String> = found.iter().chain(wanted).collect();
                let names: Vec<String> = names.into_iter().cloned().collect();
                // Each is among the names.
                let of = |classes: &[String]| -> Vec<usize> {
                    classes.iter().filter_map(|class| names.binary_search(class).ok()).collect()
                };
                let report = ClassReport::of(&of(found), &of(wanted), names.len())?;
                return Ok(Found::Classes(report, names));
            }
            _ => metrics::accuracy(found, wanted)?,
        }))
    }

    fn numbers(&self) -> Result<&[Vec<f64>; 2]> {
        kept(&self.read.numbers, || match self.rows_of(Kind::Number)?.0 {
            Classes::One(pairs) => pairs.numbers(),
            Classes::Several(_) => Err(Error::Mismatch("rows have lists of classes".to_owned())),
        })
    }

    fn texts(&self) -> Result<&[Segment]> {
        let found = kept(&self.read.texts, || {
            let (predictions, references) = self.sources(Kind::Text)?;
            texts::refuse_ids(&predictions)?;
            texts::read(&predictions, references.as_ref(), self.fields)
        });
        found.map(Vec::as_slice)
    }

    fn entities(&self) -> Result<&EntityScores> {
        kept(&self.read.entities, || {
            let (predictions, references) = self.sources(Kind::Tags)?;
            let (found, wanted) =
                tags::read(&predictions, references.as_ref(), self.fields, self.as_lines)?;
            metrics::entity_scores(&found, &wanted)
        })
    }

    fn of_answers(&self, metric: Metric) -> Result<Metrics> {
        let questions = kept(&self.read.questions, || {
            let (predictions, references) = self.sources(Kind::Answer)?;
            answers::read(&predictions, references.as_ref(), self.fields)
        })?;
        if metric == Metric::Squad {
            answers::check_answerable(questions)?;
            return metrics::squad_scores(
                questions.iter().map(|of| (of.prediction.as_str(), of.answers.as_slice())),
            );
        }
        let attempts: Vec<_> = questions.iter().map(Question::attempt).collect();
        // Predictions say by themselves where they give none.
        let scores = metrics::squad_v2_scores(&attempts, f64::INFINITY)?;
        let has_diffs = questions.iter().all(|question| question.null_score_diff.is_some());
        let known = scores.iter().filter(|(name, _)| has_diffs || !name.starts_with("best_"));
        Ok(known.collect())
    }
}

/// What a metric of texts says.
///
/// # Errors
///
/// [`Error::Mismatch`](peft_core::Error::Mismatch) if there are no texts, or one has no references.
pub fn of_texts(metric: Metric, segments: &[Segment]) -> Result<f64> {
    let of_answers = |name| Ok(metrics::answer_scores(segments)?.get(name).unwrap_or_default());
    match metric {
        Metric::AnswerExactMatch => of_answers("exact_match"),
        Metric::AnswerF1 => of_answers("f1"),
        Metric::Bleu => metrics::bleu(segments),
        Metric::Sacrebleu => metrics::sacrebleu(segments),
        Metric::Nist => metrics::nist(segments),
        Metric::Rouge1 => metrics::rouge(Rouge::N(1), segments),
        Metric::Rouge2 => metrics::rouge(Rouge::N(2), segments),
        Metric::RougeL => metrics::rouge(Rouge::L, segments),
        Metric::RougeLsum => metrics::rouge(Rouge::Lsum, segments),
        Metric::RougeLCoco => metrics::rouge_l_coco(segments),
        Metric::Cider => metrics::cider(segments),
        Metric::Chrf => metrics::chrf(segments),
        Metric::ChrfPlusPlus => metrics::chrf_plus_plus(segments),
        Metric::Ter => metrics::ter(segments),
        _ => metrics::exact_matches(segments),
    }
}

/// What a cell holds, made if it is empty.
fn kept<T>(cell: &OnceCell<T>, make: impl FnOnce() -> Result<T>) -> Result<&T> {
    match cell.get() {
        Some(found) => Ok(found),
        None => {
            let made = make()?;
            Ok(cell.get_or_init(|| made))
        }
    }
}
