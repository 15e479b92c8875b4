//! What an infix computes, by its definition; and what it refuses.

use burn::tensor::{Tensor, activation::log_softmax};
use peft_core::{
    FrozenModel, PaddingSide, Task, TokenBatch, VirtualTokens,
    data::{Example, Target},
    evaluate::Predictor,
};
use peft_models::generate::{Beams, GenerateConfig, Sampling, greedy, log_likelihoods};
use peft_prefix::{PrefixConfig, PrefixInit, PrefixTuning};
use peft_tests::{
    Family, Shape, device, random_model,
    strategies::{cases, decoder, ids, shape},
};
use proptest::{collection::vec, prelude::*, sample::select, test_runner::RngSeed};

use super::{Row, batch, by_definition, infix, placement, row, states};
use crate::{generation::sequences, semantics::assert_close, support::slices};

/// Greedy search that reads the whole row again for each token.
fn without_a_cache(
    model: &dyn FrozenModel,
    source: &[u32],
    virtual_tokens: &VirtualTokens,
    count: usize,
) -> Vec<u32> {
    let mut row = Row { source: source.to_vec(), target: Vec::new() };
    while row.target.len() < count && row.target.last() != Some(&2) {
        let batch = batch(std::slice::from_ref(&row), PaddingSide::Right);
        let hidden = model.forward(&batch, virtual_tokens).unwrap().tokens;
        let [_, s, h] = hidden.dims();
        let logits = model.lm_logits(hidden.narrow(1, s - 1, 1).reshape([1, h])).unwrap();
        row.target.push(logits.argmax(1).into_scalar::<i64>() as u32);
    }
    row.target
}

fn strategies(seed: u64) -> [GenerateConfig; 3] {
    let base = || GenerateConfig::new(7).with_end_tokens(vec![3, 5]);
    let sampling = Sampling::default().with_seed(seed);
    [
        base(),
        base().with_beams(Beams::new(3)).with_num_return_sequences(2),
        base().with_sampling(sampling).with_num_return_sequences(2),
    ]
}

proptest! {
    #![proptest_config(cases(24))]

    /// Random keys and values, in a row alone, on either padding side.
    #[test]
    fn p15_an_infix_is_what_its_definition_says(
        family in decoder(), shape in shape(), row in row(), p in 1..5usize, seed: u64,
    ) {
        let loaded = random_model(family, shape, seed);
        let model = loaded.model.as_ref();
        let own = infix(model, p, false, seed);
        let expected = by_definition(model, &row, &own);
        for side in [PaddingSide::Left, PaddingSide::Right] {
            let found = states(model, &batch(std::slice::from_ref(&row), side), &own);
            assert_close(&found[0], &expected, 2e-5)?;
        }
    }

    /// In the last layer alone: the layers below have the positions, and nothing else of it. Without windows: in
    /// a layer that has only a part of the definition's prefix they would begin elsewhere.
    #[test]
    fn p15_an_infix_of_the_last_layer_is_what_its_definition_says(
        family in select(vec![Family::Gpt2, Family::Llama, Family::Qwen3]), shape in shape(), row in row(),
        p in 1..5usize, seed: u64,
    ) {
        let loaded = random_model(family, shape, seed);
        let model = loaded.model.as_ref();
        let own = infix(model, p, true, seed);
        let found = states(model, &batch(std::slice::from_ref(&row), PaddingSide::Right), &own);
        assert_close(&found[0], &by_definition(model, &row, &own), 2e-5)?;
    }

    /// 1, 4 and 9. Rows of several lengths, whose sources end at different places, with infixes of different P.
    #[test]
    fn p15_each_row_of_a_batch_has_an_infix_of_its_own(
        family in decoder(), rows in vec(row(), 1..5), p in vec(1..5usize, 1..4), seed: u64,
    ) {
        let loaded = random_model(family, Shape::default(), seed);
        let model = loaded.model.as_ref();
        let of = |(at, p): (usize, &usize)| infix(model, *p, false, seed.wrapping_add(at as u64));
        let each: Vec<VirtualTokens> = p.iter().enumerate().map(of).collect();
        let of_row: Vec<usize> = (0..rows.len()).map(|row| row % each.len()).collect();
        let all = VirtualTokens::per_row(&each, &of_row).unwrap();
        for side in [PaddingSide::Left, PaddingSide::Right] {
            let found = states(model, &batch(&rows, side), &all);
            for ((row, own), found) in rows.iter().zip(&of_row).zip(found) {
                assert_close(&found, &by_definition(model, row, &each[*own]), 2e-5)?;
            }
        }
    }

    /// With nothing in front of it, an infix is a prefix, to the bit.
    #[test]
    fn p15_an_infix_behind_nothing_is_a_prefix(
        family in decoder(), rows in vec(ids(1..8), 1..5), p in 1..5usize, seed: u64,
    ) {
        let loaded = random_model(family, Shape::default(), seed);
        let model = loaded.model.as_ref();
        let own = infix(model, p, false, seed);
        let mut prefix = own.clone();
        prefix.infix = false;
        for side in [PaddingSide::Left, PaddingSide::Right] {
            let plain = TokenBatch::new(&slices(&rows), side);
            let expected = states(model, &plain, &prefix);
            for source in [0, 1] {
                let batch = plain.clone().with_sources(vec![source; rows.len()]);
                prop_assert_eq!(&states(model, &batch, &own), &expected);
            }
        }
    }

    /// How likely continuations are is what the loss of the whole rows says.
    #[test]
    fn p15_classes_behind_a_source_have_the_loss_of_their_rows(
        family in decoder(), sources in vec(ids(1..7), 1..4), classes in vec(ids(1..5), 1..4),
        p in 1..4usize, seed: u64,
    ) {
        let loaded = random_model(family, Shape::default(), seed);
        let model = loaded.model.as_ref();
        let own = infix(model, p, false, seed);
        let predictor = Predictor::new(model, &own, None, Task::CausalLm).unwrap();
        for batch_size in [1, 64] {
            let config = GenerateConfig::new(0).with_batch_size(batch_size);
            let found = log_likelihoods(model, &slices(&sources), &classes, &own, &config).unwrap();
            for (source, found) in sources.iter().zip(&found) {
                for (class, found) in classes.iter().zip(found) {
                    let row = Row { source: source.clone(), target: class.clone() };
                    let scores = predictor.evaluate(&[row.example()], None).unwrap();
                    let expected = -scores.get("loss").unwrap() * class.len() as f64;
                    let difference = (found - expected).abs() / expected.abs().max(1.0);
                    prop_assert!(difference < 1e-4, "{row:?}: {found}, not {expected}");
                }
            }
        }
    }
}

proptest! {
    // With a fixed seed: where two scores differ by rounding alone, batching could decide between them.
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(7), ..cases(16) })]

    /// What is generated with a cache, alone and in batches, is what the whole row says at each step.
    #[test]
    fn p15_a_cache_changes_nothing(
        family in decoder(), sources in vec(ids(1..8), 1..5), p in 1..5usize, last_layer: bool, seed: u64,
    ) {
        let loaded = random_model(family, Shape::default(), seed);
        let model = loaded.model.as_ref();
        let own = infix(model, p, last_layer, seed);
        let together = greedy(model, &slices(&sources), &own, 8, &[2]).unwrap();
        for (source, made) in sources.iter().zip(together) {
            prop_assert_eq!(made, without_a_cache(model, source, &own, 8));
        }
        for config in strategies(seed) {
            let all = sequences(model, &slices(&sources), &own, &config);
            let alone = sequences(model, &slices(&sources), &own, &config.clone().with_batch_size(1));
            prop_assert_eq!(&all, &alone, "{:?}", config);
        }
    }
}

/// More tokens than one part of a first pass holds.
#[test]
fn p15_sources_read_in_parts_continue_as_alone() {
    let sources: Vec<Vec<u32>> = (0..45u32)
        .map(|row| (0..7 + row % 11).map(|at| (row * 7 + at * 5) % 20 + 1).collect())
        .collect();
    for family in [Family::Gpt2, Family::Mistral] {
        let loaded = random_model(family, Shape::default(), 5);
        let model = loaded.model.as_ref();
        let each = [3, 2].map(|p| infix(model, p, false, p as u64));
        let of_row: Vec<usize> = (0..sources.len()).map(|row| row % 2).collect();
        let mixed = VirtualTokens::per_row(&each, &of_row).unwrap();
        let shared = greedy(model, &slices(&sources), &each[0], 6, &[]).unwrap();
        let own = greedy(model, &slices(&sources), &mixed, 6, &[]).unwrap();
        for (row, source) in sources.iter().enumerate() {
            let alone = |own: &VirtualTokens| without_a_cache(model, source, own, 6);
            // `without_a_cache` ends at token 2, which is no end here.
            let expected = alone(&each[0]);
            assert_eq!(shared[row][..expected.len()], expected, "{family:?} {row}");
            let expected = alone(&each[row % 2]);
            assert_eq!(own[row][..expected.len()], expected, "{family:?} {row}, own");
        }
    }
}

/// The probabilities of a row's target, by a softmax of the logits of the definition.
#[test]
fn p15_the_loss_of_a_row_is_that_of_its_definition() {
    for family in Family::CAUSAL {
        let loaded = random_model(family, Shape::default(), 9);
        let model = loaded.model.as_ref();
        let own = infix(model, 3, false, 9);
        let row = Row { source: vec![4, 9, 1, 7], target: vec![6, 3, 2] };
        let h = model.spec().hidden_size;
        let states = by_definition(model, &row, &own);
        let behind = Tensor::<1>::from_floats(states.as_slice(), &device()).reshape([7, h]);
        // Each is predicted by the token in front of it, the first by the last of the source.
        let logits = model.lm_logits(behind.narrow(0, 3, 3)).unwrap();
        let logits: Vec<f32> = log_softmax(logits, 1).into_data().iter().collect();
        let vocabulary = model.spec().vocab_size;
        let each = row.target.iter().enumerate();
        let sum: f32 = each.map(|(at, id)| logits[at * vocabulary + *id as usize]).sum();
        let predictor = Predictor::new(model, &own, None, Task::CausalLm).unwrap();
        let found = predictor.evaluate(&[row.example()], None).unwrap().get("loss").unwrap();
        let expected = -f64::from(sum) / 3.0;
        assert!((found - expected).abs() < 1e-4 * expected, "{family:?}: {found}, {expected}");
    }
}

#[test]
fn rows_without_a_place_for_it_are_refused() {
    let loaded = random_model(Family::Gpt2, Shape::default(), 1);
    let model = loaded.model.as_ref();
    let own = infix(model, 2, false, 1);
    let plain = TokenBatch::new(&[&[1, 2, 3]], PaddingSide::Right);
    let refused = |batch: &TokenBatch, tokens: &VirtualTokens| {
        model.forward(batch, tokens).unwrap_err().to_string()
    };
    assert!(refused(&plain, &own).contains("nothing says where sources end"));
    let two = plain.clone().with_sources(vec![1, 1]);
    assert!(refused(&two, &own).contains("found 2 sources for a batch of 1 rows"));
    let long = plain.clone().with_sources(vec![4]);
    assert!(refused(&long, &own).contains("has 3 tokens, and its source would have 4"));
    let packed = TokenBatch::packed(&[vec![&[1, 2], &[3]]], PaddingSide::Right);
    assert!(refused(&packed, &own).contains("a packed row has several"));
    let batch = plain.clone().with_sources(vec![2]);
    let mut unshifted = own.clone();
    unshifted.positions = peft_core::PrefixPositions::Unshifted;
    assert!(refused(&batch, &unshifted).contains("those behind it are shifted, not unshifted"));
    let mut prompt =
        VirtualTokens::embeddings(Tensor::zeros([1, 2, model.spec().hidden_size], &device()));
    prompt.infix = true;
    assert!(refused(&batch, &prompt).contains("these virtual tokens are a prompt"));
    // What continues a cache is the target, behind the infix that was read.
    let cache = model.begin(&batch, &own).unwrap();
    let cache = model.forward_cached(&batch, cache).unwrap().cache.unwrap();
    let error = model.forward_cached(&batch, cache.clone()).unwrap_err().to_string();
    assert!(error.contains("have no source of their own"), "{error}");
    assert!(model.forward_cached(&plain, cache).is_ok());
    let base = model.begin(&plain, &VirtualTokens::none()).unwrap();
    let mut other = model.forward_cached(&plain, base).unwrap().cache.unwrap();
    other.virtual_tokens = own.clone();
    let error = model.forward_cached(&plain, other).unwrap_err().to_string();
    assert!(error.contains("read with others or none"), "{error}");
    let mut prefix = own.clone();
    prefix.infix = false;
    let error = VirtualTokens::per_row(&[own.clone(), prefix], &[0, 1]).unwrap_err().to_string();
    assert!(error.contains("different places (prefix and infix)"), "{error}");
    // Beside the base model alone it is one adapter.
    let beside = VirtualTokens::per_row(&[own.clone(), VirtualTokens::none()], &[0, 1]).unwrap();
    let rows = [&[1u32, 2, 3][..], &[4, 5, 6]];
    let both = TokenBatch::new(&rows, PaddingSide::Right).with_sources(vec![2, 2]);
    let found = states(model, &both, &beside);
    let row = |ids: &[u32]| Row { source: ids[..2].to_vec(), target: ids[2..].to_vec() };
    let base = TokenBatch::new(&rows[1..], PaddingSide::Right);
    let expected = [
        by_definition(model, &row(rows[0]), &own),
        states(model, &base, &VirtualTokens::none()).concat(),
    ];
    assert!(assert_close(&found.concat(), &expected.concat(), 2e-5).is_ok());
    let predictor = Predictor::new(model, &own, None, Task::CausalLm).unwrap();
    let error = predictor.logits(&[Example::new(vec![1, 2], Target::None, 1)]).unwrap_err();
    assert!(error.to_string().contains("nothing says where sources end"), "{error}");
    for family in [Family::Bert, Family::T5] {
        let other = random_model(family, Shape::default(), 1);
        let config = PrefixConfig::new(2).with_placement(placement());
        let init = PrefixInit::Random;
        let error = PrefixTuning::init(config, other.model.as_ref(), &init, 1, &device());
        let error = error.unwrap_err().to_string();
        assert!(
            error.starts_with("infix: found true") && error.contains("for a prefix"),
            "{error}"
        );
    }
}
