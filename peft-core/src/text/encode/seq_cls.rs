//! Texts, or pairs of texts, with a class.

use tokenizers::{EncodeInput, Encoding};

use super::{
    Cut, Encoder, EncoderConfig,
    texts::{refuse_null, refuse_number},
};
use crate::{
    contract::problem_type::ProblemType,
    data::example::Target,
    error::{Error, Result},
    text::{
        fields::Role,
        labels::{label_index, record_label, with_way_out},
        record::Record,
        values::{class_values, scores},
    },
};

/// Returns the examples of rows with `text`, optionally `text_pair`, and `label`.
pub(super) fn examples(encoder: &Encoder, records: &[&Record]) -> Result<Vec<Cut>> {
    let encodings = encoder.tokenize(records, true, false, |record| input(encoder, record))?;
    let mut examples = Vec::with_capacity(records.len());
    for (record, encoding) in records.iter().zip(&encodings) {
        let target = match (encoder.config.targets, encoder.config.problem_type) {
            (false, _) => Target::None,
            (true, ProblemType::SingleLabel) => class(encoder, record)?,
            (true, _) => values(&encoder.config, record)?,
        };
        check_room(&encoder.config, encoding)?;
        let kept = encoder.kept(encoding);
        let cut = kept.cut;
        examples.push((encoder.tokenized(record, kept, target)?, cut));
    }
    Ok(examples)
}

/// Refuses a length without room for text beside the special tokens of a pair, which has more of them than a single text.
fn check_room(config: &EncoderConfig, encoding: &Encoding) -> Result<()> {
    // Set for what the tokenizer added, not for special tokens spelled out in the text.
    let special = encoding.get_special_tokens_mask();
    let specials = special.iter().filter(|&&special| special == 1).count();
    match config.max_length.filter(|length| *length <= specials) {
        None => Ok(()),
        Some(length) => {
            let message = format!(
                "found {length}, expected more than the {specials} special tokens that the tokenizer adds to a pair of texts"
            );
            Err(Error::setting("max_length", message))
        }
    }
}

/// The class of a row of text.
fn class(encoder: &Encoder, record: &Record) -> Result<Target> {
    let (key, labels) = (encoder.config.fields.name(Role::Label), encoder.labels()?);
    let index = record_label(record, key).and_then(|name| label_index(labels, &name, record, key));
    index
        .map(Target::Class)
        .map_err(|error| with_way_out(error, record, key, ProblemType::SingleLabel, Some(labels)))
}

/// The numbers to predict for a row, of text or of token ids.
pub(super) fn values(config: &EncoderConfig, record: &Record) -> Result<Target> {
    let key = config.fields.name(Role::Label);
    let values = match (config.problem_type, &config.labels) {
        (ProblemType::MultiLabel, Some(labels)) => class_values(record, key, labels),
        (ProblemType::MultiLabel, None) => {
            let message = "rows with several labels need a label list";
            return Err(Error::setting("labels", message));
        }
        _ => scores(record, key),
    };
    let values =
        values.map_err(|error| with_way_out(error, record, key, config.problem_type, None))?;
    match config.num_classes {
        Some(outputs) if outputs != values.len() => Err(record
            .error(format!("field `{key}`: found {} numbers, expected {outputs}", values.len()))),
        _ => Ok(Target::Values(values)),
    }
}

fn input<'r>(encoder: &Encoder, record: &'r Record) -> Result<EncodeInput<'r>> {
    let fields = &encoder.config.fields;
    if let Some(template) = &encoder.config.source_template {
        let text = template.render(record)?;
        // Beside a template, a field is the second text only if it was named.
        let pair = fields.get(Role::TextPair).map(|pair| record.optional_text(pair));
        return Ok(match pair.transpose()?.flatten() {
            Some(pair) => (text, pair).into(),
            None => text.into(),
        });
    }
    refuse_number(encoder, Role::Text, record)?;
    refuse_null(record, fields.name(Role::Text))?;
    let text = record.text(fields.name(Role::Text))?;
    Ok(match record.optional_text(fields.name(Role::TextPair))? {
        Some(pair) => (text, pair).into(),
        None => text.into(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        contract::task::Task,
        text::{
            encode::{
                EncoderConfig,
                tests::{labels, one, refusal, rows},
            },
            template::Template,
            tokenizer::tests::word_piece,
        },
    };
    use serde_json::json;

    fn config() -> EncoderConfig {
        EncoderConfig {
            labels: labels(&["no", "yes", "0", "true"]),
            type_vocab_size: 2,
            ..EncoderConfig::new(Task::SeqCls, 14)
        }
    }

    fn encoder(config: EncoderConfig) -> Encoder {
        config.init(Some(word_piece())).unwrap()
    }

    #[test]
    fn a_length_has_room_beside_the_special_tokens_of_its_rows() {
        let short = encoder(EncoderConfig { max_length: Some(3), ..config() });
        let (example, cut) = one(&short, json!({"text": "cat", "label": "yes"})).unwrap();
        assert_eq!((example.input_ids, cut), (vec![0, 4, 1], false));
        let (example, cut) = one(&short, json!({"text": "cat sat", "label": "yes"})).unwrap();
        assert_eq!((example.input_ids, cut), (vec![0, 4, 1], true));
        let pair = json!({"text": "cat", "text_pair": "mat", "label": "no"});
        assert_eq!(
            refusal(&short, pair.clone()),
            "max_length: found 3, expected more than the 3 special tokens that the tokenizer adds to a pair of texts"
        );
        let long = encoder(EncoderConfig { max_length: Some(4), ..config() });
        assert_eq!(one(&long, pair).unwrap().0.input_ids.len(), 4);
    }

    #[test]
    fn texts_and_pairs_get_special_tokens_and_types() {
        let encoder = encoder(config());
        let (example, cut) = one(&encoder, json!({"text": "The cat.", "label": "yes"})).unwrap();
        assert_eq!(example.input_ids, [0, 3, 4, 11, 1]);
        assert_eq!(example.token_type_ids, Some(vec![0; 5]));
        assert_eq!((example.target, cut), (Target::Class(1), false));
        let row = json!({"text": "cat", "text_pair": "mat", "label": "no"});
        let (example, _) = one(&encoder, row).unwrap();
        assert_eq!(example.input_ids, [0, 4, 1, 7, 1]);
        assert_eq!(example.token_type_ids, Some(vec![0, 0, 0, 1, 1]));
        // As in a batch of transformers: a pair whose second text is empty.
        let row = json!({"text": "cat", "text_pair": "", "label": "no"});
        let (example, _) = one(&encoder, row).unwrap();
        assert_eq!(example.input_ids, [0, 4, 1, 1]);
        assert_eq!(example.token_type_ids, Some(vec![0, 0, 0, 1]));
        let row = json!({"text": "cat", "text_pair": null, "label": "no"});
        assert_eq!(one(&encoder, row).unwrap().0.input_ids, [0, 4, 1]);
    }

    #[test]
    fn models_of_one_token_type_get_none() {
        for type_vocab_size in [0, 1] {
            let encoder = encoder(EncoderConfig { type_vocab_size, ..config() });
            let row = json!({"text": "cat", "text_pair": "mat", "label": "no"});
            assert_eq!(one(&encoder, row).unwrap().0.token_type_ids, None);
        }
    }

    #[test]
    fn labels_are_read_as_strings_integers_or_booleans() {
        let encoder = encoder(config());
        let class = |label: serde_json::Value| {
            one(&encoder, json!({"text": "a", "label": label})).unwrap().0.target
        };
        assert_eq!(class(json!(0)), Target::Class(2));
        assert_eq!(class(json!("0")), Target::Class(2));
        assert_eq!(class(json!(true)), Target::Class(3));
    }

    #[test]
    fn rows_that_do_not_fit_are_refused() {
        let encoder = encoder(config());
        assert_eq!(
            refusal(&encoder, json!({"text": "a", "label": "maybe"})),
            "rows.jsonl, line 1: found label `maybe`, expected one of: no, yes, 0, true"
        );
        // Where another row has a label: alone, it would be said that none has one.
        let of_first = |row| {
            let both = rows([row, json!({"text": "a", "label": "no"})]);
            encoder.encode(&both).unwrap_err().to_string()
        };
        assert!(of_first(json!({"text": "a"})).contains("field `label` is missing"));
        assert!(refusal(&encoder, json!({"label": "no"})).contains("field `text` is missing"));
        assert!(refusal(&encoder, json!({"text": 5, "label": "no"})).contains("the number 5"));
        let row = json!({"text": "a", "text_pair": 5, "label": "no"});
        assert!(refusal(&encoder, row).contains("field `text_pair`: found the number 5"));
        let error = of_first(json!({"text": "a", "label": -1}));
        assert!(
            error.contains("found label `-1`, expected one of: no, yes")
                && error.contains("`skip_unlabelled`"),
            "{error}"
        );
        let nameless = EncoderConfig { labels: None, ..config() }.init(Some(word_piece())).unwrap();
        let error = refusal(&nameless, json!({"text": "a", "label": "no"}));
        assert_eq!(
            error,
            "labels: seq-cls on text needs a label list: the names of the classes in the order of the head's outputs, such \
             as neg,pos"
        );
    }

    #[test]
    fn text_is_cut_between_its_special_tokens() {
        let encoder = encoder(EncoderConfig { max_length: Some(5), ..config() });
        let cut = |row: serde_json::Value| {
            let (example, cut) = one(&encoder, row).unwrap();
            (example.input_ids, cut)
        };
        let row = json!({"text": "the cat sat on", "label": "no"});
        assert_eq!(cut(row), (vec![0, 3, 4, 5, 1], true));
        let row = json!({"text": "the cat sat", "label": "no"});
        assert_eq!(cut(row), (vec![0, 3, 4, 5, 1], false));
        let row = json!({"text": "the", "text_pair": "cat sat on", "label": "no"});
        assert_eq!(cut(row), (vec![0, 3, 1, 4, 1], true));
        let row = json!({"text": "the cat", "text_pair": "sat on", "label": "no"});
        assert_eq!(cut(row), (vec![0, 3, 1, 5, 1], true));
        let row = json!({"text": "the", "text_pair": "cat", "label": "no"});
        assert_eq!(cut(row), (vec![0, 3, 1, 4, 1], false));
    }

    #[test]
    fn a_template_replaces_the_text() {
        let template = Template::parse("{a} sat on {b}", "source_template").unwrap();
        let encoder = encoder(EncoderConfig { source_template: Some(template), ..config() });
        let row = json!({"a": "the cat", "b": "mat", "text": "unused", "label": "no"});
        assert_eq!(one(&encoder, row).unwrap().0.input_ids, [0, 3, 4, 5, 6, 7, 1]);
        assert!(refusal(&encoder, json!({"a": "x", "label": "no"})).contains("`b` is missing"));
    }

    #[test]
    fn rows_of_one_text_among_pairs_are_counted() {
        let row =
            |pair: serde_json::Value| json!({"text": "cat", "text_pair": pair, "label": "no"});
        let single = json!({"text": "cat", "label": "no"});
        let all = rows([row(json!("mat")), row(json!(null)), single, row(json!(""))]);
        let encoded = encoder(config()).encode(&all).unwrap();
        assert_eq!((encoded.single, encoded.texts), (2, 4));
        assert_eq!(encoded.first_single.map(|(_, line)| line), Some(2));
        // A template makes one text of a row, unless a field is named beside it.
        let template = Template::parse("{text}", "source_template").unwrap();
        let templated = EncoderConfig { source_template: Some(template), ..config() };
        assert_eq!(encoder(templated).encode(&all).unwrap().single, 0);
    }

    #[test]
    fn rows_to_predict_need_no_label() {
        let encoder = encoder(EncoderConfig { targets: false, labels: None, ..config() });
        assert_eq!(one(&encoder, json!({"text": "a"})).unwrap().0.target, Target::None);
    }
}
