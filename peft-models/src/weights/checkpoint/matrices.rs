//! Large matrices, in the format in which they are kept.

use burn::tensor::{DType, Tensor};
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
            None => {
                let found = self.take_as(name, name, shape, self.of_matrices())?;
                let tensor = found.ok_or_else(|| self.missing(name, &shape))?;
                Ok(self.matrix(tensor))
            }
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
        let shape = [columns, rows];
        let found = self.take_as(name, name, shape, self.of_matrices())?;
        let tensor = found.ok_or_else(|| self.missing(name, &shape))?;
        Ok(self.matrix(tensor.transpose()))
    }

    /// As [`take_matrix`](Self::take_matrix), of a matrix with one of several names, as in
    /// [`take_one_of`](Self::take_one_of).
    ///
    /// # Errors
    ///
    /// Returns the errors of [`take_one_of`](Self::take_one_of).
    pub(crate) fn take_matrix_of(&mut self, names: [&str; 3], shape: [usize; 2]) -> Result<Matrix> {
        let chosen = self.one_of(names)?;
        match self.take_stored(names[0], chosen, shape)? {
            Some(matrix) => Ok(matrix),
            None => {
                let found = self.take_as(names[0], chosen, shape, self.of_matrices())?;
                let tensor = found.ok_or_else(|| self.missing(chosen, &shape))?;
                Ok(self.matrix(tensor))
            }
        }
    }

    /// The type in which large matrices are read.
    fn of_matrices(&self) -> DType {
        self.reduced.unwrap_or(self.dtype)
    }

    /// A large matrix that was read in that type, as it is kept.
    fn matrix(&self, tensor: Tensor<2>) -> Matrix {
        match self.reduced {
            Some(_) => Matrix::Reduced(tensor),
            None => Matrix::new(tensor, self.format),
        }
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
