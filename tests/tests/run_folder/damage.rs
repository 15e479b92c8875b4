//! A run with damaged files, empty ones, or ones that were cut off: what is said, and the way out.

use std::{fs, path::Path, process::Command};

use super::{adapter, copy, edit, message, resume, train};
use crate::support::{ADAPTER_FILES, peft, read_lines, root, succeed, tiny_model};

#[test]
fn a_damaged_line_of_metrics_does_not_block_a_resume() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    succeed(&mut train(&out, 6, &[]));
    let (whole, metrics) = (adapter(&out), out.join("metrics.jsonl"));
    let mut bytes = fs::read(&metrics).unwrap();
    bytes[20] = 0xff;
    fs::write(&metrics, &bytes).unwrap();
    let said = message(&succeed(&mut resume(&out)));
    let says = format!("note: {}: no step in line 1, which moved", metrics.display());
    assert!(said.contains(&says) && said.contains("metrics.jsonl.damaged"), "{said}");
    assert_eq!(adapter(&out), whole);
    assert_eq!(read_lines(&metrics).len(), 5);
    fs::write(&metrics, &bytes).unwrap();
    succeed(&mut train(&out, 6, &["--overwrite"]));
    assert_eq!(adapter(&out), whole);
    assert_eq!(read_lines(&metrics).len(), 6);
}

#[test]
fn what_is_read_back_is_summed() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let flags = ["--valid", "tests/vectors/training/gpt2-prefix/rows.jsonl", "--lr=0.05"];
    succeed(&mut train(&at("whole"), 8, &flags));
    let out = at("out");
    // A counter of a checkpoint: an earlier one is taken.
    copy(&at("whole"), &out);
    for name in ADAPTER_FILES {
        fs::remove_file(out.join(name)).unwrap();
    }
    edit(&out.join("checkpoints/step-000008/state.json"), "\"step\": 8", "\"step\": 7");
    // The settings: edited on purpose, perhaps.
    edit(&out.join("run.toml"), at("whole").to_str().unwrap(), out.to_str().unwrap());
    let said = message(&succeed(&mut resume(&out)));
    assert!(said.contains("step-000008 is damaged and was skipped"), "{said}");
    assert!(said.contains("run.toml was changed after peft wrote it"), "{said}");
    assert_eq!(adapter(&out), adapter(&at("whole")));
    let said = message(&succeed(&mut resume(&out)));
    assert!(!said.contains("damaged") && !said.contains("changed"), "{said}");
    // All of them: what is damaged is said.
    for step in ["step-000006", "step-000008"] {
        edit(&out.join("checkpoints").join(step).join("SHA256SUMS"), "state", "State");
    }
    let said = message(&resume(&out).output().unwrap());
    assert!(said.contains("holds no complete checkpoint"), "{said}");
    assert!(said.contains("step-000006 is damaged") && said.contains("step-000008 is damaged"));

    // The config of an adapter: what it computes with counts, where its base model lies does not.
    let inspect = || {
        let mut command = peft(&root());
        command.arg("inspect").arg(&out);
        message(&succeed(&mut command))
    };
    edit(&out.join("adapter_config.json"), &tiny_model("gpt2"), "elsewhere");
    assert_eq!(inspect(), "");
    let own = out.join("burn_peft.json");
    edit(&own, "\"lr\": 0.05", "\"lr\": 0.5");
    let says = format!("note: {} was changed after it was saved", own.display());
    assert!(inspect().starts_with(&says), "{}", inspect());
}

/// The settings of a run, of an ensemble or of an evaluation that were copied by half: whole lines are settings, too.
#[test]
fn settings_that_were_cut_off_start_no_other_run() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    succeed(&mut train(&at("whole"), 2, &["--lr=0.25"]));
    let model = tiny_model("gpt2");
    let mut eval = peft(&root());
    eval.args(["eval", "--model", &model, "--adapter"]).arg(at("whole"));
    eval.args(["--data", "tests/vectors/training/gpt2-prompt/rows.jsonl", "--out"]);
    succeed(eval.arg(at("scores")));
    let again = |config: &Path| {
        let mut command = peft(&root());
        command.args(["train", "--no-report", "--config"]).arg(config);
        command.arg("--out").arg(at("again")).output().unwrap()
    };
    for folder in ["whole", "scores"] {
        let text = fs::read_to_string(at(folder).join("run.toml")).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let cut = |count: usize| lines[..count].join("\n") + "\n";
        let config = at("copy.toml");
        for count in 1..lines.len() {
            fs::write(&config, cut(count)).unwrap();
            let output = again(&config);
            let said = message(&output);
            assert_eq!(output.status.code(), Some(2), "{folder}, {count} lines: {said}");
            assert!(said.contains("copy.toml: lacks its last line"), "{count} lines: {said}");
            assert!(said.contains("get the whole file"), "{said}");
        }
        assert!(!at("again").exists());
        // Behind which setting it was cut.
        let last = lines.len() - 2;
        let name = lines[last].split(" = ").next().unwrap();
        let says = format!("behind line {}, `{name}`", last + 1);
        assert!(message(&again(&config)).contains(&says), "{}", message(&again(&config)));
        let sweep = peft(&root()).arg("sweep").arg(&config).args(["--out", "none"]).output();
        let said = message(&sweep.unwrap());
        assert!(said.contains("it was cut off behind line"), "{said}");
    }
    // The way out that is told.
    let text = fs::read_to_string(at("whole/run.toml")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let lines = &lines[..lines.len() - 1];
    let kept: Vec<&str> = [&lines[..1], &lines[2..]].concat();
    fs::write(at("whole/mine.toml"), kept.join("\n")).unwrap();
    let output = again(&at("whole/mine.toml"));
    assert!(output.status.success(), "{}", message(&output));
    assert_eq!(adapter(&at("again"))[2], adapter(&at("whole"))[2]);
    // Beside other runs it is told.
    fs::write(at("whole/run.toml"), lines.join("\n")).unwrap();
    let compared = succeed(peft(dir.path()).args(["compare", "whole"]));
    let said = String::from_utf8(compared.stdout.clone()).unwrap() + &message(&compared);
    assert!(said.contains("whole/run.toml: its end is cut off"), "{said}");
}

/// A run goes on with all of its settings, or not at all.
#[test]
fn a_run_whose_settings_were_cut_off_does_not_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    succeed(&mut train(&out, 2, &["--lr=0.25"]));
    let file = out.join("run.toml");
    let text = fs::read_to_string(&file).unwrap();
    let before = adapter(&out);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.len() - 1;
    assert!(lines[last].starts_with("# "), "{text}");
    for count in 1..=last {
        fs::write(&file, lines[..count].join("\n") + "\n").unwrap();
        let output = resume(&out).output().unwrap();
        let said = message(&output);
        assert_eq!(output.status.code(), Some(1), "{count} lines: {said}");
        assert!(
            said.contains("run.toml: lacks its last line")
                || said.contains("run.toml: was cut off"),
            "{said}"
        );
        assert!(said.contains("--init-adapter "), "{said}");
    }
    // Within a number, which is another one then.
    let cut = text.find("lr = 0.25").unwrap() + "lr = 0.2".len();
    fs::write(&file, &text[..cut]).unwrap();
    assert_eq!(resume(&out).output().unwrap().status.code(), Some(1));
    assert_eq!(adapter(&out), before);
    // The ways out that are told, and a cut behind all settings.
    let sum = text.find(lines[last]).unwrap();
    let own = [&lines[..1], &lines[2..last]].concat().join("\n") + "\n";
    let begun = [4, lines[last].len() / 2].map(|end| text[..sum + end].to_string());
    for whole in begun.into_iter().chain([text.clone(), own]) {
        fs::write(&file, whole).unwrap();
        succeed(&mut resume(&out));
        assert_eq!(adapter(&out), before);
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
}

/// Files that a crash left empty, or cut off: what is refused can be put right as the message says.
#[test]
fn files_that_were_cut_off_have_a_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, out) = (dir.path().join("whole"), dir.path().join("out"));
    succeed(&mut train(&whole, 4, &[]));
    let compare = || {
        let mut command = peft(dir.path());
        command.args(["compare", "out"]);
        command
    };
    let inspect = || {
        let mut command = peft(dir.path());
        command.args(["inspect", "out"]);
        command
    };
    let refused = |mut command: Command, says: &[&str]| {
        let output = command.output().unwrap();
        let said = message(&output);
        assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
        for part in says {
            assert!(said.contains(part), "{part}: {said}");
        }
    };
    for half in [false, true] {
        let cut = |name: &str| {
            if out.exists() {
                fs::remove_dir_all(&out).unwrap();
            }
            copy(&whole, &out);
            let path = out.join(name);
            let bytes = fs::read(&path).unwrap();
            // Settings in the middle of one: whole lines are settings, too.
            let middle = bytes.len() / 2;
            let in_line =
                || 3 + bytes[..middle].windows(3).rposition(|part| part == b"= \"").unwrap();
            let end = if name == "run.toml" { in_line() } else { middle };
            fs::write(&path, if half { &bytes[..end] } else { &[] }).unwrap();
        };
        cut("result.json");
        for command in [compare(), resume(&out)] {
            refused(command, &["out/result.json: not the result of a run", "; remove this file"]);
        }
        fs::remove_file(out.join("result.json")).unwrap();
        succeed(&mut compare());
        succeed(&mut resume(&out));
        assert_eq!(adapter(&out), adapter(&whole));

        cut("run.toml");
        let way_out = "put the file back as it was, or start another run";
        refused(resume(&out), &["out/run.toml: ", way_out, "--init-adapter ", "step-000004"]);
        let newest = out.join("checkpoints/step-000004");
        let mut again = peft(&root());
        again.args(["train", "--overwrite", "--model", &tiny_model("gpt2"), "--method=prompt"]);
        again.args(["--train", "tests/vectors/training/gpt2-prompt/rows.jsonl", "--steps=1"]);
        again.arg("--task=causal-lm").arg("--init-adapter").arg(newest);
        succeed(again.arg("--out").arg(dir.path().join("again")));

        cut("adapter_model.safetensors");
        let says =
            ["out/adapter_model.safetensors: ", "`peft train --resume --out ", "step-000004"];
        for command in [compare(), inspect()] {
            refused(command, &says);
        }
        succeed(&mut resume(&out));
        assert_eq!(adapter(&out), adapter(&whole));

        // Its lines are counted, and none is needed to go on.
        cut("metrics.jsonl");
        succeed(&mut compare());
        succeed(&mut resume(&out));
        assert_eq!(adapter(&out), adapter(&whole));
    }
    // Settings alone, without what was learnt: they are given once more.
    fs::remove_dir_all(&out).unwrap();
    fs::create_dir(&out).unwrap();
    fs::write(out.join("run.toml"), "").unwrap();
    refused(
        resume(&out),
        &["was cut off: it holds no --model, --method", "--overwrite to start it anew"],
    );
    succeed(train(&out, 4, &[]).arg("--overwrite"));
    assert_eq!(adapter(&out), adapter(&whole));
}
