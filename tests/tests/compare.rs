//! `peft compare`: runs and files of predictions side by side.

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

#[test]
fn differences_are_tested_over_rows_and_seeds() {
    let dir = tempfile::tempdir().unwrap();
    four_runs(&dir.path().join("runs"));
    let (_, said) = told(&mut compare(dir.path(), &["runs", "--significance"]));
    assert!(
        said.contains("note: no folder holds predictions.jsonl: only seeds are compared"),
        "{said}"
    );
    for run in ["prompt-1", "prompt-2", "ptv2-1", "ptv2-2"] {
        let out = dir.path().join("runs").join(run);
        let mut predict = peft(&root());
        predict
            .args(["predict", "--model", &tiny_model("bert"), "--input", VALID, "--adapter"])
            .arg(&out);
        succeed(predict.arg("--output").arg(out.join("predictions.jsonl")));
    }
    let found =
        json_of(&mut compare(dir.path(), &["runs", "--significance", "--metric", "accuracy"]));
    assert_eq!(found["significance"]["row_score"], "accuracy");
    let rows = fs::read_to_string(root().join(VALID)).unwrap().lines().count();
    assert_eq!(found["significance"]["rows"], rows);
    // Averaged over seeds, rows give what the evaluations of the runs gave.
    for system in found["systems"].as_array().unwrap() {
        let (row_score, mean) =
            (system["row_score"].as_f64().unwrap(), system["mean"].as_f64().unwrap());
        assert!((row_score - mean).abs() < 1e-9, "{system}");
    }
    let second = &found["systems"][1];
    let (low, high) = (&second["over_rows"]["interval"][0], &second["over_rows"]["interval"][1]);
    let difference = second["over_rows"]["difference"].as_f64().unwrap();
    assert!(
        low.as_f64().unwrap() <= difference && difference <= high.as_f64().unwrap(),
        "{second}"
    );
    let p = second["over_rows"]["p"].as_f64().unwrap();
    assert!(p > 0.0 && p <= 1.0);
    let (text, said) =
        told(&mut compare(dir.path(), &["runs", "--significance", "--metric", "loss"]));
    assert!(text.contains("paired bootstrap") && text.contains("Welch's t test"), "{text}");
    assert_eq!(said, "");

    // Files alone, also as tables; what does not belong together is refused.
    let file = |name: &str| dir.path().join(name);
    let write = |name: &str, right: usize, rows: usize| {
        let lines = (0..rows).map(|row| {
            let found = if row < right { "a" } else { "b" };
            format!("{{\"id\": {row}, \"label\": \"{found}\", \"input\": {{\"label\": \"a\"}}}}\n")
        });
        fs::write(file(name), lines.collect::<String>()).unwrap();
    };
    write("a.jsonl", 90, 100);
    write("b.jsonl", 60, 100);
    write("c.jsonl", 9, 10);
    let lines = (0..100).map(|row| format!("{row},{},a\n", if row < 60 { "a" } else { "b" }));
    fs::write(file("b.csv"), format!("id,label,input.label\n{}", lines.collect::<String>()))
        .unwrap();
    let (text, _) = told(&mut compare(dir.path(), &["--scores", "b.jsonl", "a.jsonl"]));
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[1].starts_with("a.jsonl") && lines[1].contains("0.9000"), "{text}");
    assert!(
        lines[2].contains("-0.3000 [-0.")
            && lines[2].contains("< 0.001") | lines[2].contains("0.0001"),
        "{text}"
    );
    let said = refused(&mut compare(dir.path(), &["--scores", "a.jsonl", "c.jsonl"]), 1);
    assert!(said.contains("a.jsonl has 100 rows, c.jsonl has 10"), "{said}");
    let said = refused(&mut compare(dir.path(), &["--scores", "a.jsonl"]), 2);
    assert!(said.contains("--scores: needs two files"), "{said}");
    let said = refused(
        &mut compare(dir.path(), &["--scores", "a.jsonl", "b.jsonl", "--score", "bleu"]),
        1,
    );
    assert!(said.contains("a.jsonl, line 1: field `bleu` is missing"), "{said}");
    // Tables hold the same rows.
    let of = |b: &str| {
        json_of(&mut compare(dir.path(), &["--scores", "a.jsonl", b]))["systems"][1]["over_rows"]
            .clone()
    };
    assert_eq!(of("b.csv"), of("b.jsonl"));
    fs::write(file("d.csv"), fs::read_to_string(file("b.csv")).unwrap().replace("\n99,", "\n100,"))
        .unwrap();
    let said = refused(&mut compare(dir.path(), &["--scores", "a.jsonl", "d.csv"]), 1);
    assert!(said.contains("line 100, and d.csv, line 101, are about different rows"), "{said}");
}

#[test]
fn a_system_that_is_written_otherwise_is_left_out_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["a", "b", "c"];
    for (name, p) in names.iter().zip(["3", "4", "5"]) {
        let flags = ["--valid", VALID, "--method=prompt", "--seed=1", "--num-virtual-tokens", p];
        succeed(&mut train(&dir.path().join(name), &flags));
    }
    let lines = |line: fn(usize) -> String| (0..20).map(line).collect::<String>();
    let write = |name: &str, text: String| {
        fs::write(dir.path().join(name).join("predictions.jsonl"), text).unwrap();
    };
    let label = || {
        lines(|row| {
            format!("{{\"id\": {row}, \"label\": \"x\", \"input\": {{\"label\": \"x\"}}}}\n")
        })
    };
    let text = || lines(|row| format!("{{\"id\": {row}, \"exact_match\": {}}}\n", row < 9));
    let foreign = || lines(|row| format!("{{\"id\": {row}, \"class\": \"x\"}}\n"));
    let all = ["a", "b", "c", "--significance"];
    // Whichever it is, also the best, which the others are otherwise compared with.
    for odd in names {
        for (other, says) in [
            (text(), " gives the "),
            (foreign(), "line 1: holds neither `exact_match`, `label`"),
            ("{\"id\": 0, \"label\": \"x\"}\n".into(), "holds no `input.label`"),
            ("{\"id\": 0,".into(), "predictions.jsonl"),
        ] {
            names.iter().for_each(|name| write(name, label()));
            write(odd, other);
            let found = json_of(&mut compare(dir.path(), &all));
            assert_eq!(found["significance"]["rows"], 20);
            assert_eq!(found["significance"]["row_score"], "accuracy");
            let of = |system: &Value| {
                let path = system["runs"][0]["path"].as_str().unwrap().to_string();
                (path, system["over_rows"]["difference"].as_f64(), system["row_score"].as_f64())
            };
            let systems: Vec<_> = found["systems"].as_array().unwrap().iter().map(of).collect();
            let compared: Vec<_> = systems.iter().filter(|(path, ..)| path != odd).collect();
            assert_eq!((compared[0].1, compared[1].1), (None, Some(0.0)), "{found}");
            assert!(compared.iter().all(|(.., score)| *score == Some(1.0)), "{found}");
            let left_out = systems.iter().find(|(path, ..)| path == odd).unwrap();
            assert_eq!((left_out.1, left_out.2), (None, None), "{found}");

            let (table, said) = told(&mut compare(dir.path(), &all));
            let notes: Vec<&str> = said.lines().filter(|line| line.contains("over rows")).collect();
            let [note] = notes.as_slice() else { panic!("{said}") };
            let named = format!("note: the system of {odd} is not compared over rows: ");
            assert!(note.starts_with(&named) && note.contains(says), "{said}");
            let is_first = systems[0].0 == odd;
            let against = if is_first {
                "that of line 2, the first that is"
            } else {
                "that of the first line"
            };
            assert!(table.contains(&format!("accuracy minus {against}")), "{table}");
        }
    }
    // Of two, nothing is left to compare.
    write("a", label());
    write("b", text());
    for flags in [
        &["a", "b", "--significance"][..],
        &["--scores", "a/predictions.jsonl", "b/predictions.jsonl"],
    ] {
        let said = refused(&mut compare(dir.path(), flags), 1);
        for says in ["their ", "accuracy", "exact match", "peft predict --rank-classes"] {
            assert!(said.contains(says), "{says}: {said}");
        }
    }
    write("b", foreign());
    write("c", foreign());
    let said = refused(&mut compare(dir.path(), &all), 1);
    assert!(said.contains("no two of them can be compared over rows:\n  "), "{said}");
    assert!(
        said.contains("b/predictions.jsonl, line 1")
            && said.contains("c/predictions.jsonl, line 1")
    );

    // Files by themselves.
    write("b", label());
    let files = names.map(|name| format!("{name}/predictions.jsonl"));
    let args = ["--scores", &files[2], &files[0], &files[1]];
    let (table, said) = told(&mut compare(dir.path(), &args));
    assert!(
        table.contains(&files[0]) && table.contains(&files[1]) && !table.contains(&files[2]),
        "{table}"
    );
    assert!(
        said.contains(
            "note: c/predictions.jsonl is left out: c/predictions.jsonl, line 1: holds neither"
        ),
        "{said}"
    );
    let found = json_of(&mut compare(dir.path(), &args));
    assert_eq!(found["systems"].as_array().unwrap().len(), 2);
    assert!(found["significance"]["notes"][0].as_str().unwrap().contains("c/predictions.jsonl"));
    let said =
        refused(&mut compare(dir.path(), &["--scores", &files[0], &files[1], "nowhere.jsonl"]), 1);
    assert!(said.contains("nowhere.jsonl"), "{said}");
}
