//! How a frozen matrix is kept in memory.

use burn::tensor::{DType, Device, Int, Tensor, TensorData, bf16, module::embedding};
use peft_core::NamedTensors;

use super::part::{Part, join};
#[cfg(feature = "cpu")]
use crate::kernels;
use crate::weights::WeightFormat;

/// A frozen matrix whose rows are channels: of outputs for a map, of tokens for an embedding.
///
/// In eight bits a number is `q s`, where `q` is from -127 to 127 and each row has an `s` of its own, the
/// largest magnitude of the row over 127.
// There are some dozens of these in a model: a box would save nothing.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug)]
pub enum Matrix {
    /// Of floats, `[rows, columns]`.
    Floats(Tensor<2>),
    /// In eight bits.
    Int8 {
        /// q, `[rows, columns]`.
        values: Tensor<2, Int>,
        /// s, `[rows]`.
        scale: Tensor<1>,
    },
}

impl Matrix {
    /// Keeps a matrix in a format.
    pub fn new(matrix: Tensor<2>, format: WeightFormat) -> Self {
        if format == WeightFormat::F32 {
            return Self::Floats(matrix);
        }
        // On the host, once: no device has a rounding of its own in this, and of a large matrix there is no
        // copy but the smaller one.
        let ([rows, columns], device) = (matrix.dims(), matrix.device());
        let data = matrix.into_data().convert_dtype(DType::F32);
        let numbers: &[f32] = data.as_slice().unwrap_or(&[]);
        if format == WeightFormat::Bf16 {
            let values: Vec<bf16> = numbers.iter().map(|x| bf16::from_f32(*x)).collect();
            let values = TensorData::new(values, [rows, columns]);
            drop(data);
            return Self::Floats(Tensor::from_data(values, (&device, DType::BF16)));
        }
        let mut values = Vec::with_capacity(numbers.len());
        let mut scale = Vec::with_capacity(rows);
        for row in numbers.chunks(columns.max(1)) {
            let largest = row.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
            let step = if largest / 127.0 > 0.0 { largest / 127.0 } else { 1.0 };
            // What is no number stays visible: the whole row becomes none.
            let is_finite = row.iter().all(|x| x.is_finite());
            scale.push(if is_finite { step } else { f32::NAN });
            values.extend(row.iter().map(|x| (x / step).round() as i8));
        }
        drop(data);
        let values = TensorData::new(values, [rows, columns]);
        Self::Int8 {
            values: Tensor::from_data(values, (&device, DType::I8)),
            scale: Tensor::from_data(TensorData::new(scale, [rows]), &device),
        }
    }

    /// Several matrices of as many columns below one another, all in one format.
    pub fn below_one_another(matrices: Vec<Self>) -> Self {
        let (mut floats, mut values, mut scales) = (Vec::new(), Vec::new(), Vec::new());
        for matrix in matrices {
            match matrix {
                Self::Floats(tensor) => floats.push(tensor),
                Self::Int8 { values: of_one, scale } => {
                    values.push(of_one);
                    scales.push(scale);
                }
            }
        }
        if values.is_empty() {
            return Self::Floats(Tensor::cat(floats, 0));
        }
        Self::Int8 { values: Tensor::cat(values, 0), scale: Tensor::cat(scales, 0) }
    }

    /// `[rows, columns]`.
    pub fn dims(&self) -> [usize; 2] {
        match self {
            Self::Floats(tensor) => tensor.dims(),
            Self::Int8 { values, .. } => values.dims(),
        }
    }

    /// Where it is.
    pub fn device(&self) -> Device {
        match self {
            Self::Floats(tensor) => tensor.device(),
            Self::Int8 { values, .. } => values.device(),
        }
    }

    /// All its numbers, in the type of a computation.
    pub fn full(&self, dtype: DType) -> Tensor<2> {
        match self {
            Self::Floats(tensor) if tensor.dtype() == dtype => tensor.clone(),
            Self::Floats(tensor) => tensor.clone().cast(dtype),
            Self::Int8 { values, scale } => {
                let scale = scale.clone().cast(dtype).unsqueeze_dim::<2>(1);
                values.clone().float().cast(dtype) * scale
            }
        }
    }

    /// Chosen rows, in the type of a computation.
    ///
    /// # Shapes
    ///
    /// - rows: `[B, T]`
    /// - output: `[B, T, columns]`
    pub fn rows(&self, rows: Tensor<2, Int>, dtype: DType) -> Tensor<3> {
        let Self::Int8 { values, scale } = self else {
            let Self::Floats(tensor) = self else { unreachable!("the other kind") };
            let chosen = embedding(tensor.clone(), rows);
            return if chosen.dtype() == dtype { chosen } else { chosen.cast(dtype) };
        };
        let [b, t] = rows.dims();
        let flat = rows.reshape([b * t]);
        let chosen = values.clone().select(0, flat.clone()).float().cast(dtype);
        let scale = scale.clone().cast(dtype).select(0, flat).unsqueeze_dim::<2>(1);
        let columns = values.dims()[1];
        (chosen * scale).reshape([b, t, columns])
    }

    /// As kernels read it. `None` where they cannot.
    #[cfg(feature = "cpu")]
    pub(crate) fn kernel(&self) -> Option<kernels::Frozen> {
        match self {
            Self::Floats(tensor) => kernels::Frozen::floats(tensor),
            Self::Int8 { values, scale } => kernels::Frozen::int8(values, scale),
        }
    }
}

impl Part for Matrix {
    fn collect(&self, name: &str, into: &mut NamedTensors) {
        match self {
            Self::Floats(tensor) => tensor.collect(name, into),
            Self::Int8 { values, scale } => {
                into.insert(name.to_string(), values.to_data());
                scale.collect(&join(name, "scale"), into);
            }
        }
    }
}
