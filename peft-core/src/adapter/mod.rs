//! Adapters as folders that Python's `peft` reads too: `adapter_config.json` and
//! `adapter_model.safetensors`.
//!
//! | file | what it holds |
//! |---|---|
//! | [`config`] | the fields of `adapter_config.json`, PEFT's and ours |
//! | [`layout`] | how keys and values are laid flat in `prompt_embeddings` |
//! | [`folder`] | reading and writing the two files, checksums, atomic writes |
//! | `adapter/deploy.rs` | from the stored tensors to virtual tokens, also those that PEFT made |
//! | [`atomic`] | writing a file or folder so that no kill leaves half of it |

pub mod atomic;
pub mod config;
mod deploy;
pub mod folder;
pub mod layout;

pub use config::{AdapterConfig, MethodFields, OwnFields, PeftType, Pooling, StoredSites};
pub use deploy::peft_decoder_prefix;
pub use folder::Adapter;
pub use layout::PROMPT_EMBEDDINGS;
