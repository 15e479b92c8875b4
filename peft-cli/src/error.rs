//! What ends the program early.

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
    /// A model or an adapter of the Hugging Face Hub cannot be had.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The output has no reader any more, as under `| head`: nothing went wrong.
    #[error("")]
    Closed,
}

/// The result of a command.
pub type CliResult<T = ()> = std::result::Result<T, CliError>;

impl CliError {
    /// 1 where the work failed, 2 where it was asked for wrongly.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::Usage(_)
            | Self::Failed(Error::Setting { .. })
            | Self::Hub(HubError::Setting { .. }) => 2,
            Self::Failed(_) | Self::Hub(_) => 1,
        }
    }
}
