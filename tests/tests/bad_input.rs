//! Bad input, as a user would give it: each case runs the program as a process. It must end with the right
//! exit code, name the place on stderr (file, line, key, tensor or flag; what was found and what was
//! expected), print nothing on stdout, and leave every file as it was.
//!
//! The cases stand in files by what is wrong: of a base model `model`, `config` and `weights`; of an adapter `adapter`,
//! `adapter_tensors` and `convert`; of a command `usage`, `tasks`, `methods` and `settings`; of what is written `output`,
//! `run_folder` and `streams`; and of rows `files`, `fields`, `labels`, `tokens`, `tokenizers`, `conversations` and
//! `questions`. `fixture` lays out their folders.

mod adapter;
mod adapter_tensors;
mod config;
mod conversations;
mod convert;
mod fields;
mod files;
mod fixture;
mod labels;
mod methods;
mod model;
mod output;
mod questions;
mod run_folder;
mod settings;
mod streams;
mod tasks;
mod tokenizers;
mod tokens;
mod usage;
mod weights;

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use fixture::{classify, eval, pair, words};
use serde_json::Value;

/// The program.
const PEFT: &str = env!("CARGO_BIN_EXE_peft-under-test");

/// A bad input, and what the program has to do about it.
struct Case {
    name: &'static str,
    /// Lays out the files in an empty folder, in which the program then runs, and gives its arguments.
    build: fn(&Path) -> Vec<String>,
    /// 1: it failed, 2: wrong usage.
    code: i32,
    /// Parts of the message.
    says: &'static [&'static str],
    /// Paths that may come, go or change; all else in the folder must not.
    leaves: &'static [&'static str],
    /// The largest file that can be written, in blocks of 512 bytes, as on a full disk. 0: no limit.
    blocks: u32,
    /// A command that must succeed afterwards.
    then: &'static str,
}

/// It fails, and nothing is written.
const CASE: Case =
    Case { name: "", build: |_| Vec::new(), code: 1, says: &[], leaves: &[], blocks: 0, then: "" };
/// Wrong usage, and nothing is written.
const USAGE: Case = Case { code: 2, ..CASE };

/// Every file (with its bytes) and folder below `dir`.
fn files(dir: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    fn visit(root: &Path, dir: &Path, found: &mut BTreeMap<PathBuf, Option<Vec<u8>>>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_path_buf();
            if path.is_symlink() {
                // What it leads to may have no end.
                found.insert(
                    name,
                    Some(fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()),
                );
            } else if path.is_dir() {
                visit(root, &path, found);
                found.insert(name, None);
            } else {
                found.insert(name, Some(fs::read(&path).unwrap()));
            }
        }
    }
    let mut found = BTreeMap::new();
    visit(dir, dir, &mut found);
    found
}

fn run(dir: &Path, args: &[String], blocks: u32) -> Output {
    let mut command = if blocks == 0 {
        Command::new(PEFT)
    } else {
        // A signal comes with it, which the program survives: it leaves an error like that of a full disk.
        let script = format!("ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, PEFT]);
        shell
    };
    command.args(args).current_dir(dir).env("RUST_BACKTRACE", "1").output().unwrap()
}

/// What is wrong with the program's answer to a case; empty where nothing is.
fn check(case: &Case) -> String {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let args = (case.build)(dir);
    let before = files(dir);
    let output = run(dir, &args, case.blocks);
    let after = files(dir);
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));

    let mut wrong = String::new();
    let mut fault = |what: String| writeln!(wrong, "  {what}").unwrap();
    if output.status.code() != Some(case.code) {
        fault(format!("{}, expected the code {}", output.status, case.code));
    }
    for part in case.says.iter().filter(|part| !stderr.contains(**part)) {
        fault(format!("the message lacks {part:?}"));
    }
    // A run that has begun has told its rows, and perhaps some scores.
    let of_run = ["train  ", "valid  ", "classes  ", "steps  ", "memory  ", "step ", "warning: "];
    let mut lines = stderr.lines();
    let first = lines.find(|line| !of_run.iter().any(|begin| line.starts_with(begin)));
    if !first.is_some_and(|line| line.starts_with("error: ")) {
        fault("the message does not begin with `error: `".into());
    }
    for trace in ["panicked", "backtrace", "Os {", "Error("] {
        if stderr.contains(trace) {
            fault(format!("the message is not for people: {trace:?}"));
        }
    }
    if !stdout.is_empty() {
        fault(format!("stdout: {stdout}"));
    }
    let may_change = |path: &Path| case.leaves.iter().any(|leaves| path.starts_with(leaves));
    // What may be left in a folder is listed file by file.
    let may_come = |path: &Path| case.leaves.iter().any(|leaves| path == Path::new(leaves));
    for path in after.keys().filter(|path| !before.contains_key(*path) && !may_come(path)) {
        fault(format!("left behind: {}", path.display()));
    }
    for (path, bytes) in before.iter().filter(|(path, _)| !may_change(path)) {
        if after.get(path) != Some(bytes) {
            fault(format!("changed or gone: {}", path.display()));
        }
    }
    if !case.then.is_empty() {
        let then = run(dir, &words(case.then), 0);
        if !then.status.success() {
            let said = String::from_utf8_lossy(&then.stderr);
            fault(format!("then `{}`: {} {said}", case.then, then.status));
        }
    }
    if !wrong.is_empty() {
        writeln!(wrong, "  it said: {stderr}").unwrap();
    }
    wrong
}

#[test]
fn bad_input_is_told_and_leaves_nothing_behind() {
    let groups = [
        model::CASES,
        config::CASES,
        weights::CASES,
        adapter::CASES,
        adapter_tensors::CASES,
        convert::CASES,
        usage::CASES,
        tasks::CASES,
        methods::CASES,
        settings::CASES,
        output::CASES,
        run_folder::CASES,
        streams::CASES,
        files::CASES,
        fields::CASES,
        labels::CASES,
        tokens::CASES,
        tokenizers::CASES,
        conversations::CASES,
        questions::CASES,
    ];
    let all: Vec<&Case> = groups.into_iter().flatten().collect();
    let mut names: Vec<&str> = all.iter().map(|case| case.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all.len(), "two cases have one name");
    let failures: Vec<String> = all
        .iter()
        .map(|case| (case.name, check(case)))
        .filter(|(_, wrong)| !wrong.is_empty())
        .map(|(name, wrong)| format!("{name}:\n{wrong}"))
        .collect();
    let (failed, count) = (failures.len(), all.len());
    assert!(failures.is_empty(), "{failed} of {count} cases:\n\n{}", failures.join("\n"));
    println!("{count} cases");
}

#[test]
fn json_stands_alone_on_stdout() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pair(dir, "bert");
    let mut eval = eval();
    let train = classify("--out out --valid rows.jsonl --json");
    for args in [
        std::mem::take(&mut eval),
        train,
        words("inspect adapter --json"),
        words("info model --json"),
    ] {
        let output = run(dir, &args, 0);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {stderr}");
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(json.is_object(), "{args:?}: {json}");
        if args[0] == "eval" {
            let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(keys, ["accuracy", "f1_macro", "f1_micro", "loss", "matthews"]);
        }
    }
}

#[test]
fn results_that_cannot_be_printed_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pair(dir, "gpt2");
    fixture::tokenizer(dir);
    for line in [
        "eval --model model --data rows.jsonl",
        "eval --model model --data rows.jsonl --json",
        "generate --model model --input rows.jsonl --max-new-tokens 2",
        "generate --model model --prompt sea --max-new-tokens 2",
        "generate --model model --prompt sea --max-new-tokens 2 --num-beams 2",
        "inspect adapter",
        "info model",
        "demo --export demo",
        "train --help",
        "--version",
    ] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output =
            Command::new(PEFT).args(words(line)).current_dir(dir).stdout(full).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{line}: {stderr}");
        let said = stderr.lines().last().unwrap_or_default();
        assert!(
            said.starts_with("error: cannot write to stdout: No space left"),
            "{line}: {stderr}"
        );
    }
}

#[test]
fn every_command_has_help_with_an_example() {
    let dir = tempfile::tempdir().unwrap();
    let help = |args: &[&str]| {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        let output = run(dir.path(), &args, 0);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(output.stderr.is_empty(), "{args:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let text = help(&["--help"]);
    let (_, list) = text.split_once("Commands:").unwrap();
    let commands: Vec<&str> = list
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    for known in ["demo", "train", "eval", "predict", "generate", "forward", "inspect", "info"] {
        assert!(commands.contains(&known), "{known}: {commands:?}");
    }
    for command in commands.into_iter().filter(|command| *command != "help") {
        let text = help(&[command, "--help"]);
        assert!(text.contains(&format!("peft {command}")), "{command}: {text}");
        assert!(text.contains("Example"), "{command} shows no example: {text}");
    }
}
