//! What is said of the rows before a run begins: how many, how long, of which classes, and what looks wrong.
//!
//! | file | what it is |
//! |---|---|
//! | `warnings` | what looks wrong |

mod warnings;

use std::collections::BTreeMap;

use peft_core::{
    Result,
    data::{Example, Labels, class_counts},
    train::TrainConfig,
};

use super::{expected_memory::Memory, frozen_layers::FrozenLayers};
use crate::output::{grouped, visible};

/// Classes that are named.
const NAMED: usize = 6;

/// One pass over the training rows.
#[derive(Clone, Copy, Debug)]
pub struct Epoch {
    /// Its batches.
    pub batches: usize,
    /// The packed rows in them and the tokens of the longest, if rows are packed.
    pub packed: Option<(usize, usize)>,
}

impl Epoch {
    /// That of these rows.
    ///
    /// # Errors
    ///
    /// As for [`TrainConfig::sampler`].
    pub fn of(config: &TrainConfig, rows: &[Example]) -> Result<Self> {
        let sampler = config.sampler(rows.iter().map(Example::num_tokens).collect())?;
        Ok(Self { batches: sampler.batches_per_epoch(), packed: sampler.packed_rows() })
    }
}

/// The rows of a run and what it does with them.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// The settings.
    pub config: &'a TrainConfig,
    /// One pass over the training rows.
    pub epoch: Epoch,
    /// The memory that it takes, where that is known.
    pub(super) memory: Option<Memory>,
    /// The layers that nothing trained reaches.
    pub(super) frozen: Option<FrozenLayers>,
    /// Whether layers are computed again in the backward pass.
    pub recompute: bool,
    /// Whether the frozen matrices are in f32.
    pub is_wide: bool,
    /// The names of the classes.
    pub labels: Option<&'a Labels>,
    /// The rows to train on.
    pub train: &'a [Example],
    /// The rows to validate on.
    pub valid: &'a [Example],
}

impl Opening<'_> {
    /// What the run has before it: lines of a name and a text.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![("train", rows(self.train))];
        if !self.valid.is_empty() {
            facts.push(("valid", rows(self.valid)));
        }
        let counts = self.counts(self.train);
        if !counts.is_empty() {
            facts.push(("classes", self.classes(&counts)));
        }
        if let Some(packed) = self.packed() {
            facts.push(("packed", packed));
        }
        facts.push(("steps", self.steps()));
        if let Some(fact) = self.frozen.and_then(|frozen| frozen.fact()) {
            facts.push(("frozen", fact));
        }
        facts.extend(self.memory.map(|memory| memory.fact()));
        facts
    }

    /// What the rows are packed into, if they are.
    fn packed(&self) -> Option<String> {
        let (count, longest) = self.epoch.packed?;
        let rows = match self.train.len() {
            all if all == count => "1 row".to_string(),
            all => format!("{} rows", short(all as f64 / count as f64)),
        };
        let tokens: usize = self.train.iter().map(Example::num_tokens).sum();
        let full = 100.0 * tokens as f64 / (count * longest).max(1) as f64;
        Some(format!(
            "{} packed row{} of up to {} tokens, {full:.1} % full, {rows} in each",
            grouped(count),
            if count == 1 { "" } else { "s" },
            grouped(longest)
        ))
    }

    fn steps(&self) -> String {
        let (config, batches) = (self.config, self.epoch.batches);
        let total = config.total_steps(batches);
        let per_epoch = batches as f64 / config.accumulation as f64;
        let batch = match config.batch_tokens {
            Some(tokens) => format!("up to {} tokens", grouped(tokens)),
            None if self.epoch.packed.is_some() => {
                format!("{} packed rows", grouped(config.batch_size))
            }
            None => format!("{} rows", grouped(config.batch_size)),
        };
        let batch = match config.accumulation {
            1 => batch,
            count => format!("{count} x {batch}"),
        };
        let epochs = short(total as f64 / per_epoch);
        let plural = if epochs == "1" { "" } else { "s" };
        let mut text = format!(
            "{} of {batch}, {} an epoch: {epochs} epoch{plural}",
            grouped(total),
            short(per_epoch)
        );
        if let Some(every) = config.eval_every.filter(|_| !self.valid.is_empty()) {
            let by = config.best_metric(self.labels).name;
            let when = match every < total {
                true => format!("every {}", grouped(every)),
                false => "at the end".to_string(),
            };
            text += &format!("; evaluated {when}, best by {by}");
        }
        text
    }

    fn counts(&self, rows: &[Example]) -> BTreeMap<usize, usize> {
        class_counts(self.config.task, self.config.problem_type, rows)
    }

    fn classes(&self, counts: &BTreeMap<usize, usize>) -> String {
        let all: usize = counts.values().sum();
        let mut sorted: Vec<_> = counts.iter().collect();
        sorted.sort_by_key(|(class, count)| (std::cmp::Reverse(**count), **class));
        let one = |(class, count): &(&usize, &usize)| {
            let share = 100.0 * **count as f64 / all as f64;
            let digits = usize::from(share < 9.95);
            format!("{} {} ({share:.digits$} %)", self.name(**class), grouped(**count))
        };
        let named = sorted.iter().take(NAMED).map(one).collect::<Vec<_>>().join(", ");
        let rest = match sorted.get(NAMED..) {
            Some([last]) => format!(", {}", one(last)),
            Some([.., last]) => format!(", ..., {}", one(last)),
            _ => String::new(),
        };
        format!("{}: {named}{rest}", counts.len())
    }

    fn name(&self, class: usize) -> String {
        match self.labels.and_then(|labels| labels.name(class)) {
            Some(name) => visible(name, &[]),
            None => class.to_string(),
        }
    }
}

/// How many rows there are, and how long they are.
fn rows(rows: &[Example]) -> String {
    let mut lengths: Vec<usize> = rows.iter().map(Example::num_tokens).collect();
    lengths.sort_unstable();
    // The smallest length that this share of the rows does not exceed.
    let at = |percent: usize| {
        let index = (lengths.len() * percent).div_ceil(100).saturating_sub(1);
        lengths.get(index).copied().unwrap_or(0)
    };
    let (count, least, most) = (rows.len(), lengths.first().copied().unwrap_or(0), at(100));
    match count {
        1 => format!("1 row of {most} tokens"),
        _ if least == most => format!("{} rows of {most} tokens each", grouped(count)),
        _ => format!(
            "{} rows of {least} to {most} tokens, half up to {}, 95 % up to {}",
            grouped(count),
            at(50),
            at(95)
        ),
    }
}

/// A number with a decimal place where it has one.
fn short(number: f64) -> String {
    match (number - number.round()).abs() < 0.05 {
        true => grouped(number.round() as usize),
        false => format!("{number:.1}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use peft_core::{Task, data::Target};

    use super::*;

    /// Rows of so many tokens with a class.
    fn of(rows: &[(usize, usize)]) -> Vec<Example> {
        let row = |(line, (length, class)): (usize, &(usize, usize))| {
            let ids = (0..*length).map(|token| (line * 100 + token) as u32).collect();
            Example::new(ids, Target::Class(*class), line + 1)
        };
        rows.iter().enumerate().map(row).collect()
    }

    fn of_rows<'a>(
        config: &'a TrainConfig,
        train: &'a [Example],
        valid: &'a [Example],
    ) -> Opening<'a> {
        let (memory, labels) = (None, None);
        Opening {
            config,
            epoch: Epoch { batches: 1, packed: None },
            memory,
            frozen: None,
            recompute: false,
            is_wide: true,
            labels,
            train,
            valid,
        }
    }

    fn labels(count: usize) -> Labels {
        Labels::from_list((0..count).map(|class| format!("c{class}")).collect()).unwrap()
    }

    #[test]
    fn rows_classes_and_steps_are_told() {
        let rows: Vec<_> = (1..=20).map(|length| (length, length % 8 % 7)).collect();
        let (train, valid, labels) = (of(&rows), of(&[(3, 0)]), labels(7));
        let config = TrainConfig {
            epochs: Some(3),
            batch_size: 8,
            accumulation: 2,
            eval_every: Some(2),
            ..TrainConfig::new(Task::SeqCls)
        };
        let (config, labels) = (&config, Some(&labels));
        let epoch = Epoch { batches: 3, packed: None };
        let opening = Opening { epoch, labels, ..of_rows(config, &train, &valid) };
        assert_eq!(opening.facts(), [
            ("train", "20 rows of 1 to 20 tokens, half up to 10, 95 % up to 19".to_string()),
            ("valid", "1 row of 3 tokens".to_string()),
            (
                "classes",
                "7: c0 4 (20 %), c1 3 (15 %), c2 3 (15 %), c3 3 (15 %), c4 3 (15 %), c5 2 (10 %), c6 2 (10 %)"
                    .to_string()
            ),
            ("steps", "5 of 2 x 8 rows, 1.5 an epoch: 3.3 epochs; evaluated every 2, best by accuracy".to_string()),
        ]);
        let config = TrainConfig { steps: Some(9), ..TrainConfig::new(Task::CausalLm) };
        let alone = of_rows(&config, &train, &[]);
        let steps = ("steps", "9 of 32 rows, 1 an epoch: 9 epochs".to_string());
        assert_eq!(alone.facts().last(), Some(&steps));
        let most_of_one = TrainConfig { steps: Some(60), ..config.clone() };
        let epoch = Epoch { batches: 63, packed: None };
        let nearly = Opening { epoch, ..of_rows(&most_of_one, &train, &[]) };
        let steps = ("steps", "60 of 32 rows, 63 an epoch: 1 epoch".to_string());
        assert_eq!(nearly.facts().last(), Some(&steps));
        let config = TrainConfig { packing: true, batch_size: 4, ..config.clone() };
        let packed =
            Opening { config: &config, epoch: Epoch::of(&config, &train).unwrap(), ..alone }
                .facts();
        assert_eq!(
            packed[1..],
            [
                (
                    "packed",
                    "11 packed rows of up to 20 tokens, 95.5 % full, 1.8 rows in each".to_string()
                ),
                ("steps", "9 of 4 packed rows, 3 an epoch: 3 epochs".to_string()),
            ]
        );
        let rows = of(&[(3, 0), (3, 1)]);
        let epoch = Epoch::of(&config, &rows).unwrap();
        let alone = Opening { epoch, ..of_rows(&config, &rows, &[]) };
        let says = "2 packed rows of up to 3 tokens, 100.0 % full, 1 row in each";
        assert_eq!(alone.packed().as_deref(), Some(says));
        let warnings = alone.warnings();
        assert!(warnings[0].contains("no two rows have up to 3 tokens"), "{warnings:?}");
    }

    #[test]
    fn what_looks_wrong_is_told_with_the_way_out() {
        let config = TrainConfig { steps: Some(9), ..TrainConfig::new(Task::SeqCls) };
        let labels = labels(3);
        let said = |train: &[(usize, usize)], valid: &[(usize, usize)]| {
            let (train, valid) = (of(train), of(valid));
            let (config, labels) = (&config, Some(&labels));
            Opening { labels, ..of_rows(config, &train, &valid) }.warnings()
        };
        assert_eq!(said(&[(2, 0), (3, 1)], &[(4, 1)]), [""; 0]);
        let one = said(&[(2, 1), (3, 1)], &[]);
        assert_eq!(
            one,
            [
                "all 2 training rows are of the class c1: nothing tells classes apart; add rows of others to --train"
            ]
        );
        let mut many = vec![(2, 0); 200];
        many[7].1 = 2;
        let rare = said(&many, &[(9, 0)]);
        assert_eq!(
            rare,
            [
                "below 1 % of the 200 training rows: c2 (1); --class-weights balanced lets each of them count more, \
                 --best-metric f1_macro scores all classes alike"
            ]
        );
        let unseen = said(&[(2, 0), (3, 1)], &[(4, 2), (5, 2)]);
        assert_eq!(
            unseen,
            [
                "2 validation rows have a class without training rows, which cannot be learnt: c2; add such rows to --train"
            ]
        );
        let shared = said(&[(2, 0), (3, 1)], &[(2, 1), (4, 0)]);
        assert_eq!(
            shared,
            [
                "1 of 2 validation rows are training rows too: the scores say less about new rows; leave them out of --train \
             or --valid"
            ]
        );
    }

    #[test]
    fn memory_that_is_not_there_is_told_with_the_way_out() {
        let config = TrainConfig { steps: Some(9), ..TrainConfig::new(Task::CausalLm) };
        let rows = of(&[(2, 0)]);
        let with = |expected: u64, most: u64| {
            let memory = Some(Memory { expected, most });
            let opening = Opening { memory, ..of_rows(&config, &rows, &[]) };
            (opening.facts().pop().unwrap().1, opening.warnings())
        };
        assert_eq!(with(30_400_000, 1 << 30), ("about 30 MB expected".to_string(), vec![]));
        assert_eq!(with(743_000_000, 1 << 30).0, "about 740 MB expected");
        assert_eq!(with(1_070_000_000, 1 << 33).0, "about 1.1 GB expected");
        let (fact, warned) = with(32_100_000_000, 24_000_000_000);
        assert_eq!(fact, "about 32 GB expected");
        assert_eq!(
            warned,
            [
                "about 32 GB of memory are expected, and there are 24 GB: --recompute, --batch-size 16 with --accumulation 2 \
             or --base-weights int8 take less"
            ]
        );
        let small = TrainConfig { batch_size: 1, ..config.clone() };
        let opening = Opening { recompute: true, is_wide: false, ..of_rows(&small, &rows, &[]) };
        assert_eq!(opening.less_memory(), ["--max-length"]);
    }
}
