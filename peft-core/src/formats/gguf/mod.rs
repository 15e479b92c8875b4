//! GGUF, the file of llama.cpp: metadata (config, tokenizer, chat template) and tensors, most of them quantised.
//!
//! | file | what it holds |
//! |---|---|
//! | `file` | [`Gguf`]: the metadata and where the tensors are, of one file or of all parts of a split one |
//! | `locate` | [`gguf_of`]: which GGUF file a path means |
//! | `header` | reading one file's header |
//! | `cursor` | numbers and texts of a header, no more of them than the file holds |
//! | `value` | [`Value`], [`Array`]: the types of metadata |
//! | `tensor_type` | [`TensorType`]: how values are stored |
//! | `blocks` | [`dequantise`]: from stored blocks to f32 |

mod blocks;
mod cursor;
mod file;
mod header;
mod locate;
mod tensor_type;
mod value;

pub use blocks::dequantise;
pub use file::{Gguf, GgufTensor};
pub use locate::{gguf_of, is_gguf};
pub use tensor_type::TensorType;
pub use value::{Array, Value};
