//! What several of these files need: the program as a process, tensors compared.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use burn::tensor::TensorData;
use peft_core::{NamedTensors, Task, adapter::codec::from_safetensors};
use peft_tests::vectors;

/// The program, to be run in `dir`.
pub fn peft(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peft-under-test"));
    command.current_dir(dir);
    command
}

/// Runs the program, which must succeed.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {:?}: {stderr}", output.status);
    output
}

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// A tiny model, as a path from the repository's root.
pub fn tiny_model(name: &str) -> String {
    format!("tests/vectors/logits/{name}")
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

/// Largest difference of two tensors, relative to the largest expected number.
pub fn difference(found: &TensorData, expected: &TensorData) -> f64 {
    assert_eq!(found.shape().as_slice(), expected.shape().as_slice());
    let scale = expected.iter::<f64>().fold(0f64, |scale, x| scale.max(x.abs())).max(1e-12);
    let pairs = found.iter::<f64>().zip(expected.iter::<f64>());
    pairs.map(|(a, b)| (a - b).abs() / scale).fold(0.0, f64::max)
}

/// Checks that two sets of tensors have the same names, and numbers within `tolerance` of their scale.
/// Gives the largest difference.
pub fn assert_tensors_near(found: &NamedTensors, expected: &NamedTensors, tolerance: f64) -> f64 {
    let names = |tensors: &NamedTensors| tensors.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected));
    let mut largest = 0f64;
    for (name, expected) in expected {
        let difference = difference(&found[name], expected);
        assert!(difference < tolerance, "{name}: {difference}");
        largest = largest.max(difference);
    }
    largest
}
