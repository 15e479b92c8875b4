//! What the outputs of a classifier of rows mean: transformers' `problem_type`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// What is predicted for a row, and with which loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ProblemType {
    /// One class: softmax and cross entropy.
    #[default]
    #[serde(rename = "single_label_classification")]
    SingleLabel,
    /// Any number of classes, each of them or not: sigmoid and binary cross entropy.
    #[serde(rename = "multi_label_classification")]
    MultiLabel,
    /// Numbers: the outputs themselves, and the squared error.
    #[serde(rename = "regression")]
    Regression,
}

impl ProblemType {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::SingleLabel, Self::MultiLabel, Self::Regression];

    /// The name in `config.json` and in run files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SingleLabel => "single_label_classification",
            Self::MultiLabel => "multi_label_classification",
            Self::Regression => "regression",
        }
    }

    /// Whether a row has a number for each output, rather than one class.
    pub const fn has_values(self) -> bool {
        !matches!(self, Self::SingleLabel)
    }
}

impl fmt::Display for ProblemType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for ProblemType {
    type Err = Error;

    /// Also takes `single-label` and `multi-label`, with `-` or `_`.
    fn from_str(name: &str) -> Result<Self, Error> {
        let plain = name.replace('-', "_");
        let is = |kind: &Self| {
            kind.name() == plain || kind.name().strip_suffix("_classification") == Some(&plain)
        };
        Self::ALL.into_iter().find(is).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::setting("problem_type", format!("found `{name}`, expected one of {known}"))
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_transformers_and_shorter_ones() {
        for kind in ProblemType::ALL {
            assert_eq!(kind.name().parse::<ProblemType>().unwrap(), kind);
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
        for (name, kind) in [
            ("multi-label", ProblemType::MultiLabel),
            ("multi_label", ProblemType::MultiLabel),
            ("single-label", ProblemType::SingleLabel),
            ("multi-label-classification", ProblemType::MultiLabel),
        ] {
            assert_eq!(name.parse::<ProblemType>().unwrap(), kind);
        }
        let error = "ranking".parse::<ProblemType>().unwrap_err().to_string();
        assert_eq!(
            error,
            "problem_type: found `ranking`, expected one of single_label_classification, \
             multi_label_classification, regression"
        );
    }
}
