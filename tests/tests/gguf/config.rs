//! What metadata says of a model's mathematics: used as llama.cpp uses it, or refused.

use std::fs;

use peft_models::ModelConfig;
use serde_json::{Map, Value, json};

use super::header::{Header, text};

/// The config of a `llama` whose metadata has more entries: a key, its type, its value.
fn config(more: &[(&str, u32, Vec<u8>)]) -> Result<Map<String, Value>, String> {
    let mut header = Header::default().with("general.architecture", 8, &text("llama")).with(
        "llama.attention.layer_norm_rms_epsilon",
        6,
        &1e-5f32.to_le_bytes(),
    );
    for (key, value) in [
        ("embedding_length", 8u32),
        ("feed_forward_length", 8),
        ("block_count", 1),
        ("attention.head_count", 2),
        ("context_length", 64),
    ] {
        header = header.with(&format!("llama.{key}"), 4, &value.to_le_bytes());
    }
    for (key, kind, value) in more {
        header = header.with(key, *kind, value);
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.gguf");
    fs::write(&path, header.tensor("token_embd.weight", &[8, 10], 0, 0).file(320)).unwrap();
    let config = ModelConfig::load(&path).map_err(|error| error.to_string())?;
    Ok(config.of_outputs())
}

#[test]
fn a_factor_scales_the_rotation_unless_the_type_is_none() {
    let factor = || ("llama.rope.scaling.factor", 6, 2f32.to_le_bytes().to_vec());
    let kind = |kind: &str| ("llama.rope.scaling.type", 8, text(kind));
    let linear = json!({ "rope_type": "linear", "factor": 2.0 });
    for (more, expected) in [
        (vec![], None),
        (vec![factor()], Some(&linear)),
        (vec![kind("linear"), factor()], Some(&linear)),
        (vec![kind("none"), factor()], None),
    ] {
        assert_eq!(config(&more).unwrap().get("rope_scaling"), expected, "{more:?}");
    }
}

#[test]
fn decoders_that_see_what_follows_are_refused() {
    let causal = |causal: u8| config(&[("llama.attention.causal", 7, vec![causal])]);
    let error = causal(0).unwrap_err();
    assert!(error.contains("key `llama.attention.causal`: found false (tokens see"), "{error}");
    assert!(causal(1).is_ok());
}
