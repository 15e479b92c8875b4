//! Strategies: what property tests draw.

use proptest::{
    collection::{SizeRange, vec},
    prelude::{ProptestConfig, Strategy},
    sample::{Select, select},
};

use crate::{FAMILIES, Family, Shape, VOCAB};

/// How often a property is tried that builds a model and runs it several times: `count` times on the CPU, twice on a
/// GPU, which compiles kernels for each shape.
pub fn cases(count: u32) -> ProptestConfig {
    ProptestConfig::with_cases(if cfg!(feature = "wgpu") { 2 } else { count })
}

/// Rows of token ids.
pub fn ids(len: impl Into<SizeRange>) -> impl Strategy<Value = Vec<u32>> {
    vec(0..VOCAB as u32, len)
}

/// Sizes of a random model.
pub fn shape() -> impl Strategy<Value = Shape> {
    (1..4usize, 1..4usize, select(vec![2usize, 4, 6])).prop_map(|(layers, kv_heads, head_dim)| {
        Shape { layers, kv_heads, head_dim, positions: 64 }
    })
}

/// A family with a single stack.
pub fn family() -> Select<Family> {
    select(FAMILIES.to_vec())
}

/// A decoder.
pub fn decoder() -> Select<Family> {
    select(Family::CAUSAL.to_vec())
}

/// An encoder-decoder.
pub fn encoder_decoder() -> Select<Family> {
    select(Family::ENCODER_DECODER.to_vec())
}
