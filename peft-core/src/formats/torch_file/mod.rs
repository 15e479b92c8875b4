//! Files that `torch.save` wrote (`adapter_model.bin`, `.pt`), read as tensors. No code is ever
//! run.
//!
//! | file | what it is |
//! |---|---|
//! | `archive` | the zip archive of entries that are not compressed |
//! | `reader` | [`read`]: the tensors of a file |
//! | `pickle` | the program in it, read by a machine that knows tensors only |
//!
//! Memory stays within a few times the file's size, whatever the file claims: before anything is
//! allocated for a view, it is checked against the bytes of its storage, and the sum of all views
//! is checked too.

mod archive;
mod pickle;
mod reader;
#[cfg(test)]
mod tests;

pub use reader::{TorchFile, read};
