//! What ends the program early.

use std::{io, path::Path};

use peft_core::Error;

use crate::hub::HubError;

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
    /// Results can no longer be printed, as under `| head`: nothing went wrong.
    #[error("cannot print results: {0}")]
    Closed(#[from] io::Error),
}

/// The result of a command.
pub type CliResult<T = ()> = std::result::Result<T, CliError>;

impl CliError {
    /// The program's exit code: 1 if the work failed, 2 if the command line or a setting is wrong, 0 if
    /// stdout is closed.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Closed(_) => 0,
            Self::Usage(_)
            | Self::Failed(Error::Setting { .. })
            | Self::Hub(HubError::Setting { .. }) => 2,
            Self::Failed(_) | Self::Hub(_) => 1,
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
