//! Flags and keys of `run.toml` that are unknown, out of range or do not go together.

use std::fs;

use super::{CASE, Case, USAGE, fixture::*};

pub const CASES: &[Case] = &[
    Case {
        name: "unknown flag",
        build: |dir| {
            model(dir, "gpt2");
            train("--learning-rate 1")
        },
        says: &["error: --learning-rate: peft train has no such flag; did you mean --lr?"],
        ..USAGE
    },
    Case {
        name: "unknown command",
        build: |_| words("trian"),
        says: &["error: found `trian`, expected a command: demo, train, ", "; did you mean train?"],
        ..USAGE
    },
    Case {
        name: "flag of another command",
        build: |_| words("eval --model model --input rows.jsonl"),
        says: &["error: --input: peft eval has no such flag; did you mean --data?"],
        ..USAGE
    },
    Case {
        name: "a word too many",
        build: |_| words("info model other"),
        says: &["error: found `other`, which belongs to no flag (see `peft info --help`)"],
        ..USAGE
    },
    Case {
        name: "no number",
        build: |_| words("train --steps many"),
        says: &["error: --steps: found `many`, expected a whole number"],
        ..USAGE
    },
    Case {
        name: "no number of rows",
        build: |_| words("predict --model model --input rows.jsonl --batch-size some"),
        says: &["error: --batch-size: found `some`, expected a whole number"],
        ..USAGE
    },
    Case {
        name: "a flag twice",
        build: |_| words("train --lr 1 --lr 2"),
        says: &["error: --lr: found twice, expected once"],
        ..USAGE
    },
    Case {
        name: "a flag without its value",
        build: |_| words("train --lr"),
        says: &["error: --lr: found no value, expected --lr <LR>"],
        ..USAGE
    },
    Case {
        name: "an unknown recipe",
        build: |dir| {
            model(dir, "gpt2");
            train("--recipe li2021-tables")
        },
        says: &[
            "error: --recipe: found \"li2021-tables\", expected one of ",
            "did you mean li2021-table?",
        ],
        ..USAGE
    },
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
        name: "predictions of nothing",
        build: |_| words("eval --model model --data rows.jsonl --predictions out.jsonl"),
        says: &["error: --predictions: needs --max-new-tokens or --rank-classes"],
        ..USAGE
    },
    Case {
        name: "a misspelled method",
        build: |_| words("train --method promt"),
        says: &[
            "error: --method: found `promt`, expected prompt, prefix, ptv2 or head; did you mean prompt?",
        ],
        ..USAGE
    },
    Case {
        name: "several required flags missing",
        build: |_| words("train --lr 1 --train rows.jsonl"),
        says: &[
            "error: --model, --method, --task and --out are required (as flags or in --config)",
        ],
        ..USAGE
    },
    Case {
        name: "required flags of a command missing",
        build: |_| words("forward --model model"),
        says: &[
            "error: --input <FILE> and --output <FILE> are required (see `peft forward --help`)",
        ],
        ..USAGE
    },
    Case {
        name: "required flag missing",
        build: |dir| {
            model(dir, "gpt2");
            words("train --model model --task causal-lm --train rows.jsonl --out out")
        },
        says: &["--method", "required"],
        ..USAGE
    },
    Case {
        name: "backend that is not compiled in",
        build: |dir| {
            model(dir, "gpt2");
            train("--device cuda")
        },
        says: &["--device cuda", "built without", "--features cuda"],
        ..USAGE
    },
    Case {
        name: "batches of no rows to evaluate",
        build: |_| words("eval --model model --data rows.jsonl --batch-size 0"),
        says: &["--batch-size", "found 0, expected at least 1"],
        ..USAGE
    },
    Case {
        name: "no threads",
        build: |_| words("--threads 0 eval --model model --data rows.jsonl"),
        says: &["--threads", "found 0, expected at least 1"],
        ..USAGE
    },
    Case {
        name: "more threads than anybody has",
        build: |_| words("eval --model model --data rows.jsonl --threads 1000000"),
        says: &["--threads: found 1000000, expected at most 4096"],
        ..USAGE
    },
    Case {
        name: "batches of no rows to predict",
        build: |_| words("predict --model model --input rows.jsonl --batch-size 0"),
        says: &["--batch-size", "found 0, expected at least 1"],
        ..USAGE
    },
    Case {
        name: "batches of no rows to read",
        build: |_| words("forward --model model --input rows.jsonl --output out --batch-size 0"),
        says: &["--batch-size", "found 0, expected at least 1"],
        ..USAGE
    },
    Case {
        name: "rows of a classifier packed",
        build: |dir| {
            model(dir, "bert");
            classify("--packing")
        },
        says: &["--packing: not used by seq-cls, it is a setting of causal-lm"],
        ..USAGE
    },
    Case {
        name: "rows of an encoder-decoder packed",
        build: |dir| {
            model(dir, "t5");
            turn("--packing")
        },
        says: &["--packing: not used by seq2seq-lm, it is a setting of causal-lm"],
        ..USAGE
    },
    Case {
        name: "packed rows within a budget of tokens",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("tokens.toml"), "batch_tokens = 64").unwrap();
            words(
                "train --config tokens.toml --packing --model model --method ptv2 --task causal-lm --train rows.jsonl \
                 --out out",
            )
        },
        says: &[
            "--packing: its batches have --batch-size packed rows: leave out it or --batch-tokens",
        ],
        ..USAGE
    },
    Case {
        name: "packed rows in the file's order",
        build: |dir| {
            model(dir, "gpt2");
            train("--packing --no-shuffle")
        },
        says: &["--packing: only shuffled rows are packed", "leave out one of them"],
        ..USAGE
    },
    Case {
        name: "packed rows of no tokens",
        build: |dir| {
            model(dir, "gpt2");
            train("--packing --max-length 0")
        },
        says: &["--max-length: found 0, expected at least 1"],
        ..USAGE
    },
    Case {
        name: "no steps",
        build: |dir| {
            model(dir, "gpt2");
            train("--steps 0")
        },
        says: &["--steps: found 0, expected at least 1"],
        ..USAGE
    },
    Case {
        name: "steps and epochs",
        build: |dir| {
            model(dir, "gpt2");
            train("--epochs 1 --steps 1")
        },
        says: &["--epochs", "--steps"],
        ..USAGE
    },
    Case {
        name: "learning rate below 0",
        build: |dir| {
            model(dir, "gpt2");
            train("--lr -1")
        },
        says: &["--lr: found -1, expected a number above 0"],
        ..USAGE
    },
    Case {
        name: "unknown optimizer",
        build: |dir| {
            model(dir, "gpt2");
            train("--optimizer lion")
        },
        says: &["--optimizer: found `lion`, expected one of adamw, adafactor, sgd"],
        ..USAGE
    },
    Case {
        name: "unknown schedule",
        build: |dir| {
            model(dir, "gpt2");
            train("--schedule step")
        },
        says: &["--schedule: found `step`, expected one of constant, linear, cosine, exponential"],
        ..USAGE
    },
    Case {
        name: "unknown init",
        build: |dir| {
            model(dir, "gpt2");
            train("--init xavier")
        },
        says: &["--init: found \"xavier\", expected one of random, zero, words"],
        ..USAGE
    },
    Case {
        name: "no virtual tokens",
        build: |dir| {
            model(dir, "gpt2");
            train("--num-virtual-tokens 0")
        },
        says: &["--num-virtual-tokens", "found 0"],
        ..USAGE
    },
    Case {
        name: "a method of more numbers than fit a memory",
        build: |dir| {
            model(dir, "t5");
            train(
                "--task seq2seq-lm --method prefix --num-virtual-tokens 1000000 \
                 --prefix-hidden-size 1000000",
            )
        },
        says: &[
            "--prefix-hidden-size: found 1000000, with which 600000000 numbers would be trained",
        ],
        ..USAGE
    },
    Case {
        name: "more virtual tokens than fit any memory",
        build: |dir| {
            model(dir, "gpt2");
            train("--num-virtual-tokens 99999999999")
        },
        says: &["--num-virtual-tokens: found 99999999999", "64 positions"],
        ..USAGE
    },
    Case {
        name: "dropout above 1",
        build: |dir| {
            model(dir, "gpt2");
            train("--prefix-dropout 2")
        },
        says: &["--prefix-dropout: found 2, expected a number from 0 to below 1"],
        ..USAGE
    },
    Case {
        name: "layers out of range",
        build: |dir| {
            model(dir, "gpt2");
            train("--layers 0-3")
        },
        says: &["--layers", "3", "layers 0 to 2"],
        ..USAGE
    },
    Case {
        name: "layers for a method without",
        build: |dir| {
            model(dir, "gpt2");
            train("--method prompt --layers 0")
        },
        says: &["--layers: prompt has no such setting"],
        ..USAGE
    },
    Case {
        name: "an infix for a method without",
        build: |dir| {
            model(dir, "gpt2");
            train("--method prompt --infix")
        },
        says: &["--infix: prompt has no such setting"],
        ..USAGE
    },
    Case {
        name: "an infix in the row of an encoder",
        build: |dir| {
            model(dir, "bert");
            classify("--infix")
        },
        says: &[
            "--infix: an infix stands in the row of a decoder, and a bert model has none: leave it out",
        ],
        ..USAGE
    },
    Case {
        name: "an infix in the row of an encoder-decoder",
        build: |dir| {
            model(dir, "t5");
            train("--task seq2seq-lm --infix")
        },
        says: &["--infix: an infix stands in the row of a decoder, and a t5 model has none"],
        ..USAGE
    },
    Case {
        name: "an infix in rows that are classified",
        build: |dir| {
            model(dir, "gpt2-cls");
            classify("--infix")
        },
        says: &[
            "--infix: an infix stands between the source and the target of a row",
            "and seq-cls has no",
        ],
        ..USAGE
    },
    Case {
        name: "an infix in packed rows",
        build: |dir| {
            model(dir, "gpt2");
            train("--infix --packing")
        },
        says: &[
            "--packing: not with an infix, which has one place in a row: leave out it, or --infix",
        ],
        ..USAGE
    },
    Case {
        name: "an infix from a prefix",
        build: |dir| {
            pair(dir, "gpt2");
            words(
                "train --infix --init-adapter adapter --model model --method ptv2 --task causal-lm --train rows.jsonl \
                 --out out",
            )
        },
        says: &["--infix: found true, the adapter of --init-adapter is a prefix"],
        ..USAGE
    },
    Case {
        name: "unknown best metric",
        build: |dir| {
            model(dir, "gpt2");
            train("--valid rows.jsonl --best-metric bleu")
        },
        says: &["--best-metric: found `bleu`, expected one of loss, perplexity"],
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
        name: "weights of classes for a language model",
        build: |dir| {
            model(dir, "gpt2");
            train("--class-weights balanced")
        },
        says: &["--class-weights: not used by causal-lm, which has no classes"],
        ..USAGE
    },
    Case {
        name: "all rows held out",
        build: |dir| {
            model(dir, "gpt2");
            train("--valid-split 1")
        },
        says: &["--valid-split", "found 1, expected a number above 0 and below 1"],
        ..USAGE
    },
    Case {
        name: "labels smoothed to nothing",
        build: |dir| {
            model(dir, "gpt2");
            train("--label-smoothing 1")
        },
        says: &["--label-smoothing", "found 1, expected a number from 0 to below 1"],
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
        name: "--greedy with --num-beams",
        build: |_| words("generate --model model --prompt a --greedy --num-beams 2"),
        says: &["--greedy", ": cannot be used with --", "--num-beams"],
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
        name: "unknown side of padding",
        build: |dir| {
            model(dir, "gpt2");
            [forward(), words("--padding both")].concat()
        },
        says: &["--padding: found \"both\", expected right or left"],
        ..USAGE
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
    Case {
        name: "neither rows nor a text",
        build: |_| words("predict --model model"),
        says: &["--input <FILE>"],
        ..USAGE
    },
    Case {
        name: "init text without a text init",
        build: |dir| {
            model(dir, "gpt2");
            train("--init-text sea")
        },
        says: &["--init-text: not used by --init random"],
        ..USAGE
    },
    Case {
        name: "an unknown reparameterization",
        build: |dir| {
            model(dir, "gpt2");
            train("--method prompt --reparameterization gru")
        },
        says: &["--reparameterization: found `gru`, expected none, mlp or lstm"],
        ..USAGE
    },
    Case {
        name: "an unknown reparameterization in run.toml",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("run.toml"), "reparameterization = \"LSTM\"\n").unwrap();
            train("--config run.toml")
        },
        says: &[
            "run.toml: TOML parse error at line 1",
            "`LSTM`, expected one of `none`, `mlp`, `lstm`",
        ],
        ..USAGE
    },
    Case {
        name: "an encoder for keys and values",
        build: |dir| {
            model(dir, "gpt2");
            train("--method ptv2 --reparameterization lstm")
        },
        says: &["--reparameterization: ptv2 has no such setting"],
        ..USAGE
    },
    Case {
        name: "width of an encoder that is not there",
        build: |dir| {
            model(dir, "gpt2");
            train("--method prompt --encoder-hidden-size 8")
        },
        says: &["--encoder-hidden-size: not used without --reparameterization mlp or lstm"],
        ..USAGE
    },
    Case {
        name: "an encoder of more numbers than fit a memory",
        build: |dir| {
            model(dir, "gpt2");
            train("--method prompt --reparameterization lstm --encoder-hidden-size 1000000")
        },
        says: &["--encoder-hidden-size: found 1000000, with which ", "expected at most 268435456"],
        ..USAGE
    },
    Case {
        name: "an encoder of more layers than fit a memory",
        build: |dir| {
            model(dir, "gpt2");
            train("--method prompt --reparameterization lstm --encoder-num-layers 999999")
        },
        says: &["--encoder-num-layers: found 999999, with which "],
        ..USAGE
    },
    Case {
        name: "dropout between layers of which there is one",
        build: |dir| {
            model(dir, "gpt2");
            train(
                "--method prompt --reparameterization lstm --encoder-num-layers 1 --encoder-dropout 0.1",
            )
        },
        says: &["--encoder-dropout: found 0.1, but it is for what one layer"],
        ..USAGE
    },
    Case {
        name: "width of an MLP that is not there",
        build: |dir| {
            model(dir, "gpt2");
            train("--prefix-projection false --prefix-hidden-size 8")
        },
        says: &["--prefix-hidden-size: not used without --prefix-projection"],
        ..USAGE
    },
    Case {
        name: "init and an adapter to start from",
        build: |dir| {
            pair(dir, "gpt2");
            train("--num-virtual-tokens 5 --init-adapter adapter --init zero")
        },
        says: &["--init: not used with --init-adapter"],
        ..USAGE
    },
    Case {
        name: "dropout for the head alone",
        build: |dir| {
            model(dir, "bert");
            words(
                "train --model model --method head --task seq-cls --train rows.jsonl --out out \
                 --prefix-dropout 0.1",
            )
        },
        says: &["--prefix-dropout: head has no such setting"],
        ..USAGE
    },
    Case {
        name: "evaluations without validation rows",
        build: |dir| {
            model(dir, "gpt2");
            train("--eval-every 2")
        },
        says: &["--eval-every: needs validation rows (--valid, --valid-split)"],
        ..USAGE
    },
    Case {
        name: "steps and epochs in run.toml",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("run.toml"), "steps = 3\nepochs = 1\n").unwrap();
            train("--config run.toml")
        },
        says: &["run.toml: holds both `steps` and `epochs`"],
        ..USAGE
    },
    Case {
        name: "missing run.toml",
        build: |_| words("train --config run.toml"),
        says: &["cannot read run.toml", "No such file"],
        ..CASE
    },
    Case {
        name: "unknown key in run.toml",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("run.toml"), "steps = 3\noptimiser = \"adamw\"\n").unwrap();
            train("--config run.toml")
        },
        says: &["run.toml: ", "line 2", "`optimiser` is no setting; did you mean `optimizer`?"],
        ..USAGE
    },
    Case {
        name: "value of the wrong kind in run.toml",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("run.toml"), "lr = 0.1\nsteps = \"many\"\n").unwrap();
            train("--config run.toml")
        },
        says: &["run.toml: ", "line 2", "steps", "\"many\"", "expected usize"],
        ..USAGE
    },
];
