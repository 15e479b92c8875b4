//! What must be the same when a run is resumed, so that it continues as if it had never stopped.

use std::{collections::BTreeSet, path::Path};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{
    config::TrainConfig,
    joint::{Joint, is_of_task, own},
    run_context::RunContext,
    training_data::TrainingData,
};
use crate::{
    adapter::codec::hex,
    contract::method_fields::MethodFields,
    data::{Example, Target},
    error::{Error, Result},
};

/// Settings that may change: they affect what is stored, not what is computed.
const MAY_CHANGE: [&str; 2] = ["checkpoint_every", "keep_checkpoints"];

/// Settings that may grow: a run with more of them begins like one with less.
const LENGTH: [&str; 2] = ["steps", "epochs"];
const PATIENCE: &str = "patience";

/// Known only once the run has begun, and not by every version.
const BASE_SUM: &str = "weights of the base model";

/// Settings, method, base model and data of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Identity(Map<String, Value>);

impl Identity {
    /// The identity of a run.
    pub fn new(
        config: &TrainConfig,
        method: &MethodFields,
        run: &RunContext,
        data: &TrainingData<'_>,
    ) -> Self {
        let mut parts = match json!(config) {
            Value::Object(parts) => parts,
            _ => Map::new(),
        };
        parts.retain(|key, _| !MAY_CHANGE.contains(&key.as_str()));
        parts.insert("method".into(), method.method.into());
        parts.insert("method settings".into(), method.settings.clone());
        parts.insert("num_virtual_tokens".into(), method.num_virtual_tokens.into());
        parts.insert("layers".into(), json!(method.layers));
        parts.insert("base model".into(), json!(run.base_fingerprint));
        parts.insert("base weights".into(), json!(run.base_weights));
        parts.insert("compute".into(), json!(run.compute));
        parts.insert("labels".into(), json!(run.labels));
        parts.insert("training rows".into(), sum_of_rows(data.train).into());
        parts.insert("validation rows".into(), sum_of_rows(data.valid).into());
        Self(parts)
    }

    /// That of a joint run, with what there is to know of its tasks in place of what the first alone has.
    #[must_use]
    pub(super) fn of_joint(mut self, joint: &Joint<'_>) -> Self {
        let parts = &mut self.0;
        parts.retain(|key, _| !key.ends_with("rows") && !is_of_task(key));
        let names: Vec<&str> = joint.tasks.iter().map(|task| task.name.as_str()).collect();
        parts.insert("tasks".into(), json!(names));
        parts.insert("mixing".into(), json!(joint.mixing));
        parts.insert("best_metric".into(), json!(joint.best_metric));
        for task in &joint.tasks {
            let mut put = |key: &str, value: Value| {
                parts.insert(format!("{}: {key}", task.name), value);
            };
            put("weight", json!(task.weight));
            put("labels", json!(task.labels));
            put("training rows", sum_of_rows(task.data.train).into());
            put("validation rows", sum_of_rows(task.data.valid).into());
            own(&task.config).into_iter().for_each(|(key, value)| put(&key, value));
        }
        self
    }

    /// With SHA-256 of all weights of the base model.
    #[must_use]
    pub fn with_base_sum(mut self, sum: Option<&str>) -> Self {
        if let Some(sum) = sum {
            self.0.insert(BASE_SUM.into(), sum.into());
        }
        self
    }

    /// With the kind of device that computes, which processes of a run have in common, and nobody who resumes it needs to.
    #[must_use]
    pub(super) fn with_device(mut self, computes_on: bool) -> Self {
        let kind =
            if computes_on { "one that computes while the host goes on" } else { "the processor" };
        self.0.insert("device".into(), kind.into());
        self
    }

    /// `steps` and `epochs` of the run.
    pub fn length(&self) -> (Option<usize>, Option<usize>) {
        let of = |key: &str| self.number(key).and_then(|number| usize::try_from(number).ok());
        (of(LENGTH[0]), of(LENGTH[1]))
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.0.get(key).and_then(Value::as_u64)
    }

    /// What differs from that of the first of several processes that are to make one run; `None` if nothing does.
    pub(super) fn differing(&self, first: &Self) -> Option<String> {
        let keys: BTreeSet<&String> = self.0.keys().chain(first.0.keys()).collect();
        let of = |parts: &Self, key: &String| parts.0.get(key).cloned().unwrap_or_default();
        let differing: Vec<String> = keys
            .into_iter()
            .map(|key| (key, of(self, key), of(first, key)))
            .filter(|(_, own, first)| own != first)
            .map(|(key, own, first)| match key.ends_with("rows") {
                true => format!("{key} (other content)"),
                false => format!("{key} ({own}, on rank 0 {first})"),
            })
            .collect();
        (!differing.is_empty()).then(|| differing.join(", "))
    }

    /// Checks that this run is the one stored in `path`, or one that goes on with it: `is_longer` says that it has at
    /// least as many steps.
    ///
    /// # Errors
    ///
    /// [`Error::OtherRun`] naming everything that differs.
    pub fn check(&self, stored: &Self, is_longer: bool, path: &Path) -> Result<()> {
        // None at all is the most.
        let patience = |of: &Self| of.number(PATIENCE).unwrap_or(u64::MAX);
        let may_differ = |key: &str| match key {
            PATIENCE => patience(self) >= patience(stored),
            key => is_longer && LENGTH.contains(&key),
        };
        // Settings that say nothing are left out, on either side.
        let keys: BTreeSet<&String> = self.0.keys().chain(stored.0.keys()).collect();
        let of = |parts: &Self, key: &String| parts.0.get(key).cloned().unwrap_or_default();
        let differing: Vec<String> = keys
            .into_iter()
            .map(|key| (key, of(stored, key), of(self, key)))
            .filter(|(key, then, now)| then != now && !may_differ(key.as_str()))
            .filter(|(key, then, now)| *key != BASE_SUM || !(then.is_null() || now.is_null()))
            .map(|(key, then, now)| match key.ends_with("rows") {
                true => format!("{key} (other content)"),
                false => format!("{key} (then {then}, now {now})"),
            })
            .collect();
        if differing.is_empty() {
            return Ok(());
        }
        Err(Error::OtherRun { path: path.to_path_buf(), differing: differing.join(", ") })
    }
}

/// SHA-256 of everything in the examples that affects training: token ids, types and targets.
pub fn sum_of_rows(examples: &[Example]) -> String {
    let mut hash = Sha256::new();
    let mut number = |value: i64| hash.update(value.to_le_bytes());
    for example in examples {
        number(example.input_ids.len() as i64);
        example.input_ids.iter().for_each(|id| number(i64::from(*id)));
        match &example.token_type_ids {
            None => number(-1),
            Some(types) => types.iter().for_each(|kind| number(i64::from(*kind))),
        }
        if let Some(ids) = &example.decoder_input_ids {
            number(-4);
            ids.iter().for_each(|id| number(i64::from(*id)));
        }
        match &example.target {
            Target::None => number(-1),
            Target::Span { start, end } => {
                number(-5);
                [start, end].into_iter().for_each(|token| number(*token as i64));
            }
            Target::Class(class) => {
                number(-2);
                number(*class as i64);
            }
            Target::Values(values) => {
                number(-6);
                values.iter().for_each(|value| number(i64::from(value.to_bits())));
            }
            Target::Tokens(targets) => {
                number(-3);
                targets.iter().for_each(|target| number(*target));
            }
        }
    }
    hex(&hash.finalize())
}
