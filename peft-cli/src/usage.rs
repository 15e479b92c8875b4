//! What the program says of a command line that makes no sense.

use std::{
    error::Error as _,
    num::{ParseFloatError, ParseIntError},
};

use clap::{
    Command, Error,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::nearest::{did_you_mean, nearest};

/// The message of an error of the command line, as of any other error: the flag, what was found, what was expected.
/// `called` is the command that was called, if it is one of `program`.
pub fn of(error: &Error, program: &Command, called: Option<&str>) -> String {
    let command = called.and_then(|name| program.find_subcommand(name)).unwrap_or(program);
    let name = called.map_or_else(|| "peft".to_string(), |name| format!("peft {name}"));
    let found = all(error, ContextKind::InvalidArg);
    let flag = found.first().map_or("", |found| first_word(found));
    let value = one(error, ContextKind::InvalidValue);
    match error.kind() {
        ErrorKind::UnknownArgument
            if flag
                .strip_prefix('-')
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) =>
        {
            format!(
                "{flag}: no flag begins so; write a value with a minus in front as --FLAG=VALUE"
            )
        }
        ErrorKind::UnknownArgument if flag.starts_with('-') => {
            let known = command.get_arguments().filter_map(|argument| argument.get_long());
            let meant = nearest(flag.trim_start_matches('-'), known);
            let meant = did_you_mean(meant.map(|known| format!("--{known}")));
            format!("{flag}: {name} has no such flag{meant} (see `{name} --help`)")
        }
        ErrorKind::UnknownArgument => {
            format!("found `{}`, which belongs to no flag (see `{name} --help`)", found.join(" "))
        }
        ErrorKind::InvalidSubcommand => {
            let found = one(error, ContextKind::InvalidSubcommand).unwrap_or_default();
            let known: Vec<&str> = program.get_subcommands().map(Command::get_name).collect();
            let meant = did_you_mean(nearest(&found, known.iter().copied()));
            format!("found `{found}`, expected a command: {}{meant}", listed(&known, "or"))
        }
        ErrorKind::MissingRequiredArgument => {
            let verb = if found.len() == 1 { "is" } else { "are" };
            format!("{} {verb} required (see `{name} --help`)", listed(&found, "and"))
        }
        ErrorKind::ArgumentConflict => {
            let prior = all(error, ContextKind::PriorArg);
            let prior: Vec<&str> = prior.iter().map(|prior| first_word(prior)).collect();
            match prior.as_slice() {
                [] => format!("{flag}: cannot be used with the other flags"),
                [same] if *same == flag => format!("{flag}: found twice, expected once"),
                prior => format!("{flag}: cannot be used with {}", listed(prior, "and")),
            }
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let names = all(error, ContextKind::ValidValue);
            let value = value.filter(|value| !value.is_empty());
            let Some(value) = value else {
                let expected = match names.as_slice() {
                    [] => found.join(" "),
                    names => listed(names, "or"),
                };
                return format!("{flag}: found no value, expected {expected}");
            };
            match error.source() {
                Some(source) if source.is::<ParseIntError>() => {
                    let from = if value.starts_with('-') { " from 0" } else { "" };
                    format!("{flag}: found `{value}`, expected a whole number{from}")
                }
                Some(source) if source.is::<ParseFloatError>() => {
                    format!("{flag}: found `{value}`, expected a number")
                }
                Some(source) => format!("{flag}: {source}"),
                None => {
                    let meant = nearest(&value, names.iter().map(String::as_str));
                    let meant = did_you_mean(meant);
                    format!("{flag}: found `{value}`, expected {}{meant}", listed(&names, "or"))
                }
            }
        }
        kind => match (found.is_empty(), kind.as_str()) {
            (false, Some(what)) => format!("{}: {what}", found.join(" ")),
            (_, what) => what.unwrap_or("cannot be read").to_string(),
        },
    }
}

/// A flag without its value: `--lr` of `--lr <LR>`.
fn first_word(argument: &str) -> &str {
    argument.split([' ', '=']).next().unwrap_or(argument)
}

fn all(error: &Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(one)) => vec![one.clone()],
        Some(ContextValue::Strings(all)) => all.clone(),
        _ => Vec::new(),
    }
}

fn one(error: &Error, kind: ContextKind) -> Option<String> {
    all(error, kind).into_iter().next()
}

/// `a, b and c`.
pub fn listed(names: &[impl AsRef<str>], last: &str) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => (*one).to_string(),
        [others @ .., end] => format!("{} {last} {end}", others.join(", ")),
    }
}
