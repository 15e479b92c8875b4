//! Where in a file the values of a tensor are.

use std::{convert::Infallible, ops::Range};

use burn::tensor::{DType, TensorData};

use super::{archive::Result, gather::gather, objects::View};

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
        let is_repeated = shape.iter().zip(strides).any(|(size, stride)| *size > 1 && *stride == 0);
        let way_out = match is_repeated {
            true => {
                ": its values are repeated, as by `expand`, and torch.save stores them once; save them all, in Python \
                 {k: v.contiguous() for k, v in state.items()}"
            }
            false => "",
        };
        let too_large =
            || format!("has the shape {shape:?}, but its storage holds {held} values{way_out}");
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

    /// Reads values, in the order of the shape, from the value `first` on: as many as `into` has room for. `read_at` reads
    /// bytes of the file from a place on. Beside `into` it takes a megabyte.
    ///
    /// # Errors
    ///
    /// The first error of `read_at`.
    pub fn read<E>(
        &self,
        first: usize,
        into: &mut [u8],
        mut read_at: impl FnMut(usize, &mut [u8]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let width = self.dtype.size();
        if self.is_contiguous() {
            return read_at(self.offset + first * width, into);
        }
        gather((&self.shape, &self.strides), (self.offset, width), first, into, read_at)
    }

    /// The tensor, in its own type.
    pub fn data(&self, file: &[u8]) -> TensorData {
        let mut bytes = vec![0; self.count() * self.dtype.size()];
        let Ok(()) = self.read(0, &mut bytes, |at, into| -> std::result::Result<(), Infallible> {
            into.copy_from_slice(&file[at..at + into.len()]);
            Ok(())
        });
        TensorData::from_bytes_vec(bytes, self.shape.as_slice(), self.dtype)
    }
}
