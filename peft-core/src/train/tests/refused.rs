//! What is refused before the first step.

use burn::{
    module::Param,
    tensor::{Tensor, TensorData},
};

use super::*;
use crate::{
    contract::{
        frozen::FrozenModel,
        head::{Dense, Head, HeadLayout},
        layout::PROMPT_EMBEDDINGS,
        virtual_tokens::VirtualTokens,
    },
    data::{IGNORE, Target},
    evaluate::Predictor,
};

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

#[test]
fn heads_that_cannot_read_the_hidden_states_are_refused() {
    let case = Case::new(CASES[2]);
    let (device, h) = (case.model.device(), case.model.spec().hidden_size);
    let data = TrainingData { train: &case.train, valid: &case.valid };
    let of_width = |h| Head::init(HeadLayout::linear("classifier", true), 2, h, 1, &device);
    let zeros = |size| Param::from_tensor(Tensor::zeros([size], &device));
    let dense = |rows, columns, bias| Dense {
        weight: Param::from_tensor(Tensor::zeros([rows, columns], &device)),
        bias: zeros(bias),
    };
    for (head, says) in [
        (of_width(h + 1), "`classifier.weight` of the shape [2, 9], expected [2, 8]"),
        (
            Head { bias: Some(zeros(3)), ..of_width(h) },
            "`classifier.bias` of the shape [3], expected [2]",
        ),
        (
            Head { dense: Some(dense(h, h + 1, h)), ..of_width(h) },
            "`classifier.dense.weight` of the shape [8, 9], expected [8, 8]",
        ),
        (
            Head { dense: Some(dense(h, h, 1)), ..of_width(h) },
            "`classifier.dense.bias` of the shape [1], expected [8]",
        ),
    ] {
        let none = VirtualTokens::none();
        let found = Predictor::new(&case.model, &none, Some(&head), Task::SeqCls).map(|_| ());
        let error = found.unwrap_err().to_string();
        assert!(error.ends_with(says), "{error}");
        let own = Trainable::new(TestMethod::new(&case.model, case.kind, 3, 0.0), Some(head));
        let config = config(Task::SeqCls, 5);
        let found = train(&case.model, own, &data, &config, &anywhere(), &mut Silent);
        let error = found.map(|_| ()).unwrap_err().to_string();
        assert!(error.ends_with(says), "{error}");
    }
}

#[test]
fn virtual_tokens_that_are_no_matrix_are_refused() {
    for case in [CASES[0], CASES[1]] {
        let case = Case::new(case);
        let about = anywhere().about(&TrainConfig::new(case.task), None).unwrap();
        let mut adapter = adapter_of(&case.trainable(0.0), &case.model, &about).unwrap();
        for shape in [vec![8], vec![1, 3, 8]] {
            let numbers = vec![0.0f32; shape.iter().product()];
            let data = TensorData::new(numbers, shape.clone());
            adapter.tensors.insert(PROMPT_EMBEDDINGS.into(), data);
            let found = adapter.virtual_tokens(case.model.spec(), &case.model.device());
            let error = found.unwrap_err().to_string();
            let says = format!("`{PROMPT_EMBEDDINGS}` has the shape {shape:?}, expected a matrix");
            assert!(error.starts_with(&says), "{error}");
        }
    }
}
