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

use super::{WeightFormat, factor::Factor, int8::Int8, widened};
use crate::named_tensors::{CollectTensors, join};

/// A frozen matrix whose rows are channels: outputs of a linear layer, tokens of an embedding.
// A model has some dozens of them: a box would save nothing.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug)]
pub enum Matrix {
    /// Floats, `[rows, columns]`; of 16 bits, they are upcast for products.
    Floats(Tensor<2>),
    /// Floats of 16 bits that products are made in, `[rows, columns]`.
    Reduced(Tensor<2>),
    /// Eight bits, which are widened for products.
    Int8(Int8),
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
        // On the host, where rounding is the same for every device.
        let ([rows, columns], device) = (matrix.dims(), matrix.device());
        let data = matrix.into_data();
        if format == WeightFormat::Int8 {
            return Self::int8(data, [rows, columns], &device);
        }
        let data = data.convert_dtype(DType::F32);
        let floats: &[f32] = data.as_slice().unwrap_or(&[]);
        let values: Vec<bf16> = floats.iter().map(|x| bf16::from_f32(*x)).collect();
        let values = TensorData::new(values, [rows, columns]);
        drop(data);
        Self::Floats(Tensor::from_data(values, (&device, DType::BF16)))
    }

    /// Keeps floats of these sizes in eight bits.
    pub fn int8(floats: TensorData, sizes: [usize; 2], device: &Device) -> Self {
        Self::Int8(Int8::new(floats, sizes, device))
    }

    /// The rows of several matrices in one, all in one format; as they are if they are stored in blocks, whose views of
    /// the file a copy would give up.
    pub fn concatenate(matrices: Vec<Self>) -> Vec<Self> {
        let (mut floats, mut reduced, mut int8) = (Vec::new(), Vec::new(), Vec::new());
        for matrix in &matrices {
            match matrix {
                Self::Floats(tensor) => floats.push(tensor.clone()),
                Self::Reduced(tensor) => reduced.push(tensor.clone()),
                Self::Int8(matrix) => int8.push(matrix.clone()),
                Self::Stored { .. } => return matrices,
            }
        }
        drop(matrices);
        vec![match (Int8::concatenated(int8), reduced.is_empty()) {
            (Some(int8), _) => Self::Int8(int8),
            (None, false) => Self::Reduced(Tensor::cat(reduced, 0)),
            (None, true) => Self::Floats(Tensor::cat(floats, 0)),
        }]
    }

    /// `[rows, columns]`.
    pub fn dims(&self) -> [usize; 2] {
        match self {
            Self::Floats(tensor) | Self::Reduced(tensor) => tensor.dims(),
            Self::Int8(matrix) => matrix.dims(),
            Self::Stored { sizes, .. } => *sizes,
        }
    }

    /// The device it is on.
    pub fn device(&self) -> Device {
        match self {
            Self::Floats(tensor) | Self::Reduced(tensor) => tensor.device(),
            Self::Int8(matrix) => matrix.device(),
            Self::Stored { device, .. } => device.clone(),
        }
    }

    /// Whether gradients pass through f16, in which small ones are zero.
    pub fn scales_loss(&self) -> bool {
        matches!(self, Self::Reduced(tensor) if tensor.dtype() == DType::F16)
    }

    /// `x Wᵀ + b`: `[.., columns]` to `[.., rows]`, in the type of `x`.
    ///
    /// All rows are one matrix. To a product of more dimensions Burn gives a matrix as many, which it may do with a copy
    /// where `Wᵀ` is a view, and its graph keeps that copy for the gradient.
    pub fn linear<const D: usize>(&self, x: Tensor<D>, bias: Option<Tensor<1>>) -> Tensor<D> {
        let mut sizes = x.dims();
        let [outputs, width] = self.dims();
        let rows = sizes[..D - 1].iter().product();
        sizes[D - 1] = outputs;
        self.linear_of_rows(x.reshape([rows, width]), bias).reshape(sizes)
    }

    fn linear_of_rows(&self, x: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
        let dtype = x.dtype();
        let product = match self {
            Self::Reduced(weight) => {
                linear(x.cast(weight.dtype()), weight.clone().transpose(), None).cast(dtype)
            }
            Self::Floats(weight) if weight.dtype() != dtype => {
                widened::product(x, Factor::floats(weight.clone()))
            }
            Self::Int8(weight) => widened::product(x, Factor::int8(weight.clone())),
            Self::Floats(_) | Self::Stored { .. } => {
                return linear(x, self.full(dtype).transpose(), bias);
            }
        };
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
            Self::Int8(matrix) => matrix.full(dtype),
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
            Self::Int8(matrix) => {
                let columns = matrix.dims()[1];
                matrix.rows(rows.reshape([b * t]), dtype).reshape([b, t, columns])
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
            Self::Int8(matrix) => {
                into.insert(name.to_string(), matrix.values().to_data());
                matrix.scale().collect(&join(name, "scale"), into);
            }
            Self::Stored { kind, sizes: [rows, columns], bytes, .. } => {
                let shape = [*rows, kind.bytes_of(*columns)];
                into.insert(name.to_string(), TensorData::new(bytes.to_vec(), shape));
            }
        }
    }
}
