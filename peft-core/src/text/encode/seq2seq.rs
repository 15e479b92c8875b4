//! Texts that an encoder-decoder transforms into other texts.

use tokenizers::Encoding;

use super::{
    Encoder, EncoderConfig, Row, check,
    texts::{self, TextTokens, is_text},
    truncate::End,
};
use crate::{
    data::example::{Example, IGNORE, Target},
    error::{Error, Result},
    text::record::Record,
};

/// Returns the examples of rows with `source` and `target`.
pub(super) fn rows(encoder: &Encoder, records: &[&Record]) -> Result<Vec<Row>> {
    let learnt = encoder.config.targets;
    let sources = encoder.tokenize(records, true, false, |record| {
        // A text alone has no target: it can only be predicted.
        let own = match !learnt && is_text(&encoder.config, record) {
            true => texts::text(encoder, record)?.into(),
            false => texts::source(encoder, record)?,
        };
        Ok(texts::behind_prefix(encoder, own).into())
    })?;
    let with_target = if learnt { records } else { &[] };
    let targets = encoder
        .tokenize(with_target, true, false, |record| Ok(texts::target(encoder, record)?.into()))?;
    let mut targets = targets.iter();
    records
        .iter()
        .zip(&sources)
        .map(|(record, source)| row(encoder, record, source, targets.next()))
        .collect()
}

fn row(
    encoder: &Encoder,
    record: &Record,
    source: &Encoding,
    target: Option<&Encoding>,
) -> Result<Row> {
    let config = &encoder.config;
    let mut source = TextTokens::new(source);
    let cut = cut(&mut source, config.max_length, 0, encoder.end);
    let mut example = Example::new(source.ids(), Target::None, record.line);
    let mut target_cut = false;
    if let Some(target) = target {
        let (ids, was_cut) = target_ids(config, target, encoder.end);
        target_cut = was_cut;
        let targets: Vec<i64> = ids.into_iter().map(i64::from).collect();
        example.decoder_input_ids = Some(decoder_inputs(config, record, &targets)?);
        if let Some(id) = targets.iter().find(|&&id| id as usize >= config.vocab_size) {
            let limit = config.vocab_size;
            let message =
                format!("token id {id} of the target is outside the vocabulary of {limit}");
            return Err(record.error(message));
        }
        example.target = Target::Tokens(targets);
    }
    let examples = vec![check(config, record, example)?];
    Ok(Row { examples, cut, target_cut, own_system: false })
}

/// The target's tokens, closed by the end-of-text token, and whether they were truncated.
fn target_ids(config: &EncoderConfig, target: &Encoding, end: End) -> (Vec<u32>, bool) {
    let mut target = TextTokens::new(target);
    let eos = target.closing(config.eos);
    let was_cut = cut(&mut target, config.max_target_length, eos.len(), end);
    ([target.ids(), eos].concat(), was_cut)
}

/// Truncates a text so that, with its special tokens and `others` more, it fits a length.
fn cut(tokens: &mut TextTokens<'_>, length: Option<usize>, others: usize, end: End) -> bool {
    length.is_some_and(|length| tokens.cut(length.saturating_sub(tokens.specials() + others), end))
}

/// Returns what a decoder reads to predict `targets`: its start token, followed by the targets
/// shifted by one position. In place of an ignored target it reads padding, as in transformers.
pub(super) fn decoder_inputs(
    config: &EncoderConfig,
    record: &Record,
    targets: &[i64],
) -> Result<Vec<u32>> {
    let needed = |id: Option<u32>, key| {
        let message = "is missing; it is required to derive a decoder's input from targets";
        id.ok_or_else(|| Error::SpecialToken { key, message: message.into() })
    };
    let Some((_, read)) = targets.split_last() else { return Ok(Vec::new()) };
    let first = needed(config.decoder_start, "decoder_start_token_id").map(Ok);
    let rest = read.iter().map(|&target| match target {
        IGNORE => needed(config.pad, "pad_token_id"),
        // Other ids were rejected when the row was read.
        id => u32::try_from(id).map_err(|_| record.error(format!("found the target {id}"))),
    });
    std::iter::once(first?).chain(rest).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        contract::task::Task,
        text::{
            encode::tests::{refusal, rows as records},
            template::Template,
            tokenizer::tests::llama_like,
        },
    };
    use serde_json::{Value, json};

    // The tokenizer's ids: <unk> 0, <s> 1, </s> 2, a 3, b 4, c 5, d 6, e 7.

    fn config() -> EncoderConfig {
        EncoderConfig {
            eos: Some(2),
            decoder_start: Some(2),
            pad: Some(0),
            ..EncoderConfig::new(Task::Seq2SeqLm, 8)
        }
    }

    fn encoder(config: EncoderConfig) -> Encoder {
        config.init(Some(llama_like(true))).unwrap()
    }

    /// Input, decoder input, targets; the numbers of truncated sources and targets.
    fn encode(encoder: &Encoder, fields: Value) -> (Vec<u32>, Vec<u32>, Vec<i64>, usize, usize) {
        let mut encoded = encoder.encode(&records([fields])).unwrap();
        let example = encoded.examples.remove(0);
        let Target::Tokens(targets) = example.target else { panic!("no targets") };
        let decoder = example.decoder_input_ids.unwrap();
        (example.input_ids, decoder, targets, encoded.truncated, encoded.truncated_targets)
    }

    #[test]
    fn both_sides_get_special_tokens_and_the_decoder_reads_one_behind() {
        let row = json!({"source": "a b", "target": "c d"});
        let expected = (vec![1, 3, 4, 2], vec![2, 1, 5, 6], vec![1, 5, 6, 2], 0, 0);
        assert_eq!(encode(&encoder(config()), row.clone()), expected);
        // With a tokenizer that does not close texts, the target is still closed, the source is
        // not.
        let open = config().init(Some(llama_like(false))).unwrap();
        let expected = (vec![1, 3, 4], vec![2, 1, 5, 6], vec![1, 5, 6, 2], 0, 0);
        assert_eq!(encode(&open, row), expected);
        let empty = json!({"source": "", "target": ""});
        assert_eq!(encode(&encoder(config()), empty).2, [1, 2]);
    }

    #[test]
    fn each_side_is_cut_at_its_end_to_a_length_of_its_own() {
        let limited = EncoderConfig { max_length: Some(4), max_target_length: Some(3), ..config() };
        let row = json!({"source": "a b c", "target": "c d e"});
        let expected = (vec![1, 3, 4, 2], vec![2, 1, 5], vec![1, 5, 2], 1, 1);
        assert_eq!(encode(&encoder(limited.clone()), row.clone()), expected);
        let open = limited.init(Some(llama_like(false))).unwrap();
        let expected = (vec![1, 3, 4, 5], vec![2, 1, 5], vec![1, 5, 2], 0, 1);
        assert_eq!(encode(&open, row), expected);
    }

    #[test]
    fn templates_make_source_and_target() {
        let template = |text: &str| Some(Template::parse(text, "t").unwrap());
        let encoder = encoder(EncoderConfig {
            source_template: template("a {x}"),
            target_template: template("{y} e"),
            ..config()
        });
        let (source, _, targets, ..) = encode(&encoder, json!({"x": "b", "y": "c"}));
        assert_eq!((source, targets), (vec![1, 3, 4, 2], vec![1, 5, 7, 2]));
    }

    #[test]
    fn a_text_in_front_of_a_source_is_read_with_it() {
        let prefix = Some("d e ".to_owned());
        let behind = EncoderConfig { source_prefix: prefix, ..config() };
        let (source, _, targets, ..) =
            encode(&encoder(behind.clone()), json!({"source": "a b", "target": "c"}));
        assert_eq!((source, targets), (vec![1, 6, 7, 3, 4, 2], vec![1, 5, 2]));
        let asked = encoder(EncoderConfig { targets: false, ..behind });
        let found = asked.encode(&records([json!({"text": "a"})])).unwrap();
        assert_eq!(found.examples[0].input_ids, [1, 6, 7, 3, 2]);
    }

    #[test]
    fn rows_without_their_fields_are_refused() {
        let encoder = encoder(config());
        assert!(refusal(&encoder, json!({"source": "a"})).contains("field `target` is missing"));
        assert!(refusal(&encoder, json!({"text": "a"})).contains("field `source` is missing"));
        let without = EncoderConfig { decoder_start: None, ..config() };
        let without = without.init(Some(llama_like(true))).unwrap();
        let error = refusal(&without, json!({"source": "a", "target": "b"}));
        assert!(error.starts_with("decoder_start_token_id: is missing"), "{error}");
        let small = EncoderConfig { vocab_size: 7, ..config() };
        let small = small.init(Some(llama_like(true))).unwrap();
        let error = refusal(&small, json!({"source": "a", "target": "e"}));
        assert!(error.contains("token id 7 of the target is outside the vocabulary"), "{error}");
    }

    #[test]
    fn rows_to_predict_are_sources_alone() {
        let encoder = encoder(EncoderConfig { targets: false, decoder_start: None, ..config() });
        for row in [json!({"source": "a b", "target": 3}), json!({"text": "a b"})] {
            let example = encoder.encode(&records([row])).unwrap().examples.remove(0);
            assert_eq!(example, Example::new(vec![1, 3, 4, 2], Target::None, 1));
        }
    }
}
