//! The `peft` program: picks model, method and backend; the work is done by the other crates.
//!
//! | file | what it is |
//! |---|---|
//! | [`commands`] | one file a command: its flags and what it does |
//! | [`settings`] | the settings of a training run, from flags and `run.toml` |
//! | [`job`] | a training run made ready, and made |
//! | [`methods`] | from settings to a method |
//! | [`run_folder`] | what a training run begins with on disk |
//! | [`session`] | a base model with the adapter to use on it |
//! | [`encoding`] | the flags of texts, and how texts become rows |
//! | [`device`] | which of the compiled backends computes |
//! | [`allocator`] | how memory is kept |
//! | [`locate`] | the folder of a model or an adapter, downloaded if necessary |
//! | [`hub`] | models and adapters of the Hugging Face Hub |
//! | [`progress`], [`output`] | what a person sees |
//! | [`decoding`] | the flags of generation |
//! | [`text_stream`] | text from new tokens, piece by piece |
//! | [`demo`] | the built-in model and its little world |

pub mod allocator;
pub mod commands;
pub mod decoding;
pub mod demo;
pub mod device;
pub mod encoding;
pub mod error;
pub mod hub;
pub mod job;
pub mod locate;
pub mod methods;
pub mod output;
mod produced;
pub mod progress;
pub mod run_folder;
pub mod session;
pub mod settings;
mod several;
pub mod text_stream;

use std::process::ExitCode;

use clap::Parser;

pub use error::{CliError, CliResult};

/// Parses the command line, runs the command, and turns its result into an exit code: 0, 1 (it
/// failed), 2 (wrong usage).
pub fn main() -> ExitCode {
    allocator::keep_freed_memory();
    match commands::Program::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}
