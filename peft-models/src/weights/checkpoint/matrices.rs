//! Large matrices, in the format in which they are kept.

use burn::tensor::Tensor;
use peft_core::Result;

use super::Weights;
use crate::{
    kernels,
    weights::{Matrix, WeightFormat, gguf_files::StoredRows},
};

impl Weights {
    /// A large matrix that must be there, in the chosen format.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`take`](Self::take).
    pub(crate) fn take_matrix(&mut self, name: &str, shape: [usize; 2]) -> Result<Matrix> {
        match self.take_stored(name, name, shape)? {
            Some(matrix) => Ok(matrix),
            None => self.take_large(name, name, shape, false),
        }
    }

    /// As [`take_matrix`](Self::take_matrix), of a matrix `[out, in]` that transformers stores as `[in, out]`.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`take`](Self::take).
    pub(crate) fn take_transposed(
        &mut self,
        name: &str,
        [rows, columns]: [usize; 2],
    ) -> Result<Matrix> {
        if self.find(name).is_some_and(|spelling| self.source.is_transposed(&spelling)) {
            return self.take_matrix(name, [rows, columns]);
        }
        self.take_large(name, name, [columns, rows], true)
    }

    /// As [`take_matrix`](Self::take_matrix), of a matrix under one of several names, of which the first is the usual one. If
    /// several are there, they must be equal.
    ///
    /// # Errors
    ///
    /// [`Error::Tensor`](peft_core::Error::Tensor) as [`take`](Self::take), and if two of them differ.
    pub(crate) fn take_matrix_of(&mut self, names: [&str; 3], shape: [usize; 2]) -> Result<Matrix> {
        let chosen = self.one_of(names)?;
        match self.take_stored(names[0], chosen, shape)? {
            Some(matrix) => Ok(matrix),
            None => self.take_large(names[0], chosen, shape, false),
        }
    }

    /// A large matrix that must be there, in floats of this shape, as it is kept, with rows and columns swapped if it
    /// `is_transposed`.
    fn take_large(
        &mut self,
        name: &str,
        chosen: &str,
        shape: [usize; 2],
        is_transposed: bool,
    ) -> Result<Matrix> {
        let dtype = self.reduced.unwrap_or(self.dtype);
        let data = self.take_data(name, chosen, &shape, dtype)?;
        let data = data.ok_or_else(|| self.missing(chosen, &shape))?;
        if self.reduced.is_none() && self.format == WeightFormat::Int8 && !is_transposed {
            // Nothing wide goes to the device.
            return Ok(Matrix::int8(data, shape, &self.device));
        }
        let tensor = Tensor::from_data(data, (&self.device, dtype));
        let tensor = if is_transposed { tensor.transpose() } else { tensor };
        Ok(match self.reduced {
            Some(_) => Matrix::Reduced(tensor),
            None => Matrix::new(tensor, self.format),
        })
    }

    /// The matrix `name`, which the source has under the name `chosen`, as a file stores it, if it stays so.
    fn take_stored(
        &mut self,
        name: &str,
        chosen: &str,
        shape: [usize; 2],
    ) -> Result<Option<Matrix>> {
        let stays = self.in_place
            && self.format == WeightFormat::Auto
            && kernels::reads_stored(&self.device);
        let Some(spelling) = self.find(chosen).filter(|_| stays) else { return Ok(None) };
        let Some(rows) = self.source.stored_rows(&spelling)? else { return Ok(None) };
        self.check_shape(&spelling, &rows.sizes, &shape)?;
        self.note_use(name, spelling, &shape);
        let StoredRows { kind, sizes, bytes } = rows;
        Ok(Some(Matrix::Stored { kind, sizes, bytes, device: self.device.clone() }))
    }
}
