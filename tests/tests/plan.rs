//! `peft plan`: sizes from configs alone are those of loaded models, what is trained is what training counts, and wrong
//! flags are told.

mod refused;
mod stored;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use burn::module::Module;
use peft_models::{ModelConfig, outline_of};
use peft_tests::device;
use serde_json::{Value, json};

use crate::support::{peft, read_json, root, succeed, tiny_model};

/// A folder with a `config.json` and nothing else.
fn config_alone(dir: &Path, name: &str, config: &Value) -> PathBuf {
    let folder = dir.join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    folder
}

fn plan(model: &Path, flags: &[&str]) -> Command {
    let mut command = peft(&root());
    command.args(["plan", "--model"]).arg(model).args(flags);
    command
}

/// The plan as JSON, on a GPU: nothing is measured.
fn planned(model: &Path, flags: &[&str]) -> Value {
    let output = succeed(plan(model, flags).args(["--json", "--device", "h100"]));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A part of the memory of a step.
fn part_of<'a>(found: &'a Value, name: &str) -> Option<&'a Value> {
    found["step"]["memory"].as_array().unwrap().iter().find(|own| own["part"] == name)
}

/// The bytes of a part of the memory of a step.
fn bytes_of(found: &Value, name: &str) -> Option<u64> {
    part_of(found, name).map(|own| own["bytes"].as_u64().unwrap())
}

fn t5_xxl() -> Value {
    json!({"model_type": "t5", "architectures": ["T5ForConditionalGeneration"], "d_model": 4096, "d_kv": 64,
        "d_ff": 10240, "num_heads": 64, "num_layers": 24, "num_decoder_layers": 24, "vocab_size": 32128,
        "feed_forward_proj": "gated-gelu", "tie_word_embeddings": false})
}

fn llama_70b() -> Value {
    json!({"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 8192,
        "intermediate_size": 28672, "num_hidden_layers": 80, "num_attention_heads": 64,
        "num_key_value_heads": 8, "vocab_size": 32000, "max_position_embeddings": 4096})
}

#[test]
fn sizes_from_a_config_are_those_of_the_loaded_model() {
    let mut compared = 0;
    for name in [
        "bart",
        "bart-noscale",
        "bert",
        "bert-qa",
        "bert-tok",
        "gpt2",
        "gpt2-cls",
        "gpt2-qa",
        "llama",
        "llama-cls",
        "llama-linear",
        "llama3",
        "mistral",
        "mistral-window",
        "qwen2",
        "qwen2-tok",
        "qwen3",
        "qwen3-cls",
        "roberta-cls",
        "roberta-tok",
        "smollm",
        "t5",
    ] {
        let dir = root().join(tiny_model(name));
        let loaded = peft_models::load(&dir, &device()).unwrap();
        let outline = outline_of(&ModelConfig::load(&dir).unwrap()).unwrap();
        let head = loaded.model.classifier().map_or(0, Module::num_params);
        // A bias of the logits, which a config does not tell of.
        let bias = if name.starts_with("bart") { outline.spec.vocab_size } else { 0 };
        let expected = loaded.report.num_parameters - head - bias;
        assert_eq!(outline.parameters.total(), expected, "{name}");
        assert_eq!(outline.spec, *loaded.model.spec(), "{name}");
        compared += 1;
    }
    assert_eq!(compared, 22);
}

#[test]
fn a_head_is_planned_for_as_the_weights_have_it() {
    let flags = [
        "--method=ptv2",
        "--num-virtual-tokens=2",
        "--task=seq2seq-lm",
        "--batch-size=1",
        "--tokens-per-row=4",
        "--target-tokens-per-row=2",
    ];
    let parameters = |model: &Path| planned(model, &flags)["parameters"].as_u64().unwrap();
    let dir = tempfile::tempdir().unwrap();
    // Its config says that the head is the embedding; the file has another matrix.
    let whole = root().join(tiny_model("t5v11"));
    let config = read_json(&whole.join("config.json"));
    let alone = config_alone(dir.path(), "alone", &config);
    let head = config["vocab_size"].as_u64().unwrap() * config["d_model"].as_u64().unwrap();
    assert_eq!(parameters(&whole), parameters(&alone) + head);
    // As a clone without Git LFS has them.
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0f\nsize 117\n";
    fs::write(alone.join("model.safetensors"), pointer).unwrap();
    assert_eq!(parameters(&whole), parameters(&alone) + head);
}

#[test]
fn models_of_the_papers_are_planned_from_their_config_alone() {
    let dir = tempfile::tempdir().unwrap();
    let t5 = config_alone(dir.path(), "t5-xxl", &t5_xxl());
    let flags = [
        "--method=prompt",
        "--num-virtual-tokens=100",
        "--task=seq2seq-lm",
        "--batch-size=32",
        "--tokens-per-row=412",
        "--target-tokens-per-row=16",
        "--dtype=bf16",
        "--devices=1,8,64,512",
    ];
    let found = planned(&t5, &flags);
    assert_eq!(found["parameters"], 11_135_332_352u64);
    assert_eq!(found["trained_parameters"], 409_600);
    assert_eq!(found["exchanged_numbers"], 409_600);
    let memory = found["step"]["memory"].as_array().unwrap();
    let of_vectors = 2 * 32 * 64 + 2 * 4096 + 24 * (2 + 3) * 4096u64;
    assert_eq!(
        memory[0],
        // Norms and the two tables of relative positions are in f32.
        json!({"part": "frozen weights", "bytes": 2 * 11_135_332_352u64 + 2 * of_vectors, "exact": true})
    );
    let rows = found["devices"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    assert_eq!((&rows[0]["devices"], &rows[0]["bytes_sent_by_each"]), (&json!(1), &json!(0.0)));
    // 8 of a node: 2 * 7 / 8 of 4 bytes each.
    assert_eq!(rows[1]["bytes_sent_by_each"], 2.0 * 7.0 / 8.0 * (4.0 * 409_600.0));
    let efficiency = |row: &Value| row["efficiency"].as_f64().unwrap();
    assert!(rows.windows(2).all(|two| efficiency(&two[0]) >= efficiency(&two[1])), "{rows:?}");
    assert!(efficiency(&rows[0]) == 1.0 && efficiency(&rows[3]) > 0.5, "{rows:?}");
    // About 2 operations a parameter and position forward, and as many backward; embeddings multiply nothing.
    let of_encoder = 2.0 * 32.0 * 512.0 * 24.0 * (4.0 + 3.0 * 2.5) * 4096.0 * 4096.0;
    let flop = |part: &str| {
        let parts = found["step"]["parts"].as_array().unwrap();
        parts.iter().find(|own| own["part"] == part).unwrap()["flop"].as_f64().unwrap()
    };
    assert!(flop("layers forward") > of_encoder && flop("layers forward") < 1.4 * of_encoder);

    let llama = config_alone(dir.path(), "llama-70b", &llama_70b());
    let flags = ["--method=ptv2", "--task=causal-lm", "--batch-size=1", "--tokens-per-row=2048"];
    let found = planned(&llama, &flags);
    assert_eq!(found["parameters"], 68_976_648_192u64);
    // P 16, a key and a value of 8 heads of 128 in 80 layers.
    assert_eq!(found["trained_parameters"], 16 * 80 * 2 * 8 * 128);
    let text =
        succeed(plan(&llama, &flags).args(["--device=h100", "--dtype=bf16", "--devices=1,8"]));
    let text = String::from_utf8(text.stdout).unwrap();
    for said in [
        "68 976 648 192 parameters",
        "It does not fit: the device nominally has 80 GB. The frozen weights alone are more than that.",
        "at the peak of products",
        "devices",
        "layers, backward",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
}

/// As training pads them there (`to_few_lengths`), as far as there are positions.
#[test]
fn rows_on_a_gpu_are_padded_to_multiples_of_sixteen() {
    let of = |model: &str, tokens: usize, more: &[&str]| {
        let tokens = format!("--tokens-per-row={tokens}");
        let labelled = ["--labelled-per-row=8", "--num-virtual-tokens=4", &tokens];
        let found = planned(&root().join(tiny_model(model)), &[more, &labelled[..]].concat());
        (found["step"]["flop"].clone(), found["step"]["memory_bytes"].clone())
    };
    let causal = ["--method=ptv2", "--task=causal-lm"];
    let gpt2 = |tokens| of("gpt2", tokens, &causal);
    assert_eq!(gpt2(17), gpt2(32));
    assert_ne!(gpt2(16), gpt2(17));
    let most =
        read_json(&root().join(tiny_model("gpt2")).join("config.json"))["n_positions"].clone();
    let most = most.as_u64().unwrap() as usize - 4;
    assert!(!most.is_multiple_of(16) && most > 17);
    assert_eq!(gpt2(most - 1), gpt2(most), "there are no more positions");
    let both = |source, target: &str| {
        of("t5", source, &["--method=ptv2", "--task=seq2seq-lm", "--target-tokens-per-row", target])
    };
    assert_eq!(both(17, "9"), both(32, "16"));
    assert_ne!(both(32, "16"), both(32, "17"));
}

#[test]
fn what_is_trained_is_what_training_counts() {
    let dir = tempfile::tempdir().unwrap();
    let rows = dir.path().join("rows.jsonl");
    let row = json!({"input_ids": [3, 4, 5, 6, 7, 8], "label": "a"}).to_string();
    let other = json!({"input_ids": [8, 7, 6, 5, 4, 3], "label": "b"}).to_string();
    fs::write(&rows, format!("{row}\n{other}\n").repeat(2)).unwrap();
    let cases: [(&str, &[&str]); 8] = [
        ("bert", &["--method=prompt"]),
        ("bert", &["--method=prompt", "--reparameterization=mlp", "--encoder-hidden-size=5"]),
        ("bert", &["--method=prompt", "--reparameterization=lstm", "--num-virtual-tokens=3"]),
        ("bert", &["--method=prefix", "--prefix-hidden-size=6"]),
        ("bert", &["--method=ptv2", "--layers=1"]),
        ("roberta-cls", &["--method=ptv2", "--prefix-projection"]),
        ("gpt2-cls", &["--method=ptv2", "--num-virtual-tokens=4"]),
        ("gpt2-cls", &["--method=head"]),
    ];
    for (index, (model, flags)) in cases.into_iter().enumerate() {
        let model = root().join(tiny_model(model));
        let out = dir.path().join(index.to_string());
        let mut train = peft(&root());
        train.args(["train", "--task=seq-cls", "--steps=1", "--batch-size=2", "--no-report"]);
        train.arg("--labels=a,b");
        train
            .arg("--model")
            .arg(&model)
            .arg("--train")
            .arg(&rows)
            .arg("--out")
            .arg(&out)
            .args(flags);
        succeed(&mut train);
        let result = fs::read_to_string(out.join("result.json")).unwrap();
        let result: Value = serde_json::from_str(&result).unwrap();
        let more = ["--task=seq-cls", "--tokens-per-row=6", "--labels=a,b"];
        let found = planned(&model, &[flags, &more].concat());
        assert_eq!(found["trained_parameters"], result["trained_parameters"], "{flags:?}");
        // The settings of the run say the same.
        let config = out.join("run.toml");
        let by_config = succeed(
            peft(&root())
                .args(["plan", "--json", "--device=l4", "--config"])
                .arg(config)
                .args(more),
        );
        let by_config: Value = serde_json::from_slice(&by_config.stdout).unwrap();
        assert_eq!(by_config["trained_parameters"], result["trained_parameters"], "{flags:?}");
    }
}

#[test]
fn this_machine_is_measured() {
    let model = root().join(tiny_model("gpt2"));
    let flags = ["--method=prompt", "--task=causal-lm", "--tokens-per-row=16", "--threads=1"];
    let output = succeed(plan(&model, &flags).arg("--json"));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let measured = &found["device"]["measured"];
    assert!(measured["flop_per_second"].as_f64().unwrap() > 1e8, "{found}");
    assert!(measured["bytes_per_second"].as_f64().unwrap() > 1e8, "{found}");
    assert!(found["step"]["seconds"].as_f64().unwrap() > 0.0, "{found}");
    assert_eq!(found["device"]["threads"], 1);
    let text = succeed(&mut plan(&model, &flags));
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("this machine, 1 thread, measured: "), "{text}");
    assert!(text.contains("prompt, once for all rows") && text.contains("the program"), "{text}");
    // General operations keep more.
    let off = succeed(plan(&model, &flags).arg("--json").env("PEFT_KERNELS", "off"));
    let off: Value = serde_json::from_slice(&off.stdout).unwrap();
    let kept = |found: &Value| bytes_of(found, "kept for the backward pass").unwrap();
    assert!(kept(&off) > kept(&found), "{off}");
    // Training multiplies with them in either type.
    for dtype in ["bf16", "f16"] {
        let off = succeed(plan(&model, &flags).args(["--dtype", dtype]).env("PEFT_KERNELS", "off"));
        let off = String::from_utf8(off.stdout).unwrap();
        let says =
            ["Products were measured in f32: PEFT_KERNELS is off", &format!(" in {dtype} was")];
        let text = off.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(says.iter().all(|says| text.contains(says)), "{off}");
    }
}

/// Where nothing names the classes, the rows of `--train` have them, as for training.
#[test]
fn the_classes_are_those_of_the_rows() {
    let dir = tempfile::tempdir().unwrap();
    let model = root().join(tiny_model("bert"));
    let rows = |name: &str, labels: &[Value], key: &str| {
        let line = |label: &Value| format!("{}\n", json!({"input_ids": [1, 2], key: label}));
        let path = dir.path().join(name);
        fs::write(&path, labels.iter().map(line).collect::<String>()).unwrap();
        path.to_str().unwrap().to_string()
    };
    let seq_cls = ["--method=ptv2", "--tokens-per-row=9", "--task=seq-cls"];
    let found = |flags: &[&str], train: &str, more: &[&str]| {
        let found = planned(&model, &[flags, &["--train", train], more].concat());
        (found["classes"].clone(), found["classes_assumed"].clone())
    };
    let four = rows("four.jsonl", &[0, 3, 1, 2].map(Value::from), "label");
    assert_eq!(found(&seq_cls, &four, &[]), (json!(4), json!(false)));
    assert_eq!(found(&seq_cls, &four, &["--classes=7"]), (json!(7), json!(false)));
    assert_eq!(found(&seq_cls, &four, &["--labels=a,b,c"]), (json!(3), json!(false)));
    let tags = rows("tags.jsonl", &[json!([0, 2]), json!([1, 4])], "labels");
    let token_cls = ["--method=ptv2", "--tokens-per-row=9", "--task=token-cls"];
    assert_eq!(found(&token_cls, &tags, &[]), (json!(5), json!(false)));
    // What training counts is what is planned.
    let named = dir.path().join("named.jsonl");
    let texts = ["play", "stop", "play", "wait"];
    let line = |label: &&str| format!("{}\n", json!({"text": "a", "label": label}));
    fs::write(&named, texts.iter().map(line).collect::<String>()).unwrap();
    assert_eq!(found(&seq_cls, named.to_str().unwrap(), &[]), (json!(3), json!(false)));
    // Rows that are not there are no reason to plan nothing, and are told.
    let missing = ["--train", "none.jsonl"];
    let output = succeed(plan(&model, &[&seq_cls[..], &missing].concat()).arg("--device=h100"));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("note: the classes of --train are not known here: cannot read"),
        "{said}"
    );
    assert!(said.contains("none.jsonl") && said.contains("--classes says"), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("A head of 2 classes is assumed"), "{text}");
}

/// Without rows nobody knows the classes, and a small part of the memory is no megabyte.
#[test]
fn what_is_assumed_and_what_is_small_is_told_as_it_is() {
    let model = root().join(tiny_model("bert"));
    let flags = ["--method=ptv2", "--task=seq-cls", "--tokens-per-row=9", "--device=h100"];
    let text = |more: &[&str]| {
        let output = succeed(plan(&model, &flags).args(more));
        String::from_utf8(output.stdout).unwrap()
    };
    let assumed = "A head of 2 classes is assumed: --classes says how many there are, or --labels.";
    assert!(text(&[]).contains(assumed), "{}", text(&[]));
    for named in ["--classes=3", "--labels=a,b"] {
        assert!(!text(&[named]).contains("is assumed:"), "{}", text(&[named]));
    }
    let found = planned(&model, &flags[..3]);
    assert_eq!((&found["classes"], &found["classes_assumed"]), (&json!(2), &json!(true)));
    // P-tuning v2 on a tiny model trains a few kilobytes.
    let trained = bytes_of(&found, "trained parameters").unwrap();
    assert!((1_000..950_000).contains(&trained), "{trained}");
    let line =
        text(&[]).lines().find(|line| line.starts_with("trained parameters")).map(String::from);
    assert!(line.as_ref().is_some_and(|line| line.contains(" kB")), "{line:?}");
}
