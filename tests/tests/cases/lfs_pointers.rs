//! Case 34: Git LFS pointers in place of files.

use std::path::Path;

use peft_tests::shared;

use crate::support::peft;

/// What the program says on stderr; it must fail.
fn refusal(dir: &Path, line: &str) -> String {
    let output = peft(dir).args(line.split_whitespace()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{line}: {stderr}");
    stderr
}

#[test]
fn a_pointer_is_called_one_wherever_it_is() {
    let (Some(cases), Some(stories)) =
        (shared("cases/34-lfs-pointer"), shared("models/stories260k"))
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ids.jsonl"), "{\"input_ids\": [3, 4]}\n").unwrap();
    // The folders hold no weights beside what is wrong.
    let folder = dir.path().join("tokenizer");
    std::fs::create_dir(&folder).unwrap();
    for file in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(cases.join("tokenizer.json").join(file), folder.join(file)).unwrap();
    }
    std::fs::copy(stories.join("model.safetensors"), folder.join("model.safetensors")).unwrap();
    let stories = stories.display().to_string();
    let eval = |model: &str, adapter: &str, data: &str| {
        format!("eval --model {model} --adapter {adapter} --data {data}")
    };
    let case = |path: &str| cases.join(path).display().to_string();
    let generate = |model: &str| format!("generate --model {model} --prompt a --max-new-tokens 1");
    for (line, file) in [
        (generate(&case("config.json")), "config.json/config.json"),
        (generate(&case("model.safetensors")), "model.safetensors/model.safetensors"),
        (generate("tokenizer"), "tokenizer/tokenizer.json"),
        (eval(&stories, &case("adapter"), "ids.jsonl"), "adapter/adapter_model.safetensors"),
        (eval(&stories, &case("peft"), "ids.jsonl"), "peft/adapter_model.safetensors"),
        (eval(&stories, &case("peftbin"), "ids.jsonl"), "peftbin/adapter_model.bin"),
    ] {
        let said = refusal(dir.path(), &line);
        for part in
            [file, "is a Git LFS pointer, not the file itself", "bytes expected", "git lfs pull"]
        {
            assert!(said.contains(part), "{line}: {part:?} is not in {said}");
        }
    }
}
