//! The command line of `peft`.

use clap::{CommandFactory, Parser, Subcommand};

use crate::{
    commands::{convert, demo, eval, forward, generate, info, inspect, predict, train},
    error::CliResult,
};

/// Adapts frozen language models by training virtual tokens: prompt tuning, prefix tuning, P-tuning v2.
///
/// Start with `peft demo`, which needs no files and no network. Models are folders, or org/name on the Hugging
/// Face Hub, downloaded once into its cache (HF_HOME, HF_TOKEN, HF_HUB_OFFLINE and HF_ENDPOINT are respected).
#[derive(Debug, Parser)]
#[command(name = "peft", bin_name = "peft", version, disable_help_subcommand = true)]
pub struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Train(Box<train::TrainArgs>),
    Eval(eval::EvalArgs),
    Predict(predict::PredictArgs),
    Generate(generate::GenerateArgs),
    Forward(forward::ForwardArgs),
    Inspect(inspect::InspectArgs),
    Convert(convert::ConvertArgs),
    Info(info::InfoArgs),
}

impl Program {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// Returns a [`CliError`](crate::CliError) if the command fails.
    pub fn run(self) -> CliResult {
        match self.command {
            Command::Demo(args) => demo::run(&args),
            Command::Train(args) => train::run(*args),
            Command::Eval(args) => eval::run(&args),
            Command::Predict(args) => predict::run(&args),
            Command::Generate(args) => generate::run(&args),
            Command::Forward(args) => forward::run(&args),
            Command::Inspect(args) => inspect::run(&args),
            Command::Convert(args) => convert::run(&args),
            Command::Info(args) => info::run(&args),
        }
    }

    /// Whether a command has the flag `--name`.
    pub fn has_flag(name: &str) -> bool {
        let program = Self::command();
        program.get_subcommands().any(|command| {
            command.get_arguments().any(|argument| argument.get_long() == Some(name))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Program::command().debug_assert();
        assert!(Program::has_flag("num-virtual-tokens") && !Program::has_flag("hidden-size"));
    }
}
