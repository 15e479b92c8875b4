//! A path that is no model folder: where the model is that was probably meant.

use std::{fs, path::Path};

use peft_core::{
    Adapter, Error,
    formats::{
        nearby::{above, below, describe},
        read,
    },
};
use serde_json::Value;

use crate::weights::other_tools;

const CONFIG: &str = "config.json";
/// In the folder of a sentence-transformers model: the parts of the model, each in a folder of its own.
const MODULES: &str = "modules.json";
/// In the folder of a pipeline of diffusers: the parts of it, each in a folder of its own.
const PIPELINE: &str = "model_index.json";

/// The error for `given`, which has no `config.json`: what it is, and which path to give. `None` if nothing better can
/// be said than that the file is missing.
pub fn not_a_model(given: &Path) -> Option<Error> {
    let message = if given.is_file() {
        let name = given.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // What is read is read from its folder.
        let is_read = name.ends_with(".safetensors") || name.ends_with(".bin");
        match (other_tools::described(name).filter(|_| !is_read), above(given, CONFIG)) {
            (Some(what), _) => format!("is {what}"),
            (None, Some(folder)) => format!("is one file of a model: give {folder}"),
            (None, None) => {
                format!("is a file, expected a .gguf file, or the folder of a model, with {CONFIG}")
            }
        }
    } else if Adapter::exists(given) {
        adapter(given)
    } else if let Some(part) = transformer_of(given) {
        format!("is a model of sentence-transformers: give the transformer in it, {part}")
    } else if given.join(PIPELINE).is_file() {
        format!(
            "is a pipeline of diffusers ({PIPELINE}), which makes no text: expected the folder of a language model, with {CONFIG}"
        )
    } else if is_empty(given) {
        format!(
            "is an empty folder, expected that of a model: {CONFIG}, its weights and the files of its tokenizer"
        )
    } else if let Some(found) = describe(&below(given, CONFIG)) {
        format!("holds no {CONFIG}: {found}")
    } else if let Some((name, what)) = other_tools::of_one_tool(given) {
        format!("holds no {CONFIG}; found {name}, {what}")
    } else if holds_weights(given) {
        format!(
            "holds weights without {CONFIG}, which says what they are: it is in the same repository or folder that the \
             weights came from"
        )
    } else if let Some((name, what)) = other_tools::in_folder(given) {
        format!("holds no {CONFIG}; found {name}, {what}")
    } else {
        return None;
    };
    Some(Error::file(given, message))
}

/// What to do about an adapter.
fn adapter(given: &Path) -> String {
    let config = read::json(&given.join("adapter_config.json")).unwrap_or_default();
    let kind = config["peft_type"].as_str().map(|kind| format!(" ({kind})")).unwrap_or_default();
    let base = match config["base_model_name_or_path"].as_str() {
        Some(base) => format!(": its base model is {base}"),
        None => String::new(),
    };
    match config["peft_type"].as_str() {
        Some("LORA" | "ADALORA" | "DORA" | "LOHA" | "LOKR" | "OFT" | "IA3" | "VERA") => format!(
            "is an adapter{kind}, not a base model{base}. To train on top of it, merge it in Python \
             (`merge_and_unload`, `save_pretrained`) and give that folder"
        ),
        _ => format!("is an adapter{kind}, not a base model{base}"),
    }
}

/// The folder of the transformer in a model of sentence-transformers.
fn transformer_of(given: &Path) -> Option<String> {
    let modules = read::json(&given.join(MODULES)).ok()?;
    let is_transformer = |module: &&Value| {
        module["type"]
            .as_str()
            .is_some_and(|kind| kind.ends_with(".Transformer") || kind.ends_with(".BERT"))
    };
    let module = modules.as_array()?.iter().find(is_transformer)?;
    let folder = given.join(module["path"].as_str()?);
    folder.join(CONFIG).is_file().then(|| folder.display().to_string())
}

fn is_empty(given: &Path) -> bool {
    fs::read_dir(given).is_ok_and(|mut entries| entries.next().is_none())
}

fn holds_weights(given: &Path) -> bool {
    let names = fs::read_dir(given).into_iter().flatten().flatten();
    names.filter_map(|entry| entry.file_name().into_string().ok()).any(|name| {
        name.ends_with(".safetensors")
            || name.starts_with("pytorch_model") && name.ends_with(".bin")
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The message for `given` in a folder that holds these files.
    fn message(files: &[(&str, &str)], given: &str) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        for (file, content) in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let error = not_a_model(&dir.path().join(given))?.to_string();
        Some(error.replace(&dir.path().display().to_string(), "DIR"))
    }

    #[test]
    fn the_right_path_is_named() {
        let lora = r#"{"peft_type": "LORA", "base_model_name_or_path": "org/base"}"#;
        let prompt = r#"{"peft_type": "PROMPT_TUNING", "base_model_name_or_path": null}"#;
        let modules = r#"[{"path": "0_Transformer", "type": "sentence_transformers.models.Transformer"},
            {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]"#;
        for (files, given, says) in [
            (
                &[("m/config.json", "{}"), ("m/model.safetensors", "")][..],
                "m/model.safetensors",
                "DIR/m/model.safetensors: is one file of a model: give DIR/m",
            ),
            (&[("m/config.json", "{}")], "m/config.json", "give DIR/m"),
            (
                &[("x.bin", "")],
                "x.bin",
                "is a file, expected a .gguf file, or the folder of a model",
            ),
            (
                &[("a/adapter_config.json", lora)],
                "a",
                "DIR/a: is an adapter (LORA), not a base model: its base model is org/base. To train on top",
            ),
            (
                &[("a/adapter_config.json", prompt)],
                "a",
                "DIR/a: is an adapter (PROMPT_TUNING), not a base model",
            ),
            (
                &[("a/adapter_config.json", "damaged")],
                "a",
                "DIR/a: is an adapter, not a base model",
            ),
            (
                &[
                    ("s/modules.json", modules),
                    ("s/0_Transformer/config.json", "{}"),
                    ("s/1_Pooling/config.json", "{}"),
                ],
                "s",
                "give the transformer in it, DIR/s/0_Transformer",
            ),
            (
                &[("h/snapshots/01/config.json", "{}")],
                "h",
                "DIR/h: holds no config.json: give DIR/h/snapshots/01",
            ),
            (
                &[("c/checkpoint-9/config.json", "{}"), ("c/checkpoint-10/config.json", "{}")],
                "c",
                "give DIR/c/checkpoint-10, the newest of its 2 checkpoints",
            ),
            (&[("w/model.safetensors", "")], "w", "holds weights without config.json"),
            (
                &[("l/config.json", "{}"), ("l/last.ckpt", "")],
                "l/last.ckpt",
                "DIR/l/last.ckpt: is a checkpoint, as Lightning writes it. If you trust it",
            ),
            (
                &[("l/consolidated.00.pth", ""), ("l/params.json", "{}")],
                "l",
                "DIR/l: holds no config.json; found consolidated.00.pth, weights in Meta's format",
            ),
            (
                &[("l/consolidated.safetensors", ""), ("l/params.json", "{}")],
                "l",
                "found consolidated.safetensors, weights in Mistral's format",
            ),
            (
                &[("z/global_step9/mp_rank_00_model_states.pt", ""), ("z/latest", "")],
                "z",
                "found global_step9, a checkpoint of DeepSpeed ZeRO",
            ),
            (
                &[("d/model_index.json", "{}"), ("d/text_encoder/config.json", "{}")],
                "d",
                "DIR/d: is a pipeline of diffusers (model_index.json), which makes no text: expected the folder",
            ),
            (&[("o/model.onnx", "")], "o", "found model.onnx, an export for inference"),
        ] {
            let found = message(files, given).unwrap();
            assert!(found.contains(says), "{says}: {found}");
        }
        let empty = message(&[], "").unwrap();
        assert!(
            empty.contains("is an empty folder, expected that of a model: config.json"),
            "{empty}"
        );
        assert_eq!(message(&[("e/README.md", "")], "e"), None);
        assert_eq!(message(&[], "nowhere"), None);
    }
}
