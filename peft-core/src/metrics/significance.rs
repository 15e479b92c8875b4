//! Whether two systems differ by more than chance: over the rows that both answered, or over the seeds of their runs.
//!
//! The two questions are not the same. Rows ask whether other rows of the same kind would favour the same system, for
//! the adapters that were trained; seeds ask whether other seeds of the same recipe would, for the rows at hand.

use rand::Rng;

use super::student::{quantile, two_sided};
use crate::error::{Error, Result};

/// The share of cases that an interval is to cover.
pub const COVERAGE: f64 = 0.95;

/// What a row adds to a score that is a ratio of sums over rows: 1 of 1 for a right answer, the right tags of all tags,
/// twice the right entities of those found and those wanted (micro F1).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RowScore {
    /// What it adds above the line.
    pub numerator: f64,
    /// What it adds below the line.
    pub denominator: f64,
}

impl RowScore {
    /// A row that counts once, with this score.
    pub fn of(score: f64) -> Self {
        Self { numerator: score, denominator: 1.0 }
    }
}

/// The limits of an interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The lower one.
    pub low: f64,
    /// The upper one.
    pub high: f64,
}

/// The score of all rows, Σ numerators / Σ denominators; 0 where nothing counts.
pub fn ratio(rows: &[RowScore]) -> f64 {
    let sum = |of: fn(&RowScore) -> f64| rows.iter().map(of).sum::<f64>();
    divided(sum(|row| row.numerator), sum(|row| row.denominator))
}

/// The interval of the difference a - b by the paired bootstrap (Efron & Tibshirani 1993; Koehn 2004): rows are drawn
/// with replacement, the same for both systems, and the differences of so many `resamples` are cut at both ends
/// (percentiles, [`COVERAGE`] between them).
///
/// # Errors
///
/// [`Error::Mismatch`] if the systems did not answer the same number of rows, at least two, or nothing is drawn.
pub fn paired_bootstrap(
    a: &[RowScore],
    b: &[RowScore],
    resamples: usize,
    rng: &mut impl Rng,
) -> Result<Interval> {
    check_pairs(a, b, resamples)?;
    let mut differences: Vec<f64> = (0..resamples)
        .map(|_| {
            let mut sums = [0.0; 4];
            for _ in 0..a.len() {
                let row = rng.random_range(0..a.len());
                add(&mut sums, &a[row], &b[row]);
            }
            difference(&sums)
        })
        .collect();
    differences.sort_by(f64::total_cmp);
    let at = |share: f64| differences[((share * (resamples - 1) as f64).round()) as usize];
    let rest = (1.0 - COVERAGE) / 2.0;
    Ok(Interval { low: at(rest), high: at(1.0 - rest) })
}

/// The probability of a difference at least this large, in either direction, between systems of which each row's answers
/// could as well be those of the other, by approximate randomisation (Noreen 1989): the answers of each row change sides
/// with probability 1/2. Of r of R `rounds` that reach the difference, it is (r + 1) / (R + 1).
///
/// # Errors
///
/// As for [`paired_bootstrap`].
pub fn approximate_randomisation(
    a: &[RowScore],
    b: &[RowScore],
    rounds: usize,
    rng: &mut impl Rng,
) -> Result<f64> {
    check_pairs(a, b, rounds)?;
    let mut sums = [0.0; 4];
    a.iter().zip(b).for_each(|(a, b)| add(&mut sums, a, b));
    // Sums in another order may differ in their last digits.
    let found = difference(&sums).abs() - 1e-12;
    // Rows that both answered alike change nothing.
    let differing: Vec<(&RowScore, &RowScore)> = a.iter().zip(b).filter(|(a, b)| a != b).collect();
    let mut alike = [0.0; 4];
    a.iter().zip(b).filter(|(a, b)| a == b).for_each(|(a, b)| add(&mut alike, a, b));
    let mut reached = 0;
    for _ in 0..rounds {
        let mut sums = alike;
        for (a, b) in &differing {
            match rng.random_bool(0.5) {
                true => add(&mut sums, b, a),
                false => add(&mut sums, a, b),
            }
        }
        reached += usize::from(difference(&sums).abs() >= found);
    }
    Ok((reached + 1) as f64 / (rounds + 1) as f64)
}

/// What Welch's t test says of two samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Welch {
    /// The difference of their means, the first minus the second.
    pub difference: f64,
    /// The interval of that difference.
    pub interval: Interval,
    /// Degrees of freedom (Welch & Satterthwaite).
    pub degrees: f64,
    /// The probability of a difference at least this large, in either direction, if the means were equal.
    pub p: f64,
}

/// Welch's t test of the means of two samples whose deviations may differ; `None` where a sample has fewer than two
/// values, or neither varies.
pub fn welch(a: &[f64], b: &[f64]) -> Option<Welch> {
    if a.len() < 2 || b.len() < 2 {
        return None;
    }
    let square = |of: &[f64]| deviation(of).map(|deviation| deviation.powi(2) / of.len() as f64);
    let (of_a, of_b) = (square(a)?, square(b)?);
    let error = (of_a + of_b).sqrt();
    if error == 0.0 || !error.is_finite() {
        return None;
    }
    let share = |square: f64, of: &[f64]| square.powi(2) / (of.len() - 1) as f64;
    let degrees = (of_a + of_b).powi(2) / (share(of_a, a) + share(of_b, b));
    let difference = mean(a)? - mean(b)?;
    let half = quantile(0.5 + COVERAGE / 2.0, degrees) * error;
    let interval = Interval { low: difference - half, high: difference + half };
    Some(Welch { difference, interval, degrees, p: two_sided(difference / error, degrees) })
}

/// The mean; `None` of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The standard deviation of a sample, divided by n - 1; `None` for fewer than two values.
pub fn deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() > 1)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// The probabilities of a family of tests as Holm (1979) corrects them: below α they hold together with probability
/// 1 - α.
pub fn holm(probabilities: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b]));
    let mut corrected = vec![0.0; probabilities.len()];
    let mut largest = 0.0f64;
    for (place, index) in order.into_iter().enumerate() {
        let times = (probabilities.len() - place) as f64;
        largest = largest.max((times * probabilities[index]).min(1.0));
        corrected[index] = largest;
    }
    corrected
}

fn check_pairs(a: &[RowScore], b: &[RowScore], draws: usize) -> Result<()> {
    let message = match (a.len(), b.len()) {
        (a, b) if a != b => {
            format!("found the scores of {a} rows and of {b}, expected the same rows")
        }
        (0 | 1, _) => "found fewer than two rows, expected more to draw from".to_owned(),
        _ if draws == 0 => "found 0 resamples, expected at least 1".to_owned(),
        _ => return Ok(()),
    };
    Err(Error::Mismatch(message))
}

/// Adds a row to the two numerators and the two denominators.
fn add(sums: &mut [f64; 4], a: &RowScore, b: &RowScore) {
    for (sum, value) in
        sums.iter_mut().zip([a.numerator, a.denominator, b.numerator, b.denominator])
    {
        *sum += value;
    }
}

fn difference([a, of_a, b, of_b]: &[f64; 4]) -> f64 {
    divided(*a, *of_a) - divided(*b, *of_b)
}

fn divided(numerator: f64, denominator: f64) -> f64 {
    if denominator == 0.0 { 0.0 } else { numerator / denominator }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn rng() -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(3)
    }

    /// So many rows, of which the first are right.
    fn rows(right: usize, of: usize) -> Vec<RowScore> {
        (0..of).map(|row| RowScore::of(f64::from(u8::from(row < right)))).collect()
    }

    #[test]
    fn scores_are_ratios_of_sums() {
        let tags = [(3.0, 4.0), (0.0, 0.0), (1.0, 6.0)];
        let tags = tags.map(|(numerator, denominator)| RowScore { numerator, denominator });
        assert_eq!(ratio(&tags), 0.4);
        assert_eq!((ratio(&rows(3, 4)), ratio(&[])), (0.75, 0.0));
    }

    /// Where b only ever loses rows, the difference is one binomial share: its normal interval.
    #[test]
    fn the_bootstrap_finds_the_interval_of_a_share() {
        let (a, b) = (rows(800, 1000), rows(700, 1000));
        let Interval { low, high } = paired_bootstrap(&a, &b, 4000, &mut rng()).unwrap();
        let half = 1.96 * (0.1f64 * 0.9 / 1000.0).sqrt();
        assert!((low - (0.1 - half)).abs() < 0.003, "{low}");
        assert!((high - (0.1 + half)).abs() < 0.003, "{high}");
        let same = paired_bootstrap(&a, &a, 100, &mut rng()).unwrap();
        assert_eq!(same, Interval { low: 0.0, high: 0.0 });
    }

    /// Of 10 rows on which they differ, all are won by one: two of 2^10 assignments are as extreme.
    #[test]
    fn randomisation_finds_the_exact_probability() {
        let (a, b) = (rows(10, 30), rows(0, 30));
        let p = approximate_randomisation(&a, &b, 200_000, &mut rng()).unwrap();
        assert!((p - 2.0 / 1024.0).abs() < 4e-4, "{p}");
        assert_eq!(approximate_randomisation(&a, &a, 50, &mut rng()).unwrap(), 1.0);
    }

    /// Equal systems are told apart in one of twenty cases, not more.
    #[test]
    fn randomisation_keeps_its_level() {
        let mut draws = rng();
        let mut told = 0;
        for _ in 0..400 {
            let mut system = || {
                (0..60)
                    .map(|_| RowScore::of(f64::from(u8::from(draws.random_bool(0.7)))))
                    .collect::<Vec<_>>()
            };
            let (a, b) = (system(), system());
            let p = approximate_randomisation(&a, &b, 400, &mut draws).unwrap();
            told += usize::from(p < 0.05);
        }
        assert!((4..=32).contains(&told), "{told} of 400");
    }

    #[test]
    fn what_is_no_pair_is_refused() {
        for (a, b, draws, says) in [
            (rows(1, 3), rows(1, 4), 9, "of 3 rows and of 4"),
            (rows(1, 1), rows(1, 1), 9, "fewer than two rows"),
            (rows(1, 3), rows(1, 3), 0, "0 resamples"),
        ] {
            let bootstrap = paired_bootstrap(&a, &b, draws, &mut rng()).unwrap_err().to_string();
            let shuffled = approximate_randomisation(&a, &b, draws, &mut rng()).unwrap_err();
            assert!(bootstrap.contains(says), "{bootstrap}");
            assert_eq!(bootstrap, shuffled.to_string());
        }
    }

    #[test]
    fn deviations_are_those_of_samples() {
        assert_eq!(deviation(&[2.0, 4.0]), Some(2f64.sqrt()));
        assert_eq!((deviation(&[2.0]), mean(&[]), mean(&[1.0, 2.0])), (None, None, Some(1.5)));
        assert_eq!(welch(&[1.0], &[1.0, 2.0]), None);
        assert_eq!(welch(&[1.0, 1.0], &[2.0, 2.0]), None);
    }

    #[test]
    fn holm_corrects_from_the_smallest_up() {
        let corrected = holm(&[0.04, 0.01, 0.03, 0.9]);
        let expected = [0.09, 0.04, 0.09, 0.9];
        assert!(
            corrected.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12),
            "{corrected:?}"
        );
        assert_eq!(holm(&[0.6, 0.7]), [1.0, 1.0]);
        assert_eq!(holm(&[]), [0.0; 0]);
    }
}
