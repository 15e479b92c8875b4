//! The page about a run, made of what its folder holds.

use std::path::Path;

use peft_core::{Result, adapter::atomic};

use super::{
    chart::{Chart, Mark, Series},
    curve::curve,
    html::{Element, element},
    page::{Section, page},
    parts::{Cell, command, facts, paragraph, table},
    predictions,
    tasks::{self, whole},
};
use crate::{
    compare::{
        Lines, Metric, Point, Run, State, TRAIN_LOSS, cells,
        identity::{all, shown},
        scale::Scale,
    },
    output::{grouped, quoted},
    training::{
        closing,
        file_names::{REPORT, RUN_FILE, TASKS, VALIDATION},
        run_result::RunResult,
        started_from::HeadSource,
        validation::Validation,
    },
};

/// Points of a curve.
const MOST_POINTS: usize = 120;

/// Writes the page about the run in a folder into that folder.
///
/// # Errors
///
/// As for [`Run::read`]; [`Error::Write`](peft_core::Error::Write). The run is as it was then.
pub fn write(folder: &Path) -> Result<()> {
    let page = RunPage::read(folder)?.drawn();
    atomic::write_file(&folder.join(REPORT), page.as_bytes())
}

/// What the page is made of.
struct RunPage {
    run: Run,
    result: RunResult,
    /// Steps with `loss` and `lr`; none where they went elsewhere.
    steps: Vec<Point>,
    evaluations: Vec<Point>,
    /// What the step of the adapter predicts, if that is known.
    validation: Option<Validation>,
}

impl RunPage {
    fn read(folder: &Path) -> Result<Self> {
        let (run, Lines { steps, evaluations }) = Run::read_with_lines(folder)?;
        let result = RunResult::read(folder)?.unwrap_or_default();
        // A run that was killed and goes on may have left those of a step that it does not make again.
        let is_of_adapter = |found: &Validation| {
            let score = found.metrics.get(&run.best_metric);
            result.step == Some(found.step) && score == run.score(&run.best_metric)
        };
        let validation = match run.settings.tasks {
            // What one of several tasks predicts is not what the run does.
            Some(_) => None,
            None => Validation::read(&folder.join(VALIDATION))?.filter(is_of_adapter),
        };
        Ok(Self { run, result, steps, evaluations, validation })
    }

    fn drawn(&self) -> String {
        let Self { run, .. } = self;
        let settings = &run.settings;
        let name = run.path.canonicalize().unwrap_or_else(|_| run.path.clone());
        let name = name.file_name().map(|name| name.to_string_lossy().into_owned());
        let method = settings.method.map_or("", |method| method.name());
        let title = format!("Run {}: {method}", name.unwrap_or_default());
        let section = |id, title, body| Section { id, title, body };
        let is_generated = settings.task.is_some_and(|task| task.is_language_model());
        let classes = self.validation.as_ref().map(predictions::classes).unwrap_or_default();
        let sections = vec![
            section("trained", "What was trained", self.trained()),
            section("scores", "Scores", self.scores()),
            section("curves", "Curves", vec![self.curves()]),
            section("classes", "Class by class", classes),
            section("predictions", "Predictions", self.predictions(is_generated)),
            section("settings", "Settings", self.settings()),
            section("machine", "Machine, time and memory", vec![self.machine()]),
            section("again", "The same again", self.again()),
        ];
        page(&title, &self.lead(), sections)
    }

    /// What the run has come to, in a sentence.
    fn lead(&self) -> String {
        let Run { state, best_metric, best_step, total_steps, .. } = &self.run;
        let how = match state {
            State::Finished => "",
            State::Unfinished => "Not finished. ",
            State::Diverged => "The loss was no number any more. ",
            State::Halted => "Given up by its sweep. ",
        };
        let Some(score) = self.run.score(best_metric) else { return how.trim().to_string() };
        let of = match best_metric.as_str() {
            TRAIN_LOSS => " (mean loss of the last training steps)".to_string(),
            _ => {
                let rows = self.run.valid.0.map(grouped);
                format!(" on {} validation rows", rows.unwrap_or_else(|| "the".into()))
            }
        };
        let at = match (best_step, total_steps) {
            (Some(step), Some(total)) => {
                format!(", at step {} of {}", grouped(*step), grouped(*total))
            }
            _ => String::new(),
        };
        format!("{how}{} {}{of}{at}.", words(best_metric), cells::score(score))
    }

    fn trained(&self) -> Vec<Element> {
        let settings = self.run.settings_in_full();
        let named = all(&settings);
        let mut pairs: Vec<(String, String)> = Vec::new();
        let mut add = |name: &str, value: Option<String>| {
            pairs.extend(value.map(|value| (name.to_string(), value)));
        };
        let of = |name: &str| named.get(name).map(|value| shown(name, value));
        add("task", of("task"));
        add("task file", of("task_file"));
        add("tasks", settings.tasks.as_ref().map(|tasks| tasks.0.len().to_string()));
        add("base model", settings.model.as_ref().map(|model| model.display().to_string()));
        add("method", of("method"));
        add("virtual tokens P", of("num_virtual_tokens"));
        add("layers", of("layers"));
        add("sites", of("sites"));
        add("starts from", self.start().or_else(|| of("init")));
        add("parameters trained", self.run.trained_parameters.map(grouped));
        add("parameters stored", self.run.stored_parameters.map(grouped));
        add("training rows", self.result.train_rows.map(grouped));
        add("validation rows", self.result.valid_rows.map(grouped));
        add("seed", Some(settings.seed().to_string()));
        let mut parts = vec![facts(pairs)];
        if let Some(tasks) = &settings.tasks {
            parts.push(tasks::facts_of(tasks, &self.result.tasks));
        }
        parts
    }

    /// The adapter that it started from, and what of its head.
    fn start(&self) -> Option<String> {
        let path = self.run.settings.init_adapter.as_ref()?.display().to_string();
        let Some(known) = &self.result.started_from else { return Some(path) };
        let task = known.task.as_ref().map(|task| format!(", an adapter for {task}"));
        let head = match known.head {
            Some(HeadSource::Adapter) => ", with its head",
            Some(HeadSource::Base) => ", with the base model's own head",
            Some(HeadSource::New) => ", with a new head",
            None => "",
        };
        Some(path + &task.unwrap_or_default() + head)
    }

    /// The scores of the adapter, beside those of the last evaluation where that is another.
    fn scores(&self) -> Vec<Element> {
        let last = self.evaluations.last().filter(|last| Some(last.step) != self.result.step);
        let mut header = vec!["score".to_string(), "of the adapter".to_string()];
        header.extend(last.map(|last| format!("at step {}", grouped(last.step))));
        // In the order in which an evaluation has them, where that is known.
        let known = self.validation.iter().flat_map(|found| found.metrics.iter());
        let mut names: Vec<String> = known.map(|(name, _)| name.to_string()).collect();
        let others = self.run.scores.keys().filter(|name| !names.contains(name)).cloned();
        let others: Vec<String> = others.collect();
        names.extend(others);
        // That of training is no score of validation rows.
        let has_valid = self.run.best_metric != TRAIN_LOSS;
        let of_training = self.run.score(TRAIN_LOSS).filter(|_| has_valid);
        names.retain(|name| name != TRAIN_LOSS || !has_valid);
        let number = |value: Option<f64>| {
            Cell::Number(value.map_or_else(|| cells::NOTHING.to_string(), cells::score))
        };
        let row = |name: &String| {
            let mut row = vec![Cell::Text(words(name)), number(self.run.score(name))];
            row.extend(last.map(|last| number(last.scores.get(name).and_then(|v| v.as_f64()))));
            row
        };
        if names.is_empty() {
            return vec![paragraph("There are no scores.")];
        }
        let rows: Vec<_> = names.iter().map(row).collect();
        let best = Metric::named(&self.run.best_metric);
        let caption = match best.name.as_str() {
            TRAIN_LOSS => "No rows were validated on".to_string(),
            name => {
                let better = if best.maximise { "highest" } else { "lowest" };
                format!(
                    "Scores of the validation rows; the adapter is of the step with the {better} {}",
                    words(name)
                )
            }
        };
        let of_training = of_training.map(|loss| {
            paragraph(format!(
                "The mean loss of the last training steps is {}.",
                cells::score(loss)
            ))
        });
        [table(&caption, &header, &rows)].into_iter().chain(of_training).collect()
    }

    fn curves(&self) -> Element {
        let mut charts = vec![chart(
            "loss",
            "loss",
            &[("training", &self.steps, "loss"), ("validation", &self.evaluations, "loss")],
            cells::score,
        )];
        let metric = &self.run.best_metric;
        if metric != "loss" && metric != TRAIN_LOSS {
            let series = [("validation", &self.evaluations, metric.as_str())];
            charts.push(chart("metric", &words(metric), &series, cells::score));
        }
        charts.push(chart("rate", "learning rate", &[("training", &self.steps, "lr")], rate));
        element("div").with("class", "charts").children(charts.iter().map(Chart::drawn))
    }

    fn predictions(&self, is_generated: bool) -> Vec<Element> {
        if let Some(tasks) = &self.run.settings.tasks {
            let names: Vec<&str> = tasks.0.iter().map(|task| task.name.as_str()).collect();
            return vec![paragraph(format!(
                "Each task has an adapter of its own, in {TASKS}/NAME of this folder ({}): peft eval and peft predict take it.",
                names.join(", ")
            ))];
        }
        let shown = self.validation.as_ref().map(|found| predictions::samples(found, is_generated));
        match shown.filter(|parts| !parts.is_empty()) {
            Some(parts) => parts,
            None if self.evaluations.is_empty() => {
                vec![paragraph("There are no validation rows to predict.")]
            }
            None if is_generated => {
                let why = "No text was generated for this page.";
                vec![paragraph(why)]
            }
            None => {
                let why = "What the step of the adapter predicts was not kept: peft eval --report scores it again.";
                vec![paragraph(why)]
            }
        }
    }

    fn settings(&self) -> Vec<Element> {
        let derived = &self.run.derived;
        let row = |(name, value): (String, serde_json::Value)| {
            let value = whole(&value);
            let value = match derived.contains(&name) {
                true => format!("{value} (follows from the rows or the day)"),
                false => value,
            };
            vec![Cell::Text(name), Cell::Text(value)]
        };
        let mut named = all(&self.run.settings);
        named.remove("tasks");
        let rows: Vec<_> = named.into_iter().map(row).collect();
        let header = ["setting", "value"].map(String::from);
        let of_run = table("Settings of the run, as in run.toml", &header, &rows);
        let of_tasks = self.run.settings.tasks.iter().flat_map(tasks::settings_of);
        std::iter::once(of_run).chain(of_tasks).collect()
    }

    fn machine(&self) -> Element {
        let mut pairs: Vec<(String, String)> = Vec::new();
        let mut add = |name: &str, value: Option<String>| {
            pairs.extend(value.map(|value| (name.to_string(), value)));
        };
        let run = &self.run;
        add("machine", run.machine.as_ref().map(|machine| machine.shown()));
        add("seconds of training steps", run.seconds.map(|seconds| format!("{seconds:.1}")));
        let tokens = self.steps.iter().map(|step| step.scores.get("tokens")?.as_u64());
        let tokens = tokens.sum::<Option<u64>>().filter(|tokens| *tokens > 0 && run.has_all_steps);
        add("tokens learnt from", tokens.map(|tokens| grouped(tokens as usize)));
        let speed = tokens.zip(run.seconds.filter(|seconds| *seconds > 0.0));
        let speed = speed.map(|(tokens, seconds)| grouped((tokens as f64 / seconds) as usize));
        add("tokens a second", speed);
        add("peak memory of the process", run.peak_memory.map(|bytes| cells::memory(Some(bytes))));
        add("steps made", run.steps.map(grouped));
        run.notes.iter().for_each(|note| add("note", Some(note.clone())));
        facts(pairs)
    }

    fn again(&self) -> Vec<Element> {
        let path = &self.run.path;
        let again = format!(
            "peft train --config {} {}{}",
            quoted(&path.join(RUN_FILE)),
            closing::into_another(&self.run.settings, path, "-again"),
            self.result.devices
        );
        vec![
            paragraph(
                "With the same files and on the same kind of processor, this makes the same adapter, byte by byte; a run that \
                 went on with other settings ends otherwise:",
            ),
            command(again),
        ]
    }
}

/// A name of a score in words.
fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// Words that begin a heading.
pub(super) fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A learning rate.
fn rate(value: f64) -> String {
    format!("{value:.3e}")
}

/// Curves over the steps: of each its name, its points, and what of them.
fn chart(
    id: &str,
    what: &str,
    curves: &[(&str, &Vec<Point>, &str)],
    written: fn(f64) -> String,
) -> Chart {
    let mut series = Vec::new();
    let mut said = Vec::new();
    for (look, (name, of, score)) in curves.iter().enumerate() {
        let (found, together) = curve(of, score, MOST_POINTS);
        if found.is_empty() {
            continue;
        }
        said.push(describe(name, &found, together, written));
        let mean = if together > 1 { format!(", mean of {together}") } else { String::new() };
        let mark = |(step, value): &(usize, f64)| Mark {
            x: *step as f64,
            y: *value,
            deviation: None,
            text: format!("{name} {what} {} at step {}{mean}", written(*value), grouped(*step)),
            cells: [grouped(*step), written(*value)],
        };
        let points = found.iter().map(mark).collect();
        series.push(Series { name: name.to_string(), look, is_line: true, points });
    }
    let all = || series.iter().flat_map(|series: &Series| &series.points);
    let scales =
        (Scale::from_zero(all().map(|mark| mark.x)), Scale::linear(all().map(|mark| mark.y)));
    let legend = series.iter().map(|series| (series.look, series.name.clone())).collect();
    Chart {
        id: id.into(),
        title: capital(what),
        description: said.join(" "),
        axes: ("step".into(), what.into()),
        scales,
        legend,
        series,
    }
}

/// A curve in words.
fn describe(
    name: &str,
    points: &[(usize, f64)],
    together: usize,
    written: fn(f64) -> String,
) -> String {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return String::new() };
    let by_value = |a: &&(usize, f64), b: &&(usize, f64)| a.1.total_cmp(&b.1);
    let (low, high) = (points.iter().min_by(by_value), points.iter().max_by(by_value));
    let at =
        |(step, value): &(usize, f64)| format!("{} at step {}", written(*value), grouped(*step));
    let ends = [low, high].map(|point| point.map_or_else(String::new, at));
    let mean = match together {
        1 => String::new(),
        count => format!(" Each point is the mean of {count} steps."),
    };
    format!(
        "{name}: from {} to {}; lowest {}, highest {}.{mean}",
        at(first),
        at(last),
        ends[0],
        ends[1]
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;
    use crate::training::file_names::{EVALUATIONS, METRICS};

    /// A folder with what a run of an earlier version, or one that was killed, has left.
    #[test]
    fn a_page_is_made_of_whatever_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at(RUN_FILE), "lr = 0.5\nmethod = \"ptv2\"\nmodel = \"a<b\"\n").unwrap();
        write(dir.path()).unwrap();
        let page = fs::read_to_string(at(REPORT)).unwrap();
        for part in [
            "Not finished.",
            "There is nothing to draw.",
            "There are no scores.",
            "a&lt;b",
            "<td dir=\"auto\">ptv2</td>",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        let lines: String = (1..=300)
            .map(|step| format!("{{\"step\":{step},\"loss\":{},\"lr\":0.01,\"tokens\":4,\"tokens_per_second\":8.0}}\n", 300 - step))
            .collect();
        fs::write(at(METRICS), lines).unwrap();
        fs::write(at(EVALUATIONS), "{\"step\":300,\"loss\":0.5,\"accuracy\":1.0}\n").unwrap();
        write(dir.path()).unwrap();
        let page = fs::read_to_string(at(REPORT)).unwrap();
        // Three steps a point, one evaluation.
        assert_eq!(page.matches("class=\"pt\"").count(), 100 + 1 + 100, "{page}");
        assert!(page.contains("training loss 298.0000 at step 3, mean of 3"), "{page}");
        assert!(page.contains("training: from 298.0000 at step 3 to 1.0000 at step 300"), "{page}");
        assert!(page.contains("<dd dir=\"auto\">150.0</dd>"), "{page}");
    }
}
