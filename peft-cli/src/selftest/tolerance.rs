//! How far a device may be from the CPU.
//!
//! A number of f32 has 24 bits, and sums of some dozens of products, in another order, are off by a few units of the last:
//! what is wrong is off by much more than any of these limits. Where a GPU multiplies in TF32, as CUDA's autotune may, a
//! factor has 11 bits.

use super::checks::{Check, On};

/// How far: a part of the largest number; for generation, nats that a token may be less likely by.
pub fn of(check: Check, on: On) -> f64 {
    match (on, check) {
        (On::Cpu, Check::Forward | Check::Mixed) => 1e-4,
        (On::Cpu, Check::Gradients | Check::Training | Check::Generation) => 1e-3,
        (On::Gpu, Check::Forward | Check::Mixed) => 5e-3,
        (On::Gpu, Check::Gradients | Check::Training | Check::Generation) => 2e-2,
    }
}

/// Products in 16 bits may be so many times further than what rounding the matrices alone does, which depends on the model.
pub const TIMES_ROUNDED: f64 = 10.0;

/// With a tolerance beyond this a check could not fail, not even of zeros, and is left out: so far do small random models
/// take products in 16 bits in some families. In generation it is the same part of how far texts of one token are.
pub const MOST: f64 = 0.5;
