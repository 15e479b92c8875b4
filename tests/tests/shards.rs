//! `--shard` and `peft merge`: parts of predict, generate and eval.

mod no_whole;
mod parts;
mod scores;
mod whole;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};

use crate::support::{peft, refused_with, root, succeed, tiny_model};

/// Variables of launchers, one of which may have started the tests.
const LAUNCHERS: [&str; 11] = [
    "OMPI_COMM_WORLD_RANK",
    "OMPI_COMM_WORLD_SIZE",
    "PMI_RANK",
    "PMI_SIZE",
    "SLURM_PROCID",
    "SLURM_NTASKS",
    "SLURM_STEP_NUM_TASKS",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_ARRAY_TASK_COUNT",
    "SLURM_ARRAY_TASK_MIN",
    "SLURM_ARRAY_TASK_STEP",
];

/// Rows of all files: no multiple of the groups of batches.
const ROWS: usize = 23;

/// A command in a folder, which no launcher started.
fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = peft(dir);
    command.args(args);
    LAUNCHERS.iter().for_each(|name| _ = command.env_remove(name));
    command
}

fn run(dir: &Path, args: &[&str]) -> Output {
    succeed(&mut command(dir, args))
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What is said of a command that fails so.
fn refused(dir: &Path, args: &[&str], code: i32) -> String {
    refused_with(&mut command(dir, args), code)
}

fn read(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(name)).unwrap()
}

fn model(path: impl AsRef<Path>) -> String {
    format!("--model={}", path.as_ref().display())
}

fn tiny(name: &str) -> String {
    model(root().join(tiny_model(name)))
}

fn write(dir: &Path, name: &str, rows: impl Iterator<Item = Value>) {
    fs::write(dir.join(name), rows.map(|row| format!("{row}\n")).collect::<String>()).unwrap();
}

/// Tokens of a row: rows differ in length.
fn ids(row: usize) -> Vec<usize> {
    (0..1 + row * 7 % 20).map(|at| 3 + (row * 31 + at * 7) % 60).collect()
}

/// Rows of tokens with a class.
fn classes(dir: &Path) {
    let row = |row: usize| json!({"id": row, "input_ids": ids(row), "label": row % 3});
    write(dir, "rows.jsonl", (0..ROWS).map(row));
}

/// Predicts the rows in parts, as `part-1.jsonl` and so on.
fn predict_in_parts(dir: &Path, number: usize, more: &[&str]) -> Vec<String> {
    let bert = tiny("bert");
    let part = |part: usize| {
        let (name, shard) = (format!("part-{part}.jsonl"), format!("--shard={part}/{number}"));
        let output = format!("--output={name}");
        run(dir, &[&["predict", "--input=rows.jsonl", &bert, &shard, &output], more].concat());
        name
    };
    (1..=number).map(part).collect()
}

fn merge<'a>(files: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    ["merge"]
        .into_iter()
        .chain(files.iter().map(String::as_str))
        .chain(more.iter().copied())
        .collect()
}
