//! Where files of tests are: those of the repository, and real models and data beside it.

use std::{
    env,
    path::{Path, PathBuf},
};

/// Set by `.ci/run`: a test whose input is missing fails instead of being skipped.
const REQUIRE: &str = "PEFT_TESTS_REQUIRE_ALL";

/// A file or folder below `tests/vectors`.
pub fn vectors(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(path)
}

/// A real model or data set: below `$PEFT_SHARED`, or `shared` beside the checkout. `None` if it is missing,
/// after a line on stderr that says why the test is skipped.
///
/// # Panics
///
/// If it is missing and `.ci/run` requires it.
pub fn shared(path: &str) -> Option<PathBuf> {
    let root = env::var_os("PEFT_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    present(root.join(path), "real inputs are not here; set PEFT_SHARED to their folder")
}

/// The folder of MiniLM, a real BERT: `$PEFT_MINILM`.
///
/// # Panics
///
/// If it is missing and `.ci/run` requires it.
pub fn minilm() -> Option<PathBuf> {
    let path = env::var_os("PEFT_MINILM").map(PathBuf::from).unwrap_or_default();
    present(path.join("model.safetensors"), "set PEFT_MINILM to the folder of all-MiniLM-L6-v2")
        .map(|_| path)
}

/// SmolLM2-135M-Instruct in GGUF, a real language model: in the folder `$PEFT_SMOLLM2`.
///
/// # Panics
///
/// If it is missing and `.ci/run` requires it.
pub fn smollm2() -> Option<PathBuf> {
    let folder = env::var_os("PEFT_SMOLLM2").map(PathBuf::from).unwrap_or_default();
    let path = folder.join("SmolLM2-135M-Instruct.Q4_1.gguf");
    present(path, "set PEFT_SMOLLM2 to the folder of SmolLM2-135M-Instruct.Q4_1.gguf")
}

/// A built example of a crate of the workspace.
///
/// # Panics
///
/// If it is not built and `.ci/run` requires it.
pub fn example(name: &str) -> Option<PathBuf> {
    // The program that runs is target/release/deps/NAME.
    let folder = env::current_exe().ok()?.ancestors().nth(2)?.join("examples");
    present(
        folder.join(name),
        "only a test of the whole workspace builds it: `cargo test --workspace`",
    )
}

fn present(path: PathBuf, reason: &str) -> Option<PathBuf> {
    if path.exists() {
        return Some(path);
    }
    let required = env::var_os(REQUIRE).is_some();
    assert!(!required, "{} is missing and {REQUIRE} is set: {reason}", path.display());
    eprintln!("skipped: {} is missing ({reason})", path.display());
    None
}
