//! Which files of a repository are needed: of models in shards or in torch's format, of adapters, and of a run's base model.

use std::fs;

use peft_tests::vectors;
use safetensors::{SafeTensors, tensor::TensorView};
use serde_json::{Value, json};

use super::{Place, WEIGHTS, assert_says, bytes_of, json_of};
use crate::support::succeed;

#[test]
fn a_model_in_shards() {
    let place = Place::new("bert");
    let whole = bytes_of("bert", WEIGHTS);
    let tensors = SafeTensors::deserialize(&whole).unwrap();
    let mut names: Vec<&str> = tensors.names();
    names.sort_unstable();
    let (one, two) = names.split_at(names.len() / 2);
    let shard = |names: &[&str]| {
        let views: Vec<(&str, TensorView<'_>)> =
            names.iter().map(|name| (*name, tensors.tensor(name).unwrap())).collect();
        safetensors::serialize(views, None).unwrap()
    };
    let map: serde_json::Map<String, Value> = names
        .iter()
        .map(|name| {
            (
                name.to_string(),
                json!(if one.contains(name) { "1.safetensors" } else { "2.safetensors" }),
            )
        })
        .collect();
    place.hub.put(
        "org/tiny",
        "main",
        'b',
        &[
            ("config.json", bytes_of("bert", "config.json")),
            ("model.safetensors.index.json", json!({"weight_map": map}).to_string().into_bytes()),
            ("1.safetensors", shard(one)),
            ("2.safetensors", shard(two)),
        ],
    );
    let found = json_of(&succeed(&mut place.peft("info org/tiny --json")));
    let local = vectors("logits/bert").display().to_string();
    let expected = json_of(&succeed(&mut place.peft(&format!("info {local} --json"))));
    assert_eq!(found["parameters"], expected["parameters"]);
    let asked = place.hub.requests().len();
    fs::remove_file(place.cache(&format!("snapshots/{}/2.safetensors", "b".repeat(40)))).unwrap();
    succeed(&mut place.peft("info org/tiny"));
    assert_eq!(place.hub.downloads("2.safetensors").len(), 1, "its blob was still there");
    assert!(place.hub.requests().len() > asked);
}

#[test]
fn a_model_that_has_only_files_of_torch() {
    let place = Place::new("bert");
    for (name, weights) in [
        ("gpt2-old", &["pytorch_model.bin"][..]),
        ("llama-shards", &["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"]),
    ] {
        let local = vectors("base_models").join(name);
        place.hub.put_folder(&format!("org/{name}"), &local, &[("tf_model.h5", b"x".to_vec())]);
        let found = json_of(&succeed(&mut place.peft(&format!("info org/{name} --json"))));
        let line = format!("info {} --json", local.display());
        assert_eq!(found, json_of(&succeed(&mut place.peft(&line))), "{name}");
        let asked = |file: &str| place.hub.requests().iter().any(|r| r.path.ends_with(file));
        assert!(weights.iter().all(|file| asked(file)) && !asked("tf_model.h5"), "{name}");
    }
}

#[test]
fn adapters_are_downloaded_too() {
    let place = Place::new("bert");
    let model = vectors("logits/bert");
    place.hub.put_folder("org/prompt", &model.join("prompt"), &[]);
    let rows = model.join("rows.jsonl").display().to_string();
    let forward = |model: &str, adapter: &str, out: &str| {
        let line =
            format!("forward --model {model} --adapter {adapter} --input {rows} --output {out}");
        succeed(&mut place.peft(&line));
        fs::read(place.dir.path().join(out)).unwrap()
    };
    let local = model.display().to_string();
    let expected = forward(&local, &format!("{local}/prompt"), "local");
    assert_eq!(forward("org/tiny", "org/prompt", "hub"), expected);
    let asked = place.hub.requests().len();
    assert_eq!(forward("org/tiny", "org/prompt", "again"), expected);
    assert_eq!(place.hub.requests().len(), asked);
    let shown = succeed(&mut place.peft("inspect org/prompt --model org/tiny --json"));
    assert_eq!(json_of(&shown)["config"]["peft_type"], "PROMPT_TUNING");
}

/// transformers puts a LoRA of the same repository on the model.
#[test]
fn an_adapter_beside_a_model_is_not_overlooked() {
    let place = Place::new("bert");
    let config = json!({"peft_type": "LORA", "r": 8}).to_string().into_bytes();
    let others = [("adapter_config.json", config), ("adapter_model.safetensors", b"x".to_vec())];
    place.hub.put_folder("org/tuned", &vectors("logits/bert"), &others);
    let rows = vectors("logits/bert/rows.jsonl").display().to_string();
    let line = format!("forward --model org/tuned --input {rows} --output out");
    for _ in 0..2 {
        let message = place.failure(&mut place.peft(&line), 1);
        assert_says(&message, &["adapter_config.json", "`peft_type`", "LORA", "merge_and_unload"]);
    }
    assert!(place.hub.downloads("adapter_model.safetensors").is_empty());
}

#[test]
fn a_run_remembers_the_name_of_its_model() {
    let place = Place::new("bert");
    let dir = place.dir.path();
    let rows = "{\"input_ids\": [2, 7, 9], \"label\": 0}\n{\"input_ids\": [2, 8], \"label\": 1}\n";
    fs::write(dir.join("rows.jsonl"), rows).unwrap();
    let line = "train --model org/tiny@main --method ptv2 --task seq-cls --train rows.jsonl --out run \
                --steps 2 --num-virtual-tokens 3 --lr 0.01";
    succeed(&mut place.peft(line));
    let config: Value =
        serde_json::from_slice(&fs::read(dir.join("run/adapter_config.json")).unwrap()).unwrap();
    assert_eq!(config["base_model_name_or_path"], "org/tiny");
    let settings = fs::read_to_string(dir.join("run/run.toml")).unwrap();
    assert_says(&settings, &["model = \"org/tiny@main\""]);
    let asked = place.hub.requests().len();
    succeed(&mut place.peft("train --out run --resume"));
    let predicted =
        succeed(&mut place.peft("predict --model org/tiny --adapter run --input rows.jsonl"));
    assert_eq!(String::from_utf8(predicted.stdout).unwrap().lines().count(), 2);
    // And a run that starts from it.
    let line = "train --model org/tiny --init-adapter run --method ptv2 --task seq-cls --train rows.jsonl \
                --out next --steps 1 --lr 0.01";
    succeed(&mut place.peft(line));
    assert_eq!(place.hub.requests().len(), asked);
}
