//! Operations of frozen layers that are faster on the CPU than Burn's general ones.
//!
//! The blocks call the functions of this module first, and compute with Burn's own operations if they return `None`.
//! There are two sets of these functions: `cpu`, with the Cargo feature `cpu`, and `disabled`, without it. Kernels
//! compute with f32 tensors on Burn's CPU backend, flex. `PEFT_KERNELS=off` turns them off for a process, and
//! [`set_enabled`] does so for a test; `PEFT_KERNELS=avx2` and `portable` leave out the wider vector instructions.
//!
//! | file | what it holds |
//! |---|---|
//! | `arguments` | what the functions take besides tensors |
//! | `cpu` | the kernels |
//! | `disabled` | the same functions without kernels |
//! | `parts` | into what parts they divide their work |

mod arguments;
#[cfg(feature = "cpu")]
mod cpu;
#[cfg(not(feature = "cpu"))]
mod disabled;
pub(crate) mod parts;

#[cfg(feature = "cpu")]
use cpu as chosen;
#[cfg(not(feature = "cpu"))]
use disabled as chosen;

#[doc(hidden)]
pub use arguments::Heads;
pub(crate) use arguments::{Encoded, LayerInputs, Nonlinearity, Scores};
pub(crate) use chosen::{
    Bf16Copies, activate, apply_linear, attend, attend_joined, checkpointed, gated_silu, lanes,
    linear_onto, lm_cross_entropy, normalize, reads_in_place, reads_stored, rotate_heads,
    unavailable,
};
pub use chosen::{
    bf16_instructions, compute_on, enabled, instructions, set_enabled, why_no_bf16,
    wrong_environment,
};
