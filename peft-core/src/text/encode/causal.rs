//! Texts that a decoder continues: source and target, or one text.

use tokenizers::Encoding;

use super::{
    Cut, Encoder, Row, chat, check,
    texts::{self, TextTokens, is_text},
    truncate::End,
};
use crate::{
    data::example::{Example, IGNORE, Target},
    error::Result,
    text::record::Record,
};

/// Returns the results of rows with `source` and `target`, with `text`, or with a conversation.
pub(super) fn rows(encoder: &Encoder, records: &[&Record]) -> Result<Vec<Row>> {
    let (chats, others): (Vec<&Record>, Vec<&Record>) =
        records.iter().partition(|record| encoder.config.is_conversation(record));
    let mut chats = chat::rows(encoder, &chats)?.into_iter();
    let mut others = texts(encoder, &others)?.into_iter().map(Row::from);
    let in_order = records.iter().map(|record| match encoder.config.is_conversation(record) {
        true => chats.next(),
        false => others.next(),
    });
    Ok(in_order.map(|row| row.expect("each record has one row")).collect())
}

fn texts(encoder: &Encoder, records: &[&Record]) -> Result<Vec<Cut>> {
    let sources = encoder.tokenize(records, true, false, |record| {
        Ok(texts::behind_prefix(encoder, texts::input(encoder, record)?).into())
    })?;
    let with_target: Vec<&Record> = match encoder.config.targets {
        true => {
            records.iter().copied().filter(|record| !is_text(&encoder.config, record)).collect()
        }
        false => Vec::new(),
    };
    let targets = encoder.tokenize(&with_target, false, false, |record| {
        Ok(texts::target(encoder, record)?.into())
    })?;

    let mut targets = targets.into_iter();
    let mut examples = Vec::with_capacity(records.len());
    for (record, source) in records.iter().zip(&sources) {
        let example = match (is_text(&encoder.config, record), encoder.config.targets) {
            (true, true) => text(encoder, record, source),
            (_, false) => prompt(encoder, record, source),
            (false, true) => {
                let target = targets.next().expect("one target was made for each source");
                source_and_target(encoder, record, source, target.get_ids())
            }
        };
        examples.push(example?);
    }
    Ok(examples)
}

/// A text that is learnt as a whole.
fn text(encoder: &Encoder, record: &Record, encoding: &Encoding) -> Result<Cut> {
    let mut tokens = TextTokens::new(encoding);
    let eos = tokens.closing(encoder.config.eos);
    let cut = cut(&mut tokens, encoder, record, eos.len(), encoder.end)?;
    let input_ids = [&tokens.ids(), eos.as_slice()].concat();
    let targets = input_ids.iter().map(|&id| i64::from(id)).collect();
    Ok((finish(encoder, record, input_ids, Target::Tokens(targets))?, cut))
}

/// A text to continue, with nothing to learn.
fn prompt(encoder: &Encoder, record: &Record, encoding: &Encoding) -> Result<Cut> {
    let mut tokens = TextTokens::new(encoding);
    tokens.open(encoder.config.eos);
    let cut = cut(&mut tokens, encoder, record, 0, End::Left)?;
    Ok((finish(encoder, record, tokens.ids(), Target::None)?, cut))
}

/// A source, and the target to learn.
fn source_and_target(
    encoder: &Encoder,
    record: &Record,
    source: &Encoding,
    target: &[u32],
) -> Result<Cut> {
    let mut tokens = TextTokens::new(source);
    tokens.open(encoder.config.eos);
    let mut target = target.to_vec();
    target.extend(encoder.config.eos.filter(|eos| target.last() != Some(eos)));
    let cut = cut(&mut tokens, encoder, record, target.len(), End::Left)?;
    let source = tokens.ids();
    let mut targets = vec![IGNORE; source.len()];
    targets.extend(target.iter().map(|&id| i64::from(id)));
    let input_ids = [source, target].concat();
    Ok((finish(encoder, record, input_ids, Target::Tokens(targets))?, cut))
}

fn finish(
    encoder: &Encoder,
    record: &Record,
    input_ids: Vec<u32>,
    target: Target,
) -> Result<Example> {
    // A decoder's token types, if it has any, are not for the tokenizer to choose.
    check(&encoder.config, record, Example::new(input_ids, target, record.line))
}

/// Truncates the text so that, with its special tokens and `others` more tokens, it fits the
/// encoder's `max_length`. Returns whether anything was cut.
fn cut(
    tokens: &mut TextTokens<'_>,
    encoder: &Encoder,
    record: &Record,
    others: usize,
    end: End,
) -> Result<bool> {
    let Some(max_length) = encoder.config.max_length else { return Ok(false) };
    let fixed = tokens.specials() + others;
    let budget = max_length.checked_sub(fixed).ok_or_else(|| {
        record.error(format!(
            "target and special tokens are {fixed} tokens, more than the maximum length of \
             {max_length}; only the source may be cut"
        ))
    })?;
    Ok(tokens.cut(budget, end))
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
                tests::{one, refusal},
            },
            template::Template,
            tokenizer::tests::llama_like,
        },
    };
    use proptest::prelude::*;
    use serde_json::{Value, json};

    // The tokenizer's ids: <s> 1, </s> 2, a 3, b 4, c 5, d 6, e 7.

    fn config() -> EncoderConfig {
        EncoderConfig { eos: Some(2), ..EncoderConfig::new(Task::CausalLm, 8) }
    }

    fn encoder(config: EncoderConfig) -> Encoder {
        config.init(Some(llama_like(false))).unwrap()
    }

    fn encode(encoder: &Encoder, fields: Value) -> (Vec<u32>, Target, bool) {
        let (example, cut) = one(encoder, fields).unwrap();
        (example.input_ids, example.target, cut)
    }

    fn template(text: &str) -> Option<Template> {
        Some(Template::parse(text, "t").unwrap())
    }

    #[test]
    fn the_target_alone_is_learnt_and_closed() {
        for closing in [false, true] {
            let encoder = config().init(Some(llama_like(closing))).unwrap();
            let (ids, target, cut) = encode(&encoder, json!({"source": "a b", "target": "c"}));
            assert_eq!(ids, [1, 3, 4, 5, 2], "the source has no </s> even if closing = {closing}");
            assert_eq!(target, Target::Tokens(vec![IGNORE, IGNORE, IGNORE, 5, 2]));
            assert!(!cut);
        }
    }

    #[test]
    fn of_a_list_of_targets_the_first_is_learnt_and_the_others_are_references() {
        let encoder = encoder(config());
        let row = json!({"source": "a b", "target": ["c", "d e", "a"]});
        let (example, _) = one(&encoder, row).unwrap();
        assert_eq!(example.input_ids, [1, 3, 4, 5, 2]);
        assert_eq!(example.references, [vec![6, 7], vec![3]]);
        let (example, _) = one(&encoder, json!({"source": "a", "target": ["c"]})).unwrap();
        assert_eq!((example.input_ids, example.references.len()), (vec![1, 3, 5, 2], 0));
        let empty = refusal(&encoder, json!({"source": "a", "target": []}));
        assert!(empty.contains("field `target`: found an empty list of targets"), "{empty}");
        assert!(
            refusal(&encoder, json!({"source": "a", "target": ["c", 1]})).contains("target[1]")
        );
        let nothing = refusal(&encoder, json!({"source": "a", "target": ["c", ""]}));
        assert!(nothing.contains("target 1 of the list has no tokens"), "{nothing}");
    }

    #[test]
    fn a_text_alone_is_learnt_from_its_first_token() {
        for closing in [false, true] {
            let encoder = config().init(Some(llama_like(closing))).unwrap();
            let (ids, target, _) = encode(&encoder, json!({"text": "a b"}));
            assert_eq!(ids, [1, 3, 4, 2], "one </s>");
            assert_eq!(target, Target::Tokens(vec![1, 3, 4, 2]));
        }
        let (ids, ..) = encode(&encoder(config()), json!({"text": "", "source": null}));
        assert_eq!(ids, [1, 2]);
    }

    #[test]
    fn an_eos_in_the_data_is_not_doubled() {
        let encoder = encoder(config());
        let (ids, ..) = encode(&encoder, json!({"source": "a", "target": "b </s>"}));
        assert_eq!(ids, [1, 3, 4, 2]);
        assert_eq!(encode(&encoder, json!({"text": "b </s>"})).0, [1, 4, 2]);
        let (ids, ..) = encode(&encoder, json!({"source": "a </s>", "target": "b"}));
        assert_eq!(ids, [1, 3, 2, 4, 2], "one that the user wrote in the source stays");
    }

    #[test]
    fn without_eos_nothing_closes() {
        let encoder = encoder(EncoderConfig { eos: None, ..config() });
        let (ids, target, _) = encode(&encoder, json!({"source": "a", "target": "b"}));
        assert_eq!(ids, [1, 3, 4]);
        assert_eq!(target, Target::Tokens(vec![IGNORE, IGNORE, 4]));
        assert_eq!(encode(&encoder, json!({"text": "a"})).0, [1, 3]);
    }

    #[test]
    fn templates_make_source_and_target() {
        let both = encoder(EncoderConfig {
            source_template: template("{x} b"),
            target_template: template("{y} e"),
            ..config()
        });
        let row = json!({"x": "a", "y": "d", "text": "c", "source": "c", "target": "c"});
        assert_eq!(encode(&both, row).0, [1, 3, 4, 6, 7, 2]);
        let source = encoder(EncoderConfig { source_template: template("{text} b"), ..config() });
        let row = json!({"text": "a", "target": "d"});
        assert_eq!(encode(&source, row).0, [1, 3, 4, 6, 2]);
        assert!(refusal(&source, json!({"text": "a"})).contains("field `target` is missing"));
        assert!(refusal(&source, json!({"target": "a"})).contains("field `text` is missing"));
    }

    #[test]
    fn a_text_in_front_of_a_source_is_read_with_it() {
        let prefix = Some("d e ".to_owned());
        let behind = encoder(EncoderConfig { source_prefix: prefix.clone(), ..config() });
        let row = json!({"source": "a b", "target": ["c", "d"]});
        assert_eq!(encode(&behind, row.clone()).0, [1, 6, 7, 3, 4, 5, 2], "<s> once");
        let of = |encoder: &Encoder, fields: Value| {
            let row = crate::text::record::tests::record(1, fields);
            (encoder.source_text(&row), encoder.target_text(&row))
        };
        let (source, target) = of(&behind, row);
        assert_eq!((source.unwrap().as_str(), target.unwrap().as_str()), ("a b", "c"));
        for (row, what) in [
            (json!({"text": "a"}), "is one text"),
            (json!({"input_ids": [3], "labels": [3]}), "is a row of token ids"),
        ] {
            assert!(refusal(&behind, row).contains(what), "{what}");
        }
        assert!(of(&behind, json!({"text": "a"})).1.is_err());
        let asked = EncoderConfig { source_prefix: prefix.clone(), targets: false, ..config() };
        assert_eq!(encode(&encoder(asked), json!({"text": "a"})).0, [1, 6, 7, 3]);
        let classes =
            EncoderConfig { source_prefix: prefix, ..EncoderConfig::new(Task::SeqCls, 8) };
        let refused = classes.init(Some(llama_like(false))).unwrap_err().to_string();
        assert!(refused.starts_with("source_prefix: not used by seq-cls"), "{refused}");
    }

    #[test]
    fn rows_without_their_fields_are_refused() {
        let encoder = encoder(config());
        assert!(refusal(&encoder, json!({"source": "a"})).contains("field `target` is missing"));
        assert!(refusal(&encoder, json!({"target": "a"})).contains("field `source` is missing"));
        assert!(refusal(&encoder, json!({"text": 1})).contains("found the number 1"));
        assert!(refusal(&encoder, json!({"x": 1})).contains("field `source` is missing"));
        let bare = EncoderConfig { eos: None, targets: false, ..config() };
        let bare =
            bare.init(Some(tokenizers::Tokenizer::new(tokenizers::models::bpe::BPE::default())));
        assert!(refusal(&bare.unwrap(), json!({"text": ""})).contains("found no tokens"));
    }

    #[test]
    fn rows_to_predict_end_with_the_source() {
        let encoder =
            EncoderConfig { targets: false, ..config() }.init(Some(llama_like(true))).unwrap();
        let prompt = (vec![1, 3, 4], Target::None, false);
        assert_eq!(encode(&encoder, json!({"source": "a b"})), prompt);
        assert_eq!(encode(&encoder, json!({"source": "a b", "target": 5})), prompt);
        assert_eq!(encode(&encoder, json!({"text": "a b"})), prompt);
    }

    #[test]
    fn the_source_is_cut_from_its_left() {
        let limited =
            |max_length| encoder(EncoderConfig { max_length: Some(max_length), ..config() });
        let row = json!({"source": "a b c", "target": "d e"});
        assert_eq!(encode(&limited(7), row.clone()).0, [1, 3, 4, 5, 6, 7, 2]);
        assert!(!encode(&limited(7), row.clone()).2);
        let (ids, target, cut) = encode(&limited(5), row.clone());
        assert_eq!(ids, [1, 5, 6, 7, 2]);
        assert_eq!(target, Target::Tokens(vec![IGNORE, IGNORE, 6, 7, 2]));
        assert!(cut);
        assert_eq!(encode(&limited(4), row.clone()).0, [1, 6, 7, 2]);
        assert_eq!(
            refusal(&limited(3), row),
            "rows.jsonl, line 1: target and special tokens are 4 tokens, more than the maximum \
             length of 3; only the source may be cut"
        );
    }

    #[test]
    fn a_text_is_cut_at_its_end_and_a_prompt_at_its_beginning() {
        let limited = EncoderConfig { max_length: Some(4), ..config() };
        for closing in [false, true] {
            let encoder = limited.clone().init(Some(llama_like(closing))).unwrap();
            let (ids, target, cut) = encode(&encoder, json!({"text": "a b c"}));
            assert_eq!((ids, cut), (vec![1, 3, 4, 2], true));
            assert_eq!(target, Target::Tokens(vec![1, 3, 4, 2]));
            assert!(!encode(&encoder, json!({"text": "a b"})).2);
        }
        let encoder = encoder(EncoderConfig { targets: false, ..limited });
        let cut = (vec![1, 4, 5, 6], Target::None, true);
        assert_eq!(encode(&encoder, json!({"text": "a b c d"})), cut);
    }

    proptest! {
        /// A truncated row fits the length, keeps its target, and keeps the end of its source.
        #[test]
        fn cut_rows_keep_their_target(
            source in prop::collection::vec("[a-e]", 0..8),
            target in prop::collection::vec("[a-e]", 0..5), max_length in 2usize..16,
        ) {
            let encode = |max_length| {
                let encoder = encoder(EncoderConfig { max_length, ..config() });
                one(&encoder, json!({"source": source.join(" "), "target": target.join(" ")}))
            };
            let (whole, _) = encode(None).unwrap();
            match encode(Some(max_length)) {
                Err(_) => prop_assert!(target.len() + 2 > max_length),
                Ok((example, cut)) => {
                    let length = whole.input_ids.len().min(max_length);
                    prop_assert_eq!(cut, length < whole.input_ids.len());
                    prop_assert_eq!(example.input_ids[0], 1);
                    let kept = &whole.input_ids[whole.input_ids.len() + 1 - length..];
                    prop_assert_eq!(&example.input_ids[1..], kept);
                    prop_assert_eq!(example.labelled(), target.len() + 1);
                }
            }
        }
    }
}
