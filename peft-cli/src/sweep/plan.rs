//! All runs of a sweep with their folders, and what is there already.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use peft_core::{Error, Result, train::checkpoint::Checkpoints};

use super::{
    differing::{Differing, differing, may_be_same, refusal, told},
    file::SweepFile,
    names,
    points::points,
    values::settings_of,
};
use crate::{
    message,
    recipes::layer::complete,
    settings::{
        Settings,
        resolve::{check_uses, resolve},
        train_config::train_config,
    },
    shard::Shard,
    training::{damaged, ending::Ending, file_names::RUN_FILE, run_result::RunResult},
};

/// A run.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The name of its folder.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Its settings, defaults filled in.
    pub settings: Settings,
}

impl Planned {
    /// The settings of the run in its folder.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] or [`Error::File`].
    pub(super) fn stored(&self) -> Result<Settings> {
        let otherwise = || "remove this folder to have the run made anew".to_string();
        damaged::settings(&self.folder, otherwise)
    }

    /// The settings by which the run in its folder differs.
    ///
    /// # Errors
    ///
    /// As for [`stored`](Self::stored).
    pub(super) fn differing(&self) -> Result<Vec<Differing>> {
        Ok(differing(&self.settings, &self.stored()?))
    }
}

/// What is in the folder of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum There {
    /// Nothing.
    Nothing,
    /// A run that goes on after this step.
    Begun(usize),
    /// A run that has ended so.
    Ended(Ending),
}

/// All runs of a sweep.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The runs, in the order in which they are made.
    pub runs: Vec<Planned>,
    /// Draws that are left out, since they repeat earlier ones.
    pub repeated: usize,
}

impl Plan {
    /// The runs of the file at `path`, with folders in `out`.
    ///
    /// # Errors
    ///
    /// [`Error::File`] naming the run whose settings cannot be used.
    pub fn new(file: &SweepFile, path: &Path, out: &Path) -> Result<Self> {
        let refuse = |message: String| Error::file(path, message);
        let mut runs = Vec::new();
        let mut names = HashSet::new();
        for own in points(file).map_err(refuse)? {
            let name = names::name(&own);
            if !names.insert(name.clone()) {
                return Err(refuse(format!(
                    "asks for {name} more than once: some values are the same"
                )));
            }
            let folder = out.join(&name);
            let own = file.placed(settings_of(&own).map_err(refuse)?);
            let all = Settings { out: Some(folder.clone()), ..own.or(file.all.clone()) };
            let wrong = |error: Error| refuse(format!("{name}: {}", message::of_library(&error)));
            // A recipe or a task may give what the file does not.
            let all = complete(all).map_err(wrong)?;
            if let Some(flag) = all.missing().first() {
                let key = flag.trim_start_matches('-');
                return Err(refuse(format!("{name}: `{key}` is missing, which every run needs")));
            }
            if all.ensemble.is_some() {
                return Err(refuse(format!(
                    "{name}: `ensemble` is for peft train; here several seeds are seed = [1, 2, 3] in [grid]"
                )));
            }
            let settings = checked(all).map_err(wrong)?;
            if file.halving.is_some() && settings.valid.is_none() && settings.valid_split.is_none()
            {
                return Err(refuse(format!(
                    "{name}: [halving] needs validation rows (`valid`, `valid_split`)"
                )));
            }
            runs.push(Planned { name, folder, settings });
        }
        // Those of one model one after another, so that it is loaded once.
        let models: Vec<Settings> = runs.iter().map(|run| of_model(&run.settings)).collect();
        let place =
            |run: &Planned| models.iter().position(|model| *model == of_model(&run.settings));
        runs.sort_by_cached_key(place);
        let repeated = file.search.as_ref().map_or(0, |search| search.count - search.draws().len());
        Ok(Self { runs, repeated })
    }

    /// Runs that differ by their seed: that of the settings, which are complete, and the next ones.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the setting that cannot be used.
    pub fn of_seeds(settings: &Settings, out: &Path, count: usize) -> Result<Self> {
        let first = settings.seed();
        if first.checked_add(count as u64).is_none_or(|last| i64::try_from(last).is_err()) {
            let message =
                format!("found {first}, so that {count} seeds from there on are too large");
            return Err(Error::setting("--seed", message));
        }
        let run = |seed: u64| {
            let name = format!("seed={seed}");
            let folder = out.join(&name);
            let (out, seed) = (Some(folder.clone()), Some(seed));
            let settings = checked(Settings { ensemble: None, out, seed, ..settings.clone() })?;
            Ok(Planned { name, folder, settings })
        };
        let runs = (first..first + count as u64).map(run).collect::<Result<_>>()?;
        Ok(Self { runs, repeated: 0 })
    }

    /// What is in the folder of each run. One that names its base model or its rows by other paths, and remembers what they
    /// held, is not refused: [`elsewhere::check`](super::elsewhere::check) tells whether they are the same.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if a folder holds a run with other settings; [`Error::Read`] or [`Error::File`].
    pub fn there(&self) -> Result<Vec<There>> {
        let mut found = Vec::with_capacity(self.runs.len());
        let mut others = Vec::new();
        for run in &self.runs {
            let run_file = run.folder.join(RUN_FILE);
            if !run_file.exists() {
                found.push(There::Nothing);
                continue;
            }
            let there = match RunResult::read(&run.folder)?.map(|result| result.ending) {
                Some(ending) if ending != Ending::Begun => There::Ended(ending),
                _ => {
                    let newest = Checkpoints::new(&run.folder, 1).list()?;
                    There::Begun(newest.first().map_or(0, |(step, _)| *step))
                }
            };
            let ending = match there {
                There::Ended(ending) => Some(ending),
                There::Nothing | There::Begun(_) => None,
            };
            let differing = run.differing()?;
            if !differing.is_empty() && !may_be_same(&run.folder, ending, &differing)? {
                others.push(told(&run.folder, &differing));
            }
            found.push(there);
        }
        match others.is_empty() {
            true => Ok(found),
            false => Err(refusal(others)),
        }
    }

    /// The places of the runs of a part of the sweep.
    pub fn of_shard(&self, shard: Shard) -> Vec<usize> {
        (0..self.runs.len()).filter(|place| place % shard.of == shard.index - 1).collect()
    }
}

/// Checks everything that needs no model.
fn checked(settings: Settings) -> Result<Settings> {
    if settings.tasks.is_some() {
        let message = "each run of a sweep has one task: `peft train --tasks` makes a joint run";
        return Err(Error::setting("--tasks", message));
    }
    let settings = resolve(settings)?;
    let task = *Settings::required(&settings.task, "--task")?;
    train_config(&settings, task)?;
    check_uses(&settings, task)?;
    Ok(settings)
}

/// The settings by which a model is loaded.
fn of_model(settings: &Settings) -> Settings {
    let Settings { model, base_weights, dtype, recompute, .. } = settings.clone();
    Settings { model, base_weights, dtype, recompute, ..Settings::default() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use peft_core::Task;

    use super::*;
    use crate::{flags::method_name::MethodName, settings::file};

    const FILE: &str = "model = \"m\"\ntask = \"causal-lm\"\ntrain = \"a.jsonl\"\nsteps = 5\nmethod = \"prompt\"\n";

    fn plan(text: &str, out: &Path) -> Result<Plan> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.toml");
        fs::write(&path, text).unwrap();
        Plan::new(&SweepFile::read(&path)?, &path, out)
    }

    #[test]
    fn runs_have_all_settings_and_a_folder() {
        let out = Path::new("out");
        let found = plan(&format!("{FILE}[grid]\nseed = [1, 2]\nlr = [0.5, 1]"), out).unwrap();
        let names: Vec<&str> = found.runs.iter().map(|run| run.name.as_str()).collect();
        assert_eq!(names, ["lr=0.5,seed=1", "lr=0.5,seed=2", "lr=1,seed=1", "lr=1,seed=2"]);
        assert_eq!(found.runs[2].settings.lr, Some(1.0));
        assert_eq!(found.runs[2].settings.optimizer.as_deref(), Some("adamw"));
        assert_eq!(found.runs[2].folder, out.join("lr=1,seed=1"));
        assert_eq!(found.there().unwrap(), [There::Nothing; 4]);
        let parts = ["1/2", "2/2"].map(|shard| found.of_shard(shard.parse().unwrap()));
        assert_eq!(parts, [[0, 2], [1, 3]]);
        let models =
            plan(&format!("{FILE}[grid]\nseed = [1, 2]\nmodel = [\"b\", \"a\"]"), out).unwrap();
        let names: Vec<&str> = models.runs.iter().map(|run| run.name.as_str()).collect();
        assert_eq!(names, ["model=b,seed=1", "model=b,seed=2", "model=a,seed=1", "model=a,seed=2"]);
    }

    #[test]
    fn a_recipe_and_a_task_give_what_runs_need() {
        let file = "model = \"m\"\ntrain = \"a.jsonl\"\ntask_file = \"superglue-rte\"\nrecipe = \"lester2021\"\n";
        let found = plan(&format!("{file}[grid]\nseed = [1, 2]"), Path::new("out")).unwrap();
        let settings = &found.runs[1].settings;
        assert_eq!(settings.method, Some(MethodName::Prompt));
        assert_eq!((settings.task, settings.seed), (Some(Task::Seq2SeqLm), Some(2)));
        let said = plan(&file.replace("model = \"m\"\n", ""), Path::new("out")).unwrap_err();
        assert!(said.to_string().contains("run: `model` is missing"), "{said}");
    }

    #[test]
    fn a_draw_that_repeats_another_is_left_out() {
        let text =
            format!("{FILE}[search]\ncount = 20\ninit = {{choice = [\"vocab\", \"random\"]}}");
        let found = plan(&text, Path::new("out")).unwrap();
        assert_eq!((found.runs.len(), found.repeated), (2, 18));
    }

    #[test]
    fn what_no_run_can_use_is_named_with_the_run() {
        let said = |text: &str| plan(text, Path::new("out")).unwrap_err().to_string();
        for (text, says) in [
            (
                &FILE.replace("steps = 5\n", "patience = 1\n")[..],
                "run: --patience: needs validation rows",
            ),
            ("lr = 0.1\n", "run: `model` is missing"),
            (&format!("{FILE}[grid]\nlr = [0.1, -1]"), "lr=-1"),
            (&format!("{FILE}[grid]\nlr = [0.1, 0.10]"), "asks for lr=0.1 more than once"),
            (&format!("{FILE}[halving]\nat = [0.5]"), "run: [halving] needs validation rows"),
            (&format!("{FILE}ensemble = 3\n"), "run: `ensemble` is for peft train"),
        ] {
            let found = said(text);
            assert!(found.contains(says), "{found}");
        }
    }

    #[test]
    fn seeds_follow_each_other() {
        let settings: Settings = toml::from_str(FILE).unwrap();
        let settings = Settings { ensemble: Some(3), ..settings };
        let plan = Plan::of_seeds(&settings, Path::new("out"), 3).unwrap();
        let of = |run: &Planned| (run.name.clone(), run.settings.seed, run.settings.ensemble);
        let first = settings.seed();
        for (place, run) in plan.runs.iter().enumerate() {
            let seed = first + place as u64;
            assert_eq!(of(run), (format!("seed={seed}"), Some(seed), None));
        }
        let large = Settings { seed: Some(i64::MAX as u64), ..settings };
        assert!(Plan::of_seeds(&large, Path::new("out"), 3).is_err());
    }

    #[test]
    fn a_folder_with_other_settings_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let first = plan(FILE, dir.path()).unwrap();
        let folder = &first.runs[0].folder;
        fs::create_dir(folder).unwrap();
        let stored = Settings { eval_every: Some(7), ..first.runs[0].settings.clone() };
        fs::write(folder.join(RUN_FILE), file::to_run_file(&stored, folder)).unwrap();
        assert_eq!(first.there().unwrap(), [There::Begun(0)]);
        RunResult { ending: Ending::Halted, ..RunResult::default() }.write(folder).unwrap();
        assert_eq!(first.there().unwrap(), [There::Ended(Ending::Halted)]);
        for (text, says) in [
            (FILE.replace("steps = 5", "steps = 6"), "steps is 5, not 6"),
            (
                format!("{FILE}eval_every = 9\nvalid = \"b\"\n"),
                "eval_every is 7, not 9, valid is none, not ",
            ),
        ] {
            let message = plan(&text, dir.path()).unwrap().there().unwrap_err().to_string();
            assert!(message.contains(says) && message.contains("give another --out"), "{message}");
        }
    }
}
