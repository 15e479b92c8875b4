//! Prompts that an encoder makes: the encoder is PEFT's, and the program trains, stores and reads them.
//!
//! Vectors: `python/make_prompt_encoder.py`. Twenty steps of training are compared in `training`, logits in `interop`.

use std::{fs, path::Path};

use burn::tensor::{Tensor, TensorData};
use peft_core::{
    Adapter, Mode, NamedTensors, PROMPT_EMBEDDINGS, PeftMethod, PeftType, contract::params,
};
use peft_prompt::{EncoderConfig, PromptConfig, PromptTuning};
use peft_tests::{Family, Shape, device, random_model, vectors};
use serde_json::Value;

use crate::{
    comparison::assert_tensors_near,
    support::{peft, read_vectors, root, succeed, tiny_model},
};

/// A case of `cases.json`: P, H and the encoder.
fn cases() -> Vec<(String, usize, usize, EncoderConfig)> {
    let text = fs::read_to_string(vectors("prompt_encoder/cases.json")).unwrap();
    let cases: Value = serde_json::from_str(&text).unwrap();
    let case = |(name, case): (&String, &Value)| {
        let number = |key: &str| case[key].as_u64().unwrap() as usize;
        let hidden_size = Some(number("encoder_hidden_size"));
        let num_layers = number("encoder_num_layers");
        let encoder = match case["type"].as_str().unwrap() {
            "MLP" => EncoderConfig::Mlp { hidden_size },
            _ => EncoderConfig::Lstm { hidden_size, num_layers, dropout: 0.0 },
        };
        (name.clone(), number("num_virtual_tokens"), number("hidden_size"), encoder)
    };
    cases.as_object().unwrap().iter().map(case).collect()
}

/// What torch computes: W, and the derivatives of sum(W * direction) by each tensor of the encoder.
#[test]
fn the_encoder_is_that_of_peft() {
    let cases = cases();
    assert_eq!(cases.len(), 5);
    for (name, p, h, encoder) in cases {
        let mut stored = read_vectors(&format!("prompt_encoder/{name}.safetensors"));
        let [rows, direction] = ["rows", "direction"].map(|name| stored.remove(name).unwrap());
        let (gradients, state): (NamedTensors, NamedTensors) =
            stored.into_iter().partition(|(name, _)| name.starts_with("gradient."));
        // Of the model only H matters.
        let mut spec = random_model(Family::ALL[0], Shape::default(), 0).model.spec().clone();
        spec.hidden_size = h;
        let config = PromptConfig::new(p).with_encoder(Some(encoder));
        let prompt =
            PromptTuning::from_state(config.clone(), &spec, &state, &device().autodiff()).unwrap();
        assert_eq!(prompt.state(), state, "{name}: as many tensors under the same names");

        let found = prompt.rows(Mode::Evaluate);
        let of_rows = |data: TensorData| NamedTensors::from([("rows".to_string(), data)]);
        let largest =
            assert_tensors_near(&of_rows(found.clone().into_data()), &of_rows(rows.clone()), 1e-5);
        let direction = Tensor::from_data(direction, &device());
        let mut backward = (found * direction).sum().backward();
        let derivatives = params::gradients(&prompt, &mut backward);
        let values = derivatives.into_iter().map(Option::unwrap).collect();
        // Derivatives under the names of what they are of.
        let derivatives = params::replace(prompt.clone(), values).state();
        let derivatives: NamedTensors = derivatives
            .into_iter()
            .map(|(name, data)| (format!("gradient.{name}"), data))
            .collect();
        let of_gradients = assert_tensors_near(&derivatives, &gradients, 1e-4);
        println!("{name}: rows within {largest:.1e}, derivatives within {of_gradients:.1e}");

        let folded = of_rows(prompt.fold().state()[PROMPT_EMBEDDINGS].clone());
        assert_tensors_near(&folded, &of_rows(rows), 1e-5);
    }
}

/// Trains a prompt on a tiny model, 6 steps.
fn train(out: &Path, model: &str, rows: &str, flags: &[&str]) {
    let mut command = peft(&root());
    command.args(["train", "--method", "prompt", "--model", &tiny_model(model)]);
    command.args(["--train", &format!("tests/vectors/training/{rows}/rows.jsonl")]);
    command.args(["--steps", "6", "--batch-size", "4", "--num-virtual-tokens", "4"]);
    succeed(command.args(flags).arg("--out").arg(out));
}

#[test]
fn the_program_trains_stores_and_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let run = dir.join("run");
    let lstm =
        ["--task", "causal-lm", "--reparameterization", "lstm", "--encoder-hidden-size", "8"];
    train(&run, "gpt2", "gpt2-prompt", &lstm);
    let text = fs::read_to_string(run.join("run.toml")).unwrap();
    for line in [
        "reparameterization = \"lstm\"",
        "encoder_hidden_size = 8",
        "encoder_num_layers = 2",
        "encoder_dropout = 0.0",
        "init = \"normal\"",
        "lr = 0.001",
    ] {
        assert!(text.contains(&format!("{line}\n")), "no {line} in {text}");
    }
    let adapter = Adapter::load(&run).unwrap();
    assert_eq!(adapter.config.peft_type, PeftType::PTuning);
    assert_eq!(adapter.tensors.keys().collect::<Vec<_>>(), [PROMPT_EMBEDDINGS]);
    let h = adapter.tensors[PROMPT_EMBEDDINGS].shape().as_slice()[1];
    let encoder = EncoderConfig::lstm().with_hidden_size(Some(8));
    let trained = 4 * h + encoder.num_params(h);
    assert_eq!(adapter.config.own.recipe["trained_parameters"], trained);

    let told = |args: &[&str]| {
        let mut command = peft(dir);
        String::from_utf8(succeed(command.args(args)).stdout).unwrap()
    };
    let text = told(&["inspect", "run"]);
    assert!(text.contains("P_TUNING\n"), "{text}");
    assert!(text.contains("LSTM of 2 layers, width 8; folded into the rows\n"), "{text}");

    // As prompt tuning, and as the start of a prompt: the same rows.
    told(&["convert", "--from", "run", "--to", "prompt"]);
    let converted = Adapter::load(&dir.join("prompt")).unwrap();
    assert_eq!(converted.config.peft_type, PeftType::PromptTuning);
    assert_eq!(converted.tensors, adapter.tensors);
    let from = run.to_str().unwrap();
    let mut flags = vec!["--task", "causal-lm", "--init-adapter", from, "--lr", "1e-9"];
    train(&dir.join("on"), "gpt2", "gpt2-prompt", &flags);
    let on = Adapter::load(&dir.join("on")).unwrap();
    assert_eq!(on.config.peft_type, PeftType::PromptTuning);
    assert_tensors_near(&on.tensors, &adapter.tensors, 1e-6);

    // No encoder starts from them.
    flags.extend(["--reparameterization", "mlp"]);
    let mut command = peft(&root());
    command.args(["train", "--method", "prompt", "--model", &tiny_model("gpt2")]);
    command.args(["--train", "tests/vectors/training/gpt2-prompt/rows.jsonl", "--steps", "1"]);
    let output = command.args(flags).arg("--out").arg(dir.join("no")).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("--reparameterization: --init-adapter holds rows that are done"),
        "{text}"
    );
}

/// Without an encoder a run has none of its settings, and its adapter is one of prompt tuning.
#[test]
fn none_is_the_default() {
    let dir = tempfile::tempdir().unwrap();
    let common = ["--task", "seq-cls"];
    train(&dir.path().join("a"), "bert", "bert-prompt", &common);
    let none = ["--task", "seq-cls", "--reparameterization", "none"];
    train(&dir.path().join("b"), "bert", "bert-prompt", &none);
    for name in ["adapter_model.safetensors", "adapter_config.json", "burn_peft.json"] {
        let read = |run: &str| fs::read(dir.path().join(run).join(name)).unwrap();
        assert!(read("a") == read("b"), "{name}");
    }
    let text = fs::read_to_string(dir.path().join("b/run.toml")).unwrap();
    assert!(!text.contains("reparameterization") && !text.contains("encoder"), "{text}");
    let adapter = Adapter::load(&dir.path().join("a")).unwrap();
    assert_eq!(adapter.config.peft_type, PeftType::PromptTuning);
}

/// A point of a sweep like any other setting.
#[test]
fn a_sweep_compares_them() {
    let dir = tempfile::tempdir().unwrap();
    let rows = "tests/vectors/training/gpt2-prompt/rows.jsonl";
    let text = format!(
        "model = {:?}\ntask = \"causal-lm\"\ntrain = {rows:?}\nvalid = {rows:?}\nsteps = 2\n\
         method = \"prompt\"\nnum_virtual_tokens = 3\nlr = 0.01\n\
         [[runs]]\nreparameterization = [\"none\", \"mlp\", \"lstm\"]\n",
        tiny_model("gpt2")
    );
    let file = dir.path().join("sweep.toml");
    fs::write(&file, text).unwrap();
    let mut command = peft(&root());
    command.arg("sweep").arg(&file).arg("--out").arg(dir.path().join("runs"));
    let table = String::from_utf8(succeed(&mut command).stdout).unwrap();
    let lines: Vec<Vec<&str>> =
        table.lines().take(4).map(|line| line.split_whitespace().collect()).collect();
    let place = lines[0].iter().position(|title| *title == "reparameterization");
    let place = place.unwrap_or_else(|| panic!("{table}"));
    let mut found: Vec<&str> = lines[1..].iter().map(|line| line[place]).collect();
    found.sort_unstable();
    assert_eq!(found, ["-", "lstm", "mlp"], "{table}");
}
