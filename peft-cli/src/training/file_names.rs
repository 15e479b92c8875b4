//! What the files in the folder of a run are called, beside those of its adapter.

/// The settings of the run.
pub(crate) const RUN_FILE: &str = "run.toml";
/// One JSON line per step.
pub(super) const METRICS: &str = "metrics.jsonl";
/// One JSON line per evaluation.
pub(super) const EVALUATIONS: &str = "evaluations.jsonl";
/// The folder of the checkpoints.
pub(super) const CHECKPOINTS: &str = "checkpoints";
