//! Replacing the run in a folder, so that a kill at any moment leaves the old run or the new one:
//!
//! 1. The settings of the new run are written to a file of their own. From then on the new run counts.
//! 2. The checkpoints, metrics, evaluations, the result and the report of the old run are set aside. A metrics file
//!    elsewhere loses the lines of steps.
//! 3. That file becomes `run.toml`.
//! 4. What was set aside is removed.
//!
//! After a kill that came later than 1, [`finish`] does the rest. The old adapter stays until there is a new one.

use std::{fs, path::Path};

use peft_core::{Adapter, Error, Result, adapter::atomic, train::checkpoint::Checkpoints};

use super::{
    earlier_adapter::{self, has_earlier_adapter, has_own_adapter},
    file_names::{
        CHECKPOINTS, EVALUATIONS, METRICS, REPORT, RESULT, RUN_FILE, TENSORBOARD, VALIDATION,
    },
    step_lines::{self, damaged_lines_of},
};
use crate::{settings::file, tensorboard::is_of_run};

/// Holds the settings of the run that replaces another, until they are `run.toml`.
const NEXT: &str = ".peft.next.toml";
/// Replaces the run in `out`, if there is one, by one with these settings that has made no step.
///
/// # Errors
///
/// [`Error::Write`] or [`Error::Read`]; [`Error::InUse`] if another run writes the metrics file.
pub fn replace(out: &Path, run_toml: &str) -> Result<()> {
    atomic::write_file(&out.join(NEXT), run_toml.as_bytes())?;
    begin_new(out)?;
    clean(out);
    Ok(())
}

/// Whether a replacement was interrupted.
pub fn is_due(out: &Path) -> bool {
    out.join(NEXT).exists()
}

/// Finishes a replacement that was interrupted, and removes what kills left. Returns whether one was.
///
/// # Errors
///
/// [`Error::Write`] or [`Error::Read`]; [`Error::InUse`] if another run writes the metrics file.
pub fn finish(out: &Path) -> Result<bool> {
    let is_due = is_due(out);
    if is_due {
        begin_new(out)?;
    }
    clean(out);
    Ok(is_due)
}

/// The run whose settings wait in [`NEXT`] takes the place of the old one.
fn begin_new(out: &Path) -> Result<()> {
    let next = out.join(NEXT);
    for (_, old) in Checkpoints::new(out, 1).list()? {
        match old.is_symlink() {
            true => atomic::remove(&old)?,
            false => atomic::set_aside(&old)?,
        }
    }
    let lines = [METRICS, EVALUATIONS].map(|name| out.join(name));
    let damaged = lines.each_ref().map(|path| damaged_lines_of(path));
    let others = [RESULT, VALIDATION, REPORT].map(|name| out.join(name));
    for old in lines.iter().chain(&damaged).chain(&others) {
        match old.is_symlink() {
            // What it leads to is emptied, and it stays.
            true => empty(old)?,
            false if old.is_file() => atomic::set_aside(old)?,
            false => {}
        }
    }
    let events = out.join(TENSORBOARD);
    if events.is_dir() && !events.is_symlink() {
        // Others may keep theirs beside them.
        for entry in fs::read_dir(&events).map_err(Error::read(&events))? {
            let path = entry.map_err(Error::read(&events))?.path();
            if is_of_run(&path) && path.is_file() && !path.is_symlink() {
                atomic::set_aside(&path)?;
            }
        }
    }
    // Settings that cannot be read name none; whoever reads them next says why.
    let elsewhere = file::load(&next).ok().and_then(|settings| settings.metrics_file);
    if let Some(metrics) = elsewhere.filter(|metrics| step_lines::is_replaceable(metrics)) {
        let _held = step_lines::open(&metrics)?;
        // What is no step's line is not lost: no run wrote it.
        step_lines::keep_up_to(0, &metrics)?;
    }
    earlier_adapter::remember(out)?;
    atomic::rename(&next, &out.join(RUN_FILE))
}

/// Empties a file; there is nothing to empty in a pipe, or behind a link to nothing.
fn empty(path: &Path) -> Result<()> {
    match step_lines::is_replaceable(path) {
        true => step_lines::open(path)?.set_len(0).map_err(Error::write(path)),
        false => Ok(()),
    }
}

/// Removes what kills left, and what was set aside.
fn clean(out: &Path) {
    atomic::sweep(out);
    atomic::sweep_all(&out.join(CHECKPOINTS));
    let events = out.join(TENSORBOARD);
    if events.is_dir() && !events.is_symlink() {
        atomic::sweep_all(&events);
        // It goes where nothing else is left in it.
        let _ = fs::remove_dir(&events);
    }
}

/// Forgets a replacement that was interrupted where there was nothing to replace: another run begins there.
///
/// # Errors
///
/// [`Error::Write`].
pub fn forget(out: &Path) -> Result<()> {
    let next = out.join(NEXT);
    match is_due(out) {
        true => fs::remove_file(&next).map_err(Error::write(&next)),
        false => Ok(()),
    }
}

/// Whether the adapter in `out` is that of a run which another one replaces, and that one has none yet.
///
/// # Errors
///
/// [`Error::Read`].
pub fn holds_replaced(out: &Path) -> Result<bool> {
    if !Adapter::exists(out) || !(is_due(out) || has_earlier_adapter(out)) {
        return Ok(false);
    }
    Ok(is_due(out) || !has_own_adapter(out)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{
        super::earlier_adapter::{EARLIER, adapter_saved, remember},
        *,
    };

    /// The event file of that run.
    const EVENTS: &str = "events.out.tfevents.1.peft";

    /// A folder with an old run, of which only the names count.
    fn old_run() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for step in ["step-000002", "step-000004"] {
            fs::create_dir_all(at(CHECKPOINTS).join(step)).unwrap();
            fs::write(at(CHECKPOINTS).join(step).join("state.json"), "old").unwrap();
        }
        for name in
            [RUN_FILE, METRICS, EVALUATIONS, RESULT, Adapter::CONFIG, "metrics.jsonl.damaged"]
        {
            fs::write(at(name), "old").unwrap();
        }
        for name in [VALIDATION, REPORT] {
            fs::write(at(name), "old").unwrap();
        }
        fs::create_dir(at(TENSORBOARD)).unwrap();
        fs::write(at(TENSORBOARD).join(EVENTS), "old").unwrap();
        fs::write(at(CHECKPOINTS).join("notes"), "mine").unwrap();
        dir
    }

    /// Every file below a folder.
    fn files(dir: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_string();
            match path.is_dir() {
                true => {
                    found.extend(files(&path).into_iter().map(|inner| format!("{name}/{inner}")));
                }
                false => found.push(name),
            }
        }
        found.sort();
        found
    }

    /// What a new run finds: its settings, and the adapter of the old one.
    fn assert_new(out: &Path) {
        assert_eq!(
            files(out),
            [EARLIER, Adapter::CONFIG, &format!("{CHECKPOINTS}/notes"), RUN_FILE]
        );
        assert_eq!(fs::read_to_string(out.join(RUN_FILE)).unwrap(), "new");
        assert!(!has_own_adapter(out).unwrap() && holds_replaced(out).unwrap());
    }

    #[test]
    fn nothing_of_the_old_run_is_left_but_its_adapter() {
        let dir = old_run();
        assert!(has_own_adapter(dir.path()).unwrap());
        assert!(!holds_replaced(dir.path()).unwrap());
        replace(dir.path(), "new").unwrap();
        assert_new(dir.path());
        assert!(!finish(dir.path()).unwrap());
        assert_new(dir.path());
        fs::write(dir.path().join(Adapter::CONFIG), "new").unwrap();
        assert!(has_own_adapter(dir.path()).unwrap());
        assert!(!holds_replaced(dir.path()).unwrap());
        adapter_saved(dir.path()).unwrap();
        assert!(!dir.path().join(EARLIER).exists());
        adapter_saved(dir.path()).unwrap();
    }

    #[test]
    fn event_files_of_others_stay() {
        let dir = old_run();
        let events = dir.path().join(TENSORBOARD);
        fs::create_dir(events.join("other")).unwrap();
        for name in ["events.out.tfevents.1", "notes.peft", "other/events.out.tfevents.1.peft"] {
            fs::write(events.join(name), "mine").unwrap();
        }
        let expected = ["events.out.tfevents.1", "notes.peft", "other/events.out.tfevents.1.peft"];
        replace(dir.path(), "new").unwrap();
        assert_eq!(files(&events), expected);
        assert!(!finish(dir.path()).unwrap());
        assert_eq!(files(&events), expected);
        // Without them, nothing is left of it.
        let dir = old_run();
        replace(dir.path(), "new").unwrap();
        assert!(!dir.path().join(TENSORBOARD).exists());
    }

    /// The states between two of its steps.
    #[test]
    fn what_a_kill_interrupted_is_finished() {
        type Step = fn(&Path);
        let steps: [Step; 11] = [
            |out| atomic::set_aside(&out.join("checkpoints/step-000004")).unwrap(),
            |out| atomic::set_aside(&out.join("checkpoints/step-000002")).unwrap(),
            |out| atomic::set_aside(&out.join(METRICS)).unwrap(),
            |out| atomic::set_aside(&out.join(EVALUATIONS)).unwrap(),
            |out| atomic::set_aside(&damaged_lines_of(&out.join(METRICS))).unwrap(),
            |out| atomic::set_aside(&out.join(RESULT)).unwrap(),
            |out| atomic::set_aside(&out.join(VALIDATION)).unwrap(),
            |out| atomic::set_aside(&out.join(REPORT)).unwrap(),
            |out| atomic::set_aside(&out.join(TENSORBOARD).join(EVENTS)).unwrap(),
            |out| remember(out).unwrap(),
            |out| fs::rename(out.join(NEXT), out.join(RUN_FILE)).unwrap(),
        ];
        for made in 0..=steps.len() {
            let dir = old_run();
            fs::write(dir.path().join(NEXT), "new").unwrap();
            assert!(holds_replaced(dir.path()).unwrap());
            steps[..made].iter().for_each(|step| step(dir.path()));
            assert_eq!(finish(dir.path()).unwrap(), made < steps.len());
            assert_new(dir.path());
        }
    }

    /// Also after a kill. A run with the old lines and without its checkpoints could not be resumed.
    #[test]
    fn a_metrics_file_elsewhere_is_emptied() {
        for killed in [false, true] {
            let (dir, other) = (old_run(), tempfile::tempdir().unwrap());
            let metrics = other.path().join("ext.jsonl");
            fs::write(&metrics, "{\"step\": 1}\nmine\n{\"step\": 2}\n").unwrap();
            let text = format!("metrics_file = {metrics:?}\n");
            if killed {
                fs::write(dir.path().join(NEXT), text).unwrap();
                assert!(finish(dir.path()).unwrap());
            } else {
                replace(dir.path(), &text).unwrap();
            }
            assert_eq!(fs::read_to_string(&metrics).unwrap(), "");
            assert_eq!(fs::read_to_string(damaged_lines_of(&metrics)).unwrap(), "mine\n");
        }
    }

    /// The file that a name of the folder leads to is not moved: it would never be removed.
    #[test]
    #[cfg(unix)]
    fn links_stay_and_what_they_lead_to_is_emptied() {
        let (dir, other) = (old_run(), tempfile::tempdir().unwrap());
        let (file, link) = (other.path().join("file"), dir.path().join(METRICS));
        fs::write(&file, "old").unwrap();
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        std::os::unix::fs::symlink(other.path(), dir.path().join("checkpoints/step-000009"))
            .unwrap();
        replace(dir.path(), "new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "");
        fs::remove_file(&link).unwrap();
        assert_new(dir.path());
    }

    #[test]
    fn without_a_replacement_only_leftovers_go() {
        let dir = old_run();
        let before = files(dir.path());
        fs::write(dir.path().join(".peft-0000000000000001.tmp"), "").unwrap();
        assert!(!finish(dir.path()).unwrap());
        assert_eq!(files(dir.path()), before);
        fs::write(dir.path().join(NEXT), "new").unwrap();
        forget(dir.path()).unwrap();
        assert!(!finish(dir.path()).unwrap());
        assert_eq!(files(dir.path()), before);
    }
}
