//! What ends the program early.

use std::{io, path::Path};

use peft_core::Error;

use crate::{hub::HubError, signals::exit_code};

/// A command's failure, with the exit code it leads to.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The command line or its settings make no sense.
    #[error("{0}")]
    Usage(String),
    /// The work failed.
    #[error(transparent)]
    Failed(#[from] Error),
    /// A model or an adapter of the Hugging Face Hub is not available.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// A device has no memory left.
    #[error("{0}")]
    DeviceMemory(String),
    /// A self-test found what is wrong.
    #[error("{0}")]
    Wrong(String),
    /// A signal ended the work, which was saved as the message says.
    #[error("{message}")]
    Interrupted {
        /// The signal.
        signal: usize,
        /// What is left to do.
        message: String,
    },
    /// What ended the work is said by another process of the run, with this exit code.
    #[error("another process of the run says what ended it")]
    Told(u8),
    /// Nobody reads the results any more, as under `| head`: nothing went wrong.
    #[error("stdout is closed: {0}")]
    Closed(io::Error),
    /// Results cannot be printed, as on a full disk.
    #[error("cannot write to stdout: {0}")]
    Print(io::Error),
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed(error),
            _ => Self::Print(error),
        }
    }
}

/// The result of a command.
pub type CliResult<T = ()> = std::result::Result<T, CliError>;

impl CliError {
    /// The program's exit code: 1 if the work failed, a device has no memory left or results cannot be written, 2 if the command line or a
    /// setting is wrong, 128 and its number if a signal ended the work, 0 if nobody reads the results.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Closed(_) => 0,
            Self::Told(code) => *code,
            Self::Interrupted { signal, .. } => exit_code(*signal),
            Self::Usage(_)
            | Self::Failed(Error::Setting { .. })
            | Self::Hub(HubError::Setting { .. }) => 2,
            Self::Failed(_)
            | Self::Hub(_)
            | Self::DeviceMemory(_)
            | Self::Wrong(_)
            | Self::Print(_) => 1,
        }
    }
}

/// Puts an adapter's folder in front of what does not fit, for `map_err`.
pub fn in_adapter(dir: &Path) -> impl FnOnce(Error) -> Error + '_ {
    move |error| match error {
        // What an adapter's file sets is not a setting of the command.
        Error::Mismatch(_) | Error::Setting { .. } => {
            Error::Mismatch(format!("{}: {error}", dir.display()))
        }
        other => other,
    }
}
