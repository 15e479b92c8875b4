//! Frozen matrices as kernels read them: in f32 where they lie, in fewer bits made f32 some columns at a time.

use std::ops::Range;

use burn::{
    backend::{Flex, flex::FlexTensor},
    tensor::{DType, Int, Tensor, bf16},
};

use super::{product::Matrix, simd::vectorised, tensors};

/// A frozen matrix `[rows, columns]` whose rows are channels.
#[derive(Clone, Debug)]
pub(crate) struct Frozen {
    values: FlexTensor,
    /// What the rows of an eight-bit matrix are multiplied with.
    scale: Option<FlexTensor>,
}

impl Frozen {
    /// Of f32 or bf16. `None` where it is of another type, not on flex or on its device of gradients,
    /// or lies in memory in a way that is not read.
    pub(crate) fn floats(matrix: &Tensor<2>) -> Option<Self> {
        let values = tensors::frozen(matrix)?;
        let known = matches!(values.dtype(), DType::F32 | DType::BF16);
        (known && is_readable(&values)).then_some(Self { values, scale: None })
    }

    /// Of eight bits. `None` where it is not on flex.
    pub(crate) fn int8(values: &Tensor<2, Int>, scale: &Tensor<1>) -> Option<Self> {
        let values = values.clone().try_into_primitive::<Flex>().ok()?;
        let scale = tensors::in_order(&tensors::frozen(scale)?);
        (values.dtype() == DType::I8 && is_readable(&values))
            .then_some(Self { values, scale: Some(scale) })
    }

    /// The map `x Wᵀ` of a weight `[out, in]`: the matrix `[in, out]`.
    pub(super) fn map(&self) -> Weight<'_> {
        self.weight().transposed()
    }

    fn weight(&self) -> Weight<'_> {
        let layout = self.values.layout();
        let (shape, strides) = (layout.shape(), layout.strides());
        let stride = |axis: usize| usize::try_from(strides[axis]).unwrap_or(0);
        let start = layout.start_offset();
        let numbers = match self.values.dtype() {
            DType::BF16 => Numbers::Bf16(&self.values.storage::<bf16>()[start..]),
            DType::I8 => Numbers::Int8(&self.values.storage::<i8>()[start..]),
            _ => Numbers::F32(&self.values.storage::<f32>()[start..]),
        };
        Weight {
            numbers,
            sizes: [shape[0], shape[1]],
            strides: [stride(0), stride(1)],
            scale: self.scale.as_ref().map(tensors::floats),
            channels_are_rows: true,
        }
    }
}

/// A part of the right side of a product: of what it is multiplied with it takes the columns from `depth` on,
/// and it makes those of the result from `column` on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Factor<'a> {
    pub(super) weight: Weight<'a>,
    pub(super) depth: usize,
    pub(super) column: usize,
}

/// The map `x [W₁ᵀ | W₂ᵀ | ..]`, of which each weight makes some of the outputs.
pub(super) fn map(weights: &[Frozen]) -> Vec<Factor<'_>> {
    let mut column = 0;
    let factors = weights.iter().map(|weight| {
        let factor = Factor { weight: weight.map(), depth: 0, column };
        column += factor.weight.num_columns();
        factor
    });
    factors.collect()
}

/// Its gradient `dy₁ W₁ + dy₂ W₂ + ..`.
pub(super) fn map_back(weights: &[Frozen]) -> Vec<Factor<'_>> {
    let mut depth = 0;
    let factors = weights.iter().map(|weight| {
        let factor = Factor { weight: weight.weight(), depth, column: 0 };
        depth += factor.weight.num_rows();
        factor
    });
    factors.collect()
}

/// Whether no dimension is viewed backwards and, of types that are widened line by line, rows or columns have
/// no gaps.
fn is_readable(tensor: &FlexTensor) -> bool {
    let strides = tensor.layout().strides();
    let in_lines = tensor.dtype() == DType::F32 || strides.contains(&1);
    in_lines && strides.iter().all(|stride| *stride >= 0)
}

#[derive(Clone, Copy, Debug)]
enum Numbers<'a> {
    F32(&'a [f32]),
    Bf16(&'a [bf16]),
    Int8(&'a [i8]),
}

/// A frozen matrix, or its transpose, as it lies in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weight<'a> {
    numbers: Numbers<'a>,
    sizes: [usize; 2],
    strides: [usize; 2],
    scale: Option<&'a [f32]>,
    channels_are_rows: bool,
}

vectorised! {
    fn widen<FMA>(from: &[bf16], to: &mut [f32]) {
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
}

impl<'a> Weight<'a> {
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

    /// How many numbers have to be widened before they can be used.
    pub(super) fn num_widened(&self) -> usize {
        match self.numbers {
            Numbers::F32(_) => 0,
            _ => self.sizes[0] * self.sizes[1],
        }
    }

    /// Some of its columns: where they lie, or in `room` as f32.
    pub(super) fn columns<'b>(&self, columns: Range<usize>, room: &'b mut Vec<f32>) -> Matrix<'b>
    where
        'a: 'b,
    {
        let ([rows, _], [row_stride, column_stride]) = (self.sizes, self.strides);
        let first = columns.start * column_stride;
        if let Numbers::F32(numbers) = self.numbers {
            let sizes = [rows, columns.len()];
            return Matrix::strided(&numbers[first.min(numbers.len())..], sizes, self.strides);
        }
        // Lines are what lies in order: rows, or columns.
        let by_rows = column_stride == 1;
        let (lines, len) = if by_rows { (rows, columns.len()) } else { (columns.len(), rows) };
        let stride = if by_rows { row_stride } else { column_stride };
        room.clear();
        room.resize(lines * len, 0.0);
        for (line, to) in room.chunks_mut(len.max(1)).enumerate() {
            let at = first + line * stride;
            // Channels are lines, or lie across them.
            let channel = if by_rows { line } else { columns.start + line };
            let across = if by_rows { columns.clone() } else { 0..rows };
            match (self.numbers, self.scale) {
                (Numbers::Bf16(numbers), _) => widen(&numbers[at..at + len], to),
                (Numbers::Int8(numbers), Some(scale)) => {
                    let numbers = &numbers[at..at + len];
                    if self.channels_are_rows == by_rows {
                        scale_all(numbers, scale[channel], to);
                    } else {
                        scale_each(numbers, &scale[across], to);
                    }
                }
                _ => {}
            }
        }
        let strides = if by_rows { [len, 1] } else { [1, len] };
        Matrix::strided(room, [rows, columns.len()], strides)
    }
}
