//! The built-in model and its little world.
//!
//! | file | what it is |
//! |---|---|
//! | [`world`] | the generator of the pretraining text and of the task |
//! | [`builtin`] | the model that was pretrained on that text, inside the program |
//! | [`recipe`] | how each method is trained on the task |

pub mod builtin;
pub mod recipe;
pub mod world;
