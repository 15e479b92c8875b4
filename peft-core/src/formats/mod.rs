//! File formats that more than one part of the workspace reads, and what a file is when it is not the one expected.
//!
//! | file | what it holds |
//! |---|---|
//! | [`read`] | a whole file as bytes, text or JSON |
//! | [`lfs`] | the pointers that Git LFS leaves in place of files |
//! | [`instead`] | what a file of weights is by its first bytes |
//! | [`nearby`] | which folder was probably meant by a path that does not lead to one |
//! | [`safetensors_file`] | which tensors a safetensors file holds, and where |
//! | [`torch_file`] | reading what `torch.save` wrote, tensors only |
//! | [`npy`] | matrices as `.npy` files |
//! | [`protobuf`] | the wire format of Protocol Buffers |
//! | [`floats`] | values of half precision in f32 |
//! | [`gguf`] | models of llama.cpp: metadata and tensors in one file |

pub mod floats;
pub mod gguf;
pub mod instead;
pub mod lfs;
pub mod nearby;
pub mod npy;
pub mod protobuf;
pub mod read;
pub mod safetensors_file;
pub mod torch_file;
