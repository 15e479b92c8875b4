//! Rows that a session scores, and the names of their classes.

use std::path::PathBuf;

use peft_core::{
    Error, ProblemType, Result, Task,
    text::{FIRST_ROWS, LabelRenames, Record, Role},
};

use super::field::ClassField;
use crate::{class_texts::ranked::class_field, session::Session, text_settings::TextArgs};

/// Rows that a session scores.
#[derive(Clone, Copy, Debug)]
pub struct ScoredRows<'a> {
    /// The model with its adapter.
    pub session: &'a Session,
    /// How rows are read.
    pub text: &'a TextArgs,
    /// Their files.
    pub data: &'a [PathBuf],
}

impl ScoredRows<'_> {
    /// Rows with the names of classes, where labels have others.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] where rows have no classes, or these no names; as [`ClassField::rename`].
    pub fn renamed(&self, records: Vec<Record>, renames: &LabelRenames) -> Result<Vec<Record>> {
        if renames.is_empty() {
            return Ok(records);
        }
        let refuse = |message: &str| Err(Error::setting("--rename-label", message));
        let (task, problem_type) = (self.session.task()?, self.session.problem_type);
        if task == Task::QuestionAns || problem_type == ProblemType::Regression {
            return refuse("is for rows with classes");
        }
        let Some(labels) = &self.session.labels else {
            return refuse(
                "needs the names of the classes: --labels, --task-file, or an adapter that remembers them",
            );
        };
        let key = self.class_key(&records)?;
        ClassField { task, problem_type, key: &key, labels }.rename(records, renames)
    }

    /// The field of rows that holds their class.
    fn class_key(&self, records: &[Record]) -> Result<String> {
        let names = self.session.names_of_fields(records, self.text)?;
        match self.session.task()? {
            Task::TokenCls => Ok(names.name(Role::Tags).to_string()),
            task if task.is_language_model() => {
                class_field(self.session, self.text, &names, "--rename-label")
            }
            _ => Ok(names.name(Role::Label).to_string()),
        }
    }

    /// An error about one of the rows, with the way out where its label may be a class by another name. Rows that were not
    /// kept, and are not among the records, are read again.
    pub fn with_way_out(&self, error: Error, records: &[Record]) -> Error {
        let Some((first, row)) = self.row_of(&error, records) else { return error };
        let (session, problem_type) = (self.session, self.session.problem_type);
        let Some(labels) = session.labels.as_ref() else { return error };
        match (session.task(), self.class_key(&first)) {
            (Ok(task @ (Task::SeqCls | Task::TokenCls)), Ok(key))
                if problem_type != ProblemType::Regression =>
            {
                ClassField { task, problem_type, key: &key, labels }.with_way_out(error, &row)
            }
            _ => error,
        }
    }

    /// The row that an error is about, and the first of the rows.
    fn row_of(&self, error: &Error, records: &[Record]) -> Option<(Vec<Record>, Record)> {
        let (Error::Data { path, line, .. } | Error::UnknownClass { path, line, .. }) = error
        else {
            return None;
        };
        let is_row = |record: &Record| *record.path == **path && record.line == *line;
        if let Some(row) = records.iter().find(|record| is_row(record)) {
            return Some((records.iter().take(FIRST_ROWS).cloned().collect(), row.clone()));
        }
        // What a pipe held is gone.
        if !path.is_file() {
            return None;
        }
        let files = self.session.data_files(self.data, self.text).ok()?;
        let row = files.rows().filter_map(Result::ok).find(is_row)?;
        Some((files.first_rows().ok()?, row))
    }
}
