//! Adapters as folders that Python's `peft` reads too: `adapter_config.json` and
//! `adapter_model.safetensors`, and beside them `burn_peft.json` with what it has no place for.
//!
//! | file | what it holds |
//! |---|---|
//! | [`config`] | the fields of `adapter_config.json` |
//! | [`own_fields`] | ours, for which it has no place |
//! | [`own_file`] | where they are: `burn_peft.json` |
//! | [`config_sum`] | whether all of these fields are as they were saved |
//! | [`folder`] | reading and writing the files, checksums, atomic writes |
//! | [`codec`] | named tensors as bytes, and back |
//! | [`stored`] | the tensors of a folder: `adapter_model.safetensors`, else `adapter_model.bin` |
//! | [`foreign`] | files of other code: what their tensors are, and the adapter they become |
//! | [`prompt_file`] | the adapter of a prompt, also of P-tuning v1's |
//! | `deploy` | from the stored tensors to virtual tokens, also those that PEFT made |
//! | `elsewhere` | a path that is no adapter folder: where the adapter is |
//! | [`atomic`] | writing a file or folder so that no kill leaves half of it |
//! | [`growing`] | a file that grows by whole lines before it takes its place |
//! | [`scratch`] | a file without a name, for what can be computed again |
//! | `temporary` | what is written before it has its name, and what kills left of it |
//! | [`lock`] | a folder that one process at a time writes |

pub mod atomic;
pub mod codec;
pub mod config;
pub mod config_sum;
mod deploy;
mod elsewhere;
pub mod folder;
pub mod foreign;
pub mod growing;
pub mod lock;
pub mod own_fields;
pub mod own_file;
pub mod prompt_file;
pub mod scratch;
pub mod stored;
mod temporary;

pub use config::AdapterConfig;
pub use deploy::peft_decoder_prefix;
pub use folder::Adapter;
pub use lock::FolderLock;
pub use own_fields::OwnFields;
