//! The row that `--text` stands for.

use std::{
    io::{Read, stdin},
    path::Path,
    sync::Arc,
};

use clap::Args;
use peft_core::{
    Error, Result, Task,
    text::{Record, Role, Template},
};
use serde_json::Map;

use crate::{
    error::{CliError, CliResult},
    session::Session,
    text_settings::TextArgs,
};

/// What messages call the text, in place of a file.
const FLAG: &str = "--text";

/// Bytes of a text that is read from standard input.
const LONGEST: u64 = 16_000_000;

/// Flags that give a row without a file.
#[derive(Args, Clone, Debug)]
pub struct Asked {
    /// A text in place of --input, or - to read it from standard input. For qa the question; for token-cls its words
    /// are tagged.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, conflicts_with = "input")]
    pub text: Option<String>,
    /// The second text of a pair, or -; for qa the context.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, requires = "text")]
    pub text_pair: Option<String>,
}

impl Asked {
    /// The row, if there is a text. A template, of the flags or of an adapter, takes the texts in the order of its fields.
    ///
    /// # Errors
    ///
    /// Returns an error naming the flag that is missing or not used.
    pub fn row(&self, sessions: &[Session], rows: &TextArgs) -> CliResult<Option<Record>> {
        let Some(text) = &self.text else { return Ok(None) };
        rows.check_text(FLAG)?;
        sessions.iter().try_for_each(|session| rows.check_task(session.task()?))?;
        if text == "-" && self.text_pair.as_deref() == Some("-") {
            return Err(Error::setting("--text-pair", "standard input holds one text").into());
        }
        let texts: Vec<String> = std::iter::once(text)
            .chain(&self.text_pair)
            .map(|text| read(text))
            .collect::<CliResult<_>>()?;
        let mut fields = Map::new();
        for session in sessions {
            for (name, text) in names(session, rows, texts.len())?.into_iter().zip(&texts) {
                fields.insert(name, text.as_str().into());
            }
        }
        Ok(Some(Record::new(Arc::from(Path::new(FLAG)), 1, fields)))
    }
}

/// What is wrong with the text of `--text`, without a line.
pub fn named(error: CliError) -> CliError {
    match error {
        CliError::Failed(Error::Data { path, message, .. }) if path == Path::new(FLAG) => {
            CliError::Usage(format!("{FLAG}: {message}"))
        }
        other => other,
    }
}

/// The fields that so many texts are for.
fn names(session: &Session, rows: &TextArgs, texts: usize) -> Result<Vec<String>> {
    let of_roles = |roles: [Role; 2]| roles.map(|role| role.name().to_string()).to_vec();
    let task = session.task()?;
    match (task, texts) {
        (Task::QuestionAns, 1) => {
            Err(Error::setting(FLAG, "is the question here: give its context, as --text-pair"))
        }
        (Task::QuestionAns, _) => Ok(of_roles([Role::Question, Role::Context])),
        (Task::TokenCls, 2) => {
            Err(Error::setting("--text-pair", format!("not used by {task}, which has one text")))
        }
        _ => match session.source_template(rows)? {
            Some(template) => of_template(&template, texts),
            None if texts == 1 && session.is_of_pairs() => {
                let message = "the adapter was trained on pairs of texts: give the second one, too";
                Err(Error::setting("--text-pair", message))
            }
            None => Ok(of_roles([Role::Text, Role::TextPair])),
        },
    }
}

/// The fields of a template that so many texts fill: those that must be there, then those that may be missing.
fn of_template(template: &Template, texts: usize) -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    let mut required = 0;
    for name in template.required_fields() {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_string());
        }
        required = names.len();
    }
    for name in template.optional_fields() {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_string());
        }
    }
    if texts < required || texts > names.len() {
        let fields = names.join(", ");
        let message = format!(
            "found {texts} of the texts of the template `{template}`, which has the fields {fields}: give a row of \
             them as --input"
        );
        return Err(Error::setting(FLAG, message));
    }
    Ok(names)
}

/// A text, or that of standard input for `-`, without the end of its last line.
fn read(text: &str) -> CliResult<String> {
    if text != "-" {
        return Ok(text.to_string());
    }
    let mut bytes = Vec::new();
    let refused = |message: String| Error::setting(FLAG, message);
    let read = stdin().lock().take(LONGEST + 1).read_to_end(&mut bytes);
    read.map_err(|error| refused(format!("standard input: {error}")))?;
    if bytes.len() as u64 > LONGEST {
        let message = format!("standard input holds more than {} MB of text", LONGEST / 1_000_000);
        return Err(refused(message).into());
    }
    let text = String::from_utf8(bytes);
    let text = text.map_err(|_| refused("standard input is not UTF-8".into()))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn texts_fill_a_template_in_the_order_of_its_fields() {
        let of = |template: &str, texts| {
            let template = Template::parse(template, "source_template").unwrap();
            of_template(&template, texts).map_err(|error| error.to_string())
        };
        assert_eq!(of("{b} and {a}, {b}?", 2).unwrap(), ["b", "a"]);
        assert_eq!(of("{sentence} {?({note}) ?}", 1).unwrap(), ["sentence", "note"]);
        let refused = of("{b} and {a}", 1).unwrap_err();
        assert!(refused.contains("--text") && refused.contains("b, a"), "{refused}");
        assert!(of("{a}", 2).is_err() && of("no field", 1).is_err());
    }
}
