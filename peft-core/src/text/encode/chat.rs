//! Conversations: rendered by the model's chat template, with the assistant's part to learn.

use std::{num::NonZero, ops::Range, thread};

use tokenizers::Encoding;

use super::{Cut, Encoder, Row, check, texts, tokenise::tokenise};
use crate::{
    data::example::{Example, IGNORE, Target},
    error::{Error, Result},
    text::{
        chat::{self, ChatSource, Conversation},
        record::Record,
    },
};

/// The stack that a template may use. It may make a list of a list of a list, as deep as its steps allow, which is
/// dropped level by level: twice what the deepest needs. Only what is used takes memory.
const STACK: usize = 256 << 20;
/// Threads at most.
const MOST_THREADS: usize = 16;

/// A rendered conversation.
struct Text {
    text: String,
    /// What is learnt of it, in bytes.
    spans: Vec<Range<usize>>,
    /// Whether it has a message of the system of its own.
    own_system: bool,
}

/// Returns the results of rows with `messages` or `conversations`, and of texts that are asked.
pub(super) fn rows(encoder: &Encoder, records: &[&Record]) -> Result<Vec<Row>> {
    let Some(first) = records.first() else { return Ok(Vec::new()) };
    let source = encoder.config.chat.as_deref().ok_or_else(|| {
        first.error("found a conversation, expected no such row without a chat template")
    })?;
    let texts = render_all(encoder, source, records)?;
    let encodings = tokenize(encoder, records, &texts)?;
    let rows = records.iter().zip(&texts).zip(&encodings);
    let row = |((record, text), encoding): ((&&Record, &Text), &Encoding)| {
        let row = Row::from(example(encoder, record, &text.spans, encoding)?);
        Ok(Row { own_system: text.own_system, ..row })
    };
    rows.map(row).collect()
}

/// Renders conversations on all cores.
fn render_all(encoder: &Encoder, source: &ChatSource, records: &[&Record]) -> Result<Vec<Text>> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
    let share = records.len().div_ceil(threads).max(1);
    thread::scope(|scope| {
        let mut parts = Vec::new();
        for records in records.chunks(share) {
            let render = move || {
                let one = |record: &&Record| render(encoder, source, record);
                records.iter().map(one).collect::<Result<Vec<Text>>>()
            };
            let spawned = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, render);
            parts.push(spawned.map_err(|error| Error::Mismatch(format!("no thread: {error}")))?);
        }
        let mut texts = Vec::with_capacity(records.len());
        for part in parts {
            // A panic is a fault of the program, and stays one.
            texts.extend(part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(texts)
    })
}

fn render(encoder: &Encoder, source: &ChatSource, record: &Record) -> Result<Text> {
    let mut conversation = match encoder.config.has_messages(record) {
        true => Conversation::of(record)?,
        false => Conversation::asking(record, &texts::input(encoder, record)?)?,
    };
    let own_system = conversation.has_system();
    if let Some(system) = &encoder.config.system {
        conversation.introduce(system);
    }
    let rendered = match encoder.config.targets {
        true => chat::learnt(source, &conversation).map(|learnt| (learnt.text, learnt.spans)),
        false => chat::continued(source, &conversation).map(|text| (text, Vec::new())),
    };
    let (text, spans) = rendered.map_err(|message| record.error(message))?;
    Ok(Text { text, spans, own_system })
}

/// Tokenises without special tokens: the template has written them.
fn tokenize(encoder: &Encoder, records: &[&Record], texts: &[Text]) -> Result<Vec<Encoding>> {
    let Some(tokenizer) = &encoder.tokenizer else { return Err(encoder.no_tokenizer(records[0])) };
    // Asked for words, the library also measures where a token stands.
    tokenise(tokenizer, records, [false, true], |row| Ok(texts[row].text.as_str().into()))
}

fn example(
    encoder: &Encoder,
    record: &Record,
    spans: &[Range<usize>],
    encoding: &Encoding,
) -> Result<Cut> {
    let ids = encoding.get_ids();
    let length = encoder.config.max_length.unwrap_or(ids.len()).min(ids.len());
    let (kept, target) = match encoder.config.targets {
        // What the assistant says depends on what came before it, so that is what is kept.
        true => (0..length, Target::Tokens(targets(ids, encoding.get_offsets(), spans))),
        false => (ids.len() - length..ids.len(), Target::None),
    };
    let cut = kept.len() < ids.len();
    let target = match target {
        Target::Tokens(targets) => Target::Tokens(targets[kept.clone()].to_vec()),
        other => other,
    };
    let example = Example::new(ids[kept].to_vec(), target, record.line);
    Ok((check(&encoder.config, record, example)?, cut))
}

/// The targets of a row: the tokens that write anything of `spans`, and those between them.
fn targets(ids: &[u32], offsets: &[(usize, usize)], spans: &[Range<usize>]) -> Vec<i64> {
    let mut targets = vec![IGNORE; ids.len()];
    for span in spans {
        let written = |&(start, end): &(usize, usize)| match start == end {
            // Byte-level tokenizers leave blanks out of their offsets, so a lone blank has none before its end.
            true => span.start < end && end <= span.end,
            false => start < span.end && span.start < end,
        };
        let first = offsets.iter().position(written);
        let last = offsets.iter().rposition(written);
        if let (Some(first), Some(last)) = (first, last) {
            for i in first..=last {
                targets[i] = i64::from(ids[i]);
            }
        }
    }
    targets
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{path::Path, sync::Arc};

    use serde_json::{Value, json};

    use super::*;
    use crate::{
        contract::task::Task,
        text::{
            chat::Clock,
            encode::{
                EncoderConfig,
                tests::{one, refusal, rows},
            },
            tokenizer::tests::llama_like,
        },
    };

    // The tokenizer's ids: <s> 1, </s> 2, a 3, b 4, c 5, d 6, e 7.

    /// A user is `a`, the assistant `b`, who ends with `</s>`; a system is neither.
    const PLAIN: &str = "{% for m in messages %}{{ {'user': 'a ', 'assistant': 'b '}[m.role] or 'e ' }}\
        {{ m.content }} {% if m.role == 'assistant' %}</s> {% endif %}{% endfor %}\
        {% if add_generation_prompt %}b {% endif %}";
    const MARKED: &str = "{% for m in messages %}{% if m.role == 'assistant' %}b {% generation %}{{ m.content }} </s>\
        {% endgeneration %} {% else %}a {{ m.content }} {% endif %}{% endfor %}";

    fn config(template: &str) -> EncoderConfig {
        let source =
            ChatSource::read(Path::new("model"), &[], Some((template, "template")), Clock::now())
                .unwrap();
        EncoderConfig { chat: Some(Arc::new(source)), ..EncoderConfig::new(Task::CausalLm, 8) }
    }

    fn encoder(config: EncoderConfig) -> Encoder {
        config.init(Some(llama_like(false))).unwrap()
    }

    fn talk(turns: &[(&str, &str)]) -> Value {
        let turn = |(role, content): &(&str, &str)| json!({"role": role, "content": content});
        json!({"messages": turns.iter().map(turn).collect::<Vec<_>>()})
    }

    fn ids_and_learnt(encoder: &Encoder, row: Value) -> (Vec<u32>, Vec<u32>) {
        let (example, _) = one(encoder, row).unwrap();
        let Target::Tokens(targets) = &example.target else {
            return (example.input_ids, Vec::new());
        };
        let learnt = targets.iter().filter_map(|target| u32::try_from(*target).ok()).collect();
        (example.input_ids, learnt)
    }

    #[test]
    fn each_message_of_the_assistant_is_learnt_and_nothing_is_added() {
        let row = talk(&[("user", "c"), ("assistant", "d"), ("user", "c c"), ("assistant", "")]);
        for template in [PLAIN, MARKED] {
            let config = EncoderConfig { eos: Some(2), ..config(template) };
            let (ids, learnt) = ids_and_learnt(&encoder(config), row.clone());
            assert_eq!(ids, [3, 5, 4, 6, 2, 3, 5, 5, 4, 2], "{template}");
            assert_eq!(learnt, [6, 2, 2], "{template}");
        }
    }

    #[test]
    fn sharegpt_and_json_within_a_string_are_the_same_conversation() {
        let encoder = encoder(config(PLAIN));
        let row = talk(&[("system", "e"), ("user", "c"), ("assistant", "d")]);
        let string = json!({"messages": row["messages"].to_string()});
        let turn = |from: &str, value: &str| json!({"from": from, "value": value});
        let own = json!({"conversations": [turn("human", "c"), turn("gpt", "d")], "system": "e"});
        let all = json!({"conversations":
            [turn("system", "e"), turn("human", "c"), turn("gpt", "d")], "system": "d"});
        let mixed = json!({"conversations": [{"from": "system", "content": "e"}, turn("human", "c"),
            {"from": "gpt", "content": "d"}]});
        let expected = ids_and_learnt(&encoder, row);
        assert_eq!(ids_and_learnt(&encoder, mixed), expected);
        assert_eq!(expected.0, [7, 7, 3, 5, 4, 6, 2]);
        assert_eq!(ids_and_learnt(&encoder, own), expected);
        assert_eq!(ids_and_learnt(&encoder, string), expected);
        assert_eq!(ids_and_learnt(&encoder, all), expected, "its own message of the system counts");
    }

    #[test]
    fn what_is_asked_ends_with_the_prompt_for_an_answer() {
        let encoder = encoder(EncoderConfig { targets: false, ..config(PLAIN) });
        let asked = [("user", "c"), ("assistant", "d"), ("user", "e")];
        let ids = |turns: &[(&str, &str)]| ids_and_learnt(&encoder, talk(turns)).0;
        assert_eq!(ids(&asked), [3, 5, 4, 6, 2, 3, 7, 4]);
        let answered = [&asked[..], &[("assistant", "c"), ("assistant", "c")]].concat();
        assert_eq!(ids(&answered), ids(&asked), "an answer that is there is not read");
        let error = refusal(&encoder, talk(&[("assistant", "c")]));
        assert!(error.contains("nothing to continue"), "{error}");
    }

    /// Rows, encoded to be answered.
    fn asked(system: Option<&str>, all: Vec<Value>) -> Result<crate::text::Encoded> {
        let system = system.map(str::to_owned);
        let config = EncoderConfig { targets: false, as_chat: true, system, ..config(PLAIN) };
        encoder(config).encode(&rows(all))
    }

    #[test]
    fn a_text_is_asked_as_the_message_of_a_user() {
        let ids = |system, row| asked(system, vec![row]).unwrap().examples.remove(0).input_ids;
        let text = json!({"text": "c d"});
        assert_eq!(ids(None, text.clone()), [3, 5, 6, 4]);
        assert_eq!(ids(Some("d"), text.clone()), [7, 6, 3, 5, 6, 4]);
        assert_eq!(ids(Some(""), text.clone()), [7, 3, 5, 6, 4], "an empty one is one, too");
        for row in [json!({"source": "c d", "target": "e"}), talk(&[("user", "c d")])] {
            assert_eq!(ids(Some("d"), row.clone()), ids(Some("d"), text.clone()), "{row}");
        }
        let encoded =
            asked(Some("d"), vec![text, talk(&[("system", "e"), ("user", "c")])]).unwrap();
        assert_eq!((encoded.conversations, encoded.goes_on), (2, vec![false, false]));
        // A row that has a message of the system keeps it.
        assert_eq!(
            (&encoded.examples[1].input_ids[..2], encoded.own_system[0].1),
            (&[7, 7][..], 2)
        );
        let row = json!({"text": "c", "system": "e"});
        assert_eq!(ids(Some("d"), row.clone()), [7, 7, 3, 5, 4]);
        assert_eq!(asked(Some("d"), vec![row]).unwrap().own_system[0].1, 1);
        let named = json!({"conversations": [{"from": "system", "value": "e"}, {"from": "human", "value": "c"}]});
        assert_eq!(asked(Some("d"), vec![named]).unwrap().own_system[0].1, 1);
    }

    #[test]
    fn what_is_not_asked_is_refused() {
        let error = asked(None, vec![json!({"input_ids": [3]})]).unwrap_err().to_string();
        assert!(error.ends_with("line 1: found a row of token ids, expected text or messages, which a chat template renders"), "{error}");
        for config in [
            EncoderConfig {
                as_chat: true,
                targets: false,
                ..EncoderConfig::new(Task::Seq2SeqLm, 8)
            },
            EncoderConfig { as_chat: true, ..config(PLAIN) },
        ] {
            let error = config.init(Some(llama_like(false))).unwrap_err().to_string();
            assert!(error.starts_with("as_chat: "), "{error}");
        }
    }

    /// A user, and an assistant that says d and e with a user between, with these marks on what it says.
    fn marked(first: Value, second: Value) -> Value {
        let mut row = talk(&[("user", "c"), ("assistant", "d"), ("user", "c"), ("assistant", "e")]);
        for (i, mark) in [(1, first), (3, second)] {
            let message = row["messages"][i].as_object_mut().unwrap();
            message.extend(mark.as_object().unwrap().clone());
        }
        row
    }

    #[test]
    fn messages_that_are_marked_as_not_learnt_are_not() {
        let none = json!({});
        for template in [PLAIN, MARKED] {
            let encoder = encoder(config(template));
            let learnt = |first: &Value, second: &Value| {
                ids_and_learnt(&encoder, marked(first.clone(), second.clone())).1
            };
            assert_eq!(learnt(&none, &none), [6, 2, 7, 2]);
            for not in [
                json!({"weight": 0}),
                json!({"weight": 0.0}),
                json!({"train": false}),
                json!({"loss": false}),
                json!({"training": false, "weight": 0}),
            ] {
                assert_eq!(learnt(&not, &none), [7, 2], "{template}, {not}");
                assert_eq!(learnt(&none, &not), [6, 2], "{template}, {not}");
                assert_eq!(ids_and_learnt(&encoder, marked(not.clone(), none.clone())).0.len(), 10);
                let error = refusal(&encoder, marked(not.clone(), not));
                assert!(
                    error.contains("every message of the assistant is marked as not to be learnt"),
                    "{error}"
                );
            }
            for does in [json!({"weight": 1}), json!({"train": true}), json!({"loss": null})] {
                assert_eq!(learnt(&does, &does), [6, 2, 7, 2], "{template}, {does}");
            }
        }
        // A mark on what is never learnt says nothing new.
        let mut row = marked(none.clone(), none);
        row["messages"][0]["weight"] = json!(0);
        assert_eq!(ids_and_learnt(&encoder(config(PLAIN)), row).1, [6, 2, 7, 2]);
    }

    #[test]
    fn marks_that_cannot_be_followed_are_refused_by_name() {
        let encoder = encoder(config(PLAIN));
        for (mark, expected) in [
            (
                json!({"weight": 0.5}),
                "field `messages[1].weight`: found the number 0.5, expected 0 for a message",
            ),
            (json!({"weight": "0"}), "found the string `0`, expected 0"),
            (json!({"train": 2}), "field `messages[1].train`: found the number 2"),
            (
                json!({"weight": 1, "train": false}),
                "field `messages[1]`: `weight` and `train` disagree",
            ),
            (json!({"train_detail": []}), "field `messages[1].train_detail`: not followed here"),
            (json!({"loss_scale": 2}), "field `messages[1].loss_scale`: not followed here"),
            (json!({"mask": true}), "field `messages[1].mask`: not followed here"),
            (
                json!({"content": [{"type": "text", "text": "d", "weight": 0}]}),
                "messages[1].content[0]`: a part that",
            ),
        ] {
            let row = marked(mark, json!({}));
            let error = refusal(&encoder, row.clone());
            assert!(error.contains(expected), "{error}");
            assert!(error.contains("remove "), "{error}");
            let asked = EncoderConfig { targets: false, ..config(PLAIN) };
            let is_read = row["messages"][1]["content"].is_array();
            assert!(is_read || one(&self::encoder(asked), row).is_ok(), "nothing is learnt then");
        }
        let mut row = marked(json!({}), json!({}));
        row["messages"][2]["train"] = json!(true);
        let error = refusal(&encoder, row);
        assert!(
            error.contains("field `messages[2]`: is marked as learnt, and is not the assistant's"),
            "{error}"
        );
        let all = "{% for m in messages %}{% generation %}{{ m.content }} {% endgeneration %}{% endfor %}";
        let error = refusal(&self::encoder(config(all)), marked(json!({"weight": 0}), json!({})));
        assert!(error.contains("generation blocks is that of message 2 cannot be told"), "{error}");
    }

    #[test]
    fn a_template_that_marks_the_last_message_alone_does_not_lend_it_to_another() {
        // The last of the conversation, and the last of the assistant.
        let last = MARKED.replace("m.role == 'assistant'", "m.role == 'assistant' and loop.last");
        let of_assistant =
            "{% set ns = namespace(at=0) %}{% for m in messages %}{% if m.role == 'assistant' %}\
            {% set ns.at = loop.index %}{% endif %}{% endfor %}"
                .to_owned()
                + &MARKED.replace("m.role == 'assistant'", "ns.at == loop.index");
        for template in [last, of_assistant] {
            let encoder = encoder(config(&template));
            let unmarked = marked(json!({}), json!({}));
            assert_eq!(ids_and_learnt(&encoder, unmarked).1, [7, 2], "{template}");
            for (first, second) in [(1, 0), (0, 1)] {
                let mut row = marked(json!({"weight": first}), json!({"weight": second}));
                for says in ["e", "d"] {
                    row["messages"][3]["content"] = json!(says);
                    let error = refusal(&encoder, row.clone());
                    assert!(error.contains("cannot be told, and some messages are"), "{error}");
                }
            }
        }
        // One that marks nothing of a message without content still tells the others apart.
        let content =
            MARKED.replace("m.role == 'assistant'", "m.role == 'assistant' and m.content");
        let mut row = marked(json!({"weight": 1}), json!({"weight": 0}));
        row["messages"].as_array_mut().unwrap().extend([
            json!({"role": "user", "content": "c"}),
            json!({"role": "assistant", "tool_calls": []}),
        ]);
        assert_eq!(ids_and_learnt(&encoder(config(&content)), row).1, [6, 2]);
    }

    #[test]
    fn what_only_looks_like_a_mark_is_passed_over() {
        let encoder = encoder(config(PLAIN));
        for other in [
            json!({"loss": 2.31}),
            json!({"loss": [0.5, 1.5]}),
            json!({"train": "train"}),
            json!({"weight": "heavy"}),
        ] {
            let row = marked(other.clone(), json!({"weight": 0}));
            assert_eq!(ids_and_learnt(&encoder, row).1, [6, 2], "{other}");
        }
        for weight in [json!(1), json!(0), json!(0.7), json!(true)] {
            let mut row = marked(json!({"weight": 1}), json!({"weight": 0}));
            row["messages"][0]["weight"] = weight.clone();
            row["messages"][2]["weight"] = weight.clone();
            assert_eq!(ids_and_learnt(&encoder, row).1, [6, 2], "{weight}");
        }
    }

    #[test]
    fn messages_under_other_names_are_refused_with_a_way_out() {
        let encoder = encoder(config(PLAIN));
        let row = json!({"messages": [{"role": "user", "text": "c"}, {"role": "assistant", "content": "d"}]});
        let error = refusal(&encoder, row);
        assert!(error.contains("`messages[0]`: has no `content`, but `text`, which"), "{error}");
        let row = json!({"conversations": [{"from": "human", "text": "c"}, {"from": "gpt", "value": "d"}]});
        let error = refusal(&encoder, row);
        assert!(error.contains("`conversations[0]`: has no `value`, but `text`"), "{error}");
        let error = refusal(&encoder, json!({"messages": ""}));
        assert!(
            error.ends_with("field `messages`: found the string ``, expected an array of messages"),
            "{error}"
        );
        // As TRL has them.
        let said = |role: &str| json!([{"role": role, "content": "c"}]);
        let row = json!({"source": said("user"), "target": said("assistant")});
        let error = refusal(&encoder, row);
        assert!(
            error.contains("field `source`: found messages, expected a string: put all messages"),
            "{error}"
        );
        let error = refusal(&encoder, json!({"source": "c", "target": said("assistant")}));
        assert!(
            error.contains("field `target`: found messages, expected a string: put all messages"),
            "{error}"
        );
        // A message that only calls a tool has no content.
        let calls = json!({"messages": [{"role": "user", "content": "c"}, {"role": "assistant", "tool_calls": []}]});
        assert!(one(&encoder, calls).is_ok());
    }

    #[test]
    fn a_fault_names_what_is_unusual_in_a_conversation() {
        let strict = "{{ messages[0].role[0] and '' }}".to_owned() + PLAIN;
        let begins = talk(&[("assistant", "c"), ("user", "d"), ("assistant", "e")]);
        let error = refusal(&encoder(config(&strict)), begins.clone());
        assert!(
            error.contains("the assistant's part cannot be found: the conversation begins with the assistant, and")
                && error.contains("put a message of the user in front, or leave the row out, or give a template"),
            "{error}"
        );
        // ChatML renders nothing of no messages, which is right.
        assert_eq!(ids_and_learnt(&encoder(config(PLAIN)), begins.clone()).1, [5, 2, 7, 2]);
        let refuses = "{{ raise_exception('no') if messages and messages[0].role != 'user' }}"
            .to_owned()
            + PLAIN;
        let error = refusal(&encoder(config(&refuses)), begins);
        assert!(
            error.ends_with("refuses it: no (the conversation begins with the assistant)"),
            "{error}"
        );
        let adds = PLAIN.replace("m.content }}", "m.content + ' ' }}");
        let null = json!({"messages": [{"role": "user", "content": "c"}, {"role": "assistant", "content": null}]});
        let error = refusal(&encoder(config(&adds)), null);
        assert!(error.ends_with("(message 2 has null as its content)"), "{error}");
    }

    #[test]
    fn a_conversation_is_cut_at_its_end_and_a_question_at_its_beginning() {
        let long = talk(&[("user", "c"), ("assistant", "d"), ("user", "c c"), ("assistant", "e")]);
        let limited = |max_length, targets| {
            encoder(EncoderConfig { max_length: Some(max_length), targets, ..config(PLAIN) })
        };
        let (ids, learnt) = ids_and_learnt(&limited(6, true), long.clone());
        assert_eq!((ids.as_slice(), learnt.as_slice()), (&[3, 5, 4, 6, 2, 3][..], &[6, 2][..]));
        let (ids, _) = ids_and_learnt(&limited(3, false), long.clone());
        assert_eq!(ids, [5, 5, 4]);
        let short = talk(&[("user", "c"), ("assistant", "d")]);
        let encoded = limited(3, true).encode(&rows([long, short])).unwrap();
        assert_eq!((encoded.truncated, encoded.emptied), (2, 2));
        assert_eq!(encoded.examples[0].labelled(), 0);
    }

    #[test]
    fn tools_may_be_a_text_and_variables_come_with_the_row() {
        let template = "{{ (tools or ['none'])[0] }} {{ word }} {{ messages[0].content }} {% if messages | \
            length > 1 %}{{ messages[1].content }}{% endif %}";
        let encoder = encoder(config(template));
        let row = |more: Value| {
            let mut row = talk(&[("user", "c"), ("assistant", "d")]);
            row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            row
        };
        let more = json!({"tools": "[\"a\"]", "chat_template_kwargs": {"word": "e"}});
        assert_eq!(ids_and_learnt(&encoder, row(more)), (vec![3, 7, 5, 6], vec![6]));
        // As Python writes them into a table.
        let messages =
            "[{'role': 'user', 'content': 'c'}, {'role': 'assistant', 'content': \"d\"}]";
        let of_python =
            json!({"messages": messages, "tools": "['a']", "chat_template_kwargs": {"word": "e"}});
        assert_eq!(ids_and_learnt(&encoder, of_python), (vec![3, 7, 5, 6], vec![6]));
        for (more, expected) in [
            (json!({"tools": "x"}), "field `tools`: found a string that is not the JSON of a list"),
            (json!({"tools": {"a": 1}}), "field `tools`: found an object, expected an array"),
            (json!({"chat_template_kwargs": 1}), "found the number 1, expected an object"),
            (json!({"system": 1}), "field `system`: found the number 1, expected a string"),
        ] {
            let error = refusal(&encoder, row(more));
            assert!(error.contains(expected), "{error}");
        }
        let error = refusal(&encoder, json!({"messages": "hello"}));
        assert!(
            error.contains("field `messages`: found a string that is not the JSON of a list"),
            "{error}"
        );
        let error = refusal(&encoder, json!({"messages": []}));
        assert!(error.contains("field `messages`: has no messages"), "{error}");
    }

    #[test]
    fn an_answer_stands_alone_whatever_is_beside_the_conversation() {
        let row = json!({"messages": [{"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}],
            "text": "e", "target": ["d", "e"]});
        for targets in [false, true] {
            let encoder = encoder(EncoderConfig { targets, ..config(PLAIN) });
            let encoded = encoder.encode(&rows([row.clone()])).unwrap();
            assert_eq!(encoded.goes_on, [false]);
            assert!(encoded.examples[0].references.is_empty());
        }
    }

    #[test]
    fn tokens_that_write_anything_of_a_span_belong_to_it() {
        let ids = [10, 11, 12, 13, 14];
        let learnt = |offsets: &[(usize, usize)], span: Range<usize>| -> Vec<bool> {
            targets(&ids[..offsets.len()], offsets, &[span])
                .iter()
                .map(|id| *id != IGNORE)
                .collect()
        };
        // A token across the beginning, and several tokens of one character at the end.
        let offsets = [(0, 3), (3, 4), (4, 8), (4, 8), (8, 9)];
        assert_eq!(learnt(&offsets, 2..8), [true, true, true, true, false]);
        // A blank without offsets of its own.
        let offsets = [(0, 1), (2, 2), (2, 3)];
        assert_eq!(learnt(&offsets, 1..2), [false, true, false]);
        assert_eq!(learnt(&offsets, 2..3), [false, false, true]);
        assert_eq!(learnt(&offsets, 1..1), [false, false, false]);
    }

    #[test]
    fn a_row_that_the_tokenizer_refuses_is_named() {
        let rows = rows([
            talk(&[("user", "c"), ("assistant", "d")]),
            talk(&[("user", "zz"), ("assistant", "d")]),
        ]);
        let error = encoder(config(PLAIN)).encode(&rows).unwrap_err().to_string();
        assert!(error.starts_with("rows.jsonl, line 2: the tokenizer rejects it: "), "{error}");
        let without = EncoderConfig { chat: None, ..config(PLAIN) };
        let error = encoder(without).encode(&rows).unwrap_err().to_string();
        assert!(error.contains("line 1: found a conversation"), "{error}");
    }
}
