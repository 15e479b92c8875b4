//! A frozen matrix in one of the formats.

use burn::tensor::{
    DType, Device, Int, Tensor, TensorData, bf16,
    module::{embedding, linear},
};
use bytes::Bytes;
use peft_core::{
    NamedTensors,
    formats::gguf::{TensorType, dequantise},
};

use super::WeightFormat;
use crate::named_tensors::{CollectTensors, join};

/// A frozen matrix whose rows are channels: outputs of a linear layer, tokens of an embedding.
///
/// In eight bits a value is `q s`, where `q` is from -127 to 127 and each row has its own scale `s`, the largest
/// magnitude of the row over 127.
// A model has some dozens of them: a box would save nothing.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug)]
pub enum Matrix {
    /// Floats, `[rows, columns]`; of 16 bits, they are upcast for products.
    Floats(Tensor<2>),
    /// Floats of 16 bits that products are made in, `[rows, columns]`.
    Reduced(Tensor<2>),
    /// Eight bits.
    Int8 {
        /// q, `[rows, columns]`.
        values: Tensor<2, Int>,
        /// s, `[rows]`.
        scale: Tensor<1>,
    },
    /// As a GGUF file stores it.
    Stored {
        /// How a row is stored.
        kind: TensorType,
        /// `[rows, columns]`.
        sizes: [usize; 2],
        /// The rows, one after the other.
        bytes: Bytes,
        /// Where tensors made of it go.
        device: Device,
    },
}

impl Matrix {
    /// Keeps a matrix in a format.
    pub fn new(matrix: Tensor<2>, format: WeightFormat) -> Self {
        if !format.is_rounded() {
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

    /// The rows of several matrices in one, all in one format; as they are if they are stored in blocks, whose views of
    /// the file a copy would give up.
    pub fn concatenate(matrices: Vec<Self>) -> Vec<Self> {
        let (mut floats, mut reduced) = (Vec::new(), Vec::new());
        let (mut values, mut scales) = (Vec::new(), Vec::new());
        for matrix in &matrices {
            match matrix {
                Self::Floats(tensor) => floats.push(tensor.clone()),
                Self::Reduced(tensor) => reduced.push(tensor.clone()),
                Self::Int8 { values: quantised, scale } => {
                    values.push(quantised.clone());
                    scales.push(scale.clone());
                }
                Self::Stored { .. } => return matrices,
            }
        }
        drop(matrices);
        vec![match (values.is_empty(), reduced.is_empty()) {
            (false, _) => {
                Self::Int8 { values: Tensor::cat(values, 0), scale: Tensor::cat(scales, 0) }
            }
            (true, false) => Self::Reduced(Tensor::cat(reduced, 0)),
            (true, true) => Self::Floats(Tensor::cat(floats, 0)),
        }]
    }

    /// `[rows, columns]`.
    pub fn dims(&self) -> [usize; 2] {
        match self {
            Self::Floats(tensor) | Self::Reduced(tensor) => tensor.dims(),
            Self::Int8 { values, .. } => values.dims(),
            Self::Stored { sizes, .. } => *sizes,
        }
    }

    /// The device it is on.
    pub fn device(&self) -> Device {
        match self {
            Self::Floats(tensor) | Self::Reduced(tensor) => tensor.device(),
            Self::Int8 { values, .. } => values.device(),
            Self::Stored { device, .. } => device.clone(),
        }
    }

    /// Whether gradients pass through f16, in which small ones are zero.
    pub fn scales_loss(&self) -> bool {
        matches!(self, Self::Reduced(tensor) if tensor.dtype() == DType::F16)
    }

    /// `x Wᵀ + b`: `[.., columns]` to `[.., rows]`, in the type of `x`.
    pub fn linear<const D: usize>(&self, x: Tensor<D>, bias: Option<Tensor<1>>) -> Tensor<D> {
        let dtype = x.dtype();
        let Self::Reduced(weight) = self else {
            return linear(x, self.full(dtype).transpose(), bias);
        };
        let product = linear(x.cast(weight.dtype()), weight.clone().transpose(), None).cast(dtype);
        match bias {
            Some(bias) => product + bias.unsqueeze(),
            None => product,
        }
    }

    /// The whole matrix, in the type of a computation.
    pub fn full(&self, dtype: DType) -> Tensor<2> {
        match self {
            Self::Floats(tensor) | Self::Reduced(tensor) if tensor.dtype() == dtype => {
                tensor.clone()
            }
            Self::Floats(tensor) | Self::Reduced(tensor) => tensor.clone().cast(dtype),
            Self::Int8 { values, scale } => {
                let scale = scale.clone().cast(dtype).unsqueeze_dim::<2>(1);
                values.clone().float().cast(dtype) * scale
            }
            Self::Stored { kind, sizes, bytes, device } => {
                let mut values = vec![0.0; sizes[0] * sizes[1]];
                dequantise(*kind, bytes, &mut values);
                let data = TensorData::new(values, *sizes).convert_dtype(dtype);
                Tensor::from_data(data, (device, dtype))
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
        let [b, t] = rows.dims();
        match self {
            Self::Floats(tensor) | Self::Reduced(tensor) => {
                let chosen = embedding(tensor.clone(), rows);
                if chosen.dtype() == dtype { chosen } else { chosen.cast(dtype) }
            }
            Self::Int8 { values, scale } => {
                let flat = rows.reshape([b * t]);
                let chosen = values.clone().select(0, flat.clone()).float().cast(dtype);
                let scale = scale.clone().cast(dtype).select(0, flat).unsqueeze_dim::<2>(1);
                let columns = values.dims()[1];
                (chosen * scale).reshape([b, t, columns])
            }
            Self::Stored { kind, sizes: [_, columns], bytes, device } => {
                let width = kind.bytes_of(*columns);
                let mut values = vec![0.0; b * t * columns];
                let rows = rows.into_data();
                for (row, to) in rows.iter::<i64>().zip(values.chunks_mut((*columns).max(1))) {
                    // A row beyond the matrix ends in a panic, as with tensors.
                    let row = row as usize;
                    dequantise(*kind, &bytes[row * width..(row + 1) * width], to);
                }
                let data = TensorData::new(values, [b, t, *columns]).convert_dtype(dtype);
                Tensor::from_data(data, (device, dtype))
            }
        }
    }
}

impl CollectTensors for Matrix {
    fn collect(&self, name: &str, into: &mut NamedTensors) {
        match self {
            Self::Floats(tensor) | Self::Reduced(tensor) => tensor.collect(name, into),
            Self::Int8 { values, scale } => {
                into.insert(name.to_string(), values.to_data());
                scale.collect(&join(name, "scale"), into);
            }
            Self::Stored { kind, sizes: [rows, columns], bytes, .. } => {
                let shape = [*rows, kind.bytes_of(*columns)];
                into.insert(name.to_string(), TensorData::new(bytes.to_vec(), shape));
            }
        }
    }
}
