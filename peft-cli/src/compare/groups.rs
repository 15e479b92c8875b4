//! Runs that differ by the seed alone as one system.

use std::collections::BTreeSet;

use peft_core::{
    Error, Result,
    metrics::{deviation, mean},
};

use super::{
    columns::Columns,
    find::Found,
    identity::{Named, of_base, of_encoding, of_learnt_rows, of_scored_rows, of_system},
    metric::Metric,
    run::Run,
    same_content::SameContent,
};
use crate::{settings::Settings, training::run_result::Baseline};

/// Runs of the same settings with different seeds.
#[derive(Clone, Debug)]
pub struct System {
    /// The settings, without the seed.
    pub settings: Named,
    /// Its runs, by their seeds.
    pub runs: Vec<Run>,
    /// The score of each run.
    pub values: Vec<f64>,
}

impl System {
    /// The mean score.
    pub fn mean(&self) -> f64 {
        mean(&self.values).unwrap_or(f64::NAN)
    }

    /// The deviation of its scores, of a sample; `None` for one run.
    pub fn deviation(&self) -> Option<f64> {
        deviation(&self.values)
    }

    /// The mean of what all runs know.
    pub fn mean_of(&self, of: impl Fn(&Run) -> Option<f64>) -> Option<f64> {
        let all: Option<Vec<f64>> = self.runs.iter().map(of).collect();
        mean(&all?)
    }

    /// The largest of what all runs know.
    pub fn largest(&self, of: impl Fn(&Run) -> Option<u64>) -> Option<u64> {
        let all: Option<Vec<u64>> = self.runs.iter().map(of).collect();
        all?.into_iter().max()
    }
}

/// Systems side by side, the best first.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The score that they are compared by.
    pub metric: Metric,
    /// The systems.
    pub systems: Vec<System>,
    /// The settings that tell them apart, and what they have in common.
    pub columns: Columns,
    /// Runs without an adapter.
    pub others: Vec<Run>,
    /// What should be known of the runs, a sentence each.
    pub notes: Vec<String>,
}

/// Compares runs by a score, by default the one that chose their best steps.
///
/// # Errors
///
/// [`Error::Mismatch`] if no run can be compared; as [`Metric::of`].
pub fn compare(found: Found, metric: Option<&str>) -> Result<Comparison> {
    let Found { finished, others } = found;
    let mut notes: Vec<String> = others.iter().map(Found::why_not).collect();
    if finished.is_empty() {
        let message = format!("no run is finished:\n  {}", notes.join("\n  "));
        return Err(Error::Mismatch(message));
    }
    notes.extend(finished.iter().flat_map(|run| run.notes.clone()));
    let metric = Metric::of(metric, &finished)?;
    let mut systems: Vec<System> = Vec::new();
    let mut lacking = Vec::new();
    let mut same_content = SameContent::default();
    for run in finished {
        let Some(value) = run.score(&metric.name) else {
            lacking.push(run.path.display().to_string());
            continue;
        };
        // What followed from the rows, such as those that a seed draws, tells no systems apart.
        let mut settings = of_system(&run.settings_in_full());
        settings.retain(|name, _| !run.derived.contains(name));
        same_content.name(&run, &mut settings);
        if let Some(baseline) = &run.baseline {
            settings.insert("method".into(), baseline.method().into());
            settings.extend(baseline.settings.clone());
        }
        settings.extend(run.evaluation.clone());
        match systems.iter_mut().find(|system| system.settings == settings) {
            None => systems.push(System { settings, values: vec![value], runs: vec![run] }),
            Some(system) => {
                let seed = run.settings.seed();
                match system.runs.iter().find(|known| known.settings.seed() == seed) {
                    Some(known) => notes.push(format!(
                        "{} is left out: it is {} once more, with the same seed",
                        run.path.display(),
                        known.path.display()
                    )),
                    None => {
                        system.values.push(value);
                        system.runs.push(run);
                    }
                }
            }
        }
    }
    if !lacking.is_empty() {
        let all = lacking.join(", ");
        notes.push(format!("left out, since they have no {} that is a number: {all}", metric.name));
    }
    if systems.is_empty() {
        return Err(Error::Mismatch(format!("no run has a {} that is a number", metric.name)));
    }
    systems.iter_mut().for_each(by_seed);
    let columns = Columns::of(&systems.iter().map(|system| &system.settings).collect::<Vec<_>>());
    let order = |system: &System| columns.cells(&system.settings);
    systems.sort_by(|a, b| {
        let (first, second) = if metric.maximise { (b, a) } else { (a, b) };
        first.mean().total_cmp(&second.mean()).then_with(|| order(a).cmp(&order(b)))
    });
    notes.extend(other_rows(&systems));
    notes.extend(other_seeds(&systems));
    notes.extend(changed(&systems, "training rows", of_learnt_rows, |run| {
        run.train_sha256.as_ref()
    }));
    let of_model = |sum: fn(&Run) -> Option<&String>| changed(&systems, "base model", of_base, sum);
    notes.extend(
        of_model(|run| run.base_sha256.as_ref())
            .or_else(|| of_model(|run| run.base_config.as_ref())),
    );
    Ok(Comparison { metric, systems, columns, others, notes })
}

fn by_seed(system: &mut System) {
    let mut pairs: Vec<(Run, f64)> = std::mem::take(&mut system.runs)
        .into_iter()
        .zip(std::mem::take(&mut system.values))
        .collect();
    pairs.sort_by_key(|(run, _)| run.settings.seed());
    (system.runs, system.values) = pairs.into_iter().unzip();
}

/// What is to be said if not all runs were scored on the same rows.
fn other_rows(systems: &[System]) -> Option<String> {
    let mut runs = systems.iter().flat_map(|system| &system.runs);
    let first = runs.next()?;
    let other = runs.find(|run| !same_rows(first, run))?;
    Some(format!(
        "the runs are scored on different rows, and their scores cannot be compared: {} and {} are",
        first.path.display(),
        other.path.display()
    ))
}

/// Whether two runs were scored on the same rows: token ids tell where rows are encoded alike, else the files do.
fn same_rows(a: &Run, b: &Run) -> bool {
    let same_count = match (a.valid.0, b.valid.0) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    };
    match (&a.valid.1, &b.valid.1) {
        (Some(a), Some(b)) if a == b => true,
        (Some(_), Some(_)) if of_encoding(&a.settings) == of_encoding(&b.settings) => false,
        _ => same_count && of_scored_rows(&a.settings) == of_scored_rows(&b.settings),
    }
}

/// What is to be said if systems have other seeds than the first. A model that nothing was drawn for has none.
fn other_seeds(systems: &[System]) -> Option<String> {
    let seeds = |system: &System| -> BTreeSet<u64> {
        system.runs.iter().map(|run| run.settings.seed()).collect()
    };
    let is_drawn = |run: &Run| {
        run.baseline.as_ref().is_none_or(|baseline| baseline.kind != Baseline::ZERO_SHOT)
    };
    let drawn = systems.iter().filter(|system| system.runs.iter().any(is_drawn));
    let all: BTreeSet<BTreeSet<u64>> = drawn.map(seeds).collect();
    (all.len() > 1).then(|| "not all systems were trained with the same seeds".to_string())
}

/// What is to be said if files were changed between runs whose settings name the same ones.
fn changed(
    systems: &[System],
    what: &str,
    named: impl Fn(&Settings) -> Named,
    sum: impl Fn(&Run) -> Option<&String>,
) -> Option<String> {
    let mut known: Vec<(Named, &Run)> = Vec::new();
    for run in systems.iter().flat_map(|system| &system.runs).filter(|run| sum(run).is_some()) {
        let settings = named(&run.settings);
        match known.iter().find(|(earlier, _)| *earlier == settings) {
            None => known.push((settings, run)),
            Some((_, earlier)) if sum(earlier) != sum(run) => {
                return Some(format!(
                    "the files of the {what} were changed between {} and {}: their scores should not be taken together",
                    earlier.path.display(),
                    run.path.display()
                ));
            }
            Some(_) => {}
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;
    use crate::training::{file_names::RUN_FILE, run_result::RunResult};

    /// A run with a score, of whose settings `eval_every` was given or not.
    fn run(seed: u64, eval_every: usize, derived: &[&str]) -> Run {
        let dir = tempfile::tempdir().unwrap();
        let text = format!("lr = 0.5\nseed = {seed}\neval_every = {eval_every}\n");
        fs::write(dir.path().join(RUN_FILE), text).unwrap();
        let derived = derived.iter().map(|name| name.to_string()).collect();
        let best_metric = Some("accuracy".to_string());
        RunResult { derived, best_metric, ..RunResult::default() }.write(dir.path()).unwrap();
        let mut run = Run::read(dir.path()).unwrap();
        run.scores.insert("accuracy".into(), 0.5.into());
        run
    }

    #[test]
    fn what_followed_from_the_rows_tells_no_systems_apart() {
        let systems = |derived: &[&str]| {
            let finished = vec![run(1, 5, derived), run(2, 6, derived)];
            let found = Found { finished, others: Vec::new() };
            compare(found, None).unwrap().systems.len()
        };
        assert_eq!((systems(&["eval_every"]), systems(&[])), (1, 2));
    }

    #[test]
    fn what_lies_elsewhere_tells_no_systems_apart_where_its_sum_is_the_same() {
        let systems = |base: [&str; 2], train: [&str; 2], valid: [&str; 2]| {
            let of = |place: usize| {
                let mut one = run(place as u64, 5, &[]);
                let at = |name: &str| std::path::PathBuf::from(format!("{place}/{name}"));
                one.settings.model = Some(at("model"));
                one.settings.train = Some(vec![at("train.jsonl")]);
                one.settings.valid = Some(vec![at("valid.jsonl")]);
                Run {
                    base_sha256: Some(base[place].to_string()),
                    train_sha256: Some(train[place].to_string()),
                    valid: (Some(3), Some(valid[place].to_string())),
                    ..one
                }
            };
            let found = Found { finished: vec![of(0), of(1)], others: Vec::new() };
            compare(found, None).unwrap().systems.len()
        };
        let same = ["a", "a"];
        assert_eq!(systems(same, same, same), 1);
        let other = ["a", "b"];
        for found in
            [systems(other, same, same), systems(same, other, same), systems(same, same, other)]
        {
            assert_eq!(found, 2);
        }
    }

    #[test]
    fn changed_files_are_told() {
        let notes = |train: [&str; 2], base: [&str; 2], config: [Option<&str>; 2]| {
            let of = |place: usize| Run {
                train_sha256: Some(train[place].to_string()),
                base_sha256: Some(base[place].to_string()),
                base_config: config[place].map(str::to_string),
                ..run(place as u64, 5, &[])
            };
            let found = Found { finished: vec![of(0), of(1)], others: Vec::new() };
            compare(found, None).unwrap().notes.join("\n")
        };
        let unknown = [None, None];
        assert_eq!(notes(["a", "a"], ["b", "b"], unknown), "");
        assert_eq!(notes(["a", "a"], ["b", "b"], [Some("{}"), None]), "");
        let of_rows = notes(["a", "c"], ["b", "b"], unknown);
        assert!(of_rows.contains("files of the training rows were changed"), "{of_rows}");
        for (base, config) in [(["b", "c"], unknown), (["b", "b"], [Some("{}"), Some("{1}")])] {
            let of_base = notes(["a", "a"], base, config);
            assert_eq!(
                of_base.matches("files of the base model were changed").count(),
                1,
                "{of_base}"
            );
        }
    }
}
