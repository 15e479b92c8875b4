//! Runs by a task, and their scores.

use std::fs;

use peft_core::{
    Task,
    data::Target,
    text::{EncoderConfig, Template, load_tokenizer, read_records},
};
use peft_tests::shared;
use serde_json::{Value, json};

use crate::support::{peft, read_lines, refused, root, succeed};

/// A small language model learns COPA as text, remembers how its rows were made, and its answers are scored as classes.
#[test]
fn a_run_by_a_task_is_evaluated_by_it() {
    let (Some(model), Some(data)) = (shared("models/stories260k"), shared("data/fewglue/COPA"))
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut train = peft(&root());
    train.args([
        "train",
        "--task-file=superglue-copa",
        "--task=causal-lm",
        "--method=prompt",
        "--init=labels",
    ]);
    train.args(["--steps=3", "--batch-size=4", "--num-virtual-tokens=4", "--model"]).arg(&model);
    succeed(train.arg("--data-dir").arg(&data).arg("--out").arg(&out));
    let run = fs::read_to_string(out.join("run.toml")).unwrap();
    assert!(run.contains("task_file = \"superglue-copa\"") && !run.contains("data_dir"), "{run}");
    assert!(run.contains("labels = \"choice1,choice2\"") && run.contains("val.jsonl"), "{run}");
    succeed(peft(&root()).args(["train", "--resume", "--steps=4", "--out"]).arg(&out));
    let eval = |flags: &[&str]| -> Value {
        let mut command = peft(&root());
        command
            .args(["eval", "--json", "--model"])
            .arg(&model)
            .arg("--data")
            .arg(data.join("val.jsonl"));
        serde_json::from_slice(&succeed(command.args(flags)).stdout).unwrap()
    };
    let adapter = format!("--adapter={}", out.display());
    let rows = dir.path().join("ranked.jsonl");
    let keep = format!("--predictions={}", rows.display());
    let ranked = eval(&[&adapter, "--rank-classes", &keep]);
    let each = read_lines(&rows);
    assert_eq!(each.len(), 100);
    let right = each.iter().filter(|row| row["label"] == row["reference"]).count();
    assert_eq!(ranked["accuracy"].as_f64(), Some(right as f64 / 100.0));
    for row in &each {
        let sums = row["log_likelihoods"].as_object().unwrap();
        let best =
            sums.iter().max_by(|a, b| a.1.as_f64().partial_cmp(&b.1.as_f64()).unwrap()).unwrap();
        assert_eq!(row["label"].as_str(), Some(best.0.as_str()), "{row}");
        // The right class is the row's target: its mean over all rows is the loss, below.
        assert!(sums.values().all(|sum| sum.as_f64().unwrap() < 0.0));
    }
    let of_right =
        |row: &Value| row["log_likelihoods"][row["reference"].as_str().unwrap()].as_f64().unwrap();
    let sum: f64 = each.iter().map(of_right).sum();
    let loss = ranked["loss"].as_f64().unwrap();
    let tokens = -sum / loss;
    assert!(
        (tokens - tokens.round()).abs() < 1e-3 * tokens,
        "{sum} is the loss {loss} of {tokens} tokens"
    );
    let by_mean = eval(&[&adapter, "--rank-classes=mean", "--batch-size=3"]);
    // The two classes have as many tokens.
    assert_eq!(by_mean["accuracy"], ranked["accuracy"]);
    // Written, they are matched exactly, and the share of what is no class is told.
    let written = eval(&[&adapter, "--max-new-tokens=6"]);
    assert!(
        written["invalid"].as_f64().unwrap() + written["accuracy"].as_f64().unwrap() <= 1.0,
        "{written}"
    );
    // The base model alone needs to be told the task.
    let base = eval(&["--task-file=superglue-copa", "--rank-classes"]);
    assert!(base["accuracy"].is_f64() && base["loss"] != ranked["loss"], "{base}");
    let (code, message) = refused(
        peft(&root())
            .args(["eval", "--rank-classes", "--model"])
            .arg(&model)
            .arg("--data")
            .arg(data.join("val.jsonl"))
            .args(["--source-template={premise}", "--target-template={label}"]),
    );
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("--rank-classes: needs the classes"), "{message}");
}

/// Names of columns that a task gives are remembered with it.
#[test]
fn files_without_a_header_are_scored_as_they_were_learnt() {
    let Some(model) = shared("models/stories260k") else { return };
    let dir = tempfile::tempdir().unwrap();
    let rows = "xx01\t1\t\tThe dog barked.\nxx02\t0\t*\tBarked the dog did.\n".repeat(3);
    fs::write(dir.path().join("rows.tsv"), rows).unwrap();
    let run = |args: &[&str]| {
        let mut command = peft(dir.path());
        command.args(args).arg("--model").arg(&model);
        succeed(&mut command)
    };
    run(&[
        "train",
        "--task-file=glue-cola",
        "--task=causal-lm",
        "--method=prompt",
        "--train=rows.tsv",
        "--out=out",
        "--steps=2",
        "--batch-size=2",
        "--num-virtual-tokens=2",
    ]);
    let found =
        run(&["eval", "--adapter=out", "--data=rows.tsv", "--rank-classes", "--json"]).stdout;
    let found: Value = serde_json::from_slice(&found).unwrap();
    assert!(found["accuracy"].is_f64(), "{found}");
}

/// What stories260k writes is taken as the words of the rows: right where the label says so.
#[test]
fn referents_are_scored_as_by_t5() {
    let Some(model) = shared("models/stories260k") else { return };
    let dir = tempfile::tempdir().unwrap();
    let row = |words: &str, label: bool| {
        json!({"text": "Lily saw Tom and he was happy.", "span1_text": words, "span1_index": 2, "span2_text": "he",
            "span2_index": 4, "label": label})
    };
    let eval = |rows: &[Value]| -> Value {
        let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
        fs::write(dir.path().join("rows.jsonl"), lines.join("\n")).unwrap();
        let mut command = peft(dir.path());
        command.args(["eval", "--task-file=superglue-wsc-referent", "--data=rows.jsonl", "--json"]);
        command.args(["--max-new-tokens=6", "--predictions=written.jsonl", "--model"]).arg(&model);
        serde_json::from_slice(&succeed(&mut command).stdout).unwrap()
    };
    eval(&[row("Tom", true)]);
    let written = read_lines(&dir.path().join("written.jsonl"));
    let output = written[0]["output"].as_str().unwrap().to_string();
    assert!(output.split_whitespace().count() > 1, "{output}");
    let (named, other) = (format!("the {} again", output.trim()), "zebra".to_string());
    for (words, label, expected) in
        [(&named, true, 1.0), (&named, false, 0.0), (&other, false, 1.0), (&other, true, 0.0)]
    {
        assert_eq!(eval(&[row(words, label)])["accuracy"], expected, "{words}, {label}: {output}");
    }
    assert_eq!(eval(&[row(&named, true), row(&other, true)])["accuracy"], 0.5);
}

/// A task names the metrics of its texts, which an adapter remembers.
#[test]
fn texts_are_scored_by_the_metrics_of_their_task() {
    let (Some(model), Some(data)) = (shared("models/stories260k"), shared("data/e2e-nlg")) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let rows = dir.path().join("rows.jsonl");
    let text = fs::read_to_string(data.join("dev.jsonl")).unwrap();
    fs::write(&rows, text.lines().take(6).collect::<Vec<_>>().join("\n")).unwrap();
    let mut train = peft(&root());
    train.args([
        "train",
        "--task-file=e2e",
        "--recipe=li2021-table",
        "--epochs=1",
        "--batch-size=3",
        "--model",
    ]);
    train.arg(&model).arg("--train").arg(&rows).arg("--out").arg(dir.path().join("out"));
    succeed(&mut train);
    let eval = |flags: &[&str]| -> Value {
        let mut command = peft(dir.path());
        command
            .args(["eval", "--json", "--adapter=out", "--data=rows.jsonl", "--model"])
            .arg(&model);
        serde_json::from_slice(&succeed(command.args(flags)).stdout).unwrap()
    };
    let found = eval(&["--max-new-tokens=8"]);
    for name in ["bleu", "nist", "rouge_l_coco", "cider", "exact_match"] {
        assert!(found[name].is_f64(), "{name}: {found}");
    }
    let asked = eval(&["--max-new-tokens=8", "--metric=chrf"]);
    assert!(asked["chrf"].is_f64() && asked["bleu"].is_null(), "{asked}");
    assert!(eval(&[])["bleu"].is_null());
}

/// A sentinel before the target, for a T5 that only filled in spans before (Lester et al. 2021, section 2.2): a token of what is learnt, with
/// the ids of transformers 5.23, and no part of what is compared or ranked.
#[test]
fn a_sentinel_before_the_target_is_learnt_and_not_compared() {
    let Some(model) = shared("models/tiny-t5") else { return };
    let dir = tempfile::tempdir().unwrap();
    let rows = dir.path().join("rows.jsonl");
    let lines =
        [json!({"source": "good?", "target": "yes"}), json!({"source": "bad?", "target": "no"})];
    fs::write(&rows, format!("{}\n{}\n", lines[0], lines[1])).unwrap();
    let template = "<extra_id_0> {target}";
    let mut config = EncoderConfig::new(Task::Seq2SeqLm, 1302);
    config.target_template = Some(Template::parse(template, "--target-template").unwrap());
    config.decoder_start = Some(0);
    let encoder = config.init(Some(load_tokenizer(&model).unwrap())).unwrap();
    let encoded = encoder.encode(&read_records(&rows).unwrap()).unwrap();
    assert_eq!(encoded.examples[0].target, Target::Tokens(vec![102, 103, 118, 159, 1]));

    let run = dir.path().join("run");
    let mut train = peft(&root());
    train.args(["train", "--method=prompt", "--task=seq2seq-lm", "--labels=yes,no", "--steps=1"]);
    train.args(["--num-virtual-tokens=2", &format!("--target-template={template}"), "--model"]);
    succeed(train.arg(&model).arg("--train").arg(&rows).arg("--out").arg(&run));
    let scored = |flags: &[&str], field: &str| -> Vec<Value> {
        let found = dir.path().join("found.jsonl");
        let mut eval = peft(&root());
        eval.arg("eval").arg("--model").arg(&model).arg("--adapter").arg(&run).arg("--data");
        succeed(eval.arg(&rows).args(flags).arg("--predictions").arg(&found));
        read_lines(&found).into_iter().map(|mut row| row[field].take()).collect()
    };
    assert_eq!(scored(&["--max-new-tokens=2"], "references"), [json!(["yes"]), json!(["no"])]);
    assert_eq!(scored(&["--rank-classes"], "reference"), [json!("yes"), json!("no")]);
}
