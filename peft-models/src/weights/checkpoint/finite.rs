//! Numbers that no score can be computed with, or that a type has not.

use burn::tensor::{AllocationProperty, DType, Element, TensorData, bf16, f16};
use peft_core::{Error, Result};

use super::Weights;
use crate::weights::narrow::narrowed;

impl Weights {
    /// Refuses numbers that are not finite in what loading reads: all that is converted, and lists of numbers. A matrix
    /// that stays a view of its file is not read yet; the scores that it leads to tell.
    pub(super) fn check_finite(&self, spelling: &str, data: &TensorData) -> Result<()> {
        let is_view = data.bytes().property() == AllocationProperty::File;
        let is_read = !is_view || data.shape().as_slice().len() == 1;
        let is_file = self.files().is_some();
        // Minus infinity there rules a token out.
        let rules_out = spelling.ends_with("final_logits_bias");
        let is_good = |x: f32| x.is_finite() || (rules_out && x == f32::NEG_INFINITY);
        if !is_file || !is_read {
            return Ok(());
        }
        let bad = match data.dtype() {
            DType::F32 => first_bad(data, is_good),
            DType::BF16 => first_bad(data, |x: bf16| is_good(x.to_f32())).map(bf16::to_f32),
            DType::F16 => first_bad(data, |x: f16| is_good(x.to_f32())).map(f16::to_f32),
            _ => data.iter::<f32>().find(|x| !is_good(*x)),
        };
        bad.map_or(Ok(()), |found| Err(self.not_finite(spelling, found)))
    }

    /// In a type; refuses numbers of a file that are not finite in it.
    pub(super) fn narrowed(
        &self,
        spelling: &str,
        data: TensorData,
        dtype: DType,
    ) -> Result<TensorData> {
        narrowed(data, dtype).map_err(|found| {
            let path = self.source.file_of(spelling).unwrap_or(&self.path);
            if !found.is_finite() {
                return self.not_finite(spelling, found);
            }
            let message = format!(
                "holds {found}, which {} has no number for: choose another `dtype`",
                dtype.name()
            );
            Error::tensor(path, spelling, message)
        })
    }

    fn not_finite(&self, spelling: &str, found: f32) -> Error {
        let path = self.source.file_of(spelling).unwrap_or(&self.path);
        let message = format!(
            "holds {found}, which no score can be computed with: the file is damaged, or the training that wrote it diverged"
        );
        Error::tensor(path, spelling, message)
    }
}

/// The first number of these data that is not good.
fn first_bad<T: Element>(data: &TensorData, is_good: impl Fn(T) -> bool) -> Option<T> {
    // Without an end in the middle of a part, the compiler makes vectors of it.
    let mut parts = data.as_slice::<T>().unwrap_or_default().chunks(1 << 12);
    let part = parts.find(|part| !part.iter().fold(true, |good, x| good & is_good(*x)));
    part.and_then(|part| part.iter().copied().find(|x| !is_good(*x)))
}
