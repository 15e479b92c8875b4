//! The continuation of a row does not depend on how rows are batched, on the cache, or on settings without effect.

use peft_core::{
    FrozenModel, PaddingSide, TokenBatch, VirtualTokens, contract::frozen::activations,
};
use peft_models::generate::{Beams, EarlyStopping, GenerateConfig, Sampling, generate, greedy};
use peft_tests::{
    Family, Shape, VOCAB, random_model,
    strategies::{cases, decoder, ids},
    vectors,
    virtual_tokens::prompt_of,
};
use proptest::{collection::vec, prelude::*, test_runner::RngSeed};
use rayon::ThreadPoolBuilder;

use super::sequences;
use crate::support::{session, slices};

/// With a fixed seed: where two scores differ by rounding alone, batching could decide between them.
fn fixed_cases() -> ProptestConfig {
    ProptestConfig { rng_seed: RngSeed::Fixed(7), ..cases(16) }
}

/// Settings whose output must not depend on how rows are batched.
fn strategies(seed: u64) -> Vec<GenerateConfig> {
    let base = || GenerateConfig::new(9).with_end_tokens(vec![3, 5, 7, 11]);
    let sampling = Sampling::default().with_seed(seed);
    vec![
        base(),
        base().with_repetition_penalty(1.4).with_min_new_tokens(3),
        base().with_beams(Beams::new(3)),
        base()
            .with_beams(Beams::new(4).with_length_penalty(-0.5))
            .with_repetition_penalty(1.2)
            .with_num_return_sequences(2),
        base().with_beams(Beams::new(2).with_early_stopping(EarlyStopping::Always)),
        base().with_sampling(sampling.clone()).with_num_return_sequences(2),
        base().with_sampling(sampling.with_temperature(0.7).with_top_k(Some(9)).with_top_p(0.9)),
        base().with_max_total_tokens(Some(11)).with_encoder_no_repeat_ngram_size(1),
    ]
}

/// Virtual tokens made of real tokens: their embeddings, or their keys and values.
fn virtual_tokens(model: &dyn FrozenModel, words: &[u32], prefilled: bool) -> VirtualTokens {
    match words {
        [] => VirtualTokens::none(),
        _ if prefilled => activations(model, words).unwrap(),
        _ => prompt_of(model, words),
    }
}

proptest! {
    #![proptest_config(fixed_cases())]

    #[test]
    fn a_row_is_continued_as_if_alone(
        family in decoder(), rows in vec(ids(1..9), 1..6), words in ids(0..4),
        prefilled: bool, seed: u64,
    ) {
        let loaded = random_model(family, Shape::default(), seed);
        let model = loaded.model.as_ref();
        let own = virtual_tokens(model, &words, prefilled);
        for config in strategies(seed) {
            let all = sequences(model, &slices(&rows), &own, &config);
            let alone = sequences(model, &slices(&rows), &own, &config.clone().with_batch_size(1));
            prop_assert_eq!(&all, &alone, "{:?}", config);
            // Whatever the other rows are.
            let mut others: Vec<Vec<u32>> = vec![vec![1, 2, 3]; rows.len()];
            others[0].clone_from(&rows[0]);
            let among_others = sequences(model, &slices(&others), &own, &config);
            prop_assert_eq!(&all[0], &among_others[0], "{:?}", config);
        }
    }

    #[test]
    fn each_row_may_have_its_own_virtual_tokens(
        rows in vec(ids(1..6), 2..5), words in vec(ids(1..4), 4), seed: u64,
    ) {
        let loaded = random_model(Family::Llama, Shape::default(), seed);
        let model = loaded.model.as_ref();
        let each: Vec<VirtualTokens> =
            words.iter().map(|words| virtual_tokens(model, words, true)).collect();
        let of_row: Vec<usize> = (0..rows.len()).map(|row| row % each.len()).collect();
        let all = VirtualTokens::per_row(&each, &of_row).unwrap();
        let config = &strategies(seed)[2];
        let made = sequences(model, &slices(&rows), &all, &config.clone().with_batch_size(3));
        for ((row, own), made) in rows.iter().zip(&of_row).zip(made) {
            prop_assert_eq!(&made, &sequences(model, &[row], &each[*own], config)[0]);
        }
    }

    #[test]
    fn without_a_choice_every_strategy_is_greedy(
        family in decoder(), rows in vec(ids(1..7), 1..4), seed: u64,
    ) {
        let loaded = random_model(family, Shape::default(), seed);
        let model = loaded.model.as_ref();
        let base = GenerateConfig::new(8).with_end_tokens(vec![2, 4]);
        let none = VirtualTokens::none();
        let expected = sequences(model, &slices(&rows), &none, &base);
        let sampling = Sampling::default().with_seed(seed);
        for config in [
            base.clone().with_beams(Beams::new(1)),
            base.clone().with_sampling(sampling.clone().with_top_k(Some(1))),
            base.clone().with_sampling(sampling.clone().with_top_p(1e-6)),
            base.clone().with_sampling(sampling.with_temperature(1e-6)),
            // This one computes the scores on the host.
            base.clone().with_repetition_penalty(1.0 + 1e-7),
        ] {
            prop_assert_eq!(&sequences(model, &slices(&rows), &none, &config), &expected);
        }
    }

    #[test]
    fn no_tokens_in_a_row_come_twice(
        family in decoder(), rows in vec(ids(1..9), 1..4), words in ids(0..4), size in 1usize..4, seed: u64,
    ) {
        let loaded = random_model(family, Shape::default(), seed);
        let model = loaded.model.as_ref();
        let own = virtual_tokens(model, &words, false);
        for config in strategies(seed) {
            let config = config.with_no_repeat_ngram_size(size);
            for (row, made) in rows.iter().zip(sequences(model, &slices(&rows), &own, &config)) {
                for new in made {
                    let all = [row.as_slice(), &new].concat();
                    let in_a_row: Vec<&[u32]> = all.windows(size).collect();
                    // Those of the input alone are what they are.
                    for end in row.len().max(size)..all.len() {
                        let last = end + 1 - size;
                        prop_assert!(!in_a_row[..last].contains(&in_a_row[last]), "{all:?}, {config:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_cache_changes_nothing(
        family in decoder(), row in ids(1..8), words in ids(0..5),
        prefilled: bool, seed: u64,
    ) {
        let loaded = random_model(family, Shape::default(), seed);
        let model = loaded.model.as_ref();
        let own = virtual_tokens(model, &words, prefilled);
        let made = greedy(model, &[&row], &own, 8, &[2]).unwrap();
        // Without a cache: the whole sequence again at each step, behind the words.
        let mut expected = Vec::new();
        while expected.len() < 8 && expected.last() != Some(&2) {
            let so_far = [words.as_slice(), &row, &expected].concat();
            let batch = TokenBatch::new(&[&so_far], PaddingSide::Right);
            let hidden = model.forward(&batch, &VirtualTokens::none()).unwrap().tokens;
            let [_, s, h] = hidden.dims();
            let logits = model.lm_logits(hidden.narrow(1, s - 1, 1).reshape([1, h])).unwrap();
            expected.push(logits.argmax(1).into_scalar::<i64>() as u32);
        }
        prop_assert_eq!(&made[0], &expected);
    }

    #[test]
    fn the_first_of_several_sequences_is_the_single_one(row in ids(1..6), seed: u64) {
        let loaded = random_model(Family::Gpt2, Shape::default(), seed);
        let model = loaded.model.as_ref();
        let none = VirtualTokens::none();
        let sampling = Sampling::default().with_seed(seed).with_temperature(1.5);
        let config = GenerateConfig::new(6).with_sampling(sampling);
        let one = sequences(model, &[&row], &none, &config);
        let four = sequences(model, &[&row], &none, &config.with_num_return_sequences(4));
        prop_assert_eq!(four[0].len(), 4);
        prop_assert_eq!(&four[0][0], &one[0][0]);
        let beams = GenerateConfig::new(6).with_beams(Beams::new(4));
        let four = generate(
            model, &[&row], &none, &beams.clone().with_num_return_sequences(4), &mut (),
        ).unwrap();
        prop_assert_eq!(&four[0][0].ids, &sequences(model, &[&row], &none, &beams)[0][0]);
        prop_assert!(four[0].windows(2).all(|pair| pair[0].score >= pair[1].score));
    }
}

/// More tokens than one part holds, in rows of several lengths, with virtual tokens that the rows share and with
/// some of their own.
#[test]
fn prompts_read_in_parts_continue_as_alone() {
    for model in ["gpt2", "llama"] {
        let dir = vectors(&format!("logits/{model}"));
        let adapters = ["prompt", "prefix"].map(|name| session(&dir, Some(&dir.join(name))));
        let prompts: Vec<Vec<u32>> = (0..45u32)
            .map(|row| (0..7 + row % 11).map(|i| (row * 7 + i * 5) % 20 + 1).collect())
            .collect();
        let prompts: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();
        let base = adapters[0].model();
        let prefilled = adapters.each_ref().map(|one| base.prefill(&one.virtual_tokens).unwrap());
        let of_row: Vec<usize> = (0..prompts.len()).map(|row| row % 2).collect();
        let each = VirtualTokens::per_row(&prefilled, &of_row).unwrap();
        let made = |virtual_tokens: &VirtualTokens, prompts: &[&[u32]]| {
            greedy(base, prompts, virtual_tokens, 6, &[]).unwrap()
        };
        let shared = made(&prefilled[1], &prompts);
        let own = made(&each, &prompts);
        for (row, prompt) in prompts.iter().enumerate() {
            assert_eq!(made(&prefilled[1], &[prompt])[0], shared[row], "{model} {row}");
            assert_eq!(made(&prefilled[row % 2], &[prompt])[0], own[row], "{model} {row}, own");
        }
    }
}

/// Of many rows, of a few and of one, whose products are made in other ways; of sequences and scores, to the bit.
#[test]
fn what_is_generated_is_the_same_on_any_number_of_threads() {
    for family in [Family::Gpt2, Family::Llama] {
        let loaded = random_model(family, Shape::default(), 5);
        let model = loaded.model.as_ref();
        for count in [1, 3, 12, 70] {
            let row = |row: usize| (0..1 + row % 6).map(move |at| ((5 * at + row) % VOCAB) as u32);
            let rows: Vec<Vec<u32>> = (0..count).map(|index| row(index).collect()).collect();
            for config in strategies(3) {
                let config = config.with_batch_size(count);
                let on = |threads: usize| {
                    let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                    let (rows, none) = (slices(&rows), VirtualTokens::none());
                    pool.install(|| generate(model, &rows, &none, &config, &mut ()).unwrap())
                };
                let expected = on(1);
                for threads in [2, 5] {
                    assert_eq!(on(threads), expected, "{family:?}, {count} rows: {config:?}");
                }
            }
        }
    }
}
