//! Frozen matrices of fewer bits as factors of products.

use burn::tensor::{DType, Device, Tensor};

use super::int8::Int8;

/// A matrix W `[out, in]` that is widened for a product, and its transpose for the gradient of that.
#[derive(Clone, Debug)]
pub struct Factor {
    matrix: Narrow,
    is_gradient: bool,
}

// A product has one of these: a box would save nothing.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug)]
enum Narrow {
    Floats(Tensor<2>),
    Int8(Int8),
}

impl Factor {
    /// Of floats of another type than what they are multiplied with.
    pub fn floats(matrix: Tensor<2>) -> Self {
        Self { matrix: Narrow::Floats(matrix), is_gradient: false }
    }

    /// Of a matrix in eight bits.
    pub fn int8(matrix: Int8) -> Self {
        Self { matrix: Narrow::Int8(matrix), is_gradient: false }
    }

    /// That of the gradient.
    #[cfg(any(feature = "cpu", feature = "wgpu", feature = "cuda"))]
    #[must_use]
    pub fn of_gradient(self) -> Self {
        Self { is_gradient: true, ..self }
    }

    /// The device it is on.
    pub fn device(&self) -> Device {
        match &self.matrix {
            Narrow::Floats(matrix) => matrix.device(),
            Narrow::Int8(matrix) => matrix.device(),
        }
    }

    /// `x Wᵀ` of x `[M, in]`, or the gradient `x W` of x `[M, out]`, in the type of x.
    ///
    /// The scales of a matrix in eight bits are multiplied with the rows of its outputs, of which there are fewer. And an
    /// integer is the same in whatever type a device multiplies.
    pub fn multiply(&self, x: Tensor<2>) -> Tensor<2> {
        let dtype = x.dtype();
        let (wide, scale) = match &self.matrix {
            Narrow::Floats(matrix) => (matrix.clone().cast(dtype), None),
            // Sums of integers may be too large for it.
            Narrow::Int8(matrix) if dtype == DType::F16 => (matrix.full(dtype), None),
            Narrow::Int8(matrix) => {
                let scale = matrix.scale().clone().cast(dtype).unsqueeze::<2>();
                (matrix.wide(dtype), Some(scale))
            }
        };
        let scaled = |outputs: Tensor<2>| match scale {
            Some(scale) => outputs * scale,
            None => outputs,
        };
        match self.is_gradient {
            false => scaled(x.matmul(wide.transpose())),
            true => scaled(x).matmul(wide),
        }
    }
}
