//! Several adapters in one batch, and ensembles, give what separate runs give.

use peft_core::{FrozenModel, LayerKeyValues, SiteKeyValues};
use peft_core::{
    Head, PaddingSide, Pooling, Task, VirtualTokens,
    data::{Example, Target},
    init::{Values, tensor},
    rng,
    train::{Member, Mixture, Predictor, Vote},
};
use peft_tests::{Family, Shape, VOCAB, device, random_model};
use proptest::{collection::vec, prelude::*, sample::select};

/// What a member contributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Base,
    Prompt,
    Prefix,
    LastLayer,
}

/// A member with random numbers: P virtual tokens of a kind and a head for C classes.
fn member(
    model: &dyn FrozenModel,
    kind: Kind,
    p: usize,
    [classes, place]: [usize; 2],
    task: Task,
) -> Member {
    let spec = model.spec();
    let site = spec.self_site().unwrap();
    let mut stream = rng::stream(7, place as u64, "member");
    let values = Values::Normal { std: 0.7 };
    let virtual_tokens = match kind {
        Kind::Base => VirtualTokens::none(),
        Kind::Prompt => {
            let shape = [1, p, spec.hidden_size];
            VirtualTokens::embeddings(tensor(shape, values, &mut stream, &device()))
        }
        Kind::Prefix | Kind::LastLayer => {
            let shape = [1, site.num_kv_heads, p, site.head_dim];
            let layers = (0..site.num_layers).map(|layer| {
                let has = kind == Kind::Prefix || layer + 1 == site.num_layers;
                has.then(|| LayerKeyValues {
                    key: tensor(shape, values, &mut stream, &device()),
                    value: tensor(shape, values, &mut stream, &device()),
                })
            });
            let layers = layers.collect();
            VirtualTokens::key_values(vec![SiteKeyValues { site: site.site, layers }])
        }
    };
    let layout = model.head_layout(task);
    let mut head = Head::init(layout, classes, spec.hidden_size, place as u64, &device());
    head.weight = head.weight.map(|weight| weight.mul_scalar(40.0));
    Member { virtual_tokens, head: Some(head), pooling: Pooling::First }
}

fn examples(rows: &[Vec<u32>]) -> Vec<Example> {
    let example = |ids: &Vec<u32>| Example { input_ids: ids.clone(), ..blank() };
    rows.iter().map(example).collect()
}

fn blank() -> Example {
    Example {
        input_ids: Vec::new(),
        token_type_ids: None,
        target: Target::None,
        word_of_token: None,
        line: 1,
    }
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
        family in select(Family::ALL.to_vec()),
        task in select(vec![Task::SeqCls, Task::TokenCls]),
        members in vec((select(vec![Kind::Base, Kind::Prompt, Kind::Prefix, Kind::LastLayer]), 1..6usize), 1..5),
        rows in vec((vec(0..VOCAB as u32, 1..9), any::<prop::sample::Index>()), 1..9),
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
        let mixture = Mixture::new(model, task, made.clone())
            .unwrap()
            .with_batch_size(batch_size)
            .with_padding(side);
        let mixed = mixture.answer(&examples, &of_row).unwrap();
        let all = mixture.answer_all(&examples).unwrap();
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

#[test]
fn one_pass_holds_prompts_and_prefixes_of_a_decoder() {
    let loaded = random_model(Family::Llama, Shape::default(), 1);
    let model = loaded.model.as_ref();
    let task = Task::SeqCls;
    let prompt = member(model, Kind::Prompt, 3, [2, 0], task).virtual_tokens;
    let prefix = member(model, Kind::Prefix, 5, [2, 1], task).virtual_tokens;
    // As rows in front of the input they are of another kind; compiled, they are keys and values too.
    assert!(VirtualTokens::per_row(&[prompt.clone(), prefix.clone()], &[0, 1]).is_err());
    let compiled = model.compile(&prompt).unwrap();
    let both = VirtualTokens::per_row(&[compiled, prefix], &[1, 0, 1]).unwrap();
    assert_eq!((both.rows(), both.len()), (3, 5));
    assert_eq!([0, 1, 2].map(|row| both.mask().count(row)), [5, 3, 5]);
}
