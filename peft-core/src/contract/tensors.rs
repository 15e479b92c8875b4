//! Tensors by name, and the few selections that the contract makes of them.

use std::collections::BTreeMap;

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::mask::Mask;

/// Tensors by name, in the order of the names.
pub type NamedTensors = BTreeMap<String, TensorData>;

/// Uploads token ids, types or positions `[B, T]` from the host.
pub(crate) fn upload(values: &[u32], rows: usize, device: &Device) -> Tensor<2, Int> {
    let columns = values.len() / rows.max(1);
    let values: Vec<i64> = values.iter().map(|value| i64::from(*value)).collect();
    Tensor::from_data(TensorData::new(values, [rows, columns]), device)
}

/// Selects one column of each row of `hidden` `[B, S, H]` by its mask: `[B, 1, H]`.
pub(crate) fn pick_columns(
    hidden: Tensor<3>,
    mask: &Mask,
    choose: impl Fn(&[bool]) -> Option<usize>,
) -> Tensor<3> {
    let [b, s, h] = hidden.dims();
    let columns: Vec<usize> = (0..b).map(|row| choose(mask.row(row)).unwrap_or(0)).collect();
    if columns.iter().all(|column| *column == columns[0]) {
        return hidden.narrow(1, columns[0], 1);
    }
    let flat = columns.iter().enumerate().map(|(row, column)| row * s + column).collect::<Vec<_>>();
    select_first(hidden.reshape([b * s, h]), &flat).reshape([b, 1, h])
}

/// Selects entries of the first dimension, in the given order.
pub(crate) fn select_first<const D: usize>(rows: Tensor<D>, chosen: &[usize]) -> Tensor<D> {
    let index: Vec<i64> = chosen.iter().map(|row| *row as i64).collect();
    let device = rows.device().without_autodiff();
    rows.select(0, Tensor::from_data(TensorData::new(index, [chosen.len()]), &device))
}

/// Repeats `rows` `[1 or B, P, H]` to B.
pub(crate) fn repeat_rows(rows: Tensor<3>, batch: usize) -> Tensor<3> {
    let [r, p, h] = rows.dims();
    if r == batch { rows } else { rows.expand([batch, p, h]) }
}
