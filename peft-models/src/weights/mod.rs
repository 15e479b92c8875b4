//! Where a model's tensors come from: files, memory, or a random generator for tests.
//!
//! | file | what it holds |
//! |---|---|
//! | `checkpoint` | [`Weights`]: the tensors of one model, by the names that a family asks for |
//! | `source` | where they are read from |
//! | `folder` | which files of a folder hold its tensors |
//! | `files` | the tensors of these files |
//! | `shard` | one of them: safetensors, or what `torch.save` wrote |
//! | `gguf_files` | a GGUF file, under transformers' names |
//! | `other_tools` | weights that other tools wrote: what they are, and the way out |
//! | `on_their_way` | how much of them a device was given and has not taken yet |
//! | `mapped` | a file mapped into memory |
//! | `format` | [`WeightFormat`]: how large matrices are kept |
//! | `matrix` | a frozen matrix in one of these formats |
//! | `int8` | a matrix in eight bits |
//! | `factor`, `widened` | a matrix of fewer bits as a factor, and products that keep no wide copy of it |
//! | `narrow` | floats in 16 bits |
//! | `head_names` | what heads are called in checkpoints |
//! | `surplus` | what checkpoints hold beside a model |
//! | `report` | [`LoadReport`]: what loading found |
//! | `identity` | what tells the weights of one model from those of another |

mod checkpoint;
mod factor;
mod files;
mod folder;
mod format;
mod gguf_files;
mod head_names;
mod identity;
mod int8;
mod mapped;
mod matrix;
mod narrow;
mod on_their_way;
pub(crate) mod other_tools;
mod report;
mod shard;
mod source;
mod surplus;
mod widened;

pub use checkpoint::Weights;
pub use format::WeightFormat;
pub(crate) use head_names::LM_HEAD;
pub(crate) use identity::sha256;
pub(crate) use matrix::Matrix;
pub use other_tools::other_weights;
pub use report::LoadReport;
pub(crate) use source::Source;
pub(crate) use widened::keeps_none;
