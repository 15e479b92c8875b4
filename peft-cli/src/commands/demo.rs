//! `peft demo`: placeholder until the built-in model lands.
use clap::Args;
use crate::error::CliResult;
/// Trains all three methods.
#[derive(Args, Debug)]
pub struct DemoArgs {}
/// Runs the command.
///
/// # Errors
///
/// None.
pub fn run(_args: &DemoArgs) -> CliResult { Ok(()) }
