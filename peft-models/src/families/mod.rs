//! One file per family, as short as its mathematics.
//!
//! | file | what it holds |
//! |---|---|
//! | `registry` | the table of families by `model_type` |
//! | `bert`, `roberta` | encoders |
//! | `gpt2`, `llama` | decoders |
//! | `t5`, `bart` | encoder-decoders |
//! | `encoder_decoder` | what these two share |
//! | `heads` | language-model heads and classifiers of checkpoints |
//! | `single_stack` | the geometry of encoders and decoders |

mod bart;
mod bert;
mod encoder_decoder;
mod gpt2;
mod heads;
mod llama;
mod registry;
mod roberta;
mod single_stack;
mod t5;

pub use registry::{SUPPORTED, check, load};
