//! Training gives the losses and tensors of PEFT with torch's AdamW, step by step.
//!
//! Vectors: `python/make_training.py` and `make_joint.py`, which say how they were made.

use std::{collections::BTreeMap, fs, path::Path};

use burn::tensor::TensorData;
use peft_cli::{
    encode_rows::encode,
    encoding::{ChatArgs, ChatSettings, EncodeSettings, Lengths},
};
use peft_core::{
    Adapter, Head, PeftMethod, ProblemType, Task,
    data::Example,
    optim::Schedule,
    text::{FieldNames, read_records},
    train::{
        self, Flow, Joint, JointTask, Mixing, Observer, RunContext, StepReport, TrainConfig,
        Trainable, TrainingData, checkpoint,
    },
};
use peft_models::Loaded;
use peft_prefix::{PrefixConfig, PrefixTuning};
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

/// The losses of a run.
#[derive(Default)]
struct Losses(Vec<f64>);

impl Observer for Losses {
    fn step(&mut self, report: &StepReport) -> Flow {
        self.0.push(report.loss);
        Flow::Continue
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
    /// The losses of the steps and of each task.
    #[derive(Default)]
    struct OfTasks(BTreeMap<String, Vec<f64>>);
    impl Observer for OfTasks {
        fn step(&mut self, report: &StepReport) -> Flow {
            let of_step = ("losses".to_string(), report.loss);
            for (name, loss) in report.tasks.clone().into_iter().chain([of_step]) {
                self.0.entry(name).or_default().push(loss);
            }
            Flow::Continue
        }
    }
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
    let mut found = OfTasks::default();
    let run = RunContext::default();
    let outcome = train::train_joint(model, trainable, &joint, &run, &mut found).unwrap();
    for (name, found) in &found.0 {
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

/// No adapter folder holds an MLP: its tensors are in a file of their own.
#[test]
fn a_prefix_with_its_mlp_follows_torch() {
    let case = Case::read("gpt2-prefix-mlp");
    let dir = vectors(&format!("logits/{}", case.model));
    let base = peft_models::load(&dir, &device()).unwrap();
    let model = base.model.as_ref();
    let mlp = read_vectors("training/gpt2-prefix-mlp/init_mlp.safetensors");
    let sizes = |name: &str| mlp[name].shape().as_slice().to_vec();
    let (embedding, hidden) = (sizes("embedding.weight"), sizes("transform.0.bias"));
    let config = PrefixConfig::new(embedding[0])
        .with_embedding_size(Some(embedding[1]))
        .with_hidden_size(hidden[0]);
    let prefix =
        PrefixTuning::from_state(config, model.spec(), &mlp, &device().autodiff()).unwrap();
    assert!(!prefix.is_folded());

    let examples = examples(&base, &dir, case.task, case.name);
    let train_config = TrainConfig {
        checkpoint_every: Some(20),
        ..settings(case.task, case.batch_size, case.lr, case.weight_decay)
    };
    let mut losses = Losses::default();
    let data = TrainingData { train: &examples, valid: &[] };
    let trainable = Trainable::new(prefix, None);
    let dir = tempfile::tempdir().unwrap();
    let run = RunContext { dir: Some(dir.path().to_path_buf()), ..RunContext::default() };
    let outcome = train::train(model, trainable, &data, &train_config, &run, &mut losses).unwrap();
    case.check_losses(&losses.0);
    assert!(outcome.trainable.method.is_folded());
    let expected = read_vectors("training/gpt2-prefix-mlp/final/adapter_model.safetensors");
    let largest = assert_tensors_near(&outcome.trainable.method.state(), &expected, 1e-3);
    println!("{}: final tensors within {largest:.1e}", case.name);

    // The parameters of the MLP are in the checkpoint, flattened.
    let stored = checkpoint::load(&dir.path().join("checkpoints/step-000020")).unwrap().tensors;
    let expected = read_vectors("training/gpt2-prefix-mlp/final_mlp.safetensors");
    for (part, name) in [
        ("embedding", "embedding.weight"),
        ("weight_in", "transform.0.weight"),
        ("bias_in", "transform.0.bias"),
        ("weight_out", "transform.2.weight"),
        ("bias_out", "transform.2.bias"),
    ] {
        let named = |found: &str| found.starts_with("learner/") && found.ends_with(part);
        let (_, found) = stored.iter().find(|(found, _)| named(found)).unwrap();
        let numbers: Vec<f32> = found.iter().collect();
        let found = TensorData::new(numbers, expected[name].shape().clone());
        let difference = difference(&found, &expected[name]);
        assert!(difference < 1e-3, "{name}: {difference}");
        println!("{}: {name} within {difference:.1e}", case.name);
    }
}
