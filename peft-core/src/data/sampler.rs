//! Which rows form which batch: a pure function of the seed and the index of the batch.

use std::cmp::Reverse;

use rand::{Rng, seq::SliceRandom};
use serde::{Deserialize, Serialize};

use super::packing::Packing;
use crate::{
    contract::rng,
    error::{Error, Result},
};

/// The order in which training visits the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// A new permutation per epoch; the last batch of an epoch may be smaller.
    Shuffled,
    /// The file's order, wrapping around at its end: batch k takes rows k·B to (k + 1)·B - 1,
    /// modulo the number of rows. Every batch is full.
    Sequential,
}

/// The number of rows of a batch where none is given.
pub const DEFAULT_BATCH_SIZE: usize = 32;

/// The maximum number of rows of a batch.
pub const MAX_BATCH_SIZE: usize = 1_000_000;

/// The number of batches that are sorted by length together: enough for little padding, few enough
/// that a batch is still a random sample.
const BATCHES_PER_POOL: usize = 50;

/// The rows of one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Their indices.
    pub rows: Vec<usize>,
    /// How many of them, in this order, make up each packed row; `None` if rows are not packed.
    pub packed: Option<Vec<usize>>,
}

/// The batches of a training run.
///
/// [`Sampler::batch`] depends only on the settings and the index of the batch, not on which batches
/// were requested before: a resumed run continues exactly where it stopped.
#[derive(Clone, Debug)]
pub struct Sampler {
    lengths: Vec<usize>,
    batch_size: usize,
    seed: u64,
    order: Order,
    bucket: bool,
    /// The number of rows of each batch of an epoch, before the batches are shuffled; empty if all
    /// have `batch_size`.
    cuts: Vec<usize>,
    /// What rows are packed into, if they are.
    packing: Option<Packing>,
    /// The epoch whose batches were requested last, and these batches.
    plan: Option<(usize, Vec<Batch>)>,
}

impl Sampler {
    /// Creates a sampler over rows of the given lengths (in tokens).
    ///
    /// With `bucket`, shuffled rows are divided into pools of 50 batches, each pool is sorted by
    /// length and divided into batches, and the batches of the epoch are shuffled: rows of similar
    /// length come together and need little padding. Sequential order ignores it.
    ///
    /// # Errors
    /// [`Error::Setting`] for a batch size of 0 or above [`MAX_BATCH_SIZE`], [`Error::Mismatch`] if
    /// there are no rows.
    pub fn new(
        lengths: Vec<usize>,
        batch_size: usize,
        seed: u64,
        order: Order,
        bucket: bool,
    ) -> Result<Self> {
        if batch_size == 0 {
            return Err(Error::setting("batch_size", "found 0, expected at least 1"));
        }
        if batch_size > MAX_BATCH_SIZE {
            let message = format!("found {batch_size}, expected at most {MAX_BATCH_SIZE}");
            return Err(Error::setting("batch_size", message));
        }
        if lengths.is_empty() {
            return Err(Error::Mismatch("there are no rows to train on".to_owned()));
        }
        let (cuts, packing, plan) = (Vec::new(), None, None);
        Ok(Self { lengths, batch_size, seed, order, bucket, cuts, packing, plan })
    }

    /// Limits each batch to `tokens` tokens, padding included, instead of a number of rows; a
    /// longer row forms a batch of its own. Shuffled rows only: all rows of an epoch are sorted by
    /// length, those of equal length in random order, and divided into batches, which are then
    /// shuffled. The batch size is ignored.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for a budget of 0, or rows in the file's order.
    pub fn with_token_budget(mut self, tokens: usize) -> Result<Self> {
        let refuse = |message: &str| Err(Error::setting("batch_tokens", message));
        if tokens == 0 {
            return refuse("found 0, expected at least 1");
        }
        if self.order == Order::Sequential {
            return refuse("rows in the file's order have a `batch_size`");
        }
        // The sorted lengths are the same in each epoch, so the cuts are too.
        let mut sorted = self.lengths.clone();
        sorted.sort_unstable();
        let mut rows = 0usize;
        for longest in sorted {
            if rows > 0 && (rows + 1).saturating_mul(longest) > tokens {
                self.cuts.push(rows);
                rows = 0;
            }
            rows += 1;
        }
        self.cuts.push(rows);
        Ok(self)
    }

    /// Packs rows: a batch has `batch_size` packed rows, each of rows that have at most `tokens`
    /// tokens together; a longer row is alone, and none is cut. Shuffled rows only: in each epoch the
    /// same lengths are packed together (best fit, from the longest row on), but of rows of equal
    /// length each takes any place. The packed rows are then batched as rows are otherwise, with
    /// `bucket` those of similar length together.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for packed rows of no tokens, rows in the file's order, or a budget of
    /// tokens.
    pub fn with_packing(mut self, tokens: usize) -> Result<Self> {
        if tokens == 0 {
            return Err(Error::setting("packed_length", "found 0, expected at least 1"));
        }
        if self.order == Order::Sequential {
            return Err(Error::setting("packing", "rows in the file's order are not packed"));
        }
        if !self.cuts.is_empty() {
            let message = "has `batch_size` packed rows a batch, not `batch_tokens`";
            return Err(Error::setting("packing", message));
        }
        self.packing = Some(Packing::new(&self.lengths, tokens));
        Ok(self)
    }

    /// The number of packed rows of an epoch and the tokens of the longest, if rows are packed.
    pub fn packed_rows(&self) -> Option<(usize, usize)> {
        self.packing.as_ref().map(|packing| (packing.len(), packing.longest()))
    }

    /// The number of batches that visit every row once (sequential order: at least once).
    pub fn batches_per_epoch(&self) -> usize {
        match self.cuts.len() {
            0 => {
                let rows = self.packing.as_ref().map_or(self.lengths.len(), Packing::len);
                rows.div_ceil(self.batch_size)
            }
            cuts => cuts,
        }
    }

    /// Returns the rows of batch number `index`, counted from 0 over the whole run.
    pub fn batch(&mut self, index: usize) -> Batch {
        match self.order {
            Order::Sequential => Batch { rows: self.consecutive(index), packed: None },
            Order::Shuffled => {
                let epoch = index / self.batches_per_epoch();
                let within = index % self.batches_per_epoch();
                match &self.plan {
                    Some((planned, batches)) if *planned == epoch => batches[within].clone(),
                    _ => {
                        let batches = self.shuffled(epoch);
                        let batch = batches[within].clone();
                        self.plan = Some((epoch, batches));
                        batch
                    }
                }
            }
        }
    }

    fn consecutive(&self, index: usize) -> Vec<usize> {
        let rows = self.lengths.len();
        // The product may exceed usize in a very long run; the remainder never does.
        let first = (index as u128 * self.batch_size as u128 % rows as u128) as usize;
        (0..self.batch_size).map(|i| (first + i % rows) % rows).collect()
    }

    /// All batches of an epoch, `batches_per_epoch()` of them.
    fn shuffled(&self, epoch: usize) -> Vec<Batch> {
        let mut rng = rng::stream(self.seed, epoch as u64, "data/shuffle");
        let mut rows: Vec<usize> = (0..self.lengths.len()).collect();
        rows.shuffle(&mut rng);
        if let Some(packing) = &self.packing {
            // Stable: rows of equal length stay in their random order.
            rows.sort_by_key(|&row| Reverse(self.lengths[row]));
            let mut packed = packing.of(&rows);
            packed.shuffle(&mut rng);
            let batches = self.divided(packed, |(length, _)| *length, &mut rng);
            let batch = |packed: &[(usize, Vec<usize>)]| Batch {
                rows: packed.iter().flat_map(|(_, rows)| rows).copied().collect(),
                packed: Some(packed.iter().map(|(_, rows)| rows.len()).collect()),
            };
            return batches.iter().map(|packed| batch(packed)).collect();
        }
        self.unpacked(rows, &mut rng).into_iter().map(|rows| Batch { rows, packed: None }).collect()
    }

    /// Batches of shuffled rows as they are.
    fn unpacked(&self, mut rows: Vec<usize>, rng: &mut impl Rng) -> Vec<Vec<usize>> {
        if !self.cuts.is_empty() {
            rows.sort_by_key(|&row| self.lengths[row]);
            let mut rest = rows.as_slice();
            let mut batches = Vec::with_capacity(self.cuts.len());
            for cut in &self.cuts {
                let (batch, others) = rest.split_at(*cut);
                batches.push(batch.to_vec());
                rest = others;
            }
            batches.shuffle(rng);
            return batches;
        }
        self.divided(rows, |&row| self.lengths[row], rng)
    }

    /// Divides shuffled rows, packed or not, into batches of `batch_size`.
    fn divided<R: Clone>(
        &self,
        mut rows: Vec<R>,
        length: impl Fn(&R) -> usize,
        rng: &mut impl Rng,
    ) -> Vec<Vec<R>> {
        if self.bucket {
            for pool in rows.chunks_mut(self.batch_size.saturating_mul(BATCHES_PER_POOL)) {
                // Stable: rows of equal length stay in their random order.
                pool.sort_by_key(&length);
            }
        }
        let mut batches: Vec<Vec<R>> = rows.chunks(self.batch_size).map(<[R]>::to_vec).collect();
        if self.bucket {
            batches.shuffle(rng);
        }
        batches
    }
}

/// Returns the batches for evaluation: every row once, sorted by length (equal lengths in the
/// file's order), which minimises padding. A batch size of 0 counts as 1.
pub fn eval_batches(lengths: &[usize], batch_size: usize) -> Vec<Vec<usize>> {
    let mut rows: Vec<usize> = (0..lengths.len()).collect();
    rows.sort_by_key(|&row| lengths[row]);
    rows.chunks(batch_size.max(1)).map(<[usize]>::to_vec).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sampler(lengths: &[usize], batch_size: usize, order: Order, bucket: bool) -> Sampler {
        Sampler::new(lengths.to_vec(), batch_size, 42, order, bucket).unwrap()
    }

    #[test]
    fn sequential_batches_wrap_around() {
        let mut sampler = sampler(&[1; 5], 2, Order::Sequential, true);
        let batches: Vec<_> = (0..4).map(|step| sampler.batch(step).rows).collect();
        assert_eq!(batches, [[0, 1], [2, 3], [4, 0], [1, 2]]);
        assert_eq!(sampler.batches_per_epoch(), 3);
        assert_eq!(sampler.batch(usize::MAX).rows.len(), 2);
    }

    #[test]
    fn sequential_batches_may_hold_a_row_twice() {
        assert_eq!(sampler(&[1, 1], 5, Order::Sequential, false).batch(1).rows, [1, 0, 1, 0, 1]);
    }

    #[test]
    fn epochs_and_seeds_differ() {
        let lengths = [1; 64];
        let mut first = sampler(&lengths, 64, Order::Shuffled, false);
        assert_ne!(first.batch(0), first.batch(1), "two epochs");
        assert_ne!(first.batch(0).rows, (0..64).collect::<Vec<_>>(), "shuffled at all");
        let mut other = Sampler::new(lengths.to_vec(), 64, 43, Order::Shuffled, false).unwrap();
        assert_ne!(first.batch(0), other.batch(0), "two seeds");
    }

    /// Guards the order itself: a change here breaks every run that is resumed afterwards. The
    /// numbers were computed by this code, with rand 0.9.5.
    #[test]
    fn the_order_does_not_drift() {
        let mut plain = sampler(&[1; 10], 4, Order::Shuffled, false);
        let epoch: Vec<_> = (3..6).map(|step| plain.batch(step).rows).collect();
        assert_eq!(epoch, [vec![9, 0, 2, 5], vec![3, 4, 1, 7], vec![6, 8]]);
        let mut bucketed = sampler(&[5, 1, 4, 2, 3, 9, 8], 3, Order::Shuffled, true);
        let epoch: Vec<_> = (0..3).map(|step| bucketed.batch(step).rows).collect();
        assert_eq!(epoch, [vec![1, 3, 4], vec![5], vec![2, 0, 6]]);
    }

    #[test]
    fn without_buckets_only_the_last_batch_is_smaller() {
        let mut sampler = sampler(&[1; 7], 3, Order::Shuffled, false);
        let sizes: Vec<_> = (0..6).map(|step| sampler.batch(step).rows.len()).collect();
        assert_eq!(sizes, [3, 3, 1, 3, 3, 1]);
    }

    #[test]
    fn settings_that_give_no_batch_are_refused() {
        let no_rows = Sampler::new(vec![], 2, 0, Order::Shuffled, true).unwrap_err();
        assert_eq!(no_rows.to_string(), "there are no rows to train on");
        let no_size = Sampler::new(vec![1], 0, 0, Order::Shuffled, true).unwrap_err();
        assert!(no_size.to_string().contains("batch_size: found 0"));
        let huge = Sampler::new(vec![1], usize::MAX, 0, Order::Sequential, true).unwrap_err();
        assert!(huge.to_string().contains("expected at most 1000000"));
    }

    #[test]
    fn evaluation_sorts_by_length() {
        assert_eq!(eval_batches(&[3, 1, 3, 2], 2), [[1, 3], [0, 2]]);
        assert_eq!(eval_batches(&[3, 1, 3], 2), [vec![1, 0], vec![2]]);
        assert_eq!(eval_batches(&[2, 1], 0), [[1], [0]]);
        assert!(eval_batches(&[], 4).is_empty());
    }

    fn padding(batches: &[Vec<usize>], lengths: &[usize]) -> usize {
        let wasted = |batch: &Vec<usize>| {
            let longest = batch.iter().map(|&row| lengths[row]).max().unwrap_or(0);
            batch.iter().map(|&row| longest - lengths[row]).sum::<usize>()
        };
        batches.iter().map(wasted).sum()
    }

    #[test]
    fn a_budget_needs_tokens_and_shuffled_rows() {
        for (order, tokens) in [(Order::Shuffled, 0), (Order::Sequential, 8)] {
            let found = sampler(&[1, 2], 1, order, true).with_token_budget(tokens);
            assert!(found.unwrap_err().to_string().starts_with("batch_tokens"));
        }
    }

    proptest! {
        #[test]
        fn a_budget_holds_and_every_row_comes_once(
            lengths in prop::collection::vec(0usize..30, 1..80), tokens in 1usize..100, epoch in 0usize..3,
        ) {
            let budgeted = sampler(&lengths, 1, Order::Shuffled, true).with_token_budget(tokens);
            let mut budgeted = budgeted.unwrap();
            let count = budgeted.batches_per_epoch();
            let mut seen = Vec::new();
            for step in 0..count {
                let batch = budgeted.batch(epoch * count + step).rows;
                let longest = batch.iter().map(|row| lengths[*row]).max().unwrap();
                prop_assert!(batch.len() == 1 || batch.len() * longest <= tokens);
                seen.extend(batch);
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn packing_needs_tokens_shuffled_rows_and_a_number_of_them() {
        for (order, tokens, setting) in [
            (Order::Shuffled, 0, "packed_length: found 0"),
            (Order::Sequential, 8, "packing: rows in the file's order"),
        ] {
            let found = sampler(&[1, 2], 1, order, true).with_packing(tokens);
            let error = found.unwrap_err().to_string();
            assert!(error.starts_with(setting), "{error}");
        }
        let budget = sampler(&[1, 2], 1, Order::Shuffled, true).with_token_budget(9).unwrap();
        let error = budget.with_packing(9).unwrap_err().to_string();
        assert!(error.contains("not `batch_tokens`"), "{error}");
    }

    #[test]
    fn packed_epochs_differ_and_a_million_rows_take_no_time() {
        let lengths: Vec<usize> = (0..1_000_000).map(|i| 1 + i * 37 % 101).collect();
        let mut sampler = sampler(&lengths, 32, Order::Shuffled, true).with_packing(128).unwrap();
        let (count, longest) = sampler.packed_rows().unwrap();
        let tokens: usize = lengths.iter().sum();
        assert!(longest == 128 && count * 128 < tokens + tokens / 100, "{count} for {tokens}");
        assert_eq!(sampler.batches_per_epoch(), count.div_ceil(32));
        let first = sampler.batch(0);
        assert_eq!(first.packed.as_ref().map(Vec::len), Some(32));
        assert_ne!(first, sampler.batch(sampler.batches_per_epoch()));
    }

    proptest! {
        /// Every epoch visits every row once, in batches of so many packed rows (the last one may be
        /// smaller), of which only a row that is longer itself is too long.
        #[test]
        fn a_packed_epoch_is_a_permutation(
            lengths in prop::collection::vec(0usize..40, 1..150), most in 1usize..90,
            batch_size in 1usize..9, epoch in 0usize..3, bucket: bool,
        ) {
            let packed = sampler(&lengths, batch_size, Order::Shuffled, bucket).with_packing(most);
            let mut packed = packed.unwrap();
            let ((count, longest), steps) = (packed.packed_rows().unwrap(), packed.batches_per_epoch());
            let (mut seen, mut sizes) = (Vec::new(), Vec::new());
            for step in epoch * steps..(epoch + 1) * steps {
                let Batch { rows, packed } = packed.batch(step);
                let packed = packed.unwrap();
                prop_assert_eq!(packed.iter().sum::<usize>(), rows.len());
                let mut rest = rows.as_slice();
                for rows in &packed {
                    let (row, others) = rest.split_at(*rows);
                    let tokens: usize = row.iter().map(|row| lengths[*row]).sum();
                    prop_assert!(*rows == 1 || (*rows > 1 && tokens <= most));
                    prop_assert!(tokens <= longest);
                    rest = others;
                }
                sizes.push(packed.len());
                seen.extend(rows);
            }
            prop_assert_eq!(sizes.iter().sum::<usize>(), count);
            prop_assert!(sizes.iter().filter(|size| **size != batch_size).count() <= 1);
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn buckets_save_padding() {
        let lengths: Vec<usize> = (0..1000).map(|i| 1 + i * 37 % 101).collect();
        let epoch = |bucket| {
            let mut sampler = sampler(&lengths, 8, Order::Shuffled, bucket);
            let batches: Vec<_> =
                (0..sampler.batches_per_epoch()).map(|step| sampler.batch(step).rows).collect();
            padding(&batches, &lengths)
        };
        assert!(epoch(true) * 10 < epoch(false), "{} {}", epoch(true), epoch(false));
    }

    proptest! {
        /// Every epoch visits every row once, in batches of the given size and at most one smaller
        /// batch.
        #[test]
        fn an_epoch_is_a_permutation(
            lengths in prop::collection::vec(0usize..40, 1..200),
            batch_size in 1usize..9, epoch in 0usize..4, bucket: bool,
        ) {
            let mut sampler = sampler(&lengths, batch_size, Order::Shuffled, bucket);
            let steps = sampler.batches_per_epoch();
            let mut rows = Vec::new();
            let mut rests = 0;
            for step in epoch * steps..(epoch + 1) * steps {
                let batch = sampler.batch(step).rows;
                prop_assert!(!batch.is_empty() && batch.len() <= batch_size);
                rests += usize::from(batch.len() < batch_size);
                rows.extend(batch);
            }
            rows.sort_unstable();
            prop_assert_eq!(rows, (0..lengths.len()).collect::<Vec<_>>());
            prop_assert!(rests <= 1);
        }

        /// A batch does not depend on what was requested before: resuming changes nothing.
        #[test]
        fn any_step_may_come_first(
            lengths in prop::collection::vec(0usize..40, 1..60),
            batch_size in 1usize..9, steps in prop::collection::vec(0usize..50, 1..20),
            bucket: bool, shuffled: bool, packed: bool,
        ) {
            let order = if shuffled { Order::Shuffled } else { Order::Sequential };
            let new = || {
                let sampler = sampler(&lengths, batch_size, order, bucket);
                if packed && shuffled { sampler.with_packing(50).unwrap() } else { sampler }
            };
            let mut used = new();
            for step in steps {
                let mut fresh = new();
                prop_assert_eq!(used.batch(step), fresh.batch(step));
            }
        }

        /// Evaluation visits every row once, and full batches pad no more than in the file's order.
        #[test]
        fn evaluation_visits_every_row(
            lengths in prop::collection::vec(0usize..40, 0..60), batch_size in 1usize..9,
        ) {
            let batches = eval_batches(&lengths, batch_size);
            let mut rows = batches.concat();
            rows.sort_unstable();
            let all: Vec<usize> = (0..lengths.len()).collect();
            let unsorted: Vec<_> = all.chunks(batch_size).map(<[usize]>::to_vec).collect();
            if lengths.len() % batch_size == 0 {
                prop_assert!(padding(&batches, &lengths) <= padding(&unsorted, &lengths));
            }
            prop_assert_eq!(rows, all);
        }
    }
}
