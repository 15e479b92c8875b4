//! Sums that do not depend on how many threads there are.

use burn::tensor::Tensor;

/// Elements that are added at a time. Burn divides larger sums among threads, as they come.
const PART: usize = 1 << 20;

/// The sum of all elements.
pub(super) fn sum(values: Tensor<1>) -> Tensor<1> {
    let [len] = values.dims();
    if len <= PART {
        return values.sum();
    }
    let parts = (0..len).step_by(PART);
    let parts = parts.map(|start| values.clone().narrow(0, start, PART.min(len - start)).sum());
    Tensor::cat(parts.collect(), 0).sum()
}

/// The mean of all elements.
pub(super) fn mean(values: Tensor<1>) -> Tensor<1> {
    let [len] = values.dims();
    sum(values) / len as f64
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    #[test]
    fn every_element_counts_once() {
        for len in [1, 5, PART, PART + 1, 2 * PART + 3] {
            let values = TensorData::new(vec![0.5f32; len], [len]);
            let values = Tensor::<1>::from_data(values, &Device::flex());
            assert_eq!(sum(values.clone()).into_scalar::<f32>(), 0.5 * len as f32);
            assert_eq!(mean(values).into_scalar::<f32>(), 0.5);
        }
    }
}
