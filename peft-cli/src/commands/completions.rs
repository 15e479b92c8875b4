//! `peft completions`: what a shell completes commands and flags with.

use clap::{Args, Command};
use clap_complete::{Shell, generate};

use crate::{error::CliResult, output};

/// Prints a script with which a shell completes commands, flags and their values.
///
/// Examples:
///   peft completions bash > ~/.local/share/bash-completion/completions/peft
///   peft completions zsh > ~/.zfunc/_peft      # with ~/.zfunc in $fpath
///   peft completions fish > ~/.config/fish/completions/peft.fish
///   peft completions powershell >> $PROFILE
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

/// Runs the command, for this command line.
///
/// # Errors
///
/// Returns an error if stdout cannot be written to.
pub fn run(args: &CompletionsArgs, mut program: Command) -> CliResult {
    let mut script = Vec::new();
    generate(args.shell, &mut program, "peft", &mut script);
    Ok(output::piece(&String::from_utf8_lossy(&script))?)
}
