//! Scores of a model with virtual tokens: what is predicted, and from where.

use super::*;
use crate::{
    contract::{mask::Mask, method::Mode, problem_type::ProblemType},
    data::{IGNORE, Target},
    evaluate::Predictor,
    metrics::Metrics,
};

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
