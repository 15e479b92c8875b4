#![allow(clippy::unwrap_used)]

use burn::{module::Module, tensor::TensorData};
use peft_core::{
    Error, Mode, NamedTensors, PaddingSide, PeftMethod, PeftType, TokenBatch, contract::params,
};
use proptest::prelude::*;

use super::*;

// The block of the first page: `Block`, and what it imports.
include!("doc_block.rs");

/// A model of an embedding table alone: row i is `[i, i + 0.25, i + 0.5, i + 0.75]`.
#[derive(Debug)]
struct Table(ModelSpec);

const H: usize = 4;

fn table(vocab_size: usize) -> Table {
    let spec = Block::new(&Device::default()).spec;
    Table(ModelSpec { hidden_size: H, vocab_size, ..spec })
}

impl FrozenModel for Table {
    fn spec(&self) -> &ModelSpec {
        &self.0
    }

    fn device(&self) -> Device {
        Device::default()
    }

    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let columns = Tensor::<1>::from_floats([0.0, 0.25, 0.5, 0.75], &self.device());
        let [b, t] = ids.dims();
        ids.float().unsqueeze_dim::<3>(2).expand([b, t, H]) + columns.unsqueeze()
    }

    fn layers(&self, _input: StackInput) -> Result<StackOutput> {
        Err(Error::Mismatch("this table has no layers".into()))
    }
}

/// Rows of the prompt that `init` makes on `model`.
fn rows(init: &PromptInit, p: usize, model: &dyn FrozenModel, seed: u64) -> Result<Vec<Vec<f32>>> {
    let h = model.spec().hidden_size;
    let prompt = PromptTuning::init(PromptConfig::new(p), model, init, seed, &model.device())?;
    assert_eq!(prompt.embeddings.dims(), [p, h]);
    let numbers = prompt.embeddings.val().into_data().try_to_vec::<f32>().unwrap();
    Ok(numbers.chunks(h).map(<[f32]>::to_vec).collect())
}

/// Ids of the rows of a [`table`].
fn ids(init: &PromptInit, p: usize, vocab_size: usize, seed: u64) -> Vec<usize> {
    let rows = rows(init, p, &table(vocab_size), seed).unwrap();
    rows.iter().for_each(|row| assert_eq!(row[3], row[0] + 0.75));
    rows.iter().map(|row| row[0] as usize).collect()
}

fn distinct(mut ids: Vec<usize>) -> usize {
    ids.sort_unstable();
    ids.dedup();
    ids.len()
}

fn message<T>(result: Result<T>) -> String {
    result.err().expect("an error").to_string()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_sample_is_of_distinct_rows_of_the_first_5000(p in 1..200usize, seed: u64) {
        let sampled = ids(&PromptInit::default(), p, 6000, seed);
        prop_assert!(sampled.iter().all(|id| *id < 5000));
        prop_assert_eq!(distinct(sampled), p);
    }

    #[test]
    fn rows_repeat_only_where_the_population_is_too_small(population in 1..12usize, p in 1..12usize, seed: u64) {
        let sampled = ids(&PromptInit::SampledVocab { population }, p, 100, seed);
        prop_assert!(sampled.iter().all(|id| *id < population));
        prop_assert!(p > population || distinct(sampled) == p);
    }

    #[test]
    fn trained_and_deployed_are_p_times_h(p in 1..20usize, seed: u64) {
        let model = Block::new(&Device::default());
        let init = PromptInit::random();
        let prompt =
            PromptTuning::init(PromptConfig::new(p), &model, &init, seed, &model.device()).unwrap();
        prop_assert_eq!((prompt.num_trainable(), prompt.num_deployed()), (p * 16, p * 16));
        let tokens = prompt.virtual_tokens(Mode::Evaluate);
        prop_assert_eq!((tokens.len(), tokens.rows()), (p, 1));
        tokens.check(&model.spec, 3).unwrap();
    }

    #[test]
    fn a_state_comes_back_bit_for_bit(p in 1..20usize, seed: u64) {
        let model = Block::new(&Device::default());
        let (config, init) = (PromptConfig::new(p), PromptInit::RandomScaled);
        let prompt = PromptTuning::init(config.clone(), &model, &init, seed, &model.device()).unwrap();
        let state = prompt.fold().state();
        let back = PromptTuning::from_state(config, &model.spec, &state, &model.device()).unwrap();
        prop_assert_eq!(back.state(), state);
        prop_assert_eq!(back.config(), prompt.config());
    }

    #[test]
    fn a_seed_gives_the_same_rows_and_another_seed_others(seed: u64) {
        for init in [PromptInit::random(), PromptInit::RandomScaled, PromptInit::default()] {
            let of = |seed: u64| rows(&init, 8, &table(6000), seed).unwrap();
            prop_assert_eq!(of(seed), of(seed));
            prop_assert_ne!(of(seed), of(seed.wrapping_add(1)));
        }
    }
}

#[test]
fn the_population_is_at_most_the_vocabulary() {
    assert_eq!(distinct(ids(&PromptInit::default(), 8, 8, 3)), 8);
    assert!(ids(&PromptInit::default(), 20, 8, 3).iter().all(|id| *id < 8));
}

#[test]
fn all_rows_of_the_population_are_drawn_equally_often() {
    let mut counts = [0; 10];
    for seed in 0..400 {
        let init = PromptInit::SampledVocab { population: 10 };
        ids(&init, 3, 50, seed).iter().for_each(|id| counts[*id] += 1);
    }
    // 1200 draws over 10 rows: 120 each, standard deviation 9.2; six of these either way.
    assert!(counts.iter().all(|count| (65..=175).contains(count)), "{counts:?}");
}

#[test]
fn random_numbers_fill_the_range() {
    let numbers: Vec<f32> = rows(&PromptInit::random(), 500, &table(10), 1).unwrap().concat();
    assert!(numbers.iter().all(|number| (-0.5..0.5).contains(number)));
    assert!(numbers.iter().any(|n| *n < -0.49) && numbers.iter().any(|n| *n > 0.49));
}

/// The first 5000 rows of the table hold 0..5000 plus quarters up to 0.75: their standard deviation is
/// sqrt((5000^2 - 1) / 12 + 0.078) = 1443.4. The sixth thousand does not count.
#[test]
fn scaled_numbers_have_the_spread_of_the_first_5000_rows() {
    let numbers: Vec<f32> =
        rows(&PromptInit::RandomScaled, 2000, &table(6000), 1).unwrap().concat();
    let mean = numbers.iter().map(|n| f64::from(*n)).sum::<f64>() / numbers.len() as f64;
    let squares = numbers.iter().map(|n| f64::from(*n).powi(2)).sum::<f64>();
    let std = (squares / numbers.len() as f64).sqrt();
    assert!((std - 1443.4).abs() < 60.0, "{std}");
    assert!(mean.abs() < 80.0, "{mean}");
}

#[test]
fn labels_are_means_of_their_subword_tokens_and_the_fallback_fills_the_rest() {
    let fallback = PromptInit::SampledVocab { population: 30 };
    let labels = vec![vec![40, 44], vec![50], vec![60, 61, 62]];
    let init =
        PromptInit::ClassLabels { labels: labels.clone(), fallback: Box::new(fallback.clone()) };
    let found = rows(&init, 5, &table(100), 9).unwrap();
    assert_eq!(found[0], [42.0, 42.25, 42.5, 42.75]);
    assert_eq!((found[1][0], found[2][0]), (50.0, 61.0));
    assert_eq!(found[3..], rows(&fallback, 5, &table(100), 9).unwrap()[3..]);
    let cut = rows(&init, 2, &table(100), 9).unwrap();
    assert_eq!(cut, found[..2]);
    assert_eq!(
        PromptInit::class_labels(labels.clone()),
        PromptInit::ClassLabels { labels, fallback: Box::new(PromptInit::default()) }
    );
}

#[test]
fn a_text_is_cut_at_p_and_never_repeated() {
    let fallback = PromptInit::Random { range: 0.1 };
    let init = PromptInit::Text { ids: vec![7, 3, 7], fallback: Box::new(fallback.clone()) };
    let found = rows(&init, 5, &table(10), 4).unwrap();
    assert_eq!([found[0][0], found[1][0], found[2][0]], [7.0, 3.0, 7.0]);
    assert_eq!(found[3..], rows(&fallback, 5, &table(10), 4).unwrap()[3..]);
    assert_eq!(rows(&init, 2, &table(10), 4).unwrap(), found[..2]);
}

#[test]
fn rows_of_another_prompt_must_fit() {
    let numbers: Vec<f32> = (0..8).map(|n| n as f32).collect();
    let given = PromptInit::Rows(TensorData::new(numbers.clone(), [2, H]));
    assert_eq!(rows(&given, 2, &table(10), 0).unwrap().concat(), numbers);
    let error = message(rows(&given, 3, &table(10), 0));
    assert!(error.contains("[2, 4]") && error.contains("[3, 4]"), "{error}");
}

/// Semantics 2: rows of real tokens are those tokens.
#[test]
fn a_prompt_of_words_acts_as_the_words() {
    let model = Block::new(&Device::default());
    let init = PromptInit::text(vec![4, 9]);
    let prompt =
        PromptTuning::init(PromptConfig::new(2), &model, &init, 0, &model.device()).unwrap();
    let whole = TokenBatch::new(&[&[4, 9, 1, 2, 3]], PaddingSide::Right);
    let whole = model.forward(&whole, &peft_core::VirtualTokens::none()).unwrap();
    for side in [PaddingSide::Right, PaddingSide::Left] {
        let batch = TokenBatch::new(&[&[1, 2, 3], &[5, 6, 7, 8]], side);
        let found = model.forward(&batch, &prompt.virtual_tokens(Mode::Evaluate)).unwrap();
        let found = found.tokens.narrow(0, 0, 1).narrow(1, batch.column(0, 0), 3);
        let expected = whole.tokens.clone().narrow(1, 2, 3);
        found.into_data().assert_approx_eq::<f32>(
            &expected.into_data(),
            burn::tensor::Tolerance::absolute(1e-5),
        );
    }
}

#[test]
fn the_gradient_reaches_every_number_of_the_prompt() {
    let model = Block::new(&Device::default());
    let device = Device::default().autodiff();
    let prompt =
        PromptTuning::init(PromptConfig::new(3), &model, &PromptInit::random(), 1, &device)
            .unwrap();
    let batch = TokenBatch::new(&[&[1, 2, 3], &[4]], PaddingSide::Left);
    let mode = Mode::Train { seed: 1, step: 0 };
    let hidden = model.forward(&batch, &prompt.virtual_tokens(mode)).unwrap().tokens;
    let mut gradients = hidden.square().sum().backward();
    let gradients = params::gradients(&prompt, &mut gradients);
    let [Some(gradient)] = gradients.as_slice() else { panic!("one gradient: {gradients:?}") };
    let numbers = gradient.to_data().try_to_vec::<f32>().unwrap();
    assert_eq!(numbers.len(), prompt.num_params());
    assert!(numbers.iter().all(|number| *number != 0.0), "{numbers:?}");
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let model = table(10);
    let refused = |p, init: PromptInit| message(rows(&init, p, &model, 0));
    assert!(refused(0, PromptInit::default()).starts_with("num_virtual_tokens: found 0"));
    for init in [
        PromptInit::SampledVocab { population: 0 },
        PromptInit::Random { range: f64::NAN },
        PromptInit::Random { range: -1.0 },
        PromptInit::text(vec![]),
        PromptInit::text(vec![10]),
        PromptInit::class_labels(vec![vec![1], vec![]]),
    ] {
        let error = refused(2, init.clone());
        assert!(error.starts_with("init: "), "{init:?}: {error}");
    }
    assert!(refused(2, PromptInit::text(vec![10])).contains("token id 10"));
}

#[test]
fn a_state_of_another_shape_is_refused() {
    let model = table(10);
    let read = |state: &NamedTensors| {
        message(PromptTuning::from_state(PromptConfig::new(2), &model.0, state, &model.device()))
    };
    let mut state = NamedTensors::new();
    assert!(read(&state).contains("no tensor `prompt_embeddings`"));
    state.insert("prompt_embeddings".into(), TensorData::new(vec![0f32; 6], [2, 3]));
    let error = read(&state);
    assert!(error.contains("[2, 3]") && error.contains("[2, 4]"), "{error}");
}

#[test]
fn the_config_says_what_peft_needs() {
    let model = Block::new(&Device::default());
    let prompt =
        PromptTuning::init(PromptConfig::new(3), &model, &PromptInit::random(), 1, &model.device())
            .unwrap();
    let fields = prompt.fields(&model.spec);
    assert_eq!((fields.method, fields.peft_type), ("prompt", PeftType::PromptTuning));
    assert_eq!(fields.num_virtual_tokens, 3);
    assert_eq!(fields.extra["prompt_tuning_init"], "RANDOM");
    assert!(fields.extra["prompt_tuning_init_text"].is_null());
    let read: PromptConfig = serde_json::from_value(fields.settings).unwrap();
    assert_eq!(&read, prompt.config());
    assert_eq!(serde_json::from_str::<PromptConfig>("{}").unwrap(), PromptConfig::default());
}
