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
        let mut votes = vec![0usize; classes];
        if self == Self::Majority {
            let choices = of_members.iter().map(|member| first_largest(member));
            choices.filter(|class| *class < classes).for_each(|class| votes[class] += 1);
        }
        let better = |a: usize, b: usize| (votes[b], mean[b]) > (votes[a], mean[a]);
        let best = (0..classes).reduce(|best, next| if better(best, next) { next } else { best });
        (best.unwrap_or(0), mean)
    }
}

/// The index of the largest value, the first of equal ones, like `argmax`.
pub(super) fn first_largest(values: &[f32]) -> usize {
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
}
