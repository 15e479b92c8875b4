//! How far numbers are from those that are expected.

/// Numbers that belong together, such as the logits of one method.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// What they are of.
    pub at: &'static str,
    /// The numbers.
    pub values: Vec<f64>,
}

/// The largest difference, and where it is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Worst {
    /// The difference.
    pub difference: f64,
    /// What it is of; nothing if there is none.
    pub at: &'static str,
}

impl Worst {
    /// Takes a difference if it is larger than those before it. What is no number is infinitely far.
    pub fn take(&mut self, difference: f64, at: &'static str) {
        let difference = if difference.is_nan() { f64::INFINITY } else { difference };
        if difference > self.difference {
            *self = Self { difference, at };
        }
    }
}

/// The largest difference of a number from the one that is expected, as a part of the largest number of its own part.
/// Infinite if there are more or fewer numbers than expected, or one of them is none.
pub fn worst(found: &[Part], expected: &[Part]) -> Worst {
    let mut worst = Worst::default();
    if found.len() != expected.len() {
        worst.take(f64::INFINITY, "the number of parts");
    }
    for (found, expected) in found.iter().zip(expected) {
        if found.values.len() != expected.values.len() || found.at != expected.at {
            worst.take(f64::INFINITY, expected.at);
            continue;
        }
        let scale =
            expected.values.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
        for (found, wanted) in found.values.iter().zip(&expected.values) {
            let off = (found - wanted).abs();
            // All expected numbers may be 0.
            worst.take(if off == 0.0 { 0.0 } else { off / scale }, expected.at);
        }
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(at: &'static str, values: &[f64]) -> Part {
        Part { at, values: values.to_vec() }
    }

    #[test]
    fn differences_are_relative_to_the_largest_number_of_a_part() {
        let expected = [part("a", &[0.0, -4.0]), part("b", &[0.1, 0.0])];
        assert_eq!(worst(&expected, &expected), Worst::default());
        let found = [part("a", &[0.0, -4.2]), part("b", &[0.1, 0.01])];
        let Worst { difference, at } = worst(&found, &expected);
        assert!((difference - 0.1).abs() < 1e-12 && at == "b", "{difference} {at}");
    }

    #[test]
    fn what_is_no_number_or_missing_is_infinitely_far() {
        let expected = [part("a", &[1.0, 2.0])];
        for found in [
            vec![part("a", &[1.0, f64::NAN])],
            vec![part("a", &[1.0, f64::INFINITY])],
            vec![part("a", &[1.0])],
            vec![part("b", &[1.0, 2.0])],
            Vec::new(),
        ] {
            assert_eq!(worst(&found, &expected).difference, f64::INFINITY, "{found:?}");
        }
        assert_eq!(worst(&[part("z", &[1e-9])], &[part("z", &[0.0])]).difference, f64::INFINITY);
    }
}
