//! What is said when a run has ended: what happened, how good it is, and what to do next.

use std::path::{Path, PathBuf};

use peft_core::{
    Error, contract::context_budget::ContextBudget, data::Example, metrics::Metrics, text::Encoded,
    train::checkpoint::Checkpoints,
};

use super::{
    PreparedRun, TrainedRun,
    file_names::{METRICS, RUN_FILE},
};
use crate::{
    flags::given::Given,
    output::{grouped, quoted, table},
    settings::Settings,
};

/// How a run ended, in a line.
pub fn summary(run: &PreparedRun, trained: &TrainedRun, out: &Path) -> String {
    let TrainedRun { step, last_step, total_steps, .. } = trained;
    let early = if trained.stopped_early { "stopped early at " } else { "" };
    let best = match step == last_step {
        true => String::new(),
        false => format!(", best is step {step}"),
    };
    let tasks = match run.tasks.len() {
        0 => String::new(),
        1 => " on 1 task".to_string(),
        count => format!(" on {count} tasks"),
    };
    format!(
        "{}{tasks}: {early}step {last_step} of {total_steps}{best}, {} parameters trained, {:.1} s, saved in {}",
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

/// The loss at the end of a run that nothing else scores, as the mean of its last steps.
pub fn train_loss((loss, steps): (f64, usize)) -> String {
    let over = match steps {
        1 => "that of the last step".to_string(),
        steps => format!("mean of the last {steps} steps"),
    };
    format!(
        "train loss {loss:>10.4}  ({over}; --valid or --valid-split scores rows that are not learnt)"
    )
}

/// What is to be said where a run that was continued had ended before: nothing was left to do.
pub fn had_ended(trained: &TrainedRun, out: &Path) -> String {
    let TrainedRun { last_step, total_steps, .. } = trained;
    let (how, on) = match trained.stopped_early {
        true => ("stopped early at", ""),
        false => ("at", "--resume with more --steps or --epochs goes on with it, and "),
    };
    format!(
        "note: this run had ended already, {how} step {last_step} of {total_steps}: nothing is left to do; {on}\
         --init-adapter {} starts another run from what it has learnt",
        quoted(out)
    )
}

/// The command that uses the adapter in `out`, as a shell takes it: on the validation rows where there is a file of them.
/// Those that were held out stand among the training rows, which are no test. `device` are the flags that name its device.
pub fn next_command(run: &PreparedRun, trained: &TrainedRun, out: &Path, device: &Given) -> String {
    if let Some(task) = run.tasks.first() {
        return next_command(&task.run, trained, &task.folder(out), device);
    }
    let settings = &run.settings;
    let (command, limit) = match run.task.is_language_model() {
        true => {
            let count = new_tokens(run).and_then(|count| fitting(run, trained, count));
            ("generate", count.map(|count| format!(" --max-new-tokens {count}")))
        }
        false => ("predict", None),
    };
    let limit = limit.unwrap_or_default();
    let is_file = |name: &&PathBuf| name.as_os_str() != "-";
    let rows = settings.valid.iter().flatten().find(is_file);
    let rows = rows.map_or_else(|| "ROWS.jsonl".into(), |path| quoted(path));
    let numbers = numbers(settings);
    let model = settings.model.as_deref().map(quoted).unwrap_or_default();
    let out = quoted(out);
    format!("peft {command} --model {model} --adapter {out}{numbers}{device} --input {rows}{limit}")
}

/// The flags by which another command has the base model in the numbers of a run with these settings.
pub fn numbers(settings: &Settings) -> Given {
    Given::default()
        .value("--base-weights", settings.base_weights.filter(|format| format.is_rounded()))
        .value("--dtype", settings.dtype.filter(|dtype| dtype.is_rounded()))
}

/// As many new tokens as the longest target has; rows that are learnt as a whole set no limit.
pub(super) fn new_tokens(run: &PreparedRun) -> Option<usize> {
    let rows = &run.train.examples;
    let has_source =
        |row: &Example| row.decoder_input_ids.is_some() || row.labelled() < row.input_ids.len();
    let limit = rows.iter().map(Example::labelled).max();
    limit.filter(|_| !run.train.goes_on.contains(&true) && rows.iter().all(has_source))
}

/// As many of `count` new tokens as fit behind the longest source of the run's rows, if any do.
pub(super) fn fitting(run: &PreparedRun, trained: &TrainedRun, count: usize) -> Option<usize> {
    let spec = run.base.model.spec();
    let virtual_tokens = trained.adapter.virtual_tokens(spec, &run.device).ok()?;
    let budget = ContextBudget::new(spec, &virtual_tokens);
    let longest =
        [&run.train, &run.valid].map(|rows| longest_source(rows, run.settings.max_length));
    let [train, valid] = longest.map(|longest| longest.unwrap_or_default());
    // The decoder of an encoder-decoder also reads the token it starts from.
    let most = budget.most_new_tokens(train.max(valid), 1);
    Some(count.min(most)).filter(|count| *count > 0)
}

/// The tokens of the longest source. One that was cut may have more room without its target.
fn longest_source(rows: &Encoded, max_length: Option<usize>) -> Option<usize> {
    let source = |row: &Example| match &row.decoder_input_ids {
        Some(_) => row.input_ids.len(),
        None => row.input_ids.len() - row.labelled().min(row.input_ids.len()),
    };
    let longest = rows.examples.iter().map(source).max();
    longest.max(max_length.filter(|_| rows.truncated > 0))
}

/// The command that continues the run in `out` with these flags, which the run does not remember.
pub fn resume_command(out: &Path, flags: &Given) -> String {
    format!("peft train --out {} --resume{flags}", quoted(out))
}

/// What a run that diverged has left: the command that starts from its last checkpoint, at a tenth of its rate.
/// `flags` are those that a run does not remember.
pub fn way_on(run: &PreparedRun, error: &Error, out: &Path, flags: &Given) -> Option<String> {
    let Error::NotFinite { step, .. } = error else { return None };
    let (stored, path) = Checkpoints::new(out, 1).list().ok()?.into_iter().next()?;
    Some(format!(
        "nothing was saved of step {step}; what was learnt until step {stored} is a start for another run:\n  peft train \
         --config {} --init-adapter {} --lr {}{} {}{flags}",
        quoted(&out.join(RUN_FILE)),
        quoted(&path),
        run.settings.lr.map(|lr| lr / 10.0)?,
        run.settings.head_lr.map_or(String::new(), |lr| format!(" --head-lr {}", lr / 10.0)),
        into_another(&run.settings, out, "-2")
    ))
}

/// The flags that lead a run with the settings of that in `out` into a folder beside it, whose name ends so: a metrics
/// file is of one run alone.
pub fn into_another(settings: &Settings, out: &Path, end: &str) -> String {
    // Without a slash at its end, behind which the name would begin.
    let mut other = out.components().collect::<PathBuf>().into_os_string();
    other.push(end);
    let other = PathBuf::from(other);
    let metrics = settings.metrics_file.as_ref().map(|_| other.join(METRICS));
    let metrics = metrics.map(|path| format!(" --metrics-file {}", quoted(&path)));
    format!("--out {}{}", quoted(&other), metrics.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_says_what_it_is_of() {
        assert!(
            train_loss((0.5, 20)).starts_with("train loss     0.5000  (mean of the last 20 steps;")
        );
        assert!(train_loss((0.5, 1)).contains("(that of the last step;"));
    }

    #[test]
    fn another_run_has_a_folder_and_a_metrics_file_of_its_own() {
        let none = Settings::default();
        assert_eq!(into_another(&none, Path::new("a/"), "-2"), "--out a-2");
        let some = Settings { metrics_file: Some("m.jsonl".into()), ..Settings::default() };
        // Windows joins with another character.
        let found = into_another(&some, Path::new("a"), "-again").replace('\\', "/");
        assert!(found.starts_with("--out a-again --metrics-file "), "{found}");
        assert!(found.contains("a-again/metrics.jsonl"), "{found}");
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
