//! Help, completions and manual pages.

use std::{collections::BTreeSet, fs, process::Stdio};

use crate::support::{peft, root, succeed};

fn printed(args: &[&str], columns: usize) -> String {
    let mut command = peft(&root());
    // Where there is no terminal this is its width.
    let output =
        succeed(command.args(args).env("COLUMNS", columns.to_string()).stdin(Stdio::null()));
    String::from_utf8(output.stdout).unwrap()
}

/// The commands in `peft --help`, but for `help`.
fn commands() -> Vec<String> {
    let text = printed(&["--help"], 80);
    let (_, list) = text.split_once("Commands:").unwrap();
    let list = list.lines().skip(1).take_while(|line| !line.is_empty());
    // A line that goes on with a description is indented further.
    let names = list.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_string).collect()
}

#[test]
fn help_is_as_wide_as_the_terminal() {
    let commands = commands();
    assert!(commands.len() > 10, "{commands:?}");
    for columns in [60, 80, 120] {
        for command in &commands {
            let text = printed(&[command, "--help"], columns);
            let lines = text.lines().filter(|line| !line.starts_with("Usage: "));
            let wide: Vec<&str> = lines.filter(|line| line.chars().count() > columns).collect();
            assert!(wide.is_empty(), "{command} at {columns}: {wide:#?}");
            assert!(text.contains(&format!("peft {command}")), "{command}: {text}");
        }
    }
    // Examples stand as they are written, to be copied.
    let text = printed(&["train", "--help"], 60);
    assert!(text.contains("\n  peft train --out runs/intent --resume\n"), "{text}");
    assert!(
        text.contains(" --method ptv2 \\\n    --task seq-cls --train train.jsonl \\\n"),
        "{text}"
    );
}

#[test]
fn the_help_of_a_command_has_two_names() {
    assert_eq!(printed(&["help"], 80), printed(&["--help"], 80));
    for command in &commands() {
        assert_eq!(printed(&["help", command], 80), printed(&[command, "--help"], 80));
    }
}

#[test]
fn shells_complete_every_command_and_flag() {
    let commands = commands();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = printed(&["completions", shell], 80);
        for name in
            commands.iter().map(String::as_str).chain(["num-virtual-tokens", "omit-input", "ptv2"])
        {
            assert!(script.contains(name), "{shell}: {name}");
        }
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("man/man1");
    let said = printed(&["man", pages.to_str().unwrap()], 80);
    let mut expected: BTreeSet<String> =
        commands().iter().map(|name| format!("peft-{name}.1")).collect();
    expected.insert("peft.1".into());
    let found: BTreeSet<String> = fs::read_dir(&pages)
        .unwrap()
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(found, expected);
    assert_eq!(said, format!("{} pages in {}\n", found.len(), pages.display()));
    let page = fs::read_to_string(pages.join("peft-train.1")).unwrap();
    // A roff page: its title, its name, its flags.
    assert!(page.contains(".TH peft-train 1"), "{page}");
    assert!(page.contains(".SH NAME\npeft\\-train \\- Trains an adapter"), "{page}");
    assert!(page.contains("num\\-virtual\\-tokens"), "{page}");
}
