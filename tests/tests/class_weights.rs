//! `--class-weights` and `--label-smoothing` of the program.

use std::{fmt::Write, fs, path::Path, process::Command};

use crate::support::{ADAPTER_FILES, peft, read_lines, root, succeed, tiny_model};

/// Nine rows of one class, three of the other.
fn lay_out(dir: &Path) {
    let mut rows = String::new();
    for row in 0..12 {
        let label = usize::from(row % 4 == 3);
        writeln!(
            rows,
            r#"{{"input_ids": [2, {}, 7, {}], "label": {label}}}"#,
            4 + row,
            9 + row % 5
        )
        .unwrap();
    }
    fs::write(dir.join("rows.jsonl"), rows).unwrap();
}

/// The tensors and the first loss of a run.
fn run(dir: &Path, out: &str, more: &[&str]) -> (Vec<u8>, f64) {
    let out = dir.join(out);
    let mut command = peft(&root());
    command.args([
        "train",
        "--model",
        &tiny_model("bert"),
        "--method",
        "ptv2",
        "--task",
        "seq-cls",
        "--labels",
        "usual,rare",
    ]);
    command.args([
        "--num-virtual-tokens=2",
        "--steps=2",
        "--batch-size=12",
        "--lr=0.05",
        "--train",
    ]);
    succeed(command.arg(dir.join("rows.jsonl")).arg("--out").arg(&out).args(more));
    let loss = read_lines(&out.join("metrics.jsonl"))[0]["loss"].as_f64().unwrap();
    (fs::read(out.join(ADAPTER_FILES[2])).unwrap(), loss)
}

#[test]
fn classes_and_labels_count_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    lay_out(dir);
    let file = dir.join("weights.json");
    let of_file = format!("--class-weights={}", file.display());
    let plain = run(dir, "plain", &[]);
    let balanced = run(dir, "balanced", &["--class-weights=balanced"]);
    fs::write(&file, format!(r#"{{"usual": {}, "rare": 2}}"#, 2.0f64 / 3.0)).unwrap();
    assert!(run(dir, "file", &[&of_file]) == balanced);
    fs::write(&file, r#"{"usual": 3, "rare": 3}"#).unwrap();
    let (_, same) = run(dir, "same", &[&of_file]);
    assert!((same - plain.1).abs() < 1e-6, "{same} {}", plain.1);
    let mut losses = Vec::new();
    for (out, weights) in
        [("usual", r#"{"usual": 1, "rare": 0}"#), ("rare", r#"{"usual": 0, "rare": 1}"#)]
    {
        fs::write(&file, weights).unwrap();
        losses.push(run(dir, out, &[&of_file]).1);
    }
    let mean = |weight: f64| losses[0] + weight * (losses[1] - losses[0]);
    assert!((mean(0.25) - plain.1).abs() < 1e-5, "{losses:?} {}", plain.1);
    assert!((mean(0.5) - balanced.1).abs() < 1e-5, "{losses:?} {}", balanced.1);

    let smoothed = run(dir, "smoothed", &["--label-smoothing=0.2"]);
    assert!(smoothed.0 != plain.0 && smoothed.1 != plain.1);
    assert!(run(dir, "none", &["--label-smoothing=0"]) == plain);
}

#[test]
fn a_run_is_resumed_with_the_same_weights_only() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    lay_out(dir);
    let file = dir.join("weights.json");
    fs::write(&file, r#"{"usual": 1, "rare": 2}"#).unwrap();
    run(dir, "out", &[&format!("--class-weights={}", file.display()), "--checkpoint-every=1"]);
    let resume = || {
        let mut command = peft(&root());
        command.args(["train", "--resume", "--out"]).arg(dir.join("out"));
        command
    };
    succeed(&mut resume());
    fs::write(&file, r#"{"usual": 1, "rare": 3}"#).unwrap();
    let refused = |command: &mut Command| {
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("what differs: class_weights (then [1.0,2.0], now"), "{said}");
    };
    refused(&mut resume());
    // Also where the settings say nothing of them any more.
    let settings = dir.join("out/run.toml");
    let text = fs::read_to_string(&settings).unwrap();
    let others: Vec<&str> =
        text.lines().filter(|line| !line.starts_with("class_weights")).collect();
    fs::write(&settings, others.join("\n")).unwrap();
    refused(&mut resume());
}
