//! Rows without what they are learnt by and scored with: a label, tags, a target, answers.

use std::path::Path;

use serde_json::Value;

use super::{EncoderConfig, qa::says_answers, texts::is_text};
use crate::{
    contract::task::Task,
    error::Error,
    text::{
        fields::Role,
        labels::{ONLY_PREDICTED, has_other_reason, is_unlabelled},
        record::Record,
    },
};

impl EncoderConfig {
    /// Whether a row is left out, since it has nothing to be learnt by, and the settings say that such rows are
    /// (`skip_unlabelled`).
    pub fn leaves_out(&self, record: &Record) -> bool {
        self.skip_unlabelled && self.targets && self.teaches_nothing(record)
    }

    /// Whether a row has nothing to be learnt by: no label ([`is_unlabelled`]); no tags, no target, or of a language
    /// model's text no text, where none is a field that is missing, `null` or blank; no word on its answers, where
    /// `null` says that there are none; of token ids no `labels` or positions. A conversation is no such row.
    pub(super) fn teaches_nothing(&self, record: &Record) -> bool {
        let lacks = |key: &str| {
            record.optional(key).is_none_or(|value| match value {
                Value::String(text) => text.trim().is_empty(),
                _ => false,
            })
        };
        let key = self.fields.name(self.taught().0);
        match self.task {
            Task::SeqCls => is_unlabelled(record, key, self.problem_type, self.labels.as_ref()),
            Task::QuestionAns if record.is_ids() => {
                lacks("start_positions") || lacks("end_positions")
            }
            Task::QuestionAns => !says_answers(record, key),
            _ if record.is_ids() => lacks("labels"),
            Task::TokenCls => lacks(key),
            Task::CausalLm if self.is_conversation(record) => false,
            Task::CausalLm if is_text(self, record) => lacks(self.fields.name(Role::Text)),
            Task::CausalLm | Task::Seq2SeqLm => match &self.target_template {
                Some(template) => {
                    template.required_fields().any(|field| !record.has(field))
                        || template.render(record).is_ok_and(|text| text.trim().is_empty())
                }
                None => {
                    let is_empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
                    lacks(key) || record.optional(key).is_some_and(is_empty)
                }
            },
        }
    }

    /// What rows are learnt by: the role of its field, and what it is called.
    fn taught(&self) -> (Role, &'static str) {
        match self.task {
            Task::SeqCls => (Role::Label, "a label"),
            Task::TokenCls => (Role::Tags, "tags"),
            Task::QuestionAns => (Role::Answers, "answers"),
            Task::CausalLm | Task::Seq2SeqLm => (Role::Target, "a target"),
        }
    }

    /// An error about a row, with the way out where it has nothing to be learnt by. Where the file hints at another reason
    /// for a missing field, that one stands.
    pub(super) fn with_way_out(&self, error: Error, record: &Record) -> Error {
        let (role, what) = self.taught();
        let is_other = has_other_reason(record, self.fields.name(role));
        match error {
            Error::Data { path, line, message }
                if self.targets && !is_other && self.teaches_nothing(record) =>
            {
                let message =
                    format!("{message}; set `skip_unlabelled` to leave rows without {what} out");
                Error::Data { path, line, message }
            }
            other => other,
        }
    }

    /// The error of a file none of whose rows has what they are learnt by.
    pub(super) fn none_teaches(&self, path: &Path) -> Error {
        let (role, what) = self.taught();
        let message = match &self.target_template {
            Some(template) => format!(
                "no row has {what}, which `target_template` makes of its fields ({template}): {ONLY_PREDICTED}"
            ),
            None => {
                let of_ids = match role {
                    Role::Tags | Role::Target => " (beside token ids in `labels`)",
                    _ => "",
                };
                format!(
                    "no row has {what} in field `{}`{of_ids}; set `{}` to the field that has them: {ONLY_PREDICTED}",
                    self.fields.name(role),
                    role.setting()
                )
            }
        };
        Error::file(path, message)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::text::{
        encode::tests::{labels, one, refusal, rows},
        template::Template,
        tokenizer::tests::{llama_like, word_piece},
    };

    fn config(task: Task) -> EncoderConfig {
        let base = EncoderConfig {
            eos: Some(2),
            decoder_start: Some(2),
            pad: Some(0),
            labels: labels(&["O", "x"]).filter(|_| task == Task::TokenCls),
            ..EncoderConfig::new(task, if task.is_language_model() { 8 } else { 14 })
        };
        EncoderConfig { skip_unlabelled: true, ..base }
    }

    /// For each task a row, the field by which it is learnt, and what stands for none there.
    fn cases() -> Vec<(Task, Value, &'static str, Vec<Value>)> {
        let none = || vec![json!(null), json!("")];
        vec![
            (
                Task::CausalLm,
                json!({"source": "a", "target": "b"}),
                "target",
                vec![json!(null), json!(""), json!([])],
            ),
            (Task::CausalLm, json!({"input_ids": [1, 2], "labels": [1, 2]}), "labels", none()),
            (Task::CausalLm, json!({"text": "a"}), "text", none()),
            (Task::Seq2SeqLm, json!({"source": "a", "target": "b"}), "target", none()),
            (Task::Seq2SeqLm, json!({"input_ids": [1], "labels": [1]}), "labels", none()),
            (Task::TokenCls, json!({"tokens": ["cat"], "tags": ["x"]}), "tags", none()),
            (Task::TokenCls, json!({"input_ids": [1], "labels": [1]}), "labels", none()),
            (
                Task::QuestionAns,
                json!({"question": "the cat", "context": "the cat", "answers": {"text": ["cat"], "answer_start": [4]}}),
                "answers",
                vec![json!(" ")],
            ),
            (
                Task::QuestionAns,
                json!({"input_ids": [1, 2], "start_positions": 0, "end_positions": 1}),
                "end_positions",
                none(),
            ),
        ]
    }

    #[test]
    fn blank_targets_are_learnt_and_counted() {
        for task in [Task::CausalLm, Task::Seq2SeqLm] {
            let strict = EncoderConfig { skip_unlabelled: false, ..config(task) };
            let row = |target: &str| json!({"source": "a", "target": target});
            let all = rows([row("b"), row(""), row("a"), row("")]);
            let encode = |config: EncoderConfig| {
                config.init(Some(llama_like(true))).unwrap().encode(&all).unwrap()
            };
            let encoded = encode(strict.clone());
            let lines: Vec<usize> = encoded.blank_targets.iter().map(|(_, line)| *line).collect();
            assert_eq!((encoded.records(), lines), (4, vec![2, 4]));
            assert!(encode(config(task)).blank_targets.is_empty());
            assert!(encode(EncoderConfig { targets: false, ..strict }).blank_targets.is_empty());
        }
    }

    #[test]
    fn rows_that_teach_nothing_are_left_out_and_the_others_keep_their_places() {
        for (task, row, key, none) in cases() {
            let tokenizer = if task.is_language_model() { llama_like(true) } else { word_piece() };
            let mut all = vec![row.clone()];
            for value in none {
                let mut without = row.clone();
                without[key] = value;
                all.extend([without, row.clone()]);
            }
            let mut absent = row.clone();
            absent.as_object_mut().unwrap().remove(key);
            all.push(absent);
            let lacking: Vec<usize> = (0..all.len()).filter(|at| all[*at] != row).collect();
            let records = rows(all.clone());
            let encoder = config(task).init(Some(tokenizer.clone())).unwrap();
            let encoded = encoder.encode(&records).unwrap();
            assert_eq!(encoded.left_out, lacking, "{task} {row}");
            assert_eq!(encoded.records() + lacking.len(), all.len());
            let lines: Vec<usize> = encoded.examples.iter().map(|example| example.line).collect();
            let kept = encoded.kept(records.clone());
            assert_eq!(kept.iter().map(|record| record.line).collect::<Vec<_>>(), lines);
            // To be predicted, all are read; without the setting, each is refused with it.
            let predicted = EncoderConfig { targets: false, ..config(task) };
            assert!(records.iter().all(|record| !predicted.leaves_out(record)));
            let strict = EncoderConfig { skip_unlabelled: false, ..config(task) };
            let strict = strict.init(Some(tokenizer)).unwrap();
            for at in lacking {
                let blank = all[at].get(key).is_some_and(|value| value.is_string());
                match one(&strict, all[at].clone()) {
                    // A text may be empty.
                    Ok(_) => assert!(blank && task.is_language_model(), "{}", all[at]),
                    Err(error) => {
                        let error = error.to_string();
                        assert!(
                            error.contains("; set `skip_unlabelled` to leave rows without "),
                            "{error}"
                        );
                        assert_eq!(error.matches("skip_unlabelled").count(), 1, "{error}");
                    }
                }
            }
            // Of a file that has none, another field may be meant.
            let none = rows([all.last().unwrap().clone()]);
            let error = encoder.encode(&none).unwrap_err().to_string();
            assert!(
                error.starts_with("rows.jsonl: no row has ") && error.contains("_field`"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_template_needs_all_its_fields() {
        let template = Some(Template::parse("{a}{? {b}?}", "target_template").unwrap());
        for task in [Task::CausalLm, Task::Seq2SeqLm] {
            let config = EncoderConfig { target_template: template.clone(), ..config(task) };
            let is = |row: Value| config.teaches_nothing(&rows([row])[0]);
            assert!(is(json!({"source": "a", "a": null})) && is(json!({"source": "a", "b": "c"})));
            assert!(is(json!({"source": "a", "a": " "})));
            assert!(!is(json!({"source": "a", "a": "c", "b": null})));
            let strict = EncoderConfig { skip_unlabelled: false, ..config };
            let error = refusal(
                &strict.init(Some(llama_like(true))).unwrap(),
                json!({"source": "a", "a": null}),
            );
            assert!(error.ends_with("to leave rows without a target out"), "{error}");
        }
    }

    #[test]
    fn what_has_another_fault_is_no_such_row() {
        let is = |task, row: Value| config(task).teaches_nothing(&rows([row])[0]);
        assert!(!is(Task::CausalLm, json!({"messages": [{"role": "user", "content": "a"}]})));
        assert!(is(Task::CausalLm, json!({"messages": null})));
        assert!(!is(Task::CausalLm, json!({"source": "a", "target": 3})));
        assert!(!is(Task::TokenCls, json!({"tokens": [], "tags": []})));
        let question =
            |answers: Value| json!({"question": "a", "context": "b", "answers": answers});
        assert!(!is(Task::QuestionAns, question(json!(null))), "a question without an answer");
        assert!(!is(
            Task::QuestionAns,
            json!({"question": "a", "context": "b", "is_impossible": true})
        ));
        let split = json!({"question": "a", "context": "b", "answers.text": "[]", "answers.answer_start": "[]"});
        assert!(!is(Task::QuestionAns, split));
        let strict = EncoderConfig { skip_unlabelled: false, ..config(Task::CausalLm) };
        let strict = strict.init(Some(llama_like(true))).unwrap();
        for row in [json!({"source": null, "target": "a"}), json!({"source": "a", "target": 3})] {
            assert!(!refusal(&strict, row).contains("skip_unlabelled"));
        }
    }
}
