//! The families, each as short as its mathematics.
//!
//! | file | what it holds |
//! |---|---|
//! | `registry` | the table of families by `model_type` |
//! | `bert`, `roberta` | encoders |
//! | `gpt2`, `llama` | decoders; Mistral and Qwen are Llamas with other settings |
//! | `t5`, `bart` | encoder-decoders |
//! | `answers` | what models of any family answer in the same way, and what decoders do |
//! | `heads` | language-model heads and classifiers of checkpoints |
//! | `other_names` | the names of settings that families share |
//! | `outline` | what a config alone says of a model's sizes |
//! | `single_stack` | the geometry of encoders and decoders |
//! | `two_stacks` | what encoder-decoders share: geometry and embedding |

mod answers;
mod bart;
mod bert;
mod gpt2;
mod heads;
mod llama;
mod other_names;
mod outline;
mod registry;
mod roberta;
mod single_stack;
mod t5;
mod two_stacks;

pub use outline::{LmHead, Outline, Parameters};
pub use registry::{SUPPORTED, assumed_sizes, check, complete, load, outline_of, outline_with};
