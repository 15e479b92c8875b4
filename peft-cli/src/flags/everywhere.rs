//! Flags of every command: how much is said and in which colours, and how many threads work.

use clap::Args;
use peft_core::Result;

use super::{choices::at_least_one, help::FlagHelp};
use crate::{
    screen::manners::{self, When},
    threads,
};

/// Flags of every command.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Everywhere")]
pub struct Everywhere {
    /// Say nothing but results, warnings and errors.
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Say more: in training, a line for each step.
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    verbose: bool,
    /// Colours on stderr: auto (on a terminal; NO_COLOR, CLICOLOR and CLICOLOR_FORCE are respected), always or never.
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value_t,
        hide_possible_values = true
    )]
    color: When,
    /// Threads that compute on the CPU. Any number of them gives the same bytes.
    #[arg(long, global = true, value_name = "N", value_parser = at_least_one,
        show_default = "RAYON_NUM_THREADS, else one for each core")]
    threads: Option<usize>,
}

impl Everywhere {
    /// Does what the flags say, for the rest of the program. The threads are started by the commands that compute.
    ///
    /// # Errors
    ///
    /// [`peft_core::Error::Setting`] if there cannot be so many threads.
    pub fn apply(self) -> Result<()> {
        manners::set(self.color, self.quiet, self.verbose);
        threads::ask_for(self.threads)
    }
}
