//! Rows whose text is empty.

use super::{Encoder, texts};
use crate::{
    contract::task::Task,
    text::{fields::Role, record::Record},
};

/// Whether a row of text gives the model nothing to read: all its texts are empty or blank, or it has no words. Of a
/// question, its own text or its context is.
pub(super) fn is_empty(encoder: &Encoder, record: &Record) -> bool {
    let config = &encoder.config;
    let is_blank = |role: Role| {
        let text = record.optional(config.fields.name(role)).and_then(|value| value.as_str());
        text.is_none_or(|text| text.trim().is_empty())
    };
    match (config.task, &config.source_template) {
        (Task::QuestionAns, _) => is_blank(Role::Question) || is_blank(Role::Context),
        (Task::TokenCls, _) => {
            let words = record.strings(config.fields.name(Role::Tokens)).unwrap_or_default();
            words.iter().all(|word| word.trim().is_empty())
        }
        (Task::SeqCls, None) => is_blank(Role::Text) && is_blank(Role::TextPair),
        (Task::SeqCls, Some(template)) => {
            let text = template.render(record).unwrap_or_default();
            text.trim().is_empty() && is_blank(Role::TextPair)
        }
        (Task::CausalLm | Task::Seq2SeqLm, _) => {
            texts::input(encoder, record).is_ok_and(|text| text.trim().is_empty())
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::text::{
        encode::{EncoderConfig, tests::labels},
        record::tests::record,
        template::Template,
        tokenizer::tests::word_piece,
    };

    fn is(task: Task, template: Option<&str>, row: Value) -> bool {
        let mut config = EncoderConfig::new(task, 14);
        config.labels = labels(&["a"]).filter(|_| task == Task::SeqCls || task == Task::TokenCls);
        config.source_template = template.map(|text| Template::parse(text, "t").unwrap());
        is_empty(&config.init(Some(word_piece())).unwrap(), &record(1, row))
    }

    #[test]
    fn a_row_is_empty_where_all_its_texts_are() {
        for (task, template, row, expected) in [
            (Task::SeqCls, None, json!({"text": " \n", "label": "a"}), true),
            (Task::SeqCls, None, json!({"text": "", "text_pair": ""}), true),
            (Task::SeqCls, None, json!({"text": "", "text_pair": "the"}), false),
            (Task::SeqCls, Some("{a}{b}"), json!({"a": "", "b": " "}), true),
            (Task::SeqCls, Some("{a} so {b}"), json!({"a": "", "b": ""}), false),
            (Task::TokenCls, None, json!({"tokens": []}), true),
            (Task::TokenCls, None, json!({"tokens": ["", "the"]}), false),
            (Task::QuestionAns, None, json!({"question": "", "context": "the cat"}), true),
            (Task::QuestionAns, None, json!({"question": "cat", "context": "the cat"}), false),
            (Task::CausalLm, None, json!({"text": ""}), true),
            (Task::CausalLm, None, json!({"source": "", "target": "the"}), true),
            (Task::Seq2SeqLm, None, json!({"source": "the", "target": ""}), false),
        ] {
            assert_eq!(is(task, template, row.clone()), expected, "{row}");
        }
    }
}
