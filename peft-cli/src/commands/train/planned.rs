//! A run before anything is read: its settings, and what in its folder or in these settings keeps it from beginning.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use peft_core::{Error, adapter::FolderLock, train::checkpoint::Checkpoints};

use super::TrainArgs;
use crate::{
    data_files::is_standard_input,
    ensemble::train as ensemble,
    error::{CliError, CliResult},
    output,
    processes::Member,
    recipes::layer::complete,
    settings::{
        Settings,
        joint::{JointSettings, resolve_joint},
        resolve::{resolve, with_head_lr_of_before},
    },
    training::{earlier_run, file_names::RUN_FILE, moved::Moved, overwrite, places},
    usage::listed,
};

/// A run of which nothing in its folder keeps it from beginning.
pub(super) struct Planned {
    pub(super) out: PathBuf,
    /// Held until the adapter is saved: one process at a time.
    pub(super) lock: Arc<FolderLock>,
    /// The settings that flags, files and the run that goes on give.
    settings: Settings,
    /// With their defaults.
    pub(super) resolved: Resolved,
    /// What the settings of a run that goes on name in vain.
    pub(super) moved: Moved,
}

pub(super) fn settings_of(planned: &Planned) -> &Settings {
    &planned.settings
}

/// Settings with their defaults, those of the whole and, of a joint run, those of its tasks.
pub(super) struct Resolved {
    pub(super) run: Settings,
    pub(super) joint: Option<JointSettings>,
}

impl Resolved {
    pub(super) fn of(settings: Settings) -> CliResult<Self> {
        Ok(match settings.tasks {
            Some(_) => {
                let joint = resolve_joint(settings)?;
                Self { run: joint.run.clone(), joint: Some(joint) }
            }
            None => Self { run: resolve(settings)?, joint: None },
        })
    }
}

/// Settings that have all that is required.
pub(super) fn completed(args: &TrainArgs, mut settings: Settings) -> CliResult<Settings> {
    settings.out.as_deref().map_or(Ok(()), |out| output::check_folder("--out", out))?;
    if !args.resume {
        // Each task of several is completed by itself.
        if settings.tasks.is_none() {
            settings = complete(settings)?;
        }
        check_required(&settings)?;
    }
    Ok(settings)
}

/// Refuses settings that lack required ones, with all of them in one message.
fn check_required(settings: &Settings) -> CliResult {
    let missing = settings.missing();
    let message = match missing.as_slice() {
        [] => return Ok(()),
        [flag] => format!("{flag} is required (as a flag or in --config)"),
        flags => format!("{} are required (as flags or in --config)", listed(flags, "and")),
    };
    let way_on = match settings.out.as_deref().filter(|out| out.join(RUN_FILE).exists()) {
        Some(out) => format!("; --resume continues the run in {}", out.display()),
        None => String::new(),
    };
    Err(CliError::Usage(format!("{message}{way_on}")))
}

/// Whether an ensemble is to be trained. What it does not take is refused.
pub(super) fn is_ensemble(args: &TrainArgs, settings: &Settings) -> CliResult<bool> {
    let out = Settings::required(&settings.out, "--out")?;
    let is_ensemble = settings.ensemble.is_some() || (args.resume && ensemble::is_there(out));
    if args.overwrite && (is_ensemble || ensemble::is_there(out)) {
        let message = "not used for an ensemble, whose folder holds several runs: remove the folder, or give another --out";
        return Err(Error::setting("--overwrite", message).into());
    }
    if is_ensemble && !args.devices.is_empty() {
        let message = "--devices: not used for an ensemble, whose adapters are trained one after another: name one device by \
                       --device";
        return Err(CliError::Usage(message.into()));
    }
    Ok(is_ensemble)
}

/// Refuses what several processes do not make together.
fn refuse_among_processes(args: &TrainArgs, settings: &Settings) -> CliResult {
    const ONE: &str = "one process trains an ensemble, without a launcher of MPI in front of it";
    if is_ensemble(args, settings)? {
        return Err(CliError::Usage(format!("--ensemble: {ONE}")));
    }
    if !args.devices.is_empty() {
        return Err(CliError::Usage(
            "--devices: not used where several processes make a run, each of them on one device: name it by --device, and \
             start as many processes as there are devices"
                .into(),
        ));
    }
    for (names, flag) in [(&settings.train, "--train"), (&settings.valid, "--valid")] {
        if names.as_deref().is_some_and(is_standard_input) {
            return Err(CliError::Usage(format!(
                "{flag} -: standard input reaches one process, and several read the rows: give a file that all of them have"
            )));
        }
    }
    Ok(())
}

/// Plans a run in its folder, of which this process has all that one process may have.
pub(super) fn plan(
    args: &TrainArgs,
    mut settings: Settings,
    member: Option<&Member>,
) -> CliResult<Planned> {
    let out = Settings::required(&settings.out, "--out")?.clone();
    if member.is_some() {
        refuse_among_processes(args, &settings)?;
    }
    if !args.resume {
        places::refuse_model_folder(&out, settings.model.as_deref())?;
        places::refuse_runs_inside(&out)?;
    }
    let lock = Arc::new(FolderLock::new(&out)?);
    if let Some(warning) = lock.warning() {
        output::note(format!("note: {warning}"));
    }
    let mut earlier_metrics = None;
    let mut moved = Moved::default();
    if args.resume {
        if overwrite::finish(&out)? {
            output::note(format!(
                "note: {}: the new run that --overwrite began takes the place of the old one",
                out.display()
            ));
        }
        let earlier = earlier_run::settings_of(&out)?;
        check_recipe(&settings, &earlier)?;
        check_start(&settings, &earlier, &out)?;
        earlier_metrics = earlier.metrics_file.clone();
        earlier_run::check_resume(&out, &earlier)?;
        let used = settings.clone().or(with_head_lr_of_before(earlier));
        let starts = Checkpoints::new(&out, 1).list()?.is_empty();
        moved = Moved::of(&settings, &used, &out.join(RUN_FILE), starts);
        settings = used;
    } else if !args.overwrite {
        places::refuse_existing(&out)?;
    }
    let resolved = Resolved::of(settings.clone()).map_err(|error| moved.explain(error))?;
    places::check_inputs(&out, &resolved.run)?;
    if let Some(path) = &resolved.run.metrics_file {
        let continues = args.resume
            && earlier_metrics.is_some_and(|earlier| output::is_same_file(path, &earlier));
        let may = (continues, args.overwrite);
        places::check_metrics_file(path, &resolved.run, args.config.as_deref(), may)?;
    }
    Ok(Planned { out, lock, settings, resolved, moved })
}

/// Refuses another recipe than that of the run that goes on: its settings are those of the run.
fn check_recipe(settings: &Settings, earlier: &Settings) -> CliResult {
    match settings.recipe.as_deref().filter(|name| earlier.recipe.as_deref() != Some(*name)) {
        Some(name) => Err(Error::setting(
            "--recipe",
            format!("found {name}, but a run that goes on with --resume keeps its settings: give those to change"),
        )
        .into()),
        None => Ok(()),
    }
}

/// Refuses another start than that of the run that goes on, once it has a checkpoint: it goes on from there.
fn check_start(settings: &Settings, earlier: &Settings, out: &Path) -> CliResult {
    let same = |given: &PathBuf| {
        earlier.init_adapter.as_ref().is_some_and(|earlier| output::is_same_file(given, earlier))
    };
    match settings.init_adapter.as_ref().filter(|given| !same(given)) {
        Some(given) if !Checkpoints::new(out, 1).list()?.is_empty() => Err(Error::setting(
            "--init-adapter",
            format!(
                "found {}, but a run that goes on with --resume has started already: leave it out, or give another --out",
                given.display()
            ),
        )
        .into()),
        _ => Ok(()),
    }
}
