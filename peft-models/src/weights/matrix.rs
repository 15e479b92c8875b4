//! A frozen matrix in one of the formats.

use burn::tensor::{DType, Device, Int, Tensor, TensorData, bf16, module::embedding};
use peft_core::NamedTensors;

use super::WeightFormat;
use crate::named_tensors::{CollectTensors, join};

/// A frozen matrix whose rows are channels: outputs of a linear layer, tokens of an embedding.
///
/// In eight bits a value is `q s`, where `q` is from -127 to 127 and each row has its own scale `s`, the largest magnitude
/// of the row over 127.
// A model has some dozens of them: a box would save nothing.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug)]
pub enum Matrix {
    /// Floats, `[rows, columns]`.
    Floats(Tensor<2>),
    /// Eight bits.
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
        // On the host, once: rounding does not depend on the device, and the only copy of a large matrix is the smaller
        // one.
        let ([rows, columns], device) = (matrix.dims(), matrix.device());
        let data = matrix.into_data().convert_dtype(DType::F32);
        let floats: &[f32] = data.as_slice().unwrap_or(&[]);
        if format == WeightFormat::Bf16 {
            let values: Vec<bf16> = floats.iter().map(|x| bf16::from_f32(*x)).collect();
            let values = TensorData::new(values, [rows, columns]);
            drop(data);
            return Self::Floats(Tensor::from_data(values, (&device, DType::BF16)));
        }
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
        let values = TensorData::new(values, [rows, columns]);
        Self::Int8 {
            values: Tensor::from_data(values, (&device, DType::I8)),
            scale: Tensor::from_data(TensorData::new(scale, [rows]), &device),
        }
    }

    /// The rows of several matrices in one, all in one format.
    pub fn concatenate(matrices: Vec<Self>) -> Self {
        let (mut floats, mut values, mut scales) = (Vec::new(), Vec::new(), Vec::new());
        for matrix in matrices {
            match matrix {
                Self::Floats(tensor) => floats.push(tensor),
                Self::Int8 { values: quantised, scale } => {
                    values.push(quantised);
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

    /// The device it is on.
    pub fn device(&self) -> Device {
        match self {
            Self::Floats(tensor) => tensor.device(),
            Self::Int8 { values, .. } => values.device(),
        }
    }

    /// The whole matrix, in the type of a computation.
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

    /// The rows chosen, in the type of a computation.
    ///
    /// # Shapes
    ///
    /// - rows: `[B, T]`
    /// - output: `[B, T, columns]`
    pub fn rows(&self, rows: Tensor<2, Int>, dtype: DType) -> Tensor<3> {
        let Self::Int8 { values, scale } = self else {
            let Self::Floats(tensor) = self else { unreachable!("the other variant") };
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
}

impl CollectTensors for Matrix {
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
