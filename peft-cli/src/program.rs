//! The command line of `peft`.

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::{
    commands::{
        compare, completions, convert, demo, eval, forward, generate, info, inspect, man, merge,
        plan, predict, recipes, score, selftest, similarity, sweep, tasks, train,
    },
    error::CliResult,
    flags::{escapes, everywhere::Everywhere},
    screen::manners,
    threads,
};

/// Adapts frozen language models by training virtual tokens: prompt tuning, prefix tuning, P-tuning v2.
///
/// Start with `peft demo`, which needs no files and no network. Models are folders, or org/name on the Hugging
/// Face Hub, downloaded once into its cache (HF_HOME, HF_TOKEN, HF_HUB_OFFLINE and HF_ENDPOINT are respected).
#[derive(Debug, Parser)]
#[command(name = "peft", bin_name = "peft", version)]
pub struct Program {
    #[command(flatten)]
    everywhere: Everywhere,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Train(Box<train::TrainArgs>),
    Plan(Box<plan::PlanArgs>),
    Eval(eval::EvalArgs),
    Predict(predict::PredictArgs),
    Generate(generate::GenerateArgs),
    Forward(forward::ForwardArgs),
    Merge(merge::MergeArgs),
    Score(score::ScoreArgs),
    Inspect(inspect::InspectArgs),
    Compare(compare::CompareArgs),
    Similarity(similarity::SimilarityArgs),
    Sweep(sweep::SweepArgs),
    Convert(convert::ConvertArgs),
    Info(info::InfoArgs),
    Selftest(selftest::SelftestArgs),
    Recipes(recipes::RecipesArgs),
    Tasks(tasks::TasksArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

impl Command {
    /// Whether it may compute, on threads that it does not start itself. A training run starts them once it knows whether it is
    /// one of several processes.
    const fn computes(&self) -> bool {
        !matches!(
            self,
            Self::Train(_)
                | Self::Merge(_)
                | Self::Score(_)
                | Self::Compare(_)
                | Self::Recipes(_)
                | Self::Tasks(_)
                | Self::Completions(_)
                | Self::Man(_)
        )
    }
}

impl Program {
    /// Reads a command line.
    ///
    /// # Errors
    ///
    /// Those of clap, also for what asks for help.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        let colours = manners::asked(arguments.iter().cloned()).into();
        let mut matches = Self::described().color(colours).try_get_matches_from(arguments)?;
        Self::from_arg_matches_mut(&mut matches)
    }

    /// The command line with its help, whose paragraphs are as wide as the terminal.
    pub fn described() -> clap::Command {
        let mut program = Self::command();
        let names: Vec<String> =
            program.get_subcommands().map(|command| command.get_name().to_string()).collect();
        for name in names {
            program = program.mut_subcommand(name, |command| {
                match command.get_long_about().map(|about| flowing(&about.to_string())) {
                    Some(about) => command.long_about(about),
                    None => command,
                }
            });
        }
        // What is said of a negative number is said of the flag that it was given to.
        let names_a_value =
            |arg: &clap::Arg| arg.get_long().is_some() && arg.get_action().takes_values();
        let negative = move |arg: clap::Arg| {
            if names_a_value(&arg) { arg.allow_negative_numbers(true) } else { arg }
        };
        let names: Vec<String> =
            program.get_subcommands().map(|command| command.get_name().to_string()).collect();
        for name in names {
            program = program.mut_subcommand(name, |command| command.mut_args(negative));
        }
        program.mut_args(negative)
    }

    /// Runs the command.
    ///
    /// # Errors
    ///
    /// Returns a [`CliError`](crate::CliError) if the command fails.
    pub fn run(self) -> CliResult {
        self.everywhere.apply()?;
        escapes::tell();
        if self.command.computes() {
            threads::start(None)?;
        }
        match self.command {
            Command::Demo(args) => demo::run(&args),
            Command::Train(args) => train::run(*args),
            Command::Plan(args) => plan::run(*args),
            Command::Eval(args) => eval::run(&args),
            Command::Predict(args) => predict::run(&args),
            Command::Generate(args) => generate::run(&args),
            Command::Forward(args) => forward::run(&args),
            Command::Merge(args) => merge::run(&args),
            Command::Score(args) => score::run(&args),
            Command::Inspect(args) => inspect::run(&args),
            Command::Compare(args) => compare::run(&args),
            Command::Similarity(args) => similarity::run(&args),
            Command::Sweep(args) => sweep::run(&args),
            Command::Convert(args) => convert::run(&args),
            Command::Info(args) => info::run(&args),
            Command::Selftest(args) => selftest::run(&args),
            Command::Recipes(args) => recipes::run(&args),
            Command::Tasks(args) => tasks::run(&args),
            Command::Completions(args) => completions::run(&args, Self::described()),
            Command::Man(args) => man::run(&args, Self::described()),
        }
    }
}

/// A text whose paragraphs are lines of their own, to be broken where the terminal ends. Lines that are indented, such as
/// examples, stay as they are.
fn flowing(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let goes_on = |before: &&mut String| !before.is_empty() && !before.starts_with(' ');
        match lines.last_mut().filter(goes_on) {
            Some(before) if !line.is_empty() && !line.starts_with(' ') => {
                before.push(' ');
                before.push_str(line);
            }
            _ => lines.push(line.to_string()),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_flow_and_examples_stand() {
        let text = "A line\nthat goes on.\n\nExamples:\n  peft a \\\n    --b\n  peft c";
        let expected = "A line that goes on.\n\nExamples:\n  peft a \\\n    --b\n  peft c";
        assert_eq!(flowing(text), expected);
    }

    #[test]
    fn commands_that_only_read_rows_start_no_threads() {
        for (line, computes) in [
            ("info m", true),
            ("plan", true),
            ("merge a b --output c", false),
            ("compare a b", false),
            ("inspect a", true),
            ("convert --from a --to b", true),
            ("eval --model m --data d", true),
            ("forward --model m --input i --output o", true),
            ("selftest", true),
        ] {
            let words = ["peft"].into_iter().chain(line.split(' '));
            let program = Program::read(words.map(OsString::from));
            let program = program.unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(program.command.computes(), computes, "{line}");
        }
    }

    #[test]
    fn negative_numbers_are_values() {
        for (flag, value, expected) in [
            ("--seed", "-1", "--seed: found `-1`, expected a whole number from 0"),
            ("--threads", "-1", "--threads: found `-1`, expected a whole number from 1"),
            (
                "--cache-frozen",
                "-1GB",
                "-1: no flag begins so; write a value with a minus in front as --FLAG=VALUE",
            ),
        ] {
            let line = ["peft", "train", flag, value];
            let error = Program::read(line.map(OsString::from)).unwrap_err();
            let said = crate::usage::of(&error, &Program::described(), Some("train"));
            assert!(said.starts_with(expected) && !said.contains("no such flag"), "{said}");
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        Program::described().debug_assert();
    }
}
