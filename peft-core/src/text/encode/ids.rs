//! Rows of token ids, used unchanged.

use serde_json::Value;

use super::{EncoderConfig, check, seq_cls, seq2seq};
use crate::{
    contract::{problem_type::ProblemType, task::Task},
    data::example::{Example, IGNORE, Target},
    error::Result,
    text::{
        fields::Role,
        labels::{class_index, label_index, with_way_out},
        record::Record,
    },
};

/// Returns the example of a row with `input_ids`.
pub(super) fn example(config: &EncoderConfig, record: &Record) -> Result<Example> {
    let input_ids = record.ids("input_ids")?;
    if config.as_chat {
        return Err(record.error(
            "found a row of token ids, expected text or messages, which a chat template renders",
        ));
    }
    let token_type_ids = record.optional_ids("token_type_ids")?;
    if token_type_ids.is_some() && config.type_vocab_size == 0 {
        return Err(record.error("field `token_type_ids`: the model has no token types"));
    }
    let keys: &[&str] = match config.task {
        Task::SeqCls => &[config.fields.name(Role::Label)],
        Task::QuestionAns => &["start_positions", "end_positions"],
        _ => &["labels"],
    };
    if let Some(key) = keys.iter().find(|key| config.targets && record.value(key).is_none()) {
        let message = format!("field `{key}` is missing, which {} needs", config.task);
        return Err(config.with_way_out(record.lacks(&message), record));
    }
    let mut decoder_input_ids = match config.task {
        Task::Seq2SeqLm => record.optional_ids("decoder_input_ids")?,
        _ => None,
    };
    let (vocab, length) = (Some(config.vocab_size), input_ids.len());
    let lacking = |error| config.with_way_out(error, record);
    let target = match config.task {
        _ if !config.targets => Target::None,
        Task::SeqCls if config.problem_type.has_values() => seq_cls::values(config, record)?,
        Task::SeqCls => Target::Class(class(config, record)?),
        Task::QuestionAns => span(record, length).map_err(lacking)?,
        Task::TokenCls => {
            tokens(record, Some((length, "token")), config.num_classes, "class").map_err(lacking)?
        }
        Task::CausalLm => {
            tokens(record, Some((length, "token")), vocab, "token id").map_err(lacking)?
        }
        Task::Seq2SeqLm => {
            let read = decoder_input_ids.as_ref().map(|ids| (ids.len(), "decoder token"));
            tokens(record, read, vocab, "token id").map_err(lacking)?
        }
    };
    if let (Task::Seq2SeqLm, Target::Tokens(targets), None) =
        (config.task, &target, &decoder_input_ids)
    {
        decoder_input_ids = Some(seq2seq::decoder_inputs(config, record, targets)?);
    }
    let example = Example {
        token_type_ids,
        decoder_input_ids,
        ..Example::new(input_ids, target, record.line)
    };
    check(config, record, example)
}

/// The answer in `start_positions` and `end_positions`, as tokens of a row of `length` tokens.
fn span(record: &Record, length: usize) -> Result<Target> {
    let position = |key: &str| -> Result<Option<usize>> {
        let value = record.get(key)?;
        if value.as_i64() == Some(IGNORE) {
            return Ok(None);
        }
        let position = value.as_u64().and_then(|position| usize::try_from(position).ok());
        position.filter(|position| *position < length).map(Some).ok_or_else(|| {
            let expected = format!("one of the row's {length} tokens (0, 1, 2, ...), or {IGNORE}");
            record.unexpected(key, value, &expected)
        })
    };
    match (position("start_positions")?, position("end_positions")?) {
        (None, None) => Ok(Target::None),
        (Some(start), Some(end)) if start <= end => Ok(Target::Span { start, end }),
        (Some(start), Some(end)) => Err(record
            .error(format!("the answer ends at token {end}, before it starts at token {start}"))),
        _ => Err(record.error(format!(
            "`start_positions` or `end_positions` is {IGNORE}, expected both or neither"
        ))),
    }
}

/// The class in `label`: an index, or a name in the label list.
fn class(config: &EncoderConfig, record: &Record) -> Result<usize> {
    let label = config.fields.name(Role::Label);
    numbered_class(config, record, label).map_err(|error| {
        with_way_out(error, record, label, ProblemType::SingleLabel, config.labels.as_ref())
    })
}

fn numbered_class(config: &EncoderConfig, record: &Record, label: &str) -> Result<usize> {
    let value = record.get(label)?;
    if let (Value::String(name), Some(labels)) = (value, &config.labels) {
        return label_index(labels, name, record, label);
    }
    let class = class_index(record, label)?;
    match config.num_classes {
        Some(limit) if class >= limit => {
            let message = format!("field `{label}`: found class {class} of {limit} classes");
            Err(record.unknown_class(message))
        }
        _ => Ok(class),
    }
}

/// The targets in `labels`: below `limit`, or ignored. If `each` is given, there must be as many
/// targets as it says; it also names what they belong to.
fn tokens(
    record: &Record,
    each: Option<(usize, &str)>,
    limit: Option<usize>,
    what: &str,
) -> Result<Target> {
    let targets = record.label_ids("labels")?;
    if let Some((length, name)) = each.filter(|(length, _)| *length != targets.len()) {
        return Err(record.error(format!(
            "field `labels`: found {} of them, expected one for each of {length} {name}s",
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
    use super::*;
    use crate::text::encode::{
        Encoder,
        tests::{labels, one, refusal, rows},
    };
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
        // Where another row has a label: alone, it would be said that none has one.
        let of_first = |encoder: &Encoder, first: Value| {
            encoder.encode(&rows([first, row(json!(1))])).unwrap_err().to_string()
        };
        let error = of_first(&unknown, row(json!(-1)));
        assert!(error.contains("found the number -1, expected a class"), "{error}");
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
        assert!(of_first(&named, json!({"input_ids": [1]})).contains("`label` is missing"));
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
    fn labels_are_what_the_decoder_reads_one_position_later() {
        let config = EncoderConfig {
            decoder_start: Some(1),
            pad: Some(0),
            ..EncoderConfig::new(Task::Seq2SeqLm, 10)
        };
        let encoder = config.clone().init(None).unwrap();
        let row = json!({"input_ids": [9, 8, 7, 6], "labels": [4, -100, 2]});
        let (example, _) = one(&encoder, row.clone()).unwrap();
        assert_eq!(example.decoder_input_ids, Some(vec![1, 4, 0]));
        assert_eq!(example.target, Target::Tokens(vec![4, -100, 2]));
        let own = json!({"input_ids": [9], "labels": [4, 5], "decoder_input_ids": [3, 3]});
        let (example, _) = one(&encoder, own).unwrap();
        assert_eq!(example.decoder_input_ids, Some(vec![3, 3]));
        let short = json!({"input_ids": [9], "labels": [4, 5], "decoder_input_ids": [3]});
        assert_eq!(
            refusal(&encoder, short),
            "rows.jsonl, line 1: field `labels`: found 2 of them, expected one for each of 1 \
             decoder tokens"
        );
        let high = json!({"input_ids": [9], "labels": [4], "decoder_input_ids": [10]});
        assert!(refusal(&encoder, high).contains("token id 10 is outside the vocabulary"));
        let none = json!({"input_ids": [9], "labels": []});
        assert!(refusal(&encoder, none).contains("no tokens for the decoder"));
        let without = EncoderConfig { decoder_start: None, ..config.clone() }.init(None).unwrap();
        let error = refusal(&without, row.clone());
        assert!(error.starts_with("decoder_start_token_id: is missing"), "{error}");
        let without = EncoderConfig { pad: None, ..config.clone() }.init(None).unwrap();
        assert!(refusal(&without, row.clone()).starts_with("pad_token_id: is missing"));
        let predicted = EncoderConfig { targets: false, ..config }.init(None).unwrap();
        assert_eq!(one(&predicted, row).unwrap().0.decoder_input_ids, None);
    }

    #[test]
    fn answers_are_tokens_of_the_row() {
        let encoder = encoder(Task::QuestionAns);
        let row = |start: Value, end: Value| json!({"input_ids": [1, 2, 3], "start_positions": start, "end_positions": end});
        let target = |start, end| one(&encoder, row(start, end)).unwrap().0.target;
        assert_eq!(target(json!(1), json!(2)), Target::Span { start: 1, end: 2 });
        assert_eq!(target(json!(-100), json!(-100)), Target::None);
        let refused = |start, end| refusal(&encoder, row(start, end));
        let error = refused(json!(1), json!(3));
        assert!(error.contains("`end_positions`: found the number 3, expected one of the row's 3"));
        assert!(refused(json!(2), json!(1)).contains("ends at token 1, before it starts at token"));
        assert!(refused(json!(2), json!(-100)).contains("expected both or neither"));
        assert!(refused(json!([1]), json!([2])).contains("found an array of 1 values"));
        let error = refusal(&encoder, json!({"input_ids": [1], "start_positions": 0}));
        assert!(error.contains("field `end_positions` is missing, which qa needs"), "{error}");
    }

    #[test]
    fn rows_to_predict_need_no_targets() {
        for task in Task::ALL {
            let config = EncoderConfig { targets: false, ..EncoderConfig::new(task, 10) };
            let (example, _) = one(&config.init(None).unwrap(), json!({"input_ids": [1]})).unwrap();
            assert_eq!(example.target, Target::None);
        }
    }
}
