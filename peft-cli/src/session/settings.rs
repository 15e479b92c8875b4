//! What a session knows of rows: what the flags say, or the task that they name, or else what its adapter remembers.

use peft_core::{
    Error, Result,
    evaluate::check_threshold,
    text::{FieldNames, Record, Role, Steps, Template},
    train::TrainConfig,
};

use super::Session;
use crate::{
    encoding::{ChatSettings, Lengths, parse_labels},
    scoring::Asked,
    settings::Settings,
    tasks::task_file::{COLUMNS, GROUP, METRICS, STEPS, TaskFile, group_of, text_metrics},
    text_settings::TextArgs,
};

impl Session {
    /// A text from the flags, otherwise from the recipe that the adapter remembers.
    pub(super) fn remembered(&self, flag: &Option<String>, key: &str) -> Option<String> {
        flag.clone().or_else(|| {
            let recipe = &self.adapter.as_ref()?.config.own.recipe;
            recipe.get(key)?.as_str().map(str::to_string)
        })
    }

    /// With the classes of the task that the flags name: if there are none yet, or those of a language model's adapter, which
    /// are words that it was taught for another task, unless the flags have `given` some, or the task renames the labels of
    /// its rows to the adapter's.
    ///
    /// # Errors
    ///
    /// As [`with_labels`](Self::with_labels).
    pub fn with_task_labels(mut self, text: &TextArgs, given: bool) -> Result<Self> {
        let Some(file) = task_file(text)? else { return Ok(self) };
        let renames = file.rename_labels.is_some_and(|pairs| !pairs.0.is_empty());
        let keeps = given || renames;
        let replaces = self.labels.is_none() || !keeps && self.task()?.is_language_model();
        match file.labels.filter(|_| replaces) {
            Some(list) if self.task()?.is_language_model() => {
                self.labels = Some(parse_labels(&list)?);
                Ok(self)
            }
            Some(list) => self.with_labels(Some(&list)),
            _ => Ok(self),
        }
    }

    /// The names of the columns of tables without a header: those of the task of the flags, otherwise of that of training.
    pub(super) fn task_columns(&self, text: &TextArgs) -> Result<Option<String>> {
        if let Some(file) = task_file(text)? {
            return Ok(file.columns);
        }
        let recipe = self.adapter.as_ref().map(|adapter| &adapter.config.own.recipe);
        let columns = recipe.and_then(|recipe| recipe.get(COLUMNS)?.as_str());
        Ok(columns.map(str::to_string))
    }

    /// What changes rows: the task of the flags, otherwise that of training.
    ///
    /// # Errors
    ///
    /// An error naming the task, or the step of the adapter, that cannot be used.
    pub fn steps(&self, text: &TextArgs) -> Result<Steps> {
        if let Some(file) = task_file(text)? {
            return Ok(file.steps);
        }
        let recipe = self.adapter.as_ref().map(|adapter| &adapter.config.own.recipe);
        match recipe.and_then(|recipe| recipe.get(STEPS)) {
            Some(steps) => Steps::parse(steps),
            None => Ok(Steps::default()),
        }
    }

    /// The metrics of texts that the task of the flags names, otherwise that of training.
    ///
    /// # Errors
    ///
    /// Returns an error if the task file cannot be read.
    pub fn task_metrics(&self, text: &TextArgs) -> Result<Vec<Asked>> {
        if let Some(file) = task_file(text)? {
            return Ok(file.metrics);
        }
        // Those of a later version are no reason to score nothing.
        let remembered = self.remembered(&None, METRICS);
        Ok(remembered.and_then(|list| text_metrics(&list).ok()).unwrap_or_default())
    }

    /// The field that says whether the words of a row's target are what a pronoun stands for, if the task of the flags is
    /// scored so.
    ///
    /// # Errors
    ///
    /// Returns an error if the task file cannot be read.
    pub fn referent(&self, text: &TextArgs) -> Result<Option<String>> {
        Ok(task_file(text)?.and_then(|file| file.referent))
    }

    /// What rows that belong together share, if they do: the task of the flags says it, otherwise that of training. One
    /// text a row.
    ///
    /// # Errors
    ///
    /// Returns an error naming the row whose fields cannot be used.
    pub fn groups(&self, records: &[Record], text: &TextArgs) -> Result<Option<Vec<String>>> {
        let recipe = self.adapter.as_ref().map(|adapter| &adapter.config.own.recipe);
        let templates = match task_file(text)? {
            Some(file) => file.group,
            None => {
                let remembered = recipe.and_then(|recipe| recipe.get(GROUP)?.as_array());
                let texts = remembered.into_iter().flatten().filter_map(|text| text.as_str());
                texts.map(|text| Template::parse(text, GROUP)).collect::<Result<_>>()?
            }
        };
        if templates.is_empty() {
            return Ok(None);
        }
        let of_row = |record: &Record| {
            let group = group_of(&templates, record)?;
            group.ok_or_else(|| {
                record.error("has none of the fields that say which rows belong together")
            })
        };
        records.iter().map(of_row).collect::<Result<Vec<_>>>().map(Some)
    }

    /// What the task of the flags says of the session's kind of task.
    fn task_settings(&self, text: &TextArgs) -> Result<Settings> {
        match task_file(text)? {
            Some(file) => file.settings(self.task()?).cloned(),
            None => Ok(Settings::default()),
        }
    }

    /// The names of fields that the flags give, otherwise those of the task that they name.
    pub(super) fn field_names(&self, text: &TextArgs) -> Result<FieldNames> {
        let mut names = text.fields.names();
        if names == FieldNames::default() {
            names = self.task_settings(text)?.field_names();
        }
        Ok(names)
    }

    /// What a file's columns are called without `--columns`: as in training.
    pub fn remembered_columns(&self) -> Option<String> {
        self.remembered(&None, "columns")
    }

    /// A template of the flags, or of the adapter: that gives way to fields that are `named`.
    fn template(
        &self,
        (flag, key): (&Option<String>, &str),
        named: bool,
    ) -> Result<Option<Template>> {
        let value = if named { flag.clone() } else { self.remembered(flag, key) };
        value.map(|value| Template::parse(&value, key)).transpose()
    }

    /// What makes the text or the source of a row, if a template does.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for one that is malformed.
    pub fn source_template(&self, text: &TextArgs) -> Result<Option<Template>> {
        let given = self.field_names(text)?;
        let named = [Role::Source, Role::Text].iter().any(|role| given.get(*role).is_some());
        let of_task = self.task_settings(text)?.source_template;
        self.template((&text.source_template.clone().or(of_task), "source_template"), named)
    }

    /// What makes the target of a row, if a template does.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for one that is malformed.
    pub fn target_template(&self, text: &TextArgs) -> Result<Option<Template>> {
        let named = text.fields.names().get(Role::Target).is_some();
        let of_task = self.task_settings(text)?.target_template;
        self.template((&text.target_template.clone().or(of_task), "target_template"), named)
    }

    /// Whether the adapter remembers that its training rows were pairs of texts.
    pub fn is_of_pairs(&self) -> bool {
        self.remembered(&None, Role::TextPair.setting()).is_some()
    }

    /// How conversations are rendered: by the flags, or otherwise as in training.
    pub(super) fn chat(&self, text: &TextArgs) -> Result<ChatSettings> {
        let ChatSettings { template, date } = text.settings().chat()?;
        let of_training = || Some((self.remembered(&None, "chat_template")?, "the adapter".into()));
        Ok(ChatSettings {
            template: template.or_else(of_training),
            date: self.remembered(&date, "chat_date"),
        })
    }

    /// A length from the flags, otherwise the one that the adapter was trained with.
    fn length(&self, flag: Option<usize>, key: &str) -> Option<usize> {
        flag.or_else(|| {
            let recipe = &self.adapter.as_ref()?.config.own.recipe;
            usize::try_from(recipe.get(key)?.as_u64()?).ok()
        })
    }

    /// What rows are cut to.
    pub(super) fn lengths(&self, text: &TextArgs) -> Lengths {
        let given = text.settings().lengths();
        Lengths {
            max_length: self.length(given.max_length, "max_length"),
            max_target_length: self.length(given.max_target_length, "max_target_length"),
            doc_stride: self.length(given.doc_stride, "doc_stride"),
        }
    }

    /// Tokens of an answer at most.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for 0.
    pub fn max_answer_length(&self, text: &TextArgs) -> Result<usize> {
        let length = self.length(text.max_answer_length, "max_answer_length");
        match length.unwrap_or(TrainConfig::default().max_answer_length) {
            0 => Err(Error::setting("--max-answer-length", "found 0, expected at least 1")),
            length => Ok(length),
        }
    }

    /// By how much no answer has to score above the best one; `None` if every question has an answer.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if it is no number.
    pub fn null_score_diff_threshold(&self, text: &TextArgs) -> Result<Option<f64>> {
        let threshold = text.null_score_diff_threshold.or_else(|| {
            let recipe = &self.adapter.as_ref()?.config.own.recipe;
            recipe.get("null_score_diff_threshold")?.as_f64()
        });
        check_threshold(threshold)?;
        Ok(threshold)
    }
}

/// The task that the flags name.
///
/// # Errors
///
/// As [`TaskFile::open`].
fn task_file(text: &TextArgs) -> Result<Option<TaskFile>> {
    text.task_file.as_deref().map(TaskFile::open).transpose()
}
