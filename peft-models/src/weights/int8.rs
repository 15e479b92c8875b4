//! Frozen matrices in eight bits.

use burn::tensor::{DType, Device, FloatDType, Int, Tensor, TensorData};

/// Values in a word of a device that has no integers of eight bits.
const IN_A_WORD: usize = 4;

/// A matrix `q s`, where `q` is from -127 to 127 and each row has its own scale `s`, the largest magnitude of the row over
/// 127.
#[derive(Clone, Debug)]
pub struct Int8 {
    /// q, `[rows, columns]`; or words of four of them, `[rows, columns / 4]`, in which byte k of word w is column
    /// `k columns / 4 + w`, and columns are rounded up to a multiple of four.
    values: Tensor<2, Int>,
    /// s, `[rows]`.
    scale: Tensor<1>,
    columns: usize,
}

impl Int8 {
    /// Rounds floats `[rows, columns]`, in words if the device has no integers of eight bits, as WGSL has none.
    pub fn new(floats: TensorData, sizes: [usize; 2], device: &Device) -> Self {
        Self::rounded(floats, sizes, device, !device.supports_dtype(DType::I8))
    }

    /// Rounds on the host, once: rounding does not depend on the device, and the only copy of a large matrix is the
    /// smaller one.
    pub(super) fn rounded(
        floats: TensorData,
        [rows, columns]: [usize; 2],
        device: &Device,
        in_words: bool,
    ) -> Self {
        let data = floats.convert_dtype(DType::F32);
        let floats: &[f32] = data.as_slice().unwrap_or(&[]);
        let mut values = Vec::with_capacity(floats.len());
        let mut scale = Vec::with_capacity(rows);
        for row in floats.chunks(columns.max(1)) {
            let largest = row.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
            let step = if largest / 127.0 > 0.0 { largest / 127.0 } else { 1.0 };
            // Non-finite values stay visible: the whole row becomes NaN.
            let is_finite = row.iter().all(|x| x.is_finite());
            scale.push(if is_finite { step } else { f32::NAN });
            values.extend(row.iter().map(|x| (x / step).round() as i8));
        }
        drop(data);
        let values = match in_words {
            false => {
                let values = TensorData::new(values, [rows, columns]);
                Tensor::from_data(values, (device, DType::I8))
            }
            true => {
                let words = values.chunks(columns.max(1)).flat_map(words).collect::<Vec<i32>>();
                let words = TensorData::new(words, [rows, columns.div_ceil(IN_A_WORD)]);
                Tensor::from_data(words, (device, DType::I32))
            }
        };
        let scale = Tensor::from_data(TensorData::new(scale, [rows]), (device, DType::F32));
        Self { values, scale, columns }
    }

    /// The rows of several matrices of the same width, on one device, in one; `None` if there are none.
    pub fn concatenated(matrices: Vec<Self>) -> Option<Self> {
        let columns = matrices.first()?.columns;
        let (values, scales) = matrices.into_iter().map(|own| (own.values, own.scale)).unzip();
        Some(Self { values: Tensor::cat(values, 0), scale: Tensor::cat(scales, 0), columns })
    }

    /// `[rows, columns]`.
    pub fn dims(&self) -> [usize; 2] {
        [self.values.dims()[0], self.columns]
    }

    /// The device it is on.
    pub fn device(&self) -> Device {
        self.values.device()
    }

    /// q as it is kept.
    pub fn values(&self) -> &Tensor<2, Int> {
        &self.values
    }

    /// s, `[rows]`.
    pub fn scale(&self) -> &Tensor<1> {
        &self.scale
    }

    /// q as floats, `[rows, columns]`: every type has all of its numbers.
    pub fn wide(&self, dtype: DType) -> Tensor<2> {
        widened(self.values.clone(), self.columns, dtype)
    }

    /// The whole matrix.
    pub fn full(&self, dtype: DType) -> Tensor<2> {
        self.wide(dtype) * self.scale.clone().cast(dtype).unsqueeze_dim::<2>(1)
    }

    /// The rows chosen by `rows`, `[M]`: `[M, columns]`.
    pub fn rows(&self, rows: Tensor<1, Int>, dtype: DType) -> Tensor<2> {
        let values = self.values.clone().select(0, rows.clone());
        let scale = self.scale.clone().cast(dtype).select(0, rows).unsqueeze_dim::<2>(1);
        widened(values, self.columns, dtype) * scale
    }
}

/// A row in words.
fn words(row: &[i8]) -> impl Iterator<Item = i32> {
    let count = row.len().div_ceil(IN_A_WORD);
    (0..count).map(move |word| {
        let byte = |k: usize| row.get(k * count + word).map_or(0, |value| value.cast_unsigned());
        i32::from_le_bytes(std::array::from_fn(byte))
    })
}

/// Integers, or words of them, as floats `[_, columns]`.
fn widened(values: Tensor<2, Int>, columns: usize, dtype: DType) -> Tensor<2> {
    let float = |values: Tensor<2, Int>| values.cast(FloatDType::from(dtype));
    if values.dtype() == DType::I8 {
        return float(values);
    }
    // A byte goes to the upper end, and comes back with its sign.
    let top = 8 * (IN_A_WORD as i32 - 1);
    let byte = |k: i32| {
        let upper = values.clone().bitwise_left_shift_scalar(top - 8 * k);
        float(upper.bitwise_right_shift_scalar(top))
    };
    let all = Tensor::cat((0..IN_A_WORD as i32).map(byte).collect(), 1);
    if all.dims()[1] == columns { all } else { all.narrow(1, 0, columns) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn numbers(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().iter().collect()
    }

    /// Values of both signs, in rows of 1 to 9 columns.
    #[test]
    fn words_hold_the_same_numbers() {
        let device = Device::default();
        for columns in 1..10 {
            let rows = 255usize.div_ceil(columns);
            // Each row begins with the largest value that there is, so that a scale is 1.
            let value = |at: usize| match (at % columns, at / columns % 2) {
                (0, 0) => 127.0,
                (0, _) => -127.0,
                _ => at.min(254) as f32 - 127.0,
            };
            let floats: Vec<f32> = (0..rows * columns).map(value).collect();
            let of = |in_words| {
                let data = TensorData::new(floats.clone(), [rows, columns]);
                Int8::rounded(data, [rows, columns], &device, in_words)
            };
            let (bytes, words) = (of(false), of(true));
            assert_eq!((bytes.dims(), words.dims()), ([rows, columns], [rows, columns]));
            assert_eq!(bytes.values.dtype(), DType::I8);
            assert_eq!(words.values.dtype(), DType::I32);
            assert_eq!(words.values.dims(), [rows, columns.div_ceil(4)]);
            assert_eq!(numbers(bytes.wide(DType::F32)), floats);
            assert_eq!(numbers(words.wide(DType::F32)), floats);
            let chosen = || Tensor::<1, Int>::from_ints([rows as i32 - 1, 0], &device);
            let of_bytes = numbers(bytes.rows(chosen(), DType::F32));
            assert_eq!(of_bytes, numbers(words.rows(chosen(), DType::F32)));
            assert_eq!(of_bytes[columns..], floats[..columns]);
            let twice = |own: Int8| Int8::concatenated(vec![own.clone(), own]).unwrap();
            let (bytes, words) = (twice(bytes), twice(words));
            assert_eq!(words.dims(), [2 * rows, columns]);
            assert_eq!(numbers(bytes.full(DType::F32)), numbers(words.full(DType::F32)));
        }
    }

    #[test]
    fn scales_are_those_of_rows_and_show_what_is_not_finite() {
        let floats = vec![0.5f32, -2.0, 0.0, 0.0, f32::INFINITY, 1.0];
        let data = TensorData::new(floats, [3, 2]);
        let matrix = Int8::new(data, [3, 2], &Device::default());
        let scale: Vec<f32> = matrix.scale().to_data().iter().collect();
        assert_eq!(scale[..2], [2.0 / 127.0, 1.0]);
        let full = numbers(matrix.full(DType::F32));
        // 0.5 / 2 * 127 is 31.75.
        assert_eq!(full[..4], [32.0 * (2.0 / 127.0), -127.0 * (2.0 / 127.0), 0.0, 0.0]);
        assert!(full[4..].iter().all(|x| x.is_nan()));
    }
}
