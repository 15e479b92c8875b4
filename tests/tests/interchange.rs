//! Adapters and prompts made by other programs: real ones, those of `tests/vectors/files` (see
//! `python/make_files.py`), and what `peft convert` and `peft inspect` make of them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use peft_core::{
    Adapter, PROMPT_EMBEDDINGS, PeftType, Task,
    adapter::foreign::{self, Base},
    formats::{
        npy,
        torch_file::{self, TorchFile},
    },
};
use peft_tests::{device, shared, vectors};
use serde_json::Value;

use crate::{
    comparison::assert_tensors_near,
    support::{peft, read_tensors, root, succeed, tiny_model},
};

fn file(path: &str) -> PathBuf {
    vectors("files").join(path)
}

/// Runs `peft convert`, which must succeed, and gives its JSON.
fn convert(dir: &Path, from: &Path, to: &str, more: &[&str]) -> Value {
    let mut command = peft(dir);
    command.args(["convert", "--json", "--to", to, "--from"]).arg(from).args(more);
    serde_json::from_slice(&succeed(&mut command).stdout).unwrap()
}

/// Runs the program, which must fail with this exit code and message, and print nothing on stdout.
fn fail(dir: &Path, args: &[&str], code: i32, says: &str) {
    let output = peft(dir).args(args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
    assert!(stderr.starts_with("error: ") && stderr.contains(says), "{args:?}: {stderr}");
    assert!(output.stdout.is_empty());
}

fn prompt_shape(adapter: &Adapter) -> Vec<usize> {
    adapter.tensors[PROMPT_EMBEDDINGS].shape().as_slice().to_vec()
}

#[test]
fn every_real_adapter_is_read() {
    let Some(real) = shared("adapters") else { return };
    let bloomz = Adapter::load(&real.join("bloomz-560m-prompt-adapter")).unwrap();
    assert_eq!(prompt_shape(&bloomz), [8, 1024]);
    assert_eq!(bloomz.config.peft_type, PeftType::PromptTuning);
    assert_eq!(bloomz.config.task, Some(Task::CausalLm));
    assert_eq!(bloomz.config.extra["prompt_tuning_init"], "TEXT");

    let deviation = |path: &str| {
        let found = foreign::read(&real.join(path), &device()).unwrap();
        let adapter = found.into_adapter(Task::CausalLm, &Base::default()).unwrap();
        let prompt = &adapter.tensors[PROMPT_EMBEDDINGS];
        let count = prompt.num_elements() as f64;
        let mean = prompt.iter::<f64>().sum::<f64>() / count;
        let square = prompt.iter::<f64>().map(|x| (x - mean).powi(2)).sum::<f64>();
        (prompt.shape().as_slice().to_vec(), (square / count).sqrt())
    };
    // The standard deviations given by the README beside them.
    for (path, shape, least, most) in [
        ("bloomz-560m-prompt-adapter", [8, 1024], 0.22, 0.24),
        ("tinyllama_peft_adapter", [8, 64], 0.07, 0.09),
        ("tinyllama_peft_adapter_raw", [8, 64], 0.07, 0.09),
        ("mt0_sentiment_both/encoder.pt", [8, 512], 11.0, 14.0),
        ("mt0_sentiment_both/decoder.pt", [8, 512], 11.0, 14.0),
        ("t5_1_1_lm100k_base/sst2.npy", [100, 768], 31.0, 53.0),
        ("t5_1_1_lm100k_base/mrpc.npy", [100, 768], 31.0, 53.0),
        ("t5_1_1_lm100k_base/rte.npy", [100, 768], 31.0, 53.0),
    ] {
        let (found, deviation) = deviation(path);
        println!("{path}: {found:?}, standard deviation {deviation:.3}");
        assert_eq!(found, shape, "{path}");
        assert!((least..most).contains(&deviation), "{path}: {deviation}");
    }

    let dir = tempfile::tempdir().unwrap();
    let mut inspect = peft(dir.path());
    let output = succeed(inspect.arg("inspect").arg(real.join("bloomz-560m-prompt-adapter")));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("adapter_model.bin") && text.contains("[8, 1024]"), "{text}");
}

#[test]
fn real_npy_prompts_come_back_byte_by_byte() {
    let Some(real) = shared("adapters/t5_1_1_lm100k_base") else { return };
    let dir = tempfile::tempdir().unwrap();
    for name in ["sst2", "mrpc", "rte"] {
        let original = real.join(format!("{name}.npy"));
        let flags = ["--task", "seq2seq-lm", "--base-model", "google/t5-base-lm-adapt"];
        let json = convert(dir.path(), &original, name, &flags);
        assert_eq!(json["tensors"][PROMPT_EMBEDDINGS], serde_json::json!([100, 768]));
        let back = format!("{name}.npy");
        convert(dir.path(), &dir.path().join(name), &back, &[]);
        assert!(fs::read(dir.path().join(back)).unwrap() == fs::read(original).unwrap(), "{name}");
    }
}

#[test]
fn files_of_torch_hold_the_values_that_torch_wrote() {
    let expected = read_tensors(&file("torch/expected.safetensors"));
    let mut names: Vec<&str> = expected.keys().map(|key| key.split(':').next().unwrap()).collect();
    names.dedup();
    assert_eq!(names.len(), 11);
    for name in names {
        let path = file("torch").join(name);
        let found = match torch_file::read(&fs::read(&path).unwrap(), &path).unwrap() {
            TorchFile::Bare(data) => [(String::new(), data)].into(),
            TorchFile::Named(tensors) => tensors,
        };
        let of_file = |(key, data): (&String, _)| {
            let key = key.strip_prefix(&format!("{name}:"))?.to_string();
            Some((key, Clone::clone(data)))
        };
        let expected = expected.iter().filter_map(of_file).collect();
        assert!(assert_tensors_near(&found, &expected, 1e-12) == 0.0, "{name}");
    }
    let read = |name: &str| {
        let path = file("torch").join(name);
        torch_file::read(&fs::read(&path).unwrap(), &path)
    };
    assert_eq!(read("old-format.bin").unwrap(), read("dict.bin").unwrap());
    for (name, says) in [
        ("not-floats.bin", "`prompt_embeddings`: is not of floats"),
        ("no-tensor.bin", "its key \"epoch\" holds no tensor"),
        ("nested.bin", "its key \"state\" holds no tensor"),
        ("list.bin", "neither a tensor nor a dict of tensors"),
        ("numpy.bin", "asks for \"numpy"),
        ("module.bin", "asks for \"torch.nn.modules.linear.Linear\""),
        ("sparse.bin", "asks for \"torch._utils._rebuild_sparse_tensor\""),
        ("protocol-4.bin", "a pickle of protocol 4, expected 2"),
    ] {
        let error = read(name).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(says), "{error}");
    }
}

#[test]
fn files_of_numpy_are_read_and_written_as_numpy_does() {
    let read = |name: &str| {
        let path = file("npy").join(name);
        npy::read(&fs::read(&path).unwrap(), &path)
    };
    let single = read("f4.npy").unwrap();
    let same = fs::read(file("npy/f4.npy")).unwrap();
    for name in ["version-2.npy", "version-3.npy", "f8.npy"] {
        assert_eq!(read(name).unwrap(), single, "{name}");
        assert!(npy::write(&single, Path::new("p.npy")).unwrap() == same);
    }
    let half = read("f2.npy").unwrap();
    assert!(half.iter::<f32>().zip(single.iter::<f32>()).all(|(a, b)| (a - b).abs() < 2e-3));
    for (name, says) in [
        ("fortran.npy", "Fortran order"),
        ("vector.npy", "expected two sizes"),
        ("integers.npy", "is of the type '<i4'"),
    ] {
        let error = read(name).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

/// An adapter without a config, as PEFT 0.3 wrote it: `.bin` alone, with a head.
fn old_folder(dir: &Path) -> PathBuf {
    let old = dir.join("old");
    fs::create_dir(&old).unwrap();
    fs::copy(file("torch/head.bin"), old.join("adapter_model.bin")).unwrap();
    let config = r#"{"peft_type": "PROMPT_TUNING", "task_type": "SEQ_CLS", "num_virtual_tokens": 4, "own": [1]}"#;
    fs::write(old.join("adapter_config.json"), config).unwrap();
    old
}

#[test]
fn an_old_folder_becomes_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let old = old_folder(dir);
    let json = convert(dir, &old, "new", &["--base-model", "some/base"]);
    assert_eq!((&json["source"], &json["format"]), (&"PROMPT_TUNING".into(), &"peft".into()));
    let (before, after) = (Adapter::load(&old).unwrap(), Adapter::load(&dir.join("new")).unwrap());
    assert_eq!(before.tensors, after.tensors);
    assert_eq!(after.tensors["score.weight"].shape().as_slice(), [3, 6]);
    assert_eq!(after.config.extra["own"], serde_json::json!([1]), "unknown keys are kept");
    assert_eq!(after.config.base_model.as_deref(), Some("some/base"));
    // Writing the same bytes again is fine; other bytes need --force.
    let bytes = fs::read(dir.join("new/adapter_config.json")).unwrap();
    convert(dir, &old, "new", &["--base-model", "some/base"]);
    fail(dir, &["convert", "--from", "old", "--to", "new"], 1, "--force overwrites it");
    assert!(fs::read(dir.join("new/adapter_config.json")).unwrap() == bytes);
    convert(dir, &old, "new", &["--force"]);
    assert_eq!(Adapter::load(&dir.join("new")).unwrap().config.base_model, None);
    // The head would be lost.
    fail(dir, &["convert", "--from", "old", "--to", "p.npy"], 1, "`score.weight`: is a part");
    assert!(!dir.join("p.npy").exists());
}

#[test]
fn p_tuning_becomes_prompt_tuning_and_starts_a_prompt() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (model, from) = (file("gpt2"), file("p-tuning"));
    let read = Adapter::load(&from).unwrap();
    assert_eq!(read.config.peft_type, PeftType::PTuning);
    let json = convert(dir, &from, "prompt", &["--model", model.to_str().unwrap()]);
    assert_eq!(
        (&json["source"], &json["peft_type"]),
        (&"P_TUNING".into(), &"PROMPT_TUNING".into())
    );
    let made = Adapter::load(&dir.join("prompt")).unwrap();
    assert_eq!(made.tensors, read.tensors);
    assert!(!made.config.extra.keys().any(|key| key.starts_with("encoder_")));

    // The same rows under either type.
    fs::write(dir.join("rows.jsonl"), "{\"input_ids\": [3, 4, 5], \"labels\": [3, 4, 5]}\n")
        .unwrap();
    let logits = |adapter: &Path, name: &str| {
        let mut forward = peft(dir);
        forward.args(["forward", "--input", "rows.jsonl", "--output", name, "--model"]);
        succeed(forward.arg(&model).arg("--adapter").arg(adapter));
        fs::read(dir.join(name)).unwrap()
    };
    let found = logits(&from, "a.safetensors");
    assert!(found == logits(&dir.join("prompt"), "b.safetensors"));

    let mut train = peft(dir);
    train.args(["train", "--method", "prompt", "--task", "causal-lm", "--train", "rows.jsonl"]);
    train.args(["--steps", "1", "--lr", "1e-9", "--out", "run", "--model"]).arg(&model);
    succeed(train.arg("--init-adapter").arg(&from));
    let started = Adapter::load(&dir.join("run")).unwrap();
    assert_eq!(started.config.peft_type, PeftType::PromptTuning);
    assert_tensors_near(&started.tensors, &read.tensors, 1e-7);
}

#[test]
fn what_peft_made_stays_so_when_it_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let model = vectors("logits/bert-qa");
    let from = model.join("prefix");
    convert(dir, &from, "again", &[]);
    convert(dir, &dir.join("again"), "third", &[]);
    let logits = |adapter: &Path, name: &str| {
        let mut forward = peft(dir);
        forward.args(["forward", "--output", name, "--input"]).arg(model.join("rows.jsonl"));
        succeed(forward.arg("--model").arg(&model).arg("--adapter").arg(adapter));
        fs::read(dir.join(name)).unwrap()
    };
    // Without token types, which the second row has.
    let found = logits(&from, "a.safetensors");
    assert!(found == logits(&dir.join("third"), "b.safetensors"));
}

#[test]
fn only_the_rows_of_the_encoder_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let stored = read_tensors(&file("seq2seq/adapter_model.safetensors"));
    assert_eq!(stored[PROMPT_EMBEDDINGS].shape().as_slice(), [6, 4]);
    convert(dir.path(), &file("seq2seq"), "one", &[]);
    let made = Adapter::load(&dir.path().join("one")).unwrap();
    assert_eq!(prompt_shape(&made), [3, 4]);
    let first = stored[PROMPT_EMBEDDINGS].iter::<f32>().take(12);
    assert!(made.tensors[PROMPT_EMBEDDINGS].iter::<f32>().eq(first));
    let text = fs::read_to_string(dir.path().join("one/adapter_config.json")).unwrap();
    assert!(text.contains("\"num_transformer_submodules\": 1"), "{text}");
}

#[test]
fn prompts_alone_need_a_task_and_fit_their_model() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for name in ["bare.pt", "dict.bin", "f16.bin"] {
        fs::copy(file("torch").join(name), dir.join(name)).unwrap();
    }
    fs::copy(file("torch/head.bin"), dir.join("several.bin")).unwrap();
    fs::copy(file("torch/state.bin"), dir.join("state.bin")).unwrap();
    let json = convert(dir, &dir.join("bare.pt"), "made", &["--task", "causal-lm"]);
    assert_eq!(json["num_virtual_tokens"], 4);
    assert_eq!(Adapter::load(&dir.join("made")).unwrap().config.token_dim, Some(6));
    convert(dir, &dir.join("dict.bin"), "prompt.npy", &[]);
    convert(dir, &dir.join("prompt.npy"), "again", &["--task", "causal-lm"]);
    assert_eq!(
        Adapter::load(&dir.join("made")).unwrap().tensors,
        Adapter::load(&dir.join("again")).unwrap().tensors
    );
    let before = fs::read_dir(dir).unwrap().count();
    let model = root().join(tiny_model("gpt2"));
    let model = model.to_str().unwrap();
    for (args, code, says) in [
        ("--from bare.pt --to x", 2, "--task: is missing: bare.pt has no config"),
        ("--from bare.pt --to x --task joke", 2, "joke"),
        ("--from made --to x --task seq-cls", 2, "--task: found seq-cls"),
        (
            &format!("--from bare.pt --to x --task causal-lm --model {model}"),
            1,
            "another base model",
        ),
        (
            "--from state.bin --to x --task causal-lm",
            1,
            "holds 2 tensors (bias, weight), none of a known layout",
        ),
        ("--from none.npy --to x --task causal-lm", 1, "cannot read none.npy"),
        ("--from none --to x --task causal-lm", 1, "cannot read none"),
        ("--from made --to bare.pt", 1, "is a file, expected a folder"),
        ("--from made --to again --format npy", 1, "cannot read again"),
        ("--from f16.bin --to prompt.npy", 1, "--force overwrites it"),
    ] {
        let args: Vec<&str> = ["convert"].into_iter().chain(args.split(' ')).collect();
        let stderr = peft(dir).args(&args).output().unwrap().stderr;
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        assert!(stderr.contains(says), "{args:?}: {stderr}");
        if says != "joke" {
            fail(dir, &args, code, says);
        }
    }
    assert_eq!(fs::read_dir(dir).unwrap().count(), before, "nothing is left behind");
    let prefix = vectors("interop/llama-prefix");
    fail(
        dir,
        &["convert", "--from", prefix.to_str().unwrap(), "--to", "x.npy"],
        1,
        "PREFIX_TUNING",
    );
    for (format, says) in [("npy", "give a file"), ("peft", "give a folder")] {
        let args = ["convert", "--from", prefix.to_str().unwrap(), "--to", "-", "--format", format];
        fail(dir, &args, 2, says);
    }
}
