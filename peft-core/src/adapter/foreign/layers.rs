//! The layers that make virtual tokens from a small matrix: linear ones with an activation between.

use burn::tensor::{Device, Tensor, TensorData, activation::relu};

use super::source::Source;
use crate::error::Result;

/// What stands between two linear layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Between {
    Tanh,
    Relu,
}

/// A small matrix is made larger by its layers, but never by this factor of all that the file holds.
const LARGEST: usize = 4;

/// The names of the linear layers `{stem}0`, `{stem}2`, ... and their tensors.
pub(super) fn names(source: &Source, stem: &str) -> Vec<String> {
    let numbered = (0..).step_by(2).map(|index| format!("{stem}{index}"));
    numbered.take_while(|layer| source.shape(&format!("{layer}.weight")).is_some()).collect()
}

/// The rows that the layers make of the matrix `[P, E]` named `embedding`.
///
/// # Errors
///
/// [`Error::Tensor`](crate::error::Error::Tensor) naming a tensor that is missing or does not fit the one before it.
pub(super) fn apply(
    source: &Source,
    embedding: &str,
    layers: &[String],
    between: Between,
    device: &Device,
) -> Result<TensorData> {
    let mut rows = matrix(source, embedding, device)?;
    let bound = source.values().saturating_mul(LARGEST);
    for (index, layer) in layers.iter().enumerate() {
        let [p, width] = rows.dims();
        let (weight, bias) = (format!("{layer}.weight"), format!("{layer}.bias"));
        let shape = source.shape(&weight).unwrap_or_default();
        let &[out, inputs] = shape else {
            return Err(source
                .tensor_error(&weight, format!("has the shape {shape:?}, expected two sizes")));
        };
        if inputs != width || out == 0 {
            let message =
                format!("has the shape {shape:?}, but what it multiplies is [{p}, {width}]");
            return Err(source.tensor_error(&weight, message));
        }
        if source.shape(&bias) != Some(&[out]) {
            let found = source.shape(&bias);
            let message = format!("found the shape {found:?}, expected [{out}]");
            return Err(source.tensor_error(&bias, message));
        }
        if p.checked_mul(out).is_none_or(|size| size > bound) {
            let message = format!("makes {p} rows of {out} values, far more than the file holds");
            return Err(source.tensor_error(&weight, message));
        }
        let weight = Tensor::<2>::from_data(source.load(&weight)?, device);
        let bias = Tensor::<1>::from_data(source.load(&bias)?, device);
        rows = rows.matmul(weight.transpose()) + bias.unsqueeze();
        if index + 1 < layers.len() {
            rows = match between {
                Between::Tanh => rows.tanh(),
                Between::Relu => relu(rows),
            };
        }
    }
    Ok(rows.into_data())
}

/// A matrix with at least one row and one column.
pub(super) fn rows(source: &Source, name: &str) -> Result<TensorData> {
    match source.shape(name) {
        Some([p, width]) if *p > 0 && *width > 0 => source.load(name),
        Some(shape) => {
            let message =
                format!("has the shape {shape:?}, expected two sizes, [P, width], of at least 1");
            Err(source.tensor_error(name, message))
        }
        None => Err(source.tensor_error(name, "is missing")),
    }
}

fn matrix(source: &Source, name: &str, device: &Device) -> Result<Tensor<2>> {
    Ok(Tensor::from_data(rows(source, name)?, device))
}
