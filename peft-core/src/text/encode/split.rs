//! Rows held out from training, where there is no file of validation rows.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    mem,
};

use rand::seq::SliceRandom;

use super::Encoded;
use crate::{
    contract::{rng, task::Task},
    data::example::{Example, IGNORE, Target},
    error::{Error, Result},
};

/// Rows with the same input: they go to the same side.
#[derive(Default)]
struct Group {
    /// The indices of their examples.
    examples: Vec<usize>,
    rows: usize,
}

impl Encoded {
    /// Holds out a part of the rows, chosen by `seed`: what stays, and what is held out, both in the order of the file.
    ///
    /// Of each class the same part is held out. Rows with the same input, such as the references of one source, stay
    /// together, as do the windows of one question. A class of one input is not held out. What is counted of all rows,
    /// such as those that were truncated, is counted of those that stay.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for a part that is not above 0 and below 1, or by which no row is held out.
    pub fn hold_out(mut self, part: f64, task: Task, seed: u64) -> Result<(Self, Self)> {
        if !(part > 0.0 && part < 1.0) {
            let message = format!("found {part}, expected a number above 0 and below 1");
            return Err(Error::setting("valid_split", message));
        }
        let mut held_out = vec![false; self.examples.len()];
        let mut rng = rng::stream(seed, 0, "data/hold out");
        for mut groups in self.groups_of_classes(task) {
            let rows: usize = groups.iter().map(|group| group.rows).sum();
            let wanted = (part * rows as f64).round() as usize;
            groups.shuffle(&mut rng);
            // One input at least is left to learn from.
            let mut chosen = 0;
            for group in &groups[1..] {
                if chosen + group.rows <= wanted {
                    chosen += group.rows;
                    group.examples.iter().for_each(|example| held_out[*example] = true);
                }
            }
        }
        if !held_out.contains(&true) {
            let message =
                format!("found {part}, by which none of {} rows is held out", self.records());
            return Err(Error::setting("valid_split", message));
        }
        let examples = mem::take(&mut self.examples);
        let files = mem::take(&mut self.files);
        let goes_on = mem::take(&mut self.goes_on);
        let mut sides = [self, Self::default()];
        let (mut file, mut row) = (0, 0);
        let mut examples = examples.into_iter().enumerate().peekable();
        while let Some((index, example)) = examples.next() {
            while files.get(file + 1).is_some_and(|(first, _)| *first <= index) {
                file += 1;
            }
            let side = &mut sides[usize::from(held_out[index])];
            if let Some((_, path)) = files.get(file)
                && side.files.last().is_none_or(|(_, last)| last != path)
            {
                side.files.push((side.examples.len(), path.clone()));
            }
            // The last example of its row.
            if examples.peek().is_none_or(|(_, next)| !next.same_question(&example)) {
                side.goes_on.extend(goes_on.get(row));
                row += 1;
            }
            side.examples.push(example);
        }
        let [kept, held_out] = sides;
        Ok((kept, held_out))
    }

    /// The rows of each class, or all of them where rows have no class, by their inputs.
    fn groups_of_classes(&self, task: Task) -> Vec<Vec<Group>> {
        let mut classes: BTreeMap<Option<usize>, Vec<Group>> = BTreeMap::new();
        let mut place: HashMap<u64, (Option<usize>, usize)> = HashMap::new();
        for (index, example) in self.examples.iter().enumerate() {
            let before = index.checked_sub(1).and_then(|before| self.examples.get(before));
            let class = match &example.target {
                Target::Class(class) => Some(*class),
                _ => None,
            };
            let next = classes.get(&class).map_or(0, Vec::len);
            let (class, group) = *place.entry(input(example, task)).or_insert((class, next));
            let groups = classes.entry(class).or_default();
            if group == groups.len() {
                groups.push(Group::default());
            }
            groups[group].examples.push(index);
            groups[group].rows +=
                usize::from(!before.is_some_and(|row| row.same_question(example)));
        }
        classes.into_values().collect()
    }
}

/// A hash of what a model reads of a row before it answers; of a question, of its context.
fn input(example: &Example, task: Task) -> u64 {
    let mut hash = DefaultHasher::new();
    match (&example.target, &example.window) {
        (_, Some(window)) => window.passage.context.hash(&mut hash),
        (Target::Tokens(targets), None) if task == Task::CausalLm && targets.contains(&IGNORE) => {
            let read = example.input_ids.iter().zip(targets);
            read.filter(|(_, target)| **target == IGNORE).for_each(|(id, _)| id.hash(&mut hash));
        }
        _ => example.input_ids.hash(&mut hash),
    }
    hash.finish()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{path::Path, sync::Arc};

    use super::*;

    fn encoded(examples: Vec<Example>) -> Encoded {
        let path = |name: &str| Arc::<Path>::from(Path::new(name));
        let files = vec![(0, path("a")), (examples.len() / 2, path("b"))];
        Encoded { goes_on: vec![false; examples.len()], files, examples, ..Encoded::default() }
    }

    fn lines(rows: &Encoded) -> Vec<usize> {
        rows.examples.iter().map(|row| row.line).collect()
    }

    #[test]
    fn the_same_part_of_each_class_is_held_out() {
        let row = |line| {
            let class = usize::from(line % 10 == 0);
            Example::new(vec![line as u32], Target::Class(class), line)
        };
        let all = encoded((0..200).map(row).collect());
        let (kept, held_out) = all.clone().hold_out(0.1, Task::SeqCls, 7).unwrap();
        let of_class = |rows: &Encoded, class| {
            rows.examples.iter().filter(|row| row.target == Target::Class(class)).count()
        };
        assert_eq!([0, 1].map(|class| of_class(&held_out, class)), [18, 2]);
        assert_eq!([0, 1].map(|class| of_class(&kept, class)), [162, 18]);
        assert_eq!((kept.records(), held_out.records()), (180, 20));
        assert!(lines(&kept).is_sorted() && lines(&held_out).is_sorted());
        for rows in [&kept, &held_out] {
            for (index, row) in rows.examples.iter().enumerate() {
                let expected = if row.line < 100 { "a" } else { "b" };
                assert_eq!(rows.file_of(index), Some(Path::new(expected)));
            }
        }
        let again = all.clone().hold_out(0.1, Task::SeqCls, 7).unwrap().1;
        let other = all.clone().hold_out(0.1, Task::SeqCls, 8).unwrap().1;
        assert!(lines(&again) == lines(&held_out) && lines(&other) != lines(&held_out));
        for part in [0.0, 1.0, -0.1, f64::NAN, 1e-9] {
            let error = all.clone().hold_out(part, Task::SeqCls, 7).unwrap_err().to_string();
            assert!(error.starts_with("valid_split: found "), "{error}");
        }
    }

    #[test]
    fn rows_with_the_same_input_stay_together() {
        // Five sources of four targets each.
        let row = |line: usize| {
            let (source, target) = ((line / 4) as u32, 50 + line as i64);
            let targets = Target::Tokens(vec![IGNORE, IGNORE, target]);
            Example::new(vec![1, source, target as u32], targets, line)
        };
        let all = encoded((0..20).map(row).collect());
        let (kept, held_out) = all.hold_out(0.4, Task::CausalLm, 3).unwrap();
        let sources = |rows: &Encoded| -> Vec<u32> {
            let mut found: Vec<u32> = rows.examples.iter().map(|row| row.input_ids[1]).collect();
            found.dedup();
            found
        };
        assert_eq!((held_out.records(), sources(&held_out).len()), (8, 2));
        assert!(sources(&kept).iter().all(|source| !sources(&held_out).contains(source)));
    }
}
