//! Products with frozen matrices, spread over the cores by columns of the result.

use std::mem::MaybeUninit;

use super::{
    block::Block,
    frozen::Factor,
    panel::WIDTH,
    parallel::{SharedBuffer, split},
    product::product,
    view::{MatrixView, count, span},
};

/// Columns of one task: few enough that what follows finds them in the cache.
const COLUMNS: usize = 1024;

/// Elements of a matrix in fewer bits that each thread upcasts at a time, where its columns are upcast whole.
const UPCAST: usize = 4 << 20;

/// `to [M, N] = start + a b` on all cores, where b consists of several factors. `start` initialises a block of columns
/// before the product is added to it; without it, the product is written. `finish` sees each block afterwards. Then all of
/// `to` has been written.
///
/// The order of additions does not depend on the number of threads.
///
/// # Panics
///
/// Panics if the sizes do not fit each other, or some columns would be left out.
pub(super) fn product_by_columns(
    to: &mut [MaybeUninit<f32>],
    a: MatrixView<'_>,
    b: &[Factor<'_>],
    start: Option<&(dyn Fn(&Block) + Sync)>,
    finish: Option<&(dyn Fn(&Block) + Sync)>,
) {
    let m = a.rows;
    let n = b.iter().map(|factor| factor.column + factor.weight.num_columns()).max().unwrap_or(0);
    assert_eq!(to.len(), count(m.checked_mul(n)), "size of a result");
    let written = b.iter().filter(|factor| factor.depth == 0).fold(0, |end, factor| {
        assert!(factor.column <= end && factor.weight.num_rows() > 0, "columns of a product");
        end.max(factor.column + factor.weight.num_columns())
    });
    assert!(written == n, "columns of a product");
    let target = SharedBuffer::unwritten(to);
    let threads = rayon::current_num_threads();
    let num_upcast: usize = b.iter().map(|factor| factor.weight.num_upcast()).sum();
    // Whole panels, and whole blocks of matrices that are stored in blocks; both are powers of two.
    let step = b.iter().map(|factor| factor.weight.column_step()).max().unwrap_or(1).max(WIDTH);
    // A multiple of the number of threads.
    let parts = n.div_ceil(COLUMNS).max(num_upcast / UPCAST).next_multiple_of(threads);
    // What is left of the last step belongs to the one before.
    let steps = (n / step).max(1);
    let parts = parts.min(steps).max(1);
    let cut = |at: usize| if at == steps { n } else { at * step };
    split(steps, parts, |range| {
        let columns = cut(range.start)..cut(range.end);
        if columns.is_empty() || m == 0 {
            return;
        }
        let block = Block::new(target, n, 0..m, columns.clone());
        if let Some(start) = start {
            start(&block);
        }
        let mut scratch = Vec::new();
        for factor in b {
            let end = factor.column + factor.weight.num_columns();
            let (first, end) = (columns.start.max(factor.column), columns.end.min(end));
            if first >= end {
                continue;
            }
            let of_factor = first - factor.column..end - factor.column;
            let depth = factor.weight.num_rows();
            let at_once = factor.weight.rows_at_once();
            for row in (0..depth).step_by(at_once) {
                let rows = row..(row + at_once).min(depth);
                let left = a.columns(factor.depth + rows.start..factor.depth + rows.end);
                let right = factor.weight.part(rows, of_factor.clone(), &mut scratch);
                let accumulate = start.is_some() || factor.depth + row > 0;
                let to = target.destination(first, span([m, end - first], [n, 1]), n, accumulate);
                // SAFETY: these columns belong to this task alone. If the product is added to them, `start` or a product
                // before has initialised them.
                unsafe { product(to, left, right) };
            }
        }
        if let Some(finish) = finish {
            finish(&block);
        }
    });
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::{DType, Device, Tensor, TensorData};
    use peft_core::formats::gguf::TensorType;

    use super::{
        super::{
            frozen::{Frozen, backward_factors, forward_factors},
            unwritten::again,
        },
        *,
    };
    use crate::weights::{Matrix, WeightFormat};

    /// Factors of all widths side by side.
    #[test]
    fn all_columns_are_made() {
        for widths in [vec![1], vec![3], vec![33, 3], vec![31, 1, 70], vec![193, 193, 2]] {
            let device = Device::default();
            let matrices: Vec<Matrix> = widths
                .iter()
                .map(|width| {
                    let values = (0..width * 5).map(|at| (at % 13) as f32 - 4.0).collect();
                    let values = TensorData::new::<f32, _>(values, [*width, 5]);
                    Matrix::new(Tensor::<2>::from_data(values, &device), WeightFormat::F32)
                })
                .collect();
            let frozen: Vec<Frozen> =
                matrices.iter().map(|matrix| Frozen::of(matrix).unwrap()).collect();
            let factors = forward_factors(&frozen);
            let x: Vec<f32> = (0..10).map(|at| at as f32 - 3.0).collect();
            let n: usize = widths.iter().sum();
            for threads in [1, 2, 7] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mut to = vec![f32::NAN; 2 * n];
                let left = MatrixView::by_rows(&x, 2, 5, 5);
                // SAFETY: a product writes only numbers.
                let elements = unsafe { again(&mut to) };
                pool.install(|| product_by_columns(elements, left, &factors, None, None));
                let mut start = 0;
                for width in &widths {
                    for (row, column) in (0..2).flat_map(|row| (0..*width).map(move |c| (row, c))) {
                        let term =
                            |i: usize| x[5 * row + i] * (((5 * column + i) % 13) as f32 - 4.0);
                        let expected: f32 = (0..5).map(term).sum();
                        assert_eq!(to[row * n + start + column], expected, "{widths:?}");
                    }
                    start += width;
                }
            }
        }
    }

    /// A matrix in fewer bits that is upcast in several parts, in both directions, against sums in f64.
    #[test]
    fn parts_of_a_matrix_make_the_product_of_the_whole() {
        let [rows, columns] = [2048 + 5, 1024];
        let number = |at: usize| ((at * 7919) % 1009) as f32 / 1009.0 - 0.5;
        let values: Vec<f32> = (0..rows * columns).map(number).collect();
        let device = Device::default();
        let floats = Tensor::<2>::from_data(TensorData::new(values, [rows, columns]), &device);
        let f16 = (0..rows * columns)
            .flat_map(|at| burn::tensor::f16::from_f32(number(at)).to_le_bytes());
        for matrix in [
            Matrix::new(floats.clone(), WeightFormat::Bf16),
            Matrix::new(floats, WeightFormat::Int8),
            Matrix::Stored {
                kind: TensorType::F16,
                sizes: [rows, columns],
                bytes: f16.collect::<Vec<u8>>().into(),
                device,
            },
        ] {
            let full = matrix.full(DType::F32).into_data();
            let full: &[f32] = full.as_slice().unwrap();
            let frozen = [Frozen::of(&matrix).unwrap()];
            let back = backward_factors(&frozen);
            assert!(back[0].weight.rows_at_once() < rows);
            for (factors, inner, outer, strides) in [
                (back, rows, columns, [columns, 1]),
                (forward_factors(&frozen), columns, rows, [1, columns]),
            ] {
                let x: Vec<f32> = (0..2 * inner).map(|at| number(at + 17)).collect();
                let mut to = vec![f32::NAN; 2 * outer];
                let left = MatrixView::by_rows(&x, 2, inner, inner);
                // SAFETY: a product writes only numbers.
                let elements = unsafe { again(&mut to) };
                product_by_columns(elements, left, &factors, None, None);
                for (at, found) in to.iter().enumerate() {
                    let (row, column) = (at / outer, at % outer);
                    let term = |i: usize| {
                        let weight = full[i * strides[0] + column * strides[1]];
                        f64::from(x[row * inner + i]) * f64::from(weight)
                    };
                    let expected: f64 = (0..inner).map(term).sum();
                    assert!((f64::from(*found) - expected).abs() < 1e-3, "{row} {column}");
                }
            }
        }
    }
}
