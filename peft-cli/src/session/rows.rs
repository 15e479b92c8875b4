//! How a session reads rows and prompts.

use std::{borrow::Cow, path::Path, sync::Arc};

use peft_core::{
    ContextBudget, Head, ProblemType, Result, Task,
    evaluate::Predictor,
    text::{
        Encoded, Encoder, FIRST_ROWS, FieldNames, FoundFields, Record, Role, Template, Wanted,
        find_fields,
    },
};

use super::Session;
use crate::{
    data_files::DataFiles,
    encode_rows::{encode, tell_left_out, texts},
    encoding::{ChatArgs, EncodeSettings, Lengths, check_lengths, check_sources},
    fields::{self, ChosenFields},
    output,
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
    /// [`Error::Mismatch`](peft_core::Error::Mismatch) if a head is missing.
    pub fn predictor(&self) -> Result<Predictor<'_>> {
        let (task, head) = (self.task()?, self.head.as_ref());
        let predictor = Predictor::new(self.model(), &self.virtual_tokens, head, task)?;
        Ok(predictor.with_pooling(self.pooling).with_problem_type(self.problem_type))
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

    /// The rows of a language model to score or to draw from, without those that have no target where such are left out,
    /// which is told.
    ///
    /// # Errors
    ///
    /// As [`texts_of`](Self::texts_of).
    pub fn with_targets<'r>(
        &self,
        records: &'r [Record],
        text: &TextArgs,
    ) -> Result<Cow<'r, [Record]>> {
        if !self.skip_unlabelled {
            return Ok(Cow::Borrowed(records));
        }
        let reader = self.texts_of(records, text, true)?;
        let is_kept = |record: &&Record| !reader.config().leaves_out(record);
        let kept: Vec<Record> = records.iter().filter(is_kept).cloned().collect();
        tell_left_out(records.len() - kept.len(), records.len(), self.task()?);
        // That none has one is told where they are encoded.
        Ok(if kept.is_empty() { Cow::Borrowed(records) } else { Cow::Owned(kept) })
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
        if let Some((path, _)) = &encoded.first_single
            && encoded.single == encoded.texts
            && self.is_of_pairs()
        {
            output::note(format!(
                "warning: the adapter was trained on pairs of texts, and the rows of {} have no second text (`{}`): \
                 --text-pair-field names the field that has it",
                path.display(),
                encoded.fields.name(Role::TextPair)
            ));
        }
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

    /// The text `prompt` as token ids, encoded like the text of a row. Of the templates, only those of the flags are
    /// used; remembered ones are for rows.
    ///
    /// # Errors
    ///
    /// [`Error::Data`](peft_core::Error::Data) if it has no tokens,
    /// [`Error::TokenId`](peft_core::Error::TokenId) if it has one that the model does not
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

    /// Checks that rows, and what is to be generated, fit the model's positions, and that rows with targets have a place for
    /// an infix, if the adapter is one.
    ///
    /// # Errors
    ///
    /// [`Error::Data`](peft_core::Error::Data) at the first row that does not.
    pub fn check_lengths(&self, rows: &Encoded, new_tokens: usize) -> Result<()> {
        check_sources(&self.virtual_tokens, rows)?;
        let budget = ContextBudget::new(self.model().spec(), &self.virtual_tokens)
            .with_uncounted(self.model().uncounted_token());
        check_lengths(budget, rows, new_tokens)
    }
}
