//! Kernels for Burn's CPU backend, flex.
//!
//! Each is a function of tensors with a hand-written gradient: of its inputs alone, as nothing else is trained.
//!
//! | file | what it holds |
//! |---|---|
//! | `entry` | the functions that the blocks call |
//! | `switch` | whether kernels are turned on, and with which instructions |
//! | `linear` | linear layers, with an activation or onto a residual |
//! | `activation` | GELU, SiLU, ReLU, the product of SwiGLU |
//! | `norm` | LayerNorm and RMSNorm |
//! | `rotate` | rotary positions |
//! | `attention` | attention over `[virtual tokens \| tokens]` |
//! | `cross_entropy` | a language-model head with its loss |
//! | `gradient_checkpointing` | layers whose forward pass keeps nothing but the inputs |
//! | `autodiff` | how these become operations of Burn |
//! | `frozen` | frozen matrices, also in fewer bits |
//! | `view` | a matrix inside a slice |
//! | `product`, `destination` | the product of two views, on one core, and where it goes |
//! | `tile`, `panel`, `transpose`, `ahead` | what it multiplies at a time, how that is laid out and fetched |
//! | `few_rows` | products of up to 64 rows, as a step of generation makes them |
//! | `dot_products` | the product of a row alone |
//! | `column_blocks` | products with frozen matrices, on all cores |
//! | `block` | a block of such a product |
//! | `bf16` | products in bf16 |
//! | `layer_weights` | the matrices of a layer, multiplied in f32 or in bf16 |
//! | `lanes` | the cores as workers that compute slices of a batch side by side |
//! | `parallel`, `simd`, `tensors`, `unwritten` | threads, vector instructions, slices of tensors, memory for results |

mod activation;
mod ahead;
mod attention;
mod autodiff;
// No other processor has instructions for it yet.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, unused_variables))]
mod bf16;
mod block;
mod column_blocks;
mod cross_entropy;
mod destination;
mod dot_products;
mod entry;
mod few_rows;
mod frozen;
mod gradient_checkpointing;
mod lanes;
mod layer_weights;
mod linear;
mod norm;
mod panel;
mod parallel;
mod product;
mod rotate;
mod simd;
mod switch;
mod tensors;
#[cfg(test)]
mod tests;
mod tile;
#[cfg(target_arch = "x86_64")]
mod transpose;
mod unwritten;
mod view;

pub(crate) use entry::{
    activate, apply_linear, attend, attend_joined, checkpointed, gated_silu, linear_onto,
    lm_cross_entropy, normalize, reads_in_place, reads_stored, rotate_heads, unavailable,
};
pub use entry::{bf16_instructions, compute_on, instructions, why_no_bf16};
pub(crate) use lanes::lanes;
pub(crate) use layer_weights::Bf16Copies;
pub use switch::{enabled, set_enabled, wrong_environment};
