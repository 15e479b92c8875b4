//! The flags of `peft plan` that say what rows would be: of rows it reads the classes alone.

use clap::Args;
use peft_core::{Error, ProblemType, Result, Task};
use peft_models::cost::Batch;

use crate::{
    encoding::parse_labels,
    flags::{choices::at_least_one, help::FlagHelp},
    settings::{Settings, resolve::LARGEST},
};

/// What the rows of a step are.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Rows")]
pub struct RowArgs {
    /// Tokens of a row that the model reads, padding included; of an encoder-decoder those of its encoder.
    #[arg(long, value_name = "T", value_parser = at_least_one, show_default = "that of --max-length")]
    tokens_per_row: Option<usize>,
    /// seq2seq-lm: tokens of a target.
    #[arg(long, value_name = "T", value_parser = at_least_one, show_default = "that of --max-target-length")]
    target_tokens_per_row: Option<usize>,
    /// Tokens of a row with something to predict.
    #[arg(long, value_name = "N", value_parser = at_least_one, show_default = "all; seq-cls: the row as a whole")]
    labelled_per_row: Option<usize>,
    /// Classes of a head.
    #[arg(long, value_name = "C", value_parser = at_least_one, show_default = "those of --labels, else of the rows of --train, else 2")]
    classes: Option<usize>,
}

/// The most positions of a batch: a typing error beyond.
const MOST_POSITIONS: u64 = 1_000_000_000;

impl RowArgs {
    /// One batch of such rows. `predicts_first`: whether something predicts the first token of a row.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the flag that is missing, not for this task, or too large.
    pub fn batch(&self, settings: &Settings, task: Task, predicts_first: bool) -> Result<Batch> {
        let required = |flag: &str, other: &str| {
            Error::setting(flag, format!("is required, or {other}: no rows are read"))
        };
        let tokens = self
            .tokens_per_row
            .or(settings.max_length)
            .ok_or_else(|| required("--tokens-per-row", "--max-length"))?;
        let targets = self.target_tokens_per_row;
        let decoder_tokens = match (task, targets.or(settings.max_target_length)) {
            (Task::Seq2SeqLm, Some(targets)) => targets,
            (Task::Seq2SeqLm, None) => {
                return Err(required("--target-tokens-per-row", "--max-target-length"));
            }
            (_, _) if targets.is_some() => {
                let message = format!("not used by {task}, whose rows have no target of their own");
                return Err(Error::setting("--target-tokens-per-row", message));
            }
            (_, _) => 0,
        };
        // Only settings can be 0: flags begin at 1, and other tasks have no target.
        for (flag, setting, found, least) in [
            ("--tokens-per-row", "--max-length", tokens, 1),
            (
                "--target-tokens-per-row",
                "--max-target-length",
                decoder_tokens,
                usize::from(task == Task::Seq2SeqLm),
            ),
        ] {
            if found < least {
                let message = format!("found {found}, expected at least {least}, or {flag}");
                return Err(Error::setting(setting, message));
            }
            if found > LARGEST {
                let message = format!("found {found}, expected at most {LARGEST}");
                return Err(Error::setting(flag, message));
            }
        }
        let row = tokens + decoder_tokens;
        let rows = match (settings.batch_size, settings.batch_tokens) {
            (_, Some(budget)) => (budget / row).max(1),
            (rows, None) => rows.unwrap_or(1),
        };
        let positions = rows as u64 * row as u64;
        if positions > MOST_POSITIONS {
            let message = format!(
                "found {rows} rows of {row} tokens, expected at most {MOST_POSITIONS} tokens in all"
            );
            return Err(Error::setting("--batch-size", message));
        }
        let targets = rows * self.labelled(task, [tokens, decoder_tokens], predicts_first)?;
        let [rows, tokens, decoder_tokens, targets] =
            [rows, tokens, decoder_tokens, targets].map(|count| count as u64);
        Ok(Batch { rows, tokens, decoder_tokens, targets })
    }

    /// Positions of a row with something to predict.
    fn labelled(
        &self,
        task: Task,
        [tokens, decoder_tokens]: [usize; 2],
        predicts_first: bool,
    ) -> Result<usize> {
        let most = match task {
            Task::SeqCls => 1,
            Task::Seq2SeqLm => decoder_tokens,
            // Nothing stands before the first token.
            Task::CausalLm if !predicts_first => (tokens - 1).max(1),
            Task::CausalLm | Task::TokenCls | Task::QuestionAns => tokens,
        };
        match self.labelled_per_row {
            Some(found) if task == Task::CausalLm && found == tokens => Ok(most),
            Some(found) if found > most => {
                let message = format!("found {found}, a row of {task} has {most} here");
                Err(Error::setting("--labelled-per-row", message))
            }
            Some(_) if task == Task::QuestionAns => {
                let message = "not used by qa, which reads every token".to_string();
                Err(Error::setting("--labelled-per-row", message))
            }
            found => Ok(found.unwrap_or(most)),
        }
    }

    /// The classes of a head; `None` for a task without one.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for a task that has no classes to choose, or names of classes that are none.
    pub fn classes(&self, settings: &Settings, task: Task) -> Result<Option<usize>> {
        let named =
            settings.labels.as_deref().map(parse_labels).transpose().map_err(
                |error| match error {
                    Error::Setting { message, .. } => Error::setting("--labels", message),
                    other => other,
                },
            )?;
        let named = named.map(|labels| labels.len());
        let usual = if settings.problem_type == Some(ProblemType::Regression) { 1 } else { 2 };
        match task {
            _ if self.classes.is_some_and(|classes| classes > LARGEST) => {
                let found = self.classes.unwrap_or_default();
                let message = format!("found {found}, expected at most {LARGEST}");
                Err(Error::setting("--classes", message))
            }
            Task::QuestionAns | Task::CausalLm | Task::Seq2SeqLm if self.classes.is_some() => {
                let message = format!("not used by {task}, which has no classes");
                Err(Error::setting("--classes", message))
            }
            Task::CausalLm | Task::Seq2SeqLm => Ok(None),
            Task::QuestionAns => Ok(Some(2)),
            Task::SeqCls | Task::TokenCls => Ok(Some(self.classes.or(named).unwrap_or(usual))),
        }
    }

    /// Whether nothing says how many classes a head has that has as many as there are.
    pub fn assumes_classes(&self, settings: &Settings, task: Task) -> bool {
        matches!(task, Task::SeqCls | Task::TokenCls)
            && settings.problem_type != Some(ProblemType::Regression)
            && self.classes.is_none()
            && settings.labels.is_none()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const NONE: RowArgs = RowArgs {
        tokens_per_row: None,
        target_tokens_per_row: None,
        labelled_per_row: None,
        classes: None,
    };

    fn batch(args: RowArgs, settings: &Settings, task: Task) -> std::result::Result<Batch, String> {
        args.batch(settings, task, false).map_err(|error| error.to_string())
    }

    #[test]
    fn rows_are_those_of_flags_and_settings() {
        let of = |text: &str| toml::from_str::<Settings>(text).unwrap();
        let rows = RowArgs { tokens_per_row: Some(64), ..NONE };
        let eight = of("batch_size = 8\nmax_length = 10");
        let found = batch(rows, &eight, Task::CausalLm).unwrap();
        assert_eq!(found, Batch { rows: 8, tokens: 64, decoder_tokens: 0, targets: 8 * 63 });
        assert_eq!(rows.batch(&eight, Task::CausalLm, true).unwrap().targets, 512);
        assert_eq!(batch(rows, &eight, Task::SeqCls).unwrap().targets, 8);
        assert_eq!(batch(NONE, &eight, Task::TokenCls).unwrap().targets, 80);
        let quarter = RowArgs { labelled_per_row: Some(16), ..rows };
        assert_eq!(batch(quarter, &eight, Task::CausalLm).unwrap().targets, 128);
        let budget = of("batch_tokens = 400\nmax_target_length = 36");
        let found = batch(rows, &budget, Task::Seq2SeqLm).unwrap();
        assert_eq!(found, Batch { rows: 4, tokens: 64, decoder_tokens: 36, targets: 144 });
        for (labels, count) in [("a,b,c", 3), ("[\"a, b\", \"c\"]", 2)] {
            let named = Settings { labels: Some(labels.into()), ..Settings::default() };
            assert_eq!(rows.classes(&named, Task::SeqCls).unwrap(), Some(count));
            assert!(!rows.assumes_classes(&named, Task::SeqCls));
        }
        let three = RowArgs { classes: Some(3), ..rows };
        let regression = of("problem_type = \"regression\"");
        assert!(rows.assumes_classes(&eight, Task::TokenCls));
        assert!(!three.assumes_classes(&eight, Task::TokenCls));
        assert!(!rows.assumes_classes(&eight, Task::CausalLm));
        assert!(!rows.assumes_classes(&regression, Task::SeqCls));
    }

    #[test]
    fn what_makes_no_sense_is_told_by_its_flag() {
        let settings = Settings::default();
        let rows = RowArgs { tokens_per_row: Some(64), ..NONE };
        for (args, task, says) in [
            (NONE, Task::CausalLm, "--tokens-per-row: is required, or --max-length"),
            (rows, Task::Seq2SeqLm, "--target-tokens-per-row: is required"),
            (
                RowArgs { target_tokens_per_row: Some(3), ..rows },
                Task::SeqCls,
                "--target-tokens-per-row: not used by seq-cls",
            ),
            (
                RowArgs { labelled_per_row: Some(65), ..rows },
                Task::TokenCls,
                "--labelled-per-row: found 65",
            ),
            (
                RowArgs { tokens_per_row: Some(2_000_000), ..NONE },
                Task::CausalLm,
                "--tokens-per-row: found 2000000",
            ),
        ] {
            let error = batch(args, &settings, task).unwrap_err();
            assert!(error.starts_with(says), "{error}");
        }
        let of = |text: &str| toml::from_str::<Settings>(text).unwrap();
        for (text, task, says) in [
            ("max_length = 0\nbatch_tokens = 100", Task::SeqCls, "--max-length: found 0"),
            ("max_length = 0", Task::CausalLm, "--max-length: found 0"),
            (
                "max_length = 9\nmax_target_length = 0",
                Task::Seq2SeqLm,
                "--max-target-length: found 0",
            ),
        ] {
            let error = batch(NONE, &of(text), task).unwrap_err();
            assert!(error.starts_with(says), "{error}");
        }
        let twice = Settings { labels: Some("a,a".into()), ..Settings::default() };
        assert!(
            rows.classes(&twice, Task::SeqCls).unwrap_err().to_string().starts_with("--labels: ")
        );
        let classes = RowArgs { classes: Some(3), ..rows }.classes(&settings, Task::CausalLm);
        assert!(classes.unwrap_err().to_string().starts_with("--classes: not used by causal-lm"));
    }
}
