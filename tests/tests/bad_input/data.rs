//! Rows that cannot be read, or do not fit the task, the model or its tokenizer.

use std::{fs, path::Path};

use peft_tests::vectors;
use serde_json::json;

use super::{CASE, Case, USAGE, fixture::*};

pub const CASES: &[Case] = &[
    #[cfg(unix)]
    Case {
        name: "rows of a device without an end",
        build: |dir| {
            model(dir, "gpt2");
            words("eval --model model --data /dev/zero")
        },
        says: &["cannot read /dev/zero: it is a device, expected a file or a pipe"],
        ..CASE
    },
    Case {
        name: "a text that takes too much memory, whatever is kept of it",
        build: |dir| {
            model(dir, "gpt2-cls");
            tokenizer(dir);
            rows(dir, &format!("{{\"text\": \"{}\", \"label\": 1}}\n", "a ".repeat(1 << 23)));
            words("eval --model model --data rows.jsonl --max-length 8")
        },
        says: &[
            "rows.jsonl, line 1: found a text of 16777216 bytes, expected at most 8388608",
            "--max-length cuts only what was tokenised, so cut the text",
        ],
        ..CASE
    },
    Case {
        name: "an infix in rows without a source",
        build: |dir| {
            model(dir, "gpt2");
            train("--infix")
        },
        says: &[
            "rows.jsonl, line 1: found no source: the first token has a target. An infix stands between",
            "give rows both, or train a prefix",
        ],
        ..CASE
    },
    Case {
        name: "an infix in rows of several turns",
        build: |dir| {
            model(dir, "gpt2");
            let good = r#"{"input_ids": [3, 4, 5, 6], "labels": [-100, -100, 5, 6]}"#;
            let turns = r#"{"input_ids": [3, 4, 5, 6], "labels": [-100, 4, -100, 6]}"#;
            rows(dir, &format!("{good}\n{turns}\n"));
            train("--infix --valid rows.jsonl")
        },
        says: &[
            "rows.jsonl, line 2: found several targets with other tokens between them",
            "give each a row of its own, or train a prefix",
        ],
        ..CASE
    },
    Case {
        name: "logits of rows that do not say where an infix stands",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, &"{\"input_ids\": [3, 4, 5], \"labels\": [-100, 4, 5]}\n".repeat(4));
            must(dir, &train("--infix --out adapter"));
            words(
                "forward --model model --adapter adapter --input rows.jsonl --output out.safetensors",
            )
        },
        says: &[
            "--adapter: holds an infix",
            "these rows do not say where that is: peft eval scores",
        ],
        ..USAGE
    },
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
    Case {
        name: "answer_start outside of the context",
        build: |dir| {
            let row = r#"{"question": "the", "context": "sea", "answers": [{"text": "sea",
                "answer_start": 3}]}"#;
            ask(dir, &row.replace('\n', ""), "")
        },
        says: &["rows.jsonl, line 1: field `answers`", "answer_start is 3, the context has 3"],
        ..CASE
    },
    Case {
        name: "an answer that stands elsewhere",
        build: |dir| {
            let row = r#"{"question": "the", "context": "is sea", "answers": {"text": ["sea"],
                "answer_start": [0]}}"#;
            ask(dir, &row.replace('\n', ""), "")
        },
        says: &["rows.jsonl, line 1", "the context has `is ` at character 0, expected `sea`"],
        ..CASE
    },
    Case {
        name: "a question without room for its context",
        build: |dir| {
            let row = r#"{"question": "the sea is blue", "context": "is sea", "answers": {"text":
                ["sea"], "answer_start": [3]}}"#;
            ask(dir, &row.replace('\n', ""), "--max-length 4")
        },
        says: &["rows.jsonl, line 1", "4 tokens, which leaves no room for the context", "of 4"],
        ..CASE
    },
    Case {
        name: "an answer to an impossible question",
        build: |dir| {
            let row = r#"{"question": "the sea is blue", "context": "is sea", "is_impossible": true,
                "answers": [{"text": "sea", "answer_start": 3}]}"#;
            ask(dir, &row.replace('\n', ""), "")
        },
        says: &["rows.jsonl, line 1: field `answers`: found 1, but `is_impossible` is true"],
        ..CASE
    },
    Case {
        name: "no answer to a possible question",
        build: |dir| {
            let row = r#"{"question": "the sea", "context": "is sea", "is_impossible": false,
                "answers": {"text": [], "answer_start": []}}"#;
            ask(dir, &row.replace('\n', ""), "")
        },
        says: &["rows.jsonl, line 1: field `answers`: found none, but `is_impossible` is false"],
        ..CASE
    },
    Case {
        name: "an answer without a text",
        build: |dir| {
            let row = r#"{"question": "the sea", "context": "is sea", "answers": {"text": [""],
                "answer_start": [-1]}}"#;
            ask(dir, &row.replace('\n', ""), "")
        },
        says: &[
            "rows.jsonl, line 1: field `answers.text`",
            "the list is empty where there is no answer",
        ],
        ..CASE
    },
    Case {
        name: "an answer behind the row's end",
        build: |dir| {
            let row = "{\"input_ids\": [3], \"start_positions\": 0, \"end_positions\": 1}\n";
            ask(dir, row, "")
        },
        says: &["rows.jsonl, line 1: field `end_positions`: found the number 1", "1 tokens"],
        ..CASE
    },
    Case {
        name: "SQuAD's layout without questions",
        build: |dir| {
            let args = ask(dir, "", "");
            fs::write(dir.join("rows.json"), "{\"data\": [{\"paragraphs\": [{}]}]}").unwrap();
            fs::remove_file(dir.join("rows.jsonl")).unwrap();
            args.iter().map(|arg| arg.replace("rows.jsonl", "rows.json")).collect()
        },
        says: &["rows.json: data[0].paragraphs[0] has no `qas`"],
        ..CASE
    },
    Case {
        name: "no token to begin the decoder with",
        build: |dir| {
            model(dir, "t5");
            config(dir, "decoder_start_token_id", json!(null));
            turn("")
        },
        says: &["model/config.json: key `decoder_start_token_id`: is missing"],
        ..CASE
    },
    Case {
        name: "no token to pad the decoder with",
        build: |dir| {
            model(dir, "t5");
            rows(dir, "{\"input_ids\": [3, 4], \"labels\": [-100, 3]}\n");
            config(dir, "pad_token_id", json!(null));
            turn("")
        },
        says: &["model/config.json: key `pad_token_id`: is missing"],
        ..CASE
    },
    Case {
        name: "labels longer than the decoder",
        build: |dir| {
            model(dir, "bart");
            let ids = vec![3; 200];
            rows(dir, &format!("{{\"input_ids\": [3, 4], \"labels\": {ids:?}}}\n"));
            turn("")
        },
        says: &["rows.jsonl, line 1: 0 virtual tokens + 200 tokens", "positions"],
        ..CASE
    },
    Case {
        name: "labels that do not fit the decoder's tokens",
        build: |dir| {
            model(dir, "t5");
            rows(
                dir,
                "{\"input_ids\": [3], \"labels\": [3, 4], \"decoder_input_ids\": [0, 3, 4]}\n",
            );
            turn("")
        },
        says: &["line 1: field `labels`: found 2 of them, expected one for each of 3 decoder"],
        ..CASE
    },
    Case {
        name: "forward without the decoder's tokens",
        build: |dir| {
            model(dir, "t5");
            forward()
        },
        says: &["rows.jsonl, line 1: field `decoder_input_ids` is missing"],
        ..CASE
    },
    Case {
        name: "missing data file",
        build: |dir| {
            model(dir, "gpt2");
            train("--train nothing.jsonl")
        },
        says: &["cannot read nothing.jsonl", "No such file"],
        ..CASE
    },
    Case {
        name: "data file of an unknown kind",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("rows.xml"), "<a>").unwrap();
            train("--train rows.xml")
        },
        says: &["rows.xml: found extension .xml, expected .jsonl"],
        ..CASE
    },
    Case {
        name: "Parquet file that was cut off",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("rows.parquet"), "PAR1 and no more").unwrap();
            train("--train rows.parquet")
        },
        says: &[
            "rows.parquet: is Parquet, but its end is missing: the file is cut off; fetch it again",
        ],
        ..CASE
    },
    Case {
        name: "Parquet file that is another file",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("rows.parquet"), "404: not found").unwrap();
            train("--train rows.parquet")
        },
        says: &["rows.parquet: has the name of a Parquet file, but does not begin as one"],
        ..CASE
    },
    Case {
        name: "encrypted Parquet file",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("rows.parquet"), "PARE....PARE").unwrap();
            train("--train rows.parquet")
        },
        says: &["rows.parquet: is encrypted Parquet, expected", ": write it without encryption"],
        ..CASE
    },
    Case {
        name: "Parquet file compressed in a way that is not read",
        build: |dir| {
            model(dir, "gpt2");
            fs::copy(vectors("parquet/lz4.parquet"), dir.join("rows.parquet")).unwrap();
            train("--train rows.parquet")
        },
        says: &[
            "rows.parquet: column `text` is compressed with LZ4_RAW, expected snappy, gzip or zstd",
            "compression=\"zstd\"",
        ],
        ..CASE
    },
    Case {
        name: "Parquet file of pictures",
        build: |dir| {
            model(dir, "gpt2");
            fs::copy(vectors("parquet/binary.parquet"), dir.join("rows.parquet")).unwrap();
            train("--train rows.parquet")
        },
        says: &["rows.parquet: has no column of text or numbers"],
        ..CASE
    },
    Case {
        name: "shard of a data set that is missing",
        build: |dir| {
            model(dir, "gpt2");
            fs::create_dir(dir.join("rows")).unwrap();
            fs::write(dir.join("rows/train-00001-of-00002.jsonl"), "{}").unwrap();
            train("--train rows")
        },
        says: &["train-00000-of-00002.jsonl: is missing: of the data set's 2 files 1 are there"],
        ..CASE
    },
    Case {
        name: "standard input for two things",
        build: |dir| {
            model(dir, "gpt2");
            train("--train - --valid -")
        },
        says: &["--valid: found -, standard input, which --train reads already: give a file"],
        ..USAGE
    },
    Case {
        name: "a file of rows that is named twice",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("rows.jsonl"), "{\"text\": \"a\"}").unwrap();
            train("--train rows.jsonl --train rows.jsonl")
        },
        says: &["rows.jsonl: is named twice; its rows would be read twice"],
        ..CASE
    },
    Case {
        name: "folder with the same rows in two formats",
        build: |dir| {
            model(dir, "gpt2");
            fs::create_dir(dir.join("rows")).unwrap();
            fs::write(dir.join("rows/a.jsonl"), "{}").unwrap();
            fs::write(dir.join("rows/a.csv"), "a\n").unwrap();
            train("--train rows")
        },
        says: &["rows: is a folder with a.csv and a.jsonl, which seem to be the same rows"],
        ..CASE
    },
    Case {
        name: "empty data file",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "");
            train("")
        },
        says: &["rows.jsonl: holds no records"],
        ..CASE
    },
    Case {
        name: "a line that is not JSON",
        build: |dir| {
            pair(dir, "gpt2");
            rows(dir, "{\"input_ids\": [1], \"labels\": [1]}\n\n{\"input_ids\": [1], \"lab\n");
            eval()
        },
        says: &["rows.jsonl, line 3: not a JSON object", "column"],
        ..CASE
    },
    Case {
        name: "a line that is JSON but no object",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"input_ids\": [1]}\n[1, 2]\n");
            forward()
        },
        says: &["rows.jsonl, line 2: found an array of 2 values, expected a JSON object"],
        ..CASE
    },
    Case {
        name: "text that is not UTF-8",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("rows.jsonl"), b"{\"input_ids\": [1]}\n{\"text\": \"\xff\"}\n")
                .unwrap();
            forward()
        },
        says: &["rows.jsonl, line 2", "not UTF-8", "0xff"],
        ..CASE
    },
    Case {
        name: "CSV row with a field too few",
        build: |dir| {
            model(dir, "bert");
            fs::write(dir.join("rows.csv"), "text,label\nthe sea,a\nblue\n").unwrap();
            classify("--train rows.csv")
        },
        says: &["rows.csv, line 3: found 1 fields, expected the header's 2: text, label"],
        ..CASE
    },
    Case {
        name: "field missing",
        build: |dir| {
            model(dir, "bert");
            rows(dir, "{\"input_ids\": [1], \"label\": 0}\n{\"input_ids\": [1]}\n");
            classify("")
        },
        says: &["rows.jsonl, line 2", "field `label` is missing", "the line has: input_ids"],
        ..CASE
    },
    Case {
        name: "field of the wrong kind",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"input_ids\": [1, \"two\"]}\n");
            forward()
        },
        says: &["rows.jsonl, line 1: field `input_ids[1]`: found the string `two`", "a token id"],
        ..CASE
    },
    Case {
        name: "token id outside the vocabulary",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"input_ids\": [1, 2]}\n{\"input_ids\": [1, 71]}\n");
            forward()
        },
        says: &["rows.jsonl, line 2: token id 71 is outside the vocabulary of 71"],
        ..CASE
    },
    Case {
        name: "token type that the model does not know",
        build: |dir| {
            model(dir, "bert");
            rows(dir, "{\"input_ids\": [1, 2], \"token_type_ids\": [0, 2]}\n");
            forward()
        },
        says: &["rows.jsonl, line 1: token type 2: the model knows 2 of them"],
        ..CASE
    },
    Case {
        name: "labels of another length than input_ids",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"input_ids\": [1, 2, 3], \"labels\": [1, 2]}\n");
            train("")
        },
        says: &["rows.jsonl, line 1: field `labels`: found 2", "each of 3 tokens"],
        ..CASE
    },
    Case {
        name: "row without tokens",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"input_ids\": [], \"labels\": []}\n");
            train("")
        },
        says: &["rows.jsonl, line 1: found no tokens, expected at least one"],
        ..CASE
    },
    Case {
        name: "no row has a target",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"input_ids\": [1, 2], \"labels\": [-100, -100]}\n");
            train("")
        },
        says: &["rows.jsonl: no row has a target"],
        ..CASE
    },
    Case {
        name: "class that the head does not have",
        build: |dir| {
            pair(dir, "bert");
            rows(dir, "{\"input_ids\": [1, 2], \"label\": 3}\n");
            eval()
        },
        says: &["rows.jsonl, line 1: field `label`: found class 3 of 3 classes"],
        ..CASE
    },
    Case {
        name: "label that is not in --labels",
        build: |dir| {
            model(dir, "bert");
            tokenizer(dir);
            rows(
                dir,
                "{\"text\": \"the sea\", \"label\": \"calm\"}\n{\"text\": \"is\", \"label\": \"wild\"}\n",
            );
            classify("--labels calm,rough")
        },
        says: &["rows.jsonl, line 2: found label `wild`, expected one of: calm, rough"],
        ..CASE
    },
    Case {
        name: "a label twice in --labels",
        build: |dir| {
            model(dir, "bert");
            classify("--labels calm,rough,calm")
        },
        says: &["--labels: `calm` is both label 0 and label 2"],
        ..USAGE
    },
    Case {
        name: "text without a tokenizer",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"text\": \"the sea is blue\"}\n");
            train("")
        },
        says: &["model: has no tokenizer", "neither tokenizer.json nor vocab.json and merges.txt"],
        ..CASE
    },
    Case {
        name: "a tokenizer class that is not supported",
        build: |dir| {
            model(dir, "gpt2");
            tokenizer(dir);
            let class = "{\"tokenizer_class\": \"CodeGenTokenizer\"}";
            fs::write(dir.join("model/tokenizer_config.json"), class).unwrap();
            rows(dir, "{\"text\": \"the sea is blue\"}\n");
            train("")
        },
        says: &[
            "model/tokenizer_config.json: key `tokenizer_class`: CodeGenTokenizer is not supported",
            "name \"TokenizersBackend\" here",
        ],
        ..CASE
    },
    Case {
        name: "a tokenizer of a kind that its class would misread",
        build: |dir| {
            model(dir, "gpt2");
            tokenizer(dir);
            fs::remove_file(dir.join("model/tokenizer_config.json")).unwrap();
            rows(dir, "{\"text\": \"the sea is blue\"}\n");
            train("")
        },
        says: &[
            "model/tokenizer.json: ",
            "its model is WordLevel, of which GPT2Tokenizer makes BPE",
            "write \"tokenizer_class\": \"TokenizersBackend\" into tokenizer_config.json",
        ],
        ..CASE
    },
    Case {
        name: "a tokenizer that writes a token it does not define",
        build: |dir| {
            model(dir, "gpt2");
            tokenizer(dir);
            edit(&dir.join("model/tokenizer.json"), |json| {
                json["post_processor"] = json!({"type": "TemplateProcessing", "pair": [],
                    "special_tokens": {}, "single": [{"SpecialToken": {"id": "[X]", "type_id": 0}}]});
            });
            rows(dir, "{\"text\": \"the sea is blue\"}\n");
            train("")
        },
        says: &["model/tokenizer.json: ", "its post-processor writes \"[X]\", which is none of"],
        ..CASE
    },
    Case {
        name: "a tokenizer whose normalizers fill the memory",
        build: |dir| {
            model(dir, "gpt2");
            tokenizer(dir);
            edit(&dir.join("model/tokenizer.json"), |json| {
                let doubling =
                    json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"});
                json["normalizer"] = json!({"type": "Sequence", "normalizers": vec![doubling; 32]});
            });
            rows(dir, "{\"text\": \"the sea is blue\"}\n");
            train("")
        },
        says: &[
            "model/tokenizer.json: ",
            "can make a text 4294967296 times as long, expected at most 65536",
        ],
        ..CASE
    },
    Case {
        name: "control characters in a name",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"\\u001b[31mx\": 1}\n");
            train("")
        },
        says: &["it has: \\u{1b}[31mx"],
        ..USAGE
    },
    Case {
        name: "a tokenizer.model that is none",
        build: |dir| {
            model(dir, "llama");
            fs::write(dir.join("model/tokenizer.model"), b"\x0a\xff\xff\x01").unwrap();
            rows(dir, "{\"text\": \"the sea is blue\"}\n");
            train("")
        },
        says: &["model/tokenizer.model: not a SentencePiece model: found a field of"],
        ..CASE
    },
    Case {
        name: "several labels where one is expected",
        build: |dir| {
            model(dir, "bert");
            rows(dir, "{\"text\": \"the sea\", \"label\": [\"calm\", \"rough\"]}\n");
            classify("")
        },
        says: &[
            "rows.jsonl, line 1: field `label`: found an array",
            "set --problem-type to multi-label",
        ],
        ..CASE
    },
    Case {
        name: "a score that is no number",
        build: |dir| {
            model(dir, "bert");
            tokenizer(dir);
            fs::write(dir.join("rows.csv"), "text,label\nthe sea,1.5\nblue,nan\n").unwrap();
            classify("--train rows.csv --problem-type regression")
        },
        says: &[
            "rows.csv, line 3: field `label`: found the string `nan`, expected a finite number",
        ],
        ..CASE
    },
    Case {
        name: "one score more than in the rows before",
        build: |dir| {
            model(dir, "bert");
            rows(
                dir,
                "{\"input_ids\": [3], \"label\": 1.5}\n{\"input_ids\": [3], \"label\": [1, 2]}\n",
            );
            classify("--problem-type regression")
        },
        says: &["rows.jsonl, line 2: found 2 numbers to predict, the rows before have 1"],
        ..CASE
    },
    Case {
        name: "a number for each class that is none",
        build: |dir| {
            model(dir, "bert");
            rows(
                dir,
                "{\"input_ids\": [3], \"label\": [1.0, 0.0]}\n{\"input_ids\": [3], \"label\": [3.0, 0.0]}\n",
            );
            classify("--problem-type multi-label")
        },
        says: &["rows.jsonl, line 2: field `label`: found 3, expected a list of labels"],
        ..CASE
    },
    Case {
        name: "numbers for another number of classes",
        build: |dir| {
            model(dir, "bert");
            rows(dir, "{\"input_ids\": [3], \"label\": [1.0, 0.0]}\n");
            classify("--problem-type multi-label --labels a,b,c")
        },
        says: &[
            "rows.jsonl, line 1: field `label`: found 2 numbers, expected one for each of 3 classes",
        ],
        ..CASE
    },
    Case {
        name: "a problem type of another task",
        build: |dir| {
            model(dir, "gpt2");
            train("--problem-type regression")
        },
        says: &["--problem-type: not used by causal-lm, it is a setting of seq-cls"],
        ..USAGE
    },
    Case {
        name: "class names of a regression",
        build: |dir| {
            model(dir, "bert");
            classify("--problem-type regression --labels a,b")
        },
        says: &["--labels: not used by regression, which has no classes"],
        ..USAGE
    },
    Case {
        name: "an unknown problem type",
        build: |dir| {
            model(dir, "bert");
            classify("--problem-type ranking")
        },
        says: &["ranking", "single_label_classification, multi_label_classification, regression"],
        ..USAGE
    },
    Case {
        name: "an empty list of targets",
        build: |dir| {
            model(dir, "gpt2");
            tokenizer(dir);
            rows(dir, "{\"source\": \"the\", \"target\": []}\n");
            train("")
        },
        says: &["rows.jsonl, line 1: field `target`: found an empty list of targets"],
        ..CASE
    },
    Case {
        name: "lists of two classes that could be indices or marks",
        build: |dir| {
            model(dir, "bert");
            tokenizer(dir);
            rows(dir, &"{\"text\": \"the sea\", \"label\": [0, 1]}\n".repeat(4));
            classify("--problem-type multi_label_classification --labels wet,blue")
        },
        says: &[
            "rows.jsonl, line 1: field `label`: every row has the numbers 0 and 1",
            "wet, blue",
        ],
        ..CASE
    },
    Case {
        name: "a label that is nan",
        build: |dir| {
            model(dir, "bert");
            fs::write(dir.join("rows.csv"), "text,label\nthe sea,1.0\nblue,nan\n").unwrap();
            classify("--train rows.csv")
        },
        says: &["rows.csv, line 3: field `label`: found `nan`, as a missing value is written"],
        ..CASE
    },
    Case {
        name: "a label on which nobody agreed",
        build: |dir| {
            model(dir, "bert");
            tokenizer(dir);
            let rows =
                "{\"text\": \"the\", \"label\": \"a\"}\n{\"text\": \"sea\", \"label\": \"-\"}\n";
            fs::write(dir.join("rows.jsonl"), rows.repeat(2)).unwrap();
            classify("")
        },
        says: &[
            "rows.jsonl, line 2: field `label`: found `-`, which stands for no label",
            "--skip-unlabelled",
        ],
        then: "train --model model --method head --task seq-cls --train rows.jsonl --out out --steps 1 \
               --skip-unlabelled",
        ..CASE
    },
    Case {
        name: "no row with a label for a list of labels",
        build: |dir| {
            model(dir, "bert");
            tokenizer(dir);
            rows(dir, "{\"text\": \"the\", \"label\": -1}\n{\"text\": \"sea\", \"label\": -1}\n");
            classify("--skip-unlabelled")
        },
        says: &["--label-field: no row has a label in field `label`"],
        ..USAGE
    },
    Case {
        name: "a column of labels that is null in all rows",
        build: |dir| {
            model(dir, "bert");
            tokenizer(dir);
            let rows =
                "{\"text\": \"the\", \"label\": null}\n{\"text\": \"sea\", \"label\": null}\n";
            fs::write(dir.join("rows.jsonl"), rows).unwrap();
            classify("")
        },
        says: &[
            "--label-field: no row has a label in field `label`; name the field that has them",
            "rows without one can be predicted",
        ],
        ..USAGE
    },
    Case {
        name: "rows to score without a label",
        build: |dir| {
            pair(dir, "bert");
            rows(
                dir,
                "{\"input_ids\": [1, 2], \"label\": null}\n{\"input_ids\": [1], \"label\": null}\n",
            );
            eval()
        },
        says: &[
            "rows.jsonl: no row has a label in field `label`; set --label-field to the field that has them",
        ],
        ..CASE
    },
    Case {
        name: "no row with a label",
        build: |dir| {
            model(dir, "bert");
            tokenizer(dir);
            rows(dir, "{\"text\": \"the\", \"label\": -1}\n{\"text\": \"sea\", \"label\": null}\n");
            classify("--skip-unlabelled --labels a,b")
        },
        says: &["rows.jsonl: no row has a label in field `label`"],
        ..CASE
    },
    Case {
        name: "a class that looks like a flag",
        build: |dir| {
            model(dir, "bert");
            tokenizer(dir);
            let rows = "{\"text\": \"the\", \"label\": -1}\n{\"text\": \"sea\", \"label\": 1}\n";
            fs::write(dir.join("rows.jsonl"), rows).unwrap();
            classify("")
        },
        says: &[
            "rows.jsonl, line 1: field `label`: found `-1`, which stands for no label",
            "set --labels",
        ],
        then: "train --model model --method head --task seq-cls --train rows.jsonl --out out --steps 1 \
               --labels -1,1",
        ..CASE
    },
    Case {
        name: "numbers for names that were sorted",
        build: |dir| {
            model(dir, "bert");
            tokenizer(dir);
            rows(
                dir,
                "{\"text\": \"the\", \"label\": \"wet\"}\n{\"text\": \"sea\", \"label\": \"dry\"}\n",
            );
            fs::write(dir.join("valid.jsonl"), "{\"text\": \"the\", \"label\": 0}\n").unwrap();
            classify("--valid valid.jsonl")
        },
        says: &[
            "valid.jsonl, line 1: found label `0`, expected one of: dry, wet; they were sorted",
            "set --labels",
        ],
        then: "train --model model --method head --task seq-cls --train rows.jsonl --valid valid.jsonl --out out \
               --steps 1 --labels wet,dry",
        ..CASE
    },
    Case {
        name: "scores with a decimal comma",
        build: |dir| {
            model(dir, "bert");
            fs::write(dir.join("rows.csv"), "text,label\nthe sea,\"3,5\"\nblue,1\n").unwrap();
            classify("--train rows.csv")
        },
        says: &[
            "rows.csv, line 2: field `label`: found `3,5`, a number with a comma",
            "set --problem-type to regression, and write them with a point (3.5)",
            "for the numbers of several classes set it to multi-label",
        ],
        ..CASE
    },
    Case {
        name: "a tag with a fraction",
        build: |dir| {
            model(dir, "bert");
            tokenizer(dir);
            rows(dir, "{\"tokens\": [\"the\"], \"tags\": [\"1.5\"]}\n");
            train("--task token-cls")
        },
        says: &["rows.jsonl, line 1: field `tags`: found 1.5, which is no class", "set --labels"],
        ..CASE
    },
    Case {
        name: "a text beside a source and what may be its target",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"text\": \"the\", \"summary\": \"sea\", \"source\": \"web\"}\n");
            train("")
        },
        says: &[
            "--source-field: rows.jsonl has several fields that fit: source, text. Name the one to read here, or text \
             in --text-field to learn it alone",
        ],
        ..USAGE
    },
    Case {
        name: "a prompt and its target beside a source of one word",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"prompt\": \"the\", \"target\": \"sea\", \"source\": \"web\"}\n");
            train("")
        },
        says: &[
            "--source-field: rows.jsonl has several fields that fit: prompt, source. Name the one",
        ],
        ..USAGE
    },
    Case {
        name: "quotes that backslashes stand in front of",
        build: |dir| {
            model(dir, "bert");
            fs::write(dir.join("rows.csv"), "text,label\n\"say \\\"the\\\", sea\",1\n").unwrap();
            classify("--train rows.csv")
        },
        says: &["rows.csv, line 2: a quote in a field is written with a backslash (\\\")"],
        ..CASE
    },
    Case {
        name: "quoted lines in a TSV file",
        build: |dir| {
            model(dir, "bert");
            fs::write(dir.join("rows.tsv"), "label\ttext\n1\t\"the\nblue sea\"\n0\tblue\n")
                .unwrap();
            classify("--train rows.tsv")
        },
        says: &[
            "rows.tsv, line 3: found 1 fields, expected the header's 2: label, text; a field begins with a quote",
            "name the file .csv",
        ],
        ..CASE
    },
    Case {
        name: "a source that may be where rows come from",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"question\": \"the\", \"response\": \"sea\", \"source\": \"web\"}\n");
            train("")
        },
        says: &[
            "--source-field: rows.jsonl has several fields that fit: question, source. Name the one",
        ],
        ..USAGE
    },
    Case {
        name: "lists as Python prints them",
        build: |dir| {
            model(dir, "bert-tok");
            fs::write(dir.join("rows.csv"), "tokens,tags\n\"['the', 'sea']\",\"['O', 'O']\"\n")
                .unwrap();
            train("--task token-cls --train rows.csv")
        },
        says: &["rows.csv, line 2: field `tags`", "a table has it as JSON ([\"a\", \"b\"]"],
        ..CASE
    },
    Case {
        name: "a folder of folders",
        build: |dir| {
            model(dir, "bert");
            fs::create_dir_all(dir.join("glue/sst2")).unwrap();
            fs::rename(dir.join("rows.jsonl"), dir.join("glue/sst2/train.jsonl")).unwrap();
            classify("--train glue")
        },
        says: &[
            "glue: is a folder without data files; name one of the folders in it that have some: glue/sst2",
        ],
        ..CASE
    },
    Case {
        name: "scores in place of classes",
        build: |dir| {
            model(dir, "bert");
            fs::write(dir.join("rows.tsv"), "text\tlabel\nthe sea\t2\nblue\t3.5\n").unwrap();
            classify("--train rows.tsv")
        },
        says: &["rows.tsv, line 3: field `label`: found 3.5, which is no class", "set --labels"],
        ..CASE
    },
    Case {
        name: "a class for each row",
        build: |dir| {
            model(dir, "bert");
            let names = (0..30).map(|i| format!("{{\"text\": \"the\", \"label\": \"id {i}\"}}\n"));
            rows(dir, &names.collect::<String>());
            classify("")
        },
        says: &["--label-field: rows.jsonl: field `label` has 30 different values in 30 rows"],
        ..USAGE
    },
    Case {
        name: "an index beyond the names",
        build: |dir| {
            model(dir, "bert");
            tokenizer(dir);
            rows(dir, "{\"text\": \"the sea\", \"label\": 3}\n");
            classify("--labels calm,rough")
        },
        says: &[
            "rows.jsonl, line 1: found label `3`, expected one of: calm, rough, or an index from",
        ],
        ..CASE
    },
    Case {
        name: "two fields that may be the text",
        build: |dir| {
            model(dir, "bert");
            rows(dir, "{\"sentence\": \"the sea\", \"review\": \"blue\", \"label\": 1}\n");
            classify("")
        },
        says: &["--text-field: rows.jsonl has several fields that fit: review, sentence. Name the"],
        ..USAGE
    },
    Case {
        name: "no field that may be the text",
        build: |dir| {
            model(dir, "bert");
            rows(dir, "{\"a\": \"the sea\", \"b\": {\"c\": \"blue\"}, \"label\": 1}\n");
            classify("")
        },
        says: &[
            "--text-field: rows.jsonl has none of the usual fields (text, ",
            "has: a, b.c, label.",
        ],
        ..USAGE
    },
    Case {
        name: "a field that the file lacks",
        build: |dir| {
            model(dir, "bert");
            rows(dir, "{\"text\": \"the sea\", \"label\": 1}\n");
            classify("--label-field labels")
        },
        says: &[
            "--label-field: found `labels`, but rows.jsonl has no such field; it has: label, text",
        ],
        ..USAGE
    },
    Case {
        name: "a field of another task",
        build: |dir| {
            model(dir, "bert");
            rows(dir, "{\"text\": \"the sea\", \"label\": 1}\n");
            classify("--tokens-field text")
        },
        says: &[
            "--tokens-field: not used by seq-cls, which has --text-field, --text-pair-field, --label",
        ],
        ..USAGE
    },
    Case {
        name: "a field beside a template",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"a\": \"the\", \"b\": \"sea\"}\n");
            train("--source-field a --source-template {a} --target-field b")
        },
        says: &["--source-field: not used beside --source-template; give one of them"],
        ..USAGE
    },
    Case {
        name: "an object in a template",
        build: |dir| {
            model(dir, "gpt2");
            tokenizer(dir);
            rows(dir, "{\"a\": {\"en\": \"the\"}, \"b\": \"sea\"}\n");
            train("--source-template {a} --target-field b")
        },
        says: &["rows.jsonl, line 1: template field `a`: found an object", "as in `a.en`"],
        ..CASE
    },
    Case {
        name: "an optional part without an end",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"a\": \"the\", \"b\": \"sea\"}\n");
            train("--source-template {?the:{a} --target-field b")
        },
        says: &["--source-template: `{?the:{a}`, character 1: found `{?` without `?}`"],
        ..USAGE
    },
    Case {
        name: "unknown field in a template",
        build: |dir| {
            model(dir, "gpt2");
            tokenizer(dir);
            rows(dir, "{\"name\": \"sea\", \"colour\": \"blue\"}\n");
            train("--source-template {nome} --target-template {colour}")
        },
        says: &["rows.jsonl, line 1: field `nome` is missing; the line has: colour, name"],
        ..CASE
    },
    Case {
        name: "unclosed brace in a template",
        build: |dir| {
            model(dir, "gpt2");
            tokenizer(dir);
            rows(dir, "{\"name\": \"sea\", \"colour\": \"blue\"}\n");
            train("--source-template the:{name --target-template {colour}")
        },
        says: &["--source-template: `the:{name`, character 5: found `{` without `}`"],
        ..USAGE
    },
    Case {
        name: "P + T too long to train",
        build: |dir| {
            model(dir, "gpt2");
            long_row(dir, 61);
            train("")
        },
        says: &[
            "rows.jsonl, line 1",
            "4 virtual tokens",
            "61 tokens",
            "limit of 64 positions; --max-length 60 cuts rows of text to what fits",
        ],
        ..CASE
    },
    Case {
        name: "P + T too long to evaluate",
        build: |dir| {
            pair(dir, "gpt2");
            long_row(dir, 60);
            eval()
        },
        says: &[
            "rows.jsonl, line 1",
            "5 virtual tokens",
            "60 tokens",
            "limit of 64 positions; --max-length 59 cuts rows of text",
        ],
        ..CASE
    },
    Case {
        name: "P + T + new tokens too long to generate",
        build: |dir| {
            pair(dir, "gpt2");
            long_row(dir, 40);
            words(
                "generate --model model --adapter adapter --input rows.jsonl --output out.jsonl \
                 --max-new-tokens 30",
            )
        },
        says: &[
            "rows.jsonl, line 1",
            "5 virtual tokens",
            "40 tokens",
            "30 new tokens",
            "limit of 64 positions; --max-length 30 cuts",
        ],
        ..CASE
    },
    Case {
        name: "a text of no tokens to continue",
        build: |dir| {
            model(dir, "gpt2");
            tokenizer(dir);
            let mut args = words("generate --model model --prompt");
            args.push(String::new());
            args
        },
        says: &["--prompt: found no tokens"],
        ..USAGE
    },
    Case {
        name: "a tokenizer of a larger vocabulary",
        build: |dir| {
            model(dir, "gpt2");
            tokenizer(dir);
            edit(&dir.join("model/tokenizer.json"), |json| {
                json["model"]["vocab"]["red"] = json!(71)
            });
            words("generate --model model --prompt red")
        },
        says: &["model: --prompt: ", "token id 71", "vocabulary of 71"],
        ..CASE
    },
    Case {
        name: "a text too long to continue",
        build: |dir| {
            pair(dir, "gpt2");
            tokenizer(dir);
            words("generate --model model --adapter adapter --prompt sea --max-new-tokens 64")
        },
        says: &[
            "5 virtual tokens",
            "1 tokens",
            "64 new tokens",
            "limit of 64 positions; there is no space",
        ],
        ..CASE
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
