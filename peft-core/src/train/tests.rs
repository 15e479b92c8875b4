//! Properties of whole runs.
#![allow(clippy::unwrap_used)]

mod counted;
mod joint;
mod late;
mod processes;
mod replicas;
mod scaled;
mod shapes;

use std::{fs, path::Path};

use super::{
    checkpoint::Checkpoints,
    test_model::{Kind, TestMethod, TinyModel, examples, trainable},
    *,
};
use crate::{
    contract::{
        batch::{Mask, PaddingSide},
        method::{Mode, PeftMethod},
        problem_type::ProblemType,
        spec::Topology,
        task::Task,
        virtual_tokens::VirtualTokens,
    },
    data::{Example, IGNORE, Labels, Passage, Target, Window},
    error::Error,
    evaluate::{Answer, Assessment, Predictor},
    metrics::{Metrics, SQUAD_V2_SCORES},
    optim::{OptimizerConfig, Schedule, Sgd},
};

/// The tasks, each with a model and a kind of virtual tokens.
const CASES: [(Task, Topology, Kind); 10] = [
    (Task::CausalLm, Topology::DecoderOnly, Kind::Prompt),
    (Task::CausalLm, Topology::DecoderOnly, Kind::Prefix),
    (Task::SeqCls, Topology::EncoderOnly, Kind::Prompt),
    (Task::SeqCls, Topology::DecoderOnly, Kind::Prefix),
    (Task::TokenCls, Topology::EncoderOnly, Kind::Prefix),
    (Task::Seq2SeqLm, Topology::EncoderDecoder, Kind::Prompt),
    (Task::Seq2SeqLm, Topology::EncoderDecoder, Kind::Prefix),
    (Task::QuestionAns, Topology::EncoderOnly, Kind::Prompt),
    (Task::QuestionAns, Topology::EncoderOnly, Kind::Prefix),
    (Task::QuestionAns, Topology::DecoderOnly, Kind::Prompt),
];

#[derive(Default)]
struct Watch {
    reports: Vec<StepReport>,
    notes: Vec<String>,
    saved: usize,
    started: Option<(usize, usize)>,
    /// Step, rows read, rows.
    read: Vec<(usize, usize, usize)>,
    /// Steps that were evaluated, and whether they were the best.
    evaluated: Vec<(usize, bool)>,
    stop_at: Option<usize>,
}

impl Observer for Watch {
    fn started(&mut self, plan: &Plan) -> crate::error::Result<()> {
        self.started = Some((plan.after_step, plan.total_steps));
        Ok(())
    }
    fn step(&mut self, report: &StepReport) -> Flow {
        self.reports.push(report.clone());
        if self.stop_at == Some(report.step) { Flow::Stop } else { Flow::Continue }
    }
    fn evaluating(&mut self, step: usize, rows: usize, of: usize) {
        self.read.push((step, rows, of));
    }
    fn evaluated(&mut self, step: usize, found: &Assessment, is_best: bool) {
        assert!(!found.metrics.is_empty());
        self.evaluated.push((step, is_best));
    }
    fn saved(&mut self, _: &Path) {
        self.saved += 1;
    }
    fn note(&mut self, message: &str) {
        self.notes.push(message.into());
    }
}

/// What a report says, without the time that the step took.
fn said(reports: &[StepReport]) -> Vec<StepReport> {
    reports.iter().map(|report| StepReport { tokens_per_second: 0.0, ..report.clone() }).collect()
}

fn classes(task: Task) -> Option<usize> {
    (!matches!(task, Task::CausalLm | Task::Seq2SeqLm)).then_some(2)
}

fn labels() -> Option<Labels> {
    Some(Labels::from_list(vec!["O".into(), "B-odd".into()]).unwrap())
}

fn config(task: Task, steps: usize) -> TrainConfig {
    TrainConfig {
        steps: Some(steps),
        batch_size: 8,
        lr: 0.05,
        schedule: Schedule::Constant,
        ..TrainConfig::new(task)
    }
}

struct Case {
    task: Task,
    model: TinyModel,
    kind: Kind,
    train: Vec<Example>,
    valid: Vec<Example>,
}

impl Case {
    fn new((task, topology, kind): (Task, Topology, Kind)) -> Self {
        let mut train = examples(33, task);
        let valid = train.split_off(24);
        Self { task, model: TinyModel::new(topology), kind, train, valid }
    }

    fn trainable(&self, dropout: f64) -> Trainable<TestMethod> {
        trainable(&self.model, self.kind, dropout, classes(self.task))
    }

    fn run(
        &self,
        config: &TrainConfig,
        run: &RunContext,
        dropout: f64,
        watch: &mut Watch,
    ) -> crate::error::Result<Outcome<TestMethod>> {
        let data = TrainingData { train: &self.train, valid: &self.valid };
        train(&self.model, self.trainable(dropout), &data, config, run, watch)
    }
}

fn in_folder(dir: &Path, resume: bool) -> RunContext {
    RunContext { dir: Some(dir.to_path_buf()), resume, labels: labels(), ..RunContext::default() }
}

fn anywhere() -> RunContext {
    RunContext { labels: labels(), ..RunContext::default() }
}

/// The bytes of everything that an adapter would hold.
fn bytes(model: &TinyModel, trainable: &Trainable<TestMethod>) -> Vec<(String, Vec<u8>)> {
    let about = anywhere().about(&TrainConfig::new(Task::SeqCls), None).unwrap();
    let tensors = adapter_of(trainable, model, &about).unwrap().tensors;
    tensors.into_iter().map(|(name, data)| (name, data.as_bytes().to_vec())).collect()
}

#[test]
fn the_loss_falls_and_the_frozen_model_stays_as_it_is() {
    for case in CASES {
        let case = Case::new(case);
        let before = case.model.bits();
        let mut watch = Watch::default();
        let config = TrainConfig { padding: PaddingSide::Left, ..config(case.task, 60) };
        let outcome = case.run(&config, &anywhere(), 0.0, &mut watch).unwrap();
        let mean = |part: &[StepReport]| part.iter().map(|r| r.loss).sum::<f64>() / 6.0;
        let (first, last) = (mean(&watch.reports[..6]), mean(&watch.reports[54..]));
        assert!(last < 0.9 * first, "{:?} {:?}: {first} {last}", case.task, case.kind);
        assert_eq!(case.model.bits(), before);
        assert_eq!((outcome.last_step, outcome.step, outcome.history.len()), (60, 60, 1));
        assert!(!outcome.interrupted && !outcome.stopped_early);
        assert!(watch.reports.iter().all(|r| r.tokens > 0 && r.tokens_per_second > 0.0));
    }
}

/// Rows have unequal lengths, so a mean of batch means would be wrong.
#[test]
fn accumulated_batches_equal_one_large_batch() {
    for (case, weighted) in CASES.into_iter().flat_map(|case| [(case, false), (case, true)]) {
        let case = Case::new(case);
        let has_classes = matches!(case.task, Task::SeqCls | Task::TokenCls);
        let smooths = has_classes || case.task.is_language_model();
        let run = |batch_size, accumulation| {
            let config = TrainConfig {
                class_weights: (weighted && has_classes).then(|| vec![0.25, 2.0]),
                label_smoothing: if weighted && smooths { 0.2 } else { 0.0 },
                batch_size,
                accumulation,
                shuffle: false,
                optimizer: OptimizerConfig::Sgd(Sgd::default()),
                lr: 0.3,
                ..config(case.task, 3)
            };
            let mut watch = Watch::default();
            let outcome = case.run(&config, &anywhere(), 0.3, &mut watch).unwrap();
            (outcome.trainable.parameters().unwrap(), watch.reports)
        };
        let (whole, whole_reports) = run(8, 1);
        for (batch_size, accumulation) in [(4, 2), (2, 4), (1, 8)] {
            let (parts, reports) = run(batch_size, accumulation);
            for (name, data) in &whole {
                for (a, b) in data.iter::<f64>().zip(parts[name].iter::<f64>()) {
                    assert!((a - b).abs() < 1e-6, "{name} {a} {b}");
                }
            }
            for (a, b) in whole_reports.iter().zip(reports) {
                assert!((a.loss - b.loss).abs() < 1e-6, "{} {}", a.loss, b.loss);
                assert_eq!((a.tokens, a.labelled), (b.tokens, b.labelled));
            }
        }
    }
}

#[test]
fn packed_batches_make_the_update_of_rows_of_their_own() {
    for case in &CASES[..2] {
        let case = Case::new(*case);
        for padding in [PaddingSide::Right, PaddingSide::Left] {
            let config = TrainConfig { batch_size: 100, padding, ..config(case.task, 6) };
            let run = |packing, packed_length| {
                let mut watch = Watch::default();
                let config = TrainConfig { packing, packed_length, ..config.clone() };
                let outcome = case.run(&config, &anywhere(), 0.3, &mut watch).unwrap();
                (watch.reports, outcome)
            };
            let (alone, expected) = run(false, None);
            // The second is longer than the model has positions, which each example has to itself.
            for length in [None, Some(50)] {
                let (packed, found) = run(true, length);
                for (packed, alone) in packed.iter().zip(&alone) {
                    assert_eq!((packed.tokens, packed.labelled), (alone.tokens, alone.labelled));
                    let difference = (packed.loss - alone.loss).abs();
                    assert!(difference < 1e-4, "{length:?}: {} is not {}", packed.loss, alone.loss);
                }
                // Scores of validation rows know nothing of it.
                for (packed, alone) in found.history.iter().zip(&expected.history) {
                    let loss = |of: &Evaluation| of.metrics.get("loss").unwrap();
                    assert!((loss(packed) - loss(alone)).abs() < 1e-4);
                }
                assert!(!found.history.is_empty());
            }
        }
    }
}

#[test]
fn a_resumed_run_equals_one_never_stopped() {
    for case in CASES {
        let case = Case::new(case);
        let config = TrainConfig {
            eval_every: Some(2),
            checkpoint_every: Some(3),
            accumulation: 2,
            schedule: crate::optim::Schedule::Linear,
            clip_norm: Some(0.5),
            ..config(case.task, 11)
        };
        let mut watch = Watch::default();
        let whole = case.run(&config, &anywhere(), 0.2, &mut watch).unwrap();
        for stop in [1, 4, 6, 10] {
            let dir = tempfile::tempdir().unwrap();
            let mut first = Watch { stop_at: Some(stop), ..Watch::default() };
            let run = in_folder(dir.path(), false);
            let stopped = case.run(&config, &run, 0.2, &mut first).unwrap();
            assert!(stopped.interrupted && stopped.last_step == stop);
            let mut second = Watch::default();
            let run = in_folder(dir.path(), true);
            let resumed = case.run(&config, &run, 0.2, &mut second).unwrap();
            assert_eq!(second.started, Some((stop, 11)));
            assert_eq!(
                bytes(&case.model, &resumed.trainable),
                bytes(&case.model, &whole.trainable)
            );
            assert_eq!((resumed.step, &resumed.history), (whole.step, &whole.history));
            assert!(!resumed.interrupted);
            let losses =
                |reports: &[StepReport]| reports.iter().map(|r| r.loss).collect::<Vec<_>>();
            let joined = [losses(&first.reports), losses(&second.reports)].concat();
            assert_eq!(joined, losses(&watch.reports));
            // Once more: there is nothing left to do.
            let again = case.run(&config, &run, 0.2, &mut Watch::default()).unwrap();
            assert_eq!(bytes(&case.model, &again.trainable), bytes(&case.model, &whole.trainable));
        }
    }
}

#[test]
fn a_damaged_checkpoint_is_passed_over() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 6] = [
        ("SHA-256", |folder| {
            let path = folder.join("state.safetensors");
            let mut bytes = fs::read(&path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(path, bytes).unwrap();
        }),
        ("state.json", |folder| {
            let path = folder.join("state.json");
            let bytes = fs::read(&path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("state.json: has the SHA-256", |folder| {
            let path = folder.join("state.json");
            let text = fs::read_to_string(&path).unwrap();
            fs::write(path, text.replace("\"step\": ", "\"step\": 1")).unwrap();
        }),
        ("SHA256SUMS: has no line for adapter_config.json", |folder| {
            let path = folder.join("SHA256SUMS");
            let text = fs::read_to_string(&path).unwrap();
            fs::write(path, text.replace("config", "Config")).unwrap();
        }),
        ("adapter_model.safetensors", |folder| {
            fs::write(folder.join("adapter_model.safetensors"), b"").unwrap();
        }),
        ("state.safetensors", |folder| {
            fs::remove_file(folder.join("state.safetensors")).unwrap();
        }),
    ];
    let case = Case::new(CASES[0]);
    let config = TrainConfig { checkpoint_every: Some(2), ..config(case.task, 8) };
    let whole = case.run(&config, &anywhere(), 0.1, &mut Watch::default()).unwrap();
    for (named, damage) in damages {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = Watch { stop_at: Some(5), ..Watch::default() };
        case.run(&config, &in_folder(dir.path(), false), 0.1, &mut watch).unwrap();
        let checkpoints = Checkpoints::new(dir.path(), 2);
        let found = checkpoints.list().unwrap();
        assert_eq!(found.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [5, 4]);
        damage(&found[0].1);
        let mut watch = Watch::default();
        let run = in_folder(dir.path(), true);
        let resumed = case.run(&config, &run, 0.1, &mut watch).unwrap();
        assert_eq!(watch.started, Some((4, 8)));
        let note = &watch.notes[0];
        assert!(note.contains("step-000005") && note.contains(named), "{note}");
        assert_eq!(bytes(&case.model, &resumed.trainable), bytes(&case.model, &whole.trainable));
        for (_, folder) in checkpoints.list().unwrap() {
            damage(&folder);
        }
        let mut watch = Watch::default();
        case.run(&config, &run, 0.1, &mut watch).unwrap();
        assert_eq!((watch.started, watch.notes.len()), (Some((0, 8)), 3));
        let steps: Vec<usize> = checkpoints.list().unwrap().iter().map(|(step, _)| *step).collect();
        assert_eq!(steps, [8, 6]);
        let again = in_folder(dir.path(), false);
        let error = case.run(&config, &again, 0.1, &mut Watch::default()).unwrap_err().to_string();
        assert!(error.contains("step-000008") && error.contains("resume"), "{error}");
    }
}

/// Versions before this one wrote no sums of all files.
#[test]
fn a_checkpoint_without_sums_is_read() {
    let case = Case::new(CASES[0]);
    let config = TrainConfig { checkpoint_every: Some(2), ..config(case.task, 8) };
    let whole = case.run(&config, &anywhere(), 0.1, &mut Watch::default()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut watch = Watch { stop_at: Some(5), ..Watch::default() };
    case.run(&config, &in_folder(dir.path(), false), 0.1, &mut watch).unwrap();
    for (_, folder) in Checkpoints::new(dir.path(), 2).list().unwrap() {
        fs::remove_file(folder.join("SHA256SUMS")).unwrap();
    }
    let mut watch = Watch::default();
    let resumed = case.run(&config, &in_folder(dir.path(), true), 0.1, &mut watch).unwrap();
    assert_eq!((watch.started, watch.notes.len()), (Some((5, 8)), 0));
    assert_eq!(bytes(&case.model, &resumed.trainable), bytes(&case.model, &whole.trainable));
}

#[test]
fn a_run_with_other_settings_or_data_is_not_resumed() {
    let case = Case::new(CASES[2]);
    let dir = tempfile::tempdir().unwrap();
    let config = config(case.task, 8);
    let mut watch = Watch { stop_at: Some(3), ..Watch::default() };
    case.run(&config, &in_folder(dir.path(), false), 0.0, &mut watch).unwrap();
    let run = in_folder(dir.path(), true);
    let refused = |case: &Case, config: &TrainConfig, run: &RunContext| {
        case.run(config, run, 0.0, &mut Watch::default()).unwrap_err().to_string()
    };
    let error = refused(&case, &TrainConfig { lr: 0.2, seed: 9, ..config.clone() }, &run);
    assert!(error.contains("lr (then 0.05, now 0.2)"), "{error}");
    assert!(error.contains("seed (then 0, now 9)") && !error.contains("steps"), "{error}");
    let other_format = RunContext { base_weights: Some("int8".into()), ..run.clone() };
    let other_type = RunContext { compute: Some("bf16".into()), ..run.clone() };
    let other_base = RunContext { base_fingerprint: Some("x".into()), ..run.clone() };
    assert!(refused(&case, &config, &other_base).contains("base model"));
    let error = refused(&case, &config, &other_format);
    assert!(error.contains("base weights (then null, now \"int8\")"), "{error}");
    let error = refused(&case, &config, &other_type);
    assert!(error.contains("dtype (then \"f32\", now \"bf16\")"), "{error}");
    assert!(!refused(&case, &TrainConfig { seed: 9, ..config.clone() }, &run).contains("put "));
    let mut other = Case::new(CASES[2]);
    other.train[0].input_ids[0] += 1;
    assert!(refused(&other, &config, &run).contains("training rows (other content)"));
    let storing = TrainConfig { checkpoint_every: Some(4), keep_checkpoints: 1, ..config };
    case.run(&storing, &run, 0.0, &mut Watch::default()).unwrap();
    assert_eq!(Checkpoints::new(dir.path(), 1).list().unwrap().len(), 1);
}

/// With the same weights, another config is another model; another tokenizer is where it gives other tokens.
#[test]
fn a_run_with_another_config_of_the_base_is_not_resumed() {
    let case = Case::new(CASES[2]);
    let dir = tempfile::tempdir().unwrap();
    let config = config(case.task, 8);
    let files = |theta: f64, tokenizer: &str| BaseFiles {
        config_file: "config.json".into(),
        config: serde_json::Map::from_iter([("rope_theta".to_string(), theta.into())]),
        tokenizer: [("tokenizer.json".to_string(), tokenizer.to_string())].into(),
    };
    let on =
        |base_files: BaseFiles, resume| RunContext { base_files, ..in_folder(dir.path(), resume) };
    let mut watch = Watch { stop_at: Some(3), ..Watch::default() };
    case.run(&config, &on(files(1e4, "a"), false), 0.0, &mut watch).unwrap();
    let refused = |case: &Case, files: BaseFiles| {
        case.run(&config, &on(files, true), 0.0, &mut Watch::default()).unwrap_err().to_string()
    };
    let error = refused(&case, files(5e5, "b"));
    let differs = "config.json of the base model: rope_theta (then 10000.0, now 500000.0); put config.json back";
    assert!(error.contains(differs) && !error.contains("tokenizer.json"), "{error}");
    let mut other = Case::new(CASES[2]);
    other.train[0].input_ids[0] += 1;
    let error = refused(&other, files(1e4, "b"));
    let differs = "training rows (other content), tokenizer.json of the base model (other content); put tokenizer.json";
    assert!(error.contains(differs), "{error}");
    let mut watch = Watch { stop_at: Some(4), ..Watch::default() };
    case.run(&config, &on(files(1e4, "b"), true), 0.0, &mut watch).unwrap();
    assert!(
        watch.notes.len() == 1 && watch.notes[0].starts_with("tokenizer.json"),
        "{:?}",
        watch.notes
    );
    // It is the tokenizer of the newest checkpoint that counts.
    let mut watch = Watch { stop_at: Some(5), ..Watch::default() };
    case.run(&config, &on(files(1e4, "b"), true), 0.0, &mut watch).unwrap();
    assert_eq!(watch.notes, [""; 0]);
}

#[test]
fn a_loss_that_is_no_number_ends_the_run_and_writes_nothing_more() {
    let case = Case::new(CASES[0]);
    let dir = tempfile::tempdir().unwrap();
    let config = TrainConfig { checkpoint_every: Some(1), ..config(case.task, 8) };
    let data = TrainingData { train: &case.train, valid: &case.valid };
    let run = in_folder(dir.path(), false);
    let broken = Trainable::new(case.trainable(0.0).method.with_value(f32::NAN), None);
    let error = train(&case.model, broken, &data, &config, &run, &mut Silent).unwrap_err();
    assert!(matches!(error, Error::NotFinite { step: 1, .. }), "{error}");
    assert!(!dir.path().join("checkpoints").exists());
    // The first update makes the parameters infinite: they must not end up in a checkpoint, or in a
    // result.
    let sgd = OptimizerConfig::Sgd(Sgd { momentum: 0.0, weight_decay: 1e10 });
    for steps in [1, 8] {
        let explode = TrainConfig {
            optimizer: sgd,
            lr: 1e38,
            steps: Some(steps),
            checkpoint_every: (steps > 1).then_some(1),
            ..config.clone()
        };
        let error = case.run(&explode, &run, 0.0, &mut Watch::default()).unwrap_err();
        assert!(matches!(error, Error::NotFinite { step: 1, .. }), "{error}");
        assert!(!dir.path().join("checkpoints").exists());
    }
}

/// Adam's first step moves a parameter by its learning rate.
#[test]
fn the_head_learns_at_a_rate_of_its_own() {
    let case = Case::new((Task::SeqCls, Topology::EncoderOnly, Kind::Prefix));
    let case = Case { valid: Vec::new(), ..case };
    let start = case.trainable(0.0).parameters().unwrap();
    let moved = |head_lr: Option<f64>| {
        let config = TrainConfig { head_lr, ..config(case.task, 1) };
        let outcome = case.run(&config, &anywhere(), 0.0, &mut Watch::default()).unwrap();
        let by = |(name, values): (String, burn::tensor::TensorData)| {
            let pairs = values.iter::<f64>().zip(start[&name].iter::<f64>());
            let moved = pairs.map(|(now, then)| (now - then).abs()).fold(0.0, f64::max);
            (name, moved)
        };
        outcome.trainable.parameters().unwrap().into_iter().map(by).collect::<Vec<_>>()
    };
    let same = moved(None);
    assert_eq!(moved(Some(0.05)), same);
    for ((name, moved), (_, same)) in moved(Some(0.2)).into_iter().zip(same) {
        let expected = if name.starts_with("head.") { 0.2 } else { same };
        assert!((moved - expected).abs() < 1e-4, "{name}: {moved}, {expected}");
    }
}

#[test]
fn training_ends_when_the_scores_get_no_better() {
    let case = Case::new(CASES[2]);
    // Steps too small to change any answer.
    let config =
        TrainConfig { lr: 1e-9, eval_every: Some(2), patience: Some(3), ..config(case.task, 100) };
    let mut watch = Watch::default();
    let outcome = case.run(&config, &anywhere(), 0.0, &mut watch).unwrap();
    assert!(outcome.stopped_early && !outcome.interrupted);
    assert_eq!(watch.evaluated, [(2, true), (4, false), (6, false), (8, false)]);
    assert_eq!(watch.read[..3], [(2, 8, 9), (2, 9, 9), (4, 8, 9)]);
    assert_eq!((outcome.step, outcome.last_step, outcome.history.len()), (2, 8, 4));
    assert_eq!(outcome.metrics.unwrap(), outcome.history[0].metrics);
}

#[test]
fn the_best_step_is_kept() {
    let case = Case::new(CASES[0]);
    let config = TrainConfig { lr: 1.5, eval_every: Some(1), ..config(case.task, 12) };
    let outcome = case.run(&config, &anywhere(), 0.0, &mut Watch::default()).unwrap();
    let losses: Vec<f64> =
        outcome.history.iter().map(|found| found.metrics.get("loss").unwrap()).collect();
    let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(losses[outcome.step - 1], best);
    assert!(outcome.step < 12, "a learning rate this high must overshoot: {losses:?}");
    let tokens = outcome.trainable.method.virtual_tokens(Mode::Evaluate);
    let predictor = Predictor::new(&case.model, &tokens, None, case.task).unwrap();
    let again = predictor.with_batch_size(8).evaluate(&case.valid, None).unwrap();
    assert_eq!(again.get("loss"), Some(best));
}

#[test]
fn clipping_bounds_the_step() {
    let case = Case::new(CASES[1]);
    let config = TrainConfig {
        clip_norm: Some(1e-3),
        optimizer: OptimizerConfig::Sgd(Sgd::default()),
        lr: 1.0,
        ..config(case.task, 1)
    };
    let mut watch = Watch::default();
    let start = case.trainable(0.0).fold().parameters().unwrap();
    let outcome = case.run(&config, &anywhere(), 0.0, &mut watch).unwrap();
    assert!(watch.reports[0].grad_norm.unwrap() > 1e-2);
    let end = outcome.trainable.parameters().unwrap();
    let moved: f64 = start
        .iter()
        .flat_map(|(name, data)| data.iter::<f64>().zip(end[name].iter::<f64>()))
        .map(|(a, b)| (a - b).powi(2))
        .sum();
    assert!(moved.sqrt() > 1e-5 && moved.sqrt() < 5e-3, "{}", moved.sqrt());
}

fn close(a: &Metrics, b: &Metrics) {
    assert_eq!(a.len(), b.len());
    for ((name, a), (_, b)) in a.iter().zip(b.iter()) {
        assert!((a - b).abs() < 1e-5, "{name} {a} {b}");
    }
}

#[test]
fn answers_depend_neither_on_the_batch_nor_on_the_side_of_padding() {
    for case in CASES {
        let case = Case::new(case);
        let trainable = case.trainable(0.0).fold();
        let tokens = trainable.method.virtual_tokens(Mode::Evaluate);
        let predictor =
            Predictor::new(&case.model, &tokens, trainable.head.as_ref(), case.task).unwrap();
        let ways = [1, 3, 64].into_iter().flat_map(|size| {
            [PaddingSide::Left, PaddingSide::Right]
                .map(|side| predictor.clone().with_batch_size(size).with_padding(side))
        });
        let expected = predictor.evaluate(&case.train, labels().as_ref()).unwrap();
        let names: Vec<&str> = expected.iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            Predictor::score_names(case.task, ProblemType::SingleLabel, labels().as_ref())
        );
        for way in ways {
            close(&way.evaluate(&case.train, labels().as_ref()).unwrap(), &expected);
            if case.task == Task::SeqCls {
                let found = way.classify(&case.train).unwrap().concat();
                let expected = predictor.classify(&case.train).unwrap().concat();
                assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5));
            }
            if case.task == Task::QuestionAns {
                let found = way.answer(&case.train).unwrap();
                let expected = predictor.answer(&case.train).unwrap();
                assert_eq!(found.len(), case.train.len());
                for (found, expected) in found.iter().zip(&expected) {
                    assert_eq!((found.start, found.end), (expected.start, expected.end));
                    assert!((found.probability - expected.probability).abs() < 1e-5);
                }
            }
            if case.task == Task::TokenCls {
                let found = way.tag(&case.train).unwrap();
                let expected = predictor.tag(&case.train).unwrap();
                for ((found, expected), example) in found.iter().zip(&expected).zip(&case.train) {
                    assert_eq!(found.len(), example.input_ids.len());
                    let same = |(a, b): (&(usize, f32), &(usize, f32))| {
                        a.0 == b.0 && (a.1 - b.1).abs() < 1e-5
                    };
                    assert!(found.iter().zip(expected).all(same));
                }
            }
        }
    }
}

#[test]
fn a_prompt_predicts_the_first_token_and_a_prefix_does_not() {
    let model = TinyModel::new(Topology::DecoderOnly);
    let mut row = examples(1, Task::CausalLm).remove(0);
    row.input_ids = vec![4, 5];
    row.target = Target::Tokens(vec![4, IGNORE]);
    let evaluate = |kind| {
        let tokens = trainable(&model, kind, 0.0, None).method.virtual_tokens(Mode::Evaluate);
        let predictor = Predictor::new(&model, &tokens, None, Task::CausalLm).unwrap();
        predictor.evaluate(std::slice::from_ref(&row), None)
    };
    assert!(evaluate(Kind::Prompt).unwrap().get("loss").unwrap() > 0.0);
    let error = evaluate(Kind::Prefix).unwrap_err().to_string();
    assert_eq!(error, "no row has a target to evaluate");
}

#[test]
fn a_masked_prompt_predicts_no_first_token() {
    let model = TinyModel::new(Topology::DecoderOnly);
    let mut row = examples(1, Task::CausalLm).remove(0);
    row.input_ids = vec![4, 5];
    row.target = Target::Tokens(vec![4, IGNORE]);
    let tokens = trainable(&model, Kind::Prompt, 0.0, None).method.virtual_tokens(Mode::Evaluate);
    let evaluate = |left: usize| {
        let real = (0..tokens.len()).map(|at| at < left).collect();
        let mask = Mask::new(1, tokens.len(), real).unwrap();
        let tokens = tokens.clone().with_mask(mask).unwrap();
        let predictor = Predictor::new(&model, &tokens, None, Task::CausalLm).unwrap();
        predictor.evaluate(std::slice::from_ref(&row), None)
    };
    assert!(evaluate(1).is_ok());
    assert_eq!(evaluate(0).unwrap_err().to_string(), "no row has a target to evaluate");
}

#[test]
fn a_tagger_is_judged_by_entities_only_where_its_labels_are_tags() {
    let names = |names: &[&str]| {
        Some(Labels::from_list(names.iter().map(ToString::to_string).collect()).unwrap())
    };
    let mut case = Case::new(CASES[4]);
    case.valid.truncate(4);
    for (labels, best) in [
        (names(&["O", "B-odd"]), "f1"),
        (names(&["0", "1"]), "accuracy"),
        (names(&["O", "odd"]), "accuracy"),
        (None, "accuracy"),
    ] {
        assert_eq!(
            BestMetric::of_task(case.task, ProblemType::SingleLabel, labels.as_ref()).name,
            best
        );
        let run = RunContext { labels: labels.clone(), ..RunContext::default() };
        let outcome = case.run(&config(case.task, 2), &run, 0.0, &mut Watch::default()).unwrap();
        let metrics = outcome.metrics.unwrap();
        let found: Vec<&str> = metrics.iter().map(|(name, _)| name).collect();
        assert_eq!(
            found,
            Predictor::score_names(case.task, ProblemType::SingleLabel, labels.as_ref())
        );
        assert_eq!(found.contains(&"f1"), best == "f1");
    }
}

#[test]
fn a_step_without_targets_changes_nothing() {
    let mut case = Case::new(CASES[1]);
    for example in &mut case.train[..8] {
        example.target = Target::None;
    }
    let config = TrainConfig { shuffle: false, ..config(case.task, 1) };
    let mut watch = Watch::default();
    let outcome = case.run(&config, &anywhere(), 0.0, &mut watch).unwrap();
    assert_eq!((watch.reports[0].labelled, watch.reports[0].loss), (0, 0.0));
    let start = case.trainable(0.0).fold();
    assert_eq!(bytes(&case.model, &outcome.trainable), bytes(&case.model, &start));
}

#[test]
fn what_does_not_fit_is_refused_before_the_first_step() {
    let refused = |case: &Case, config: &TrainConfig, run: &RunContext| {
        let mut watch = Watch::default();
        let error = case.run(config, run, 0.0, &mut watch).unwrap_err().to_string();
        assert!(watch.reports.is_empty());
        error
    };
    let causal = Case::new(CASES[0]);
    let base = config(Task::CausalLm, 5);
    let with = |change: fn(&mut TrainConfig)| {
        let mut config = base.clone();
        change(&mut config);
        refused(&causal, &config, &anywhere())
    };
    assert!(with(|c| c.task = Task::Seq2SeqLm).starts_with("task: seq2seq-lm needs an encoder-"));
    assert!(with(|c| c.task = Task::QuestionAns).contains("`classifier.weight`"));
    assert!(with(|c| c.task = Task::SeqCls).contains("`classifier.weight`"));
    let mut mixed = Case::new(CASES[0]);
    mixed.train[4].target = Target::Class(1);
    assert!(refused(&mixed, &base, &anywhere()).starts_with("the row of line 5"));
    assert!(with(|c| c.best_metric = Some(BestMetric::named("f1"))).starts_with("best_metric"));
    assert!(with(|c| c.warmup_steps = 5).starts_with("warmup_steps"));
    let resume = RunContext { resume: true, ..RunContext::default() };
    assert!(refused(&causal, &base, &resume).starts_with("resume"));

    let mut long = Case::new(CASES[0]);
    long.train[3].input_ids = vec![1; 30];
    assert!(refused(&long, &base, &anywhere()).starts_with("3 virtual tokens + 30 tokens"));

    let encoder = Case { model: TinyModel::new(Topology::EncoderOnly), ..Case::new(CASES[0]) };
    assert!(refused(&encoder, &base, &anywhere()).contains("decoder-only"));

    let two_sides = Case { model: TinyModel::new(Topology::EncoderDecoder), ..Case::new(CASES[0]) };
    for task in [Task::CausalLm, Task::SeqCls, Task::TokenCls, Task::QuestionAns] {
        let error = refused(&two_sides, &config(task, 5), &anywhere());
        assert!(error.contains("tiny has two and does seq2seq-lm"), "{error}");
    }
    let seq2seq = config(Task::Seq2SeqLm, 5);
    let mut long = Case::new(CASES[5]);
    long.train[3].decoder_input_ids = Some(vec![1; 17]);
    long.train[3].target = Target::Tokens(vec![1; 17]);
    assert!(refused(&long, &seq2seq, &anywhere()).starts_with("0 virtual tokens + 17 tokens"));
    let mut unequal = Case::new(CASES[5]);
    unequal.train[3].decoder_input_ids = Some(vec![1; 9]);
    let error = refused(&unequal, &seq2seq, &anywhere());
    assert!(error.contains("line 4: found 2 targets for 9 decoder tokens"), "{error}");
    let asking = Case::new(CASES[7]);
    let qa = config(Task::QuestionAns, 5);
    let data = TrainingData { train: &asking.train, valid: &asking.valid };
    let wide = trainable(&asking.model, Kind::Prompt, 0.0, Some(3));
    let error = train(&asking.model, wide, &data, &qa, &anywhere(), &mut Silent).unwrap_err();
    assert!(error.to_string().contains("has 3 outputs, qa needs 2"), "{error}");
    let mut outside = Case::new(CASES[7]);
    outside.train[3].target = Target::Span { start: 0, end: 9 };
    let error = refused(&outside, &qa, &anywhere());
    assert!(
        error.contains("line 4: found an answer from token 0 to token 9 in 2 tokens"),
        "{error}"
    );

    let mut empty = Case::new(CASES[0]);
    empty.train.iter_mut().for_each(|example| example.target = Target::None);
    assert!(refused(&empty, &base, &anywhere()).contains("no training row has a target"));
    empty.train.clear();
    assert!(refused(&empty, &base, &anywhere()).contains("no training row"));

    // Nothing predicts token 0 after a prefix.
    let mut first = Case::new(CASES[1]);
    first.train.iter_mut().for_each(|example| {
        example.input_ids = vec![4, 5];
        example.target = Target::Tokens(vec![4, IGNORE]);
    });
    assert!(refused(&first, &base, &anywhere()).contains("no training row has a target"));
    first.kind = Kind::Prompt;
    first.run(&base, &anywhere(), 0.0, &mut Watch::default()).unwrap();

    let mut no_valid = Case::new(CASES[0]);
    no_valid.valid.clear();
    let patient = TrainConfig { patience: Some(1), ..base.clone() };
    assert!(refused(&no_valid, &patient, &anywhere()).starts_with("patience"));
    let outcome = no_valid.run(&base, &anywhere(), 0.0, &mut Watch::default()).unwrap();
    assert_eq!((outcome.step, outcome.metrics, outcome.history.len()), (5, None, 0));

    let mut tagged = Case::new(CASES[4]);
    tagged.train.iter_mut().for_each(|example| {
        example.target = Target::Tokens(vec![7; example.input_ids.len()]);
    });
    let error = refused(&tagged, &config(Task::TokenCls, 5), &anywhere());
    assert!(error.contains("is 7") && error.contains("0 to 1"), "{error}");
    let error =
        Predictor::new(&causal.model, &VirtualTokens::none(), None, Task::TokenCls).unwrap_err();
    assert!(error.to_string().contains("classifier"), "{error}");
}

/// The loss of a step equals that of an evaluation before it, which computes spans differently.
#[test]
fn a_step_s_loss_is_the_evaluation_s() {
    for case in CASES {
        let case = Case::new(case);
        let config = TrainConfig {
            batch_size: case.train.len(),
            padding: PaddingSide::Left,
            ..config(case.task, 1)
        };
        let mut watch = Watch::default();
        case.run(&config, &anywhere(), 0.0, &mut watch).unwrap();
        let trainable = case.trainable(0.0).fold();
        let tokens = trainable.method.virtual_tokens(Mode::Evaluate);
        let predictor =
            Predictor::new(&case.model, &tokens, trainable.head.as_ref(), case.task).unwrap();
        let metrics = predictor.evaluate(&case.train, None).unwrap();
        let (loss, expected) = (watch.reports[0].loss, metrics.get("loss").unwrap());
        assert!((loss - expected).abs() < 1e-5, "{:?}: {loss} {expected}", case.task);
    }
}

/// Of rows of one class the weight drops out, and two means are averaged by the weights of their rows.
#[test]
fn classes_count_as_much_as_their_weights() {
    let case = Case::new(CASES[2]);
    let base = config(case.task, 1);
    let loss = |rows: &[Example], weights: Option<Vec<f32>>| {
        let config = TrainConfig { batch_size: rows.len(), class_weights: weights, ..base.clone() };
        let data = TrainingData { train: rows, valid: &[] };
        let mut watch = Watch::default();
        train(&case.model, case.trainable(0.0), &data, &config, &anywhere(), &mut watch).unwrap();
        watch.reports[0].loss
    };
    let (first, second): (Vec<Example>, Vec<Example>) =
        case.train.iter().cloned().partition(|row| row.target == Target::Class(0));
    let (a, b) = (loss(&first, None), loss(&second, None));
    assert!((loss(&first, Some(vec![0.25, 2.0])) - a).abs() < 1e-5);
    let weight = (0.25 * first.len() as f64, 2.0 * second.len() as f64);
    let expected = (weight.0 * a + weight.1 * b) / (weight.0 + weight.1);
    let found = loss(&case.train, Some(vec![0.25, 2.0]));
    assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    // A class that counts nothing.
    assert_eq!(loss(&first, Some(vec![0.0, 1.0])), 0.0);
    assert!((loss(&case.train, Some(vec![0.0, 1.0])) - b).abs() < 1e-5);

    let refused = |task, weights: Option<Vec<f32>>, smoothing| {
        let config =
            TrainConfig { class_weights: weights, label_smoothing: smoothing, ..config(task, 1) };
        config.validate().unwrap_err().to_string()
    };
    for (task, weights, smoothing, says) in [
        (Task::CausalLm, Some(vec![1.0, 1.0]), 0.0, "class_weights: not used by causal-lm"),
        (Task::QuestionAns, None, 0.1, "label_smoothing: not used by qa"),
        (Task::SeqCls, None, 1.0, "label_smoothing: found 1"),
        (Task::SeqCls, None, f64::NAN, "label_smoothing: found NaN"),
        (Task::SeqCls, Some(vec![1.0, -1.0]), 0.0, "class_weights: found -1"),
        (Task::SeqCls, Some(vec![0.0, 0.0]), 0.0, "class_weights: all are 0"),
    ] {
        let error = refused(task, weights, smoothing);
        assert!(error.contains(says), "{error}");
    }
    let data = TrainingData { train: &case.train, valid: &[] };
    let config = TrainConfig { class_weights: Some(vec![1.0; 3]), ..base };
    let error = train(&case.model, case.trainable(0.0), &data, &config, &anywhere(), &mut Silent)
        .unwrap_err();
    assert!(error.to_string().contains("weights for 3 classes, the head has 2"), "{error}");
}

#[test]
fn the_best_window_of_a_question_answers_it() {
    let case = Case::new(CASES[8]);
    let trainable = case.trainable(0.0).fold();
    let tokens = trainable.method.virtual_tokens(Mode::Evaluate);
    let predictor =
        Predictor::new(&case.model, &tokens, trainable.head.as_ref(), case.task).unwrap();
    let alone = predictor.answer(&case.train).unwrap();
    // Rows 1 to 4 are windows of one question; the first token of a window is not context.
    let passage = |answers: &[&str]| {
        let answers = Some(answers.iter().map(ToString::to_string).collect());
        std::sync::Arc::new(Passage { context: "abcdefgh".into(), answers })
    };
    let shared = passage(&["the h", "x"]);
    let mut rows = case.train[..6].to_vec();
    for (at, row) in rows.iter_mut().enumerate() {
        let passage = if (1..=4).contains(&at) { shared.clone() } else { passage(&["a"]) };
        let tokens = row.input_ids.len();
        let bytes = (0..tokens).map(|token| {
            let context = tokens == 1 || token > 0;
            context.then_some((token, token + 1))
        });
        row.window = Some(Window { passage, bytes: bytes.collect() });
    }
    let answers = predictor.answer(&rows).unwrap();
    assert_eq!(answers.len(), 3);
    assert_eq!((answers[0].example, answers[2].example), (0, 5));
    let chosen = answers[1];
    assert!((1..=4).contains(&chosen.example));
    for (row, own) in rows.iter().zip(&alone).take(5).skip(1) {
        // Fewer tokens may be chosen, so no window beats its result when all of them could be
        // chosen.
        let single = predictor.answer(std::slice::from_ref(row)).unwrap()[0];
        assert!(single.probability <= own.probability + 1e-9);
        assert!(single.probability <= chosen.probability + 1e-6);
        assert!(row.input_ids.len() == 1 || single.start > 0);
    }
    let one = predictor.clone().with_max_answer_length(1).answer(&rows).unwrap();
    assert!(one.iter().all(|answer| answer.start == answer.end));
    let metrics = predictor.evaluate(&rows, None).unwrap();
    let words = |answer: &Answer| {
        let window = rows[answer.example].window.clone().unwrap();
        window.excerpt(answer.start, answer.end).unwrap().text.to_owned()
    };
    let right = |text: String, of: &[&str]| f64::from(u8::from(of.contains(&text.as_str())));
    let expected = right(words(&answers[0]), &["a", ""])
        + right(words(&answers[1]), &["h", "x"])
        + right(words(&answers[2]), &["a", ""]);
    assert!((metrics.get("exact_match").unwrap() - expected / 3.0).abs() < 1e-9);
}

#[test]
fn a_question_may_have_no_answer() {
    let mut case = Case::new(CASES[8]);
    let mut rows = case.train[..6].to_vec();
    for (at, row) in rows.iter_mut().enumerate() {
        let answers = if at % 2 == 0 { vec!["c d".to_string()] } else { Vec::new() };
        let context = "bcdefghijklmnopqrs".to_string();
        let passage = std::sync::Arc::new(Passage { context, answers: Some(answers) });
        let tokens = row.input_ids.len();
        let bytes =
            (0..tokens).map(|token| (tokens == 1 || token > 0).then_some((token, token + 1)));
        row.window = Some(Window { passage, bytes: bytes.collect() });
    }
    case.valid = rows;
    let rows = &case.valid;
    let trainable = case.trainable(0.0).fold();
    let tokens = trainable.method.virtual_tokens(Mode::Evaluate);
    let predictor =
        Predictor::new(&case.model, &tokens, trainable.head.as_ref(), case.task).unwrap();
    let metrics = predictor.evaluate(rows, None).unwrap();
    let names: Vec<&str> = metrics.iter().map(|(name, _)| name).collect();
    assert_eq!(names[0], "loss");
    assert_eq!(names[1..], SQUAD_V2_SCORES);
    assert_eq!((metrics.get("total"), metrics.get("NoAns_total")), (Some(6.0), Some(3.0)));
    // Rows that are to be predicted say nothing of it.
    assert!(predictor.answer(rows).unwrap().iter().all(|answer| answer.null.is_none()));
    for (threshold, is_null) in [(f64::MAX, false), (f64::MIN, true)] {
        let predictor = predictor.clone().with_null_score_diff_threshold(Some(threshold));
        let answers = predictor.answer(rows).unwrap();
        assert_eq!(answers.len(), 6);
        let logits = predictor.logits(rows).unwrap();
        for (answer, logits) in answers.iter().zip(&logits) {
            let null = answer.null.unwrap();
            assert_eq!(null.is_chosen, is_null);
            let ends: Vec<f64> = logits.iter::<f64>().collect();
            let score = |start: usize, end: usize| ends[2 * start] + ends[2 * end + 1];
            let diff = score(0, 0) - score(answer.start, answer.end);
            assert!((null.score_diff - diff).abs() < 1e-5, "{} {diff}", null.score_diff);
        }
        let scores = predictor.evaluate(rows, None).unwrap();
        assert_eq!(scores.get("NoAns_exact"), Some(if is_null { 1.0 } else { 0.0 }));
        assert!(!is_null || scores.get("HasAns_f1") == Some(0.0));
        for name in ["best_exact", "best_f1"] {
            assert_eq!(scores.get(name), metrics.get(name), "{name}");
        }
    }
    let best = |name: &str| TrainConfig {
        best_metric: Some(BestMetric::named(name)),
        ..config(case.task, 2)
    };
    let outcome = case.run(&best("NoAns_f1"), &anywhere(), 0.0, &mut Watch::default()).unwrap();
    assert!(outcome.metrics.unwrap().get("HasAns_f1").is_some());
    let error = case.run(&best("exact_match"), &anywhere(), 0.0, &mut Watch::default());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("found `exact_match`, expected one of loss, exact, f1"), "{error}");
}

/// The frozen model never saw a reversed row; a prefix teaches it better than chance.
#[test]
fn an_encoder_decoder_learns_to_turn_rows_around() {
    let mut case = Case::new(CASES[6]);
    case.valid = case.train.clone();
    let config = TrainConfig { eval_every: Some(150), ..config(case.task, 300) };
    let outcome = case.run(&config, &anywhere(), 0.0, &mut Watch::default()).unwrap();
    let score = |at: usize, name: &str| outcome.history[at].metrics.get(name).unwrap();
    let tokens = case.trainable(0.0).fold().method.virtual_tokens(Mode::Evaluate);
    let before = Predictor::new(&case.model, &tokens, None, case.task).unwrap();
    let before = before.evaluate(&case.valid, None).unwrap();
    assert!(score(1, "loss") < before.get("loss").unwrap() - 0.2);
    assert!(score(1, "accuracy") > before.get("accuracy").unwrap() + 0.1);
    assert!((score(1, "perplexity") - score(1, "loss").exp()).abs() < 1e-9);
}
