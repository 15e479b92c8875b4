//! Memory by how the matrices of the base model are kept: as their file stores them, in the type of products, in eight bits.

use std::fs;

use peft_tests::vectors;
use serde_json::{Value, json};

use super::{bytes_of, config_alone, llama_70b, part_of, plan, planned};
use crate::support::{root, succeed, tiny_model};

/// Kernels alone read matrices as a GGUF file stores them: without them training widens all of it while it is loaded.
#[test]
fn matrices_of_gguf_files_stay_as_they_are_for_kernels_alone() {
    let model = vectors("gguf/llama.gguf");
    let flags = ["--method=ptv2", "--task=causal-lm", "--tokens-per-row=16", "--json"];
    let found = |kernels: &str| -> Value {
        let output = succeed(plan(&model, &flags).env("PEFT_KERNELS", kernels));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let (stored, widened) = (found("portable"), found("off"));
    let weights = part_of(&stored, "frozen weights").unwrap();
    let file = fs::metadata(&model).unwrap().len();
    assert_eq!((&weights["bytes"], &weights["exact"]), (&json!(file), &json!(false)));
    assert!(part_of(&stored, "upcast weights").is_some(), "{stored}");
    let weights = part_of(&widened, "frozen weights").unwrap();
    let parameters = widened["parameters"].as_u64().unwrap();
    assert_eq!((&weights["bytes"], &weights["exact"]), (&json!(4 * parameters), &json!(true)));
    assert_eq!(part_of(&widened, "upcast weights"), None);
}

/// On a GPU the type of products is the one that matrices are kept in: to say both changes nothing.
#[test]
fn matrices_may_be_kept_in_the_type_of_products() {
    let model = root().join(tiny_model("gpt2"));
    let flags = ["--method=ptv2", "--task=causal-lm", "--tokens-per-row=16", "--dtype=bf16"];
    let both = [&flags[..], &["--base-weights=bf16"]].concat();
    assert_eq!(planned(&model, &both)["step"], planned(&model, &flags)["step"]);
}

/// On a GPU, too: a byte for each number of a matrix, a scale for each of its rows, and one matrix at a time in f32.
#[test]
fn matrices_in_eight_bits_take_a_quarter_and_one_in_f32() {
    let dir = tempfile::tempdir().unwrap();
    let llama = config_alone(dir.path(), "llama", &llama_70b());
    let flags = ["--method=ptv2", "--task=causal-lm", "--tokens-per-row=16"];
    let exact = planned(&llama, &flags);
    let int8 = planned(&llama, &[&flags[..], &["--base-weights=int8"]].concat());
    let [wide, narrow] = [&exact, &int8].map(|found| bytes_of(found, "frozen weights").unwrap());
    let share = narrow as f64 / wide as f64;
    assert!((0.25..0.2505).contains(&share), "{share}");
    assert_eq!(bytes_of(&exact, "upcast weights"), None);
    // Gate and up of a layer, twice.
    assert_eq!(bytes_of(&int8, "upcast weights"), Some(4 * 2 * 2 * 28_672 * 8192));
}
