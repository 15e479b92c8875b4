//! Whether a device computes what the CPU computes: small random models of every family, with every method.
//!
//! | file | contents |
//! |---|---|
//! | [`checks`] | what is checked, how, and on what |
//! | [`rows`] | the models and the rows |
//! | [`trainables`] | each method on a model |
//! | [`measures`] | what is computed: logits, gradients, losses, a batch of several adapters |
//! | [`generation`] | and texts |
//! | [`difference`] | how far numbers are from those that are expected |
//! | [`tolerance`] | how far they may be |
//! | [`suite`] | all of it on two sides |
//! | [`shown`] | the table, and what to do about what is wrong |

pub mod checks;
pub mod difference;
pub mod generation;
pub mod measures;
pub mod rows;
pub mod shown;
pub mod suite;
pub mod tolerance;
pub mod trainables;
