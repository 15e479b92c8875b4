//! Defaults in help texts, from the values themselves.

use std::fmt::Display;

use clap::Arg;

/// Lets a flag without a value of its own say in its help what then holds.
pub trait ShowDefault {
    /// Adds `[default: value]` to the help.
    #[must_use]
    fn show_default(self, value: impl Display) -> Self;
}

impl ShowDefault for Arg {
    fn show_default(self, value: impl Display) -> Self {
        let help = self.get_help().map(ToString::to_string).unwrap_or_default();
        self.help(format!("{help} [default: {value}]"))
    }
}
