//! What is read from settings: values with their defaults, which of them are missing, and all of them as a table.

use peft_core::{Error, Result, text::FieldNames, train::TrainConfig};
use serde_json::{Map, Value};

use super::Settings;
use crate::{fields::field_names, flags::method_name::MethodName, text_settings::TextSettings};

impl Settings {
    /// The one seed of the run.
    pub fn seed(&self) -> u64 {
        self.seed.unwrap_or(TrainConfig::default().seed)
    }

    /// The names of fields that are given.
    pub fn field_names(&self) -> FieldNames {
        field_names!(self)
    }

    /// The settings of texts.
    pub fn text(&self) -> TextSettings {
        TextSettings {
            max_length: self.max_length,
            max_target_length: self.max_target_length,
            doc_stride: self.doc_stride,
            max_answer_length: self.max_answer_length,
            null_score_diff_threshold: self.null_score_diff_threshold,
            chat_template: self.chat_template.clone(),
            chat_date: self.chat_date.clone(),
            fields: self.field_names(),
        }
    }

    /// Whether an MLP makes the virtual tokens of `method` during training.
    pub fn has_projection(&self, method: MethodName) -> bool {
        let default = method.default_projection() && self.init_adapter.is_none();
        method.can_project() && self.prefix_projection.unwrap_or(default)
    }

    /// Those of a table, by their names.
    ///
    /// # Errors
    ///
    /// Returns a message that says which of them cannot be used.
    pub fn of_fields(fields: Map<String, Value>) -> std::result::Result<Self, String> {
        serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())
    }

    /// As a table, by their names.
    pub fn to_fields(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        }
    }

    /// As a TOML file.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }

    /// A required setting.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the flag.
    pub fn required<'a, T>(value: &'a Option<T>, flag: &str) -> Result<&'a T> {
        value.as_ref().ok_or_else(|| Error::setting(flag, "is required (as a flag or in --config)"))
    }

    /// The flags of the settings that a new run needs and that nobody gave.
    pub fn missing(&self) -> Vec<&'static str> {
        // Each of several tasks has its own.
        let is_joint = self.tasks.is_some();
        let needed = [
            ("--model", self.model.is_some()),
            ("--method", self.method.is_some()),
            ("--task", self.task.is_some() || is_joint),
            ("--train", self.train.is_some() || is_joint),
            ("--out", self.out.is_some()),
        ];
        needed.into_iter().filter(|(_, given)| !given).map(|(flag, _)| flag).collect()
    }
}
