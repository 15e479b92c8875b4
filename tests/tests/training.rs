//! Training gives the losses and tensors of PEFT with torch's AdamW, step by step.
//!
//! Vectors: `python/make_training.py` and `make_joint.py`, which say how they were made.

use std::{collections::BTreeMap, fs, path::Path};

use burn::tensor::{Device, TensorData};
use peft_cli::{
    encode_rows::encode,
    encoding::{ChatArgs, ChatSettings, EncodeSettings, Lengths},
    selftest::measures::Reports,
};
use peft_core::{
    Adapter, Head, ModelSpec, NamedTensors, PeftMethod, ProblemType, Task,
    data::Example,
    optim::Schedule,
    text::{FieldNames, read_records},
    train::{
        self, Joint, JointTask, Mixing, RunContext, TrainConfig, Trainable, TrainingData,
        checkpoint,
    },
};
use peft_models::Loaded;
use peft_prefix::{PrefixConfig, PrefixTuning};
use peft_prompt::{EncoderConfig, PromptConfig, PromptTuning};
use peft_ptv2::{PTuningV2, PTuningV2Config};
use peft_tests::{device, vectors};
use serde_json::Value;

use crate::{
    comparison::{assert_tensors_near, difference},
    support::{peft, read_lines, read_tensors, read_vectors, root, succeed, task_of, tiny_model},
};

/// The settings of a case, and its losses.
struct Case {
    name: &'static str,
    model: String,
    task: Task,
    lr: f64,
    weight_decay: f64,
    batch_size: usize,
    losses: Vec<f64>,
}

impl Case {
    fn read(name: &'static str) -> Self {
        let text = fs::read_to_string(vectors(&format!("training/{name}/losses.json"))).unwrap();
        let json: Value = serde_json::from_str(&text).unwrap();
        let number = |key: &str| json[key].as_f64().unwrap();
        let model = json["model"].as_str().unwrap().rsplit('/').next().unwrap().to_string();
        Self {
            name,
            task: task_of(&model),
            model,
            lr: number("lr"),
            weight_decay: number("weight_decay"),
            batch_size: number("batch_size") as usize,
            losses: json["losses"]
                .as_array()
                .unwrap()
                .iter()
                .map(|x| x.as_f64().unwrap())
                .collect(),
        }
    }

    /// A file of the case, as a path from the repository's root.
    fn file(&self, file: &str) -> String {
        format!("tests/vectors/training/{}/{file}", self.name)
    }

    fn check_losses(&self, found: &[f64]) {
        assert_eq!((found.len(), self.losses.len()), (20, 20), "{}", self.name);
        let mut largest = 0f64;
        for (step, (found, expected)) in found.iter().zip(&self.losses).enumerate() {
            let difference = (found - expected).abs() / expected.abs();
            assert!(difference < 1e-4, "{} step {}: {found}, not {expected}", self.name, step + 1);
            largest = largest.max(difference);
        }
        println!("{}: losses within {largest:.1e}", self.name);
    }

    /// Runs `peft train` with the settings of the case, from its adapter of step 0.
    fn train_as_process(&self, method: &str) {
        let dir = tempfile::tempdir().unwrap();
        let (out, metrics) = (dir.path().join("out"), dir.path().join("steps.jsonl"));
        let mut command = peft(&root());
        command.args(["train", "--model", &tiny_model(&self.model), "--method", method]);
        command.args(["--task", self.task.name(), "--train", &self.file("rows.jsonl")]);
        command.args(["--init-adapter", &self.file("init"), "--no-shuffle"]);
        command.args(["--optimizer", "adamw", "--schedule", "constant"]);
        command.args(["--lr", &self.lr.to_string()]);
        if self.task.has_head() {
            command.args(["--head-lr", &self.lr.to_string()]);
        }
        command.args(["--weight-decay", &self.weight_decay.to_string()]);
        command.args(["--batch-size", &self.batch_size.to_string(), "--steps", "20"]);
        command.arg("--out").arg(&out).arg("--metrics-file").arg(&metrics);
        succeed(&mut command);

        let lines = read_lines(&metrics);
        for (index, line) in lines.iter().enumerate() {
            assert_eq!(line["step"], index + 1);
            assert_eq!(line["lr"], self.lr);
            assert!(line["tokens"].as_u64().unwrap() > 0);
            assert!(line["tokens_per_second"].as_f64().unwrap() > 0.0);
        }
        let losses: Vec<f64> = lines.iter().map(|line| line["loss"].as_f64().unwrap()).collect();
        self.check_losses(&losses);
        let found = read_tensors(&out.join("adapter_model.safetensors"));
        let expected =
            read_vectors(&format!("training/{}/final/adapter_model.safetensors", self.name));
        let largest = assert_tensors_near(&found, &expected, 1e-3);
        println!("{}: final tensors within {largest:.1e}", self.name);
    }
}

#[test]
fn prompts_follow_torch() {
    for name in ["gpt2-prompt", "bert-prompt"] {
        Case::read(name).train_as_process("prompt");
    }
}

#[test]
fn prefixes_without_the_mlp_follow_torch() {
    for name in ["gpt2-prefix", "llama-prefix", "bert-prefix", "bert-tok-prefix"] {
        Case::read(name).train_as_process("prefix");
    }
}

#[test]
fn p_tuning_v2_follows_torch() {
    // On all layers it is a prefix without the MLP, so PEFT's prefix serves as a reference for it too.
    for name in ["gpt2-ptv2", "bert-tok-prefix"] {
        Case::read(name).train_as_process("ptv2");
    }
}

/// The rows of a case.
fn examples(base: &Loaded, dir: &Path, task: Task, case: &str) -> Vec<Example> {
    let records = read_records(&vectors(&format!("training/{case}/rows.jsonl"))).unwrap();
    let settings = EncodeSettings {
        task,
        problem_type: ProblemType::default(),
        labels: None,
        num_classes: None,
        fields: FieldNames::default(),
        chat: ChatSettings::default(),
        asked: ChatArgs::default(),
        source_template: None,
        source_prefix: None,
        target_template: None,
        lengths: Lengths::default(),
        skip_unlabelled: false,
        targets: true,
    };
    let rows = records.into_iter().map(Ok);
    encode(base, &dir.to_path_buf().into(), rows, &settings).unwrap().examples
}

/// Twenty steps of batches in the order of the rows.
fn settings(task: Task, batch_size: usize, lr: f64, weight_decay: f64) -> TrainConfig {
    let mut config = TrainConfig {
        steps: Some(20),
        batch_size,
        lr,
        schedule: Schedule::Constant,
        shuffle: false,
        bucket: false,
        ..TrainConfig::new(task)
    };
    config.optimizer = config.optimizer.with_weight_decay(weight_decay);
    config
}

/// Two tasks share a prefix, as two PEFT models with one prompt encoder between them do: `python/make_joint.py`.
#[test]
fn tasks_that_share_a_prefix_follow_torch() {
    let text = fs::read_to_string(vectors("training/bert-joint/losses.json")).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    let number = |key: &str| json[key].as_f64().unwrap();
    let dir = vectors("logits/bert");
    let base = peft_models::load(&dir, &device()).unwrap();
    let (model, spec) = (base.model.as_ref(), base.model.spec());
    let start = Adapter::load(&vectors("training/bert-prefix/init")).unwrap();
    let state = start.training_state(spec, &device()).unwrap();
    let config = PTuningV2Config::new(start.config.num_virtual_tokens);
    let method = PTuningV2::from_state(config, spec, &state, &device().autodiff()).unwrap();
    let tasks =
        [("classes", Task::SeqCls, "bert-prefix"), ("tags", Task::TokenCls, "bert-tok-prefix")];
    let of_tags = read_vectors("training/bert-joint/tags_init.safetensors");
    let heads = [&start.tensors, &of_tags].into_iter().zip(tasks).map(|(state, (_, task, _))| {
        let layout = model.head_layout(task);
        Some(Head::from_state(layout, spec.hidden_size, state, &device()).unwrap())
    });
    let trainable = Trainable::joint(method, heads);
    let rows = tasks.map(|(_, task, case)| examples(&base, &dir, task, case));
    let joint = Joint {
        tasks: tasks
            .iter()
            .zip(&rows)
            .map(|((name, task, _), rows)| JointTask {
                name: name.to_string(),
                config: settings(
                    *task,
                    number("batch_size") as usize,
                    number("lr"),
                    number("weight_decay"),
                ),
                labels: None,
                weight: if *name == "tags" { number("weight_of_tags") } else { 1.0 },
                data: TrainingData { train: rows, valid: &[] },
                recipe: Value::Null,
            })
            .collect(),
        mixing: Mixing::All,
        best_metric: None,
    };
    let mut reports = Reports::default();
    let run = RunContext::default();
    let outcome = train::train_joint(model, trainable, &joint, &run, &mut reports).unwrap();
    // The losses of the steps, and those of each task.
    let mut found = BTreeMap::<String, Vec<f64>>::new();
    for report in reports.0 {
        let of_step = ("losses".to_string(), report.loss);
        for (name, loss) in report.tasks.into_iter().chain([of_step]) {
            found.entry(name).or_default().push(loss);
        }
    }
    for (name, found) in &found {
        let expected = json[name].as_array().unwrap();
        assert_eq!((found.len(), expected.len()), (20, 20), "{name}");
        let expected = expected.iter().map(|loss| loss.as_f64().unwrap());
        let largest = found
            .iter()
            .zip(expected)
            .map(|(found, expected)| (found - expected).abs() / expected.abs())
            .fold(0.0, f64::max);
        println!("bert-joint: {name} within {largest:.1e}");
        assert!(largest < 1e-4, "{name}: {largest}");
    }
    let mut tensors = outcome.trainable.method.state();
    for ((name, task, _), head) in tasks.into_iter().zip(outcome.trainable.heads()) {
        let state = head.unwrap().state(model.head_layout(task));
        tensors.extend(state.into_iter().map(|(key, data)| (format!("{name}.{key}"), data)));
    }
    let expected = read_vectors("training/bert-joint/final.safetensors");
    let largest = assert_tensors_near(&tensors, &expected, 1e-3);
    println!("bert-joint: final tensors within {largest:.1e}");
}

/// Trains a method that is made by layers, in this process: no adapter folder holds them. Their tensors at the start and at
/// the end are in files of their own. `parts` are the names in the checkpoint of those in the files.
fn follow<M: PeftMethod>(
    name: &'static str,
    make: impl Fn(&NamedTensors, &ModelSpec, &Device) -> M,
    part_of: impl Fn(&str) -> String,
) {
    let case = Case::read(name);
    let dir = vectors(&format!("logits/{}", case.model));
    let base = peft_models::load(&dir, &device()).unwrap();
    let model = base.model.as_ref();
    let start = read_vectors(&format!("training/{name}/init_mlp.safetensors"));
    let method = make(&start, model.spec(), &device().autodiff());
    assert!(method.num_trainable() > method.num_deployed());
    // The head of the adapter that PEFT started from, where there is one.
    let adapter = Adapter::load(&root().join(case.file("init"))).unwrap();
    let layout = model.head_layout(case.task);
    let head = adapter.head(layout, model.spec(), &device().autodiff()).unwrap();
    assert_eq!(head.is_some(), case.task.has_head());

    let examples = examples(&base, &dir, case.task, case.name);
    let train_config = TrainConfig {
        checkpoint_every: Some(20),
        ..settings(case.task, case.batch_size, case.lr, case.weight_decay)
    };
    let mut reports = Reports::default();
    let data = TrainingData { train: &examples, valid: &[] };
    let trainable = Trainable::new(method, head);
    let dir = tempfile::tempdir().unwrap();
    let run = RunContext { dir: Some(dir.path().to_path_buf()), ..RunContext::default() };
    let outcome = train::train(model, trainable, &data, &train_config, &run, &mut reports).unwrap();
    case.check_losses(&reports.0.iter().map(|step| step.loss).collect::<Vec<_>>());
    let Trainable { method, head, .. } = outcome.trainable;
    assert_eq!(method.num_trainable(), method.num_deployed(), "it is folded");
    let mut found = method.state();
    found.extend(head.map(|head| head.state(layout)).unwrap_or_default());
    let expected = final_tensors(name);
    let largest = assert_tensors_near(&found, &expected, 1e-3);
    println!("{name}: final tensors within {largest:.1e}");

    // The parameters of the layers are in the checkpoint, flattened.
    let stored = checkpoint::load(&dir.path().join("checkpoints/step-000020")).unwrap().tensors;
    let expected = read_vectors(&format!("training/{name}/final_mlp.safetensors"));
    for (name, expected) in &expected {
        let part = part_of(name);
        let named = |found: &str| found.starts_with("learner/") && found.ends_with(&part);
        let mut parts = stored.iter().filter(|(found, _)| named(found));
        let (Some((_, found)), None) = (parts.next(), parts.next()) else {
            panic!("{part} is not one of {:?}", stored.keys())
        };
        let numbers: Vec<f32> = found.iter().collect();
        let found = TensorData::new(numbers, expected.shape().clone());
        let difference = difference(&found, expected);
        assert!(difference < 1e-3, "{name}: {difference}");
        println!("{}: {name} within {difference:.1e}", case.name);
    }
}

/// The adapter that PEFT ended with, its head under the names that it has here.
fn final_tensors(name: &str) -> NamedTensors {
    let read = read_vectors(&format!("training/{name}/final/adapter_model.safetensors"));
    let own = |name: String| name.strip_prefix("base_model.").map(String::from).unwrap_or(name);
    read.into_iter().map(|(name, data)| (own(name), data)).collect()
}

#[test]
fn a_prefix_with_its_mlp_follows_torch() {
    let make = |mlp: &NamedTensors, spec: &ModelSpec, device: &Device| {
        let sizes = |name: &str| mlp[name].shape().as_slice().to_vec();
        let (embedding, hidden) = (sizes("embedding.weight"), sizes("transform.0.bias"));
        let config = PrefixConfig::new(embedding[0])
            .with_embedding_size(Some(embedding[1]))
            .with_hidden_size(hidden[0]);
        let prefix = PrefixTuning::from_state(config, spec, mlp, device).unwrap();
        assert!(!prefix.is_folded());
        prefix
    };
    let part_of = |name: &str| match name.strip_prefix("transform.") {
        None => ".embedding".to_string(),
        Some("0.weight") => "weight_in".into(),
        Some("0.bias") => "bias_in".into(),
        Some("2.weight") => "weight_out".into(),
        Some(_) => "bias_out".into(),
    };
    follow("gpt2-prefix-mlp", make, part_of);
}

/// PEFT's P_TUNING, from the same encoder on.
fn p_tuning_follows(name: &'static str, encoder: EncoderConfig) {
    let make = |state: &NamedTensors, spec: &ModelSpec, device: &Device| {
        let [p, h] = state["embedding.weight"].shape().as_slice() else { panic!("Z is a matrix") };
        assert_eq!(*h, spec.hidden_size);
        let encoder = encoder.clone().with_hidden_size(Some(16));
        let config = PromptConfig::new(*p).with_encoder(Some(encoder));
        let prompt = PromptTuning::from_state(config, spec, state, device).unwrap();
        assert!(!prompt.is_folded());
        prompt
    };
    follow(name, make, |name| {
        if name == "embedding.weight" {
            return "method.embeddings".into();
        }
        let (tensor, layer) = name.split_once('.').unwrap();
        match tensor {
            // In PEFT's list every second one is a ReLU.
            "mlp_head" => {
                let (index, kind) = layer.split_once('.').unwrap();
                format!("mlp.{}.{kind}", index.parse::<usize>().unwrap() / 2)
            }
            _ => {
                let (kind, layer) = layer.rsplit_once("_l").unwrap();
                match layer.strip_suffix("_reverse") {
                    Some(layer) => format!("layers.{layer}.backward.{kind}"),
                    None => format!("layers.{layer}.forward.{kind}"),
                }
            }
        }
    });
}

#[test]
fn p_tuning_with_its_mlp_follows_torch() {
    p_tuning_follows("gpt2-p-tuning", EncoderConfig::mlp());
}

#[test]
fn p_tuning_with_its_lstm_follows_torch() {
    for name in ["gpt2-p-tuning-lstm", "bert-p-tuning-lstm"] {
        p_tuning_follows(name, EncoderConfig::lstm());
    }
}
