//! Where in a file the values of a tensor are.

use std::ops::Range;

use burn::tensor::{DType, TensorData};

use super::{archive::Result, objects::View};

/// Where in a file the values of a tensor are. Each is in the file, whatever the file claims.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// The type of the values; booleans are bytes.
    pub dtype: DType,
    /// Sizes.
    pub shape: Vec<usize>,
    /// The first value's first byte.
    pub offset: usize,
    /// The stride of each dimension, in values.
    strides: Vec<usize>,
}

impl Place {
    /// The place of a view on a storage, which is the range `stored` of the file; `budget` is the number of bytes that
    /// the remaining tensors of the file may still take.
    pub(super) fn new(view: &View, stored: &Range<usize>, budget: &mut usize) -> Result<Self> {
        let View { storage, offset, shape, strides } = view;
        let width = storage.dtype.size();
        let held = stored.len() / width;
        if storage.numel > held {
            return Err(format!(
                "its storage should hold {} values, but it holds {held}",
                storage.numel
            ));
        }
        if shape.len() != strides.len() {
            return Err(format!("has the shape {shape:?} but the strides {strides:?}"));
        }
        let too_large = || format!("has the shape {shape:?}, but its storage holds {held} values");
        let count = shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
        // A stride of 0 would repeat values without end.
        let count = count.filter(|count| *count <= held).ok_or_else(too_large)?;
        *budget = budget.checked_sub(count * width).ok_or(
            "is one of several tensors that share a storage and together are larger than the file",
        )?;
        if count == 0 {
            let (dtype, shape, strides) = (storage.dtype, shape.clone(), strides.clone());
            return Ok(Self { dtype, shape, offset: stored.start, strides });
        }
        let last = shape.iter().zip(strides).try_fold(*offset, |last, (size, stride)| {
            last.checked_add((size - 1).checked_mul(*stride)?)
        });
        if last.is_none_or(|last| last >= held) {
            return Err(format!(
                "has the shape {shape:?}, strides {strides:?} and offset {offset}, which lead beyond \
                 the {held} values of its storage"
            ));
        }
        Ok(Self {
            dtype: storage.dtype,
            shape: shape.clone(),
            offset: stored.start + offset * width,
            strides: strides.clone(),
        })
    }

    /// The number of values.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// The bytes from the first value to the last, with what lies between.
    pub fn span(&self) -> usize {
        if self.count() == 0 {
            return 0;
        }
        let ends = self.shape.iter().zip(&self.strides).map(|(size, stride)| (size - 1) * stride);
        (ends.sum::<usize>() + 1) * self.dtype.size()
    }

    /// Whether the values follow one another in the file, in the order of the shape.
    pub fn is_contiguous(&self) -> bool {
        let mut step = 1;
        self.count() == 0
            || self.shape.iter().zip(&self.strides).rev().all(|(size, stride)| {
                let plain = *size == 1 || *stride == step;
                step *= size;
                plain
            })
    }

    /// Copies values, in the order of the shape, from the value `first` on: as many as `into` has room for.
    pub fn copy(&self, file: &[u8], first: usize, into: &mut [u8]) {
        let width = self.dtype.size();
        if self.is_contiguous() {
            let start = self.offset + first * width;
            into.copy_from_slice(&file[start..start + into.len()]);
            return;
        }
        for (index, value) in into.chunks_exact_mut(width).enumerate() {
            let (mut rest, mut place) = (first + index, 0);
            for (size, stride) in self.shape.iter().zip(&self.strides).rev() {
                place += rest % size * stride;
                rest /= size;
            }
            let start = self.offset + place * width;
            value.copy_from_slice(&file[start..start + width]);
        }
    }

    /// The tensor, in its own type.
    pub fn data(&self, file: &[u8]) -> TensorData {
        let mut bytes = vec![0; self.count() * self.dtype.size()];
        self.copy(file, 0, &mut bytes);
        TensorData::from_bytes_vec(bytes, self.shape.as_slice(), self.dtype)
    }
}
