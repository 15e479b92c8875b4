//! Colours, and how much is said: the flags of every command, kept for the whole program.

use std::{
    env,
    ffi::OsString,
    io::{IsTerminal, stderr},
    sync::atomic::{AtomicBool, Ordering},
};

use clap::{
    ColorChoice, ValueEnum,
    builder::styling::{AnsiColor, Style},
};

static COLOURS: AtomicBool = AtomicBool::new(false);
static QUIET: AtomicBool = AtomicBool::new(false);
static VERBOSE: AtomicBool = AtomicBool::new(false);
static SILENT: AtomicBool = AtomicBool::new(false);

/// The value of `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal, unless NO_COLOR or CLICOLOR=0 is set, and elsewhere with CLICOLOR_FORCE.
    #[default]
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

impl From<When> for ColorChoice {
    fn from(when: When) -> Self {
        match when {
            When::Auto => Self::Auto,
            When::Always => Self::Always,
            When::Never => Self::Never,
        }
    }
}

/// What stands behind `--color` on a command line, before it is parsed: help and usage have colours too.
pub fn asked(mut args: impl Iterator<Item = OsString>) -> When {
    let mut found = When::default();
    let value = |text: &str| When::from_str(text, false).unwrap_or_default();
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--") => break,
            Some("--color") => {
                let next = args.next();
                found =
                    next.as_deref().and_then(|next| next.to_str()).map(value).unwrap_or_default();
            }
            Some(text) => found = text.strip_prefix("--color=").map_or(found, value),
            None => {}
        }
    }
    found
}

/// Keeps what the flags say.
pub fn set(colours: When, quiet: bool, verbose: bool) {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let colours = are_wanted(colours, variable, stderr().is_terminal());
    COLOURS.store(colours, Ordering::Relaxed);
    QUIET.store(quiet, Ordering::Relaxed);
    VERBOSE.store(verbose, Ordering::Relaxed);
}

/// The usual rules, as of clap: NO_COLOR is stronger than CLICOLOR_FORCE, and that than CLICOLOR.
fn are_wanted(when: When, variable: impl Fn(&str) -> Option<OsString>, is_terminal: bool) -> bool {
    let is = |name: &str, value: &str| variable(name).is_some_and(|found| found == value);
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto if variable("NO_COLOR").is_some() => false,
        When::Auto if variable("CLICOLOR_FORCE").is_some() && !is("CLICOLOR_FORCE", "0") => true,
        When::Auto => is_terminal && !is("CLICOLOR", "0") && !is("TERM", "dumb"),
    }
}

/// Whether notes and progress are left out.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed) || is_silent()
}

/// Says nothing but errors from now on: another process of the same run says the rest.
pub fn silence() {
    SILENT.store(true, Ordering::Relaxed);
}

/// Whether warnings are left out, too.
pub fn is_silent() -> bool {
    SILENT.load(Ordering::Relaxed)
}

/// Whether every step is told.
pub fn is_verbose() -> bool {
    VERBOSE.load(Ordering::Relaxed)
}

/// Whether somebody watches who wants to see progress on a terminal that can draw it.
pub fn is_watched() -> bool {
    let can_draw = env::var_os("TERM").is_none_or(|kind| kind != "dumb");
    !is_quiet() && can_draw && stderr().is_terminal()
}

/// What a part of a line means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Nothing more than it says.
    Plain,
    /// Worth to be seen first.
    Good,
    /// Something to look into.
    Warning,
    /// Something that failed.
    Error,
    /// Something to know.
    Note,
}

/// A text in the colour of its tone, where there are colours.
pub fn paint(text: &str, tone: Tone) -> String {
    let style = match tone {
        Tone::Good => AnsiColor::Green.on_default(),
        Tone::Warning => AnsiColor::Yellow.on_default().bold(),
        Tone::Error => AnsiColor::Red.on_default().bold(),
        Tone::Note => AnsiColor::Cyan.on_default(),
        Tone::Plain => Style::new(),
    };
    match tone != Tone::Plain && COLOURS.load(Ordering::Relaxed) {
        true => format!("{style}{text}{style:#}"),
        false => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_follow_the_usual_rules() {
        for (when, variables, is_terminal, expected) in [
            (When::Auto, "", true, true),
            (When::Auto, "", false, false),
            (When::Auto, "NO_COLOR=1", true, false),
            (When::Auto, "NO_COLOR=1 CLICOLOR_FORCE=1", true, false),
            (When::Auto, "CLICOLOR_FORCE=1", false, true),
            (When::Auto, "CLICOLOR_FORCE=0", false, false),
            (When::Auto, "CLICOLOR=0 CLICOLOR_FORCE=1", true, true),
            (When::Auto, "CLICOLOR=0", true, false),
            (When::Auto, "TERM=dumb", true, false),
            (When::Always, "NO_COLOR=1", false, true),
            (When::Never, "CLICOLOR_FORCE=1", true, false),
        ] {
            let variable = |name: &str| {
                let mut pairs = variables.split(' ').filter_map(|pair| pair.split_once('='));
                pairs.find(|(known, _)| *known == name).map(|(_, value)| value.into())
            };
            let found = are_wanted(when, variable, is_terminal);
            assert_eq!(found, expected, "{when:?} {variables:?} {is_terminal}");
        }
    }

    #[test]
    fn the_flag_is_found_before_the_others_are_read() {
        let found = |line: &str| asked(line.split(' ').map(OsString::from));
        assert_eq!(found("peft train"), When::Auto);
        assert_eq!(found("peft --color never train"), When::Never);
        assert_eq!(found("peft train --color=always"), When::Always);
        assert_eq!(found("peft train --color"), When::Auto);
        assert_eq!(found("peft train -- --color=always"), When::Auto);
    }
}
