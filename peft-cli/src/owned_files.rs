//! Files that an adapter, a run or a model consists of: results are not written over them.

use std::path::Path;

use peft_core::Adapter;

use crate::training::file_names::{ENSEMBLE, OF_RUN, RUN_FILE};

/// The tensors of an adapter as torch saves them.
const TORCH_TENSORS: &str = "adapter_model.bin";
/// What lies beside an adapter in the folder of a checkpoint.
const OF_CHECKPOINT: [&str; 3] = ["state.json", "state.safetensors", "SHA256SUMS"];
/// What makes a folder that of a model.
const MODEL_CONFIG: &str = "config.json";
/// How the names of a model's files begin, and how they end: results may begin so.
const OF_MODEL: [(&str, &[&str]); 15] = [
    (MODEL_CONFIG, &[]),
    ("generation_config.json", &[]),
    ("model.safetensors", &[]),
    ("model-", &["safetensors", "bin"]),
    ("pytorch_model", &["bin", "json", "safetensors"]),
    ("tokenizer", &["json", "model", "bin"]),
    ("special_tokens_map.json", &[]),
    ("added_tokens.json", &[]),
    ("vocab.", &["json", "txt", "model", "bpe"]),
    ("merges.txt", &[]),
    ("bpe.codes", &[]),
    ("spiece.model", &[]),
    ("sentencepiece", &["model"]),
    ("preprocessor_config.json", &[]),
    ("chat_template.", &[]),
];

/// What a file that is there is part of, if it is: `adapter`, `run` or `model`.
pub fn part_of(file: &Path) -> Option<&'static str> {
    // Links lead to what would be written; but a file of a model may itself be a link, as in the Hub's cache.
    let written = file.canonicalize().ok().filter(|file| file.is_file())?;
    [file, &written].into_iter().find_map(part_by_name)
}

/// What a file of this name is part of, by what lies beside it.
fn part_by_name(file: &Path) -> Option<&'static str> {
    let (folder, name) = (file.parent()?, file.file_name()?.to_str()?);
    let holds = |name: &str| folder.join(name).exists();
    if Adapter::exists(folder)
        && (Adapter::FILES.contains(&name)
            || name == TORCH_TENSORS
            || OF_CHECKPOINT.contains(&name))
    {
        return Some("adapter");
    }
    if (holds(RUN_FILE) || holds(ENSEMBLE)) && OF_RUN.contains(&name) {
        return Some("run");
    }
    let ends = |ends: &[&str]| {
        let end = file.extension().and_then(|end| end.to_str()).unwrap_or_default();
        ends.is_empty() || ends.contains(&end)
    };
    let is_named = |(begin, of): &(&str, &[&str])| name.starts_with(begin) && ends(of);
    let is_of_model = holds(MODEL_CONFIG) && OF_MODEL.iter().any(is_named);
    (is_of_model || name.to_lowercase().ends_with(".gguf")).then_some("model")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn results_are_no_parts() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            path
        };
        // By itself a name says nothing.
        for name in ["adapter_model.safetensors", "result.json", "tokenizer.json", "state.json"] {
            assert_eq!(part_of(&at(&format!("alone/{name}"))), None, "{name}");
        }
        assert_eq!(part_of(&dir.path().join("none/config.json")), None);
        at("run/adapter_config.json");
        at("run/run.toml");
        at("model/config.json");
        for (name, expected) in [
            ("run/adapter_config.json", Some("adapter")),
            ("run/adapter_model.safetensors", Some("adapter")),
            ("run/burn_peft.json", Some("adapter")),
            ("run/state.json", Some("adapter")),
            ("run/run.toml", Some("run")),
            ("run/report.html", Some("run")),
            ("run/metrics.jsonl", Some("run")),
            ("run/predictions.jsonl", None),
            ("run/scores.html", None),
            ("model/config.json", Some("model")),
            ("model/model-00001-of-00002.safetensors", Some("model")),
            ("model/tokenizer_config.json", Some("model")),
            ("model/logits.safetensors", None),
            ("model/rows.jsonl", None),
            ("model/model-a.jsonl", None),
            ("model/tokenizer-errors.jsonl", None),
            ("model/vocab.tsv", None),
            ("model/vocab.txt", Some("model")),
            ("model/sentencepiece.bpe.model", Some("model")),
            ("model/pytorch_model.bin.index.json", Some("model")),
            ("files/small.gguf", Some("model")),
        ] {
            assert_eq!(part_of(&at(name)), expected, "{name}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn files_of_a_model_may_be_links() {
        let dir = tempfile::tempdir().unwrap();
        let [blobs, snapshot] = ["blobs", "snapshot"].map(|name| dir.path().join(name));
        fs::create_dir(&blobs).unwrap();
        fs::create_dir(&snapshot).unwrap();
        let link = |blob: &str, name: &str| {
            fs::write(blobs.join(blob), "").unwrap();
            std::os::unix::fs::symlink(blobs.join(blob), snapshot.join(name)).unwrap();
            part_of(&snapshot.join(name))
        };
        assert_eq!(link("1f", "config.json"), Some("model"));
        assert_eq!(link("2f", "rows.jsonl"), None);
        // A link to a file of a model.
        let out = dir.path().join("out.jsonl");
        fs::write(snapshot.join("vocab.txt"), "").unwrap();
        std::os::unix::fs::symlink(snapshot.join("vocab.txt"), &out).unwrap();
        assert_eq!(part_of(&out), Some("model"));
    }
}
