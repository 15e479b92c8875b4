//! What the files in the folder of a run are called, beside those of its adapter.

/// The settings of the run.
pub(crate) const RUN_FILE: &str = "run.toml";
/// The settings of several runs that differ by their seed, in the folder above theirs.
pub(crate) const ENSEMBLE: &str = "ensemble.toml";
/// One JSON line per step.
pub(crate) const METRICS: &str = "metrics.jsonl";
/// One JSON line per evaluation.
pub(crate) const EVALUATIONS: &str = "evaluations.jsonl";
/// How the run ended.
pub(crate) const RESULT: &str = "result.json";
/// What its best step predicts for the validation rows.
pub(crate) const VALIDATION: &str = "validation.json";
/// The page about the run.
pub(crate) const REPORT: &str = "report.html";
/// The folder of TensorBoard's event files.
pub(crate) const TENSORBOARD: &str = "tensorboard";
/// The folder of the checkpoints.
pub(crate) const CHECKPOINTS: &str = "checkpoints";
/// The folder of the adapters of a joint run, one for each task.
pub(crate) const TASKS: &str = "tasks";
/// The key under which each of them remembers the name of its task.
pub(crate) const TASK_NAME: &str = "task_name";
/// Files of predictions that its adapter made, by the names under which they are looked for.
pub(crate) const PREDICTIONS: [&str; 3] =
    ["predictions.jsonl", "predictions.csv", "predictions.tsv"];
/// What a run, or an ensemble, writes into its folder, beside the adapter.
pub(crate) const OF_RUN: [&str; 10] = [
    RUN_FILE,
    ENSEMBLE,
    METRICS,
    EVALUATIONS,
    RESULT,
    VALIDATION,
    REPORT,
    TENSORBOARD,
    CHECKPOINTS,
    TASKS,
];
