//! A part of the rows: those held out from training, where there is no file of validation rows, and so many of them that
//! are drawn, as if there were no more.

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
    pub fn hold_out(self, part: f64, task: Task, seed: u64) -> Result<(Self, Self)> {
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
        Ok(self.parted(&held_out))
    }

    /// So many of the rows, drawn by `seed`, in the order of the file. Windows of one question stay together. With the
    /// same seed, more rows are the same ones and others.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for none, or more than there are.
    pub fn draw(self, count: usize, seed: u64) -> Result<Self> {
        let rows = self.records();
        if count == 0 || count > rows {
            let message =
                format!("found {count}, expected 1 to {rows}, the number of training rows");
            return Err(Error::setting("train_rows", message));
        }
        let mut order: Vec<usize> = (0..rows).collect();
        order.shuffle(&mut rng::stream(seed, 0, "data/draw"));
        let mut is_drawn = vec![false; rows];
        order.into_iter().take(count).for_each(|row| is_drawn[row] = true);
        let mut left_out = Vec::with_capacity(self.examples.len());
        let mut row = 0;
        for (index, example) in self.examples.iter().enumerate() {
            left_out.push(!is_drawn[row]);
            // The last example of its row.
            let goes_on =
                self.examples.get(index + 1).is_some_and(|next| next.same_question(example));
            row += usize::from(!goes_on);
        }
        Ok(self.parted(&left_out).0)
    }

    /// Two sides, each in the order of the file: the examples that are not `on_second`, with what is counted of all rows,
    /// and those that are.
    fn parted(mut self, on_second: &[bool]) -> (Self, Self) {
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
            let side = &mut sides[usize::from(on_second[index])];
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
        let [first, second] = sides;
        (first, second)
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

    #[test]
    fn more_rows_are_the_same_ones_and_others() {
        let rows = |count: usize| {
            (0..count).map(|line| Example::new(vec![1], Target::None, line + 1)).collect()
        };
        let all = encoded(rows(40));
        let drawn = |count, seed| lines(&all.clone().draw(count, seed).unwrap());
        let (few, many) = (drawn(5, 1), drawn(20, 1));
        assert_eq!((few.len(), many.len()), (5, 20));
        assert!(few.iter().all(|line| many.contains(line)) && many.is_sorted(), "{few:?} {many:?}");
        assert_ne!(many, drawn(20, 2));
        assert_eq!(all.clone().draw(40, 3).unwrap(), all);
        for count in [0, 41] {
            let message = all.clone().draw(count, 1).unwrap_err().to_string();
            assert!(message.contains("expected 1 to 40, the number of training rows"), "{message}");
        }
    }
}
