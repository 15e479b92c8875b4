//! The loss of a step, before and after it is read from the device.

use burn::tensor::Tensor;

use crate::{contract::readback::Readback, error::Result};

/// What the slices of a step lose, still on the device, and the norm of its gradient.
#[derive(Default)]
pub(super) struct UnreadLoss {
    shares: Vec<OfShare>,
    norm: Option<Tensor<1>>,
}

/// The slices of one task.
struct OfShare {
    task: usize,
    /// How much the mean loss of the task counts.
    weight: f64,
    /// `[1]` each, in their order: together the weighted mean.
    slices: Vec<Tensor<1>>,
}

/// What a step lost.
#[derive(Debug)]
pub(super) struct StepLoss {
    /// The mean loss over the targets, in nats; over several tasks the sum of their weighted means.
    pub(super) loss: f64,
    /// The mean loss of each share with targets that count, by the place of its task.
    pub(super) of_tasks: Vec<(usize, f64)>,
    /// The norm of the gradient; 0 if there is none.
    pub(super) norm: f64,
}

impl UnreadLoss {
    /// Adds the slices of a task, if it has any; the tensors are on one plain device.
    pub(super) fn add(&mut self, task: usize, weight: f64, slices: Vec<Tensor<1>>) {
        if !slices.is_empty() {
            self.shares.push(OfShare { task, weight, slices });
        }
    }

    /// With the norm of the gradient, if there is one.
    pub(super) fn with_norm(self, norm: Option<Tensor<1>>) -> Self {
        Self { norm, ..self }
    }

    /// The norm of the gradient.
    pub(super) fn norm(&self) -> Option<&Tensor<1>> {
        self.norm.as_ref()
    }

    /// Whether nothing had a target that counts.
    pub(super) fn is_empty(&self) -> bool {
        self.shares.is_empty()
    }

    /// Reads everything at once.
    pub(super) fn read(self) -> Result<StepLoss> {
        let mut together = Readback::default();
        for share in &self.shares {
            together.add(Tensor::cat(share.slices.clone(), 0));
        }
        if let Some(norm) = self.norm {
            together.add(norm);
        }
        let mut found = together.read()?;
        let (mut loss, mut of_tasks) = (0.0, Vec::new());
        for OfShare { task, weight, .. } in &self.shares {
            let of_share = found.numbers::<f64>()?.into_iter().fold(0.0, |sum, slice| sum + slice);
            loss += of_share;
            of_tasks.push((*task, of_share / weight));
        }
        let norm = found.next().and_then(|norm| norm.iter().next()).unwrap_or(0.0);
        Ok(StepLoss { loss, of_tasks, norm })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn tasks_are_summed_by_themselves_and_read_with_the_norm() {
        let slices = |losses: &[f32]| -> Vec<Tensor<1>> {
            let of = |loss: &f32| Tensor::from_floats([*loss], &Device::default());
            losses.iter().map(of).collect()
        };
        let mut unread = UnreadLoss::default();
        assert!(unread.is_empty());
        unread.add(1, 0.5, slices(&[0.25, 0.5]));
        unread.add(2, 1.0, Vec::new());
        unread.add(3, 2.0, slices(&[4.0]));
        let norm = slices(&[7.0]).pop();
        let StepLoss { loss, of_tasks, norm } = unread.with_norm(norm).read().unwrap();
        assert_eq!((loss, of_tasks, norm), (4.75, vec![(1, 1.5), (3, 2.0)], 7.0));
        let nothing = UnreadLoss::default().read().unwrap();
        assert_eq!((nothing.loss, nothing.norm), (0.0, 0.0));
    }
}
