//! `peft compare`: runs side by side; in `significance`, whether they differ, also as files of predictions alone.

mod significance;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::support::{peft, root, succeed, tiny_model, told};

const ROWS: &str = "tests/vectors/training/bert-prefix/rows.jsonl";
const VALID: &str = "tests/vectors/training/bert-prompt/rows.jsonl";

/// A run of a few steps in a folder.
fn train(out: &Path, flags: &[&str]) -> Command {
    let mut command = peft(&root());
    command.args([
        "train",
        "--model",
        &tiny_model("bert"),
        "--task=seq-cls",
        "--batch-size=4",
        "--steps=4",
    ]);
    command.args(["--train", ROWS, "--eval-every=2"]).args(flags).arg("--out").arg(out);
    command
}

/// Two methods with two seeds each: `prompt-1`, `prompt-2`, `ptv2-1`, `ptv2-2`.
fn four_runs(dir: &Path) {
    for method in ["prompt", "ptv2"] {
        for seed in ["1", "2"] {
            let p = if method == "prompt" { "5" } else { "3" };
            let flags =
                ["--valid", VALID, "--method", method, "--num-virtual-tokens", p, "--seed", seed];
            succeed(&mut train(&dir.join(format!("{method}-{seed}")), &flags));
        }
    }
}

fn compare(dir: &Path, args: &[&str]) -> Command {
    let mut command = peft(dir);
    command.arg("compare").args(args);
    command
}

fn refused(command: &mut Command, code: i32) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{command:?}: {said}");
    assert_eq!(output.stdout, b"", "{command:?}");
    said
}

fn json_of(command: &mut Command) -> Value {
    serde_json::from_str(&told(command.arg("--json")).0).unwrap()
}

#[test]
fn runs_with_other_seeds_are_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    four_runs(&runs);
    let found = json_of(&mut compare(dir.path(), &["runs", "--metric", "loss"]));
    assert_eq!((&found["metric"], &found["higher_is_better"]), (&json!("loss"), &json!(false)));
    let systems = found["systems"].as_array().unwrap();
    assert_eq!(systems.len(), 2);
    let mut means = Vec::new();
    for system in systems {
        let method = system["settings"]["method"].as_str().unwrap();
        let scores = [1, 2].map(|seed| {
            let own = runs.join(format!("{method}-{seed}/burn_peft.json"));
            let own: Value = serde_json::from_slice(&fs::read(own).unwrap()).unwrap();
            own["metrics"]["loss"].as_f64().unwrap()
        });
        let mean = (scores[0] + scores[1]) / 2.0;
        let deviation = (scores[0] - scores[1]).abs() / 2f64.sqrt();
        assert!((system["mean"].as_f64().unwrap() - mean).abs() < 1e-12, "{system}");
        assert!((system["deviation"].as_f64().unwrap() - deviation).abs() < 1e-12, "{system}");
        assert_eq!((&system["n"], &system["steps"]), (&json!(2), &json!(4.0)));
        assert!(system["seconds"].as_f64().unwrap() > 0.0, "{system}");
        assert!(system["stored_parameters"].as_f64().unwrap() > 0.0, "{system}");
        #[cfg(target_os = "linux")]
        assert!(system["peak_memory"].as_u64().unwrap() > 1 << 20, "{system}");
        means.push(mean);
    }
    assert!(means.is_sorted(), "{means:?}");

    let (text, said) = told(&mut compare(dir.path(), &["runs", "--metric", "loss", "--no-times"]));
    assert_eq!(said, "");
    let lines: Vec<&str> = text.lines().collect();
    let head: Vec<&str> = lines[0].split_whitespace().collect();
    assert_eq!(head, ["method", "P", "loss", "n", "trained", "stored", "steps"], "{text}");
    assert!(lines[1].contains(" ± ") && lines[3].is_empty(), "{text}");
    assert!(
        text.contains("loss of the validation rows, lower is better; mean ± standard deviation"),
        "{text}"
    );
    assert!(text.contains("in all: model bert, task seq-cls, lr 0.03, steps 4"), "{text}");

    // Folders of runs by themselves are the same; Markdown, LaTeX and CSV hold the same numbers.
    let each: Vec<String> =
        ["ptv2-2", "prompt-1", "ptv2-1", "prompt-2"].map(|run| format!("runs/{run}")).into();
    let mut args: Vec<&str> = each.iter().map(String::as_str).collect();
    args.extend(["--metric", "loss", "--no-times"]);
    assert_eq!(told(&mut compare(dir.path(), &args)).0, text);
    let cell = lines[1].split("  ").map(str::trim).find(|cell| cell.contains('±')).unwrap();
    let of = |flag: &str| told(compare(dir.path(), &args).arg(flag)).0;
    assert!(
        of("--markdown").contains(&format!(" {cell} |")) && of("--markdown").contains("| ---: |")
    );
    assert!(
        of("--latex").contains(&cell.replace('±', "$\\pm$"))
            && of("--latex").contains("\\end{tabular}")
    );
    let csv = of("--csv");
    let first: Vec<&str> = csv.lines().nth(1).unwrap().split(',').collect();
    assert_eq!(csv.lines().next().unwrap().split(',').nth(2), Some("loss"));
    assert_eq!(first[2].parse::<f64>().unwrap(), systems[0]["mean"].as_f64().unwrap());

    let (one, _) = told(&mut compare(dir.path(), &["runs/ptv2-1", "--no-times"]));
    assert!(one.lines().count() == 5 && !one.contains('±'), "{one}");
    let picture = dir.path().join("picture.svg");
    succeed(compare(dir.path(), &["runs", "--plot"]).arg(&picture));
    let picture = fs::read_to_string(picture).unwrap();
    // Two points and two curves of two evaluations, with a legend.
    assert!(
        picture.matches("<circle").count() == 2 + 4 + 2 && picture.contains("prompt, P 5"),
        "{picture}"
    );
}

#[test]
fn what_cannot_be_compared_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    four_runs(&at("runs"));
    let runs = |name: &str| -> PathBuf { at("runs").join(name) };
    // Older ones have no result.json; what was copied, killed and lost is told.
    fs::remove_file(runs("prompt-1/result.json")).unwrap();
    let copy = runs("prompt-2-again");
    fs::create_dir(&copy).unwrap();
    for name in [
        "run.toml",
        "result.json",
        "burn_peft.json",
        "adapter_config.json",
        "adapter_model.safetensors",
    ] {
        fs::copy(runs("prompt-2").join(name), copy.join(name)).unwrap();
    }
    fs::create_dir(runs("killed")).unwrap();
    fs::copy(runs("ptv2-1/run.toml"), runs("killed/run.toml")).unwrap();
    fs::write(runs("killed/result.json"), "{\"ending\": \"begun\", \"total_steps\": 4}").unwrap();
    fs::write(runs("killed/metrics.jsonl"), "{\"step\": 3, \"loss\": 1}\n{\"st").unwrap();
    let diverged =
        train(&runs("lost"), &["--valid", VALID, "--method=prompt", "--lr=1e38", "--seed=1"])
            .output()
            .unwrap();
    assert_eq!(diverged.status.code(), Some(1));
    let (text, said) = told(&mut compare(dir.path(), &["runs", "--metric", "loss", "--no-times"]));
    assert!(text.lines().nth(1).unwrap().contains(" 2 "), "{text}");
    for says in [
        "note: runs/killed is not finished (step 3 of 4), and left out; peft train --resume --out runs/killed",
        "note: runs/lost is left out: its loss was no number any more after step",
        "note: runs/prompt-2-again is left out: it is runs/prompt-2 once more, with the same seed",
    ] {
        assert!(said.contains(says), "{said}");
    }
    let found = json_of(&mut compare(dir.path(), &["runs", "--metric", "loss"]));
    let states: Vec<&Value> =
        found["left_out"].as_array().unwrap().iter().map(|run| &run["state"]).collect();
    assert_eq!(states, ["unfinished", "diverged"]);

    // A file of steps whose end is lost: the steps are known, and their seconds are not.
    let metrics = runs("ptv2-1").join("metrics.jsonl");
    let whole = fs::read_to_string(&metrics).unwrap();
    fs::write(&metrics, whole.trim_end()).unwrap();
    let (_, said) = told(&mut compare(dir.path(), &["runs/ptv2-1"]));
    for says in [
        "note: runs/ptv2-1/metrics.jsonl: the last line is cut off, and is not used",
        "note: runs/ptv2-1/metrics.jsonl: found 3 of the 4 steps, so that their seconds are not known",
    ] {
        assert!(said.contains(says), "{said}");
    }
    let found = json_of(&mut compare(dir.path(), &["runs/ptv2-1"]));
    let system = &found["systems"][0];
    assert_eq!((&system["steps"], &system["seconds"]), (&json!(4.0), &Value::Null), "{system}");
    fs::write(&metrics, whole).unwrap();
    let (_, said) = told(&mut compare(dir.path(), &["runs/ptv2-1"]));
    assert!(!said.contains("cut off"), "{said}");

    // Other rows, other scores, no scores.
    succeed(&mut train(
        &runs("other"),
        &["--valid", ROWS, "--method=ptv2", "--num-virtual-tokens=3", "--seed=3"],
    ));
    let (_, said) = told(&mut compare(dir.path(), &["runs/ptv2-1", "runs/other"]));
    assert!(
        said.contains("scored on different rows, and their scores cannot be compared"),
        "{said}"
    );
    assert!(said.contains("not all systems were trained with the same seeds"), "{said}");
    let mut train_only = peft(&root());
    train_only.args([
        "train",
        "--model",
        &tiny_model("bert"),
        "--task=seq-cls",
        "--method=head",
        "--train",
        ROWS,
    ]);
    succeed(train_only.args(["--steps=2", "--out"]).arg(runs("blind")));
    let (text_of_all, said) = told(&mut compare(dir.path(), &["runs/ptv2-1", "runs/blind"]));
    assert!(
        said.contains("left out, since they have no accuracy that is a number: runs/blind"),
        "{said}"
    );
    assert!(
        text_of_all.contains("accuracy of the validation rows, higher is better"),
        "{text_of_all}"
    );
    let (text_of_blind, _) = told(&mut compare(dir.path(), &["runs/blind"]));
    assert!(
        text_of_blind.contains("mean loss of the last training steps, lower is better"),
        "{text_of_blind}"
    );

    for (args, code, says) in [
        (&["runs/killed"][..], 1, "no run is finished:\n  runs/killed is not finished"),
        (&["."], 1, "holds no run.toml, and no folder with one"),
        (&["nowhere"], 1, "nowhere: is no folder: expected the folder of a run"),
        (
            &["runs", "--metric", "bleu"],
            2,
            "--metric: found bleu, expected a score that the runs have: accuracy,",
        ),
        (&["runs/ptv2-1", "--significance"], 2, "needs two systems to compare"),
        (
            &["runs/ptv2-1", "runs/prompt-1", "--significance"],
            2,
            "peft predict --model MODEL --adapter runs/",
        ),
        (
            &["runs", "--plot", "a.png"],
            2,
            "--plot: found a.png, expected the name of a picture that ends in .svg",
        ),
        (&["runs", "--resamples", "0"], 2, "--resamples: found 0"),
        (&[], 2, "RUN"),
    ] {
        let said = refused(&mut compare(dir.path(), args), code);
        assert!(said.contains(says), "{args:?}: {said}");
    }
    // A damaged adapter is no result.
    fs::write(runs("other/adapter_model.safetensors"), "damaged").unwrap();
    let said = refused(&mut compare(dir.path(), &["runs/other"]), 1);
    assert!(said.contains("runs/other/adapter_model.safetensors"), "{said}");
}
