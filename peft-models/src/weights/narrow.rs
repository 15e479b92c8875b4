//! Floats of 32 bits in a type of 16.

use burn::tensor::{DType, Element, TensorData, bf16, f16};

/// Data in `dtype`, each number rounded to the nearest that the type has; as it is if it has that type.
///
/// # Errors
///
/// The first number that is not finite in that type.
pub fn narrowed(data: TensorData, dtype: DType) -> Result<TensorData, f32> {
    match dtype {
        _ if data.dtype() == dtype => Ok(data),
        DType::F16 => round(data, f16::from_f32, f16::is_finite),
        DType::BF16 => round(data, bf16::from_f32, bf16::is_finite),
        other => Ok(data.convert_dtype(other)),
    }
}

fn round<T: Element>(
    data: TensorData,
    nearest: impl Fn(f32) -> T,
    is_finite: impl Fn(T) -> bool,
) -> Result<TensorData, f32> {
    let shape = data.shape().clone();
    let data = data.convert_dtype(DType::F32);
    // What was converted is in f32.
    let floats: &[f32] = data.as_slice().unwrap_or(&[]);
    let mut values = Vec::with_capacity(floats.len());
    for float in floats {
        let value = nearest(*float);
        if !is_finite(value) {
            return Err(*float);
        }
        values.push(value);
    }
    Ok(TensorData::new(values, shape))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// 1 + 2⁻⁹ lies between two numbers of bf16, the even one of which is 1; f16 has it.
    #[test]
    fn numbers_are_rounded_to_the_nearest_and_keep_their_shape() {
        let numbers = vec![1.0f32 + 2f32.powi(-9), -3.0, 1e-6, 65504.0];
        let data = || TensorData::new(numbers.clone(), [2, 2]);
        let values = |dtype| -> Vec<f32> {
            let found = narrowed(data(), dtype).unwrap();
            assert_eq!((found.dtype(), found.shape().as_slice()), (dtype, &[2, 2][..]));
            found.iter().collect()
        };
        let (wide, narrow) = (values(DType::F16), values(DType::BF16));
        assert_eq!(wide[..2], numbers[..2]);
        assert_eq!((wide[3], narrow[0], narrow[1]), (65504.0, 1.0, -3.0));
        // Below the smallest normal number of f16, which has fewer digits there.
        assert!((wide[2] / 1e-6 - 1.0).abs() < 0.03 && (narrow[2] / 1e-6 - 1.0).abs() < 0.004);
        assert_eq!(values(DType::F32), numbers);
    }

    #[test]
    fn a_number_that_is_too_large_is_told() {
        let data = || TensorData::new(vec![1.0f32, -70000.0, 1e9], [3]);
        assert_eq!(narrowed(data(), DType::F16).unwrap_err(), -70000.0);
        assert!(narrowed(data(), DType::BF16).is_ok());
    }

    #[test]
    fn what_has_the_type_stays_as_it_is() {
        let data = TensorData::new(vec![f16::INFINITY, f16::ONE], [2]);
        assert_eq!(narrowed(data.clone(), DType::F16).unwrap(), data);
    }
}
