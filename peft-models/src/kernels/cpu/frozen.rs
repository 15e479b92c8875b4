//! Frozen matrices as kernels read them: f32 where it lies, fewer bits upcast to f32 some columns at a time.

use std::ops::Range;

use burn::{
    backend::{Flex, flex::FlexTensor},
    tensor::{DType, Int, Tensor, bf16},
};
use bytes::Bytes;
use peft_core::formats::gguf::{TensorType, dequantise};

use super::{
    simd::vectorised,
    tensors,
    view::{MatrixView, count},
};
use crate::weights::Matrix;

/// A frozen matrix `[rows, columns]` whose rows are channels.
#[derive(Clone, Debug)]
pub(super) enum Frozen {
    /// In tensors.
    Tensors {
        values: FlexTensor,
        /// The scale of each row of an eight-bit matrix.
        scale: Option<FlexTensor>,
    },
    /// As a GGUF file stores it, row by row.
    Stored { kind: TensorType, sizes: [usize; 2], bytes: Bytes },
}

impl Frozen {
    /// A matrix in any format. `None` if it is not on flex, needs a gradient, is of another type, or lies in memory
    /// in a way that kernels do not read.
    pub(super) fn of(matrix: &Matrix) -> Option<Self> {
        match matrix {
            Matrix::Floats(tensor) => Self::floats(tensor),
            // Products are in 16 bits, which kernels make of copies.
            Matrix::Reduced(_) => None,
            Matrix::Int8(matrix) => Self::int8(matrix.values(), matrix.scale()),
            Matrix::Stored { kind, sizes, bytes, .. } => {
                Some(Self::Stored { kind: *kind, sizes: *sizes, bytes: bytes.clone() })
            }
        }
    }

    /// A matrix of f32 or bf16.
    pub(super) fn floats(matrix: &Tensor<2>) -> Option<Self> {
        let values = tensors::frozen(matrix)?;
        let known = matches!(values.dtype(), DType::F32 | DType::BF16);
        (known && is_readable(&values)).then_some(Self::Tensors { values, scale: None })
    }

    /// A matrix of eight bits.
    fn int8(values: &Tensor<2, Int>, scale: &Tensor<1>) -> Option<Self> {
        let values = values.clone().try_into_primitive::<Flex>().ok()?;
        let scale = tensors::in_order(&tensors::frozen(scale)?);
        (values.dtype() == DType::I8 && is_readable(&values))
            .then_some(Self::Tensors { values, scale: Some(scale) })
    }

    fn weight(&self) -> Weight<'_> {
        let (values, scale) = match self {
            Self::Tensors { values, scale } => (values, scale),
            Self::Stored { kind, sizes, bytes } => {
                return Weight {
                    elements: Elements::Stored(*kind, bytes),
                    sizes: *sizes,
                    strides: [sizes[1], 1],
                    scale: None,
                    channels_are_rows: true,
                };
            }
        };
        let layout = values.layout();
        let (shape, strides) = (layout.shape(), layout.strides());
        let stride = |axis: usize| usize::try_from(strides[axis]).unwrap_or(0);
        let start = layout.start_offset();
        let elements = match values.dtype() {
            DType::BF16 => Elements::Bf16(&values.storage::<bf16>()[start..]),
            DType::I8 => Elements::Int8(&values.storage::<i8>()[start..]),
            _ => Elements::F32(&values.storage::<f32>()[start..]),
        };
        Weight {
            elements,
            sizes: [shape[0], shape[1]],
            strides: [stride(0), stride(1)],
            scale: scale.as_ref().map(tensors::floats),
            channels_are_rows: true,
        }
    }
}

/// One of the matrices on the right side of a product. It is multiplied with the columns of the left side from `depth`
/// on, and gives those of the result from `column` on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Factor<'a> {
    pub(super) weight: Weight<'a>,
    pub(super) depth: usize,
    pub(super) column: usize,
}

/// The right side of `x [W₁ᵀ | W₂ᵀ | ..]`: each weight `[out, in]` gives some of the outputs.
pub(super) fn forward_factors(weights: &[Frozen]) -> Vec<Factor<'_>> {
    let mut column = 0;
    let factors = weights.iter().map(|weight| {
        let factor = Factor { weight: weight.weight().transposed(), depth: 0, column };
        column += factor.weight.num_columns();
        factor
    });
    factors.collect()
}

/// The right side of its gradient, `dy₁ W₁ + dy₂ W₂ + ..`.
pub(super) fn backward_factors(weights: &[Frozen]) -> Vec<Factor<'_>> {
    let mut depth = 0;
    let factors = weights.iter().map(|weight| {
        let factor = Factor { weight: weight.weight(), depth, column: 0 };
        depth += factor.weight.num_rows();
        factor
    });
    factors.collect()
}

/// Some rows of a weight `[out, in]`, in both directions: the right side of the outputs that they give, and of the gradient
/// of these outputs alone.
pub(super) fn factors_of_outputs(weight: &Frozen, outputs: Range<usize>) -> [Factor<'_>; 2] {
    let own = weight.weight().channels(outputs);
    [own.transposed(), own].map(|weight| Factor { weight, depth: 0, column: 0 })
}

/// Whether no stride is negative and, of types that are upcast line by line, rows or columns have no gaps.
fn is_readable(tensor: &FlexTensor) -> bool {
    let strides = tensor.layout().strides();
    let in_lines = tensor.dtype() == DType::F32 || strides.contains(&1);
    in_lines && strides.iter().all(|stride| *stride >= 0)
}

#[derive(Clone, Copy, Debug)]
enum Elements<'a> {
    F32(&'a [f32]),
    Bf16(&'a [bf16]),
    Int8(&'a [i8]),
    /// Rows in blocks of a GGUF file.
    Stored(TensorType, &'a [u8]),
}

/// A frozen matrix, or its transpose, as it lies in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weight<'a> {
    elements: Elements<'a>,
    sizes: [usize; 2],
    strides: [usize; 2],
    scale: Option<&'a [f32]>,
    channels_are_rows: bool,
}

/// Rows that each thread upcasts at a time, where they lie so that it can stop anywhere: 4 MB of f32 for 1024 columns.
const ROWS_AT_ONCE: usize = 1024;

vectorised! {
    fn upcast<FMA>(from: &[bf16], to: &mut [f32]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = f32::from_bits(u32::from(from.to_bits()) << 16);
        }
    }
    fn scale_all<FMA>(from: &[i8], scale: f32, to: &mut [f32]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = f32::from(*from) * scale;
        }
    }
    fn scale_each<FMA>(from: &[i8], scale: &[f32], to: &mut [f32]) {
        for ((to, from), scale) in to.iter_mut().zip(from).zip(scale) {
            *to = f32::from(*from) * scale;
        }
    }
    fn widen<FMA>(kind: TensorType, from: &[u8], to: &mut [f32]) {
        dequantise(kind, from, to);
    }
}

impl<'a> Weight<'a> {
    /// Some rows of a matrix whose rows are channels.
    fn channels(self, rows: Range<usize>) -> Self {
        let skipped = count(rows.start.checked_mul(self.strides[0]));
        let elements = match self.elements {
            Elements::F32(elements) => Elements::F32(&elements[skipped..]),
            Elements::Bf16(elements) => Elements::Bf16(&elements[skipped..]),
            Elements::Int8(elements) => Elements::Int8(&elements[skipped..]),
            // A row is a number of whole blocks.
            Elements::Stored(kind, bytes) => {
                Elements::Stored(kind, &bytes[kind.bytes_of(skipped)..])
            }
        };
        let scale = self.scale.map(|scale| &scale[rows.clone()]);
        Self { elements, sizes: [rows.len(), self.sizes[1]], scale, ..self }
    }

    fn transposed(self) -> Self {
        let ([rows, columns], [row_stride, column_stride]) = (self.sizes, self.strides);
        Self {
            sizes: [columns, rows],
            strides: [column_stride, row_stride],
            channels_are_rows: !self.channels_are_rows,
            ..self
        }
    }

    pub(super) fn num_rows(&self) -> usize {
        self.sizes[0]
    }

    pub(super) fn num_columns(&self) -> usize {
        self.sizes[1]
    }

    /// What first columns and numbers of columns must be multiples of: rows in blocks can be read from the start of a
    /// block only.
    pub(super) fn column_step(&self) -> usize {
        match self.elements {
            Elements::Stored(kind, _) if self.strides[1] == 1 => kind.block_len(),
            _ => 1,
        }
    }

    /// How many elements have to be upcast with whole columns, see [`rows_at_once`](Self::rows_at_once).
    pub(super) fn num_upcast(&self) -> usize {
        match self.elements {
            Elements::F32(_) => 0,
            _ if self.strides[1] == 1 => 0,
            _ => self.sizes[0] * self.sizes[1],
        }
    }

    /// How many of its rows to upcast at a time: all of them, unless they lie one after the other in memory and are many.
    /// It is the same however many columns a thread takes, so that the order of additions is, too.
    pub(super) fn rows_at_once(&self) -> usize {
        let rows = self.num_rows().max(1);
        match self.elements {
            Elements::F32(_) => rows,
            _ if self.strides[1] != 1 => rows,
            _ => ROWS_AT_ONCE.min(rows),
        }
    }

    /// Some of its columns: where they lie, or upcast into `scratch`.
    pub(super) fn columns<'b>(
        &self,
        columns: Range<usize>,
        scratch: &'b mut Vec<f32>,
    ) -> MatrixView<'b>
    where
        'a: 'b,
    {
        self.part(0..self.num_rows(), columns, scratch)
    }

    /// Some of its columns, and of these some rows: where they lie, or upcast into `scratch`. Columns that lie one after
    /// the other in memory are upcast whole: `rows` is then all of them.
    pub(super) fn part<'b>(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
        scratch: &'b mut Vec<f32>,
    ) -> MatrixView<'b>
    where
        'a: 'b,
    {
        let [row_stride, column_stride] = self.strides;
        let first_row = count(rows.start.checked_mul(row_stride));
        let first = count(first_row.checked_add(count(columns.start.checked_mul(column_stride))));
        if let Elements::F32(elements) = self.elements {
            let sizes = [rows.len(), columns.len()];
            return MatrixView::from(elements, first, sizes, self.strides);
        }
        // A line is what lies in order in memory: a row, or a column.
        let by_rows = column_stride == 1;
        let (lines, len) =
            if by_rows { (rows.len(), columns.len()) } else { (columns.len(), rows.len()) };
        let stride = if by_rows { row_stride } else { column_stride };
        scratch.clear();
        scratch.resize(lines * len, 0.0);
        for (line, to) in scratch.chunks_mut(len.max(1)).enumerate() {
            let at = first + line * stride;
            // A channel is a line, or lies across the lines.
            let channel = if by_rows { rows.start + line } else { columns.start + line };
            let across = if by_rows { columns.clone() } else { rows.clone() };
            match (self.elements, self.scale) {
                (Elements::Bf16(elements), _) => upcast(&elements[at..at + len], to),
                (Elements::Stored(kind, bytes), _) => {
                    widen(kind, &bytes[kind.bytes_of(at)..kind.bytes_of(at + len)], to);
                }
                (Elements::Int8(elements), Some(scale)) => {
                    let elements = &elements[at..at + len];
                    if self.channels_are_rows == by_rows {
                        scale_all(elements, scale[channel], to);
                    } else {
                        scale_each(elements, &scale[across], to);
                    }
                }
                _ => {}
            }
        }
        let strides = if by_rows { [len, 1] } else { [1, len] };
        MatrixView::strided(scratch, [rows.len(), columns.len()], strides)
    }
}
