//! Several adapters in one batch, and ensembles of them, give what separate runs give.

use std::{fs, ops::ControlFlow};

use burn::tensor::Device;
use peft_core::{
    Adapter, Error, FrozenModel, Head, PaddingSide, Pooling, ProblemType, Task, VirtualTokens,
    contract::rng,
    data::{Example, Target},
    evaluate::{Member, MultiAdapter, Predictor, RowsRead, Vote},
};
use peft_tests::{
    Family, Shape, device, random_model,
    strategies::{family, ids},
    vectors,
    virtual_tokens::{random_prefix, random_prompt},
};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};

use crate::support::{parse_lines, peft, read_lines, root, succeed, tiny_model};

/// The virtual tokens of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Base,
    Prompt,
    Prefix,
    LastLayer,
}

/// A member with random values: P virtual tokens of a kind and a head for C classes.
fn member(
    model: &dyn FrozenModel,
    kind: Kind,
    p: usize,
    [classes, place]: [usize; 2],
    task: Task,
) -> Member {
    let spec = model.spec();
    let site = spec.self_site().unwrap().site;
    let mut stream = rng::stream(7, place as u64, "member");
    let virtual_tokens = match kind {
        Kind::Base => VirtualTokens::none(),
        Kind::Prompt => random_prompt(model, [1, p], &mut stream, &device()),
        Kind::Prefix | Kind::LastLayer => {
            let last = kind == Kind::LastLayer;
            random_prefix(model, &[site], last, [1, p], &mut stream, &device())
        }
    };
    let layout = model.head_layout(task);
    let mut head = Head::init(layout, classes, spec.hidden_size, place as u64, &device());
    head.weight = head.weight.map(|weight| weight.mul_scalar(40.0));
    Member {
        virtual_tokens,
        head: Some(head),
        pooling: Pooling::First,
        problem_type: ProblemType::default(),
    }
}

fn examples(rows: &[Vec<u32>]) -> Vec<Example> {
    let example = |ids: &Vec<u32>| Example::new(ids.clone(), Target::None, 1);
    rows.iter().map(example).collect()
}

fn assert_near(found: &[f32], expected: &[f32]) -> Result<(), TestCaseError> {
    prop_assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        prop_assert!((a - b).abs() < 1e-5, "{found:?} is not {expected:?}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn mixed_batches_and_ensembles_equal_separate_runs(
        family in family(),
        task in select(vec![Task::SeqCls, Task::TokenCls]),
        members in vec((select(vec![Kind::Base, Kind::Prompt, Kind::Prefix, Kind::LastLayer]), 1..6usize), 1..5),
        rows in vec((ids(1..9), any::<prop::sample::Index>()), 1..9),
        seed: u64, left: bool, batch_size in 1..9usize,
    ) {
        let loaded = random_model(family, Shape::default(), seed);
        let model = loaded.model.as_ref();
        let side = if left { PaddingSide::Left } else { PaddingSide::Right };
        let made: Vec<Member> = members
            .iter()
            .enumerate()
            .map(|(index, (kind, p))| member(model, *kind, *p, [3, index], task))
            .collect();
        let of_row: Vec<usize> = rows.iter().map(|(_, index)| index.index(made.len())).collect();
        let ids: Vec<Vec<u32>> = rows.iter().map(|(ids, _)| ids.clone()).collect();
        let examples = examples(&ids);
        let adapters = MultiAdapter::new(model, task, made.clone())
            .unwrap()
            .with_batch_size(batch_size)
            .with_padding(side);
        let mixed = adapters.answer(&examples, &of_row).unwrap();
        let all = adapters.answer_all(&examples).unwrap();
        for (index, one) in made.iter().enumerate() {
            let head = one.head.as_ref();
            let alone = Predictor::new(model, &one.virtual_tokens, head, task).unwrap();
            if task == Task::SeqCls {
                let expected = alone.classify(&examples).unwrap();
                for (row, expected) in expected.iter().enumerate() {
                    assert_near(&all[row][index][0], expected)?;
                    if of_row[row] == index {
                        assert_near(&mixed[row][0], expected)?;
                    }
                }
            } else {
                let expected = alone.tag(&examples).unwrap();
                for (row, expected) in expected.iter().enumerate() {
                    prop_assert_eq!(all[row][index].len(), ids[row].len());
                    for (token, (class, probability)) in expected.iter().enumerate() {
                        assert_near(&[all[row][index][token][*class]], &[*probability])?;
                        if of_row[row] == index {
                            assert_near(&[mixed[row][token][*class]], &[*probability])?;
                        }
                    }
                }
            }
        }
        for of_members in &all {
            let first: Vec<Vec<f32>> = of_members.iter().map(|one| one[0].clone()).collect();
            let (class, mean) = Vote::Mean.choose(&first);
            prop_assert!(mean.iter().all(|p| *p <= mean[class]));
        }
    }
}

/// Nothing is computed for gradients, and one batch has rows of both.
#[test]
fn a_head_that_is_being_trained_answers_beside_one_that_was_loaded() {
    let loaded = random_model(Family::Bert, Shape::default(), 1);
    let model = loaded.model.as_ref();
    let examples = examples(&[vec![1, 2], vec![3], vec![4, 5, 6], vec![7, 8]]);
    for task in [Task::SeqCls, Task::TokenCls] {
        let answers = |of_first: &Device| {
            let mut made: Vec<Member> =
                (0..2).map(|index| member(model, Kind::Prefix, 2, [3, index], task)).collect();
            let layout = model.head_layout(task);
            made[0].head = Some(Head::init(layout, 3, model.spec().hidden_size, 9, of_first));
            let adapters = MultiAdapter::new(model, task, made).unwrap();
            adapters.answer(&examples, &[0, 1, 1, 0]).unwrap()
        };
        assert_eq!(answers(&device().autodiff()), answers(&device()));
    }
}

/// Padding tokens inside a row of RoBERTa take no position where the row has no prompt, whatever its neighbours have.
#[test]
fn a_row_without_a_prompt_has_its_positions_beside_one_with_a_prompt() {
    let shape = Shape { positions: 8, ..Shape::default() };
    let loaded = random_model(Family::Roberta, shape, 1);
    let model = loaded.model.as_ref();
    let padding = model.uncounted_token().unwrap();
    let long = vec![5, padding, 7, padding, 9, 1, 3, 4, 6, 8];
    assert_eq!((long.len(), model.spec().max_positions), (10, Some(8)));
    let examples = examples(&[long, vec![5, 6]]);
    let made: Vec<Member> = [Kind::Base, Kind::Prompt]
        .into_iter()
        .enumerate()
        .map(|(index, kind)| member(model, kind, 3, [3, index], Task::SeqCls))
        .collect();
    let alone = MultiAdapter::new(model, Task::SeqCls, made[..1].to_vec()).unwrap();
    let alone = alone.answer(&examples[..1], &[0]).unwrap();
    let both = MultiAdapter::new(model, Task::SeqCls, made).unwrap();
    let mixed = both.answer(&examples, &[0, 1]).unwrap();
    assert_near(&mixed[0][0], &alone[0][0]).unwrap();
    // Behind a prompt they take one.
    let refused = both.answer(&examples, &[1, 0]).unwrap_err();
    assert!(matches!(refused, Error::TooLong { virtual_tokens: 3, tokens: 10, .. }), "{refused}");
}

/// A prompt and a prefix take a pass each.
#[test]
fn whoever_stops_is_told_of_the_rows_of_all_passes() {
    let loaded = random_model(Family::Gpt2, Shape::default(), 1);
    let model = loaded.model.as_ref();
    let made = [Kind::Prompt, Kind::Prefix]
        .into_iter()
        .enumerate()
        .map(|(index, kind)| member(model, kind, 2, [3, index], Task::SeqCls));
    let adapters = MultiAdapter::new(model, Task::SeqCls, made.collect()).unwrap();
    let examples = examples(&vec![vec![1, 2]; 6]);
    let of_row = [0, 1, 0, 1, 0, 1];
    for after in 1..=6 {
        let stop = |done: usize, of: usize| {
            assert_eq!(of, 6);
            if done >= after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let adapters = adapters.clone().with_batch_size(1).with_watch(RowsRead(&stop));
        match adapters.answer(&examples, &of_row) {
            Ok(answers) => assert_eq!((after, answers.len()), (6, 6)),
            Err(Error::Stopped { done, of }) => assert_eq!((done, of), (after, 6)),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn one_pass_holds_prompts_and_prefixes_of_a_decoder() {
    let loaded = random_model(Family::Llama, Shape::default(), 1);
    let model = loaded.model.as_ref();
    let task = Task::SeqCls;
    let prompt = member(model, Kind::Prompt, 3, [2, 0], task).virtual_tokens;
    let prefix = member(model, Kind::Prefix, 5, [2, 1], task).virtual_tokens;
    // Embeddings cannot share a batch with keys and values; a prefilled prompt is keys and values too.
    assert!(VirtualTokens::per_row(&[prompt.clone(), prefix.clone()], &[0, 1]).is_err());
    let prefilled = model.prefill(&prompt).unwrap();
    let both = VirtualTokens::per_row(&[prefilled, prefix], &[1, 0, 1]).unwrap();
    assert_eq!((both.rows(), both.len()), (3, 5));
    assert_eq!([0, 1, 2].map(|row| both.mask().count(row)), [5, 3, 5]);
}

/// The JSON lines that `peft predict` prints.
fn predict(arguments: &[&str]) -> Vec<Value> {
    let output = succeed(peft(&root()).arg("predict").args(arguments));
    parse_lines(&String::from_utf8(output.stdout).unwrap())
}

fn numbers(value: &Value) -> Vec<f64> {
    value["probabilities"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).collect()
}

fn near(found: &Value, expected: &Value) {
    assert_eq!(found["label"], expected["label"]);
    for (a, b) in numbers(found).into_iter().zip(numbers(expected)) {
        assert!((a - b).abs() < 1e-5, "{found} {expected}");
    }
}

#[test]
fn predict_takes_several_adapters() {
    let model = tiny_model("bert");
    let dir = tempfile::tempdir().unwrap();
    let rows = read_lines(&vectors("logits/bert/rows.jsonl"));
    let file = |name: &str, named: bool| {
        let line = |(index, row): (usize, &Value)| {
            let mut row = row.clone();
            if named {
                row["adapter"] = json!(["prompt", "keys"][index % 2]);
            }
            format!("{row}\n")
        };
        let path = dir.path().join(name);
        fs::write(&path, rows.iter().enumerate().map(line).collect::<String>()).unwrap();
        path.to_str().unwrap().to_string()
    };
    let (plain, named) = (file("plain.jsonl", false), file("named.jsonl", true));
    let (prompt, prefix) = (format!("{model}/prompt"), format!("{model}/prefix"));
    let keys = format!("keys={prefix}");
    let both = ["--model", &model, "--adapter", &prompt, "--adapter", &keys, "--input"];
    let one =
        |adapter: &str| predict(&["--model", &model, "--adapter", adapter, "--input", &plain]);
    let alone = [one(&prompt), one(&prefix)];
    let mixed = predict(&[&both[..], &[&named]].concat());
    for (row, found) in mixed.iter().enumerate() {
        assert_eq!(found["adapter"], json!(["prompt", "keys"][row % 2]));
        near(found, &alone[row % 2][row]);
    }
    let mean = predict(&[&both[..], &[&plain, "--vote", "mean"]].concat());
    for (row, found) in mean.iter().enumerate() {
        let (a, b) = (numbers(&alone[0][row]), numbers(&alone[1][row]));
        for (found, (a, b)) in numbers(found).into_iter().zip(a.into_iter().zip(b)) {
            assert!((found - (a + b) / 2.0).abs() < 1e-5);
        }
        let votes = [&alone[0][row]["label"], &alone[1][row]["label"]];
        assert_eq!(found["votes"], json!(votes));
    }
    // An adapter that was trained on a table without a header.
    let mut adapter = Adapter::load(&root().join(&prefix)).unwrap();
    adapter.config.own.recipe = json!({"columns": "text,label"});
    let table = dir.path().join("table");
    adapter.save(&table).unwrap();
    let table = table.to_str().unwrap();
    // Errors name the row, the field and what was expected.
    for (flags, says) in [
        ([&both[..], &[&plain]].concat(), "plain.jsonl, line 1: `adapter` is missing"),
        (
            vec!["--model", &model, "--adapter", &prompt, "--adapter", &prompt, "--input", &plain],
            "found two called",
        ),
        (
            vec!["--model", &model, "--adapter", &prompt, "--adapter", table, "--input", &plain],
            "--columns: the adapters were trained on columns of other names: prompt on the header's, table on text,label",
        ),
    ] {
        let output = peft(&root()).arg("predict").args(&flags).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && stderr.contains(says), "{stderr}");
    }
}
