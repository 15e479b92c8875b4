//! `softmax(scale q kᵀ + bias) v` over `[virtual tokens | tokens]`, whose keys and values stay where they are:
//! no copy of them is made, and those of virtual tokens that the batch shares are read by all rows.
//!
//! ```text
//! s = scale q [kᵖ | k]ᵀ + bias      p = softmax(s)      o = p [vᵖ | v]
//! ds = p (dp - Σ p dp)              dp = do [vᵖ | v]ᵀ
//! dq = scale ds [kᵖ | k]            d[kᵖ | k] = scale dsᵀ q            d[vᵖ | v] = pᵀ do
//! ```
//!
//! Scores exist for one block of queries at a time. The backward pass makes them again, with the largest score and
//! the denominator of each softmax (Dao et al. 2022, arXiv 2205.14135), so memory grows with S, not with S².

mod backward;
mod forward;
mod frozen_inputs;
mod kernel;
mod layout;
mod plan;
mod softmax;

pub(super) use kernel::{joined, separate};
