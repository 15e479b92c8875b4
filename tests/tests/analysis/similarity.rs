//! Likeness by the definitions of the papers.
//!
//! Vectors: `python/make_similarity.py`.

use std::{fs, path::Path};

use burn::tensor::TensorData;
use peft_core::{Adapter, PROMPT_EMBEDDINGS, PeftType};
use peft_tests::vectors;
use serde_json::Value;

use crate::support::{peft, succeed};

/// An adapter in `dir`, with so many of its first virtual tokens.
fn adapter(dir: &Path, name: &str, short: Option<u64>) -> String {
    let mut adapter = Adapter::load(&vectors("logits").join(name)).unwrap();
    // P-tuning v1 is read, never written.
    if adapter.config.peft_type.is_prompt() {
        adapter.config.peft_type = PeftType::PromptTuning;
    }
    if let Some(count) = short {
        let data = &adapter.tensors[PROMPT_EMBEDDINGS];
        let width = data.shape().as_slice()[1];
        let values: Vec<f32> = data.iter().take(count as usize * width).collect();
        let data = TensorData::new(values, [count as usize, width]);
        adapter.tensors.insert(PROMPT_EMBEDDINGS.into(), data);
        adapter.config.num_virtual_tokens = count as usize;
    }
    let folder = name.replace('/', "-");
    adapter.save(&dir.join(&folder)).unwrap();
    folder
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(all) => all.iter().flat_map(numbers).collect(),
        other => vec![other.as_f64().unwrap()],
    }
}

fn assert_near(found: &Value, expected: &Value, what: &str) {
    let (found, expected) = (numbers(found), numbers(expected));
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-6, "{what}: {found}, not {expected}");
    }
}

#[test]
fn likeness_is_that_of_numpy() {
    let text = fs::read_to_string(vectors("similarity/similarity.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(cases.len() >= 7);
    for case in cases {
        let dir = tempfile::tempdir().unwrap();
        let measure = case["measure"].as_str().unwrap();
        let named = case["adapters"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
        let folders: Vec<String> =
            named.map(|name| adapter(dir.path(), name, case["short"][name].as_u64())).collect();
        let mut command = peft(dir.path());
        command.arg("similarity").args(&folders).args(["--measure", measure]);
        let shown = String::from_utf8(succeed(&mut command).stdout).unwrap();
        assert!(shown.starts_with(measure) && shown.contains(&folders[1]), "{shown}");
        let json = succeed(command.args(["--json", "--plot", "map.svg"])).stdout;
        let json: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(
            (&json["measure"], json["adapters"].as_array().unwrap().len()),
            (&case["measure"], folders.len())
        );
        assert_near(&json["matrix"], &case["matrix"], measure);
        if measure == "cka" {
            let pairs = json["pairs"].as_array().unwrap().iter().map(|pair| pair["cka"].clone());
            assert_near(&pairs.collect::<Vec<_>>().into(), &case["pairs"], "layers");
            assert!(json["chance"].as_f64().unwrap() > 0.0);
        }
        let picture = fs::read_to_string(dir.path().join("map.svg")).unwrap();
        assert_eq!(picture.matches("<rect x=").count(), folders.len().pow(2), "{picture}");
    }
}

#[test]
fn what_cannot_be_compared_is_refused_with_both_names() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for name in ["gpt2/prompt", "gpt2/prefix", "llama/prefix", "t5/prompt"] {
        adapter(dir, name, None);
    }
    let mut short = Adapter::load(&dir.join("gpt2-prefix")).unwrap();
    let values: Vec<f32> = short.tensors[PROMPT_EMBEDDINGS].iter().collect();
    let width = values.len() / 5;
    short.tensors.insert(
        PROMPT_EMBEDDINGS.into(),
        TensorData::new(values[..3 * width].to_vec(), [3, width]),
    );
    short.config.num_virtual_tokens = 3;
    short.save(&dir.join("short")).unwrap();
    for (line, says) in [
        (
            "gpt2-prompt gpt2-prefix",
            &[
                "gpt2-prompt holds PROMPT_TUNING",
                "gpt2-prefix holds PREFIX_TUNING",
                "different spaces",
            ][..],
        ),
        ("gpt2-prompt t5-prompt", &["gpt2-prompt", "[5, 32]", "t5-prompt", "different widths"]),
        ("gpt2-prefix llama-prefix", &["gpt2-prefix", "llama-prefix", "different"]),
        ("gpt2-prefix short --measure cka", &["short", "[3, ", "the same number; cosine-average"]),
        ("gpt2-prompt gpt2-prompt --measure cka", &["cka is for keys and values", "cosine-pairs"]),
        ("gpt2-prompt none", &["none"]),
        ("gpt2-prompt gpt2-prompt --plot map.png", &["--plot", "ends in .svg"]),
    ] {
        let output = peft(dir).arg("similarity").args(line.split(' ')).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && output.stdout.is_empty(), "{line}: {said}");
        for part in says {
            assert!(said.contains(part), "{line} lacks {part:?}: {said}");
        }
    }
    // Different numbers of virtual tokens are no obstacle to the two of SPoT.
    for measure in ["cosine-average", "cosine-pairs"] {
        succeed(peft(dir).args(["similarity", "gpt2-prefix", "short", "--measure", measure]));
    }
}
