//! The parameters of prefix tuning and P-tuning v2: flat keys and values, `[P, l * 2 * K * D]`,
//! either directly or through an MLP that computes them during training.
//!
//! | type | what it is |
//! |---|---|
//! | [`PrefixParameters`] | the one or the other; folds, is stored and read back |
//! | [`PrefixMlp`] | Embedding, Linear, Tanh, Linear (Li & Liang 2021, section 4.3) |
//! | [`SitePrefixes`] | a set of them for every attention site that a prefix goes to |
//! | [`FitConfig`] | how an MLP is fitted to given keys and values |
//! | [`check_settings`] | the settings that both methods share, and their defaults |
//! | [`activations`] | the keys and values of real words, laid flat |
//!
//! Both methods name their tensors as PEFT's `PrefixEncoder` does, so they share this too.

mod activations;
mod fit;
mod mlp;
mod parameters;
mod settings;
mod sites;

pub use activations::activations;
pub use fit::FitConfig;
pub use mlp::{MlpInit, MlpSizes, PrefixMlp, Transform};
pub use parameters::PrefixParameters;
pub use settings::{DEFAULT_HIDDEN_SIZE, check_settings, default_lr};
pub use sites::{Placement, ResolvedPlacement, SiteLayers, SitePrefixes};
