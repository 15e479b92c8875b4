//! How often training, evaluation and generation read from the device, each time of which a GPU would stop. A test binary
//! of its own, because reads are counted for the whole process, and one test, because tests run side by side.
#![allow(clippy::unwrap_used)]

use burn::tensor::{DType, Device};
use peft_core::{
    FrozenModel, Head, PeftMethod, ProblemType, Task, VirtualTokens,
    contract::readback::reads,
    data::{Example, IGNORE, Target},
    evaluate::Predictor,
    train::{Flow, Observer, RunContext, StepReport, TrainConfig, Trainable, TrainingData, train},
};
use peft_models::{
    LoadOptions, Loaded,
    generate::{Beams, GenerateConfig, Sampling, generate},
};
use peft_prompt::{PromptConfig, PromptInit, PromptTuning};
use peft_ptv2::{PTuningV2, PTuningV2Config, PTuningV2Init};
use peft_tests::{Family, Shape, VOCAB, random_model_with, virtual_tokens::prompt_of};

const SHAPE: Shape = Shape { layers: 2, kv_heads: 2, head_dim: 4, positions: 256 };
const CLASSES: usize = 2;
const ROWS: usize = 14;

/// A model whose batches here have several slices.
fn model(family: Family) -> Loaded {
    random_model_with(family, SHAPE, 3, &Device::flex(), DType::F32, LoadOptions::default())
}

/// Rows of 20 to 85 tokens.
fn rows(target: impl Fn(&[u32], usize) -> Target) -> Vec<Example> {
    let row = |index: usize| {
        let length = 20 + 5 * index;
        let ids: Vec<u32> = (0..length).map(|at| ((7 * at + index) % VOCAB) as u32).collect();
        let target = target(&ids, index);
        Example::new(ids, target, index + 1)
    };
    (0..ROWS).map(row).collect()
}

fn of_class(_: &[u32], index: usize) -> Target {
    Target::Class(index % CLASSES)
}

fn of_tokens(ids: &[u32], _: usize) -> Target {
    let label = |(at, id): (usize, &u32)| if at == 3 { IGNORE } else { i64::from(*id) };
    Target::Tokens(ids.iter().enumerate().map(label).collect())
}

fn head(model: &dyn FrozenModel, task: Task) -> Head {
    let layout = model.head_layout(task);
    Head::init(layout, CLASSES, model.spec().hidden_size, 3, &Device::flex().autodiff())
}

/// The reads of `work`.
fn count(work: impl FnOnce()) -> usize {
    let before = reads();
    work();
    reads() - before
}

/// How many reads there were in all after each step.
struct Steps(Vec<usize>);

impl Observer for Steps {
    fn step(&mut self, _: &StepReport) -> Flow {
        self.0.push(reads());
        Flow::Continue
    }
}

/// Every step reads once, whatever it accumulates, and the run once more: what is returned is finite.
fn of_training<M: PeftMethod>(model: &dyn FrozenModel, method: M, task: Task) {
    let rows = rows(if task == Task::SeqCls { of_class } else { of_tokens });
    let data = TrainingData { train: &rows, valid: &[] };
    let config = TrainConfig {
        steps: Some(6),
        batch_size: 4,
        accumulation: 3,
        clip_norm: Some(1e-3),
        ..TrainConfig::new(task)
    };
    let head = task.has_head().then(|| head(model, task));
    let before = reads();
    let mut steps = Steps(Vec::new());
    let all = count(|| {
        let trainable = Trainable::new(method, head);
        train(model, trainable, &data, &config, &RunContext::default(), &mut steps).unwrap();
    });
    assert_eq!(steps.0, (1..=6).map(|step| before + step).collect::<Vec<_>>());
    assert_eq!(all, 7);
}

/// Every batch of predictions is read once, however many slices it has, whatever is asked of it.
fn of_evaluation() {
    let (encoder, decoder) = (model(Family::Bert), model(Family::Llama));
    let batches = ROWS.div_ceil(4);
    let of = |loaded: &Loaded, task: Task, problem: ProblemType, rows: &[Example]| {
        let model = loaded.model.as_ref();
        assert!(model.lanes().slices(4 * 20) > 0 && model.lanes().slices(4 * 50) > 1);
        let head = task.has_head().then(|| head(model, task));
        let tokens = prompt_of(model, &[1, 2, 3]);
        let predictor = Predictor::new(model, &tokens, head.as_ref(), task).unwrap();
        let predictor = predictor.with_problem_type(problem).with_batch_size(4);
        let check = |what: &str, found: usize| assert_eq!(found, batches, "{task} {what}");
        check("evaluate", count(|| drop(predictor.evaluate(rows, None).unwrap())));
        check("logits", count(|| drop(predictor.logits(rows).unwrap())));
        match task {
            Task::SeqCls => check("classify", count(|| drop(predictor.classify(rows).unwrap()))),
            Task::TokenCls => check("tag", count(|| drop(predictor.tag(rows).unwrap()))),
            Task::QuestionAns => check("answer", count(|| drop(predictor.answer(rows).unwrap()))),
            Task::CausalLm | Task::Seq2SeqLm => {}
        }
    };
    let one = ProblemType::SingleLabel;
    of(&decoder, Task::CausalLm, one, &rows(of_tokens));
    of(&encoder, Task::SeqCls, one, &rows(of_class));
    let tags = |ids: &[u32], _| Target::Tokens(ids.iter().map(|id| i64::from(id % 2)).collect());
    of(&encoder, Task::TokenCls, one, &rows(tags));
    of(
        &encoder,
        Task::QuestionAns,
        one,
        &rows(|_, index| Target::Span { start: 1, end: 1 + index }),
    );
    let several = |_: &[u32], index: usize| Target::Values(vec![(index % 2) as f32, 1.0]);
    of(&encoder, Task::SeqCls, ProblemType::MultiLabel, &rows(several));
    let numbers = |_: &[u32], index: usize| Target::Values(vec![index as f32, (index % 3) as f32]);
    of(&encoder, Task::SeqCls, ProblemType::Regression, &rows(numbers));
}

/// Every new token of a batch takes one read, for all rows together, however it is chosen.
fn of_generation() {
    const NEW: usize = 9;
    let loaded = model(Family::Llama);
    let all: Vec<Vec<u32>> = rows(of_class).into_iter().map(|row| row.input_ids).collect();
    let rows: Vec<&[u32]> = all.iter().map(Vec::as_slice).collect();
    // No token ends a row.
    let base = || GenerateConfig::new(NEW).with_batch_size(ROWS);
    for config in [
        base(),
        base().with_repetition_penalty(1.2),
        base().with_sampling(Sampling::default()).with_num_return_sequences(2),
        base().with_beams(Beams::new(3)),
    ] {
        let made = count(|| {
            let none = VirtualTokens::none();
            generate(loaded.model.as_ref(), &rows, &none, &config, &mut ()).unwrap();
        });
        assert_eq!(made, NEW, "{config:?}");
    }
}

#[test]
fn a_step_a_batch_and_a_token_are_read_once() {
    let (encoder, decoder) = (model(Family::Bert), model(Family::Llama));
    let device = Device::flex().autodiff();
    let model = decoder.model.as_ref();
    let prompt = PromptTuning::init(PromptConfig::new(3), model, &PromptInit::normal(), 3, &device);
    of_training(model, prompt.unwrap(), Task::CausalLm);
    let model = encoder.model.as_ref();
    let init = PTuningV2Init::Random { std: 0.7 };
    let ptv2 = PTuningV2::init(PTuningV2Config::new(3), model, &init, 3, &device);
    of_training(model, ptv2.unwrap(), Task::SeqCls);
    of_evaluation();
    of_generation();
}
