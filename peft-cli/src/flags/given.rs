//! Flags that are no settings of a run, for a command that goes on with it: a run does not remember them.

use std::fmt;

use crate::{output::quoted_word, threads};

/// Flags as they are given once more, behind the others of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given(String);

impl Given {
    /// Those of every command that change how it computes: `--threads`.
    pub fn everywhere() -> Self {
        Self::default().value("--threads", threads::of_flag())
    }

    /// With a flag, if it has a value.
    #[must_use]
    pub fn value(mut self, flag: &str, value: Option<impl fmt::Display>) -> Self {
        if let Some(value) = value {
            self.0 += &format!(" {flag} {}", quoted_word(&value.to_string()));
        }
        self
    }

    /// With a flag without a value, if it is on.
    #[must_use]
    pub fn switch(mut self, flag: &str, is_on: bool) -> Self {
        if is_on {
            self.0 += &format!(" {flag}");
        }
        self
    }
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_is_given_again() {
        let none: Option<usize> = None;
        let given = Given::default()
            .value("--device", none)
            .value("--devices", Some("cpu,cpu"))
            .switch("--json", true)
            .switch("--csv", false)
            .value("--name", Some("a b"));
        assert_eq!(given.to_string(), " --devices cpu,cpu --json --name 'a b'");
        assert_eq!(Given::default().to_string(), "");
    }
}
