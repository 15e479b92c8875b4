//! What rows are encoded with, and whether they fit the model.

use std::path::Path;

use clap::Args;
use peft_core::{
    Adapter, ContextBudget, ProblemType, Result, Task, VirtualTokens,
    data::Labels,
    error::Error,
    evaluate::checks::infix_fault,
    formats::read,
    text::{ChatSource, Clock, Encoded, FieldNames, Template},
};
use serde_json::{Value, json};

/// Flags that ask texts instead of continuing them.
#[derive(Args, Clone, Debug, Default)]
pub struct ChatArgs {
    /// Answer texts, by the model's chat template, instead of continuing them.
    #[arg(long)]
    pub chat: bool,
    /// Message of the system, for texts and for conversations that have none.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, requires = "chat")]
    pub system: Option<String>,
}

/// The label list that a file stores. It is no flag that is wrong if it cannot be used.
///
/// # Errors
///
/// [`Error::Mismatch`] naming whose list it is.
pub fn stored_labels(names: Vec<String>, whose: &str) -> Result<Labels> {
    Labels::from_list(names).map_err(|error| match error {
        Error::Setting { message, .. } => {
            Error::Mismatch(format!("the labels of the {whose}: {message}"))
        }
        other => other,
    })
}

/// The label list that an adapter stores, if it does.
///
/// # Errors
///
/// As [`stored_labels`].
pub fn adapter_labels(adapter: &Adapter) -> Result<Option<Labels>> {
    let own = &adapter.config.own;
    let labels = own.labels.clone().map(|names| stored_labels(names, "adapter")).transpose()?;
    Ok(match own.recipe.get(SORTED_LABELS).and_then(Value::as_bool) {
        Some(true) => labels.map(Labels::sorted),
        _ => labels,
    })
}

/// What an adapter remembers where nobody gave its classes an order.
pub const SORTED_LABELS: &str = "sorted_labels";

/// Checks that a task has a problem type.
///
/// # Errors
///
/// [`Error::Setting`] if it has none.
pub fn check_problem_type(task: Task) -> Result<()> {
    match task {
        Task::SeqCls => Ok(()),
        other => Err(Error::setting(
            "problem_type",
            format!("not used by {other}, it is a setting of {}", Task::SeqCls),
        )),
    }
}

/// The class names of `--labels`: separated by commas, or a JSON list.
///
/// # Errors
///
/// [`Error::Setting`] for an empty name, one given twice, or a JSON list that is none.
pub fn parse_labels(list: &str) -> Result<Labels> {
    // So begins a list that is JSON: names in it may have commas.
    let inside = list.trim_start().strip_prefix('[').map(str::trim_start);
    if !inside.is_some_and(|inside| inside.starts_with('"')) {
        return Labels::from_list(list.split(',').map(|name| name.trim().to_string()).collect());
    }
    let names = serde_json::from_str(list).map_err(|error| {
        let message = format!(
            "found {list}, expected names separated by commas, or a JSON list of them such as [\"a, b\", \"c\"]: {error}"
        );
        Error::setting("labels", message)
    })?;
    Labels::from_list(names)
}

/// Class names as [`parse_labels`] reads them.
pub fn label_list(labels: &Labels) -> String {
    let list = labels.names().join(",");
    match parse_labels(&list).is_ok_and(|read| read == *labels) {
        true => list,
        false => json!(labels.names()).to_string(),
    }
}

/// What rows are cut to, in tokens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lengths {
    /// Of a row.
    pub max_length: Option<usize>,
    /// Of an encoder-decoder's target.
    pub max_target_length: Option<usize>,
    /// Shared by neighbouring windows onto a context.
    pub doc_stride: Option<usize>,
}

/// How conversations are rendered.
#[derive(Clone, Debug, Default)]
pub struct ChatSettings {
    /// A template in place of the model's own, and where it comes from.
    pub template: Option<(String, String)>,
    /// The day that it prints.
    pub date: Option<String>,
}

impl ChatSettings {
    /// The template of a file.
    ///
    /// # Errors
    ///
    /// Returns an error naming the file, if it cannot be read as text.
    pub fn template_of(path: &Path) -> Result<(String, String)> {
        Ok((read::text(path)?, path.display().to_string()))
    }

    /// The templates of the model in the folder `dir`, or the one that takes their place, with the special tokens that
    /// they may print.
    ///
    /// # Errors
    ///
    /// Returns an error naming the file or the flag that is wrong.
    pub fn source(&self, dir: &Path, special_tokens: &[(String, String)]) -> Result<ChatSource> {
        let clock = self.date.as_deref().map_or_else(|| Ok(Clock::now()), Clock::parse)?;
        let given = self.template.as_ref().map(|(text, origin)| (text.as_str(), origin.as_str()));
        ChatSource::read(dir, special_tokens, given, clock)
    }
}

/// How rows are encoded.
#[derive(Clone, Debug)]
pub struct EncodeSettings {
    /// The task.
    pub task: Task,
    /// What the labels of a row are.
    pub problem_type: ProblemType,
    /// The names of the classes.
    pub labels: Option<Labels>,
    /// C, if it is known.
    pub num_classes: Option<usize>,
    /// The names of the fields.
    pub fields: FieldNames,
    /// Template of the source.
    pub source_template: Option<Template>,
    /// What stands in front of every source.
    pub source_prefix: Option<String>,
    /// Template of the target.
    pub target_template: Option<Template>,
    /// How conversations are rendered.
    pub chat: ChatSettings,
    /// Whether texts are asked.
    pub asked: ChatArgs,
    /// What rows are cut to.
    pub lengths: Lengths,
    /// Whether rows without a label are left out.
    pub skip_unlabelled: bool,
    /// Whether rows have targets.
    pub targets: bool,
}

/// What to do about a row that is too long: the flag that cuts it, with the most tokens that fit.
pub fn way_out(error: &Error, flag: &str) -> String {
    let (virtual_tokens, tokens, new_tokens, limit) = match *error {
        Error::TooLong { virtual_tokens, tokens, new_tokens, limit } => {
            (virtual_tokens, tokens, new_tokens, limit)
        }
        Error::TooWide { virtual_tokens, tokens, limit, .. } => (virtual_tokens, tokens, 0, limit),
        _ => return String::new(),
    };
    // The last new token needs no position.
    let taken = virtual_tokens.saturating_add(new_tokens.saturating_sub(1));
    let is_cut = new_tokens == 0 || flag != "--max-target-length";
    if let Some(fit) = limit.checked_sub(taken).filter(|fit| *fit > 0 && is_cut) {
        return format!("; {flag} {fit} cuts rows of text to what fits");
    }
    let space = limit.saturating_sub(virtual_tokens);
    match (space + 1).saturating_sub(tokens) {
        _ if new_tokens == 0 || space == 0 => "; there is no space for text".into(),
        0 => format!(
            "; {flag} N cuts rows of text, and N tokens with those of --max-new-tokens may be {}",
            space + 1
        ),
        most => format!("; --max-new-tokens {most} is the most that fits here"),
    }
}

/// Checks that rows and new tokens fit the positions that virtual tokens leave.
///
/// # Errors
///
/// [`Error::Data`] at the first row that does not.
pub fn check_lengths(budget: ContextBudget, rows: &Encoded, new_tokens: usize) -> Result<()> {
    // The decoder of an encoder-decoder also reads the token it starts from.
    let start = usize::from(new_tokens > 0);
    rows.examples.iter().enumerate().try_for_each(|(index, row)| {
        let (tokens, of_decoder) = (budget.counted(&row.input_ids), start.max(row.decoder_len()));
        budget.check_row(&row.input_ids, of_decoder, new_tokens).map_err(|error| {
            // A model of one stack has no tokens of a decoder, and counts the new ones behind the row.
            let of_row = |tokens_found: usize| row.decoder_len() == 0 && tokens_found == tokens;
            let flag = match &error {
                Error::TooLong { tokens: found, .. } | Error::TooWide { tokens: found, .. }
                    if of_row(*found) || budget.check(tokens, 0, 0).is_err() =>
                {
                    "--max-length"
                }
                _ => "--max-target-length",
            };
            let path = rows.file_of(index).unwrap_or(Path::new(""));
            Error::data(path, row.line, format!("{error}{}", way_out(&error, flag)))
        })
    })
}

/// Checks that an infix has one place in each row, if the virtual tokens are one.
///
/// # Errors
///
/// [`Error::Data`] at the first row in which it has none, or several.
pub fn check_sources(virtual_tokens: &VirtualTokens, rows: &Encoded) -> Result<()> {
    if !virtual_tokens.infix {
        return Ok(());
    }
    rows.examples.iter().enumerate().try_for_each(|(index, row)| match infix_fault(row) {
        Some(fault) => {
            let path = rows.file_of(index).unwrap_or(Path::new(""));
            Err(Error::data(path, row.line, fault))
        }
        None => Ok(()),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn stored_labels_blame_whose_they_are() {
        let twice = vec!["a".to_string(), "a".to_string()];
        let error = stored_labels(twice, "adapter").map_err(|error| error.to_string());
        let expected = "the labels of the adapter: `a` is both label 0 and label 1";
        assert_eq!(error.err().as_deref(), Some(expected));
    }

    #[test]
    fn what_is_too_long_is_told_with_the_number_that_fits() {
        let of = |(virtual_tokens, tokens, new_tokens), flag| {
            way_out(&Error::TooLong { virtual_tokens, tokens, new_tokens, limit: 64 }, flag)
        };
        for (row, says) in [
            ((4, 90, 0), "; --max-length 60 cuts rows of text to what fits"),
            ((4, 60, 9), "; --max-length 52 cuts rows of text to what fits"),
            // The last new token needs no position.
            ((0, 3, 500), "; --max-new-tokens 62 is the most that fits here"),
            ((4, 60, 65), "; --max-new-tokens 1 is the most that fits here"),
            (
                (4, 90, 65),
                "; --max-length N cuts rows of text, and N tokens with those of --max-new-tokens may be 61",
            ),
            ((64, 1, 500), "; there is no space for text"),
            ((64, 1, 0), "; there is no space for text"),
        ] {
            assert_eq!(of(row, "--max-length"), says, "{row:?}");
        }
        let of_target = "; --max-new-tokens 64 is the most that fits here";
        assert_eq!(of((0, 1, 65), "--max-target-length"), of_target);
    }

    #[test]
    fn names_with_commas_are_a_json_list() {
        let of = |names: &[&str]| {
            Labels::from_list(names.iter().map(ToString::to_string).collect()).unwrap()
        };
        for (names, list) in [
            (&["no", "yes"][..], "no,yes"),
            (&["a, b", "c"], r#"["a, b","c"]"#),
            (&[" a", "c"], r#"[" a","c"]"#),
            (&["[\"a", "c"], r#"["[\"a","c"]"#),
            (&["[1]", "say \"x\""], "[1],say \"x\""),
        ] {
            let labels = of(names);
            assert_eq!(label_list(&labels), list);
            assert_eq!(parse_labels(list).unwrap(), labels);
        }
        assert_eq!(parse_labels(" [\"a\"]").unwrap(), of(&["a"]));
        assert_eq!(parse_labels("[ \"a, b\", \"c\" ]").unwrap(), of(&["a, b", "c"]));
        let message = parse_labels("[\"a, b\"").unwrap_err().to_string();
        assert!(message.contains("or a JSON list of them"), "{message}");
    }
}
