//! Defaults and names in help texts, from the values themselves.

use std::fmt::Display;

use clap::Arg;

/// Adds to the help of a flag what its doc comment cannot say.
pub trait FlagHelp {
    /// Adds `[default: value]`, for a flag without a default of clap's.
    #[must_use]
    fn show_default(self, value: impl Display) -> Self;

    /// Adds `: a, b or c`, the names that the flag takes.
    #[must_use]
    fn show_names(self, names: &[&str]) -> Self;
}

impl FlagHelp for Arg {
    fn show_default(self, value: impl Display) -> Self {
        let help = self.get_help().map(ToString::to_string).unwrap_or_default();
        self.help(format!("{help} [default: {value}]"))
    }

    fn show_names(self, names: &[&str]) -> Self {
        let help = self.get_help().map(ToString::to_string).unwrap_or_default();
        let (last, others) = names.split_last().map_or(("", names), |(last, all)| (*last, all));
        self.help(format!("{help}: {} or {last}", others.join(", ")))
    }
}
