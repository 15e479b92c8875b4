//! The tokenizer of a model folder, with the ids that `AutoTokenizer` of transformers 5 gives.
//!
//! | file | what it is |
//! |---|---|
//! | `load` | [`load_tokenizer`]: from a folder's files to a tokenizer |
//! | `definition` | [`TokenizerDefinition`]: a tokenizer as parts in memory |
//! | `gguf` | the tokenizer of a GGUF file |
//! | `gguf_splits` | how those of bytes divide a text into words |
//! | `checked` | `tokenizer.json`: what is checked before the library reads it |
//! | `prepare` | what a task changes |

mod checked;
mod definition;
mod gguf;
mod gguf_splits;
mod load;
mod prepare;

pub use definition::{BytePairs, TokenizerDefinition, TokenizerModel, implied_merges};
pub use load::{has_tokenizer, load_tokenizer};
pub(super) use prepare::prepare;
#[cfg(test)]
pub(super) use prepare::tests;
