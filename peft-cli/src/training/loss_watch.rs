//! Whether the loss of a run falls.

use std::collections::VecDeque;

/// Steps over which a mean is taken: a tenth of the run, but not more than this.
const MOST: usize = 20;
/// Steps of a run that is too short to judge.
const FEW: usize = 20;
/// A loss that has risen so many times, and by so many nats, rises for a reason.
const RISEN: (f64, f64) = (1.5, 0.1);
/// A loss that ends above so much of its start has not fallen.
const FALLEN: f64 = 0.98;
/// A loss that starts below has little to fall.
const LEARNT: f64 = 0.05;

/// The first losses of a run, and the last ones.
#[derive(Clone, Debug)]
pub struct LossWatch {
    first: Vec<f64>,
    last: VecDeque<f64>,
    window: usize,
    total: usize,
    /// The rate of the head, if it has its own.
    head_lr: Option<f64>,
    has_risen: bool,
}

impl LossWatch {
    /// A run of so many steps, whose head may have a rate of its own.
    pub fn new(total: usize, head_lr: Option<f64>) -> Self {
        let window = (total / 10).clamp(1, MOST);
        let (first, last) = (Vec::new(), VecDeque::new());
        Self { first, last, window, total, head_lr, has_risen: false }
    }

    /// Adds the loss of a step. Says once that it is well above its start.
    pub fn add(&mut self, loss: f64) -> Option<String> {
        if self.first.len() < self.window {
            self.first.push(loss);
            return None;
        }
        self.last.push_back(loss);
        if self.last.len() > self.window {
            self.last.pop_front();
        }
        let (first, last) = self.means()?;
        let risen = last > RISEN.0 * first && last > first + RISEN.1;
        if self.total < FEW || self.has_risen || !risen {
            return None;
        }
        self.has_risen = true;
        let rates = if self.head_lr.is_some() { "--lr or --head-lr" } else { "--lr" };
        Some(format!(
            "the loss has risen from {first:.4} to {last:.4}: {rates} is too high, or --warmup-steps or --clip-norm is \
             needed"
        ))
    }

    /// Says at the end of a run with the learning rate `lr` that the loss has not fallen, unless it was said that it
    /// rose.
    pub fn at_end(&self, lr: f64) -> Option<String> {
        let (first, last) = self.means()?;
        let is_told = self.total < FEW || self.has_risen;
        if is_told || first < LEARNT || last <= FALLEN * first {
            return None;
        }
        let of_head = self.head_lr.map(|lr| format!(", another --head-lr (now {lr})"));
        Some(format!(
            "the loss has not fallen: {first:.4} at the start, {last:.4} at the end; try another --lr (now {lr}){} or more \
             --epochs",
            of_head.unwrap_or_default()
        ))
    }

    /// The mean of the first losses and that of the last, if there are enough.
    fn means(&self) -> Option<(f64, f64)> {
        let mean = |sum: f64| sum / self.window as f64;
        (self.last.len() == self.window)
            .then(|| (mean(self.first.iter().sum()), mean(self.last.iter().sum())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said during a run with these losses, and what at its end.
    fn said(losses: &[f64]) -> (Vec<String>, Option<String>) {
        let mut watch = LossWatch::new(losses.len(), None);
        let during = losses.iter().filter_map(|loss| watch.add(*loss)).collect();
        (during, watch.at_end(0.001))
    }

    #[test]
    fn a_loss_that_rises_or_does_not_fall_is_told_once() {
        let line = |from: f64, to: f64| -> Vec<f64> {
            (0..100).map(|step| from + (to - from) * f64::from(step) / 99.0).collect()
        };
        assert_eq!(said(&line(1.0, 0.5)), (vec![], None));
        assert_eq!(said(&line(0.01, 0.02)), (vec![], None));
        let (during, at_end) = said(&line(1.0, 3.0));
        assert_eq!((during.len(), at_end), (1, None));
        assert!(during[0].starts_with("the loss has risen from 1.0909 to 1."), "{during:?}");
        let (during, at_end) = said(&line(0.693, 0.69));
        let says = "the loss has not fallen: 0.6929 at the start, 0.6901 at the end";
        assert!(
            during.is_empty() && at_end.as_ref().is_some_and(|said| said.starts_with(says)),
            "{at_end:?}"
        );
        let mut watch = LossWatch::new(100, Some(0.03));
        line(0.693, 0.69).iter().for_each(|loss| _ = watch.add(*loss));
        let at_end = watch.at_end(0.001).unwrap_or_default();
        let says = "try another --lr (now 0.001), another --head-lr (now 0.03) or more --epochs";
        assert!(at_end.ends_with(says), "{at_end}");
        // Too few steps to tell.
        assert_eq!(said(&[1.0, 9.0, 9.0]), (vec![], None));
        assert_eq!(said(&[]), (vec![], None));
    }
}
