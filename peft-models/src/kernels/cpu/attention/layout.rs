//! How the rows of heads lie in a tensor.

use burn::backend::flex::FlexTensor;

use super::super::view::{MatrixView, count, span};

/// The strides of rows of D elements, for each head of each row of the batch, counted in elements.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadLayout {
    /// Which of the tensors of a pass.
    pub tensor: usize,
    /// Where the first head starts, counted from the first element of the tensor.
    pub start: usize,
    pub batch: usize,
    pub head: usize,
    pub row: usize,
}

impl HeadLayout {
    /// The layout of a tensor `[B, heads, rows, D]`, which is pushed to `tensors`: itself if its last dimension has no
    /// gaps and no stride is negative, else a copy.
    pub(super) fn add(tensor: &FlexTensor, tensors: &mut Vec<FlexTensor>) -> Self {
        let in_place = |tensor: &FlexTensor| match *tensor.layout().strides() {
            [batch, head, row, 1] if batch >= 0 && head >= 0 && row >= 0 => {
                Some([batch as usize, head as usize, row as usize])
            }
            _ => None,
        };
        let (tensor, strides) = match in_place(tensor) {
            Some(strides) => (tensor.clone(), strides),
            None => {
                let copy = tensor.to_contiguous();
                let shape = copy.layout().shape().to_vec();
                let [heads, rows, size] = [shape[1], shape[2], shape[3]];
                (copy, [heads * rows * size, rows * size, size])
            }
        };
        let [batch, head, row] = strides;
        let layout = Self { tensor: tensors.len(), start: 0, batch, head, row };
        tensors.push(tensor);
        layout
    }

    /// The layout of a buffer `[B, heads, rows, D]` without gaps.
    pub(super) fn dense(heads: usize, rows: usize, size: usize) -> Self {
        Self { tensor: 0, start: 0, batch: heads * rows * size, head: rows * size, row: size }
    }

    /// The layout of a buffer `[B, rows, heads * D]`.
    pub(super) fn by_row(heads: usize, rows: usize, size: usize) -> Self {
        let width = heads * size;
        Self { tensor: 0, start: 0, batch: rows * width, head: size, row: width }
    }

    /// Where a row starts.
    pub(super) fn at(&self, batch: usize, head: usize, row: usize) -> usize {
        let parts = [(batch, self.batch), (head, self.head), (row, self.row)];
        count(parts.into_iter().try_fold(self.start, |sum, (index, stride)| {
            sum.checked_add(index.checked_mul(stride)?)
        }))
    }

    /// Rows of one head as a matrix `[rows, D]`.
    pub(super) fn matrix<'a>(
        &self,
        data: &'a [f32],
        [batch, head]: [usize; 2],
        rows: std::ops::Range<usize>,
        size: usize,
    ) -> MatrixView<'a> {
        let start = self.at(batch, head, rows.start);
        MatrixView::from(data, start, [rows.len(), size], [self.row, 1])
    }

    /// How many elements such rows span in memory.
    pub(super) fn span(&self, rows: usize, size: usize) -> usize {
        span([rows, size], [self.row, 1])
    }
}
