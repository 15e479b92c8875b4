//! Products whose factors are rounded to bf16 and whose sums are in f32, on machines that have instructions for them.
//!
//! | file | what it holds |
//! |---|---|
//! | `instructions` | which instructions the machine has |
//! | `lines` | rounding; memory in whole cache lines |
//! | `left` | the left side, rounded for each product |
//! | `right` | the right side, a frozen matrix, rounded and laid out once |
//! | `piece` | what the instructions multiply at a time |
//! | `amx` | a piece of the product in tiles, AMX-BF16 |
//! | `pairs` | the same in vectors, AVX512-BF16 |
//! | `product` | the whole product, on all cores |

#[cfg(target_arch = "x86_64")]
mod amx;
mod instructions;
mod left;
mod lines;
#[cfg(target_arch = "x86_64")]
mod pairs;
mod piece;
mod product;
mod right;
#[cfg(test)]
mod tests;

pub(super) use instructions::Instructions;
pub(super) use lines::round;
pub(super) use product::product;
pub(super) use right::RightSide;
