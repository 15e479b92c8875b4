//! What is said when a run has ended: what happened, how good it is, and what to do next.

use std::path::{Path, PathBuf};

use peft_core::{Error, metrics::Metrics, train::checkpoint::Checkpoints};

use super::{PreparedRun, TrainedRun, file_names::RUN_FILE};
use crate::output::{grouped, table};

/// How a run ended, in a line.
pub fn summary(run: &PreparedRun, trained: &TrainedRun, out: &Path) -> String {
    let TrainedRun { step, last_step, total_steps, .. } = trained;
    let early = if trained.stopped_early { "stopped early at " } else { "" };
    let best = match step == last_step {
        true => String::new(),
        false => format!(", best is step {step}"),
    };
    format!(
        "{}: {early}step {last_step} of {total_steps}{best}, {} parameters trained, {:.1} s, saved in {}",
        run.method.name(),
        grouped(trained.trained_parameters),
        trained.seconds,
        out.display()
    )
}

/// The scores of the best step beside those of the last one, if that is another.
pub fn scores(trained: &TrainedRun) -> Option<String> {
    let (best, last) = (trained.metrics.as_ref()?, trained.last_metrics.as_ref()?);
    (trained.step != trained.last_step)
        .then(|| beside((trained.step, best), (trained.last_step, last)))
}

fn beside((step, best): (usize, &Metrics), (last_step, last): (usize, &Metrics)) -> String {
    let header = ["score", &format!("best, step {step}"), &format!("last, step {last_step}")];
    let rows = best.iter().map(|(name, value)| {
        let at_end = last.get(name).map_or_else(|| "-".into(), |value| format!("{value:.4}"));
        vec![name.to_string(), format!("{value:.4}"), at_end]
    });
    table(&header, &rows.collect::<Vec<_>>())
}

/// The command that uses the adapter in `out`, as a shell takes it.
pub fn next_command(run: &PreparedRun, out: &Path) -> String {
    let settings = &run.settings;
    let (command, limit) = match run.task.is_language_model() {
        true => ("generate", " --max-new-tokens 40"),
        false => ("predict", ""),
    };
    let is_file = |name: &&PathBuf| name.as_os_str() != "-";
    let rows = [&settings.valid, &settings.train];
    let rows = rows.into_iter().flatten().flatten().find(is_file);
    let rows = rows.map_or_else(|| "ROWS.jsonl".into(), |path| quoted(path));
    let weights = settings.base_weights.filter(|format| format.is_rounded());
    let weights = weights.map_or_else(String::new, |format| format!(" --base-weights {format}"));
    let model = settings.model.as_deref().map(quoted).unwrap_or_default();
    let out = quoted(out);
    format!("peft {command} --model {model} --adapter {out}{weights} --input {rows}{limit}")
}

/// The command that continues the run in `out`.
pub fn resume_command(out: &Path) -> String {
    format!("peft train --out {} --resume", quoted(out))
}

/// What a run that diverged has left: the command that starts from its last checkpoint, at a tenth of its rate.
pub fn way_on(run: &PreparedRun, error: &Error, out: &Path) -> Option<String> {
    let Error::NotFinite { step, .. } = error else { return None };
    let (stored, path) = Checkpoints::new(out, 1).list().ok()?.into_iter().next()?;
    let mut other = out.as_os_str().to_os_string();
    other.push("-2");
    Some(format!(
        "nothing was saved of step {step}; what was learnt until step {stored} is a start for another run:\n  peft train \
         --config {} --init-adapter {} --lr {}{} --out {}",
        quoted(&out.join(RUN_FILE)),
        quoted(&path),
        run.settings.lr.map(|lr| lr / 10.0)?,
        run.settings.head_lr.map_or(String::new(), |lr| format!(" --head-lr {}", lr / 10.0)),
        quoted(Path::new(&other))
    ))
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "_-./@:=+,%".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_for_a_shell() {
        let of = |path: &str| quoted(Path::new(path));
        assert_eq!(
            [of("runs/a-1.2"), of("a b"), of("it's")],
            ["runs/a-1.2", "'a b'", r"'it'\''s'"]
        );
        assert_eq!([of("$x"), of("")], ["'$x'", "''"]);
    }

    #[test]
    fn scores_stand_beside_each_other() {
        let of = |loss| Metrics::from_iter([("loss", loss), ("accuracy", 0.5)]);
        assert_eq!(
            beside((3, &of(0.25)), (16, &of(10.5))),
            "score     best, step 3  last, step 16\nloss            0.2500        10.5000\naccuracy        0.5000         0.5000"
        );
    }
}
