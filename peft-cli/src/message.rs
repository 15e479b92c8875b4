//! What the program says of an error: the libraries name fields, the program its flags.

use std::{collections::BTreeSet, io::ErrorKind, path::Path, sync::OnceLock};

use clap::{Args, Command};
use peft_core::Error;

use crate::{
    encoding::way_out,
    error::CliError,
    flags::decoding::DecodingArgs,
    label_renames::RenameArgs,
    nearest::{did_you_mean, nearest_path},
    session::UseArgs,
    settings::Settings,
    text_settings::TextArgs,
};

/// The message of an error, in the words of the command line.
pub fn of(error: &CliError) -> String {
    match error {
        CliError::Failed(error) => of_library(error),
        own => own.to_string(),
    }
}

/// The message of a library's error, in the words of the command line.
pub fn of_library(error: &Error) -> String {
    match error {
        Error::Setting { setting, message } => {
            format!("{}: {}", flag(setting), with_flags(message))
        }
        Error::Read { path, source }
            if source.kind() == ErrorKind::NotFound && path == Path::new("-") =>
        {
            format!(
                "{error}; - stands for standard input where rows are read, not here: give a file"
            )
        }
        Error::Read { path, source } if source.kind() == ErrorKind::NotFound => {
            let meant = nearest_path(path);
            format!("{error}{}", did_you_mean(meant.as_deref().map(Path::display)))
        }
        Error::Data { path, line, message } | Error::UnknownClass { path, line, message } => {
            format!("{}, line {line}: {}", path.display(), of_row(message))
        }
        Error::Config { path, key, message } => {
            Error::config(path, key, of_file(message)).to_string()
        }
        Error::File { path, message } => Error::file(path, of_file(message)).to_string(),
        Error::OldCheckpoint { path } => format!(
            "{} is a checkpoint of an earlier run: continue that run with --resume, remove the checkpoint, \
             or give another --out",
            path.display()
        ),
        other @ Error::OtherRun { path, .. } => {
            format!("{other}, for --init-adapter {} and another --out", path.display())
        }
        Error::NotFinite { step, loss } if loss.is_finite() => format!(
            "the gradients of step {step} do not fit in f16, whatever the loss is multiplied by: --dtype bf16 has the range \
             of f32"
        ),
        Error::NotFinite { step, loss } => format!(
            "the loss became {loss} at step {step}: lower the learning rate (--lr, and --head-lr of a head), or clip the \
             gradients (--clip-norm)"
        ),
        Error::Replica { number, of, device, message } => format!(
            "replica {number} of {of} (--devices), on {device}, failed: {message}; what was stored before is still \
             there, if anything was: --resume goes on from it, with other devices if this one fails again"
        ),
        Error::Peer { name, message } => format!(
            "{name} failed: {message}; what was stored before is still there, if anything was: --resume goes on from it, without \
             that process if it fails again"
        ),
        long @ (Error::TooLong { .. } | Error::TooWide { .. }) => {
            format!("{long}{}", way_out(long, "--max-length"))
        }
        other => other.to_string(),
    }
}

/// A setting as users write it: a flag if there is one of that name.
fn flag(setting: &str) -> String {
    flag_of(setting).unwrap_or_else(|| setting.to_string())
}

fn flag_of(setting: &str) -> Option<String> {
    let name = setting.replace('_', "-");
    flags().contains(&name).then(|| format!("--{name}"))
}

/// The flags whose settings libraries name: those of training, of use and of generation.
fn flags() -> &'static BTreeSet<String> {
    static FLAGS: OnceLock<BTreeSet<String>> = OnceLock::new();
    FLAGS.get_or_init(|| {
        let add = [
            Settings::augment_args as fn(Command) -> Command,
            UseArgs::augment_args,
            TextArgs::augment_args,
            DecodingArgs::augment_args,
            RenameArgs::augment_args,
        ];
        let names = |add: fn(Command) -> Command| {
            let command = add(Command::new("peft"));
            let names = command.get_arguments().filter_map(|argument| argument.get_long());
            names.map(str::to_string).collect::<Vec<_>>()
        };
        // It is a flag of training, and no setting of a run.
        let resume = std::iter::once("resume".to_string());
        add.into_iter().flat_map(names).chain(resume).collect()
    })
}

/// A library's message about a row, with the flags of the settings that it names. A row's own fields stand in
/// backticks too: none of them has a setting's name with an underscore, and those without one follow `set`.
fn of_row(message: &str) -> String {
    replaced(message, |before, name| name.contains('_') || before.ends_with("set "))
}

/// A library's message about a file, with the flags of the settings that follow `set`: keys of the file stand in
/// backticks too.
fn of_file(message: &str) -> String {
    replaced(message, |before, _| before.ends_with("set "))
}

/// A library's message about a setting, with the flags of the other settings that it names in backticks. What was
/// found stands in backticks too, and stays as it is.
fn with_flags(message: &str) -> String {
    replaced(message, |_, _| true)
}

/// With flags in place of those names in backticks, nothing that was found, of which `is_setting` says so, given the
/// text before them.
fn replaced(message: &str, is_setting: impl Fn(&str, &str) -> bool) -> String {
    let mut parts = message.split('`');
    let mut text = parts.next().unwrap_or_default().to_string();
    while let Some(quoted) = parts.next() {
        let Some(rest) = parts.next() else { return format!("{text}`{quoted}") };
        let named = !text.ends_with("found ") && is_setting(&text, quoted);
        match flag_of(quoted).filter(|_| named) {
            Some(flag) => text += &flag,
            None => text += &format!("`{quoted}`"),
        }
        text += rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(setting: &str) -> String {
        of(&CliError::Failed(Error::setting(setting, "found 0")))
    }

    #[test]
    fn fields_become_flags_where_there_are_flags() {
        assert_eq!(message("num_virtual_tokens"), "--num-virtual-tokens: found 0");
        assert_eq!(message("--num-virtual-tokens"), "--num-virtual-tokens: found 0");
        assert_eq!(message("lr"), "--lr: found 0");
        assert_eq!(message("keep_checkpoints"), "keep_checkpoints: found 0");
        assert_eq!(message("optimizer.betas"), "optimizer.betas: found 0");
    }

    #[test]
    fn other_settings_in_a_message_become_flags_too() {
        for (said, expected) in [
            ("give it, or `epochs`", "give it, or --epochs"),
            (
                "found 5, expected at most `max_new_tokens`, 3",
                "found 5, expected at most --max-new-tokens, 3",
            ),
            ("found `labels`, expected one of a, b", "found `labels`, expected one of a, b"),
            ("needs `keep_checkpoints`", "needs `keep_checkpoints`"),
            ("a ` alone", "a ` alone"),
        ] {
            assert_eq!(with_flags(said), expected);
        }
    }

    #[test]
    fn what_to_set_is_a_flag_in_a_message_about_a_row() {
        let row = Error::data(std::path::Path::new("a.csv"), 2, "found label `lr`; set `labels`");
        let expected = "a.csv, line 2: found label `lr`; set --labels";
        assert_eq!(of(&CliError::Failed(row)), expected);
    }

    #[test]
    fn a_way_out_is_a_flag() {
        let lost = of(&CliError::Failed(Error::NotFinite { step: 3, loss: f64::NAN }));
        assert!(lost.contains("step 3") && lost.contains("--clip-norm"), "{lost}");
        let too_large = of(&CliError::Failed(Error::NotFinite { step: 3, loss: 0.5 }));
        assert!(too_large.contains("step 3") && too_large.contains("--dtype bf16"), "{too_large}");
        let old = of(&CliError::Failed(Error::OldCheckpoint { path: "out/step-1".into() }));
        assert!(old.starts_with("out/step-1 is a checkpoint") && old.contains("--resume"), "{old}");
    }
}
