//! Files that `torch.save` wrote (`pytorch_model.bin`, `adapter_model.bin`, `.pt`), read as tensors. No code is ever
//! run.
//!
//! | file | what it is |
//! |---|---|
//! | `reader` | [`read`]: the tensors of a file; [`state`]: where those of a model are |
//! | `place` | [`Place`]: where in the file the values of a tensor are |
//! | `gather` | reading values that lie apart there |
//! | `archive` | the zip archive of entries that are not compressed |
//! | `legacy` | the format before torch 1.6 |
//! | `pickle` | the program in it, read by a machine that knows tensors only |
//! | `content` | what is read out of it |
//! | `objects` | what it may name, and what it says of a tensor |
//! | `foreign` | what a file holds that is no file of tensors, and how Python gets them out |
//!
//! Memory stays within a few times the file's size, whatever the file claims: before anything is
//! allocated for a view, it is checked against the bytes of its storage, and the sum of all views
//! is checked too.

mod archive;
mod content;
mod foreign;
mod gather;
mod legacy;
mod objects;
mod pickle;
mod place;
mod reader;
#[cfg(test)]
mod tests;

pub use place::Place;
pub use reader::{TorchFile, read, state};
