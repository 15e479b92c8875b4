//! Conversations that cannot be learnt, and chat templates that cannot show them.

use std::{fs, path::Path};

use super::{CASE, Case, USAGE, fixture::*};

pub const CASES: &[Case] = &[
    Case {
        name: "a conversation that is not a list of messages",
        build: |dir| chat(dir, r#"{"messages": "hello"}"#, "{{ messages }}"),
        says: &[
            "rows.jsonl, line 1: field `messages`: found a string that is not the JSON of a list",
        ],
        ..CASE
    },
    Case {
        name: "a speaker that sharegpt does not know",
        build: |dir| {
            chat(dir, r#"{"conversations": [{"from": "cat", "value": "x"}]}"#, "{{ messages }}")
        },
        says: &["line 1: field `conversations[0].from`: found `cat`, expected one of: human, user"],
        ..CASE
    },
    Case {
        name: "a message without a role",
        build: |dir| chat(dir, r#"{"messages": [{"content": "x"}]}"#, "{{ messages }}"),
        says: &["rows.jsonl, line 1: field `messages[0]`: has no `role`"],
        ..CASE
    },
    Case {
        name: "a content that is a number",
        build: |dir| {
            chat(dir, r#"{"messages": [{"role": "user", "content": 3}]}"#, "{{ messages }}")
        },
        says: &["field `messages[0].content`: found the number 3, expected a string, null, or an"],
        ..CASE
    },
    Case {
        name: "a conversation without the assistant",
        build: |dir| {
            chat(dir, r#"{"messages": [{"role": "user", "content": "x"}]}"#, "{{ messages }}")
        },
        says: &["rows.jsonl, line 1: has no message of the assistant"],
        ..CASE
    },
    Case {
        name: "a message with half a weight",
        build: |dir| {
            chat(dir, &TALK.replace(r#""is""#, r#""is", "weight": 0.5"#), "{{ messages }}")
        },
        says: &["rows.jsonl, line 1: field `messages[1].weight`: found the number 0.5, expected 0"],
        ..CASE
    },
    Case {
        name: "a conversation of which nothing is to be learnt",
        build: |dir| {
            chat(dir, &TALK.replace(r#""is""#, r#""is", "train": false"#), "{{ messages }}")
        },
        says: &[
            "line 1: every message of the assistant is marked as not to be learnt",
            "leave the row out",
        ],
        ..CASE
    },
    Case {
        name: "a conversation that begins with the assistant",
        build: |dir| {
            let row = r#"{"messages": [{"role": "assistant", "content": "sea"}]}"#;
            chat(dir, row, "{{ messages[0].role[0] }}")
        },
        says: &[
            "line 1: the assistant's part cannot be found: the conversation begins with the assistant",
            "put a message of the user in front, or leave the row out",
            "as --chat-template",
        ],
        ..CASE
    },
    Case {
        name: "token ids that are to be answered by a chat template",
        build: |dir| {
            model(dir, "llama");
            words("generate --model model --chat --input rows.jsonl --max-new-tokens 2")
        },
        says: &["rows.jsonl, line 1: found a row of token ids, expected text or messages"],
        ..CASE
    },
    Case {
        name: "a template that rewrites earlier messages",
        build: |dir| {
            let template = "{% for m in messages %}{{ loop.length }}{{ m.content }}{% endfor %}";
            chat(dir, TALK, template)
        },
        says: &[
            "rows.jsonl, line 1: the assistant's part cannot be found",
            "has no generation blocks",
            "as --chat-template",
        ],
        ..CASE
    },
    Case {
        name: "a template that refuses a conversation",
        build: |dir| chat(dir, TALK, "{{ messages[0].role }}\n{{ raise_exception('no users') }}"),
        says: &["line 1: chat.jinja, chat template, line 2: the template refuses it: no users"],
        ..CASE
    },
    Case {
        name: "a template that loops for ever",
        build: |dir| {
            let template =
                "{% for i in range(9999) %}{% for i in range(99999) %}{% endfor %}{% endfor %}";
            chat(dir, TALK, template)
        },
        says: &["rows.jsonl, line 1: chat.jinja, chat template, line 1", "does it loop for ever?"],
        ..CASE
    },
    Case {
        name: "a template that is not one",
        build: |dir| chat(dir, TALK, "{% if %}"),
        says: &["--chat-template: chat.jinja, chat template, line 1: "],
        ..USAGE
    },
    Case {
        name: "a template that asks for a file",
        build: |dir| chat(dir, TALK, "{% include 'rows.jsonl' %}"),
        says: &["chat.jinja, chat template, line 1: the tag `include` is not supported"],
        ..USAGE
    },
    Case {
        name: "a day that is none",
        build: |dir| {
            let mut args = chat(dir, TALK, "{{ strftime_now('%Y') }}");
            args.extend(["--chat-date".to_string(), "2026-02-30".to_string()]);
            args
        },
        says: &["--chat-date: found `2026-02-30`, expected a day such as 2026-01-31"],
        ..USAGE
    },
];

const TALK: &str =
    r#"{"messages": [{"role": "user", "content": "sea"}, {"role": "assistant", "content": "is"}]}"#;

/// As [`train`], with this conversation and this chat template.
fn chat(dir: &Path, row: &str, template: &str) -> Vec<String> {
    model(dir, "llama");
    tokenizer(dir);
    rows(dir, &format!("{row}\n"));
    fs::write(dir.join("chat.jinja"), template).unwrap();
    train("--chat-template chat.jinja")
}
