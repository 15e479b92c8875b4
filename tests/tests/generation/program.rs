//! `peft generate`: its settings, its lines of JSON and its text.

use std::{fs, path::Path, process::Command};

use peft_tests::{shared, vectors};
use serde_json::{Value, json};

use crate::support::{parse_lines, peft, read_lines, root, succeed, tiny_model, token_ids};

#[test]
fn the_program_generates_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("rows.jsonl");
    fs::write(&input, "{\"input_ids\": [5, 6, 7]}\n{\"input_ids\": [8]}\n").unwrap();
    let run = |flags: &[&str]| {
        let mut command = peft(&root());
        command.args(["generate", "--model", &tiny_model("gpt2"), "--max-new-tokens", "6"]);
        command.arg("--input").arg(&input).args(flags);
        command
    };
    let lines = |flags: &[&str]| -> Vec<Value> {
        let output = succeed(&mut run(flags));
        parse_lines(&String::from_utf8(output.stdout).unwrap())
    };
    let greedy = lines(&[]);
    assert!(greedy[0]["output_ids"][0].is_u64(), "{greedy:?}");
    assert_eq!(lines(&["--num-beams", "1"]), greedy);
    assert_eq!(lines(&["--top-k", "1", "--seed", "9"]), greedy);
    let several = lines(&["--num-beams", "3", "--num-return-sequences", "2"]);
    assert_eq!(several[0]["output_ids"].as_array().unwrap().len(), 2);
    let sampled = ["--temperature", "3", "--seed", "4", "--num-return-sequences", "3"];
    assert_eq!(lines(&sampled), lines(&[&sampled[..], &["--batch-size", "1"]].concat()));
    for (flags, flag) in [
        (vec!["--temperature", "0"], "--temperature: found 0, expected a number above 0; --greedy"),
        (vec!["--temperature", "-1"], "--temperature"),
        (vec!["--top-p", "1.5"], "--top-p"),
        (vec!["--top-k", "0"], "--top-k"),
        (vec!["--num-beams", "0"], "--num-beams"),
        (vec!["--num-beams", "2", "--top-k", "3"], "--num-beams"),
        (vec!["--num-beams", "2", "--num-return-sequences", "3"], "--num-return-sequences"),
        (
            vec!["--num-return-sequences", "2"],
            "give --num-beams N for the best of a search, or --temperature X",
        ),
        (
            vec!["--greedy", "--num-return-sequences", "2"],
            "--num-return-sequences: the likeliest tokens are one text: leave out --greedy, and give",
        ),
        (vec!["--length-penalty", "2"], "--length-penalty"),
        (vec!["--early-stopping"], "--early-stopping"),
        (vec!["--seed", "1"], "--seed"),
        (vec!["--stop", ""], "--stop"),
        (vec!["--repetition-penalty", "-2"], "--repetition-penalty"),
        (vec!["--min-new-tokens", "7"], "--min-new-tokens"),
    ] {
        let output = run(&flags).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {error}");
        assert!(error.contains(flag), "{flags:?}: {error}");
    }
}

/// Rows in a folder of their own, for a tiny model that writes text.
fn write(dir: &Path, name: &str, rows: &[Value]) {
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    fs::write(dir.join(name), lines).unwrap();
}

/// `peft` with the tiny Llama that reads texts.
fn on_texts(dir: &Path, line: &str) -> Command {
    let mut command = peft(dir);
    command.args(line.split_whitespace()).arg("--model").arg(vectors("base_models/llama-texts"));
    command
}

#[test]
fn rows_keep_their_fields_beside_what_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let source = json!({"idx": "a", "source": "the cat", "output": "its own", "ids": [1]});
    let text = json!({"text": "the sea"});
    write(dir, "source.jsonl", std::slice::from_ref(&source));
    write(dir, "text.jsonl", std::slice::from_ref(&text));
    let lines = |more: &str| -> Vec<Value> {
        let made = ["source", "text"].map(|name| {
            let line = format!("generate --input {name}.jsonl --max-new-tokens 5 {more}");
            parse_lines(&String::from_utf8(succeed(&mut on_texts(dir, &line)).stdout).unwrap())
        });
        made.concat()
    };
    let whole = lines("--ids");
    for (row, line) in [&source, &text].into_iter().zip(&whole) {
        assert_eq!(&line["input"], row);
        assert!(line["output"].is_string() && line["output_ids"][0].is_u64(), "{line}");
    }
    assert_eq!((&whole[0]["id"], whole[1].get("id")), (&json!("a"), None));
    let keys = |line: &Value| line.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let usual = lines("");
    assert_eq!(keys(&usual[0]), ["id", "input", "output"]);
    assert_eq!(usual[0]["output"], whole[0]["output"]);
    let bare = lines("--omit-input");
    assert_eq!([keys(&bare[0]), keys(&bare[1])].concat(), ["id", "output", "output"]);
    // Of a search the best first; of sampling draws.
    let best = lines("--num-beams 3");
    let several = lines("--num-beams 3 --num-return-sequences 2");
    let drawn = lines("--temperature 2 --num-return-sequences 2");
    for (best, (several, drawn)) in best.iter().zip(several.iter().zip(&drawn)) {
        assert_eq!(several["output"][0], best["output"]);
        assert_eq!(
            [&several["output"], &drawn["output"]].map(|list| list.as_array().unwrap().len()),
            [2, 2]
        );
    }
}

#[test]
fn an_input_is_generated_once_whatever_the_number_of_its_targets() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let gpt2 = root().join(tiny_model("gpt2"));
    let run =
        |line: &str| succeed(peft(dir).args(line.split_whitespace()).arg("--model").arg(&gpt2));
    write(dir, "ask.jsonl", &[json!({"input_ids": [5, 6, 7]}), json!({"input_ids": [8]})]);
    let made = run("generate --input ask.jsonl --max-new-tokens 3").stdout;
    let made = parse_lines(&String::from_utf8(made).unwrap());
    let row = |id: usize, source: &[u32], target: &[u32]| {
        let labels: Vec<i64> =
            source.iter().map(|_| -100).chain(target.iter().map(|id| i64::from(*id))).collect();
        let input_ids = [source, target].concat();
        json!({"id": id, "input_ids": input_ids, "labels": labels})
    };
    let best = token_ids(&made[0]["output_ids"]);
    let rows = [
        row(0, &[5, 6, 7], &[30, 31]),
        row(1, &[8], &[32]),
        row(2, &[5, 6, 7], &best),
        row(3, &[5, 6, 7], &[30, 31]),
    ];
    write(dir, "rows.jsonl", &rows);
    let output =
        run("eval --data rows.jsonl --json --max-new-tokens 3 --predictions written.jsonl");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("note: 4 rows have 2 inputs: each is generated once"), "{said}");
    let scores: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(scores["exact_match"], 0.5);
    let first = json!({"id": 0, "input": rows[0], "output_ids": best, "reference_ids": [[30, 31], best],
        "exact_match": true});
    let second = json!({"id": 1, "input": rows[1], "output_ids": made[1]["output_ids"], "reference_ids": [[32]],
        "exact_match": false});
    assert_eq!(read_lines(&dir.join("written.jsonl")), [first, second]);
    // Without the file it says the same.
    assert_eq!(run("eval --data rows.jsonl --json --max-new-tokens 3").stdout, output.stdout);
    let refused = peft(dir)
        .args(["eval", "--model", "m", "--data", "rows.jsonl", "--predictions", "a"])
        .output();
    assert_eq!(refused.unwrap().status.code(), Some(2));
}

#[test]
fn what_was_written_stands_beside_the_targets_as_they_were_given() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let row = |id: usize, source: &str, target: Value| json!({"id": id, "source": source, "target": target});
    let rows = [
        row(0, "the cat", json!("The  house")),
        row(1, "the sea", json!("the mat")),
        row(2, "the cat", json!(["the sea", "the house"])),
    ];
    write(dir, "rows.jsonl", &rows);
    let line = "eval --data rows.jsonl --json --max-new-tokens 3 --predictions written.jsonl";
    succeed(&mut on_texts(dir, line));
    let written = read_lines(&dir.join("written.jsonl"));
    let of = |at: usize| (&written[at]["input"], &written[at]["references"]);
    assert_eq!(of(0), (&rows[0], &json!(["The  house", "the sea", "the house"])));
    assert_eq!(of(1), (&rows[1], &json!(["the mat"])));
    let asked = [json!({"source": "the cat"}), json!({"source": "the sea"})];
    write(dir, "ask.jsonl", &asked);
    let made = succeed(&mut on_texts(dir, "generate --input ask.jsonl --max-new-tokens 3")).stdout;
    let made = parse_lines(&String::from_utf8(made).unwrap());
    assert_eq!(
        [&written[0]["output"], &written[1]["output"]],
        [&made[0]["output"], &made[1]["output"]]
    );
}

#[test]
fn text_ends_before_a_stop_text() {
    let Some(model) = shared("models/stories260k") else { return };
    let run = |flags: &[&str]| {
        let mut command = peft(&root());
        command.arg("generate").arg("--model").arg(&model);
        command.args(["--prompt", "Once upon a time", "--max-new-tokens", "60"]).args(flags);
        String::from_utf8(succeed(&mut command).stdout).unwrap()
    };
    let whole = run(&[]);
    let whole = whole.trim_end_matches('\n');
    assert!(whole.starts_with("Once upon a time"), "{whole}");
    let end = whole.find('.').unwrap();
    assert_eq!(run(&["--stop", "."]), format!("{}\n", &whole[..end]));
    // Streamed, the text is the same; a beam search prints it at its end.
    assert_eq!(run(&["--top-k", "1"]).trim_end_matches('\n'), whole);
    assert!(run(&["--num-beams", "2", "--stop", "."]).starts_with("Once upon a time"));
    let several = run(&["--temperature", "1", "--num-return-sequences", "2", "--stop", "."]);
    assert_eq!(several.matches("Once upon a time").count(), 2, "{several}");
}
