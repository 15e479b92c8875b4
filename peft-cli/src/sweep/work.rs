//! Makes the runs of a sweep, several at a time: what has ended is left, what was begun goes on.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use burn::tensor::Device;
use peft_core::{
    Error, Result,
    adapter::FolderLock,
    evaluate::Assessment,
    train::{Flow, Observer, Plan as Steps, SpareRoom, StepReport, checkpoint::Checkpoints},
};
use rayon::ThreadPoolBuilder;

use super::{
    giving_up::{check_evaluated, give_up, steps_of},
    halving::Halving,
    plan::{Plan, Planned},
    screen::Screen,
};
use crate::{
    error::{CliError, CliResult},
    flags::given::Given,
    message,
    report::{ended, of_run},
    screen::memory,
    settings::resolve::with_head_lr_of_before,
    signals::Signals,
    training::{
        PreparedRun, earlier_run,
        ending::Ending,
        file_names::{REPORT, RUN_FILE},
        overwrite,
        progress::Progress,
        run_folder::{RunFolder, Start},
        run_result::{self, RunResult},
        saving,
        shared::Shared,
        validation::Recorder,
    },
};

/// A sweep at work.
#[derive(Debug)]
pub struct Work<'a> {
    /// Its runs.
    pub plan: &'a Plan,
    /// Where they are computed.
    pub device: Device,
    /// The flags that say so, as they were given.
    pub devices: Given,
    /// How many are made at a time.
    pub jobs: usize,
    /// Which are given up early.
    pub halving: Option<Halving>,
    /// Ends it.
    pub signals: Signals,
    /// Time between two lines without a terminal.
    pub every: Duration,
    /// What its runs share.
    pub shared: &'a Shared,
}

/// What a sweep has come to.
#[derive(Debug, Default)]
pub struct Ended {
    /// Runs that failed, with the reason.
    pub failed: Vec<(String, String)>,
    /// Runs that another process makes.
    pub in_use: Vec<String>,
    /// Whether a signal ended it.
    pub interrupted: bool,
}

/// What has become of a run for now.
enum Made {
    /// It has ended, now or before.
    Ended,
    /// It has made as many steps as it was to make.
    Paused,
    /// A signal came.
    Interrupted,
    /// Another process makes it.
    InUse,
}

impl Work<'_> {
    /// Makes the runs at these places of the plan, of which so many have ended already.
    pub fn run(&self, places: &[usize], already: usize) -> Ended {
        let todo = places.len().saturating_sub(already);
        let screen = Screen::new((places.len(), already, todo), self.every, self.signals.bars());
        let shared = self.shared;
        let mut places = places.to_vec();
        let mut failed = Vec::new();
        for (halving, part) in self
            .halving
            .iter()
            .flat_map(|halving| halving.at.iter().map(move |part| (halving, part)))
        {
            let mut ended = self.make(&places, Some(*part), shared, &screen);
            failed.append(&mut ended.failed);
            // Who goes on is known once all have come so far; those that failed have no score.
            if ended.interrupted || !ended.in_use.is_empty() {
                return Ended { failed, ..ended };
            }
            let has_failed =
                |place: &usize| failed.iter().any(|(name, _)| *name == self.plan.runs[*place].name);
            places.retain(|place| !has_failed(place));
            if let Err(error) = give_up((self.plan, halving), &mut places, *part, &screen) {
                failed.push(("[halving]".to_string(), message::of_library(&error)));
                return Ended { failed, ..Ended::default() };
            }
        }
        let mut ended = self.make(&places, None, shared, &screen);
        failed.append(&mut ended.failed);
        Ended { failed, ..ended }
    }

    /// Makes runs, at most up to a part of their steps.
    fn make(&self, places: &[usize], part: Option<f64>, shared: &Shared, screen: &Screen) -> Ended {
        let next = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let ended = Mutex::new(Ended::default());
        let work = || {
            while let Some(place) = places.get(next.fetch_add(1, Ordering::Relaxed))
                && !stop.load(Ordering::Relaxed)
            {
                let run = &self.plan.runs[*place];
                let made = self.one(*place, run, part, shared, screen);
                let mut ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
                match made {
                    Ok(Made::Ended | Made::Paused) => {}
                    Ok(Made::InUse) => ended.in_use.push(run.name.clone()),
                    Ok(Made::Interrupted) => ended.interrupted = true,
                    Err(error) => {
                        let why = message::of(&error);
                        screen.pause(*place);
                        screen.tell(&format!("error: {}: {why}", run.name));
                        ended.failed.push((run.name.clone(), why));
                    }
                }
                if self.signals.came() {
                    ended.interrupted = true;
                    stop.store(true, Ordering::Relaxed);
                }
            }
        };
        let jobs = self.jobs.min(places.len());
        let threads = (rayon::current_num_threads() / jobs.max(1)).max(1);
        match jobs {
            0 | 1 => work(),
            jobs => thread::scope(|scope| {
                for _ in 0..jobs {
                    // Each has its share of the cores. Without threads of its own it uses those of all.
                    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
                    let work = &work;
                    scope.spawn(move || match pool {
                        Ok(pool) => pool.install(work),
                        Err(_) => work(),
                    });
                }
            }),
        }
        ended.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn one(
        &self,
        place: usize,
        planned: &Planned,
        part: Option<f64>,
        shared: &Shared,
        screen: &Screen,
    ) -> CliResult<Made> {
        let out = &planned.folder;
        let lock = match FolderLock::new(out) {
            Ok(lock) => Arc::new(lock),
            Err(Error::InUse { .. }) => return Ok(Made::InUse),
            Err(error) => return Err(error.into()),
        };
        for warning in screen.new_warnings(lock.warning().into_iter().collect()) {
            screen.tell(&format!("note: {warning}"));
        }
        overwrite::finish(out)?;
        let result = RunResult::read(out)?.unwrap_or_default();
        if result.ending != Ending::Begun {
            // A kill came between its end and its page.
            let has_one = matches!(result.ending, Ending::Finished | Ending::Diverged);
            let lacks_page = has_one && !out.join(REPORT).exists();
            if lacks_page && !planned.settings.no_report.unwrap_or_default() {
                of_run::write(out)?;
            }
            return Ok(Made::Ended);
        }
        let until = |total: usize| part.map_or(total, |part| steps_of(part, total));
        if let Some(total) = result.total_steps.filter(|_| part.is_some())
            && made_steps(out)? >= until(total)
        {
            return Ok(Made::Paused);
        }
        let resume = out.join(RUN_FILE).exists();
        let mut settings = planned.settings.clone();
        if resume {
            let earlier = earlier_run::settings_of(out)?;
            earlier_run::check_resume(out, &earlier)?;
            settings = settings.or(with_head_lr_of_before(earlier));
        }
        let run = match resume {
            true => PreparedRun::resumed(settings, &self.device, shared)?,
            false => PreparedRun::sharing(settings, &self.device, shared)?,
        };
        let start = if resume { Start::Resume } else { Start::New };
        let folder = RunFolder::new(out, &run.settings, start).with_run(&run, &self.devices);
        let warnings = screen.new_warnings(run.warnings());
        let progress =
            Progress::new(run.method.name(), self.every, Some(folder), self.signals.clone())
                .without_screen()
                .with_opening(Vec::new(), warnings)
                .with_head_lr(run.settings.head_lr)
                .with_recorder(Recorder::of(&run));
        let until = until(run.total_steps());
        if part.is_some() {
            check_evaluated(run.settings.eval_every, until)?;
        }
        let mut watched = Watched { progress, place, name: &planned.name, until, screen };
        // What a run takes is known where it is alone.
        let is_alone = self.jobs == 1 && memory::reset_peak();
        let trained = run.train(Some(&lock), resume, &mut watched);
        let mut progress = watched.progress;
        if let Some(error) = progress.failure.take() {
            return Err(error.into());
        }
        let trained = match trained {
            Ok(trained) => trained,
            Err(error @ Error::NotFinite { .. }) => {
                run_result::diverged(&run, &error, out)?;
                ended::write_diverged(&run, &error, out)?;
                screen.end(
                    place,
                    &planned.name,
                    &format!("diverged: {}", message::of_library(&error)),
                );
                return Ok(Made::Ended);
            }
            Err(error @ Error::OtherRun { .. }) => {
                let message = format!(
                    "{}; without its folder, {}, this run is made anew",
                    message::of_library(&error),
                    out.display()
                );
                return Err(Error::Mismatch(message).into());
            }
            Err(error) => return Err(error.into()),
        };
        if trained.interrupted {
            screen.pause(place);
            return Ok(if self.signals.came() { Made::Interrupted } else { Made::Paused });
        }
        let train_loss = progress.train_loss().map(|(loss, _)| loss);
        let result = RunResult::finished(&run, &trained, train_loss);
        let peak_memory = result.peak_memory.filter(|_| is_alone);
        let result = RunResult { peak_memory, ..result };
        saving::save(&trained, &result, out)?;
        ended::write(&run, &trained, &self.signals, out)?;
        if let Some(message) = progress.loss_at_end() {
            screen.tell(&format!("warning: {}: {message}", planned.name));
        }
        let score = result
            .best_metric
            .as_deref()
            .and_then(|name| Some((name, trained.metrics.as_ref()?.get(name)?)));
        let how = match (score, train_loss) {
            (Some((name, value)), _) => format!("{name} {value:.4}  {:.1} s", trained.seconds),
            (None, Some(loss)) => format!("train loss {loss:.4}  {:.1} s", trained.seconds),
            (None, None) => format!("{:.1} s", trained.seconds),
        };
        screen.end(place, &planned.name, &how);
        Ok(Made::Ended)
    }
}

/// The step of the newest checkpoint.
fn made_steps(out: &Path) -> Result<usize> {
    Ok(Checkpoints::new(out, 1).list()?.first().map_or(0, |(step, _)| *step))
}

/// Follows a run, and stops it where it is to stop.
struct Watched<'a> {
    progress: Progress,
    place: usize,
    name: &'a str,
    until: usize,
    screen: &'a Screen,
}

impl Observer for Watched<'_> {
    fn spare_room(&mut self, room: SpareRoom) {
        self.progress.spare_room(room);
    }

    fn started(&mut self, plan: &Steps) -> Result<()> {
        self.progress.started(plan)?;
        self.screen.begin(self.place, self.name, plan.after_step, plan.total_steps);
        Ok(())
    }

    fn step(&mut self, report: &StepReport) -> Flow {
        self.screen.step(self.place, report.step);
        match self.progress.step(report) {
            Flow::Continue if report.step >= self.until => Flow::Stop,
            flow => flow,
        }
    }

    fn evaluated(&mut self, step: usize, found: &Assessment, is_best: bool) {
        self.progress.evaluated(step, found, is_best);
    }

    fn saved(&mut self, folder: &Path) {
        self.progress.saved(folder);
    }

    fn note(&mut self, message: &str) {
        self.progress.note(&format!("{}: {message}", self.name));
    }
}

/// What a sweep that did not come to its end says.
///
/// # Errors
///
/// Returns what ended it, if something did.
pub fn check(ended: &Ended, signals: &Signals, command: &str) -> CliResult {
    if ended.interrupted {
        let message = format!(
            "interrupted; what was made is saved, and the same command continues it:\n  {command}"
        );
        return Err(CliError::Interrupted { signal: signals.number(), message });
    }
    match ended.failed.as_slice() {
        [] => match ended.in_use.as_slice() {
            [] => Ok(()),
            [name, ..] => Err(Error::Mismatch(format!(
                "{} of the runs, such as {name}, are made by another process: once it has ended, the same command gives \
                 the whole table:\n  {command}",
                ended.in_use.len()
            ))
            .into()),
        },
        [(name, why)] => Err(Error::Mismatch(format!("{name} failed: {why}")).into()),
        [(name, why), others @ ..] => {
            let all = others.len() + 1;
            Err(Error::Mismatch(format!("{all} runs failed; the first, {name}: {why}")).into())
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_whose_runs_another_makes_has_not_succeeded() {
        let signals = Signals::default();
        check(&Ended::default(), &signals, "peft sweep").unwrap();
        let ended = Ended { in_use: vec!["lr=1".into()], ..Ended::default() };
        let error = check(&ended, &signals, "peft sweep").unwrap_err();
        assert!(message::of(&error).contains("such as lr=1, are made by another process"));
    }
}
