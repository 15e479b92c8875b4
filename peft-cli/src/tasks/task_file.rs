//! What a file says of a task.

use std::path::{Path, PathBuf};

use peft_core::{
    Error, Result, Task,
    formats::read,
    text::{Record, Steps, Template},
};
use serde::Deserialize;
use serde_json::Value;

use super::shipped::SHIPPED;
use crate::{
    fields,
    label_renames::Pairs,
    nearest::{did_you_mean, nearest},
    scoring::{Asked, Kind, Metric},
    settings::Settings,
    usage::listed,
};

/// The flag that errors name.
const FLAG: &str = "--task-file";

/// Under what an adapter's recipe remembers the steps of the task that it was trained on.
pub const STEPS: &str = "task_steps";

/// Under what it remembers the names of the columns of tables without a header, separated by commas.
pub const COLUMNS: &str = "task_columns";

/// Under what it remembers the metrics of texts, separated by commas.
pub const METRICS: &str = "task_metrics";

/// Under what it remembers the templates of groups of rows.
pub const GROUP: &str = "task_group";

/// Settings that a file may give for a kind of task, beside the names of fields.
const OF_A_KIND: [&str; 5] =
    ["source_template", "target_template", "problem_type", "best_metric", "max_target_length"];

/// A task: what its rows become, and what they are read as by each kind of task that can do it.
#[derive(Clone, Debug)]
pub struct TaskFile {
    /// Its name, that of the file.
    pub name: String,
    /// The TOML text.
    pub text: String,
    /// A few words on it.
    pub about: String,
    /// The names of its classes, or what a language model answers, separated by commas.
    pub labels: Option<String>,
    /// What the labels of its rows are called by the classes of an adapter that was trained on other data; for rows to
    /// score.
    pub rename_labels: Option<Pairs>,
    /// Metrics of the texts that are written, beside those of every text.
    pub metrics: Vec<Asked>,
    /// The field that says whether the words of a row's target are what a pronoun stands for, if they need not be.
    pub referent: Option<String>,
    /// The names of the columns of its tables that have no header, separated by commas.
    pub columns: Option<String>,
    /// What changes its rows.
    pub steps: Steps,
    /// Templates of what rows that belong together share: the first whose fields a row has counts.
    pub group: Vec<Template>,
    /// The kinds that can do it, the usual one first, with their settings.
    kinds: Vec<(Task, Settings)>,
    splits: Splits,
    /// The folder of the file, from which the folder of its data starts.
    folder: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    about: String,
    task: String,
    labels: Option<String>,
    rename_labels: Option<Pairs>,
    metric: Option<String>,
    referent: Option<String>,
    columns: Option<String>,
    #[serde(default)]
    group: Vec<String>,
    #[serde(default)]
    steps: Option<Value>,
    #[serde(default)]
    splits: Splits,
    #[serde(rename = "causal-lm")]
    causal_lm: Option<Settings>,
    #[serde(rename = "seq2seq-lm")]
    seq2seq_lm: Option<Settings>,
    #[serde(rename = "seq-cls")]
    seq_cls: Option<Settings>,
    #[serde(rename = "token-cls")]
    token_cls: Option<Settings>,
    qa: Option<Settings>,
}

/// The files of a data set, by their usual names or patterns, the first that is there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Splits {
    /// Their folder, from that of the task's file on.
    data: Option<PathBuf>,
    #[serde(default)]
    train: Vec<String>,
    #[serde(default)]
    valid: Vec<String>,
}

impl TaskFile {
    /// Whether it comes with the program.
    pub fn is_shipped(&self) -> bool {
        SHIPPED.iter().any(|(_, text)| *text == self.text)
    }

    /// The task of a TOML file, or one that comes with the program by its name.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the file, and the line, key or step that is wrong; [`Error::Read`].
    pub fn open(named: &Path) -> Result<Self> {
        if let Some((name, text)) = SHIPPED.iter().find(|(name, _)| Path::new(name) == named) {
            return Self::parse(name, text, Path::new(""));
        }
        if !is_file(named) {
            let name = named.display().to_string();
            let names = SHIPPED.iter().map(|(name, _)| *name);
            let meant = did_you_mean(nearest(&name, names));
            let message = format!(
                "found {name:?}, expected a TOML file, or a task that comes with the program (peft tasks lists them){meant}"
            );
            return Err(Error::setting(FLAG, message));
        }
        let text = read::text(named)?;
        let name = named.file_stem().unwrap_or_default().to_string_lossy();
        Self::parse(&name, &text, named)
    }

    fn parse(name: &str, text: &str, path: &Path) -> Result<Self> {
        let wrong = |message: String| {
            let place =
                if path == Path::new("") { name.to_string() } else { path.display().to_string() };
            Error::setting(FLAG, format!("{place}: {}", message.trim()))
        };
        let raw: Raw = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let usual: Task = raw.task.parse().map_err(|error: Error| wrong(error.to_string()))?;
        let steps = match &raw.steps {
            Some(steps) => Steps::parse(steps).map_err(|error| wrong(error.to_string()))?,
            None => Steps::default(),
        };
        let metrics = raw.metric.as_deref().map(text_metrics).transpose().map_err(&wrong)?;
        let parse = |text: &String| Template::parse(text, "group");
        let group = raw.group.iter().map(parse).collect::<Result<Vec<_>>>();
        if let Some(pairs) = &raw.rename_labels {
            pairs.renames().map_err(|error| wrong(error.to_string()))?;
        }
        let mut kinds: Vec<(Task, Settings)> = [
            (Task::CausalLm, raw.causal_lm),
            (Task::Seq2SeqLm, raw.seq2seq_lm),
            (Task::SeqCls, raw.seq_cls),
            (Task::TokenCls, raw.token_cls),
            (Task::QuestionAns, raw.qa),
        ]
        .into_iter()
        .filter_map(|(kind, settings)| Some((kind, settings?)))
        .collect();
        kinds.sort_by_key(|(kind, _)| *kind != usual);
        if kinds.first().is_none_or(|(kind, _)| *kind != usual) {
            return Err(wrong(format!(
                "task is {usual}, and there is no table [{usual}] that says what it reads"
            )));
        }
        let known: Vec<&str> = OF_A_KIND.into_iter().chain(fields::setting_names()).collect();
        for (kind, settings) in &kinds {
            if let Some(other) = settings.names().find(|name| !known.contains(name)) {
                let expected = known.join(", ");
                return Err(wrong(format!(
                    "[{kind}]: found `{other}`, expected one of {expected}"
                )));
            }
            for template in
                [&settings.source_template, &settings.target_template].into_iter().flatten()
            {
                Template::parse(template, "template")
                    .map_err(|error| wrong(format!("[{kind}]: {error}")))?;
            }
        }
        Ok(Self {
            name: name.to_string(),
            text: text.to_string(),
            about: raw.about,
            labels: raw.labels,
            rename_labels: raw.rename_labels,
            metrics: metrics.unwrap_or_default(),
            referent: raw.referent,
            columns: raw.columns,
            steps,
            group: group.map_err(|error| wrong(error.to_string()))?,
            kinds,
            splits: raw.splits,
            folder: path.parent().unwrap_or(Path::new("")).to_path_buf(),
        })
    }

    /// The kinds that can do it, the usual one first.
    pub fn kinds(&self) -> impl Iterator<Item = Task> {
        self.kinds.iter().map(|(kind, _)| *kind)
    }

    /// The kind where nobody says which.
    pub fn usual(&self) -> Task {
        self.kinds.first().map_or(Task::CausalLm, |(kind, _)| *kind)
    }

    /// What a kind reads.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if the file does not say it.
    pub fn settings(&self, kind: Task) -> Result<&Settings> {
        let found = self.kinds.iter().find(|(known, _)| *known == kind);
        found.map(|(_, settings)| settings).ok_or_else(|| {
            let known: Vec<String> = self.kinds().map(|kind| kind.to_string()).collect();
            let known = listed(&known, "or");
            Error::setting("--task", format!("found {kind}, the task {} is for {known}", self.name))
        })
    }

    /// What the rows that a row belongs to share, if rows belong together and it has the fields.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] for a field that is no text or number.
    pub fn group_of(&self, record: &Record) -> Result<Option<String>> {
        group_of(&self.group, record)
    }

    /// The files of its data in a folder, or in its own: to train on, and to validate on if there are any.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if it names none, or none is there.
    pub fn data(&self, folder: Option<&Path>) -> Result<Option<(PathBuf, Option<PathBuf>)>> {
        let own = || self.splits.data.as_ref().map(|data| self.folder.join(data));
        let Some(folder) = folder.map(Path::to_path_buf).or_else(own) else { return Ok(None) };
        let find = |names: &[String]| {
            names.iter().map(|name| folder.join(name)).find(|path| is_there(path))
        };
        let train = find(&self.splits.train).ok_or_else(|| {
            let names = match self.splits.train.as_slice() {
                [] => format!("but the task {} names no files", self.name),
                names => format!("which has none of {}", names.join(", ")),
            };
            Error::setting("--data-dir", format!("found {}, {names}", folder.display()))
        })?;
        Ok(Some((train, find(&self.splits.valid))))
    }
}

/// The metrics of texts in a list, by name.
///
/// # Errors
///
/// Returns what is wrong with one of them.
pub fn text_metrics(list: &str) -> std::result::Result<Vec<Asked>, String> {
    let of_text = |name: &str| -> std::result::Result<Asked, String> {
        let asked: Asked =
            name.parse().map_err(|message| format!("metric: found `{name}`, {message}"))?;
        match asked.metric.kind() == Kind::Text && asked.metric != Metric::Meteor {
            true => Ok(asked),
            false => {
                let names = Metric::names(Kind::Text).join(", ");
                Err(format!("metric: found `{name}`, expected metrics of texts: {names}"))
            }
        }
    };
    list.split(',').map(|name| of_text(name.trim())).collect()
}

/// What the first of some templates makes of a row whose fields it has.
///
/// # Errors
///
/// [`Error::Data`] for a field that is no text or number.
pub fn group_of(templates: &[Template], record: &Record) -> Result<Option<String>> {
    let is_there = |template: &&Template| {
        let is_text = |name| record.optional(name).is_some_and(|value| !value.is_object());
        template.required_fields().all(is_text)
    };
    templates.iter().find(is_there).map(|template| template.render(record)).transpose()
}

/// Whether `--task-file` names a file, rather than a task that comes with the program.
pub fn is_file(named: &Path) -> bool {
    let is_toml = named.extension().is_some_and(|extension| extension == "toml");
    is_toml || named.components().count() > 1 || named.is_file()
}

/// Whether a file, or one that a pattern with a star means, is there.
fn is_there(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some((start, end)) = name.split_once('*') else { return path.exists() };
    let entries = path.parent().and_then(|folder| folder.read_dir().ok());
    let mut names = entries.into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.any(|name| {
        let name = name.to_string_lossy();
        name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_shipped_task_is_read() {
        let mut names: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        assert_eq!(names, SHIPPED.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        for (name, text) in SHIPPED {
            let task = TaskFile::open(Path::new(name)).unwrap();
            assert!(!task.about.is_empty() && task.text == *text, "{name}");
            for kind in task.kinds() {
                let settings = task.settings(kind).unwrap();
                assert_eq!(
                    settings.target_template.is_some(),
                    kind.is_language_model(),
                    "{name}: {kind}"
                );
            }
            assert!(!task.splits.train.is_empty() && !task.splits.valid.is_empty(), "{name}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_used_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let of = |text: &str| {
            let path = dir.path().join("own.toml");
            fs::write(&path, text).unwrap();
            TaskFile::open(&path).unwrap_err().to_string()
        };
        for (text, says) in [
            ("task = \"seq-cls\"", "there is no table [seq-cls]"),
            ("task = \"cls\"\n[seq-cls]", "cls"),
            ("tasks = \"seq-cls\"", "unknown field `tasks`"),
            (
                "task = \"seq-cls\"\n[seq-cls]\nlr = 1.0",
                "[seq-cls]: found `lr`, expected one of source_template",
            ),
            ("task = \"seq-cls\"\n[seq-cls]\nsource_template = \"{\"", "`{`, character 1"),
            ("task = \"seq-cls\"\nsteps = [{ech = 1}]\n[seq-cls]", "step 1: unknown variant `ech`"),
            ("task = \"qa\"\nmetric = \"blue\"\n[qa]", "metric: found `blue`, expected one of"),
            (
                "task = \"qa\"\nmetric = \"f1\"\n[qa]",
                "metric: found `f1`, expected metrics of texts",
            ),
            (
                "task = \"qa\"\n[rename_labels]\na = \"b\"\n\" a\" = \"c\"\n[qa]",
                "two new names for the label `a`",
            ),
            ("task = ", "own.toml"),
        ] {
            let error = of(text);
            assert!(error.starts_with("--task-file: ") && error.contains(says), "{error}");
        }
        let unknown = TaskFile::open(Path::new("superglue-bolq")).unwrap_err().to_string();
        assert!(unknown.ends_with("did you mean superglue-boolq?"), "{unknown}");
        assert!(matches!(TaskFile::open(&dir.path().join("none.toml")), Err(Error::Read { .. })));
    }

    #[test]
    fn files_of_a_folder_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let task = TaskFile::open(Path::new("superglue-rte")).unwrap();
        assert!(task.data(None).unwrap().is_none());
        let error = task.data(Some(dir.path())).unwrap_err().to_string();
        assert!(error.contains("which has none of train.jsonl, train-*.parquet"), "{error}");
        fs::write(dir.path().join("train-00000.parquet"), "").unwrap();
        let (train, valid) = task.data(Some(dir.path())).unwrap().unwrap();
        assert_eq!((train, valid), (dir.path().join("train-*.parquet"), None));
        let own = dir.path().join("own.toml");
        fs::write(&own, "task = \"qa\"\n[splits]\ndata = \".\"\ntrain = [\"a.json\"]\n[qa]")
            .unwrap();
        fs::write(dir.path().join("a.json"), "").unwrap();
        let task = TaskFile::open(&own).unwrap();
        assert_eq!(task.data(None).unwrap().unwrap().0, dir.path().join(".").join("a.json"));
    }
}
