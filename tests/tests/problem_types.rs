//! Rows with a number for each output, as transformers' `problem_type`: losses and gradients of transformers, scores of
//! scipy and scikit-learn, and the program on rows of people.
//!
//! Vectors: `python/make_problem_types.py`.

use std::{fmt::Write, fs, path::Path};

use burn::tensor::TensorData;
use peft_core::{
    Adapter,
    adapter::codec::{from_safetensors, to_safetensors},
    metrics::{multi_label_metrics, regression_metrics},
};
use peft_tests::{shared, vectors};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{parse_lines, peft, read_lines, succeed};

#[derive(Deserialize)]
struct Vectors {
    models: Vec<Step>,
    regression: Vec<Numbers>,
    multi_label: Vec<Classes>,
}

/// One step of SGD with learning rate 1.
#[derive(Deserialize)]
struct Step {
    model: String,
    problem_type: String,
    rows: Vec<Vec<u32>>,
    targets: Vec<Vec<f32>>,
    loss: f64,
    head: Trained,
}

/// The head after it.
#[derive(Deserialize)]
struct Trained {
    weight: Vec<f32>,
    bias: Option<Vec<f32>>,
}

#[derive(Deserialize)]
struct Numbers {
    predictions: Vec<Vec<f32>>,
    references: Vec<Vec<f32>>,
    pearson: f64,
    spearman: f64,
    mse: f64,
}

#[derive(Deserialize)]
struct Classes {
    predictions: Vec<Vec<bool>>,
    references: Vec<Vec<bool>>,
    f1_micro: f64,
    f1_macro: f64,
}

fn read() -> Vectors {
    let path = vectors("metrics/problem_types.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn near(found: f64, expected: f64, tolerance: f64, what: &str) {
    let within = (found - expected).abs() <= tolerance * (1.0 + expected.abs());
    assert!(within, "{what}: found {found}, expected {expected}");
}

#[test]
fn scores_are_those_of_scipy_and_scikit_learn() {
    let vectors = read();
    for case in &vectors.regression {
        let found = regression_metrics(&case.predictions, &case.references).unwrap();
        for (name, expected) in
            [("pearson", case.pearson), ("spearman", case.spearman), ("mse", case.mse)]
        {
            near(found.get(name).unwrap(), expected, 1e-12, name);
        }
    }
    for case in &vectors.multi_label {
        let found = multi_label_metrics(&case.predictions, &case.references).unwrap();
        near(found.get("f1_micro").unwrap(), case.f1_micro, 1e-12, "f1_micro");
        near(found.get("f1_macro").unwrap(), case.f1_macro, 1e-12, "f1_macro");
    }
}

/// The tiny model in `dir/model`, with the first rows of its head, and with a `problem_type`.
fn lay_out(dir: &Path, step: &Step) {
    let (from, to) = (vectors(&format!("logits/{}", step.model)), dir.join("model"));
    fs::create_dir_all(&to).unwrap();
    let mut config: Value =
        serde_json::from_slice(&fs::read(from.join("config.json")).unwrap()).unwrap();
    config["problem_type"] = json!(step.problem_type);
    fs::write(to.join("config.json"), config.to_string()).unwrap();
    let file = from.join("model.safetensors");
    let mut tensors = from_safetensors(&fs::read(&file).unwrap(), &file).unwrap();
    let outputs = step.targets[0].len();
    for (name, data) in &mut tensors {
        if name.starts_with("classifier.") || name.starts_with("score.") {
            let mut shape: Vec<usize> = data.shape().as_slice().to_vec();
            let width: usize = shape[1..].iter().product();
            let kept: Vec<f32> = data.iter::<f32>().take(outputs * width).collect();
            shape[0] = outputs;
            *data = TensorData::new(kept, shape);
        }
    }
    let file = to.join("model.safetensors");
    fs::write(&file, to_safetensors(&tensors, &file).unwrap()).unwrap();
    let mut rows = String::new();
    for (ids, target) in step.rows.iter().zip(&step.targets) {
        let label = match target.as_slice() {
            [score] => json!(score),
            values => json!(values),
        };
        writeln!(rows, "{}", json!({"input_ids": ids, "label": label})).unwrap();
    }
    fs::write(dir.join("rows.jsonl"), rows).unwrap();
}

#[test]
fn losses_and_gradients_are_those_of_transformers() {
    for step in &read().models {
        let what = format!("{} {} {}", step.model, step.problem_type, step.targets[0].len());
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        lay_out(dir, step);
        let mut eval = peft(dir);
        eval.args([
            "eval",
            "--model",
            "model",
            "--data",
            "rows.jsonl",
            "--json",
            "--batch-size",
            "3",
        ]);
        let scores: Value = serde_json::from_slice(&succeed(&mut eval).stdout).unwrap();
        near(scores["loss"].as_f64().unwrap(), step.loss, 1e-5, &what);

        let mut train = peft(dir);
        train.args(["train", "--model", "model", "--method", "head", "--task", "seq-cls"]);
        train.args(["--train", "rows.jsonl", "--out", "out", "--steps", "1", "--batch-size", "2"]);
        // Two batches of two rows weigh as one of four.
        train.args(["--accumulation", "2", "--no-shuffle", "--optimizer", "sgd", "--lr", "1"]);
        let output = succeed(train.args(["--schedule", "constant"]));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            said.contains(&format!("note: {}, as the base model says", step.problem_type)),
            "{said}"
        );
        let line = &read_lines(&dir.join("out/metrics.jsonl"))[0];
        near(line["loss"].as_f64().unwrap(), step.loss, 1e-5, &what);
        let adapter = Adapter::load(&dir.join("out")).unwrap();
        let problem = adapter.config.own.problem_type.unwrap();
        assert_eq!(problem.name(), step.problem_type);
        for (ending, expected) in
            [("weight", Some(&step.head.weight)), ("bias", step.head.bias.as_ref())]
        {
            let Some(expected) = expected else { continue };
            let (name, data) =
                adapter.tensors.iter().find(|(name, _)| name.ends_with(ending)).unwrap();
            let found: Vec<f32> = data.iter().collect();
            assert_eq!(found.len(), expected.len(), "{what} {name}");
            for (found, expected) in found.iter().zip(expected) {
                near(f64::from(*found), f64::from(*expected), 1e-5, &format!("{what} {name}"));
            }
        }
    }
}

/// `peft train` on the model that classifies, on rows of case 10; what it said on stderr.
fn train(dir: &Path, rows: &str, more: &[&str]) -> (bool, String) {
    let mut command = peft(dir);
    command
        .args(["train", "--method", "ptv2", "--task", "seq-cls", "--steps", "3", "--out", "out"]);
    command.args(["--num-virtual-tokens", "2", "--batch-size", "2", "--overwrite", "--model"]);
    command.arg(shared("models/tiny-bert-cls").unwrap()).args(["--train", rows, "--valid", rows]);
    let output = command.args(more).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn use_adapter(dir: &Path, args: &[&str], rows: &str) -> String {
    let mut command = peft(dir);
    command.args(args).arg(rows).args(["--adapter", "out", "--model"]);
    let output = succeed(command.arg(shared("models/tiny-bert-cls").unwrap()));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn scores_are_learnt_and_predicted() {
    let (Some(case), Some(_)) =
        (shared("cases/10-regression-multilabel"), shared("models/tiny-bert-cls"))
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for file in ["stsb.tsv", "stsb.jsonl"] {
        let rows = case.join(file).display().to_string();
        let (done, said) = train(dir, &rows, &["--problem-type", "regression"]);
        assert!(done, "{said}");
        let scores: Value =
            serde_json::from_str(&use_adapter(dir, &["eval", "--json", "--data"], &rows)).unwrap();
        let score = |name: &str| scores[name].as_f64().unwrap();
        near(score("loss"), score("mse"), 1e-6, "the loss is the squared error");
        let lines = parse_lines(&use_adapter(dir, &["predict", "--input"], &rows));
        let text = fs::read_to_string(&rows).unwrap();
        let errors: f64 = lines
            .iter()
            .zip(text.lines().skip(usize::from(file.ends_with("tsv"))))
            .map(|(line, row)| {
                let expected: f64 = match serde_json::from_str::<Value>(row) {
                    Ok(row) => row["label"].as_f64().unwrap(),
                    Err(_) => row.split('\t').nth(1).unwrap().parse().unwrap(),
                };
                (line["score"].as_f64().unwrap() - expected).powi(2)
            })
            .sum();
        near(errors / lines.len() as f64, scores["mse"].as_f64().unwrap(), 1e-5, file);
    }
    let plain = case.join("stsb.tsv").display().to_string();
    let (done, said) = train(dir, &plain, &[]);
    assert!(!done && said.contains("set --problem-type to regression"), "{said}");
}

#[test]
fn several_classes_are_learnt_and_predicted() {
    let (Some(case), Some(_)) =
        (shared("cases/10-regression-multilabel"), shared("models/tiny-bert-cls"))
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let rows = case.join("multi.jsonl").display().to_string();
    let (done, said) = train(dir, &rows, &[]);
    assert!(
        !done && said.contains("line 1") && said.contains("set --problem-type to multi-label"),
        "{said}"
    );
    // The names, their indices and the numbers for each class are three spellings of one file.
    let spelled = |name: &str, labels: [Value; 2]| {
        let texts = ["a play", "a house"];
        let lines =
            texts.iter().zip(labels).map(|(text, label)| json!({"text": text, "label": label}));
        fs::write(dir.join(name), lines.map(|line| format!("{line}\n")).collect::<String>())
            .unwrap();
        name.to_string()
    };
    let made: Vec<Vec<u8>> = [
        rows.clone(),
        spelled("indices.jsonl", [json!([0, 1]), json!([])]),
        spelled("numbers.jsonl", [json!([1.0, 1.0]), json!([0.0, 0.0])]),
    ]
    .iter()
    .map(|rows| {
        let (done, said) =
            train(dir, rows, &["--problem-type", "multi_label_classification", "--labels", "a,b"]);
        assert!(done, "{said}");
        fs::read(dir.join("out/adapter_model.safetensors")).unwrap()
    })
    .collect();
    assert!(made.iter().all(|bytes| *bytes == made[0]));
    let scores: Value =
        serde_json::from_str(&use_adapter(dir, &["eval", "--json", "--data"], &rows)).unwrap();
    let names: Vec<&str> = scores.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["f1_macro", "f1_micro", "loss"]);
    for line in parse_lines(&use_adapter(dir, &["predict", "--input"], &rows)) {
        let all: Vec<f64> =
            line["probabilities"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).collect();
        let above: Vec<&str> = ["a", "b"]
            .into_iter()
            .zip(&all)
            .filter(|(_, p)| **p > 0.5)
            .map(|(name, _)| name)
            .collect();
        assert_eq!(line["labels"], json!(above), "{line}");
        assert_eq!(line["probability"].as_array().unwrap().len(), above.len());
    }
    // `score` says of lines and of a table what `eval` says.
    let metrics = ["--metric", "f1_micro,f1_macro", "--json", "--predictions"];
    for output in ["predicted.jsonl", "predicted.csv"] {
        use_adapter(dir, &["predict", "--output", output, "--input"], &rows);
        for references in [None, Some(&rows)] {
            let mut command = peft(dir);
            command.arg("score").args(metrics).arg(output);
            command.args(references.iter().flat_map(|rows| ["--references", rows.as_str()]));
            let found: Value = serde_json::from_slice(&succeed(&mut command).stdout).unwrap();
            for name in ["f1_micro", "f1_macro"] {
                assert_eq!(found[name], scores[name], "{output}, {references:?}: {name}");
            }
        }
    }
}
