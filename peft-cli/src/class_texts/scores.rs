//! Scores of classes that were written, or ranked.

use peft_core::metrics::{Metrics, exact_match_by_group, f1_of_class};

/// A row: the class found, `None` for a text that is no class, and the right one.
pub type Answer = (Option<usize>, usize);

/// `accuracy`; of two classes `f1` of the second one, where an answer that is none counts as the wrong one of the two (as in
/// T5's evaluation of MRPC, QQP and MultiRC); `f1_macro` over the classes that occur; and where rows belong together
/// `exact_match_by_group`, the share of groups whose every row is right.
pub fn scores(answers: &[Answer], classes: usize, groups: Option<&[String]>) -> Metrics {
    let share = |count: usize, of: usize| count as f64 / of.max(1) as f64;
    let is_right = |(found, expected): &Answer| *found == Some(*expected);
    let right = answers.iter().filter(|answer| is_right(answer)).count();
    let mut metrics = Metrics::from_iter([("accuracy", share(right, answers.len()))]);
    if classes == 2 {
        let settled = |(found, expected): &Answer| (found.unwrap_or(1 - *expected), *expected);
        let settled: Vec<(usize, usize)> = answers.iter().map(settled).collect();
        metrics.insert("f1", f1_of_class(&settled, &1).unwrap_or_default());
    }
    let rows: Vec<_> = answers.iter().map(|(found, expected)| (*found, Some(*expected))).collect();
    let of_class = |class| f1_of_class(&rows, &Some(class));
    let of_classes: Vec<f64> = (0..classes).filter_map(of_class).collect();
    metrics.insert("f1_macro", of_classes.iter().sum::<f64>() / of_classes.len().max(1) as f64);
    if let Some(groups) = groups {
        let right: Vec<bool> = answers.iter().map(is_right).collect();
        // Of no rows, nothing.
        let share = exact_match_by_group(&right, groups).unwrap_or_default();
        metrics.insert("exact_match_by_group", share);
    }
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(answers: &[Answer], classes: usize, groups: Option<&[String]>) -> Vec<(String, f64)> {
        let found = scores(answers, classes, groups);
        found.iter().map(|(name, value)| (name.to_string(), value)).collect()
    }

    /// By hand. f1_macro is scikit-learn's over the labels of the classes alone.
    #[test]
    fn answers_that_are_no_class_are_wrong() {
        let answers = [(Some(1), 1), (Some(1), 0), (None, 1), (None, 0), (Some(0), 0)];
        let found = of(&answers, 2, None);
        assert_eq!(found[0], ("accuracy".into(), 0.4));
        // Of the second class: found in rows 1, 2 and 4 (no class, so the wrong one), there in rows 1 and 3.
        assert_eq!(found[1], ("f1".into(), 2.0 / 5.0));
        let first = 2.0 / (1.0 + 3.0);
        let second = 2.0 / (2.0 + 2.0);
        assert_eq!(found[2], ("f1_macro".into(), (first + second) / 2.0));
        assert_eq!(found.len(), 3);
        let third = of(&[(Some(2), 2), (Some(0), 2)], 3, None);
        assert_eq!(third[1], ("f1_macro".into(), (2.0 / 3.0 + 0.0) / 2.0));
    }

    #[test]
    fn a_group_is_right_if_all_of_it_is() {
        let groups = ["a", "a", "b", "b", "c"].map(str::to_string);
        let answers = [(Some(1), 1), (Some(0), 0), (Some(1), 1), (Some(1), 0), (None, 0)];
        assert_eq!(of(&answers, 2, Some(&groups))[3], ("exact_match_by_group".into(), 1.0 / 3.0));
    }
}
