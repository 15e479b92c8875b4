//! What an adapter remembers of its training.

use peft_core::text::Template;
use serde_json::json;

use super::{
    class_names,
    prepared::PreparedRun,
    started_from::{STARTED_FROM, StartedFrom},
};
use crate::{
    encoding::SORTED_LABELS,
    tasks::task_file::{COLUMNS, GROUP, METRICS, STEPS},
};

impl PreparedRun {
    /// What an adapter remembers of its training.
    pub(super) fn recipe(
        &self,
        trained_parameters: usize,
        started_from: Option<&StartedFrom>,
    ) -> serde_json::Value {
        let mut recipe = json!(self.settings);
        if let Some(fields) = recipe.as_object_mut() {
            // Where a run lay on somebody's disk is no part of how it was made.
            for place in ["model", "train", "valid", "out", "metrics_file", "init_adapter"] {
                fields.remove(place);
            }
            // A task is used as it was, wherever its file is then.
            fields.remove("data_dir");
            fields.remove("task_file");
            if let Some(file) = &self.task_file {
                fields.insert("task_file".into(), file.name.as_str().into());
                fields.insert(STEPS.into(), file.steps.to_json());
                if let Some(columns) = &file.columns {
                    fields.insert(COLUMNS.into(), columns.as_str().into());
                }
                if !file.group.is_empty() {
                    let group: Vec<&str> = file.group.iter().map(Template::as_str).collect();
                    fields.insert(GROUP.into(), json!(group));
                }
                if !file.metrics.is_empty() {
                    let names: Vec<&str> =
                        file.metrics.iter().map(|asked| asked.name.as_str()).collect();
                    fields.insert(METRICS.into(), names.join(",").into());
                }
            }
            // Nor is what changes no result: a resumed run may do it differently.
            fields.remove("recompute");
            fields.remove("cache_frozen");
            fields.remove("tensorboard");
            fields.remove("no_report");
            for (role, name) in self.found.remembered.iter() {
                fields.insert(role.setting().into(), name.into());
            }
            if let Some(template) = &self.found.source_template {
                fields.insert("source_template".into(), template.as_str().into());
            }
            // The template itself is: the adapter is used with the same one, wherever its file is then.
            fields.remove("chat_template");
            if let Some(template) = &self.chat_template {
                fields.insert("chat_template".into(), json!(template));
            }
            let sorted = self.labels.as_ref().filter(|labels| labels.is_sorted());
            if sorted.is_some_and(|labels| !class_names::are_indices(labels)) {
                fields.insert(SORTED_LABELS.into(), true.into());
            }
            fields.insert("trained_parameters".into(), json!(trained_parameters));
            if let Some(start) = started_from {
                fields.insert(STARTED_FROM.into(), json!(start));
            }
        }
        recipe
    }
}
