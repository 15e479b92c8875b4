//! Attention, `softmax(scale q kᵀ + bias) v`, over `[virtual tokens | tokens]`. Keys and values are not copied; those
//! of virtual tokens that the batch shares are read by all rows.
//!
//! ```text
//! s = scale q [kᵖ | k]ᵀ + bias      p = softmax(s)      o = p [vᵖ | v]
//! ds = p (dp - Σ p dp)              dp = do [vᵖ | v]ᵀ
//! dq = scale ds [kᵖ | k]            d[kᵖ | k] = scale dsᵀ q            d[vᵖ | v] = pᵀ do
//! ```
//!
//! Only one block of queries has its scores in memory at a time. The backward pass computes them again, with the
//! largest score and the denominator of each softmax (Dao et al. 2022, arXiv 2205.14135), so memory grows with S, not
//! with S².
//!
//! | file | what it holds |
//! |---|---|
//! | `kernel` | attention as an operation of Burn |
//! | `forward`, `backward` | its passes |
//! | `frozen_inputs` | scale, mask and bias |
//! | `plan` | sizes, and which query sees which key |
//! | `layout` | how the rows of heads lie in memory |
//! | `softmax` | the softmax of one query |

mod backward;
mod forward;
mod frozen_inputs;
mod kernel;
mod layout;
mod plan;
mod softmax;

pub(super) use kernel::{joined, separate};
