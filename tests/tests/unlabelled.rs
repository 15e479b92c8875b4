//! Rows without what they are learnt by, and `--skip-unlabelled`: in training and validation rows, when a run goes on, in a
//! sweep, in scores, and where predictions stand beside the rows.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use crate::support::{peft, read_lines, refused, succeed};

/// What stands for no completion.
const NONE: [&str; 3] = ["null", "\"\"", "\" \""];

/// The demo's model and rows of prompts, `(all, those with a completion)` of `train.jsonl`, `valid.jsonl`; every third
/// has no completion.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    succeed(peft(dir.path()).args(["demo", "--export", "try"]));
    for (from, name, count) in [("train", "train", 60), ("test", "valid", 12)] {
        let rows = read_lines(&dir.path().join(format!("try/{from}.jsonl")));
        let (mut all, mut whole) = (String::new(), String::new());
        for (at, row) in rows.iter().take(count).enumerate() {
            let line = |completion: &str| {
                format!(
                    "{{\"id\": {at}, \"prompt\": {}, \"completion\": {completion}}}\n",
                    row["source"]
                )
            };
            match at % 3 {
                1 if at % 2 == 0 => {
                    all += &format!("{{\"id\": {at}, \"prompt\": {}}}\n", row["source"])
                }
                1 => all += &line(NONE[at / 6 % NONE.len()]),
                _ => {
                    all += &line(&row["target"].to_string());
                    whole += &line(&row["target"].to_string());
                }
            }
        }
        fs::write(dir.path().join(format!("{name}.jsonl")), all).unwrap();
        fs::write(dir.path().join(format!("{name}-whole.jsonl")), whole).unwrap();
    }
    dir
}

fn train(dir: &Path, files: [&str; 2], out: &str, flags: &[&str]) -> Command {
    let mut command = peft(dir);
    command.args(["train", "--model=try/model", "--method=prompt", "--task=causal-lm"]);
    command.args(["--steps=4", "--batch-size=8", "--eval-every=2", "--seed=1"]).args(flags);
    command.args(["--train", files[0], "--valid", files[1], "--out", out]);
    command
}

/// What is said.
fn said(command: &mut Command) -> String {
    String::from_utf8(succeed(command).stderr).unwrap()
}

const HOLED: [&str; 2] = ["train.jsonl", "valid.jsonl"];
const WHOLE: [&str; 2] = ["train-whole.jsonl", "valid-whole.jsonl"];
const NOTES: [&str; 2] = [
    "note: 20 of 60 rows have no target and are left out",
    "note: 4 of 12 rows have no target and are left out",
];

#[test]
fn rows_without_a_completion_are_left_out_of_a_run_and_told() {
    let dir = folder();
    let read = |name: &str| fs::read(dir.path().join(name)).unwrap();
    let (code, message) = refused(&mut train(dir.path(), HOLED, "refused", &[]));
    assert_eq!(code, Some(1), "{message}");
    for says in ["train.jsonl, line 2: field `completion` is null", "--skip-unlabelled"] {
        assert!(message.contains(says), "{message}");
    }
    let found = said(&mut train(dir.path(), HOLED, "holed", &["--skip-unlabelled"]));
    assert!(NOTES.iter().all(|note| found.contains(note)), "{found}");
    let found = said(&mut train(dir.path(), WHOLE, "whole", &[]));
    assert!(!found.contains("left out"), "{found}");
    // The same run as without these rows; the settings remember them.
    for file in ["adapter_model.safetensors", "evaluations.jsonl"] {
        assert!(read(&format!("holed/{file}")) == read(&format!("whole/{file}")), "{file}");
    }
    let settings = String::from_utf8(read("holed/run.toml")).unwrap();
    assert!(settings.contains("skip_unlabelled = true"), "{settings}");
    // A run that goes on leaves the same rows out, and says so again.
    let resume = |out: &str| {
        let mut command = peft(dir.path());
        command.args(["train", "--resume", "--steps=6", "--out", out]);
        command
    };
    let found = said(&mut resume("holed"));
    assert!(NOTES.iter().all(|note| found.contains(note)), "{found}");
    said(&mut resume("whole"));
    assert!(read("holed/adapter_model.safetensors") == read("whole/adapter_model.safetensors"));

    let sweep = "model = \"try/model\"\ntask = \"causal-lm\"\nmethod = \"prompt\"\nsteps = 4\nbatch_size = 8\neval_every = 2\n\
                 train = \"train.jsonl\"\nvalid = \"valid.jsonl\"\nskip_unlabelled = true\n[grid]\nseed = [1]\n";
    fs::write(dir.path().join("sweep.toml"), sweep).unwrap();
    said(peft(dir.path()).args(["sweep", "sweep.toml", "--out", "sweep"]));
    let runs: Vec<_> = fs::read_dir(dir.path().join("sweep")).unwrap().collect();
    let run = runs
        .into_iter()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.join("run.toml").is_file());
    let scores = fs::read(run.unwrap().join("evaluations.jsonl")).unwrap();
    assert!(read("whole/evaluations.jsonl").starts_with(&scores));
}

#[test]
fn predictions_stand_beside_the_rows_that_are_scored() {
    let dir = folder();
    said(&mut train(dir.path(), HOLED, "run", &["--skip-unlabelled"]));
    let eval = |data: &str, flags: &[&str]| {
        let mut command = peft(dir.path());
        command.args(["eval", "--model=try/model", "--json", "--data", data]).args(flags);
        command
    };
    let written = ["--adapter=run", "--max-new-tokens=3", "--predictions"];
    let flags = |file: &'static str| [&written[..], &[file]].concat();
    // As in training, unless it is said otherwise.
    let output = succeed(&mut eval("valid.jsonl", &flags("holed-predictions.jsonl")));
    assert!(String::from_utf8_lossy(&output.stderr).contains(NOTES[1]));
    let whole = succeed(&mut eval("valid-whole.jsonl", &flags("whole-predictions.jsonl")));
    assert_eq!(output.stdout, whole.stdout);
    let [found, expected] = ["holed", "whole"]
        .map(|name| read_lines(&dir.path().join(format!("{name}-predictions.jsonl"))));
    assert_eq!(found, expected);
    let ids: Vec<&Value> = found.iter().map(|row| &row["id"]).collect();
    assert_eq!(ids, [0, 2, 3, 5, 6, 8, 9, 11].map(|id| json!(id)).iter().collect::<Vec<_>>());
    let strict = [&flags("refused.jsonl")[..], &["--skip-unlabelled=false"]].concat();
    let (code, message) = refused(&mut eval("valid.jsonl", &strict));
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("valid.jsonl, line 2: field `completion`"), "{message}");

    // Nor are they examples in front of others; a model alone remembers nothing.
    let shots = ["--shots=4", "--shots-from=train.jsonl", "--max-new-tokens=3"];
    let few = [&shots[..], &["--skip-unlabelled"]].concat();
    let output = succeed(&mut eval("valid.jsonl", &few));
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(NOTES.iter().all(|note| message.contains(note)), "{message}");
    let whole_shots = ["--shots=4", "--shots-from=train-whole.jsonl", "--max-new-tokens=3"];
    assert_eq!(output.stdout, succeed(&mut eval("valid-whole.jsonl", &whole_shots)).stdout);
    let (code, message) = refused(&mut eval("valid-whole.jsonl", &shots));
    assert!(code == Some(1) && message.contains("--skip-unlabelled"), "{message}");

    // Rows to predict need none.
    let mut generate = peft(dir.path());
    generate.args([
        "generate",
        "--model=try/model",
        "--adapter=run",
        "--input=valid.jsonl",
        "--max-new-tokens=3",
    ]);
    let output = succeed(&mut generate);
    assert_eq!(
        output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count(),
        12
    );
}

#[test]
fn rows_without_tags_or_answers_are_left_out_too() {
    let dir = tempfile::tempdir().unwrap();
    let model = crate::support::root().join(crate::support::tiny_model("bert"));
    let row = |labels: &str| format!("{{\"input_ids\": [5, 9, 3], \"labels\": {labels}}}\n");
    let rows =
        [row("[0, 1, -100]"), row("null"), row("[1, 1, 0]"), "{\"input_ids\": [7, 8]}\n".into()];
    fs::write(dir.path().join("rows.jsonl"), rows.concat()).unwrap();
    let tag = |flags: &[&str], out: &str| {
        let mut command = peft(dir.path());
        command.args([
            "train",
            "--task=token-cls",
            "--method=head",
            "--steps=1",
            "--batch-size=2",
            "--train=rows.jsonl",
            "--model",
        ]);
        command.arg(&model).args(flags).args(["--out", out]);
        command
    };
    let (code, message) = refused(&mut tag(&[], "refused"));
    assert_eq!(code, Some(1), "{message}");
    for says in ["line 2: field `labels` is null", "--skip-unlabelled"] {
        assert!(message.contains(says), "{message}");
    }
    let found = said(&mut tag(&["--skip-unlabelled"], "tags"));
    assert!(found.contains("note: 2 of 4 rows have no tags and are left out"), "{found}");
}
