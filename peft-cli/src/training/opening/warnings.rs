//! What looks wrong before a run begins, with the way out.

use std::collections::HashSet;

use peft_core::{ProblemType, Task, data::Example};

use super::{NAMED, Opening};
use crate::{
    output::{bytes, grouped},
    usage::listed,
};

/// A class of fewer rows, in per cent, is easily never learnt.
const RARE: usize = 1;

impl Opening<'_> {
    /// What looks wrong, with the way out.
    pub fn warnings(&self) -> Vec<String> {
        [self.warnings_of_run(), self.warnings_of_rows()].concat()
    }

    /// Of those, what several tasks have in common.
    pub(in crate::training) fn warnings_of_run(&self) -> Vec<String> {
        let mut found: Vec<String> =
            self.frozen.and_then(|frozen| frozen.warning()).into_iter().collect();
        if let Some(memory) = self.memory.filter(|memory| memory.expected > memory.most) {
            found.push(format!(
                "about {} of memory are expected, and there are {}: {} take less",
                bytes(memory.expected),
                bytes(memory.most),
                listed(&self.less_memory(), "or")
            ));
        }
        found
    }

    /// What looks wrong in the rows.
    pub(in crate::training) fn warnings_of_rows(&self) -> Vec<String> {
        let mut found = Vec::new();
        let (train, valid) = (self.counts(self.train), self.counts(self.valid));
        let (rows, unit) = match self.config.task {
            Task::TokenCls => (train.values().sum(), "tags"),
            _ => (self.train.len(), "rows"),
        };
        if let (1, Some((class, count))) = (train.len(), train.first_key_value())
            && *count == rows
        {
            found.push(format!(
                "all {} training {unit} are of the class {}: nothing tells classes apart; add {unit} of others to --train",
                grouped(rows),
                self.name(*class)
            ));
        }
        let rare: Vec<_> = train.iter().filter(|(_, count)| **count * 100 < RARE * rows).collect();
        // Most tags are rare beside O, and scores of entities count each of them.
        if !rare.is_empty() && self.config.task != Task::TokenCls {
            let named =
                list(rare.iter().map(|(class, count)| {
                    format!("{} ({})", self.name(**class), grouped(**count))
                }));
            found.push(format!(
                "below {RARE} % of the {} training {unit}: {named}; {}",
                grouped(rows),
                self.for_rare_classes()
            ));
        }
        if let Some((count, longest)) = self.epoch.packed
            && count == self.train.len()
        {
            found.push(format!(
                "--packing packs nothing: no two rows have up to {} tokens together; --max-length sets how many may",
                grouped(longest)
            ));
        }
        let unseen: Vec<_> =
            valid.iter().filter(|(class, _)| !train.contains_key(*class)).collect();
        if !unseen.is_empty() {
            let count: usize = unseen.iter().map(|(_, count)| **count).sum();
            let named = list(unseen.iter().map(|(class, _)| self.name(**class)));
            found.push(format!(
                "{} validation {unit} have a class without training {unit}, which cannot be learnt: {named}; add such \
                 rows to --train",
                grouped(count)
            ));
        }
        let seen: HashSet<_> = self.train.iter().map(content).collect();
        let shared = self.valid.iter().filter(|row| seen.contains(&content(row))).count();
        if shared > 0 {
            found.push(format!(
                "{} of {} validation rows are training rows too: the scores say less about new rows; leave them out of \
                 --train or --valid",
                grouped(shared),
                grouped(self.valid.len())
            ));
        }
        found
    }

    /// What takes less memory.
    pub(super) fn less_memory(&self) -> Vec<String> {
        let mut ways = Vec::new();
        if !self.recompute {
            ways.push("--recompute".to_string());
        }
        let config = self.config;
        match config.batch_tokens {
            Some(tokens) => ways.push(format!("--batch-tokens {}", tokens.div_ceil(2))),
            None if config.batch_size > 1 => ways.push(format!(
                "--batch-size {} with --accumulation {}",
                config.batch_size.div_ceil(2),
                2 * config.accumulation
            )),
            None => ways.push("--max-length".to_string()),
        }
        if self.is_wide {
            ways.push("--base-weights int8".to_string());
        }
        ways
    }

    /// What helps classes that are rare.
    fn for_rare_classes(&self) -> String {
        let config = self.config;
        let mut ways = Vec::new();
        if config.problem_type == ProblemType::SingleLabel && config.class_weights.is_none() {
            ways.push("--class-weights balanced lets each of them count more");
        }
        if config.best_metric.is_none() && !self.valid.is_empty() {
            ways.push("--best-metric f1_macro scores all classes alike");
        }
        if ways.is_empty() {
            ways.push("more rows of them help");
        }
        ways.join(", ")
    }
}

/// What makes two rows the same for a model, whatever their targets.
fn content(row: &Example) -> (&[u32], Option<&[u32]>, Option<&[u32]>) {
    (&row.input_ids, row.token_type_ids.as_deref(), row.decoder_input_ids.as_deref())
}

/// The first names of a list, and how many more there are.
fn list(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len().saturating_sub(NAMED);
    let named = names.take(NAMED).collect::<Vec<_>>().join(", ");
    match more {
        0 => named,
        _ => format!("{named} and {more} more"),
    }
}
