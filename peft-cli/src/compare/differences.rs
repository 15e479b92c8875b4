//! Whether systems differ from the best by more than chance: over the rows that they answered, and over their seeds.

use std::path::PathBuf;

use peft_core::{
    Error, Result,
    contract::rng,
    metrics::{
        Interval, RowScore, Welch, approximate_randomisation, holm, paired_bootstrap, ratio, welch,
    },
};

use super::{
    alike::{Alike, too_few},
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
    /// Over rows, by the place of the system; none for the first that is compared, and for those that are not.
    pub rows: Vec<Option<OverRows>>,
    /// The place of the system that the others are compared with over rows: the first, unless that is not compared.
    pub reference: usize,
    /// Over seeds.
    pub seeds: Vec<Option<OverSeeds>>,
    /// The score over rows of each system that is compared.
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
    /// several. A system whose predictions cannot be read, or are of other rows or scored otherwise than those of most,
    /// is left out, and noted.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if there is nothing to test; as `RowScores::read` and `RowScores::check_same_rows` if fewer than
    /// two systems can be compared over rows, and neither can any over seeds or `fields` say how rows are scored.
    pub fn of(comparison: &Comparison, fields: &Fields, resamples: usize) -> Result<Self> {
        let systems = &comparison.systems;
        if systems.len() < 2 {
            let message = "needs two systems to compare, found one";
            return Err(Error::setting("--significance", message));
        }
        let mut alike = Alike::default();
        let mut scored = vec![None; systems.len()];
        let mut left_out = Vec::new();
        for (place, system) in systems.iter().enumerate() {
            match row_scores_of(system, fields) {
                Ok((first, rows)) => {
                    alike.add(place, &first);
                    scored[place] = Some(rows);
                }
                Err(why) => left_out.push((place, why)),
            }
        }
        let compared = alike.most();
        for (place, differing) in compared.others {
            scored[place] = None;
            left_out.push((place, LeftOut::Otherwise(differing)));
        }
        left_out.sort_by_key(|(place, _)| *place);
        let seeds = over_seeds(systems);
        let is_tested = compared.places.len() > 1;
        let notes = notes_of(systems, &left_out);
        // Whoever says how rows are scored wants them compared; otherwise seeds may say enough.
        if !is_tested && (fields.are_given() || seeds.iter().all(Option::is_none)) {
            refuse(systems, left_out, &seeds)?;
        }
        let mut found = match is_tested {
            true => Self::over_rows(&scored, resamples)?,
            false => Self { rows: vec![None; systems.len()], ..Self::default() },
        };
        found.what = is_tested.then_some(compared.what);
        found.scores = scored.iter().map(|rows| rows.as_deref().map(ratio)).collect();
        found.seeds = seeds;
        found.notes = notes;
        found.is_mean = systems.iter().any(|system| system.runs.len() > 1);
        found.resamples = resamples;
        Ok(found)
    }

    /// Those over the rows of systems, to the first that has rows.
    ///
    /// # Errors
    ///
    /// As [`paired_bootstrap`].
    pub fn over_rows(scored: &[Option<Vec<RowScore>>], resamples: usize) -> Result<Self> {
        let reference = scored.iter().position(Option::is_some).unwrap_or_default();
        let first = scored.get(reference).cloned().flatten().unwrap_or_default();
        let mut rows = vec![None; scored.len()];
        for (place, own) in scored.iter().enumerate().skip(reference + 1) {
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
        Ok(Self { rows, scores, reference, num_rows, resamples, ..Self::default() })
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
                "rows: {what} minus that of {}, over {} rows{}; 95 % interval by the paired bootstrap, p by approximate \
                 randomisation, {} draws each{}: whether other rows would say the same of these adapters",
                match self.reference {
                    0 => "the first line".to_string(),
                    place => format!("line {}, the first that is compared over rows", place + 1),
                },
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

/// Why a system is not compared over rows.
enum LeftOut {
    /// The folder of a run holds no predictions.
    Unpredicted(PathBuf),
    /// They cannot be read, or are written otherwise than those of the others.
    Otherwise(Error),
}

/// The scores of rows, averaged over the seeds of a system, with those of its first run.
fn row_scores_of(system: &System, fields: &Fields) -> Result<(RowScores, Vec<RowScore>), LeftOut> {
    let mut known: Option<RowScores> = None;
    let mut sums: Vec<RowScore> = Vec::new();
    for run in &system.runs {
        let Some(path) = RowScores::in_folder(&run.path) else {
            return Err(LeftOut::Unpredicted(run.path.clone()));
        };
        let found = RowScores::read(&path, fields).map_err(LeftOut::Otherwise)?;
        if let Some(known) = &known {
            known.check_same_rows(&found).map_err(LeftOut::Otherwise)?;
        }
        sums.resize(found.rows.len(), RowScore::default());
        for (sum, row) in sums.iter_mut().zip(&found.rows) {
            sum.numerator += row.numerator;
            sum.denominator += row.denominator;
        }
        known.get_or_insert(found);
    }
    let count = system.runs.len() as f64;
    let mean = |sum: RowScore| RowScore {
        numerator: sum.numerator / count,
        denominator: sum.denominator / count,
    };
    let known = known.ok_or_else(|| LeftOut::Unpredicted(PathBuf::new()))?;
    Ok((known, sums.into_iter().map(mean).collect()))
}

/// What is said of systems that are not compared over rows, by their places.
fn notes_of(systems: &[System], left_out: &[(usize, LeftOut)]) -> Vec<String> {
    let is_unpredicted = |(_, why): &(usize, LeftOut)| matches!(why, LeftOut::Unpredicted(_));
    if left_out.len() == systems.len() && left_out.iter().all(is_unpredicted) {
        return vec!["no folder holds predictions.jsonl: only seeds are compared".to_string()];
    }
    let note = |(place, why): &(usize, LeftOut)| match why {
        LeftOut::Unpredicted(run) => format!(
            "{} holds no predictions.jsonl: its system is not compared over rows",
            run.display()
        ),
        LeftOut::Otherwise(why) => format!(
            "the system of {} is not compared over rows: {why}",
            systems[*place].runs[0].path.display()
        ),
    };
    left_out.iter().map(note).collect()
}

/// Refuses systems of which no two can be compared over rows. That there are no predictions at all is no reason where
/// seeds are compared.
///
/// # Errors
///
/// [`Error::Mismatch`] or the reason why the predictions of a system cannot be compared, else [`Error::Setting`].
fn refuse(
    systems: &[System],
    left_out: Vec<(usize, LeftOut)>,
    seeds: &[Option<OverSeeds>],
) -> Result<()> {
    let (mut reasons, mut lacking) = (Vec::new(), None);
    for (_, why) in left_out {
        match why {
            LeftOut::Otherwise(why) => reasons.push(why),
            LeftOut::Unpredicted(run) => _ = lacking.get_or_insert(run),
        }
    }
    if !reasons.is_empty() {
        return Err(too_few(reasons));
    }
    if seeds.iter().any(Option::is_some) {
        return Ok(());
    }
    let run = lacking.unwrap_or_else(|| systems[0].runs[0].path.clone());
    let message = format!(
        "needs predictions for the same rows in the folders of the runs, or two seeds of each system: peft predict --model MODEL \
         --adapter {} --input ROWS --output {}",
        run.display(),
        run.join("predictions.jsonl").display()
    );
    Err(Error::setting("--significance", message))
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
        // Without rows of the first, the next one is what the others are compared with, and that is said.
        let later = Differences::over_rows(&[None, Some(rows(90)), Some(rows(40))], 2000).unwrap();
        assert!(later.rows[0].is_none() && later.rows[1].is_none());
        assert!((later.rows[2].unwrap().difference + 0.5).abs() < 1e-12);
        let caption = |found: &Differences| {
            let found = Differences { what: Some("accuracy".into()), ..found.clone() };
            found.captions().concat()
        };
        assert!(caption(&found).contains("accuracy minus that of the first line, over 100 rows"));
        assert!(
            caption(&later).contains("accuracy minus that of line 2, the first that is compared")
        );
    }
}
