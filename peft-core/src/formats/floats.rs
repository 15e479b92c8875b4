//! Values of half precision, in f32.

use burn::tensor::{DType, TensorData};

/// Upcasts half-precision values to f32; f32 and f64 are left unchanged.
pub fn upcast(data: TensorData) -> TensorData {
    if data.dtype() == DType::F64 { data } else { data.convert_dtype(DType::F32) }
}
