//! Values on their way from a device to the host: the one place where training, evaluation and generation wait for it.
//!
//! A GPU computes what it was given while the host gives it more; whoever reads a value waits until all of that is done. So
//! what a step, a batch of predictions or a new token has to tell is read together, and all of it here, where reads are
//! counted: [`reads`].
//!
//! Only what adapters are made of is read elsewhere, tensor by tensor: the states of methods and heads
//! ([`PeftMethod::state`](super::method::PeftMethod::state), [`Head::state`](super::head::Head::state)), when a checkpoint or an
//! adapter is stored.

use std::{
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
};

use burn::tensor::{Element, Tensor, TensorData, Transaction, kind};

use crate::error::{Error, Result};

/// Reads of this process.
static READS: AtomicUsize = AtomicUsize::new(0);

/// How often this process has read from a device by way of a [`Readback`].
pub fn reads() -> usize {
    READS.load(Ordering::Relaxed)
}

/// Tensors of one device that are read together: one wait, however many there are.
///
/// # Examples
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use peft_core::contract::readback::{Readback, reads};
///
/// # fn main() -> peft_core::Result<()> {
/// let before = reads();
/// let device = Device::default();
/// let mut together = Readback::default();
/// together.add(Tensor::<1>::from_floats([1.0, 2.0], &device));
/// together.add(Tensor::<1>::from_floats([3.0], &device));
/// let mut found = together.read()?;
/// assert_eq!((found.numbers::<f32>()?, found.numbers::<f32>()?), (vec![1.0, 2.0], vec![3.0]));
/// assert_eq!(reads() - before, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct Readback {
    transaction: Transaction,
    len: usize,
}

impl fmt::Debug for Readback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readback").field("len", &self.len).finish_non_exhaustive()
    }
}

impl Readback {
    /// Adds a tensor of the plain device.
    pub fn add<const D: usize, K: kind::Transaction>(&mut self, tensor: Tensor<D, K>) {
        self.transaction = std::mem::take(&mut self.transaction).register(tensor);
        self.len += 1;
    }

    /// Reads all tensors, which come in the order in which they were added. It waits only if there are any.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] with what the device says if it cannot be read.
    pub fn read(self) -> Result<Found> {
        if self.len == 0 {
            return Ok(Found(Vec::new().into_iter()));
        }
        READS.fetch_add(1, Ordering::Relaxed);
        Ok(Found(self.transaction.try_execute().map_err(unreadable)?.into_iter()))
    }
}

/// What a [`Readback`] read, in its order.
#[derive(Clone, Debug)]
pub struct Found(std::vec::IntoIter<TensorData>);

impl Iterator for Found {
    type Item = TensorData;

    fn next(&mut self) -> Option<TensorData> {
        self.0.next()
    }
}

impl Found {
    /// The numbers of the next tensor.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if they are no numbers of this type, or if there is no further tensor.
    pub fn numbers<E: Element>(&mut self) -> Result<Vec<E>> {
        let none = || Error::Mismatch("more tensors are asked for than were read".into());
        let next = self.next().ok_or_else(none)?;
        next.try_into_vec_as::<E>().map_err(unreadable)
    }
}

/// Reads one tensor of the plain device.
///
/// # Errors
///
/// As for [`Readback::read`].
pub fn read<const D: usize, K: kind::Transaction>(tensor: Tensor<D, K>) -> Result<TensorData> {
    READS.fetch_add(1, Ordering::Relaxed);
    tensor.try_into_data().map_err(unreadable)
}

/// The error for a device whose values cannot be read.
fn unreadable(error: impl fmt::Display) -> Error {
    Error::Mismatch(format!("cannot read the device: {error}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::{Bool, Device, Int};

    use super::*;

    #[test]
    fn tensors_of_all_kinds_come_in_their_order() {
        let device = Device::default();
        let mut together = Readback::default();
        together.add(Tensor::<1, Int>::from_ints([7, 8], &device));
        together.add(Tensor::<2>::from_floats([[0.5], [-1.0]], &device));
        together.add(Tensor::<1, Bool>::from_bool([true], &device));
        together.add(Tensor::<1>::from_floats([2.5], &device));
        let found: Vec<Vec<f64>> =
            together.read().unwrap().map(|data| data.iter().collect()).collect();
        assert_eq!(found, [vec![7.0, 8.0], vec![0.5, -1.0], vec![1.0], vec![2.5]]);
        assert_eq!(Readback::default().read().unwrap().count(), 0);
        let one = read(Tensor::<1>::from_floats([4.0], &device)).unwrap();
        assert_eq!(one.iter::<f64>().collect::<Vec<_>>(), [4.0]);
    }
}
