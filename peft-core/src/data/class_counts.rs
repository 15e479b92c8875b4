//! How many rows, or tokens, there are of each class.

use std::collections::BTreeMap;

use super::{Example, IGNORE, Target};
use crate::contract::{problem_type::ProblemType, task::Task};

/// A class belongs to a row whose value for it is above this: values are 1 or 0.
const HAS: f32 = 0.5;

/// The number of rows, or of labelled tokens, of each class that there is; a row with several classes counts for each of
/// them. Empty for tasks without classes, and for a regression.
pub fn class_counts(
    task: Task,
    problem_type: ProblemType,
    examples: &[Example],
) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    let mut add = |class| *counts.entry(class).or_insert(0) += 1;
    for example in examples {
        match (task, &example.target) {
            (Task::SeqCls, Target::Class(class)) => add(*class),
            (Task::SeqCls, Target::Values(values)) if problem_type == ProblemType::MultiLabel => {
                let has = values.iter().enumerate().filter(|(_, value)| **value > HAS);
                has.for_each(|(class, _)| add(class));
            }
            (Task::TokenCls, Target::Tokens(tags)) => {
                let known = tags.iter().filter(|tag| **tag != IGNORE);
                known.filter_map(|tag| usize::try_from(*tag).ok()).for_each(&mut add);
            }
            _ => {}
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_of_a_row_or_token_counts() {
        let of = |task, problem_type, targets: &[Target]| {
            let row = |target: &Target| Example::new(vec![1; 3], target.clone(), 1);
            let rows: Vec<Example> = targets.iter().map(row).collect();
            class_counts(task, problem_type, &rows).into_iter().collect::<Vec<_>>()
        };
        let one = ProblemType::SingleLabel;
        let rows = [Target::Class(2), Target::Class(0), Target::Class(2), Target::None];
        assert_eq!(of(Task::SeqCls, one, &rows), [(0, 1), (2, 2)]);
        let tags = [Target::Tokens(vec![IGNORE, 1, 0]), Target::Tokens(vec![1, IGNORE, IGNORE])];
        assert_eq!(of(Task::TokenCls, one, &tags), [(0, 1), (1, 2)]);
        assert_eq!(of(Task::CausalLm, one, &tags), []);
        let values = [Target::Values(vec![1.0, 0.0]), Target::Values(vec![1.0, 1.0])];
        assert_eq!(of(Task::SeqCls, ProblemType::MultiLabel, &values), [(0, 2), (1, 1)]);
        assert_eq!(of(Task::SeqCls, ProblemType::Regression, &values), []);
        assert_eq!(of(Task::QuestionAns, one, &[Target::Span { start: 0, end: 1 }]), []);
    }
}
