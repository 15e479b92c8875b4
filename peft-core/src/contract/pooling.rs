//! Which position stands for a whole row.

use serde::{Deserialize, Serialize};

/// Which position of its sequence a model's pooler and classifier of rows read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The first position, which under prompt tuning is a virtual token, as in PEFT.
    #[default]
    First,
    /// The first real token.
    FirstToken,
    /// On a decoder the last token that is not this one, the padding token of its config: what transformers reads of
    /// the ids that it is given, and so what its own classifiers and PEFT's prefixes were trained with. Never stored.
    #[serde(skip)]
    LastNot(u32),
}
