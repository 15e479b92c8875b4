//! What the outputs of a classifier are, where the adapter or the model does not say it.

use clap::Args;
use peft_core::ProblemType;

use super::{choices::parse_value, help::FlagHelp};

/// The classes of a head, and what its outputs mean.
#[derive(Args, Clone, Debug)]
pub struct OutputArgs {
    /// Class names in order, separated by commas, or as a JSON list.
    #[arg(
        long,
        value_name = "LIST",
        allow_hyphen_values = true,
        show_default = "those of the adapter or the model"
    )]
    pub labels: Option<String>,
    /// What the labels of a row are: single_label_classification, multi_label_classification or regression.
    #[arg(long, value_name = "TYPE", value_parser = parse_value::<ProblemType>,
        show_default = "that of the adapter or the model")]
    pub problem_type: Option<ProblemType>,
}
