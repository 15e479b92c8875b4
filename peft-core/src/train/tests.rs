//! Properties of whole runs, and the case, the settings and the observer that they share.
//!
//! | module | what it is |
//! |---|---|
//! | `steps` | what a step learns |
//! | `refused` | what is refused before the first one |
//! | `ended` | when a run ends, and which of its steps it keeps |
//! | `resumed` | runs that go on from a checkpoint |
//! | `scored` | scores: what is predicted, and from where |
//! | `questions` | answers to questions |
//! | `joint` | runs on several tasks |
//! | `late` | steps that are read one step late |
//! | `scaled` | gradients that pass through f16 |
//! | `shapes` | lengths that a device's kernels are tuned to |
//! | `replicas` | runs on several devices |
//! | `processes` | runs of several processes |
//! | `counted` | a model that counts how often it is asked, and fails if it is to |
#![allow(clippy::unwrap_used)]

mod counted;
mod ended;
mod joint;
mod late;
mod processes;
mod questions;
mod refused;
mod replicas;
mod resumed;
mod scaled;
mod scored;
mod shapes;
mod steps;

use std::path::Path;

use super::{
    checkpoint::Checkpoints,
    test_model::{Kind, TestMethod, TinyModel, examples, trainable},
    *,
};
use crate::{
    contract::{batch::PaddingSide, method::PeftMethod, spec::Topology, task::Task},
    data::{Example, Labels},
    error::Error,
    evaluate::Assessment,
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
