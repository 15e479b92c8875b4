//! How a session reads rows and prompts: by the flags, or else as its adapter was trained.

use std::{path::Path, sync::Arc};

use peft_core::{
    ContextBudget, Error, Head, ProblemType, Result, Task,
    evaluate::{Predictor, check_threshold},
    text::{
        Encoded, Encoder, FIRST_ROWS, FieldNames, FoundFields, Record, Role, Steps, Template,
        Wanted, find_fields,
    },
    train::TrainConfig,
};

use super::Session;
use crate::{
    data_files::DataFiles,
    encode_rows::{encode, texts},
    encoding::{
        ChatArgs, ChatSettings, EncodeSettings, Lengths, check_lengths, check_sources, parse_labels,
    },
    fields::{self, ChosenFields},
    scoring::Asked,
    settings::Settings,
    tasks::task_file::{COLUMNS, GROUP, METRICS, STEPS, TaskFile, group_of, text_metrics},
    text_settings::TextArgs,
};

/// What is known of the fields of rows before a file is looked at.
struct Known {
    given: FieldNames,
    preferred: FieldNames,
    source_template: Option<Template>,
    target_template: Option<Template>,
}

impl Known {
    fn wanted(&self, task: Task, targets: bool) -> Wanted<'_> {
        Wanted {
            task,
            given: &self.given,
            preferred: &self.preferred,
            source_template: self.source_template.is_some(),
            target_template: self.target_template.is_some(),
            targets,
        }
    }
}

impl Session {
    /// What scores and predicts with the adapter.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if a head is missing.
    pub fn predictor(&self) -> Result<Predictor<'_>> {
        let (task, head) = (self.task()?, self.head.as_ref());
        let predictor = Predictor::new(self.model(), &self.virtual_tokens, head, task)?;
        Ok(predictor.with_pooling(self.pooling).with_problem_type(self.problem_type))
    }

    /// A text from the flags, otherwise from the recipe that the adapter remembers.
    fn remembered(&self, flag: &Option<String>, key: &str) -> Option<String> {
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

    /// The data files that `names` stand for.
    ///
    /// # Errors
    ///
    /// Returns an error naming the file, the pattern or the folder that is wrong.
    pub fn data_files<P: AsRef<Path>>(&self, names: &[P], text: &TextArgs) -> Result<DataFiles> {
        let columns = self.remembered(&text.columns, "columns");
        let files = DataFiles::find(names, columns.as_deref(), text.columns.is_none())?;
        let of_task = self.task_columns(text)?;
        Ok(files.with_columns_of_task(of_task.as_deref()).with_steps(self.steps(text)?, false))
    }

    /// Reads data files as rows to train on, some of which a task may leave out.
    ///
    /// # Errors
    ///
    /// Returns an error naming the file and line that is wrong.
    pub fn read_training<P: AsRef<Path>>(
        &self,
        names: &[P],
        text: &TextArgs,
    ) -> Result<Vec<Record>> {
        let files = self.data_files(names, text)?.with_steps(self.steps(text)?, true);
        files.rows().collect()
    }

    /// The names of the columns of tables without a header: those of the task of the flags, otherwise of that of training.
    fn task_columns(&self, text: &TextArgs) -> Result<Option<String>> {
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
    fn field_names(&self, text: &TextArgs) -> Result<FieldNames> {
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

    /// Reads and encodes data files. Their rows are not kept.
    ///
    /// # Errors
    ///
    /// Returns an error naming the file and line that is wrong.
    pub fn encode<P: AsRef<Path>>(
        &self,
        names: &[P],
        text: &TextArgs,
        targets: bool,
    ) -> Result<Encoded> {
        text.check_task(self.task()?)?;
        let files = self.data_files(names, text)?;
        let how = (text, &ChatArgs::default());
        let encoded = self.encode_rows(files.first_rows()?, files.rows(), how, targets)?;
        self.check_lengths(&encoded, 0)?;
        Ok(encoded)
    }

    /// Reads data files.
    ///
    /// # Errors
    ///
    /// Returns an error naming the file and line that is wrong.
    pub fn read<P: AsRef<Path>>(&self, names: &[P], text: &TextArgs) -> Result<Vec<Record>> {
        text.check_task(self.task()?)?;
        self.data_files(names, text)?.rows().collect()
    }

    /// Reads and encodes data files without targets, and keeps their rows.
    ///
    /// # Errors
    ///
    /// Returns an error naming the file and line that is wrong.
    pub fn read_and_encode<P: AsRef<Path>>(
        &self,
        names: &[P],
        text: &TextArgs,
        asked: &ChatArgs,
    ) -> Result<(Vec<Record>, Encoded)> {
        let records = self.read(names, text)?;
        let encoded = self.encode_kept(&records, (text, asked), false)?;
        self.check_lengths(&encoded, 0)?;
        Ok((records, encoded))
    }

    /// Encodes records, by the flags or otherwise as the adapter remembers.
    ///
    /// # Errors
    ///
    /// Returns an error naming the file and line that is wrong.
    pub fn encode_records(
        &self,
        records: &[Record],
        text: &TextArgs,
        targets: bool,
    ) -> Result<Encoded> {
        self.encode_kept(records, (text, &ChatArgs::default()), targets)
    }

    fn encode_kept(
        &self,
        records: &[Record],
        how: (&TextArgs, &ChatArgs),
        targets: bool,
    ) -> Result<Encoded> {
        let first = records.iter().take(FIRST_ROWS).cloned().collect();
        self.encode_rows(first, records.iter().cloned().map(Ok), how, targets)
    }

    /// What the fields that are read of rows are called.
    ///
    /// # Errors
    ///
    /// Returns an error naming the file, and what its rows lack.
    pub fn names_of_fields(&self, records: &[Record], text: &TextArgs) -> Result<FieldNames> {
        let first: Vec<Record> = records.iter().take(FIRST_ROWS).cloned().collect();
        let known = self.known(text)?;
        Ok(find_fields(&first, &known.wanted(self.task()?, true))?.names)
    }

    /// Encodes rows, the first of which tell which fields there are.
    fn encode_rows(
        &self,
        first: Vec<Record>,
        rows: impl Iterator<Item = Result<Record>>,
        (text, asked): (&TextArgs, &ChatArgs),
        targets: bool,
    ) -> Result<Encoded> {
        let known = self.known(text)?;
        let wanted = known.wanted(self.task()?, targets);
        let found = fields::find(&first, &wanted)?;
        let rows = ChosenFields::new(first, wanted, found.clone()).watch(rows);
        let config = self.settings(&known, found, (text, asked), targets)?;
        let encoded = encode(&self.base, &self.dir, rows, &config)?;
        text.settings()
            .check_rendered(&[&encoded], if targets { "" } else { ", or give --chat" })?;
        Ok(encoded)
    }

    /// What reads the sources of a language model's rows as texts, and with `targets` their targets. The rows tell which
    /// fields there are.
    ///
    /// # Errors
    ///
    /// Returns an error naming the setting or the file that is wrong.
    pub fn texts_of(&self, records: &[Record], text: &TextArgs, targets: bool) -> Result<Encoder> {
        let known = self.known(text)?;
        let first = &records[..records.len().min(FIRST_ROWS)];
        let found = find_fields(first, &known.wanted(self.task()?, targets))?;
        let config = self.settings(&known, found, (text, &ChatArgs::default()), targets)?;
        texts(&self.base, &config)
    }

    /// What the flags and the adapter say of the fields of rows.
    fn known(&self, text: &TextArgs) -> Result<Known> {
        let recipe = self.adapter.as_ref().map(|adapter| &adapter.config.own.recipe);
        Ok(Known {
            given: self.field_names(text)?,
            preferred: recipe.map_or_else(FieldNames::default, fields::remembered),
            source_template: self.source_template(text)?,
            target_template: self.target_template(text)?,
        })
    }

    /// How rows with these fields are encoded.
    fn settings(
        &self,
        known: &Known,
        found: FoundFields,
        (text, asked): (&TextArgs, &ChatArgs),
        targets: bool,
    ) -> Result<EncodeSettings> {
        Ok(EncodeSettings {
            task: self.task()?,
            problem_type: self.problem_type,
            labels: self.labels.clone(),
            num_classes: self.classifier().map(Head::num_classes),
            fields: found.names,
            source_template: known.source_template.clone().or(found.source_template),
            source_prefix: self.source_prefix.clone(),
            target_template: known.target_template.clone(),
            chat: self.chat(text)?,
            asked: asked.clone(),
            lengths: self.lengths(text),
            skip_unlabelled: self.skip_unlabelled,
            targets,
        })
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
    fn chat(&self, text: &TextArgs) -> Result<ChatSettings> {
        let ChatSettings { template, date } = text.settings().chat()?;
        let of_training = || Some((self.remembered(&None, "chat_template")?, "the adapter".into()));
        Ok(ChatSettings {
            template: template.or_else(of_training),
            date: self.remembered(&date, "chat_date"),
        })
    }

    /// The text `prompt` as token ids, encoded like the text of a row. Of the templates, only those of the flags are
    /// used; remembered ones are for rows.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if it has no tokens, [`Error::TokenId`] if it has one that the model does not
    /// know; also if it is asked, and the model has no chat template, or its template refuses it.
    pub fn encode_prompt(
        &self,
        prompt: &str,
        text: &TextArgs,
        asked: &ChatArgs,
    ) -> Result<Vec<u32>> {
        let template = |value: &Option<String>, key: &str| {
            value.as_deref().map(|value| Template::parse(value, key)).transpose()
        };
        let fields = [("text".to_string(), prompt.into())].into_iter().collect();
        let record = Record::new(Arc::from(Path::new("--prompt")), 1, fields);
        let config = EncodeSettings {
            task: if self.model().spec().is_encoder_decoder() {
                Task::Seq2SeqLm
            } else {
                Task::CausalLm
            },
            problem_type: ProblemType::default(),
            labels: None,
            num_classes: None,
            fields: FieldNames::default(),
            source_template: template(&text.source_template, "source_template")?,
            source_prefix: None,
            target_template: template(&text.target_template, "target_template")?,
            chat: self.chat(text)?,
            asked: asked.clone(),
            lengths: Lengths { max_length: self.lengths(text).max_length, ..Lengths::default() },
            skip_unlabelled: false,
            targets: false,
        };
        let encoded = encode(&self.base, &self.dir, std::iter::once(Ok(record)), &config)?;
        Ok(encoded.examples.into_iter().next().map_or_else(Vec::new, |row| row.input_ids))
    }

    /// A length from the flags, otherwise the one that the adapter was trained with.
    fn length(&self, flag: Option<usize>, key: &str) -> Option<usize> {
        flag.or_else(|| {
            let recipe = &self.adapter.as_ref()?.config.own.recipe;
            usize::try_from(recipe.get(key)?.as_u64()?).ok()
        })
    }

    /// What rows are cut to.
    fn lengths(&self, text: &TextArgs) -> Lengths {
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

    /// Checks that rows, and what is to be generated, fit the model's positions, and that rows with targets have a place for
    /// an infix, if the adapter is one.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] at the first row that does not.
    pub fn check_lengths(&self, rows: &Encoded, new_tokens: usize) -> Result<()> {
        check_sources(&self.virtual_tokens, rows)?;
        let budget = ContextBudget::new(self.model().spec(), &self.virtual_tokens);
        check_lengths(budget, rows, new_tokens)
    }
}

/// The task that the flags name.
///
/// # Errors
///
/// As [`TaskFile::open`].
pub fn task_file(text: &TextArgs) -> Result<Option<TaskFile>> {
    text.task_file.as_deref().map(TaskFile::open).transpose()
}
