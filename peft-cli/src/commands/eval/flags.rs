//! What the flags ask for: which rows and classes, and what they refuse.

use std::path::PathBuf;

use peft_core::{
    Error, Task,
    text::{Encoded, LabelRenames, Record},
};
use serde_json::{Map, Value, json};

use super::EvalArgs;
use crate::{
    class_texts::ranked::RankBy,
    error::CliResult,
    label_renames::ScoredRows,
    scoring::{Kind, Metric},
    session::Session,
    shard::RunSum,
    shots::{self, Shot},
    tasks::task_file::TaskFile,
};

/// What is wrong with `--report` where nothing has classes.
pub(super) const NO_CLASSES: &str =
    "is for tasks that give each row or word one class, or with --rank-classes";

impl EvalArgs {
    /// Reads the rows, and keeps them as they are in files if `keeps`; with the examples in front of each.
    pub(super) fn read(
        &self,
        session: &mut Session,
        renames: &LabelRenames,
        keeps: bool,
    ) -> CliResult<(Vec<Record>, Encoded, Vec<Shot>)> {
        if !keeps {
            let encoded = session.encode(&self.data, &self.text, true);
            let encoded = encoded.map_err(|error| self.rows(session).with_way_out(error, &[]))?;
            return Ok((Vec::new(), encoded, Vec::new()));
        }
        let records = session.read(&self.data, &self.text)?;
        let records = self.rows(session).renamed(records, renames)?;
        let how = (true, self.max_new_tokens.unwrap_or(0));
        let encoded = shots::encode(session, &records, &self.text, how, &self.shots);
        let (encoded, shots) =
            encoded.map_err(|error| self.rows(session).with_way_out(error, &records))?;
        // A row for each of those that were encoded.
        let records = encoded.kept(records);
        Ok((records, encoded, shots))
    }

    /// What tells predictions of one run from those of another, but for its rows.
    pub(super) fn run_sum(&self, sessions: &[Session]) -> RunSum {
        let sum = RunSum::of("eval", &self.model, self.batch_size).sessions(sessions);
        sum.settings(&(self.vote, self.rank_classes, self.max_new_tokens, self.num_beams))
    }

    /// The files that are read beside the model and its adapters.
    pub(super) fn inputs(&self) -> Vec<PathBuf> {
        let more = [&self.renames.rename_labels, &self.text.task_file];
        let more = more.into_iter().flatten().cloned();
        self.data.iter().chain(&self.shots.shots_from).cloned().chain(more).collect()
    }

    /// What tells an evaluation from others of the same adapter or model.
    pub(super) fn asked(&self) -> Map<String, Value> {
        let renames = (!self.renames.rename_label.is_empty()).then_some(&self.renames.rename_label);
        let all = [
            ("answers", self.answers().map(|answers| json!(answers))),
            ("max_new_tokens", self.max_new_tokens.map(|most| json!(most))),
            ("rename_label", renames.map(|names| json!(names))),
            ("rename_labels", self.renames.rename_labels.as_ref().map(|path| json!(path))),
            ("max_length", self.text.max_length.map(|most| json!(most))),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?))).collect()
    }

    /// How answers are found.
    fn answers(&self) -> Option<&'static str> {
        match (self.rank_classes, self.max_new_tokens) {
            (Some(RankBy::Sum), _) => Some("ranked by sum"),
            (Some(RankBy::Mean), _) => Some("ranked by mean"),
            (None, Some(_)) => Some("generated"),
            (None, None) => None,
        }
    }

    /// A session with what the flags say of classes.
    pub(super) fn completed(&self, session: Session, renames: &LabelRenames) -> CliResult<Session> {
        let session = session.with_labels(self.outputs.labels.as_deref())?;
        self.with_task(session.with_problem_type(self.outputs.problem_type)?, renames)
    }

    /// A session with what the task says of classes. Where labels are renamed, a task of other data does not replace the
    /// classes that an adapter remembers.
    pub(super) fn with_task(&self, session: Session, renames: &LabelRenames) -> CliResult<Session> {
        let session = session.with_skip_unlabelled(self.skip_unlabelled);
        let keeps = self.outputs.labels.is_some() || !renames.is_empty();
        Ok(session.with_task_labels(&self.text, keeps)?)
    }

    /// What labels of the rows are called, by the flags and by the task that they name.
    pub(super) fn renames(&self) -> CliResult<LabelRenames> {
        let file = self.text.task_file.as_deref().map(TaskFile::open).transpose()?;
        let of_task = file.and_then(|file| file.rename_labels);
        Ok(self.renames.renames(of_task.as_ref())?)
    }

    /// The rows that a session scores.
    pub(super) fn rows<'a>(&'a self, session: &'a Session) -> ScoredRows<'a> {
        ScoredRows { session, text: &self.text, data: &self.data }
    }

    /// Refuses what a task does not have.
    pub(super) fn check_task(&self, task: Task) -> CliResult {
        let refuse = |flag: &str, message: String| Err(Error::setting(flag, message).into());
        match task {
            _ if self.max_new_tokens.is_some() && task.has_head() => {
                refuse("--max-new-tokens", format!("{task} generates nothing"))
            }
            _ if self.rank_classes.is_some() && task.has_head() => {
                let message = format!("not used by {task}, whose head chooses among classes");
                refuse("--rank-classes", message)
            }
            Task::SeqCls | Task::TokenCls => Ok(()),
            _ if self.report && self.rank_classes.is_none() => {
                refuse("--report", NO_CLASSES.into())
            }
            _ => Ok(()),
        }
    }

    /// Refuses metrics of anything but texts.
    pub(super) fn check_metrics(&self) -> CliResult {
        if self.metric.iter().any(|asked| asked.metric == Metric::Meteor) {
            let message = "meteor is run by `peft score` alone: keep what is generated with --predictions, and score that";
            return Err(Error::setting("--metric", message).into());
        }
        match self.metric.iter().find(|asked| asked.metric.kind() != Kind::Text) {
            Some(asked) => {
                let names = Metric::names(Kind::Text).join(", ");
                let message = format!("found {asked}, expected metrics of texts: {names}");
                Err(Error::setting("--metric", message).into())
            }
            None => Ok(()),
        }
    }
}
