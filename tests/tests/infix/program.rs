//! An infix through the program.

use std::{fs, path::Path};

use peft_core::data::IGNORE;
use serde_json::{Value, json};

use crate::support::{peft, read_lines, root, succeed, tiny_model};

/// Rows of token ids with a source and a target.
fn write_rows(path: &Path) {
    let row = |row: usize| {
        let ids: Vec<usize> = (0..5 + row % 6).map(|at| 3 + (row * 31 + at * 7) % 60).collect();
        let source = 2 + row % 3;
        let labels = ids.iter().enumerate();
        let labels: Vec<i64> =
            labels.map(|(at, id)| if at < source { IGNORE } else { *id as i64 }).collect();
        format!("{}\n", json!({"input_ids": ids, "labels": labels}))
    };
    fs::write(path, (0..20).map(row).collect::<String>()).unwrap();
}

fn losses(path: &Path) -> Vec<f64> {
    read_lines(path).iter().map(|line| line["loss"].as_f64().unwrap()).collect()
}

#[test]
fn the_program_trains_evaluates_and_continues_with_an_infix() {
    let dir = tempfile::tempdir().unwrap();
    let rows = dir.path().join("rows.jsonl");
    write_rows(&rows);
    for (model, method) in [("llama", "prefix"), ("gpt2", "ptv2"), ("mistral-window", "ptv2")] {
        let folder = |name: &str| dir.path().join(format!("{model}-{name}"));
        let train = |name: &str, flags: &[&str]| {
            let mut command = peft(&root());
            command.args(["train", "--task=causal-lm", "--steps=12", "--eval-every=4"]);
            // All rows in each batch, so that losses of steps and of evaluations are comparable.
            command.args(["--num-virtual-tokens=3", "--batch-size=20"]);
            command.args(["--method", method, "--model", &tiny_model(model)]).args(flags);
            command.arg("--train").arg(&rows).arg("--valid").arg(&rows);
            succeed(command.arg("--out").arg(folder(name)));
        };
        train("infix", &["--infix"]);
        train("prefix", &[]);
        let infix = folder("infix");
        let first = |name: &str| losses(&folder(name).join("metrics.jsonl"))[0];
        // They start from the same numbers, at another place.
        assert_ne!(first("infix"), first("prefix"), "{model}");
        let settings = fs::read_to_string(infix.join("run.toml")).unwrap();
        assert!(settings.contains("infix = true"), "{settings}");
        let evaluations = losses(&infix.join("evaluations.jsonl"));
        let best = evaluations.iter().copied().fold(f64::INFINITY, f64::min);
        assert!(best < first("infix"), "{model}: {evaluations:?}");

        let evaluate = |kernels: &str| {
            let mut command = peft(&root());
            command.env("PEFT_KERNELS", kernels);
            command.args(["eval", "--json", "--model", &tiny_model(model), "--adapter"]);
            command.arg(&infix).arg("--data").arg(&rows);
            let found: Value = serde_json::from_slice(&succeed(&mut command).stdout).unwrap();
            found["loss"].as_f64().unwrap()
        };
        for kernels in ["", "off"] {
            let found = evaluate(kernels);
            assert!((found - best).abs() < 2e-5 * best, "{model} {kernels}: {found}, not {best}");
        }
        let written = ["", "off"].map(|kernels| {
            let mut command = peft(&root());
            command.env("PEFT_KERNELS", kernels);
            command.args(["generate", "--model", &tiny_model(model), "--adapter"]).arg(&infix);
            command.args(["--max-new-tokens=5", "--input"]).arg(&rows);
            String::from_utf8(succeed(&mut command).stdout).unwrap()
        });
        assert_eq!(written[0].lines().count(), 20, "{}", written[0]);
        assert_eq!(written[0], written[1], "{model}");
        let mut inspect = peft(&root());
        inspect.arg("inspect").arg(&infix).args(["--analyse", "--model", &tiny_model(model)]);
        let said = succeed(inspect.arg("--data").arg(&rows)).stdout;
        assert!(String::from_utf8(said).unwrap().contains("BURN_PEFT_INFIX_TUNING"));

        // A run goes on from the adapter as it is.
        let from = format!("--init-adapter={}", infix.display());
        let mut command = peft(&root());
        command.args(["train", "--task=causal-lm", "--steps=1", "--batch-size=20"]);
        command.args(["--method", method, "--model", &tiny_model(model), &from]);
        command.arg("--train").arg(&rows).arg("--out").arg(folder("more"));
        succeed(&mut command);
        assert!((first("more") - best).abs() < 1e-4 * best, "{model}: {}, {best}", first("more"));
    }
}
