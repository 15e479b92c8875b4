//! How several adapters agree on one answer.

/// How the members of an ensemble are combined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vote {
    /// The class that most members find most likely. Ties go to the class with the largest mean
    /// probability, then to the first.
    #[default]
    Majority,
    /// The class with the largest mean probability; ties go to the first.
    Mean,
}

impl Vote {
    /// Returns the chosen class and the mean probability of each class, from the probabilities of
    /// each member. Members have the same classes; a class that a member lacks counts as impossible
    /// for it.
    pub fn choose(self, of_members: &[Vec<f32>]) -> (usize, Vec<f32>) {
        let classes = of_members.first().map_or(0, Vec::len);
        let count = of_members.len().max(1) as f32;
        let mean: Vec<f32> = (0..classes)
            .map(|class| {
                of_members
                    .iter()
                    .map(|member| member.get(class).copied().unwrap_or(0.0))
                    .sum::<f32>()
                    / count
            })
            .collect();
        (self.best(of_members.iter().map(|member| first_largest(member)), &mean), mean)
    }

    /// Returns the chosen class from the log-likelihood of each class by each member, as [`choose`](Self::choose) does
    /// from probabilities: in place of the mean probability counts the sum of log-likelihoods, the product of what
    /// members find likely.
    pub fn choose_by_log_likelihoods(self, of_members: &[Vec<f64>]) -> usize {
        let classes = of_members.first().map_or(0, Vec::len);
        let of_member = |class: usize| {
            move |member: &Vec<f64>| member.get(class).copied().unwrap_or(f64::NEG_INFINITY)
        };
        let sums: Vec<f64> =
            (0..classes).map(|class| of_members.iter().map(of_member(class)).sum()).collect();
        self.best(of_members.iter().map(|member| first_largest(member)), &sums)
    }

    /// The class with the most votes, where votes count, and then with the largest score.
    fn best<T: PartialOrd>(self, choices: impl Iterator<Item = usize>, scores: &[T]) -> usize {
        let mut votes = vec![0usize; scores.len()];
        if self == Self::Majority {
            choices.filter(|class| *class < scores.len()).for_each(|class| votes[class] += 1);
        }
        let better = |a: usize, b: usize| (votes[b], &scores[b]) > (votes[a], &scores[a]);
        let classes = 0..scores.len();
        let best = classes.reduce(|best, next| if better(best, next) { next } else { best });
        best.unwrap_or(0)
    }
}

/// The class that most members name, where they say nothing of how sure they are. `None` of a member that names none has
/// no vote. A tie goes to the one of these classes whose first vote comes first, in the order of the members.
pub fn plurality(choices: &[Option<usize>]) -> Option<usize> {
    let votes = |class: usize| choices.iter().filter(|choice| **choice == Some(class)).count();
    let named = choices.iter().flatten().copied();
    named.reduce(|best, next| if votes(next) > votes(best) { next } else { best })
}

/// The index of the largest value, the first of equal ones, like `argmax`.
pub(super) fn first_largest<T: PartialOrd>(values: &[T]) -> usize {
    let indices = 0..values.len();
    indices.reduce(|a, b| if values[b] > values[a] { b } else { a }).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_larger_mean_and_then_to_the_first() {
        let two = |a: f32| vec![a, 1.0 - a];
        assert_eq!(Vote::Majority.choose(&[two(0.6), two(0.6), two(0.1)]).0, 0);
        assert_eq!(Vote::Mean.choose(&[two(0.6), two(0.6), two(0.1)]).0, 1);
        assert_eq!(Vote::Majority.choose(&[two(0.6), two(0.3)]).0, 1);
        let (class, mean) = Vote::Majority.choose(&[two(0.75), two(0.25)]);
        assert_eq!((class, mean), (0, vec![0.5, 0.5]));
        let three = [vec![0.4, 0.3, 0.3], vec![0.1, 0.2, 0.7], vec![0.2, 0.6, 0.2]];
        assert_eq!(Vote::Majority.choose(&three).0, 2);
    }

    /// Sums by hand: -2.5 and -2.5, -3 and -4; of a class that is impossible for one member, none.
    #[test]
    fn log_likelihoods_are_summed() {
        let two = [vec![-0.5, -1.0], vec![-2.0, -1.5]];
        assert_eq!(
            Vote::Majority.choose_by_log_likelihoods(&two),
            0,
            "a tie in all goes to the first"
        );
        assert_eq!(Vote::Mean.choose_by_log_likelihoods(&two), 0);
        let three = [vec![-1.0, -1.1], vec![-1.0, -1.1], vec![-9.0, -1.0]];
        assert_eq!(Vote::Majority.choose_by_log_likelihoods(&three), 0);
        assert_eq!(Vote::Mean.choose_by_log_likelihoods(&three), 1);
        let impossible = [vec![-0.1, -7.0], vec![f64::NEG_INFINITY, -7.0]];
        assert_eq!(Vote::Mean.choose_by_log_likelihoods(&impossible), 1);
        assert_eq!(Vote::Mean.choose_by_log_likelihoods(&[]), 0);
    }

    #[test]
    fn names_alone_are_counted() {
        for (choices, expected) in [
            (&[Some(2), Some(1), Some(1)][..], Some(1)),
            (&[Some(2), Some(1)], Some(2)),
            (&[None, Some(3), Some(0), Some(0), Some(3)], Some(3)),
            (&[None, None, Some(4)], Some(4)),
            (&[None, None], None),
            (&[], None),
        ] {
            assert_eq!(plurality(choices), expected, "{choices:?}");
        }
    }
}
