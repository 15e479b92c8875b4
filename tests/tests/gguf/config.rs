//! What metadata says of a model's mathematics: used as llama.cpp uses it, or refused.

use std::fs;

use peft_models::ModelConfig;
use serde_json::{Map, Value, json};

use super::header::{Header, text};

/// An entry of the metadata: a key, its type, its value.
type Entry<'a> = (&'a str, u32, Vec<u8>);

/// The config of a `llama` whose metadata has more entries, or others.
fn config(more: &[Entry<'_>]) -> Result<Map<String, Value>, String> {
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
        let key = format!("llama.{key}");
        if more.iter().all(|(other, ..)| *other != key) {
            header = header.with(&key, 4, &value.to_le_bytes());
        }
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

#[test]
fn sizes_of_each_layer_are_read_where_they_are_alike() {
    let sizes = |key: &'static str, kind: u32, sizes: [u32; 2]| {
        let list = [&kind.to_le_bytes()[..], &2u64.to_le_bytes()].concat();
        (key, 9, [list, sizes.map(u32::to_le_bytes).concat()].concat())
    };
    let (heads, of_keys, inner) = (
        "llama.attention.head_count",
        "llama.attention.head_count_kv",
        "llama.feed_forward_length",
    );
    // Types 4 and 5 are numbers of 32 bits, without a sign and with one.
    for (key, ours) in [
        (heads, "num_attention_heads"),
        (of_keys, "num_key_value_heads"),
        (inner, "intermediate_size"),
    ] {
        for kind in [4, 5] {
            let found = config(&[sizes(key, kind, [2, 2])]).unwrap();
            assert_eq!(found[ours], json!(2), "{key}");
        }
        let error = config(&[sizes(key, 4, [2, 1])]).unwrap_err();
        let expected =
            format!("key `{key}`: found 2 and 1 in a list of 2, and this version only knows");
        assert!(
            error.contains(&expected) && error.contains("use a model with one size"),
            "{error}"
        );
        let error = config(&[sizes(key, 5, [2, u32::MAX])]).unwrap_err();
        assert!(error.ends_with("found a list of 2, expected a whole number"), "{error}");
    }
}
