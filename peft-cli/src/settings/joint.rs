//! The settings of a joint run and of its tasks, put together.

use peft_core::{Error, Result, train::Mixing};

use super::{
    Settings,
    resolve::{check_needs_valid, resolve},
    tasks::{NAME, NamedTask, WEIGHT},
};
use crate::{
    data_files::is_standard_input,
    fields,
    flags::{choices::MIXING, method_name::MethodName},
    nearest::{did_you_mean, nearest},
    recipes::layer::complete,
};

/// Settings that a task may have of its own, beside the names of fields; of the others there is one in a run.
const OF_A_TASK: [&str; 24] = [
    "task",
    "task_file",
    "data_dir",
    "train",
    "valid",
    "valid_split",
    "train_rows",
    "class_weights",
    "label_smoothing",
    "best_metric",
    "max_length",
    "max_target_length",
    "doc_stride",
    "max_answer_length",
    "null_score_diff_threshold",
    "columns",
    "source_template",
    "target_template",
    "chat_template",
    "chat_date",
    "problem_type",
    "labels",
    "skip_unlabelled",
    "pooling",
];

/// The names of all settings that a task may have of its own.
fn of_a_task() -> impl Iterator<Item = &'static str> {
    OF_A_TASK.into_iter().chain(fields::setting_names())
}

/// What each task has to have of its own.
const NEVER_SHARED: [(&str, &str); 5] = [
    ("train", "--train"),
    ("valid", "--valid"),
    ("task_file", "--task-file"),
    ("data_dir", "--data-dir"),
    ("labels", "--labels"),
];

/// What is of the run as a whole, not of one of its tasks.
const OF_THE_WHOLE: [&str; 6] =
    ["tasks", "task_mixing", "task_temperature", "best_metric", "eval_every", "patience"];

/// A task of a joint run, with its settings.
#[derive(Clone, Debug)]
pub struct JointTask {
    /// Its name.
    pub name: String,
    /// How much its loss counts.
    pub weight: f64,
    /// Its settings.
    pub settings: Settings,
}

impl JointTask {
    /// The task of a table, whose settings are those that it gives.
    fn of(table: &NamedTask) -> Result<Self> {
        let NamedTask { name, weight, own } = table;
        let refuse = |message: String| Err(Error::setting("--tasks", message));
        if let Some(key) = own.keys().find(|key| !of_a_task().any(|name| name == *key)) {
            if Settings::NAMES.contains(&key.as_str()) {
                return refuse(format!(
                    "`{key}` of the task {name}: all tasks share one, so it stands above [[tasks]] or is a flag"
                ));
            }
            let meant = did_you_mean(
                nearest(key, of_a_task().chain([NAME, WEIGHT])).map(|known| format!("`{known}`")),
            );
            return refuse(format!("`{key}` of the task {name} is no setting{meant}"));
        }
        match Settings::of_fields(own.clone()) {
            Ok(settings) => {
                Ok(Self { name: name.clone(), weight: weight.unwrap_or(1.0), settings })
            }
            Err(message) => refuse(format!("the task {name}: {message}")),
        }
    }
}

/// The settings of a joint run, defaults filled in.
#[derive(Clone, Debug)]
pub struct JointSettings {
    /// Those of the run.
    pub run: Settings,
    /// Those of each task: its own, completed by those of the run.
    pub tasks: Vec<JointTask>,
}

/// Fills in every default that does not depend on the data, for the run and for each of its tasks.
///
/// # Errors
///
/// [`Error::Setting`] naming the flag, and the task.
pub fn resolve_joint(given: Settings) -> Result<JointSettings> {
    let tables = Settings::required(&given.tasks, "--tasks")?;
    let tasks = tables.0.iter().map(JointTask::of).collect::<Result<Vec<_>>>()?;
    if let Some((_, flag)) = NEVER_SHARED.iter().find(|(name, _)| given.has(name)) {
        return Err(Error::setting(*flag, "not used with --tasks: each of them has its own"));
    }
    if given.method == Some(MethodName::Head) {
        let message = "head: has no virtual tokens, which are what tasks share";
        return Err(Error::setting("--method", message));
    }
    mixing(&given)?;
    check_one_input(&tasks)?;
    let of_task = |task: &JointTask, run: &Settings| -> Result<Settings> {
        let mut shared = run.clone();
        OF_THE_WHOLE.iter().for_each(|name| shared.unset(name));
        let all = task.settings.clone().or(shared);
        complete(all).and_then(resolve).map_err(|error| in_task(&task.name, error))
    };
    let first = tasks.first().ok_or_else(|| Error::setting("--tasks", "found none"))?;
    // What depends on the method and on having a head is the same for all.
    let mut filled = of_task(first, &given)?;
    of_a_task().for_each(|name| filled.unset(name));
    let run = given.or(filled);
    let resolved = tasks.iter().map(|task| -> Result<JointTask> {
        let settings = of_task(task, &run)?;
        Ok(JointTask { settings, ..task.clone() })
    });
    let tasks = resolved.collect::<Result<Vec<_>>>()?;
    check_needs_valid(&run, tasks.iter().any(|task| task.settings.has_valid()))?;
    Ok(JointSettings { run, tasks })
}

/// Refuses standard input in two places: it is read once.
fn check_one_input(tasks: &[JointTask]) -> Result<()> {
    let rows = |task: &JointTask| [task.settings.train.clone(), task.settings.valid.clone()];
    let reads = |task: &JointTask| {
        rows(task).iter().flatten().filter(|names| is_standard_input(names)).count()
    };
    let mut earlier = 0;
    for task in tasks {
        earlier += reads(task);
        if earlier > 1 {
            let message = "found -, standard input, which is read already: give a file";
            return Err(in_task(&task.name, Error::setting("--train", message)));
        }
    }
    Ok(())
}

/// How the batches of the tasks are mixed.
///
/// # Errors
///
/// [`Error::Setting`] naming the flag.
pub fn mixing(settings: &Settings) -> Result<Mixing> {
    let name = settings.task_mixing.as_deref();
    let found = name.map_or(Ok(Mixing::default()), |name| MIXING.parse(name))?;
    let Some(temperature) = settings.task_temperature else { return Ok(found) };
    if !matches!(found, Mixing::Drawn { .. }) {
        let message = "used by --task-mixing drawn alone, which draws tasks by their sizes";
        return Err(Error::setting("--task-temperature", message));
    }
    let found = Mixing::Drawn { temperature };
    match found.validate() {
        Err(Error::Setting { message, .. }) => Err(Error::setting("--task-temperature", message)),
        other => other.map(|()| found),
    }
}

/// Says of which task a setting is wrong.
pub fn in_task(name: &str, error: Error) -> Error {
    match error {
        Error::Setting { setting, message } => {
            Error::setting(setting, format!("task {name}: {message}"))
        }
        Error::Mismatch(message) => Error::Mismatch(format!("task {name}: {message}")),
        // `--labels` is for a run of one task.
        Error::UnknownClass { path, line, message } => Error::UnknownClass {
            path,
            line,
            message: format!(
                "{message} (with --tasks as `labels` in the table of the task {name})"
            ),
        },
        other => other,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use peft_core::Task;

    use super::*;

    const TWO: &str = "[[tasks]]\nname = \"a\"\ntask = \"token-cls\"\ntrain = \"a.jsonl\"\nvalid = [\"b\", \"c\"]\n\
                       [[tasks]]\nname = \"b\"\ntask = \"seq-cls\"\ntrain = \"d\"\nweight = 0.5\nmax_length = 9\n";

    fn given(text: &str) -> Settings {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn an_unknown_class_of_a_task_names_the_key_of_its_table() {
        let error = Error::unknown_class(std::path::Path::new("v.jsonl"), 3, "no: set `labels`");
        assert_eq!(
            in_task("a", error).to_string(),
            "v.jsonl, line 3: no: set `labels` (with --tasks as `labels` in the table of the task a)"
        );
    }

    #[test]
    fn tasks_come_back_from_toml() {
        let found = given(&format!("lr = 0.1\nmodel = \"m\"\n{TWO}"));
        let tasks = &found.tasks.as_ref().unwrap().0;
        assert_eq!((tasks[0].name.as_str(), tasks[0].weight), ("a", None));
        assert_eq!(tasks[1].weight, Some(0.5));
        assert_eq!(tasks[1].own["task"], Task::SeqCls.name());
        let again: Settings = toml::from_str(&found.to_toml()).unwrap();
        assert_eq!(again, found, "{}", found.to_toml());
    }

    #[test]
    fn a_task_has_its_own_settings_and_those_of_the_run() {
        let text = format!(
            "model = \"m\"\nmethod = \"ptv2\"\nlr = 0.1\nsteps = 5\nmax_length = 7\neval_every = 2\nbest_metric = \"a\"\n{TWO}"
        );
        let JointSettings { run, tasks } = resolve_joint(given(&text)).unwrap();
        assert_eq!((run.lr, run.steps, run.seed), (Some(0.1), Some(5), Some(0)));
        assert_eq!((run.task, run.max_length, run.eval_every), (None, Some(7), Some(2)));
        assert_eq!(run.best_metric.as_deref(), Some("a"));
        assert_eq!(run.head_lr, Some(0.1));
        let lengths: Vec<_> = tasks.iter().map(|task| task.settings.max_length).collect();
        assert_eq!(lengths, [Some(7), Some(9)]);
        for task in &tasks {
            assert_eq!((task.settings.lr, task.settings.head_lr), (run.lr, run.head_lr));
            assert_eq!((&task.settings.best_metric, task.settings.eval_every), (&None, None));
        }
        // As a resumed run does.
        assert_eq!(resolve_joint(run.clone()).unwrap().run, run);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_task() {
        let refused = |text: &str| resolve_joint(given(text)).unwrap_err().to_string();
        let run = "model = \"m\"\nmethod = \"ptv2\"\n";
        let table = |text: &str| format!("{run}[[tasks]]\nname = \"a\"\n{text}");
        for (text, says) in [
            (table("lr = 1"), "`lr` of the task a: all tasks share one"),
            (table("trian = 1"), "is no setting; did you mean `train`?"),
            (table("max_length = \"x\""), "the task a: "),
            (format!("{run}train = \"x\"\n{TWO}"), "--train: not used with --tasks"),
            (format!("model = \"m\"\nmethod = \"head\"\n{TWO}"), "--method: head: has no virtual"),
            (format!("{run}task_temperature = 2\n{TWO}"), "--task-temperature: used by"),
            (
                format!("{run}task_mixing = \"drawn\"\ntask_temperature = 0\n{TWO}"),
                "--task-temperature: found 0",
            ),
            (format!("{run}task_mixing = \"drwan\"\n{TWO}"), "did you mean drawn?"),
            (
                format!("{run}[[tasks]]\nname = \"a\"\ntask = \"qa\""),
                "--train: task a: is required",
            ),
            (format!("{run}[[tasks]]\nname = \"a\"\ntrain = \"x\""), "--task: task a: is required"),
            (
                format!("{run}{}", TWO.replace("weight = 0.5", "best_metric = \"f1\"")),
                "--best-metric: task b: needs validation rows",
            ),
            (
                format!("{run}patience = 2\n{}", TWO.replace("valid = [\"b\", \"c\"]\n", "")),
                "--patience: needs validation rows",
            ),
        ] {
            assert!(refused(&text).contains(says), "{text}: {}", refused(&text));
        }
    }
}
