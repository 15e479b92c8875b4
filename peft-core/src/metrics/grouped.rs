//! Scores of rows that belong together, such as the answers to one question (MultiRC, Khashabi et al. 2018, NAACL).

use std::collections::BTreeMap;

use super::{score::harmonic_mean, set::Metrics};
use crate::error::{Error, Result};

/// The fraction of groups of which every row is right: MultiRC's exact match.
///
/// # Errors
/// [`Error::Mismatch`] if there are no rows, or the numbers of rows and groups differ.
pub fn exact_match_by_group<G: Ord>(right: &[bool], groups: &[G]) -> Result<f64> {
    check(right.len(), groups.len())?;
    let mut all: BTreeMap<&G, bool> = BTreeMap::new();
    for (group, right) in groups.iter().zip(right) {
        *all.entry(group).or_insert(true) &= right;
    }
    Ok(all.values().filter(|right| **right).count() as f64 / all.len() as f64)
}

/// MultiRC's macro-averaged F1, F1m: of two classes, the harmonic mean of the mean precision and the mean recall of the
/// positive one over the groups. As in MultiRC's script, the precision of a group is 1 where nothing is predicted, its
/// recall where nothing is wanted.
///
/// Returns `precision`, `recall` and `f1`.
///
/// # Errors
/// As for [`exact_match_by_group`].
pub fn f1_by_group<G: Ord>(
    predictions: &[bool],
    references: &[bool],
    groups: &[G],
) -> Result<Metrics> {
    check(predictions.len(), groups.len())?;
    check(references.len(), groups.len())?;
    // Right positives, predicted and wanted ones.
    let mut counts: BTreeMap<&G, [usize; 3]> = BTreeMap::new();
    for ((group, found), wanted) in groups.iter().zip(predictions).zip(references) {
        let counts = counts.entry(group).or_default();
        let here = [*found && *wanted, *found, *wanted];
        counts.iter_mut().zip(here).for_each(|(count, is)| *count += usize::from(is));
    }
    let mean = |whole: usize| {
        let ratio = |of: &[usize; 3]| match of[whole] {
            0 => 1.0,
            all => of[0] as f64 / all as f64,
        };
        counts.values().map(ratio).sum::<f64>() / counts.len() as f64
    };
    let (precision, recall) = (mean(1), mean(2));
    let f1 = harmonic_mean(precision, recall);
    Ok(Metrics::from_iter([("precision", precision), ("recall", recall), ("f1", f1)]))
}

fn check(rows: usize, groups: usize) -> Result<()> {
    if rows != groups {
        let message = format!("found {rows} rows and the groups of {groups}");
        return Err(Error::Mismatch(message));
    }
    match rows {
        0 => Err(Error::Mismatch("there are no predictions to score".to_owned())),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_right_as_a_whole() {
        let groups = ["q1", "q2", "q1", "q2", "q3"];
        let right = [true, true, false, true, true];
        assert_eq!(exact_match_by_group(&right, &groups).unwrap(), 2.0 / 3.0);
        assert!(exact_match_by_group(&right, &groups[..4]).is_err());
        assert!(exact_match_by_group::<u8>(&[], &[]).is_err());
    }

    #[test]
    fn precision_and_recall_are_averaged_before_f1() {
        // q1: one of two predicted is right, all wanted are found. q2: nothing is predicted. q3: nothing is wanted.
        let groups = [1, 1, 2, 2, 3];
        let found = [true, true, false, false, true];
        let wanted = [true, false, true, false, false];
        let scores = f1_by_group(&found, &wanted, &groups).unwrap();
        let (precision, recall) = ((0.5 + 1.0 + 0.0) / 3.0, (1.0 + 0.0 + 1.0) / 3.0);
        assert_eq!(scores.get("precision"), Some(precision));
        assert_eq!(scores.get("recall"), Some(recall));
        assert_eq!(scores.get("f1"), Some(2.0 * precision * recall / (precision + recall)));
        let one = f1_by_group(&[true], &[false], &[1]).unwrap();
        assert_eq!(
            (one.get("precision"), one.get("recall"), one.get("f1")),
            (Some(0.0), Some(1.0), Some(0.0))
        );
    }
}
