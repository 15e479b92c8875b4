//! Which runs are given up early: successive halving (Jamieson & Talwalkar 2016).
//!
//! ```toml
//! [halving]
//! at = [0.25, 0.5]      # after these parts of its steps a run is compared with the others,
//! keep = 0.5            # and this part of them goes on
//! ```

use toml::Value;

/// When runs are given up, and how many.
#[derive(Clone, Debug, PartialEq)]
pub struct Halving {
    /// Parts of a run's steps, from the smallest up.
    pub(super) at: Vec<f64>,
    /// The part of the runs that goes on.
    pub(super) keep: f64,
}

/// The part that goes on where none is given.
const KEEP: f64 = 0.5;

impl Halving {
    /// Reads the table.
    ///
    /// # Errors
    ///
    /// What is wrong, with its key.
    pub(super) fn parse(value: Value) -> Result<Self, String> {
        let Value::Table(mut table) = value else {
            return Err("`halving`: expected a table, headed [halving]".into());
        };
        let number =
            |value: &Value| value.as_float().or(value.as_integer().map(|value| value as f64));
        let is_part = |value: &f64| *value > 0.0 && *value < 1.0;
        let at = table
            .remove("at")
            .ok_or("`at` is missing in [halving]: parts of a run's steps, such as [0.25, 0.5]")?;
        let parts: Option<Vec<f64>> =
            at.as_array().and_then(|parts| parts.iter().map(number).collect());
        let is_rising = |parts: &Vec<f64>| parts.is_sorted_by(|a, b| a < b);
        let parts = parts
            .filter(|parts| !parts.is_empty() && parts.iter().all(is_part) && is_rising(parts));
        let parts = parts
            .ok_or(format!("`at = {at}` in [halving]: expected rising numbers between 0 and 1"))?;
        let keep = match table.remove("keep") {
            None => KEEP,
            Some(keep) => number(&keep).filter(is_part).ok_or(format!(
                "`keep = {keep}` in [halving]: expected a number between 0 and 1"
            ))?,
        };
        match table.keys().next() {
            Some(other) => Err(format!("`{other}` in [halving]: expected `at` and `keep`")),
            None => Ok(Self { at: parts, keep }),
        }
    }

    /// Which runs go on: the best, at least one; of equal ones the first. Those without a score are the last.
    pub(super) fn goes_on(&self, scores: &[Option<f64>], maximise: bool) -> Vec<bool> {
        let count = ((self.keep * scores.len() as f64).ceil() as usize).max(1);
        let sign = if maximise { -1.0 } else { 1.0 };
        let key = |place: usize| scores[place].map_or(f64::INFINITY, |score| sign * score);
        let mut order: Vec<usize> = (0..scores.len()).collect();
        // The sort keeps equal ones in their order.
        order.sort_by(|a, b| key(*a).total_cmp(&key(*b)));
        let mut found = vec![false; scores.len()];
        order.into_iter().take(count).for_each(|place| found[place] = true);
        found
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn halving(text: &str) -> Result<Halving, String> {
        Halving::parse(Value::Table(toml::from_str(text).unwrap()))
    }

    #[test]
    fn the_better_part_goes_on() {
        let found = halving("at = [0.25, 0.5]").unwrap();
        assert_eq!((found.at.len(), found.keep), (2, 0.5));
        let scores = [Some(0.5), None, Some(0.9), Some(0.5), Some(0.1)];
        assert_eq!(found.goes_on(&scores, true), [true, false, true, true, false]);
        assert_eq!(found.goes_on(&scores, false), [true, false, false, true, true]);
        assert_eq!(found.goes_on(&[None], true), [true]);
        let third = halving("at = [0.5]\nkeep = 0.3").unwrap();
        assert_eq!(third.goes_on(&scores[2..], true), [true, false, false]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, says) in [
            ("keep = 0.5", "`at` is missing"),
            ("at = 0.5", "expected rising numbers between 0 and 1"),
            ("at = []", "rising numbers"),
            ("at = [0.5, 0.5]", "rising numbers"),
            ("at = [0.5, 1]", "rising numbers"),
            ("at = [0.5]\nkeep = 1", "`keep = 1` in [halving]"),
            ("at = [0.5]\nevery = 1", "`every` in [halving]: expected `at` and `keep`"),
        ] {
            let found = halving(text).unwrap_err();
            assert!(found.contains(says), "{text}: {found}");
        }
    }
}
