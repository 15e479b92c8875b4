//! A base model's folder that is missing, incomplete, or another one.

use std::{fs, path::Path};

use super::{CASE, Case, fixture::*};

/// A device without an end, under the name of a file.
#[cfg(unix)]
fn instead(path: &Path) {
    fs::remove_file(path).unwrap();
    std::os::unix::fs::symlink("/dev/zero", path).unwrap();
}

pub const CASES: &[Case] = &[
    Case {
        name: "a LoRA beside the model",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("model/adapter_config.json"), r#"{"peft_type": "LORA"}"#).unwrap();
            words(EVAL)
        },
        says: &[
            "model/adapter_config.json: key `peft_type`: found \"LORA\"",
            "transformers puts this adapter on the base model",
            "Move adapter_config.json",
            "merge_and_unload",
        ],
        ..CASE
    },
    #[cfg(unix)]
    Case {
        name: "a device in place of the weights",
        build: |dir| {
            model(dir, "gpt2");
            instead(&dir.join("model/model.safetensors"));
            words(EVAL)
        },
        says: &["model/model.safetensors: is a folder or a device, expected a file"],
        ..CASE
    },
    #[cfg(unix)]
    Case {
        name: "a device in place of the config",
        build: |dir| {
            model(dir, "gpt2");
            instead(&dir.join("model/config.json"));
            words(EVAL)
        },
        says: &["model/config.json: is a pipe or a device, expected a file"],
        ..CASE
    },
    Case {
        name: "missing model folder",
        build: |dir| {
            rows(dir, "{\"input_ids\": [1]}\n");
            forward()
        },
        says: &["cannot read model/config.json", "No such file"],
        ..CASE
    },
    Case {
        name: "missing config.json",
        build: |dir| {
            model(dir, "gpt2");
            fs::remove_file(dir.join("model/config.json")).unwrap();
            words("info model")
        },
        says: &["model: holds weights without config.json"],
        ..CASE
    },
    Case {
        name: "a file of the model in place of its folder",
        build: |dir| {
            model(dir, "gpt2");
            words("info model/model.safetensors")
        },
        says: &["model/model.safetensors: is one file of a model: give model"],
        ..CASE
    },
    Case {
        name: "an adapter in place of a model",
        build: |dir| {
            pair(dir, "gpt2");
            words("info adapter")
        },
        says: &["adapter: is an adapter (PREFIX_TUNING), not a base model"],
        ..CASE
    },
    Case {
        name: "a folder above the model",
        build: |dir| {
            model(dir, "gpt2");
            words("info .")
        },
        says: &[".: holds no config.json: give ./model"],
        ..CASE
    },
];
