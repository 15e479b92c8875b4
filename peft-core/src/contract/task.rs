//! The tasks an adapter can be trained for, under our names and under PEFT's.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// What a model is asked to do with a row.
///
/// Configuration files and flags spell it as [`Task::name`], PEFT's adapter files as
/// [`Task::peft_name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Task {
    /// Continue a text: decoder-only models.
    #[serde(rename = "causal-lm")]
    CausalLm,
    /// Transform a source text into a target text: encoder-decoder models.
    #[serde(rename = "seq2seq-lm")]
    Seq2SeqLm,
    /// One class for a text or a pair of texts.
    #[serde(rename = "seq-cls")]
    SeqCls,
    /// One tag per word.
    #[serde(rename = "token-cls")]
    TokenCls,
    /// The span of a context that answers a question.
    #[serde(rename = "qa")]
    QuestionAns,
}

impl Task {
    /// All tasks, in the order of the help texts.
    pub const ALL: [Self; 5] =
        [Self::CausalLm, Self::Seq2SeqLm, Self::SeqCls, Self::TokenCls, Self::QuestionAns];

    /// The name in flags and run files, such as `causal-lm`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CausalLm => "causal-lm",
            Self::Seq2SeqLm => "seq2seq-lm",
            Self::SeqCls => "seq-cls",
            Self::TokenCls => "token-cls",
            Self::QuestionAns => "qa",
        }
    }

    /// Whether it predicts token ids with the model's language-model head, and so can generate text.
    pub const fn is_language_model(self) -> bool {
        matches!(self, Self::CausalLm | Self::Seq2SeqLm)
    }

    /// Whether the task has its own head, instead of the model's language-model head.
    pub const fn has_head(self) -> bool {
        matches!(self, Self::SeqCls | Self::TokenCls | Self::QuestionAns)
    }

    /// The name in the `task_type` key of PEFT's `adapter_config.json`, such as `CAUSAL_LM`.
    pub const fn peft_name(self) -> &'static str {
        match self {
            Self::CausalLm => "CAUSAL_LM",
            Self::Seq2SeqLm => "SEQ_2_SEQ_LM",
            Self::SeqCls => "SEQ_CLS",
            Self::TokenCls => "TOKEN_CLS",
            Self::QuestionAns => "QUESTION_ANS",
        }
    }

    /// Returns the task with this PEFT name; `None` for PEFT's names that are not supported
    /// (`FEATURE_EXTRACTION`), and for anything else.
    pub fn from_peft_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|task| task.peft_name() == name)
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Task {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|task| task.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::setting("task", format!("found `{name}`, expected one of {known}"))
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn all_spellings_agree_and_come_back() {
        for task in Task::ALL {
            assert_eq!(task.name().parse::<Task>().unwrap(), task);
            assert_eq!(Task::from_peft_name(task.peft_name()), Some(task));
            let json = serde_json::to_string(&task).unwrap();
            assert_eq!(json, format!("\"{task}\""));
            assert_eq!(serde_json::from_str::<Task>(&json).unwrap(), task);
        }
    }

    #[test]
    fn unknown_names_are_refused_with_the_known_ones() {
        let error = "seq_cls".parse::<Task>().unwrap_err().to_string();
        assert_eq!(
            error,
            "task: found `seq_cls`, expected one of causal-lm, seq2seq-lm, seq-cls, token-cls, qa"
        );
        assert!("".parse::<Task>().is_err());
        assert!("CAUSAL-LM".parse::<Task>().is_err());
        assert_eq!(Task::from_peft_name("FEATURE_EXTRACTION"), None);
        assert_eq!(Task::from_peft_name("causal-lm"), None);
        assert!(serde_json::from_str::<Task>("\"CAUSAL_LM\"").is_err());
    }
}
