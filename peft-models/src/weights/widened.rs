//! Products with frozen matrices of fewer bits, which are widened for each product and kept for none.
//!
//! Burn's own product keeps a factor for the gradient of the other one. That would be the wide copy of every matrix of a model
//! at once, where the narrow ones were to save memory. This product widens the matrix again for the gradient.
//!
//! | file | what it holds |
//! |---|---|
//! | `operation` | the operation of Burn |
//! | `unrecorded` | the same product without one, in builds that lack it |

#[cfg(any(feature = "cpu", feature = "wgpu", feature = "cuda"))]
mod operation;
#[cfg(not(any(feature = "cpu", feature = "wgpu", feature = "cuda")))]
mod unrecorded;

use burn::tensor::{Device, Tensor};
#[cfg(any(feature = "cpu", feature = "wgpu", feature = "cuda"))]
use operation as chosen;
#[cfg(not(any(feature = "cpu", feature = "wgpu", feature = "cuda")))]
use unrecorded as chosen;

use super::factor::Factor;

/// Whether products on `device` keep no wide matrix: on backends that this build has the operation for.
pub fn keeps_none(device: &Device) -> bool {
    chosen::is_of(device)
}

/// `x Wᵀ`, `[M, in]` to `[M, out]`.
pub fn product(x: Tensor<2>, factor: Factor) -> Tensor<2> {
    if keeps_none(&factor.device()) { chosen::run(x, factor) } else { factor.multiply(x) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::{DType, Distribution, bf16};

    use super::{super::int8::Int8, *};

    const SIZES: [usize; 2] = [7, 5];

    /// A factor with its matrix in full.
    fn factors(device: &Device) -> Vec<(Factor, Tensor<2>)> {
        let floats = Tensor::<2>::random(SIZES, Distribution::Default, device);
        let narrow = floats.clone().cast(DType::BF16);
        let of = |in_words| {
            let int8 = Int8::rounded(floats.to_data(), SIZES, device, in_words);
            (Factor::int8(int8.clone()), int8.full(DType::F32))
        };
        vec![of(false), of(true), (Factor::floats(narrow.clone()), narrow.cast(DType::F32))]
    }

    fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().iter().collect()
    }

    fn assert_near(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            let off = (found - expected).abs();
            assert!(off < 1e-5 * (1.0 + expected.abs()), "{found} {expected}");
        }
    }

    #[test]
    fn products_and_gradients_are_those_of_the_wide_matrix() {
        let device = Device::default();
        let x = || Tensor::<2>::random([6, SIZES[1]], Distribution::Default, &device);
        for (factor, full) in factors(&device) {
            let x = x();
            let leaves = [(); 2].map(|()| x.clone().autodiff().require_grad());
            let [own, expected] = leaves.clone();
            let own = product(own, factor.clone());
            let expected = expected.matmul(full.transpose());
            assert_eq!(own.dims(), [6, SIZES[0]]);
            assert_near(&numbers(own.clone().inner()), &numbers(expected.clone().inner()));
            let gradients = [own, expected].map(|y| y.square().sum().backward());
            let [own, expected] =
                [0, 1].map(|at| numbers(leaves[at].grad(&gradients[at]).unwrap()));
            assert_near(&own, &expected);
            assert!(own.iter().any(|x| *x != 0.0));
            assert!(!product(x, factor).is_tracked());
        }
    }

    #[test]
    fn a_type_of_more_bits_is_multiplied_in() {
        let device = Device::default();
        let wide = || Tensor::<2>::ones([1, SIZES[1]], (&device, DType::F64));
        for (factor, full) in factors(&device) {
            let found = product(wide(), factor);
            assert_eq!(found.dtype(), DType::F64);
            let expected = full.cast(DType::F64).sum_dim(1);
            assert_near(&numbers(found), &numbers(expected));
        }
        let exact: Vec<f32> = vec![bf16::from_f32(0.3).to_f32()];
        let factor = Tensor::<2>::from_data([[0.3f32]], (&device, DType::BF16));
        let one = Tensor::<2>::ones([1, 1], (&device, DType::F32));
        assert_eq!(numbers(product(one, Factor::floats(factor))), exact);
    }

    #[test]
    fn f16_has_no_sums_of_integers() {
        let device = Device::default();
        let sizes = [1, 5];
        let ones = Tensor::<2>::ones(sizes, &device).into_data();
        let factor = Factor::int8(Int8::new(ones, sizes, &device));
        let found = product(Tensor::<2>::full(sizes, 200.0, (&device, DType::F16)), factor);
        // With 127 in place of 1 it would be twice what f16 has numbers for.
        assert!((numbers(found)[0] - 1000.0).abs() < 2.0);
    }

    #[cfg(feature = "cpu")]
    #[test]
    fn the_cpu_has_the_operation() {
        assert!(keeps_none(&Device::flex()));
    }
}
