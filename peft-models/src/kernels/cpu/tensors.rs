//! Between tensors of flex and slices.

use burn::{
    backend::{Flex, flex::FlexTensor},
    tensor::{Tensor, TensorData},
};

/// A tensor whose elements lie in order, without gaps: itself if they do, else a copy.
pub(super) fn in_order(tensor: &FlexTensor) -> FlexTensor {
    if tensor.as_slice::<f32>().is_some() { tensor.clone() } else { tensor.to_contiguous() }
}

/// The elements of a tensor that is [`in_order`].
pub(super) fn floats(tensor: &FlexTensor) -> &[f32] {
    // Every caller made it so.
    tensor.as_slice().expect("elements in order")
}

/// The memory of a tensor from its first element on, whatever its strides.
pub(super) fn memory(tensor: &FlexTensor) -> &[f32] {
    &tensor.storage()[tensor.layout().start_offset()..]
}

/// A tensor of these values.
pub(super) fn tensor(values: Vec<f32>, shape: impl Into<burn::tensor::Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape.into()))
}

/// The sizes of a tensor.
pub(super) fn sizes(tensor: &FlexTensor) -> Vec<usize> {
    tensor.layout().shape().to_vec()
}

/// The length of the last dimension, and how many such rows there are.
pub(super) fn rows_of(tensor: &FlexTensor) -> (usize, usize) {
    let shape = tensor.layout().shape();
    let width = shape.last().copied().unwrap_or(1);
    (shape.num_elements() / width.max(1), width)
}

/// A frozen tensor as it lies in memory. `None` if it is not on flex or needs a gradient.
pub(super) fn frozen<const D: usize>(tensor: &Tensor<D>) -> Option<FlexTensor> {
    tensor.clone().try_into_primitive::<Flex>().ok()
}
