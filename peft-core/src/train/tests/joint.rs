//! Properties of runs on several tasks.
use std::{path::Path, sync::Arc};

use burn::tensor::{Device, Tensor};

use crate::{
    contract::{
        head::{Head, HeadLayout},
        method::{Mode, PeftMethod},
        params,
        spec::Topology,
        task::Task,
    },
    data::{Batch, Example, Labels},
    error::Result,
    evaluate::{Assessment, StatesRoom, frozen_states::FrozenStates},
    optim::Schedule,
    train::{
        batch_loss::Rows,
        gradient::step_gradient,
        step_slices::Share,
        team::Team,
        test_model::{Kind, TestMethod, TinyModel, examples, trainable},
        *,
    },
};

/// A tagger and a classifier of rows of one encoder.
struct Tasks {
    model: TinyModel,
    tags: [Vec<Example>; 2],
    classes: [Vec<Example>; 2],
}

const KINDS: [Kind; 2] = [Kind::Prompt, Kind::Prefix];

impl Tasks {
    fn new() -> Self {
        let rows = |task, count: usize, valid| {
            let mut train = examples(count, task);
            let valid = train.split_off(count - valid);
            [train, valid]
        };
        Self {
            model: TinyModel::new(Topology::EncoderOnly),
            tags: rows(Task::TokenCls, 33, 9),
            classes: rows(Task::SeqCls, 17, 6),
        }
    }

    fn trainable(&self, kind: Kind, dropout: f64) -> Trainable<TestMethod> {
        let one = trainable(&self.model, kind, dropout, Some(2));
        let layout = HeadLayout::linear("classifier", true);
        let other = Head::init(
            layout,
            2,
            one.head.as_ref().unwrap().weight.dims()[1],
            9,
            &Device::default(),
        );
        Trainable::joint(one.method, [one.head, Some(other)])
    }

    fn joint(&self, config: &TrainConfig, mixing: Mixing) -> Joint<'_> {
        Joint { tasks: vec![self.tags(config), self.classes(config)], mixing, best_metric: None }
    }

    fn tags(&self, config: &TrainConfig) -> JointTask<'_> {
        let [train, valid] = &self.tags;
        JointTask {
            name: "tags".into(),
            config: TrainConfig { task: Task::TokenCls, ..config.clone() },
            labels: labels(),
            weight: 1.0,
            data: TrainingData { train, valid },
            recipe: serde_json::json!({ "of": "tags" }),
        }
    }

    fn classes(&self, config: &TrainConfig) -> JointTask<'_> {
        let [train, valid] = &self.classes;
        JointTask {
            name: "classes".into(),
            config: TrainConfig { task: Task::SeqCls, ..config.clone() },
            labels: None,
            weight: 0.5,
            data: TrainingData { train, valid },
            recipe: serde_json::json!({ "of": "classes" }),
        }
    }
}

fn labels() -> Option<Labels> {
    Some(Labels::from_list(vec!["O".into(), "B-odd".into()]).unwrap())
}

fn config(steps: usize) -> TrainConfig {
    TrainConfig {
        steps: Some(steps),
        batch_size: 4,
        lr: 0.05,
        schedule: Schedule::Constant,
        ..TrainConfig::default()
    }
}

#[derive(Default)]
struct Watch {
    reports: Vec<StepReport>,
    stop_at: Option<usize>,
}

impl Observer for Watch {
    fn step(&mut self, report: &StepReport) -> Flow {
        self.reports.push(StepReport { tokens_per_second: 0.0, ..report.clone() });
        if self.stop_at == Some(report.step) { Flow::Stop } else { Flow::Continue }
    }
    fn evaluated(&mut self, _: usize, found: &Assessment, _: bool) {
        assert!(!found.metrics.is_empty());
    }
}

fn in_folder(dir: &Path, resume: bool) -> RunContext {
    RunContext { dir: Some(dir.to_path_buf()), resume, ..RunContext::default() }
}

fn run(
    tasks: &Tasks,
    joint: &Joint<'_>,
    kind: Kind,
    run: &RunContext,
    watch: &mut Watch,
) -> Result<Outcome<TestMethod>> {
    train_joint(&tasks.model, tasks.trainable(kind, 0.2), joint, run, watch)
}

/// All parameters, bit for bit.
fn bits<M: PeftMethod>(trainable: &Trainable<M>) -> Vec<(String, Vec<u32>)> {
    let bits = |(name, data): (String, burn::tensor::TensorData)| {
        (name, data.iter::<f32>().map(f32::to_bits).collect())
    };
    trainable.parameters().unwrap().into_iter().map(bits).collect()
}

#[test]
fn on_one_task_it_is_an_ordinary_run() {
    let tasks = Tasks::new();
    let config = TrainConfig {
        eval_every: Some(2),
        accumulation: 2,
        clip_norm: Some(0.5),
        ..TrainConfig { task: Task::TokenCls, ..config(9) }
    };
    for kind in KINDS {
        let method = || trainable(&tasks.model, kind, 0.2, Some(2));
        let context = RunContext { labels: labels(), ..RunContext::default() };
        let [rows, valid] = &tasks.tags;
        let data = TrainingData { train: rows, valid };
        let mut watch = Watch::default();
        let alone = train(&tasks.model, method(), &data, &config, &context, &mut watch).unwrap();
        for mixing in [Mixing::All, Mixing::Turns, Mixing::Drawn { temperature: 1.0 }] {
            let joint = Joint { tasks: vec![tasks.tags(&config)], mixing, best_metric: None };
            let mut own = Watch::default();
            let context = RunContext::default();
            let found = train_joint(&tasks.model, method(), &joint, &context, &mut own).unwrap();
            assert_eq!(bits(&found.trainable), bits(&alone.trainable), "{mixing:?}");
            assert_eq!((found.step, found.last_step), (alone.step, alone.last_step));
            let losses = |watch: &Watch| watch.reports.iter().map(|r| r.loss).collect::<Vec<_>>();
            assert_eq!(losses(&own), losses(&watch));
            for (mine, theirs) in found.history.iter().zip(&alone.history) {
                assert_eq!(joint.tasks[0].scores(&mine.metrics), theirs.metrics);
                assert_eq!(mine.metrics.get("mean"), theirs.metrics.get("f1"));
                assert_eq!(mine.metrics.get("loss"), theirs.metrics.get("loss"));
            }
        }
    }
}

/// The gradient of the virtual tokens is the weighted sum of those of the tasks, that of a head is its task's own.
#[test]
fn gradients_are_those_of_the_tasks_added_up() {
    let tasks = Tasks::new();
    let config = config(1);
    let joint = tasks.joint(&config, Mixing::All);
    let frozen = Arc::new(FrozenStates::new(StatesRoom::default(), None));
    let share = |task: usize, weight: f64| Share {
        task,
        config: &joint.tasks[task].config,
        batches: vec![[0, 3, 5], [7, 8, 1]]
            .into_iter()
            .map(|rows| Batch { rows: rows.to_vec(), packed: None })
            .map(|batch| Rows::new(joint.tasks[task].data.train, batch))
            .collect(),
        weight,
    };
    for kind in KINDS {
        let whole = params::as_leaves(tasks.trainable(kind, 0.0));
        let of = |shares: Vec<Share<'_>>| {
            let team = Team::alone(&tasks.model, frozen.clone());
            step_gradient(&team, None, &whole, &shares, (Mode::Evaluate, 0), None).unwrap()
        };
        let both = of(vec![share(0, 1.0), share(1, 0.25)]);
        let (tags, classes) = (of(vec![share(0, 1.0)]), of(vec![share(1, 1.0)]));
        let names: Vec<String> = params::values(&whole).into_iter().map(|flat| flat.name).collect();
        assert_eq!(names.len(), both.gradients.len());
        assert!(names.iter().any(|name| name == "other_heads.0.weight"), "{names:?}");
        for (index, name) in names.iter().enumerate() {
            let numbers = |flat: &Option<Tensor<1>>| -> Option<Vec<f32>> {
                flat.as_ref().map(|flat| flat.to_data().iter().collect())
            };
            let found = numbers(&both.gradients[index]).unwrap();
            let one = numbers(&tags.gradients[index]);
            let two = numbers(&classes.gradients[index]);
            match name {
                _ if name.starts_with("head.") => assert!(two.is_none()),
                _ if name.starts_with("other_heads.") => assert!(one.is_none()),
                _ => assert!(one.is_some() && two.is_some()),
            }
            let at = |of: &Option<Vec<f32>>, place: usize| of.as_ref().map_or(0.0, |of| of[place]);
            assert!(found.iter().any(|value| *value != 0.0), "{name}");
            for (place, found) in found.iter().enumerate() {
                let expected = at(&one, place) + 0.25 * at(&two, place);
                assert!(
                    (found - expected).abs() <= 1e-6 + 1e-4 * expected.abs(),
                    "{name}: {found} {expected}"
                );
            }
        }
        assert_eq!(both.labelled, tags.labelled + classes.labelled);
        let [both, tags, classes] = [both, tags, classes].map(|of| of.loss.read().unwrap());
        assert!((both.loss - (tags.loss + 0.25 * classes.loss)).abs() < 1e-6);
        let of_tasks: Vec<usize> = both.of_tasks.iter().map(|(task, _)| *task).collect();
        assert_eq!(of_tasks, [0, 1]);
        assert!((both.of_tasks[1].1 - classes.loss).abs() < 1e-6);
    }
}

#[test]
fn a_resumed_run_equals_one_never_stopped() {
    let tasks = Tasks::new();
    let config = TrainConfig {
        eval_every: Some(2),
        checkpoint_every: Some(3),
        accumulation: 2,
        schedule: Schedule::Linear,
        clip_norm: Some(0.5),
        ..config(9)
    };
    for kind in KINDS {
        for mixing in [Mixing::All, Mixing::Turns, Mixing::Drawn { temperature: 2.0 }] {
            let joint = tasks.joint(&config, mixing);
            let mut watch = Watch::default();
            let whole = run(&tasks, &joint, kind, &RunContext::default(), &mut watch).unwrap();
            for stop in 1..9 {
                let dir = tempfile::tempdir().unwrap();
                let mut first = Watch { stop_at: Some(stop), ..Watch::default() };
                let stopped = run(&tasks, &joint, kind, &in_folder(dir.path(), false), &mut first);
                assert!(stopped.unwrap().interrupted);
                let mut second = Watch::default();
                let resumed =
                    run(&tasks, &joint, kind, &in_folder(dir.path(), true), &mut second).unwrap();
                assert_eq!(bits(&resumed.trainable), bits(&whole.trainable), "{mixing:?}, {stop}");
                assert_eq!((resumed.step, &resumed.history), (whole.step, &whole.history));
                assert_eq!([first.reports, second.reports].concat(), watch.reports);
            }
        }
    }
}

#[test]
fn another_run_is_not_resumed() {
    let tasks = Tasks::new();
    let config = TrainConfig { checkpoint_every: Some(2), ..config(4) };
    let joint = tasks.joint(&config, Mixing::All);
    let dir = tempfile::tempdir().unwrap();
    run(&tasks, &joint, KINDS[1], &in_folder(dir.path(), false), &mut Watch::default()).unwrap();
    type Change = fn(&mut Joint<'_>);
    let changes: [(&str, Change); 6] = [
        ("classes: weight (then 0.5, now 2.0)", |joint| joint.tasks[1].weight = 2.0),
        ("mixing", |joint| joint.mixing = Mixing::Turns),
        ("tasks (then", |joint| joint.tasks[1].name = "other".into()),
        ("tags: training rows (other content)", |joint| {
            joint.tasks[0].data.train = &joint.tasks[0].data.train[1..];
        }),
        ("classes: label_smoothing", |joint| joint.tasks[1].config.label_smoothing = 0.1),
        ("best_metric", |joint| joint.best_metric = Some("tags".into())),
    ];
    for (says, change) in changes {
        let mut other = joint.clone();
        change(&mut other);
        let context = in_folder(dir.path(), true);
        let error = run(&tasks, &other, KINDS[1], &context, &mut Watch::default()).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    let weightier = TrainConfig { steps: Some(6), ..config };
    let longer = tasks.joint(&weightier, Mixing::All);
    run(&tasks, &longer, KINDS[1], &in_folder(dir.path(), true), &mut Watch::default()).unwrap();
}

/// A step without a batch of a task changes neither its head nor what the optimizer keeps of it.
#[test]
fn a_head_learns_from_its_own_task_alone() {
    let tasks = Tasks::new();
    let before = tasks.trainable(Kind::Prefix, 0.0);
    let joint = tasks.joint(&config(1), Mixing::Turns);
    let mut watch = Watch::default();
    let found =
        train_joint(&tasks.model, before.clone(), &joint, &RunContext::default(), &mut watch)
            .unwrap();
    let (before, after) = (before.parameters().unwrap(), found.trainable.parameters().unwrap());
    let differs = |name: &str| {
        // What makes the keys and values is folded away.
        let Some(found) = after.get(name) else { return true };
        before[name].iter::<f32>().zip(found.iter::<f32>()).any(|(before, after)| before != after)
    };
    let changed: Vec<&str> =
        before.keys().map(String::as_str).filter(|name| differs(name)).collect();
    assert!(changed.iter().any(|name| name.starts_with("head.")), "{changed:?}");
    assert!(changed.iter().any(|name| name.starts_with("method.")), "{changed:?}");
    assert!(!changed.iter().any(|name| name.starts_with("other_heads.")), "{changed:?}");
    let report = &watch.reports[0];
    assert_eq!(report.tasks.keys().collect::<Vec<_>>(), ["tags"]);
    assert_eq!(report.loss, report.tasks["tags"]);
}

#[test]
fn the_best_step_is_that_of_the_mean_or_of_a_task() {
    let tasks = Tasks::new();
    let config = TrainConfig { eval_every: Some(1), ..config(8) };
    let best = |name: Option<&str>| {
        let best_metric = name.map(str::to_string);
        let joint = Joint { best_metric, ..tasks.joint(&config, Mixing::All) };
        let context = RunContext::default();
        run(&tasks, &joint, Kind::Prefix, &context, &mut Watch::default()).map(|found| {
            let by = joint.best_metric().unwrap();
            let value = |step: usize| found.history[step - 1].metrics.get(&by.name).unwrap();
            let best = value(found.step);
            assert!((1..=8).all(|step| !by.better(value(step), Some(best))), "{name:?}");
            by.name
        })
    };
    assert_eq!(best(None).unwrap(), "mean");
    assert_eq!(best(Some("loss")).unwrap(), "loss");
    assert_eq!(best(Some("tags")).unwrap(), "tags.f1");
    assert_eq!(best(Some("classes.loss")).unwrap(), "classes.loss");
    let said = |name| best(Some(name)).unwrap_err().to_string();
    assert!(said("classes.bleu").contains("found `bleu`, expected one of loss, accuracy"));
    assert!(said("others").contains("expected mean, loss, or a task"), "{}", said("others"));
}

#[test]
fn scores_are_of_each_task_and_of_all() {
    let tasks = Tasks::new();
    let joint = tasks.joint(&config(2), Mixing::All);
    let context = RunContext::default();
    let found = run(&tasks, &joint, Kind::Prompt, &context, &mut Watch::default()).unwrap();
    let all = found.metrics.clone().unwrap();
    let of = |name: &str| all.get(name).unwrap();
    assert_eq!(of("loss"), of("tags.loss") + 0.5 * of("classes.loss"));
    assert_eq!(of("mean"), (of("tags.f1") + of("classes.accuracy")) / 2.0);
    let adapters =
        joint.adapters(&found.trainable, found.metrics.as_ref(), &tasks.model, &context).unwrap();
    let head = |adapter: &crate::adapter::Adapter| {
        adapter.tensors.keys().any(|name| name.starts_with("classifier"))
    };
    assert!(!head(&adapters.shared) && adapters.tasks.iter().all(head));
    let prompt = |adapter: &crate::adapter::Adapter| adapter.tensors["prompt_embeddings"].clone();
    assert!(adapters.tasks.iter().all(|adapter| prompt(adapter) == prompt(&adapters.shared)));
    let own = &adapters.tasks[1].config.own;
    assert_eq!(
        (&own.recipe["of"], own.metrics["accuracy"].as_f64()),
        (&"classes".into(), all.get("classes.accuracy"))
    );
    assert_eq!(adapters.tasks[0].config.own.labels.as_ref().map(Vec::len), Some(2));
}

#[test]
fn what_does_not_fit_is_refused_by_its_name() {
    let tasks = Tasks::new();
    let said = |change: fn(&mut Joint<'_>)| {
        let mut joint = tasks.joint(&config(2), Mixing::All);
        change(&mut joint);
        let mut watch = Watch::default();
        let context = RunContext::default();
        let error = run(&tasks, &joint, Kind::Prefix, &context, &mut watch).unwrap_err();
        assert!(watch.reports.is_empty());
        error.to_string()
    };
    type Change = fn(&mut Joint<'_>);
    let cases: [(&str, Change); 12] = [
        ("name: found \"Tags\", and two tasks are called so", |joint| {
            joint.tasks[1].name = "Tags".into()
        }),
        ("name: found \"a/b\", expected letters", |joint| joint.tasks[1].name = "a/b".into()),
        ("name: found \"mean\", which is a score", |joint| joint.tasks[1].name = "mean".into()),
        ("weight: task classes: found 0", |joint| joint.tasks[1].weight = 0.0),
        ("lr: task classes: differs from that of tags", |joint| joint.tasks[1].config.lr = 1.0),
        ("task classes: no training row has a target", |joint| joint.tasks[1].data.train = &[]),
        ("task: task classes: found causal-lm beside token-cls", |joint| {
            joint.tasks[1].config.task = Task::CausalLm;
        }),
        ("best_metric: task classes: found `f1`", |joint| {
            joint.tasks[1].config.best_metric = Some(BestMetric::named("f1"));
        }),
        ("have no mean", |joint| {
            joint.tasks[1].config.best_metric = Some(BestMetric::named("loss"));
        }),
        ("temperature: found 0", |joint| joint.mixing = Mixing::Drawn { temperature: 0.0 }),
        ("tasks: found none", |joint| joint.tasks.clear()),
        ("found 2 heads for 1 tasks", |joint| drop(joint.tasks.pop())),
    ];
    for (says, change) in cases {
        let message = said(change);
        assert!(message.contains(says), "{says}: {message}");
    }
    // A score that is better low goes with others where a score of all is named.
    let mut joint = tasks.joint(&config(2), Mixing::All);
    joint.tasks[1].config.best_metric = Some(BestMetric::named("loss"));
    joint.best_metric = Some("loss".into());
    let context = RunContext::default();
    let found = run(&tasks, &joint, Kind::Prefix, &context, &mut Watch::default()).unwrap();
    assert_eq!(found.metrics.unwrap().get("mean"), None);
    // The name of a mean of losses says that less is better.
    joint.tasks[0].config.best_metric = Some(BestMetric::named("loss"));
    for wanted in [None, Some("mean"), Some("mean.loss")] {
        joint.best_metric = wanted.map(str::to_string);
        assert_eq!(joint.best_metric().unwrap(), BestMetric::named("mean.loss"));
    }
    assert!(!BestMetric::named("mean.loss").maximise);
    let found = run(&tasks, &joint, Kind::Prefix, &context, &mut Watch::default()).unwrap();
    let all = found.metrics.unwrap();
    let of = |name: &str| all.get(name).unwrap();
    assert_eq!(of("mean.loss"), (of("tags.loss") + of("classes.loss")) / 2.0);
    assert_eq!(all.get("mean"), None);
}
