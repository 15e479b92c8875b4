//! The settings of the papers by name: `--recipe`.
//!
//! | file | contents |
//! |---|---|
//! | [`named`] | the recipes, each a TOML file of settings in this folder |
//! | [`layer`] | settings on top of a recipe, and what of it a run does not use |

pub mod layer;
pub mod named;
