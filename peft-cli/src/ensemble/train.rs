//! `peft train --ensemble`: adapters that differ by their seed, trained in one run on one base model and the same rows, and
//! then their votes on the validation rows (Lester et al. 2021, section 6).
//!
//! Each member is a run in a folder of its own, as `peft train` makes it with that seed. `ensemble.toml` in the folder
//! above has the settings, and is there before the first member; `result.json` has the scores, and is there once all are.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use peft_core::{
    Error, Result,
    adapter::{FolderLock, atomic},
    evaluate::Vote,
    formats::read,
    train::TrainConfig,
};

use super::{
    checks::{
        MADE_ANEW, check_finished, check_settings, is_on_base, same_base, same_classes, same_rows,
    },
    score::{Asked, By, cannot_vote},
    table::Table,
};
use crate::{
    adapter_folder,
    adapter_set::AdapterSet,
    base_model::Purpose,
    class_texts::ranked::RankBy,
    device::{self, DeviceName},
    error::{CliError, CliResult, in_adapter},
    flags::{choices::PADDING, given::Given},
    model_files,
    output::{self, quoted},
    screen::{bar::columns, fact::fact, manners::is_watched},
    session::Session,
    settings::{Settings, file, whole},
    signals::{AFTER_STEP, Signals},
    sweep::{Plan, There, Work, check, elsewhere},
    text_settings::TextArgs,
    training::{
        PreparedRun,
        closing::{numbers, resume_command},
        damaged, earlier_run,
        ending::Ending,
        file_names::{ENSEMBLE, RESULT, RUN_FILE},
        inputs::Base,
        moved::Moved,
        places,
        shared::Shared,
    },
    usage::listed,
};

/// An ensemble to train.
#[derive(Debug)]
pub struct Ensemble {
    /// The settings that are given.
    pub settings: Settings,
    /// Whether one that is there goes on.
    pub resume: bool,
    /// The device.
    pub device: Option<DeviceName>,
    /// Time between two lines about progress, without a terminal.
    pub every: Duration,
    /// Whether scores are printed as JSON.
    pub json: bool,
    /// The flags that are no settings, for the command that goes on.
    pub again: Given,
    /// The flags by which another command computes on this device.
    pub same_device: Given,
    /// The flags that say on which device its runs are made, as they were given.
    pub devices: Given,
}

/// Whether a folder holds an ensemble.
pub fn is_there(out: &Path) -> bool {
    out.join(ENSEMBLE).exists()
}

impl Ensemble {
    /// Trains the members that have not ended, scores them and their votes, and prints the table.
    ///
    /// # Errors
    ///
    /// Returns an error if the settings, the model or the rows cannot be used, if a member fails or diverges, or a signal
    /// came; what was made is saved then.
    pub fn train(self) -> CliResult {
        let Self { mut settings, resume, every, json, again, same_device, devices, .. } = self;
        let out = Settings::required(&settings.out, "--out")?.clone();
        if !resume {
            places::refuse_model_folder(&out, settings.model.as_deref())?;
            places::refuse_runs_inside(&out)?;
        }
        let lock = FolderLock::new(&out)?;
        if let Some(warning) = lock.warning() {
            output::note(format!("note: {warning}"));
        }
        let mut moved = Moved::default();
        match resume {
            true => {
                let used = continued(settings.clone(), settings_of(&out)?, &out)?;
                // Members go on from their checkpoints, where they started from an adapter.
                moved = Moved::of(&settings, &used, &out.join(ENSEMBLE), false);
                settings = used;
                if settings.chat_date.is_none() {
                    settings.chat_date = day_of_first(&settings, &out);
                }
            }
            false => places::refuse_existing(&out)?,
        }
        settings.out = Some(out.clone());
        let count = check_settings(&settings)?;
        places::check_inputs(&out, &settings)?;
        let plan = Plan::of_seeds(&settings, &out, count).map_err(|error| moved.explain(error))?;
        let there = plan.there()?;
        let device = device::choose(self.device)?;
        let shared = Shared::default();
        let already = there.iter().filter(|there| matches!(there, There::Ended(_))).count();
        let first = plan.runs[0].settings.clone();
        let base = shared.base(&first, &device).map_err(|error| moved.explain(error))?;
        // Also where nothing is left to train: members vote on the base model, and on the rows, that they were made with.
        same_base(&plan, &there, &base)?;
        elsewhere::check(&plan, &there, &device, &shared)?;
        let first = match resume {
            true => PreparedRun::resumed(first, &device, &shared)
                .map_err(|error| moved.explain(error))?,
            false => PreparedRun::sharing(first, &device, &shared)?,
        };
        if let Some(reason) = cannot_vote(first.task, first.problem_type()) {
            return Err(Error::setting("--ensemble", reason).into());
        }
        same_rows(&plan, &first)?;
        same_classes(&plan, &there, &first)?;
        if already < count {
            let columns = is_watched().then(columns);
            let facts = first.facts();
            facts.into_iter().for_each(|(name, text)| output::note(fact(name, &text, columns)));
            let ended = match already {
                0 => String::new(),
                already => format!(", {already} of them ended already"),
            };
            output::note(format!("{count} adapters in {}{ended}", out.display()));
        }
        // The result is that of all members, so that one of fewer must not outlive the new number.
        if already < count && out.join(RESULT).exists() {
            atomic::remove(&out.join(RESULT))?;
        }
        // From here on --resume knows what was asked.
        let text = file::to_run_file(&settings, &out);
        atomic::write_file(&out.join(ENSEMBLE), text.as_bytes())?;
        let signals = Signals::follow(AFTER_STEP);
        let work = Work {
            plan: &plan,
            device: device.clone(),
            devices,
            jobs: 1,
            halving: None,
            signals: signals.clone(),
            every,
            shared: &shared,
        };
        let places: Vec<usize> = (0..count).collect();
        check(&work.run(&places, already), &signals, &resume_command(&out, &again))?;
        for run in &plan.runs {
            check_finished(&run.name, &run.folder)?;
        }
        let set = members(&plan, &base, &device)?;
        set.same_classes().map_err(|error| {
            let why = match error {
                Error::Setting { message, .. } => message,
                other => other.to_string(),
            };
            Error::Mismatch(format!("{why}; {MADE_ANEW}"))
        })?;
        let valid = settings.valid.clone().unwrap_or_default();
        let table = scores((&set, &first), &settings, &valid, (&signals, &again))?;
        let text = format!("{}\n", table.result(Ending::Finished));
        atomic::write_file(&out.join(RESULT), text.as_bytes())?;
        // Whoever reads what is printed, what is to be done next is told.
        let printed = match json {
            true => output::line(table.json(None, None)),
            false => output::line(table.text()),
        };
        let by = if set.task()?.is_language_model() { " --rank-classes" } else { "" };
        output::next("next: ", &vote_command(&plan, &settings, &same_device, by));
        Ok(printed?)
    }
}

/// The command by which all members vote on other rows.
fn vote_command(plan: &Plan, settings: &Settings, same_device: &Given, by: &str) -> String {
    let folders = plan.runs.iter().map(|run| format!(" --adapter {}", quoted(&run.folder)));
    let model = settings.model.as_deref().map(quoted).unwrap_or_default();
    format!(
        "peft eval --model {model}{}{}{same_device} --vote majority{by} --data ROWS.jsonl",
        folders.collect::<String>(),
        numbers(settings)
    )
}

/// The settings of the ensemble in a folder.
fn settings_of(out: &Path) -> CliResult<Settings> {
    let path = out.join(ENSEMBLE);
    if path.exists() {
        let otherwise = "put the file back as it was, or give another --out: its members are adapters of their own";
        let settings = file::load(&path)
            .map_err(|error| damaged::with_way_out(error, || otherwise.to_string()))?;
        let lacking = settings.missing();
        if !lacking.is_empty() {
            let lacking = listed(&lacking, "and");
            let message = format!("was cut off: it holds no {lacking}; {otherwise}");
            return Err(Error::file(&path, message).into());
        }
        let text = read::text(&path)?;
        // With defaults for what is missing it would be another ensemble.
        whole::refuse_cut(&text, &path).map_err(|error| {
            let way_out = "or give another --out: its members are adapters of their own";
            damaged::with_way_out(error, || way_out.to_string())
        })?;
        if let Some(says) = whole::says_of_edited(&text) {
            earlier_run::note_changes(&path, says);
        }
        return Ok(settings);
    }
    let message = match out.join(RUN_FILE).exists() {
        true => format!(
            "--ensemble: {} holds a run of one adapter: --resume continues it without --ensemble; an ensemble needs \
             another --out",
            out.display()
        ),
        false => format!(
            "--resume: {} holds no ensemble ({} is missing); without --resume a new one is started",
            out.display(),
            path.display()
        ),
    };
    Err(CliError::Usage(message))
}

/// What is given, completed from the ensemble that goes on; there may be more members than it had.
fn continued(given: Settings, earlier: Settings, out: &Path) -> Result<Settings> {
    match given.seed {
        Some(seed) if seed != earlier.seed() => {
            let message = format!(
                "found {seed}, but the adapters in {} begin with seed {}: give another --out",
                out.display(),
                earlier.seed()
            );
            Err(Error::setting("--seed", message))
        }
        _ => match (given.ensemble, earlier.ensemble) {
            (Some(count), Some(before)) if count < before => {
                let message = format!(
                    "found {count}, but the ensemble in {} has {before} adapters, of which --resume drops none: give {before} \
                     or more; or let some of them vote with peft eval --vote",
                    out.display()
                );
                Err(Error::setting("--ensemble", message))
            }
            _ => Ok(given.or(earlier)),
        },
    }
}

/// The day that the rows of the first member show, if it is there and they show one: on another day, too, its rows are the
/// same.
fn day_of_first(settings: &Settings, out: &Path) -> Option<String> {
    let run_file = out.join(format!("seed={}", settings.seed())).join(RUN_FILE);
    // One that cannot be read is told where its settings are compared.
    file::load(&run_file).ok()?.chat_date
}

/// The members, on the base model that they were trained on.
fn members(plan: &Plan, base: &Base, device: &burn::tensor::Device) -> CliResult<AdapterSet> {
    let loaded = &base.loaded;
    let session = |folder: &PathBuf| -> CliResult<Session> {
        let adapter = adapter_folder::load(folder, loaded.config.task())?;
        is_on_base(&adapter, folder, base)?;
        let whose = folder.display().to_string();
        model_files::note_other_config(&adapter, loaded, &whose, Purpose::Use);
        let session = Session::new(loaded.clone(), base.dir.clone(), Some(adapter), device);
        Ok(session.map_err(in_adapter(folder))?)
    };
    let sessions = plan.runs.iter().map(|run| session(&run.folder)).collect::<CliResult<_>>()?;
    Ok(AdapterSet { names: plan.runs.iter().map(|run| run.name.clone()).collect(), sessions })
}

/// The scores of members and of both votes; `first` is the run of the first member.
fn scores(
    (set, first): (&AdapterSet, &PreparedRun),
    settings: &Settings,
    valid: &[PathBuf],
    (signals, again): (&Signals, &Given),
) -> CliResult<Table> {
    let text = TextArgs::default();
    let records = set.read(valid, &text)?;
    let defaults = TrainConfig::default();
    let asked = Asked {
        text: &text,
        votes: &[Vote::Majority, Vote::Mean],
        by: set.task()?.is_language_model().then_some(By::Rank(RankBy::Sum)),
        batch_size: settings.batch_size.unwrap_or(defaults.batch_size),
        padding: settings
            .padding
            .as_deref()
            .map(|side| PADDING.parse(side))
            .transpose()?
            .unwrap_or(defaults.padding),
        shard: None,
        // They were read as those of a member, to be learnt with or to be compared.
        encoded: (set.labels(0) == first.labels.as_ref()).then(|| first.valid_rows()),
    };
    let scored = asked.score(set, &records, signals).map_err(|error| match error {
        CliError::Failed(Error::Stopped { .. }) => {
            let out = settings.out.as_deref().unwrap_or(Path::new(""));
            let message = format!(
                "interrupted while the votes were scored; all members are saved, and this scores them:\n  {}",
                resume_command(out, again)
            );
            CliError::Interrupted { signal: signals.number(), message }
        }
        other => other,
    })?;
    Ok(scored.table)
}
