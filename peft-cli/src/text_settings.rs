//! How texts become rows: the flags, and what they have in common with the settings of a run.

use std::{fmt::Display, path::PathBuf};

use clap::Args;
use peft_core::{
    Error, Result, Task,
    text::{Encoded, EncoderConfig, FieldNames},
    train::TrainConfig,
};

use crate::{
    encoding::{ChatSettings, Lengths},
    fields::FieldArgs,
    flags::help::FlagHelp,
};

/// Flags that say how texts become rows. An adapter remembers those that it was trained with.
#[derive(Args, Clone, Debug, Default)]
pub struct TextArgs {
    /// Task in TOML: its templates, classes, and what its rows become; a file, or one that comes with the program (peft
    /// tasks lists them).
    #[arg(long, value_name = "NAME|FILE", show_default = as_in_training("none"))]
    pub task_file: Option<PathBuf>,
    /// Names of the columns of CSV and TSV files without a header, and of CoNLL files (tokens,tags,), separated by
    /// commas; a column without a name is not read.
    #[arg(long, value_name = "LIST", show_default = as_in_training("the first row of the file"))]
    pub columns: Option<String>,
    /// Template that makes the input from a row's fields: "{premise} so {hypothesis}".
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub source_template: Option<String>,
    /// Template that makes the target from a row's fields.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub target_template: Option<String>,
    /// File of the chat template that renders conversations.
    #[arg(long, value_name = "FILE", show_default = as_in_training("the model's own"))]
    pub chat_template: Option<PathBuf>,
    /// Day that a chat template prints, if it prints one: 2026-01-31.
    #[arg(long, value_name = "DAY", show_default = as_in_training("today, in UTC"))]
    pub chat_date: Option<String>,
    /// Tokens kept of each row.
    #[arg(long, value_name = "T", show_default = as_in_training("all"))]
    pub max_length: Option<usize>,
    /// seq2seq-lm: tokens kept of each target.
    #[arg(long, value_name = "T", show_default = as_in_training("all"))]
    pub max_target_length: Option<usize>,
    /// qa: tokens that neighbouring windows onto a long context share.
    #[arg(long, value_name = "N", show_default = as_in_training(default_doc_stride()))]
    pub doc_stride: Option<usize>,
    /// qa: tokens of an answer at most.
    #[arg(long, value_name = "N", show_default = as_in_training(
        TrainConfig::default().max_answer_length))]
    pub max_answer_length: Option<usize>,
    /// qa: a question has no answer where the score of none is above that of the best answer by more than this, in
    /// logits.
    #[arg(long, value_name = "N", allow_negative_numbers = true, show_default = as_in_training(
        "every question has an answer, unless rows to score have none"))]
    pub null_score_diff_threshold: Option<f64>,
    /// What fields are called.
    #[command(flatten)]
    pub fields: FieldArgs,
}

/// A flag, whether it is given, and the only task that uses it.
type Given = (&'static str, bool, Task);

/// Settings of texts, from flags or of a run; most are of one task alone.
#[derive(Clone, Debug, Default)]
pub struct TextSettings {
    /// Tokens kept of each row.
    pub max_length: Option<usize>,
    /// Tokens kept of each target.
    pub max_target_length: Option<usize>,
    /// Tokens that neighbouring windows onto a context share.
    pub doc_stride: Option<usize>,
    /// Tokens of an answer at most.
    pub max_answer_length: Option<usize>,
    /// By how much no answer has to score above the best one.
    pub null_score_diff_threshold: Option<f64>,
    /// File of the chat template.
    pub chat_template: Option<PathBuf>,
    /// Day that it prints.
    pub chat_date: Option<String>,
    /// What fields are called.
    pub fields: FieldNames,
}

impl TextSettings {
    fn of_one_task(&self) -> [Given; 6] {
        [
            ("--max-target-length", self.max_target_length.is_some(), Task::Seq2SeqLm),
            ("--doc-stride", self.doc_stride.is_some(), Task::QuestionAns),
            ("--max-answer-length", self.max_answer_length.is_some(), Task::QuestionAns),
            (
                "--null-score-diff-threshold",
                self.null_score_diff_threshold.is_some(),
                Task::QuestionAns,
            ),
            ("--chat-template", self.chat_template.is_some(), Task::CausalLm),
            ("--chat-date", self.chat_date.is_some(), Task::CausalLm),
        ]
    }

    /// Refuses what is given and the task does not use.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the flag.
    pub fn check_task(&self, task: Task) -> Result<()> {
        self.fields.check_task(task)?;
        match self.of_one_task().into_iter().find(|(_, given, of)| *given && *of != task) {
            Some((flag, _, of)) => {
                Err(Error::setting(flag, format!("not used by {task}, it is a setting of {of}")))
            }
            None => Ok(()),
        }
    }

    /// Refuses settings of conversations that are given, where no row was one.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the flag, with a further `way_out`.
    pub fn check_rendered(&self, rows: &[&Encoded], way_out: &str) -> Result<()> {
        let none = rows.iter().all(|rows| rows.conversations == 0);
        let of_chats = |(_, given, task): &Given| *given && *task == Task::CausalLm;
        match self.of_one_task().into_iter().find(of_chats).filter(|_| none) {
            Some((flag, ..)) => {
                let message =
                    format!("is for conversations, and no row is one: leave it out{way_out}");
                Err(Error::setting(flag, message))
            }
            None => Ok(()),
        }
    }

    /// What rows are cut to.
    pub fn lengths(&self) -> Lengths {
        Lengths {
            max_length: self.max_length,
            max_target_length: self.max_target_length,
            doc_stride: self.doc_stride,
        }
    }

    /// How conversations are rendered.
    ///
    /// # Errors
    ///
    /// Returns an error naming the template's file, if it cannot be read as text.
    pub fn chat(&self) -> Result<ChatSettings> {
        let template = self.chat_template.as_deref().map(ChatSettings::template_of).transpose()?;
        Ok(ChatSettings { template, date: self.chat_date.clone() })
    }
}

impl TextArgs {
    /// The settings that are given.
    pub fn settings(&self) -> TextSettings {
        TextSettings {
            max_length: self.max_length,
            max_target_length: self.max_target_length,
            doc_stride: self.doc_stride,
            max_answer_length: self.max_answer_length,
            null_score_diff_threshold: self.null_score_diff_threshold,
            chat_template: self.chat_template.clone(),
            chat_date: self.chat_date.clone(),
            fields: self.fields.names(),
        }
    }

    /// Refuses flags that a task does not use.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the flag.
    pub fn check_task(&self, task: Task) -> Result<()> {
        self.settings().check_task(task)
    }

    /// Refuses flags for the rows of a file, where a text is given by a flag.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the flag.
    pub fn check_text(&self, given_by: &str) -> Result<()> {
        let settings = self.settings();
        let field = settings.fields.iter().next().map(|(role, _)| role.setting());
        let of_file = [
            ("--columns", self.columns.is_some()),
            ("--task-file", self.task_file.is_some()),
            ("--target-template", self.target_template.is_some()),
        ];
        let of_file = of_file.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag);
        match field.or(of_file) {
            Some(flag) => {
                let message = format!("is for rows of a file (--input), not for {given_by}");
                Err(Error::setting(flag, message))
            }
            None => Ok(()),
        }
    }

    /// As [`check_text`](Self::check_text), for a text to continue, of no task.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the flag.
    pub fn check_prompt(&self, chat: bool) -> Result<()> {
        self.check_text("--prompt")?;
        let settings = self.settings();
        let (of_chat, of_tasks): (Vec<Given>, Vec<Given>) =
            settings.of_one_task().into_iter().partition(|(.., task)| *task == Task::CausalLm);
        if let Some((flag, ..)) = of_tasks.iter().find(|(_, given, _)| *given) {
            return Err(Error::setting(*flag, "is for rows of a file (--input), not for --prompt"));
        }
        if let Some((flag, ..)) = of_chat.iter().find(|(_, given, _)| *given && !chat) {
            return Err(Error::setting(*flag, "is for conversations: give --chat, too"));
        }
        match chat && self.source_template.is_some() {
            true => Err(Error::setting("--source-template", "not used by --chat")),
            false => Ok(()),
        }
    }
}

fn as_in_training(otherwise: impl Display) -> String {
    format!("as in training, otherwise {otherwise}")
}

/// Tokens that neighbouring windows onto a context share, if nothing else is said.
pub fn default_doc_stride() -> usize {
    EncoderConfig::new(Task::QuestionAns, 0).doc_stride
}
