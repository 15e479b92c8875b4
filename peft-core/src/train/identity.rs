//! What must be the same when a run is resumed, so that it continues as if it had never stopped.

use std::{collections::BTreeSet, path::Path};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{
    base_files::{BaseFiles, differing_keys},
    config::TrainConfig,
    joint::{Joint, is_of_task, own},
    run_context::RunContext,
    training_data::TrainingData,
};
use crate::{
    adapter::codec::hex,
    contract::{frozen::FrozenModel, method_fields::MethodFields},
    data::{Example, Target},
    error::{Error, Result},
};

/// Settings that may change: they affect what is stored, not what is computed.
const MAY_CHANGE: [&str; 2] = ["checkpoint_every", "keep_checkpoints"];

/// Settings that may grow: a run with more of them begins like one with less.
const LENGTH: [&str; 2] = ["steps", "epochs"];
const PATIENCE: &str = "patience";

/// What is said of rows and files that differ.
const OTHER_CONTENT: &str = " (other content)";

/// Known only once the run has begun, and not by every version.
const BASE_SUM: &str = "weights of the base model";

/// The type of products, by its earlier name, under which runs store it; nothing is f32.
const DTYPE: &str = "compute";

/// What the base model is beside them; not known by every version.
const BASE_FILES: &str = "files of the base model";

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
        parts.insert(DTYPE.into(), json!(run.compute));
        parts.insert("labels".into(), json!(run.labels));
        parts.insert("training rows".into(), sum_of_rows(data.train).into());
        parts.insert("validation rows".into(), sum_of_rows(data.valid).into());
        if !run.base_files.is_empty() {
            parts.insert(BASE_FILES.into(), json!(run.base_files));
        }
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

    /// With the kind of device that computes, and whether gradients pass through f16 there, which processes of a run have in
    /// common, and nobody who resumes it needs to.
    #[must_use]
    pub(super) fn with_device(mut self, model: &dyn FrozenModel) -> Self {
        let kind = match model.reads_wait() {
            true => "one that computes while the host goes on",
            false => "the processor",
        };
        self.0.insert("device".into(), kind.into());
        self.0.insert("gradients in f16".into(), model.scales_loss().into());
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
        let mut differing: Vec<String> = keys
            .into_iter()
            .filter(|key| *key != BASE_FILES)
            .map(|key| (key, of(self, key), of(first, key)))
            .filter(|(_, own, first)| own != first)
            .map(|(key, own, first)| match key.ends_with("rows") {
                true => format!("{key}{OTHER_CONTENT}"),
                false => told(key, (own, first), |own, first| format!("{own}, on rank 0 {first}")),
            })
            .collect();
        let has_other_rows = differing.iter().any(|one| one.ends_with(OTHER_CONTENT));
        let on_rank_0 = |first: &str, own: &str| format!("{own}, on rank 0 {first}");
        let of_base = self.other_base(first, has_other_rows, on_rank_0);
        differing.extend(of_base.iter().map(of_the_base));
        if self.base_files().is_some() != first.base_files().is_some() {
            differing.push(format!("{BASE_FILES} (known to one of both alone)"));
        }
        (!differing.is_empty()).then(|| differing.join(", "))
    }

    /// What the base model is beside its weights, if the run knows it.
    fn base_files(&self) -> Option<BaseFiles> {
        serde_json::from_value(self.0.get(BASE_FILES)?.clone()).ok()
    }

    /// What a person should know of a base model that is not, or may not be, as when the stored run began, although
    /// [`check`](Self::check) finds nothing that differs.
    pub fn note(&self, stored: &Self) -> Option<String> {
        let now = self.base_files()?;
        let Some(then) = stored.base_files() else {
            return Some(
                "the run was begun by an earlier version, which did not keep the config of the base model: whether it is \
                 as it was then is not known"
                    .into(),
            );
        };
        let files = now.other_tokenizer_files(&then).join(", ");
        (!files.is_empty()).then(|| {
            format!(
                "{files} of the base model: not as when the run began, but the rows have the same tokens, so that it goes on"
            )
        })
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
        let mut differing: Vec<String> = keys
            .into_iter()
            .filter(|key| *key != BASE_FILES)
            .map(|key| (key, of(stored, key), of(self, key)))
            .filter(|(key, then, now)| then != now && !may_differ(key.as_str()))
            .filter(|(key, then, now)| *key != BASE_SUM || !(then.is_null() || now.is_null()))
            .map(|(key, then, now)| match key.ends_with("rows") {
                true => format!("{key}{OTHER_CONTENT}"),
                false => told(key, (then, now), |then, now| format!("then {then}, now {now}")),
            })
            .collect();
        let has_other_rows = differing.iter().any(|one| one.ends_with(OTHER_CONTENT));
        let then_and_now = |then: &str, now: &str| format!("then {then}, now {now}");
        let of_base = self.other_base(stored, has_other_rows, then_and_now);
        differing.extend(of_base.iter().map(of_the_base));
        if differing.is_empty() {
            return Ok(());
        }
        if !of_base.is_empty() {
            let files: Vec<&str> = of_base.iter().map(|(file, _)| file.as_str()).collect();
            let way_out =
                format!("; put {} back as it was to go on with this run", files.join(", "));
            if let Some(last) = differing.last_mut() {
                last.push_str(&way_out);
            }
        }
        Err(Error::OtherRun { path: path.to_path_buf(), differing: differing.join(", ") })
    }

    /// The files of the base model that are not as they were, each with what differs in it; those of the tokenizer only
    /// where rows differ, since they change nothing else. `both` says two values of a key of the config, that of `other` first.
    fn other_base(
        &self,
        other: &Self,
        has_other_rows: bool,
        both: impl Fn(&str, &str) -> String,
    ) -> Vec<(String, String)> {
        let (Some(now), Some(then)) = (self.base_files(), other.base_files()) else {
            return Vec::new();
        };
        let keys = differing_keys(&then.config, &now.config, both);
        let config =
            (!keys.is_empty()).then(|| (now.config_file.clone(), format!(": {}", keys.join(", "))));
        let tokenizer = now.other_tokenizer_files(&then).into_iter().filter(|_| has_other_rows);
        let tokenizer = tokenizer.map(|file| (file.to_string(), OTHER_CONTENT.to_string()));
        config.into_iter().chain(tokenizer).collect()
    }
}

/// A setting that differs, with `both` of its values, by the name and the values that a person gives.
fn told(
    key: &str,
    (one, other): (Value, Value),
    both: impl Fn(&Value, &Value) -> String,
) -> String {
    if key != DTYPE {
        return format!("{key} ({})", both(&one, &other));
    }
    let [one, other] = [one, other].map(|value| if value.is_null() { "f32".into() } else { value });
    format!("dtype ({})", both(&one, &other))
}

/// A file of the base model, and what differs in it.
fn of_the_base((file, what): &(String, String)) -> String {
    format!("{file} of the base model{what}")
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
