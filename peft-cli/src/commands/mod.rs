//! One file a command.

pub mod convert;
pub mod demo;
pub mod eval;
pub mod forward;
pub mod generate;
pub mod info;
pub mod inspect;
pub mod predict;
pub mod train;

use clap::{Parser, Subcommand};

use crate::error::CliResult;

/// Adapts frozen language models by training virtual tokens: prompt tuning, prefix tuning, P-tuning v2.
///
/// Begin with `peft demo`: it needs no file and no network. Models are folders, or org/name on the Hugging
/// Face Hub: downloaded once into its cache (HF_HOME, HF_TOKEN, HF_HUB_OFFLINE, HF_ENDPOINT are heeded).
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
    /// See [`CliError`](crate::CliError).
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
}
