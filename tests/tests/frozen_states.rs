//! Hidden states below the first layer with virtual tokens are computed once for each row, and it does not matter
//! whether they are kept, and where: all numbers of a run are the same, bit for bit. In `passes` the passes that this
//! rests on, in `program` the program with it.
#![cfg(feature = "cpu")]

mod passes;
mod program;

use std::{
    collections::HashSet,
    env, fs,
    io::{self, Write},
    mem,
    path::Path,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

use burn::tensor::{DType, Device, TensorData};
use peft_core::{
    FrozenModel, Lanes, PaddingSide, PeftMethod, Site, Task, TokenBatch,
    contract::params,
    data::{Example, Target},
    evaluate::bytes_of_frozen_states,
    methods::{head_only::HeadOnly, prefix::Placement},
    train::{
        Evaluation, Flow, Observer, RunContext, SpareRoom, StepReport, TrainConfig, Trainable,
        TrainingData, train,
    },
};
use peft_models::{LoadOptions, Loaded};
use peft_ptv2::{PTuningV2, PTuningV2Config, PTuningV2Init};
use peft_tests::{
    Family, Shape, VOCAB,
    altered::{Alteration, Altered},
    random_model_with,
};
use proptest::prelude::*;

use crate::lanes::{CLASSES, head, task_of};

const SHAPE: Shape = Shape { layers: 3, kv_heads: 2, head_dim: 4, positions: 64 };
const ROWS: usize = 14;

fn model(family: Family, recompute: bool) -> Loaded {
    let options = LoadOptions { recompute, ..LoadOptions::default() };
    random_model_with(family, SHAPE, 3, &Device::flex(), DType::F32, options)
}

fn ptv2(
    model: &dyn FrozenModel,
    layers: Option<Vec<usize>>,
    sites: Option<Vec<Site>>,
) -> PTuningV2 {
    let device = Device::flex().autodiff();
    let placement = Placement { sites, ..Placement::default() };
    let config = PTuningV2Config::new(3).with_layers(layers).with_placement(placement);
    PTuningV2::init(config, model, &PTuningV2Init::Random { std: 0.7 }, 3, &device).unwrap()
}

/// Rows of 1 to 17 tokens, each different.
fn rows(task: Task) -> Vec<Example> {
    let row = |index: usize| {
        let ids: Vec<u32> =
            (0..1 + 5 * index % 17).map(|at| (7 * at + index) as u32 % VOCAB as u32).collect();
        let learnt = |ids: &[u32]| ids.iter().map(|id| i64::from(*id)).collect();
        match task {
            Task::SeqCls => {
                let types = index.is_multiple_of(3).then(|| vec![0; ids.len()]);
                let row = Example::new(ids, Target::Class(index % CLASSES), index);
                Example { token_type_ids: types, ..row }
            }
            Task::Seq2SeqLm => {
                let answer = ids[..ids.len().min(4)].to_vec();
                let target = Target::Tokens(learnt(&answer));
                Example { decoder_input_ids: Some(answer), ..Example::new(ids, target, index) }
            }
            _ => {
                let target = Target::Tokens(learnt(&ids));
                Example::new(ids, target, index)
            }
        }
    };
    (0..ROWS).map(row).collect()
}

/// Counts the rows whose states below a layer a model is asked for. It has the model's own lanes.
#[derive(Debug, Default)]
struct Counted {
    rows: AtomicUsize,
}

impl Alteration for Counted {
    fn lanes<'a>(&'a self, model: &'a dyn FrozenModel) -> &'a dyn Lanes {
        model.lanes()
    }
    fn computes_below(&self, batch: &TokenBatch) {
        let different: HashSet<&[u32]> = (0..batch.rows())
            .map(|row| {
                let (real, len) = (batch.mask().row(row), batch.row_len(row));
                assert!(real[..len].iter().all(|real| *real), "padded on the left");
                &batch.ids()[row * batch.len()..row * batch.len() + len]
            })
            .collect();
        self.rows.fetch_add(different.len(), Ordering::Relaxed);
    }
}

/// A file on a disk that is full once.
#[derive(Default)]
struct FullOnce {
    was_full: bool,
    written: Vec<u8>,
}

impl Write for FullOnce {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !mem::replace(&mut self.was_full, true) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Default)]
struct Told {
    losses: Vec<f64>,
    notes: Vec<String>,
    spare: SpareRoom,
    /// Has a line for each step from this one on.
    metrics: Option<(usize, FullOnce)>,
}

impl Observer for Told {
    fn spare_room(&mut self, room: SpareRoom) {
        self.spare = room;
    }
    fn step(&mut self, report: &StepReport) -> Flow {
        self.losses.extend([report.loss, report.grad_norm.unwrap()]);
        if let Some((from, file)) = &mut self.metrics
            && report.step >= *from
        {
            let line = format!("{}\n", report.step);
            self.spare.write_all(file, Path::new("metrics.jsonl"), line.as_bytes()).unwrap();
        }
        Flow::Continue
    }
    fn note(&mut self, message: &str) {
        self.notes.push(message.to_string());
    }
}

/// What a run has found.
struct Made {
    /// Its losses, the scores of its evaluations and what it has learnt.
    numbers: Vec<Vec<f64>>,
    /// Of how many rows it has computed the states.
    computed: usize,
    notes: Vec<String>,
}

/// A run of several epochs.
#[derive(Clone, Copy, Debug)]
struct Run {
    task: Task,
    packing: bool,
    padding: PaddingSide,
}

impl Run {
    fn new(task: Task) -> Self {
        Self { task, packing: false, padding: PaddingSide::Right }
    }

    /// What it finds with so many bytes of memory and of a file for states.
    fn make<M: PeftMethod>(&self, model: &dyn FrozenModel, method: &M, room: [u64; 2]) -> Made {
        self.make_and_tell(model, method, room, &mut Told::default())
    }

    fn make_and_tell<M: PeftMethod>(
        &self,
        model: &dyn FrozenModel,
        method: &M,
        [memory, file]: [u64; 2],
        told: &mut Told,
    ) -> Made {
        let (task, rows) = (self.task, rows(self.task));
        let config = TrainConfig {
            epochs: Some(3),
            batch_size: 5,
            clip_norm: Some(1.0),
            lr: 0.1,
            packing: self.packing,
            packed_length: self.packing.then_some(20),
            eval_every: Some(2),
            padding: self.padding,
            ..TrainConfig::new(task)
        };
        let counted = Altered::new(model, Counted::default());
        let (train_rows, valid) = rows.split_at(ROWS - 3);
        let data = TrainingData { train: train_rows, valid };
        let dir = tempfile::tempdir().unwrap();
        let context = RunContext {
            dir: Some(dir.path().to_path_buf()),
            cache_frozen: memory,
            cache_frozen_file: file,
            ..RunContext::default()
        };
        let trainable = Trainable::new(method.clone(), head(model, task));
        let found = train(&counted, trainable, &data, &config, &context, told).unwrap();
        // The file is gone.
        for entry in fs::read_dir(dir.path()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.ends_with(".tmp"), "{name}");
        }
        let scores = |evaluation: &Evaluation| -> Vec<f64> {
            evaluation.metrics.iter().map(|(_, score)| score).collect()
        };
        let scores = found.history.iter().flat_map(scores).collect();
        let numbers = |data: TensorData| data.iter::<f64>().collect();
        let values = params::values(&found.trainable).into_iter();
        let learnt: Vec<Vec<f64>> = values.map(|flat| numbers(flat.values.into_data())).collect();
        Made {
            numbers: [vec![told.losses.clone(), scores], learnt].concat(),
            computed: counted.alteration.rows.into_inner(),
            notes: told.notes.clone(),
        }
    }

    /// The bytes that the states of all rows take.
    fn bytes(&self, model: &dyn FrozenModel) -> u64 {
        rows(self.task).iter().map(|row| bytes_of_frozen_states(model.spec(), row)).sum()
    }

    /// All, some and none of the states kept, in memory and in a file.
    fn check<M: PeftMethod>(&self, model: &dyn FrozenModel, method: &M) {
        let all = self.bytes(model);
        let anew = self.make(model, method, [0, 0]);
        let most = anew.computed;
        assert!(most > 2 * ROWS, "{self:?}: {most} rows");
        for (room, all_fit) in [
            ([all, 0], true),
            ([0, all], true),
            ([all / 2, all - all / 2], true),
            ([all / 2, 0], false),
            ([0, all / 2], false),
            ([all / 4, all / 3], false),
        ] {
            let Made { numbers, computed, notes } = self.make(model, method, room);
            assert_eq!(numbers, anew.numbers, "{self:?}, {room:?}");
            match all_fit {
                true => assert_eq!(computed, ROWS, "{self:?}, {room:?}: each row once"),
                false => assert!((ROWS + 1..most).contains(&computed), "{room:?}: {computed}"),
            }
            assert!(notes.is_empty(), "{notes:?}");
        }
    }
}

#[test]
fn numbers_do_not_depend_on_what_is_kept() {
    for family in Family::ALL {
        for recompute in [false, true] {
            let loaded = model(family, recompute);
            let model = loaded.model.as_ref();
            for layers in [vec![1, 2], vec![2]] {
                let method = ptv2(model, Some(layers), None);
                let run = Run::new(task_of(model));
                run.check(model, &method);
                Run { padding: PaddingSide::Left, ..run }.check(model, &method);
                if family.is_causal() {
                    Run { packing: true, ..run }.check(model, &method);
                }
            }
        }
    }
}

#[test]
fn nor_do_those_of_a_head_alone() {
    for family in Family::ALL {
        let loaded = model(family, false);
        Run::new(Task::SeqCls).check(loaded.model.as_ref(), &HeadOnly::new());
    }
}

#[test]
fn nor_those_of_an_encoder_that_no_virtual_token_enters() {
    for family in Family::ENCODER_DECODER {
        let loaded = model(family, false);
        let model = loaded.model.as_ref();
        let run = Run::new(task_of(model));
        run.check(model, &ptv2(model, None, Some(vec![Site::DecoderSelf, Site::Cross])));
        run.check(model, &ptv2(model, Some(vec![1, 2]), None));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Memory ends within a batch, and so does the file; both may have room for nothing.
    #[test]
    fn whatever_room_there_is(parts in [0.0f64..1.1, 0.0..1.1], causal in any::<bool>()) {
        let loaded = model(if causal { Family::Gpt2 } else { Family::Bert }, false);
        let model = loaded.model.as_ref();
        let method = ptv2(model, Some(vec![1, 2]), None);
        let run = Run { packing: causal, ..Run::new(task_of(model)) };
        let all = run.bytes(model) as f64;
        let anew = run.make(model, &method, [0, 0]);
        let found = run.make(model, &method, parts.map(|part| (part * all) as u64));
        prop_assert_eq!(found.numbers, anew.numbers);
        prop_assert!((ROWS..=anew.computed).contains(&found.computed));
        prop_assert!(parts[0] + parts[1] < 1.01 || found.computed == ROWS);
    }
}

/// Set in the process that may write no large file.
#[cfg(unix)]
const LIMITED: &str = "PEFT_TESTS_LIMITED";

/// Where a file may have so many bytes and no more, as on a full disk.
#[test]
#[cfg(unix)]
fn a_run_goes_on_where_its_file_finds_no_room() {
    if env::var_os(LIMITED).is_none() {
        // Without the signal, a write beyond the limit is an error.
        let script = "trap '' XFSZ; ulimit -f 2; exec \"$0\" \"$@\"";
        let name = "frozen_states::a_run_goes_on_where_its_file_finds_no_room";
        let output = Command::new("sh")
            .args(["-c", script])
            .arg(env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(LIMITED, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
        return;
    }
    for family in [Family::Bert, Family::Gpt2] {
        let loaded = model(family, false);
        let model = loaded.model.as_ref();
        let method = ptv2(model, Some(vec![2]), None);
        let run = Run::new(task_of(model));
        let all = run.bytes(model);
        let anew = run.make(model, &method, [0, 0]);
        for memory in [0, all / 4] {
            let Made { numbers, computed, notes } = run.make(model, &method, [memory, all]);
            assert_eq!(numbers, anew.numbers, "{family:?}");
            // Once, however many rows find no room.
            assert_eq!(notes.len(), 1, "{notes:?}");
            assert!(notes[0].contains("File too large"), "{notes:?}");
            assert!(computed > 2 * ROWS && computed <= anew.computed, "{computed}");
        }
    }
}

/// What the run is for goes before what it can compute again: metrics that find no room take that of the states.
#[test]
fn metrics_take_the_room_of_the_file() {
    let loaded = model(Family::Bert, false);
    let model = loaded.model.as_ref();
    let method = ptv2(model, Some(vec![2]), None);
    let run = Run::new(task_of(model));
    let all = run.bytes(model);
    let anew = run.make(model, &method, [0, 0]);
    // An epoch has three steps: all states are there after the first.
    let mut told = Told { metrics: Some((4, FullOnce::default())), ..Told::default() };
    let found = run.make_and_tell(model, &method, [0, all], &mut told);
    assert_eq!(found.numbers, anew.numbers);
    assert!((ROWS + 1..anew.computed).contains(&found.computed), "{}", found.computed);
    assert_eq!(found.notes.len(), 1, "{:?}", found.notes);
    assert!(found.notes[0].contains(": metrics.jsonl needed its room;"), "{:?}", found.notes);
    let (_, file) = told.metrics.unwrap();
    assert_eq!(file.written, b"4\n5\n6\n7\n8\n9\n");
}

#[test]
fn a_run_without_a_folder_has_no_file() {
    let context =
        RunContext { cache_frozen: 7, cache_frozen_file: 1 << 30, ..RunContext::default() };
    let room = context.room_for_states();
    assert_eq!((room.memory, room.file), (7, 0));
    let context = RunContext { dir: Some("run".into()), ..context };
    assert_eq!(context.room_for_states().total(), 7 + (1 << 30));
}

#[test]
fn where_virtual_tokens_enter_the_first_layer_nothing_is_kept() {
    for family in [Family::Bert, Family::Gpt2, Family::T5] {
        let loaded = model(family, false);
        let model = loaded.model.as_ref();
        let sites = model.spec().is_encoder_decoder().then(|| vec![Site::EncoderSelf]);
        let method = ptv2(model, Some(vec![0, 2]), sites);
        let made = Run::new(task_of(model)).make(model, &method, [1 << 30, 1 << 30]);
        assert_eq!(made.computed, 0);
    }
}
