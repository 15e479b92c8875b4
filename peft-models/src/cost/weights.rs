//! The memory of the frozen weights.

use crate::{families::Parameters, weights::WeightFormat};

/// Bytes of the parameters of a model that come from no file, as they are kept in a format: the large matrices in its bits,
/// with a scale for each row in eight, and all others in f32.
pub fn weight_bytes(parameters: &Parameters, format: WeightFormat) -> u64 {
    let [embedding, matrices, channels, vectors] =
        [parameters.embedding, parameters.matrices, parameters.channels, parameters.vectors]
            .map(|count| count as u64);
    let large = embedding.saturating_add(matrices);
    let of_large = match format {
        WeightFormat::F32 | WeightFormat::Auto => large.saturating_mul(4),
        WeightFormat::Bf16 => large.saturating_mul(2),
        WeightFormat::Int8 => large.saturating_add(channels.saturating_mul(4)),
    };
    of_large.saturating_add(vectors.saturating_mul(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_of_fewer_bits_are_for_matrices() {
        let parameters = Parameters { embedding: 40, matrices: 60, channels: 14, vectors: 7 };
        let of = |format| weight_bytes(&parameters, format);
        assert_eq!(
            [WeightFormat::F32, WeightFormat::Bf16, WeightFormat::Int8].map(of),
            [4 * 107, 2 * 100 + 4 * 7, 100 + 4 * 14 + 4 * 7]
        );
    }
}
