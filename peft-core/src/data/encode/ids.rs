//! Rows of token ids, taken as they are.

use serde_json::Value;

use super::{EncoderConfig, check};
use crate::data::example::{Example, IGNORE, Target};
use crate::data::record::Record;
use crate::error::Result;
use crate::task::Task;

/// The example of a row with `input_ids`.
pub(super) fn example(config: &EncoderConfig, record: &Record) -> Result<Example> {
    let input_ids = record.ids("input_ids")?;
    let token_type_ids = record.optional_ids("token_type_ids")?;
    if token_type_ids.is_some() && config.type_vocab_size == 0 {
        return Err(record.error("field `token_type_ids`: the model has no token types"));
    }
    let key = if config.task == Task::SeqCls { "label" } else { "labels" };
    if config.targets && !record.fields.contains_key(key) {
        let message = format!("field `{key}` is missing, which {} needs", config.task);
        return Err(record.lacks(&message));
    }
    let target = match config.task {
        _ if !config.targets => Target::None,
        Task::SeqCls => Target::Class(class(config, record)?),
        Task::TokenCls => tokens(record, input_ids.len(), config.num_classes, "class")?,
        _ => tokens(record, input_ids.len(), Some(config.vocab_size), "token id")?,
    };
    let line = record.line;
    check(config, record, Example { input_ids, token_type_ids, target, word_of_token: None, line })
}

/// The class in `label`: an index, or a name in the label list.
fn class(config: &EncoderConfig, record: &Record) -> Result<usize> {
    let value = record.get("label")?;
    if let (Value::String(name), Some(labels)) = (value, &config.labels) {
        return labels.index_in(name, record);
    }
    let class = value.as_u64().and_then(|class| usize::try_from(class).ok());
    let class = class.ok_or_else(|| {
        record.unexpected("label", value, "a class index (0, 1, 2, ...) beside `input_ids`")
    })?;
    match config.num_classes {
        Some(limit) if class >= limit => {
            Err(record.error(format!("field `label`: found class {class} of {limit} classes")))
        }
        _ => Ok(class),
    }
}

/// The targets in `labels`, one for each token: below `limit`, or ignored.
fn tokens(record: &Record, length: usize, limit: Option<usize>, what: &str) -> Result<Target> {
    let targets = record.label_ids("labels")?;
    if targets.len() != length {
        return Err(record.error(format!(
            "field `labels`: found {} of them, expected one for each of {length} tokens",
            targets.len()
        )));
    }
    let fits = |target: i64| {
        target == IGNORE
            || usize::try_from(target).is_ok_and(|target| limit.is_none_or(|limit| target < limit))
    };
    if let Some(i) = targets.iter().position(|&target| !fits(target)) {
        let range = match limit {
            Some(limit) => format!("a {what} below {limit}"),
            None => format!("a {what} (0, 1, 2, ...)"),
        };
        return Err(record.error(format!(
            "field `labels[{i}]`: found {}, expected {range}, or {IGNORE} for none",
            targets[i]
        )));
    }
    Ok(Target::Tokens(targets))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::Encoder;
    use super::super::tests::{labels, one, refusal};
    use super::*;
    use serde_json::json;

    fn encoder(task: Task) -> Encoder {
        EncoderConfig::new(task, 10).init(None).unwrap()
    }

    #[test]
    fn language_model_rows_are_taken_as_they_are() {
        let config =
            EncoderConfig { max_length: Some(1), ..EncoderConfig::new(Task::CausalLm, 10) };
        let encoder = config.init(None).unwrap();
        let row = json!({"input_ids": [9, 0, 3], "labels": [-100, 9, 4], "text": "unused"});
        let (example, cut) = one(&encoder, row).unwrap();
        assert_eq!(example.input_ids, [9, 0, 3]);
        assert_eq!(example.target, Target::Tokens(vec![-100, 9, 4]));
        assert_eq!((example.token_type_ids, example.word_of_token, cut), (None, None, false));
    }

    #[test]
    fn ids_outside_the_vocabulary_are_refused() {
        let encoder = encoder(Task::CausalLm);
        let row = |ids: Value, labels: Value| json!({"input_ids": ids, "labels": labels});
        assert_eq!(
            refusal(&encoder, row(json!([1, 10]), json!([1, 1]))),
            "rows.jsonl, line 1: token id 10 is outside the vocabulary of 10"
        );
        assert!(refusal(&encoder, row(json!([1, -1]), json!([1, 1]))).contains("`input_ids[1]`"));
        assert!(refusal(&encoder, row(json!([]), json!([]))).contains("found no tokens"));
        assert!(
            refusal(&encoder, row(json!("1 2"), json!([1]))).contains("found the string `1 2`")
        );
        let error = refusal(&encoder, row(json!([1, 2]), json!([1, 10])));
        assert!(error.contains("field `labels[1]`: found 10, expected a token id below 10"));
        let error = refusal(&encoder, row(json!([1, 2]), json!([-1, 1])));
        assert!(error.contains("found -1, expected a token id below 10, or -100 for none"));
        let error = refusal(&encoder, row(json!([1, 2]), json!([1, 2, 3])));
        assert!(error.contains("field `labels`: found 3 of them, expected one for each of 2"));
        assert!(refusal(&encoder, json!({"input_ids": [1]})).contains("field `labels` is missing"));
        assert!(refusal(&encoder, row(json!([1]), json!([1.5]))).contains("expected an integer"));
    }

    #[test]
    fn classes_are_indices_or_names() {
        let row = |label: Value| json!({"input_ids": [1], "label": label});
        let unknown = encoder(Task::SeqCls);
        assert_eq!(one(&unknown, row(json!(7))).unwrap().0.target, Target::Class(7));
        assert!(
            refusal(&unknown, row(json!(-1))).contains("found the number -1, expected a class")
        );
        assert!(refusal(&unknown, row(json!("no"))).contains("expected a class index"));
        let config = EncoderConfig {
            labels: labels(&["no", "yes"]),
            ..EncoderConfig::new(Task::SeqCls, 10)
        };
        let named = config.init(None).unwrap();
        assert_eq!(one(&named, row(json!(1))).unwrap().0.target, Target::Class(1));
        assert_eq!(one(&named, row(json!("yes"))).unwrap().0.target, Target::Class(1));
        assert!(refusal(&named, row(json!(2))).contains("found class 2 of 2 classes"));
        assert!(refusal(&named, row(json!("x"))).contains("label `x`, expected one of: no, yes"));
        assert!(refusal(&named, json!({"input_ids": [1]})).contains("`label` is missing"));
    }

    #[test]
    fn tags_are_bounded_by_the_classes_where_these_are_known() {
        let row = json!({"input_ids": [1, 2], "labels": [-100, 12]});
        let unknown = encoder(Task::TokenCls);
        assert_eq!(one(&unknown, row.clone()).unwrap().0.target, Target::Tokens(vec![-100, 12]));
        let negative = json!({"input_ids": [1], "labels": [-2]});
        assert!(refusal(&unknown, negative).contains("found -2, expected a class (0, 1"));
        let config =
            EncoderConfig { num_classes: Some(12), ..EncoderConfig::new(Task::TokenCls, 10) };
        let error = refusal(&config.init(None).unwrap(), row);
        assert!(error.contains("found 12, expected a class below 12, or -100 for none"), "{error}");
    }

    #[test]
    fn token_types_have_to_fit_the_model() {
        let row = |types: Value| json!({"input_ids": [1, 2], "label": 0, "token_type_ids": types});
        assert!(refusal(&encoder(Task::SeqCls), row(json!([0, 0]))).contains("no token types"));
        let config = EncoderConfig { type_vocab_size: 2, ..EncoderConfig::new(Task::SeqCls, 10) };
        let encoder = config.init(None).unwrap();
        let (example, _) = one(&encoder, row(json!([0, 1]))).unwrap();
        assert_eq!(example.token_type_ids, Some(vec![0, 1]));
        assert_eq!(one(&encoder, row(json!(null))).unwrap().0.token_type_ids, None);
        assert!(refusal(&encoder, row(json!([0]))).contains("found 1 of them, expected one for"));
        assert!(refusal(&encoder, row(json!([0, 2]))).contains("token type 2: the model knows 2"));
    }

    #[test]
    fn rows_to_predict_need_no_targets() {
        for task in [Task::CausalLm, Task::SeqCls, Task::TokenCls] {
            let config = EncoderConfig { targets: false, ..EncoderConfig::new(task, 10) };
            let (example, _) = one(&config.init(None).unwrap(), json!({"input_ids": [1]})).unwrap();
            assert_eq!(example.target, Target::None);
        }
    }
}
