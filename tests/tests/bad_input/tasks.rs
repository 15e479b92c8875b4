//! Tasks that are unknown, that the model cannot do, or that have no such setting.

use std::fs;

use super::{CASE, Case, USAGE, fixture::*};

pub const CASES: &[Case] = &[
    Case {
        name: "an unknown task",
        build: |dir| {
            model(dir, "gpt2");
            train("--task-file superglue-bolq")
        },
        says: &["error: --task-file: found \"superglue-bolq\"", "did you mean superglue-boolq?"],
        ..USAGE
    },
    Case {
        name: "a task of another kind",
        build: |dir| {
            model(dir, "gpt2");
            train("--task-file conll")
        },
        says: &["error: --task: found causal-lm, the task conll is for token-cls"],
        ..USAGE
    },
    Case {
        name: "a task file with a step that is none",
        build: |dir| {
            model(dir, "gpt2");
            let text = "task = \"causal-lm\"\nsteps = [{ech = 1}]\n[causal-lm]\n";
            fs::write(dir.join("own.toml"), text).unwrap();
            train("--task-file own.toml")
        },
        says: &["error: --task-file: own.toml: ", "step 1: unknown variant `ech`, expected one of"],
        ..USAGE
    },
    Case {
        name: "a folder of data without a task",
        build: |dir| {
            model(dir, "gpt2");
            train("--data-dir .")
        },
        says: &["error: --data-dir: needs --task-file, which names the files in it"],
        ..USAGE
    },
    Case {
        name: "causal-lm on BERT",
        build: |dir| {
            model(dir, "bert");
            rows(dir, "{\"input_ids\": [3], \"labels\": [3]}\n");
            train("")
        },
        says: &["--task: causal-lm needs a decoder-only model, bert is"],
        ..USAGE
    },
    Case {
        name: "seq2seq-lm on GPT-2",
        build: |dir| {
            model(dir, "gpt2");
            turn("")
        },
        says: &["--task: seq2seq-lm needs an encoder-decoder, gpt2 has one stack"],
        ..USAGE
    },
    Case {
        name: "seq-cls on T5",
        build: |dir| {
            model(dir, "t5");
            rows(dir, "{\"input_ids\": [3], \"label\": 0}\n{\"input_ids\": [3], \"label\": 1}\n");
            train("--task seq-cls --method prompt")
        },
        says: &["--task: seq-cls needs a model of one stack, t5 has two"],
        ..USAGE
    },
    Case {
        name: "a setting of another task",
        build: |dir| {
            model(dir, "gpt2");
            train("--doc-stride 3")
        },
        says: &["--doc-stride: not used by causal-lm, it is a setting of qa"],
        ..USAGE
    },
    Case {
        name: "a setting of another task in an evaluation",
        build: |dir| {
            model(dir, "gpt2");
            words("eval --model model --data rows.jsonl --doc-stride 3")
        },
        says: &["--doc-stride: not used by causal-lm, it is a setting of qa"],
        ..USAGE
    },
    Case {
        name: "a field of rows beside a prompt",
        build: |dir| {
            model(dir, "gpt2");
            words("generate --model model --prompt sea --max-new-tokens 2 --text-field body")
        },
        says: &["--text-field: is for rows of a file (--input), not for --prompt"],
        ..USAGE
    },
    Case {
        name: "a chat template beside a prompt that is continued",
        build: |dir| {
            model(dir, "gpt2");
            words("generate --model model --prompt sea --max-new-tokens 2 --chat-date 2026-01-31")
        },
        says: &["--chat-date: is for conversations: give --chat, too"],
        ..USAGE
    },
    Case {
        name: "a chat template for rows that are no conversations",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("chat.jinja"), "{{ messages }}").unwrap();
            train("--chat-template chat.jinja")
        },
        says: &["--chat-template: is for conversations, and no row is one: leave it out"],
        ..USAGE
    },
    Case {
        name: "a day for rows that are continued",
        build: |dir| {
            model(dir, "gpt2");
            words(
                "generate --model model --input rows.jsonl --max-new-tokens 2 --chat-date 2026-01-31",
            )
        },
        says: &[
            "--chat-date: is for conversations, and no row is one: leave it out, or give --chat",
        ],
        ..USAGE
    },
    Case {
        name: "a message of the system for rows that are continued",
        build: |dir| {
            model(dir, "gpt2");
            words("generate --model model --input rows.jsonl --max-new-tokens 2 --system sea")
        },
        says: &["--chat", "required"],
        ..USAGE
    },
    Case {
        name: "a field of texts for rows of token ids",
        build: |dir| {
            model(dir, "gpt2");
            train("--text-field body")
        },
        says: &["--text-field: not used by rows of token ids, which have `input_ids`"],
        ..USAGE
    },
    Case {
        name: "answers of no tokens",
        build: |dir| {
            model(dir, "bert-qa");
            train("--task qa --max-answer-length 0")
        },
        says: &["--max-answer-length: found 0, expected at least 1"],
        ..USAGE
    },
    Case {
        name: "a threshold that is no number",
        build: |dir| {
            model(dir, "bert-qa");
            train("--task qa --null-score-diff-threshold nan")
        },
        says: &["--null-score-diff-threshold: found NaN, expected a number"],
        ..USAGE
    },
    Case {
        name: "a threshold of another task",
        build: |dir| {
            model(dir, "gpt2");
            train("--null-score-diff-threshold 1")
        },
        says: &["--null-score-diff-threshold: not used by causal-lm, it is a setting of qa"],
        ..USAGE
    },
    Case {
        name: "template for qa",
        build: |dir| {
            model(dir, "bert-qa");
            train("--task qa --source-template {context}")
        },
        says: &["--source-template: not used by qa, which reads fields `question` and `context`"],
        ..USAGE
    },
    Case {
        name: "generate with the adapter of a classifier",
        build: |dir| {
            model(dir, "gpt2");
            rows(
                dir,
                "{\"input_ids\": [5, 6], \"label\": 0}\n{\"input_ids\": [7, 8], \"label\": 1}\n",
            );
            must(dir, &classify(""));
            words("generate --model model --adapter out --input rows.jsonl --max-new-tokens 2")
        },
        says: &["--adapter: was trained for seq-cls, which generates nothing", "peft predict"],
        then: "predict --model model --adapter out --input rows.jsonl",
        ..USAGE
    },
    Case {
        name: "generate on BERT",
        build: |dir| {
            model(dir, "bert");
            words("generate --model model --input rows.jsonl --output out.jsonl")
        },
        says: &["a bert model", "does not generate"],
        ..CASE
    },
    Case {
        name: "predict with a language model",
        build: |dir| {
            pair(dir, "gpt2");
            words("predict --model model --adapter adapter --input rows.jsonl --output out.jsonl")
        },
        says: &["causal-lm", "peft generate"],
        ..CASE
    },
    Case {
        name: "answers to rows that have classes",
        build: |dir| {
            model(dir, "bert");
            words("predict --model model --input rows.jsonl --n-best 2")
        },
        says: &["--n-best: not used by seq-cls, which has no answers; --top-k is for classes"],
        ..USAGE
    },
];
