//! What `config.json` says of the model's own head: its task, what its outputs mean, the names of its classes.

use std::collections::HashMap;

use peft_core::{Error, ProblemType, Result, Task};
use serde_json::Value;

use super::ModelConfig;

impl ModelConfig {
    /// The task of the model's own head, from `architectures`.
    pub fn task(&self) -> Option<Task> {
        let name = self.get("architectures")?.get(0)?.as_str()?;
        [
            ("ForSequenceClassification", Task::SeqCls),
            ("ForTokenClassification", Task::TokenCls),
            ("ForQuestionAnswering", Task::QuestionAns),
            ("ForConditionalGeneration", Task::Seq2SeqLm),
            ("ForCausalLM", Task::CausalLm),
            // T5 before transformers 4.
            ("T5WithLMHeadModel", Task::Seq2SeqLm),
            ("LMHeadModel", Task::CausalLm),
        ]
        .into_iter()
        .find(|(ending, _)| name.ends_with(ending))
        .map(|(_, task)| task)
    }

    /// `architectures`, joined.
    pub fn architectures(&self) -> String {
        let names = self.get("architectures").and_then(Value::as_array);
        let names = names.into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>();
        names.join(", ")
    }

    /// What the outputs of the model's own classifier of rows mean: its `problem_type` or, as in
    /// transformers, a regression if there is one output. `None` if the model classifies no rows, or
    /// the file says nothing.
    ///
    /// # Errors
    /// [`Error::Config`] for a `problem_type` that is not known.
    pub fn problem_type(&self) -> Result<Option<ProblemType>> {
        if self.task() != Some(Task::SeqCls) {
            return Ok(None);
        }
        match self.get("problem_type").filter(|value| !value.is_null()) {
            Some(value) => {
                value.as_str().unwrap_or(&value.to_string()).parse().map(Some).map_err(|error| {
                    match error {
                        Error::Setting { message, .. } => self.error("problem_type", message),
                        other => other,
                    }
                })
            }
            None => {
                let named = self.get("id2label").and_then(|map| Some(map.as_object()?.len()));
                // The names count where a config has both, as in transformers.
                let outputs = named.or(self.optional_size("num_labels")?);
                // As in transformers: one output is a score.
                Ok(outputs.filter(|outputs| *outputs == 1).map(|_| ProblemType::Regression))
            }
        }
    }

    /// The names of the classes of the model's own classifier, `id2label` in the order of the ids. `None` where they do
    /// not tell each class from the others: [`labels_fault`](Self::labels_fault) says why.
    pub fn labels(&self) -> Option<Vec<String>> {
        self.named_classes()?.ok()
    }

    /// Why `id2label`, if there is one, names no classes: one has no name, or two have the same.
    pub fn labels_fault(&self) -> Option<String> {
        self.named_classes()?.err()
    }

    fn named_classes(&self) -> Option<Result<Vec<String>, String>> {
        let map = self.get("id2label")?.as_object()?;
        let mut names: Vec<String> = Vec::with_capacity(map.len());
        let mut classes = HashMap::with_capacity(map.len());
        for id in 0..map.len() {
            let name = map.get(&id.to_string()).and_then(Value::as_str).unwrap_or_default();
            if name.is_empty() {
                return Some(Err(format!("class {id} has no name")));
            }
            if let Some(first) = classes.insert(name, id) {
                return Some(Err(format!("`{name}` is both class {first} and class {id}")));
            }
            names.push(name.to_string());
        }
        Some(Ok(names))
    }
}
