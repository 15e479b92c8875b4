//! The `peft` program: chooses model, method and backend; the other crates do the work.
//!
//! | file | contents |
//! |---|---|
//! | [`program`] | the command line |
//! | [`commands`] | one file per command: its flags and what it does |
//! | [`sweep`] | many runs from one file |
//! | [`settings`] | the settings of a training run, from flags and `run.toml` |
//! | [`recipes`] | the settings of the papers by name |
//! | [`tasks`] | tasks in TOML: what rows become, by which templates, with which classes |
//! | [`flags`] | what flags share: methods and other choices by name, generation, help texts |
//! | [`training`] | a training run: prepared, made, and written to its folder |
//! | [`plan`] | what a training step would cost |
//! | [`base_model`] | loading a base model, and what is told of its files |
//! | [`model_dir`] | the folder of a base model, with its tokenizer |
//! | [`model_files`] | its config and the files of its tokenizer |
//! | [`session`] | a base model with the adapter to use on it |
//! | [`selftest`] | whether a device computes what the CPU computes |
//! | [`mod@compare`] | runs side by side |
//! | [`analysis`] | what the virtual tokens of adapters are, and how alike they are |
//! | [`evaluation_folder`] | the folder of an evaluation, beside those of runs |
//! | [`adapter_folder`] | the adapter of a folder |
//! | [`adapter_run`] | whether it is what the run in that folder has come to |
//! | [`adapter_set`] | several adapters on one base |
//! | [`data_files`] | rows of data files, and notes on how they were read |
//! | [`text_settings`] | how texts become rows: flags, and what they share with a run's settings |
//! | [`label_renames`] | labels of other data in the names of one's own classes |
//! | [`ensemble`] | several adapters that vote on rows, scored alone and together |
//! | [`encoding`] | what rows are encoded with, and whether they fit the model |
//! | [`encode_rows`] | rows that are encoded as they are read |
//! | [`predictions`] | what `predict` writes for a row |
//! | [`decoding`] | how text is continued: by the flags, else by the model's files |
//! | [`end_token`] | the tokens that end a text, for training and generation |
//! | [`decoder_start`] | the token from which the decoder of an encoder-decoder starts |
//! | [`fields`] | the flags that name the fields of a row |
//! | [`text_stream`] | text from new tokens, as they are generated |
//! | [`token_text`] | what a tokenizer's decoder makes of tokens |
//! | [`generation_scores`] | scores of generated text |
//! | [`class_texts`] | classes that a language model writes, or ranks |
//! | [`shots`] | examples in front of each row |
//! | [`shard`] | one of n parts of the rows |
//! | [`merge`] | parts that were predicted, put together |
//! | [`scoring`] | predictions of any program, scored against references |
//! | [`threads`] | the threads that compute on the CPU |
//! | [`processes`] | one training run on several processes |
//! | [`device`] | which of the compiled backends computes, and on which device |
//! | [`allocator`] | how freed memory is kept |
//! | [`hub`] | models and adapters of the Hugging Face Hub |
//! | [`paths`] | paths that lead from one folder to another |
//! | [`locate`] | the folder of a model or an adapter, downloaded if necessary |
//! | [`demo`] | the built-in model and the world it was trained on |
//! | [`output`] | results on stdout, notes on stderr, tables |
//! | [`owned_files`] | files of an adapter, a run or a model, over which no results are written |
//! | [`row_output`] | rows of results, written as they are made |
//! | [`nearest`] | the name that was probably meant |
//! | [`usage`] | what is said of a command line that makes no sense |
//! | [`constant`] | what is said where the same is predicted for all rows |
//! | [`signals`] | Ctrl-C, and what else ends a command |
//! | [`screen`] | what a person sees while the program works |
//! | [`report`] | pages about runs, in HTML |
//! | [`tensorboard`] | scores by step as TensorBoard reads them |
//! | [`error`], [`message`] | what ends the program, and what it says then |

pub mod adapter_folder;
pub mod adapter_run;
pub mod adapter_set;
pub mod allocator;
pub mod analysis;
pub mod base_model;
pub mod class_texts;
pub mod commands;
pub mod compare;
pub mod constant;
pub mod data_files;
pub mod decoder_start;
pub mod decoding;
pub mod demo;
pub mod device;
pub mod encode_rows;
pub mod encoding;
pub mod end_token;
pub mod ensemble;
pub mod error;
pub mod evaluation_folder;
pub mod fields;
pub mod flags;
pub mod generation_scores;
pub mod hub;
pub mod label_renames;
pub mod locate;
pub mod merge;
pub mod message;
pub mod model_dir;
pub mod model_files;
pub mod nearest;
pub mod output;
pub mod owned_files;
pub mod paths;
pub mod plan;
pub mod predictions;
pub mod processes;
pub mod program;
pub mod recipes;
pub mod report;
pub mod row_output;
pub mod scoring;
pub mod screen;
pub mod selftest;
pub mod session;
pub mod settings;
pub mod shard;
pub mod shots;
pub mod signals;
pub mod sweep;
pub mod tasks;
pub mod tensorboard;
pub mod text_settings;
pub mod text_stream;
pub mod threads;
pub mod token_text;
pub mod training;
pub mod usage;

use std::{
    env::args_os,
    io::{Write, stdout},
    panic,
    process::ExitCode,
};

use clap::error::ErrorKind;

pub use error::{CliError, CliResult};
use peft_core::{Error, panics_become_errors};
use peft_models::kernels;

use crate::{
    device::{memory, panics, runtime_dir},
    processes::join::{leave, member},
    screen::manners,
};

/// The command line; `None` if it asked for help or for the version, which are printed.
fn parsed() -> CliResult<Option<program::Program>> {
    match program::Program::read(args_os()) {
        Ok(program) => Ok(Some(program)),
        // Without any argument: the help, as an error.
        Err(help) if help.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            help.exit()
        }
        Err(error) if error.use_stderr() => {
            let program = program::Program::described();
            let words: Vec<String> = args_os().filter_map(|word| word.into_string().ok()).collect();
            let called = words.iter().skip(1).find(|word| program.find_subcommand(word).is_some());
            Err(CliError::Usage(usage::of(&error, &program, called.map(String::as_str))))
        }
        Err(help) => {
            help.print()?;
            // What is buffered would be lost without a word.
            stdout().flush()?;
            Ok(None)
        }
    }
}

/// Refuses a value of `PEFT_KERNELS` that means nothing: who gives one wants something else than what would be computed.
fn environment_is_right() -> CliResult<()> {
    match kernels::wrong_environment() {
        Some(wrong) => Err(CliError::Usage(wrong.to_string())),
        None => Ok(()),
    }
}

/// A panic of a library that is turned into an error is told once, as that.
fn keep_quiet_about_panics_that_become_errors() {
    let told = panic::take_hook();
    panic::set_hook(Box::new(move |panicked| {
        // Heard in any case: what a device says of its memory is told at the end.
        let heard = panics::heard(panicked);
        if !heard && !panics_become_errors() {
            told(panicked);
        }
    }));
}

/// Parses the command line, runs the command and gives its exit code: 0, 1 if it failed, 2 for
/// wrong usage, 130 or 143 if Ctrl-C or `kill` interrupted it.
pub fn main() -> ExitCode {
    // SAFETY: the program begins here, and nothing before this line starts a thread.
    unsafe { runtime_dir::set_if_missing() };
    allocator::keep_freed_memory();
    keep_quiet_about_panics_that_become_errors();
    signals::survive_file_size_limit();
    // A command line that makes no sense is told in the right colours, too.
    manners::set(manners::asked(args_os()), false, false);
    let run = || match parsed()? {
        Some(program) => environment_is_right().and_then(|()| program.run()),
        None => Ok(()),
    };
    let code = match memory::guarded(run) {
        Ok(()) | Err(CliError::Closed(_)) => 0,
        Err(error) => {
            if let Some(message) = said(&error) {
                output::error(message);
            }
            error.exit_code()
        }
    };
    ExitCode::from(leave(code))
}

/// What is said of what ended the program; of several processes that make a run, that of rank 0 says what all know.
fn said(error: &CliError) -> Option<String> {
    let other = member().filter(|member| !member.leads());
    match (error, other) {
        (CliError::Told(_), _) => None,
        (CliError::Failed(Error::Peer { .. } | Error::OtherPeer { .. }), Some(_)) => None,
        (CliError::Interrupted { message, .. }, _) => Some(message.clone()),
        (failed, None) => Some(format!("error: {}", message::of(failed))),
        (failed, Some(member)) => {
            Some(format!("error: {}: {}", member.own_name(), message::of(failed)))
        }
    }
}
