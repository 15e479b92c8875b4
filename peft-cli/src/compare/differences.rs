//! Whether systems differ from the best by more than chance: over the rows that they answered, and over their seeds.

use peft_core::{
    Error, Result,
    contract::rng,
    metrics::{
        Interval, RowScore, Welch, approximate_randomisation, holm, paired_bootstrap, ratio, welch,
    },
};

use super::{
    groups::{Comparison, System},
    row_scores::{Fields, RowScores},
};
use crate::output::grouped;

/// The difference of a system to the first over rows that both answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OverRows {
    /// Its score minus that of the first.
    pub difference: f64,
    /// The interval of that, by the paired bootstrap.
    pub interval: Interval,
    /// By approximate randomisation.
    pub p: f64,
    /// That, corrected for the number of comparisons.
    pub corrected: f64,
}

/// The difference of a system to the first over the seeds of their runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OverSeeds {
    /// Welch's t test, of its scores against those of the first.
    pub test: Welch,
    /// Its probability, corrected for the number of comparisons.
    pub corrected: f64,
}

/// The differences of all systems but the first to that one.
#[derive(Clone, Debug, Default)]
pub struct Differences {
    /// Over rows, by the place of the system; none for the first, and for those without predictions.
    pub rows: Vec<Option<OverRows>>,
    /// Over seeds.
    pub seeds: Vec<Option<OverSeeds>>,
    /// The score of each system over rows.
    pub scores: Vec<Option<f64>>,
    /// What rows are scored by.
    pub what: Option<String>,
    /// The number of rows.
    pub num_rows: usize,
    /// Whether the scores of rows are means over several seeds.
    pub is_mean: bool,
    /// How often rows are drawn.
    pub resamples: usize,
    /// What should be known of them.
    pub notes: Vec<String>,
}

impl Differences {
    /// Those of a comparison: over rows where the folders of its runs hold predictions, over seeds where systems have
    /// several.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if there is nothing to test; as `RowScores::read` and `RowScores::check_same_rows`.
    pub fn of(comparison: &Comparison, fields: &Fields, resamples: usize) -> Result<Self> {
        let systems = &comparison.systems;
        if systems.len() < 2 {
            let message = "needs two systems to compare, found one";
            return Err(Error::setting("--significance", message));
        }
        let mut notes = Vec::new();
        let mut known: Option<RowScores> = None;
        let mut scored = Vec::with_capacity(systems.len());
        for system in systems {
            scored.push(row_scores_of(system, fields, &mut known, &mut notes)?);
        }
        // Without those of the first, there is nothing to compare with.
        let num_rows = scored[0].as_ref().map_or(0, Vec::len);
        let mut found = match scored[0].is_some() && scored.iter().flatten().count() > 1 {
            true => Self::over_rows(&scored, resamples)?,
            false => Self { rows: vec![None; systems.len()], ..Self::default() },
        };
        found.what =
            known.map(|known| known.what).filter(|_| found.rows.iter().any(Option::is_some));
        found.num_rows = num_rows;
        found.scores = scored.iter().map(|rows| rows.as_deref().map(ratio)).collect();
        found.seeds = over_seeds(systems);
        if found.what.is_none() && found.seeds.iter().all(Option::is_none) {
            let message = format!(
                "needs predictions for the same rows in the folders of the runs, or two seeds of each system: peft predict \
                 --model MODEL --adapter {} --input ROWS --output {}",
                systems[0].runs[0].path.display(),
                systems[0].runs[0].path.join("predictions.jsonl").display()
            );
            return Err(Error::setting("--significance", message));
        }
        if notes.len() == systems.len() {
            notes = vec!["no folder holds predictions.jsonl: only seeds are compared".to_string()];
        }
        found.notes = notes;
        found.is_mean = systems.iter().any(|system| system.runs.len() > 1);
        found.resamples = resamples;
        Ok(found)
    }

    /// Those over the rows of systems, of which the first has rows.
    ///
    /// # Errors
    ///
    /// As [`paired_bootstrap`].
    pub fn over_rows(scored: &[Option<Vec<RowScore>>], resamples: usize) -> Result<Self> {
        let first = scored.first().cloned().flatten().unwrap_or_default();
        let mut rows = vec![None; scored.len()];
        for (place, own) in scored.iter().enumerate().skip(1) {
            let Some(own) = own else { continue };
            let draws = |what: &str| rng::stream(0, place as u64, what);
            let interval =
                paired_bootstrap(own, &first, resamples, &mut draws("compare/bootstrap"))?;
            let p = approximate_randomisation(
                own,
                &first,
                resamples,
                &mut draws("compare/randomisation"),
            )?;
            let difference = ratio(own) - ratio(&first);
            rows[place] = Some(OverRows { difference, interval, p, corrected: p });
        }
        let corrected = holm(&rows.iter().flatten().map(|found| found.p).collect::<Vec<_>>());
        rows.iter_mut().flatten().zip(corrected).for_each(|(found, p)| found.corrected = p);
        let scores = scored.iter().map(|rows| rows.as_deref().map(ratio)).collect();
        let num_rows = first.len();
        Ok(Self { rows, scores, num_rows, resamples, ..Self::default() })
    }

    /// What the columns mean, a sentence each.
    pub fn captions(&self) -> Vec<String> {
        let mut captions = Vec::new();
        let corrected = |count: usize| match count {
            1 => String::new(),
            count => format!(", corrected for {count} comparisons (Holm)"),
        };
        let count = self.rows.iter().flatten().count();
        if let Some(what) = self.what.as_ref().filter(|_| count > 0) {
            captions.push(format!(
                "rows: {what} minus that of the first line, over {} rows{}; 95 % interval by the paired bootstrap, p by \
                 approximate randomisation, {} draws each{}: whether other rows would say the same of these adapters",
                grouped(self.num_rows),
                if self.is_mean { ", averaged over the seeds of a system" } else { "" },
                grouped(self.resamples),
                corrected(count)
            ));
        }
        let count = self.seeds.iter().flatten().count();
        if count > 0 {
            captions.push(format!(
                "seeds: mean minus that of the first line; 95 % interval and p by Welch's t test{}: whether other seeds would \
                 say the same on these rows",
                corrected(count)
            ));
        }
        captions
    }
}

/// The scores of rows, averaged over the seeds of a system; `None` if a run has no predictions, which is noted.
fn row_scores_of(
    system: &System,
    fields: &Fields,
    known: &mut Option<RowScores>,
    notes: &mut Vec<String>,
) -> Result<Option<Vec<RowScore>>> {
    let mut sums: Vec<RowScore> = Vec::new();
    for run in &system.runs {
        let Some(path) = RowScores::in_folder(&run.path) else {
            notes.push(format!(
                "{} holds no predictions.jsonl: its system is not compared over rows",
                run.path.display()
            ));
            return Ok(None);
        };
        let found = RowScores::read(&path, fields)?;
        match known {
            Some(known) => known.check_same_rows(&found)?,
            None => *known = Some(found.clone()),
        }
        sums.resize(found.rows.len(), RowScore::default());
        for (sum, row) in sums.iter_mut().zip(&found.rows) {
            sum.numerator += row.numerator;
            sum.denominator += row.denominator;
        }
    }
    let count = system.runs.len() as f64;
    let mean = |sum: RowScore| RowScore {
        numerator: sum.numerator / count,
        denominator: sum.denominator / count,
    };
    Ok(Some(sums.into_iter().map(mean).collect()))
}

fn over_seeds(systems: &[System]) -> Vec<Option<OverSeeds>> {
    let first = &systems[0].values;
    let test = |(place, system): (usize, &System)| {
        let test = welch(&system.values, first).filter(|_| place > 0)?;
        Some(OverSeeds { test, corrected: test.p })
    };
    let mut found: Vec<Option<OverSeeds>> = systems.iter().enumerate().map(test).collect();
    let corrected = holm(&found.iter().flatten().map(|found| found.test.p).collect::<Vec<_>>());
    found.iter_mut().flatten().zip(corrected).for_each(|(found, p)| found.corrected = p);
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn systems_are_compared_with_the_first() {
        let rows = |right: usize| -> Vec<RowScore> {
            (0..100).map(|row| RowScore::of(f64::from(u8::from(row < right)))).collect()
        };
        let scored = [Some(rows(90)), None, Some(rows(88)), Some(rows(40))];
        let found = Differences::over_rows(&scored, 2000).unwrap();
        assert!(found.rows[0].is_none() && found.rows[1].is_none());
        let (near, far) = (found.rows[2].unwrap(), found.rows[3].unwrap());
        assert!((near.difference + 0.02).abs() < 1e-12 && near.p > 0.1, "{near:?}");
        assert!(far.interval.high < -0.35 && far.p < 0.001, "{far:?}");
        // Two comparisons: the smaller probability counts twice.
        assert_eq!((near.corrected, far.corrected), (near.p, 2.0 * far.p));
        let again = Differences::over_rows(&scored, 2000).unwrap();
        assert_eq!(found.rows, again.rows);
        assert_eq!(found.scores, [Some(0.9), None, Some(0.88), Some(0.4)]);
    }
}
