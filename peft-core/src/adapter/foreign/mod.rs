//! What other code leaves of these methods: checkpoints of P-tuning v2, of prefix tuning, of OpenPrompt, state dicts of
//! PEFT, and prompts that stand alone in a file. Read as the virtual tokens that they make, or refused by name.
//!
//! | file | what it holds |
//! |---|---|
//! | [`found`] | what was found in a file, and the adapter it becomes on a base model |
//! | `source` | the tensors of a file, by name, read when they are needed |
//! | `layouts` | by which names each code is known, and how its virtual tokens are read |
//! | `layers` | the layers that make virtual tokens from a small matrix |
//! | `surplus` | what else is in the file: a head, the backbone, or something that must not be dropped |

pub mod found;
mod layers;
mod layouts;
mod source;
mod surplus;

pub use found::{Base, Found, read};
pub use source::holds_tensors;
pub use surplus::TensorsByName;
pub(super) use surplus::{EMBEDDINGS, LM_HEAD, is_embedding, is_head, is_same};
