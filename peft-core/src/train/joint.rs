//! Several tasks on one set of virtual tokens, each with a head of its own (the multi-task learning of P-tuning v2, Liu
//! et al. 2021, [arXiv 2110.07602](https://arxiv.org/abs/2110.07602), section 4.3 and table 3).
//!
//! With L_t the mean loss over the targets of task t in a step, w_t its weight, and k_t of the step's k places
//! (`accumulation`) those that have a batch of it, a step learns
//!
//! ```text
//! L = sum over t of  k_t / k * w_t * L_t
//! ```
//!
//! With [`Mixing::All`] k_t = k, and L is the weighted sum of the tasks' losses. A head learns from its own task alone; a
//! step without a batch of it leaves it, and its moments, as they are.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    best_metric::BestMetric,
    config::TrainConfig,
    export::{About, adapter_of},
    mixing::Mixing,
    run_context::RunContext,
    trainable::Trainable,
    training_data::TrainingData,
};
use crate::{
    adapter::Adapter,
    contract::{frozen::FrozenModel, method::PeftMethod},
    data::Labels,
    error::{Error, Result},
    metrics::Metrics,
};

/// The mean of the scores by which the tasks are judged, among the scores of a joint run. Of scores that are better low it
/// is called by them, too, as in `mean.loss`, so that [`BestMetric::named`] tells which way it is better.
pub const MEAN: &str = "mean";

/// The weighted sum of the losses of the tasks, among the scores of a joint run.
const LOSS: &str = "loss";

/// Letters of a task's name at most: every file system has folders with such names.
const LONGEST_NAME: usize = 100;

/// Settings that each task has its own of; of the others there is one in a run.
const OF_TASK: [&str; 9] = [
    "task",
    "problem_type",
    "class_weights",
    "label_smoothing",
    "best_metric",
    "pooling",
    "max_answer_length",
    "null_score_diff_threshold",
    "packed_length",
];

/// Checks the names of tasks: they differ, and consist of letters, digits, `-` and `_`, at most 100 of them.
///
/// # Errors
///
/// [`Error::Setting`] naming the one that cannot be used.
pub fn check_names<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<()> {
    let mut known = BTreeSet::new();
    for name in names {
        let refuse = |why: &str| Err(Error::setting("name", format!("found {name:?}, {why}")));
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) {
            return refuse("expected letters, digits, - and _, since a folder is called so");
        }
        if name.len() > LONGEST_NAME {
            return refuse(&format!(
                "which has {} letters, expected at most {LONGEST_NAME}, since a folder is called so",
                name.len()
            ));
        }
        if name == MEAN || name == LOSS {
            return refuse("which is a score of all tasks: choose another name");
        }
        // Some file systems take upper and lower case for the same.
        if !known.insert(name.to_ascii_lowercase()) {
            return refuse("and two tasks are called so: choose another name");
        }
    }
    Ok(())
}

/// One of the tasks of a joint run.
#[derive(Clone, Debug)]
pub struct JointTask<'a> {
    /// Its name: letters, digits, `-` and `_`. Scores and adapters are called by it.
    pub name: String,
    /// The settings of the run, with those of this task: kind of task and of problem, class weights, label smoothing,
    /// pooling, the score by which it is judged, and those of answers.
    pub config: TrainConfig,
    /// Names of its classes.
    pub labels: Option<Labels>,
    /// How much its mean loss counts, above 0; 1 for all makes their sum.
    pub weight: f64,
    /// Its rows.
    pub data: TrainingData<'a>,
    /// How its adapter is trained, for the record.
    pub recipe: Value,
}

impl JointTask<'_> {
    /// The score by which it is judged.
    pub fn best_metric(&self) -> BestMetric {
        self.config.best_metric(self.labels.as_ref())
    }

    /// What a score of it is called among those of all tasks.
    fn score_name(&self, name: &str) -> String {
        format!("{}.{name}", self.name)
    }

    /// Its own scores, out of those of all tasks.
    pub fn scores(&self, of_all: &Metrics) -> Metrics {
        let prefix = self.score_name("");
        of_all
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(&prefix)?, value)))
            .collect()
    }
}

/// The tasks of a joint run.
#[derive(Clone, Debug)]
pub struct Joint<'a> {
    /// The tasks, at least one.
    pub tasks: Vec<JointTask<'a>>,
    /// How their batches are mixed.
    pub mixing: Mixing,
    /// The score that determines the best step: [`MEAN`] (also where that is called `mean.loss`), `loss`, a task's name for
    /// the score by which that is judged, or a score of it, as in `ner.f1`. Default [`MEAN`].
    pub best_metric: Option<String>,
}

/// What a joint run has made.
#[derive(Clone, Debug)]
pub struct JointAdapters {
    /// The shared virtual tokens without a head: what a run on another task can start from.
    pub shared: Adapter,
    /// The adapter of each task, in their order: the shared virtual tokens and its head.
    pub tasks: Vec<Adapter>,
}

impl Joint<'_> {
    /// The settings that all tasks share.
    pub(super) fn config(&self) -> Result<&TrainConfig> {
        let first = self.tasks.first();
        let first =
            first.ok_or_else(|| Error::setting("tasks", "found none, expected at least one"));
        Ok(&first?.config)
    }

    /// Checks what concerns several tasks; the tasks themselves are checked one by one.
    pub(super) fn check(&self) -> Result<()> {
        let shared = shared(self.config()?);
        check_names(self.tasks.iter().map(|task| task.name.as_str()))?;
        for task in &self.tasks {
            let name = &task.name;
            let refuse = |what: &str, message: String| {
                Err(Error::setting(what, format!("task {name}: {message}")))
            };
            if !(task.weight.is_finite() && task.weight > 0.0) {
                return refuse(
                    "weight",
                    format!("found {}, expected a number above 0", task.weight),
                );
            }
            let own = self::shared(&task.config);
            let keys: BTreeSet<&String> = own.keys().chain(shared.keys()).collect();
            if let Some(key) = keys.into_iter().find(|key| own.get(*key) != shared.get(*key)) {
                let first = &self.tasks[0].name;
                return refuse(
                    key,
                    format!("differs from that of {first}, and all tasks share one"),
                );
            }
            if task.config.task.has_head() != self.tasks[0].config.task.has_head() {
                let (this, that) = (task.config.task, self.tasks[0].config.task);
                let message = format!(
                    "found {this} beside {that}: tasks with a head and language models have no run together"
                );
                return refuse("task", message);
            }
        }
        self.mixing.validate()
    }

    /// The score that determines the best step.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if there is none of that name, or the tasks' scores have no mean.
    pub fn best_metric(&self) -> Result<BestMetric> {
        let refuse = |message: String| Err(Error::setting("best_metric", message));
        let scored = || self.tasks.iter().filter(|task| !task.data.valid.is_empty());
        let wanted = self.best_metric.as_deref().unwrap_or(MEAN);
        if wanted == LOSS {
            return Ok(BestMetric { name: LOSS.into(), maximise: false });
        }
        let each: Vec<BestMetric> = scored().map(JointTask::best_metric).collect();
        let mean = mean_of(&each);
        if let Some(mean) = mean.as_ref().filter(|mean| wanted == MEAN || wanted == mean.name) {
            return Ok(mean.clone());
        }
        if wanted == MEAN {
            let named: Vec<&str> = each.iter().map(|best| best.name.as_str()).collect();
            return refuse(format!(
                "the tasks are judged by {}, of which some are better high and some low: they have no mean; give \
                 `{LOSS}` or the name of a task",
                named.join(", ")
            ));
        }
        let (name, score) = wanted.split_once('.').map_or((wanted, None), |(a, b)| (a, Some(b)));
        let Some(task) = scored().find(|task| task.name == name) else {
            let known: Vec<&str> = scored().map(|task| task.name.as_str()).collect();
            return refuse(format!(
                "found `{wanted}`, expected {MEAN}, {LOSS}, or a task with validation rows, alone or with one of its \
                 scores ({})",
                known.join(", ")
            ));
        };
        let best = score.map_or_else(|| task.best_metric(), BestMetric::named);
        Ok(BestMetric { name: task.score_name(&best.name), ..best })
    }

    /// The scores of all tasks in one set, from those of each that has validation rows.
    pub(super) fn scores_of_all(&self, of_tasks: &[Option<Metrics>]) -> Result<Metrics> {
        let (mut loss, mut sum) = (0.0, 0.0);
        let mut judged = Vec::new();
        let mut each = Metrics::new();
        for (task, scores) in self.tasks.iter().zip(of_tasks) {
            let Some(scores) = scores else { continue };
            loss += task.weight * scores.get(LOSS).unwrap_or(f64::NAN);
            let best = task.best_metric();
            sum += best.read(scores)?;
            judged.push(best);
            each.extend(scores.iter().map(|(name, value)| (task.score_name(name), value)));
        }
        let mut all = Metrics::from_iter([(LOSS, loss)]);
        if let Some(mean) = mean_of(&judged).filter(|_| !judged.is_empty()) {
            all.insert(mean.name, sum / judged.len() as f64);
        }
        all.extend(each.iter());
        Ok(all)
    }

    /// The adapters of what [`train_joint`](super::train_joint) has learnt, with its scores.
    ///
    /// # Errors
    ///
    /// As for [`adapter_of`], and [`RunContext::about`].
    pub fn adapters<M: PeftMethod>(
        &self,
        trainable: &Trainable<M>,
        scores: Option<&Metrics>,
        model: &dyn FrozenModel,
        run: &RunContext,
    ) -> Result<JointAdapters> {
        let about = run.about(self.config()?, scores)?;
        let shared = adapter_of(&Trainable::new(trainable.method.clone(), None), model, &about)?;
        let of_task = |(index, task): (usize, &JointTask<'_>)| {
            let scores = scores.map(|all| task.scores(all)).filter(|scores| !scores.is_empty());
            let about = About {
                labels: task.labels.clone(),
                recipe: task.recipe.clone(),
                ..run.about(&task.config, scores.as_ref())?
            };
            adapter_of(&trainable.of_task(index), model, &about)
        };
        let tasks = self.tasks.iter().enumerate().map(of_task).collect::<Result<_>>()?;
        Ok(JointAdapters { shared, tasks })
    }
}

/// The mean of the scores by which tasks are judged; `None` where some are better high and some low.
fn mean_of(judged: &[BestMetric]) -> Option<BestMetric> {
    let Some(first) = judged.first() else {
        return Some(BestMetric { name: MEAN.into(), maximise: true });
    };
    if judged.iter().any(|best| best.maximise != first.maximise) {
        return None;
    }
    let name = match (first.maximise, judged.iter().all(|best| best.name == first.name)) {
        (true, _) => MEAN.to_string(),
        (false, true) => format!("{MEAN}.{}", first.name),
        (false, false) => format!("{MEAN}.{LOSS}"),
    };
    Some(BestMetric { name, maximise: first.maximise })
}

/// The settings that all tasks of a run share, by name.
fn shared(config: &TrainConfig) -> Map<String, Value> {
    of_config(config, false)
}

/// The settings that a task has of its own, by name.
pub(super) fn own(config: &TrainConfig) -> Map<String, Value> {
    of_config(config, true)
}

fn of_config(config: &TrainConfig, of_task: bool) -> Map<String, Value> {
    let Value::Object(mut all) = json!(config) else { return Map::new() };
    all.retain(|key, _| is_of_task(key) == of_task);
    all
}

/// Whether each task has its own of a setting.
pub(super) fn is_of_task(key: &str) -> bool {
    OF_TASK.contains(&key)
}
