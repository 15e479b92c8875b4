//! The built-in model and the little world that it knows.
//!
//! | file | contents |
//! |---|---|
//! | [`world`] | the generator of the pretraining text and of the task |
//! | [`builtin`] | the model that was pretrained on that text, built into the program |
//! | [`recipe`] | how each method is trained on the task |

pub mod builtin;
pub mod recipe;
pub mod world;
