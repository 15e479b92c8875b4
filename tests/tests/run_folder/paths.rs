//! What relative paths start from: in a file of settings, and in a run that has moved.

use std::{fs, path::Path};

use super::{adapter, copy, message};
use crate::support::{ADAPTER_FILES, peft, read_lines, root, succeed, tiny_model};

/// A file of settings under another name: from the working folder, or from its own where its first line says so.
#[test]
fn paths_of_a_config_start_where_its_first_line_says() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("sub")).unwrap();
    copy(&root().join(tiny_model("gpt2")), &at("sub/tiny"));
    let rows = root().join("tests/vectors/training/gpt2-prompt/rows.jsonl");
    fs::copy(rows, at("sub/rows.jsonl")).unwrap();
    let settings = |before: &str| {
        format!(
            "model = \"{before}tiny\"\ntrain = \"{before}rows.jsonl\"\nmethod = \"prompt\"\n\
            task = \"causal-lm\"\nnum_virtual_tokens = 2\nsteps = 1\n"
        )
    };
    let train = |text: &str, out: &str| {
        fs::write(at("sub/my.toml"), text).unwrap();
        let mut command = peft(dir.path());
        command.env("HF_HUB_OFFLINE", "1");
        command.args(["train", "--config", "sub/my.toml", "--no-report", "--out", out]);
        command.output().unwrap()
    };
    let whole = train(&settings("sub/"), "a");
    assert!(whole.status.success() && !message(&whole).contains("my.toml"), "{}", message(&whole));
    let first = "# Relative paths start from the folder of this file.\n";
    let marked = train(&(first.to_string() + &settings("./")), "b");
    assert!(marked.status.success(), "{}", message(&marked));
    assert_eq!(adapter(&at("b"))[2], adapter(&at("a"))[2]);
    // Meant so, perhaps: it is told how to say it.
    let unmarked = train(&settings("./"), "c");
    assert_eq!(unmarked.status.code(), Some(1), "{}", message(&unmarked));
    let says =
        "note: sub/my.toml: ./tiny is in the folder of this file, and not in the working folder";
    assert!(message(&unmarked).contains(says), "{}", message(&unmarked));
    assert!(message(&unmarked).contains(first.trim_end()), "{}", message(&unmarked));
    // A sweep has the same rule, in its tables too.
    let sweep = |text: &str, out: &str| {
        fs::write(at("sub/my.toml"), text).unwrap();
        let mut command = peft(dir.path());
        command.env("HF_HUB_OFFLINE", "1").args(["sweep", "sub/my.toml", "--out", out]);
        command.output().unwrap()
    };
    let text = settings("./") + "[grid]\ntrain = [\"./rows.jsonl\"]\n";
    let marked = sweep(&(first.to_string() + &text), "d");
    assert!(marked.status.success(), "{}", message(&marked));
    let mut runs = fs::read_dir(at("d")).unwrap().map(|entry| entry.unwrap().path());
    let run = runs.find(|path| path.is_dir()).unwrap();
    assert_eq!(adapter(&run)[2], adapter(&at("a"))[2]);
    let unmarked = sweep(&text, "e");
    assert_eq!(unmarked.status.code(), Some(1), "{}", message(&unmarked));
    assert!(message(&unmarked).contains(says), "{}", message(&unmarked));
}

/// `run.toml` has relative paths: from another folder, after a move, and as earlier versions wrote them.
#[test]
fn a_run_goes_on_wherever_it_is_resumed_from() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("place");
    fs::create_dir_all(place.join("models")).unwrap();
    fs::create_dir_all(place.join("sub")).unwrap();
    copy(&root().join(tiny_model("gpt2")), &place.join("models/tiny"));
    fs::copy(
        root().join("tests/vectors/training/gpt2-prompt/rows.jsonl"),
        place.join("rows.jsonl"),
    )
    .unwrap();
    let line = "train --model models/tiny/ --method prompt --task causal-lm --train rows.jsonl --out run \
                --metrics-file sub/m.jsonl --num-virtual-tokens 2 --steps 4 --checkpoint-every 2";
    succeed(peft(&place).args(line.split_whitespace()));
    let whole = adapter(&place.join("run"));
    let settings = place.join("run/run.toml");
    let text = fs::read_to_string(&settings).unwrap();
    assert!(text.contains("model = \"../models/tiny\"") && text.contains("out = \".\""), "{text}");
    let again = |from: &Path, out: &str| {
        for name in ADAPTER_FILES {
            fs::remove_file(from.join(out).join(name)).unwrap();
        }
        // No network: nothing is a name on the Hub.
        let mut command = peft(from);
        command.env("HF_HUB_OFFLINE", "1").args(["train", "--resume", "--out", out]);
        succeed(&mut command);
        adapter(&from.join(out))
    };
    assert_eq!(again(&place, "run"), whole);
    assert_eq!(fs::read_to_string(&settings).unwrap(), text);
    // The config names the base model as it lies from here; the tensors are the same.
    assert_eq!(again(&place.join("sub"), "../run")[2], whole[2]);
    assert_eq!(fs::read_to_string(&settings).unwrap(), text);
    let moved = dir.path().join("moved");
    fs::rename(&place, &moved).unwrap();
    assert_eq!(again(dir.path(), "moved/run")[2], whole[2]);
    assert_eq!(read_lines(&moved.join("sub/m.jsonl")).len(), 4);
    assert!(!place.exists());
    // An earlier version: as the flags were, and without the line that says where paths start from.
    let old = text.lines().skip(1).collect::<Vec<_>>().join("\n");
    let old = old.replace("\"../", "\"").replace("out = \".\"", "out = \"run\"");
    fs::write(moved.join("run/run.toml"), old).unwrap();
    assert_eq!(again(&moved.join("sub"), "../run")[2], whole[2]);
    // Moved without its model: not a name on the Hub, and the path that was tried.
    fs::rename(moved.join("models"), moved.join("other")).unwrap();
    let output = peft(&moved).args(["train", "--resume", "--out", "run"]).output().unwrap();
    let said = message(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("./models/tiny/config.json: No such file"), "{said}");
    let way_out =
        "not all that run/run.toml names is there from here: give where it is now, with --model\n";
    assert!(said.contains(way_out), "{said}");
    let mut command = peft(&moved);
    succeed(command.args(["train", "--resume", "--out", "run", "--model", "other/tiny"]));
}
