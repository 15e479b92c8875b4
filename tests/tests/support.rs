//! What several of these files need: the program as a process, sessions, files read.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use peft_cli::session::Session;
use peft_core::{Adapter, NamedTensors, Task, adapter::codec::from_safetensors};
use peft_tests::{device, vectors};
use serde_json::Value;

/// The files of an adapter's folder.
pub const ADAPTER_FILES: [&str; 3] =
    ["burn_peft.json", "adapter_config.json", "adapter_model.safetensors"];

/// A command that runs the program in `dir`, and asks no Hub for a model that is not there.
pub fn peft(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peft-under-test"));
    command.current_dir(dir).env("HF_HUB_OFFLINE", "1");
    command
}

/// Runs the program, which must succeed.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {:?}: {stderr}", output.status);
    output
}

/// Runs the program, which must succeed: what it prints, and what it says on stderr.
pub fn told(command: &mut Command) -> (String, String) {
    let output = succeed(command);
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// Runs the program, which need not succeed: its exit code, and what it says on stderr.
pub fn refused(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// Runs the program, which must fail with this exit code: what it says on stderr.
pub fn refused_with(command: &mut Command, code: i32) -> String {
    let (found, said) = refused(command);
    assert_eq!(found, Some(code), "{command:?}: {said}");
    said
}

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// A tiny model, as a path from the repository's root.
pub fn tiny_model(name: &str) -> String {
    format!("tests/vectors/logits/{name}")
}

/// Copies the config and the weights of a tiny model to a folder, which is made.
pub fn copy_model(name: &str, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(vectors("logits").join(name).join(file), to.join(file)).unwrap();
    }
}

/// A session of a model's folder, with an adapter's folder if one is given.
pub fn session(model: &Path, adapter: Option<&Path>) -> Session {
    let base = peft_models::load(model, &device()).unwrap();
    let adapter = adapter.map(|dir| Adapter::load(dir).unwrap());
    Session::new(base, model.to_path_buf(), adapter, &device()).unwrap()
}

/// Removes the last checkpoint of a run, as if it had been killed before that one; returns the one before it.
pub fn lose_last_checkpoint(run: &Path) -> PathBuf {
    let entries = fs::read_dir(run.join("checkpoints")).unwrap();
    let mut checkpoints: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    checkpoints.sort();
    assert!(checkpoints.len() > 1, "{checkpoints:?}");
    fs::remove_dir_all(checkpoints.pop().unwrap()).unwrap();
    checkpoints.pop().unwrap()
}

/// The value of a file of JSON.
pub fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The values of JSON lines.
pub fn parse_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The values of a file of JSON lines.
pub fn read_lines(path: &Path) -> Vec<Value> {
    let lines = parse_lines(&fs::read_to_string(path).unwrap());
    assert!(!lines.is_empty(), "{}", path.display());
    lines
}

/// A JSON list of token ids.
pub fn token_ids(list: &Value) -> Vec<u32> {
    list.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

/// Rows as slices.
pub fn slices(rows: &[Vec<u32>]) -> Vec<&[u32]> {
    rows.iter().map(Vec::as_slice).collect()
}

/// The task that a tiny model is for.
pub fn task_of(model: &str) -> Task {
    match model {
        "gpt2" | "llama" => Task::CausalLm,
        "bert-tok" => Task::TokenCls,
        _ => Task::SeqCls,
    }
}

/// The tensors of a file below `tests/vectors`.
pub fn read_vectors(path: &str) -> NamedTensors {
    read_tensors(&vectors(path))
}

/// The tensors of a file.
pub fn read_tensors(path: &Path) -> NamedTensors {
    from_safetensors(&fs::read(path).unwrap(), path).unwrap()
}
