//! Examples in front of each row (few-shot): what is drawn, what the model reads, and evaluations beside runs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use peft_tests::{shared, vectors};
use serde_json::{Value, json};

use crate::support::{peft, read_lines, refused_with, succeed};

const CLASSES: [&str; 7] = [
    "AddToPlaylist",
    "BookRestaurant",
    "GetWeather",
    "PlayMusic",
    "RateBook",
    "SearchCreativeWork",
    "SearchScreeningEvent",
];

/// A folder with every `nth` of SNIPS's validation rows, and a Llama of 260,000 parameters.
struct Snips {
    dir: tempfile::TempDir,
    model: PathBuf,
    train: PathBuf,
}

impl Snips {
    fn new(nth: usize) -> Option<Self> {
        let (model, data) = (shared("models/stories260k")?, shared("data/snips-intent")?);
        let dir = tempfile::tempdir().unwrap();
        let rows = fs::read_to_string(data.join("valid.jsonl")).unwrap();
        let rows: Vec<&str> = rows.lines().step_by(nth).collect();
        fs::write(dir.path().join("rows.jsonl"), rows.join("\n")).unwrap();
        let lines = fs::read_to_string(data.join("train.jsonl")).unwrap();
        let train = dir.path().join("train.jsonl");
        fs::write(&train, lines.lines().step_by(29).collect::<Vec<_>>().join("\n")).unwrap();
        Some(Self { dir, model, train })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A command on the rows, as the task says or as `flags` say.
    fn command(&self, name: &str, flags: &[&str]) -> Command {
        let mut command = peft(self.dir.path());
        command.args([name, "--task-file=snips-intent", "--model"]).arg(&self.model).args(flags);
        command.arg(if name == "eval" { "--data=rows.jsonl" } else { "--input=rows.jsonl" });
        command
    }

    fn scores(&self, flags: &[&str]) -> Value {
        let output = succeed(self.command("eval", flags).arg("--json"));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// The text of the examples that an evaluation wrote, by its documentation.
fn front(folder: &Path) -> String {
    let shots = read_lines(&folder.join("shots.jsonl"));
    let text = |shot: &Value| {
        format!("{}{}\n\n", shot["source"].as_str().unwrap(), shot["target"].as_str().unwrap())
    };
    shots.iter().map(text).collect()
}

/// As a part of a template that is no field.
fn literal(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

fn assert_close(one: &Value, two: &Value, name: &str) {
    let (a, b) = (one[name].as_f64().unwrap(), two[name].as_f64().unwrap());
    assert!((a - b).abs() < 1e-4 * a.abs().max(1.0), "{name}: {a} {b}");
}

/// Tokens that the rows share are read once; the same examples as a part of the template are read with each row.
#[test]
fn examples_read_once_are_examples_read_with_each_row() {
    let Some(snips) = Snips::new(60) else { return };
    let shots = ["--shots=3", "--shots-from=train.jsonl", "--shots-seed=5"];
    let ranked = [&shots[..], &["--rank-classes", "--out=once"]].concat();
    let output = succeed(snips.command("eval", &ranked).arg("--json"));
    let once: Value = serde_json::from_slice(&output.stdout).unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("note: 3 examples, ")
            && said.contains("tokens that all rows begin with are read once"),
        "{said}"
    );
    let template =
        format!("--source-template={}text: {{text}} intent:", literal(&front(&snips.path("once"))));
    let each = snips.scores(&[&template, "--rank-classes", "--predictions=each.jsonl"]);
    for name in ["loss", "perplexity", "accuracy", "f1_macro"] {
        assert_close(&once, &each, name);
    }
    let report = snips.scores(&[&shots[..], &["--rank-classes", "--report"]].concat());
    assert_eq!((&report["accuracy"], &report["loss"]), (&once["accuracy"], &once["loss"]));
    let f1 = json!({ "f1_macro": report["report"]["macro_average"]["f1"] });
    assert_close(&f1, &once, "f1_macro");
    let of = |path: &str| read_lines(&snips.path(path));
    let (once, each) = (of("once/predictions.jsonl"), of("each.jsonl"));
    assert_eq!(once.len(), 12);
    for (one, two) in once.iter().zip(&each) {
        assert_eq!((&one["input"], &one["reference"]), (&two["input"], &two["reference"]));
        for class in CLASSES {
            assert_close(&one["log_likelihoods"], &two["log_likelihoods"], class);
        }
    }
    // Generated, the texts are the same. So is a row alone, which shares all tokens but one.
    let written = [&shots[..], &["--max-new-tokens=6", "--predictions=once.csv"]].concat();
    let written = snips.scores(&written);
    let other = snips.scores(&[&template, "--max-new-tokens=6", "--predictions=each.csv"]);
    assert_close(&written, &other, "token_error_rate");
    let text = |path: &str| fs::read_to_string(snips.path(path)).unwrap();
    assert_eq!(text("once.csv"), text("each.csv"));
    let rows = fs::read_to_string(snips.path("rows.jsonl")).unwrap();
    fs::write(snips.path("rows.jsonl"), rows.lines().next().unwrap()).unwrap();
    let alone = [&shots[..], &["--rank-classes", "--out=alone"]].concat();
    succeed(&mut snips.command("eval", &alone));
    let alone = of("alone/predictions.jsonl");
    for class in CLASSES {
        assert_close(&alone[0]["log_likelihoods"], &each[0]["log_likelihoods"], class);
    }
}

#[test]
fn no_examples_are_the_model_alone() {
    let Some(snips) = Snips::new(90) else { return };
    let told = |flags: &[&str]| succeed(snips.command("eval", flags).arg("--rank-classes")).stdout;
    assert_eq!(told(&["--shots=0"]), told(&[]));
    // Nothing is drawn, so that a sweep over K can give the other flags for each.
    let others = ["--shots-from=nowhere.jsonl", "--shots-seed=3", "--shot-separator=;"];
    assert_eq!(told(&[&["--shots=0"][..], &others].concat()), told(&[]));
    let more = told(&["--shots=1", "--shots-from=train.jsonl"]);
    assert_ne!(more, told(&[]), "one example changes the scores");
}

/// What is drawn: as many of each class as can be, the same for a seed, the first ones of more, never a scored row.
#[test]
fn examples_are_drawn_by_class() {
    let Some(snips) = Snips::new(350) else { return };
    // The rows to score are among those to draw from, and would be likely to be drawn.
    let rows = fs::read_to_string(snips.path("rows.jsonl")).unwrap();
    let train = fs::read_to_string(&snips.train).unwrap();
    let few: Vec<&str> = train.lines().step_by(25).collect();
    fs::write(&snips.train, format!("{rows}\n{}\n", few.join("\n"))).unwrap();
    let drawn = |count: &str, seed: &str, out: &str| {
        let flags = ["--shots-from=train.jsonl", "--shots", count, "--shots-seed", seed];
        let said = succeed(snips.command("eval", &flags).args(["--rank-classes", "--out", out]));
        let said = String::from_utf8(said.stderr).unwrap();
        assert!(said.contains("note: 2 of ") && said.contains("have the input of a row"), "{said}");
        read_lines(&snips.path(out).join("shots.jsonl"))
    };
    let (four, seven) = (drawn("2", "0", "two"), drawn("4", "0", "four"));
    assert_eq!(four[..], seven[..2]);
    assert_eq!(drawn("4", "0", "again"), seven);
    assert_ne!(drawn("4", "1", "other"), seven);
    let mut classes: Vec<&str> =
        seven.iter().map(|shot| shot["target"].as_str().unwrap()).collect();
    classes.sort_unstable();
    classes.dedup();
    assert_eq!(classes.len(), 4, "{seven:?}");
    for row in read_lines(&snips.path("rows.jsonl")) {
        let text = row["text"].as_str().unwrap();
        assert!(seven.iter().all(|shot| !shot["source"].as_str().unwrap().contains(text)));
    }
}

/// Vectors of transformers, for each order of two examples; `make_shots.py` says how.
#[test]
fn ranked_classes_are_those_of_transformers() {
    let Some(model) = shared("models/stories260k") else { return };
    let expected: Value =
        serde_json::from_str(&fs::read_to_string(vectors("shots.json")).unwrap()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let lines = |rows: &Value| -> String {
        rows.as_array().unwrap().iter().map(|row| format!("{row}\n")).collect()
    };
    for name in ["rows", "shots"] {
        fs::write(dir.path().join(format!("{name}.jsonl")), lines(&expected[name])).unwrap();
    }
    let labels = format!("--labels={}", expected["labels"].as_str().unwrap());
    for seed in ["0", "1", "2", "3"] {
        let mut command = peft(dir.path());
        command.args(["eval", "--data=rows.jsonl", "--rank-classes", "--shots=2", &labels]);
        command.args([
            "--shots-from=shots.jsonl",
            "--overwrite",
            "--out=out",
            "--shots-seed",
            seed,
        ]);
        succeed(command.arg("--model").arg(&model));
        let shots = read_lines(&dir.path().join("out/shots.jsonl"));
        let is_first = shots[0]["source"] == expected["shots"][0]["source"];
        let of_order = &expected[if is_first { "in_order" } else { "turned" }];
        let found = read_lines(&dir.path().join("out/predictions.jsonl"));
        for (row, expected) in found.iter().zip(of_order.as_array().unwrap()) {
            for (class, value) in expected.as_object().unwrap() {
                let (a, b) =
                    (row["log_likelihoods"][class].as_f64().unwrap(), value.as_f64().unwrap());
                assert!((a - b).abs() < 2e-4, "{class}: {a}, transformers {b}");
            }
        }
    }
}

#[test]
fn predict_ranks_as_eval_does() {
    let Some(snips) = Snips::new(70) else { return };
    let shots = ["--shots=2", "--shots-from=train.jsonl"];
    snips.scores(&[&shots[..], &["--rank-classes=mean", "--predictions=eval.jsonl"]].concat());
    let flags = [&shots[..], &["--rank-classes=mean", "--output=predict.jsonl"]].concat();
    succeed(&mut snips.command("predict", &flags));
    let (found, expected) =
        (read_lines(&snips.path("predict.jsonl")), read_lines(&snips.path("eval.jsonl")));
    assert_eq!(found.len(), 10);
    for (one, two) in found.iter().zip(&expected) {
        for name in ["label", "reference", "input"] {
            assert_eq!(one[name], two[name], "{name}");
        }
        let p = one["classes"].as_object().unwrap();
        assert!((p.values().map(|p| p.as_f64().unwrap()).sum::<f64>() - 1.0).abs() < 1e-5);
        assert_eq!(p[one["label"].as_str().unwrap()], one["probability"]);
        for class in CLASSES {
            assert_close(&one["log_likelihoods"], &two["log_likelihoods"], class);
        }
    }
    let best = succeed(&mut snips.command("predict", &["--rank-classes", "--top-k=2"])).stdout;
    let first: Value =
        serde_json::from_slice(best.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    assert_eq!(first["top"].as_array().unwrap().len(), 2);
    assert!(first["log_likelihoods"].is_null() && first["top"][0]["label"] == first["label"]);
    let mut alone = peft(snips.dir.path());
    alone.args([
        "predict",
        "--rank-classes",
        "--labels=good,bad",
        "--text=The film was",
        "--model",
    ]);
    let alone: Value = serde_json::from_slice(&succeed(alone.arg(&snips.model)).stdout).unwrap();
    assert!(["good", "bad"].contains(&alone["label"].as_str().unwrap()), "{alone}");
    assert!(alone["reference"].is_null() && alone["input"].is_null(), "{alone}");
    let said = refused_with(&mut snips.command("predict", &[]), 1);
    assert!(said.contains("or --rank-classes for the likeliest"), "{said}");
}

/// Zero-shot, few-shot by two seeds and an adapter's evaluation, beside a run.
#[test]
fn evaluations_stand_beside_runs() {
    let Some(snips) = Snips::new(40) else { return };
    let mut train = peft(snips.dir.path());
    train.args(["train", "--task-file=snips-intent", "--task=causal-lm", "--method=prompt"]);
    train.args([
        "--train=train.jsonl",
        "--valid=rows.jsonl",
        "--steps=2",
        "--num-virtual-tokens=4",
    ]);
    succeed(train.args(["--batch-size=4", "--out=runs/prompt", "--model"]).arg(&snips.model));
    snips.scores(&["--rank-classes", "--out=runs/zero"]);
    for seed in ["0", "1"] {
        let out = format!("--out=runs/few-{seed}");
        let flags =
            ["--shots=2", "--shots-from=train.jsonl", "--shots-seed", seed, "--rank-classes", &out];
        snips.scores(&flags);
    }
    let compare = |args: &[&str]| {
        let output = succeed(peft(snips.dir.path()).arg("compare").args(args));
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (found, notes) = compare(&["runs", "--metric=loss", "--json", "--no-times"]);
    // The run has another seed than the two of few-shot; nothing is said of zero-shot.
    assert!(!notes.contains("different rows"), "{notes}");
    let found: Value = serde_json::from_str(&found).unwrap();
    let systems = found["systems"].as_array().unwrap();
    let of = |method: &str| {
        systems.iter().find(|system| system["settings"]["method"] == method).unwrap_or_else(|| {
            panic!("{method} is missing: {found}");
        })
    };
    assert_eq!(systems.len(), 3);
    for (method, n, trained, shots) in [
        ("zero-shot", 1, json!(0.0), json!(0)),
        ("few-shot", 2, json!(0.0), json!(2)),
        ("prompt", 1, json!(256.0), Value::Null),
    ] {
        let system = of(method);
        assert_eq!(
            (&system["n"], &system["trained_parameters"]),
            (&json!(n), &trained),
            "{system}"
        );
        assert_eq!(system["settings"].get("shots").cloned().unwrap_or_default(), shots);
    }
    // The scores of an adapter as classes are those of its evaluation.
    let adapter = ["--adapter=runs/prompt", "--rank-classes", "--out=evaluations/prompt"];
    let own = snips.scores(&adapter);
    let args = ["runs/zero", "runs/few-0", "runs/few-1", "evaluations/prompt", "--significance"];
    let (table, _) = compare(&args);
    for word in ["zero-shot", "few-shot", "prompt", "accuracy", "shots"] {
        assert!(table.contains(word), "{word}: {table}");
    }
    let (both, _) = compare(&["evaluations/prompt", "runs/zero", "--json"]);
    let both: Value = serde_json::from_str(&both).unwrap();
    assert_eq!(both["metric"], "accuracy");
    let system =
        &both["systems"][usize::from(both["systems"][0]["settings"]["method"] != "prompt")];
    assert_close(&json!({ "accuracy": system["mean"] }), &own, "accuracy");
    assert_eq!((&system["stored_parameters"], &system["steps"]), (&json!(256.0), &json!(2.0)));
    // An evaluation gives way only if that is asked for, and a run never.
    let said = refused_with(&mut snips.command("eval", &["--out=runs/zero"]), 2);
    assert!(said.contains("holds an evaluation already; --overwrite replaces it"), "{said}");
    succeed(&mut snips.command("eval", &["--out=runs/zero", "--overwrite"]));
    assert!(!snips.path("runs/zero/predictions.jsonl").exists());
    let said = refused_with(&mut snips.command("eval", &["--out=runs/prompt", "--overwrite"]), 2);
    assert!(said.contains("holds a training run"), "{said}");
    // Nor do files of others.
    fs::create_dir(snips.path("kept")).unwrap();
    fs::write(snips.path("kept/predictions.csv"), "kept\n").unwrap();
    let said = refused_with(&mut snips.command("eval", &["--out=kept"]), 2);
    assert!(said.contains("holds no evaluation, but predictions.csv"), "{said}");
    let own = "--predictions=runs/zero/predictions.csv";
    let flags = ["--rank-classes", own, "--out=runs/zero", "--overwrite"];
    let said = refused_with(&mut snips.command("eval", &flags), 2);
    assert!(said.contains("--predictions: found runs/zero/predictions.csv"), "{said}");
    let mut resume = peft(snips.dir.path());
    let said = refused_with(resume.args(["train", "--resume", "--out=runs/zero"]), 2);
    assert!(said.contains("no run to continue"), "{said}");
}

#[test]
fn examples_that_cannot_be_are_refused() {
    let Some(snips) = Snips::new(350) else { return };
    let eval = |flags: &[&str]| snips.command("eval", flags);
    let from = "--shots-from=train.jsonl";
    let said = refused_with(&mut eval(&["--shots=2"]), 2);
    assert!(
        said.contains("--shots: needs the rows that examples are drawn from: --shots-from"),
        "{said}"
    );
    assert!(refused_with(&mut eval(&[from]), 2).contains("--shots-from: needs --shots"));
    assert!(
        refused_with(&mut eval(&["--shot-separator=;"]), 2)
            .contains("--shot-separator: needs --shots")
    );
    assert!(
        refused_with(&mut eval(&["--shots-seed=0"]), 2).contains("--shots-seed: needs --shots")
    );
    let said = refused_with(&mut eval(&[from, "--shots=100000"]), 2);
    assert!(said.contains("--shots: found 100000, expected 0 to "), "{said}");
    // 512 positions.
    let said = refused_with(&mut eval(&[from, "--shots=40"]), 1);
    assert!(said.contains("rows.jsonl, line 1: ") && said.contains("512"), "{said}");
    assert!(
        said.contains("the 40 examples in front of it are ") && said.contains("lower --shots"),
        "{said}"
    );
    let said = refused_with(&mut eval(&[from, "--shots=3", "--max-new-tokens=400"]), 1);
    assert!(said.contains("lower --shots"), "{said}");
    let said = refused_with(&mut eval(&[from, "--shots=2", "--max-length=60"]), 2);
    assert!(
        said.contains("--max-length: would cut the examples in front of 2 of 2 rows"),
        "{said}"
    );
    let said = refused_with(&mut eval(&["--shots-from=rows.jsonl", "--shots=1"]), 2);
    assert!(said.contains("--shots: found 1, expected 0 to 0"), "{said}");
    let theirs = "{\"text\": \"play it\", \"label\": \"music\"}\n";
    fs::write(snips.path("theirs.jsonl"), theirs).unwrap();
    let said = refused_with(&mut eval(&["--shots-from=theirs.jsonl", "--shots=1"]), 1);
    assert!(said.contains("theirs.jsonl, line 1: found the target \"music\""), "{said}");
    let mut texts = peft(snips.dir.path());
    texts.args(["eval", "--data=rows.jsonl", "--shots=1", from, "--text-field=text", "--model"]);
    let said = refused_with(texts.arg(&snips.model), 1);
    assert!(said.contains("train.jsonl, line 1: has no target of its own"), "{said}");
    let Some(classifier) = shared("models/tiny-bert-cls") else { return };
    for (command, data) in [("eval", "--data=rows.jsonl"), ("predict", "--input=rows.jsonl")] {
        let mut command_ = peft(snips.dir.path());
        command_.args([command, data, "--shots=1", from, "--model"]);
        let said = refused_with(command_.arg(&classifier), 2);
        assert!(said.contains("--shots: ") && said.contains("language models"), "{said}");
    }
}

/// An encoder-decoder reads the examples with each row, since they attend to it; what it reads is tested in `seq2seq`.
#[test]
fn an_encoder_decoder_reads_examples_with_each_row() {
    let (Some(snips), Some(model)) = (Snips::new(120), shared("models/tiny-t5")) else { return };
    let mut command = peft(snips.dir.path());
    command.args(["eval", "--data=rows.jsonl", "--rank-classes", "--target-template={label}"]);
    command.args(["--source-template=text: {text} intent:", "--shots=2", "--out=few"]);
    command.arg(format!("--labels={}", CLASSES.join(",")));
    let output = succeed(command.arg("--shots-from=train.jsonl").arg("--model").arg(&model));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("stand in front of each of 6 rows\n"), "{said}");
    assert_eq!(read_lines(&snips.path("few/shots.jsonl")).len(), 2);
}
