#![allow(clippy::unwrap_used)]

use burn::{module::Module, tensor::TensorData};
use peft_core::{
    Content, Mode, NamedTensors, PaddingSide, PeftMethod, PeftType, TokenBatch, VirtualTokens,
    contract::{layout, params},
};
use proptest::prelude::*;

use super::*;

// The block of peft-prompt's first page: `Block`, and what it imports. H = 16, L = 2, K = 2, D = 6.
include!("doc_block.rs");

/// 2 * K * D of the block: numbers of one virtual token in one layer.
const LAYER: usize = 2 * 2 * 6;

const EVALUATE: Mode = Mode::Evaluate;

fn model() -> Block {
    Block::new(&Device::default())
}

fn some(p: usize, layers: &[usize]) -> PTuningV2Config {
    PTuningV2Config::new(p).with_layers(Some(layers.to_vec())).with_hidden_size(5)
}

fn make(config: PTuningV2Config, init: &PTuningV2Init, seed: u64) -> PTuningV2 {
    PTuningV2::init(config, &model(), init, seed, &Device::default()).unwrap()
}

fn random(config: PTuningV2Config, seed: u64) -> PTuningV2 {
    make(config, &PTuningV2Init::default(), seed)
}

/// The numbers of virtual tokens, `[P, l * 2 * K * D]`.
fn flat(tokens: &VirtualTokens) -> Vec<f32> {
    let Content::KeyValues(sites) = &tokens.content else { panic!("no keys and values") };
    let [site] = sites.as_slice() else { panic!("{} sites", sites.len()) };
    layout::to_flat(site).unwrap().into_data().try_to_vec().unwrap()
}

fn message<T>(result: Result<T>) -> String {
    result.err().expect("an error").to_string()
}

/// A choice of layers of the block.
fn any_layers() -> impl Strategy<Value = Option<Vec<usize>>> {
    prop_oneof![Just(None), Just(Some(vec![0])), Just(Some(vec![1])), Just(Some(vec![0, 1]))]
}

fn any_config() -> impl Strategy<Value = PTuningV2Config> {
    (1..9usize, any_layers(), any::<bool>(), 1..6usize).prop_map(|(p, layers, projection, m)| {
        PTuningV2Config::new(p)
            .with_layers(layers)
            .with_prefix_projection(projection)
            .with_hidden_size(m)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn shapes_and_counts(config in any_config(), seed: u64) {
        let deep = random(config.clone(), seed);
        let (p, m) = (config.num_virtual_tokens, config.hidden_size);
        let chosen = config.layers.clone().unwrap_or(vec![0, 1]);
        let width = chosen.len() * LAYER;
        let mlp = p * 16 + m * (16 + 1) + width * (m + 1);
        let trained = if config.prefix_projection { mlp } else { p * width };
        prop_assert_eq!((deep.num_trainable(), deep.num_deployed()), (trained, p * width));
        prop_assert_eq!(&deep.layers()[0], &chosen);
        let tokens = deep.virtual_tokens(EVALUATE);
        prop_assert_eq!((tokens.len(), tokens.rows()), (p, 1));
        for layer in 0..2 {
            let found = tokens.layer(Site::DecoderSelf, layer).map(|layer| layer.key.dims());
            prop_assert_eq!(found, chosen.contains(&layer).then_some([1, 2, p, 6]));
        }
        tokens.check(&model().spec, 3).unwrap();
    }

    #[test]
    fn folding_changes_no_bit(config in any_config(), seed: u64) {
        let deep = random(config, seed);
        let (p, folded) = (deep.config().num_virtual_tokens, deep.fold());
        let numbers = flat(&folded.virtual_tokens(EVALUATE));
        prop_assert_eq!(&numbers, &flat(&deep.virtual_tokens(EVALUATE)));
        let width = deep.layers()[0].len() * LAYER;
        let file = folded.state();
        prop_assert_eq!(file.keys().collect::<Vec<_>>(), ["prompt_embeddings"]);
        prop_assert_eq!(&file["prompt_embeddings"], &TensorData::new(numbers, [p, width]));
    }

    #[test]
    fn a_state_comes_back_bit_for_bit_folded_or_not(config in any_config(), seed: u64) {
        let deep = random(config.clone(), seed);
        for deep in [deep.fold(), deep] {
            let state = deep.state();
            let device = Device::default();
            let back = PTuningV2::from_state(config.clone(), &model().spec, &state, &device).unwrap();
            prop_assert_eq!(back.state(), state);
            prop_assert_eq!(flat(&back.virtual_tokens(EVALUATE)), flat(&deep.virtual_tokens(EVALUATE)));
        }
    }

    #[test]
    fn a_seed_gives_the_same_numbers_and_another_seed_others(config in any_config(), seed: u64) {
        let of = |seed| random(config.clone(), seed).state();
        prop_assert_eq!(of(seed), of(seed));
        prop_assert_ne!(of(seed), of(seed.wrapping_add(1)));
    }

    #[test]
    fn dropout_is_for_training_and_drawn_from_seed_and_step(seed: u64, step in 0..1000u64) {
        let deep = random(some(8, &[1]).with_dropout(0.5), 1);
        let at = |seed, step| flat(&deep.virtual_tokens(Mode::Train { seed, step }));
        let (whole, dropped) = (flat(&deep.virtual_tokens(EVALUATE)), at(seed, step));
        prop_assert_eq!(&dropped, &at(seed, step));
        prop_assert_ne!(&dropped, &at(seed, step + 1));
        prop_assert_ne!(&dropped, &at(seed.wrapping_add(1), step));
        for (dropped, whole) in dropped.iter().zip(&whole) {
            prop_assert!(*dropped == 0.0 || *dropped == 2.0 * whole);
        }
    }
}

#[test]
fn random_numbers_have_the_spread_asked_for() {
    for std in [0.02, 0.5] {
        let init = PTuningV2Init::Random { std };
        let numbers = flat(&make(PTuningV2Config::new(200), &init, 3).virtual_tokens(EVALUATE));
        let found = (numbers.iter().map(|n| n * n).sum::<f32>() / numbers.len() as f32).sqrt();
        assert!((f64::from(found) / std - 1.0).abs() < 0.05, "{found} {std}");
    }
}

#[test]
fn the_projection_starts_with_biases_of_zero() {
    let state = random(some(50, &[0]).with_prefix_projection(true), 3).state();
    let numbers = |name: &str| state[name].clone().try_to_vec::<f32>().unwrap();
    for bias in ["transform.0.bias", "transform.2.bias"] {
        assert!(numbers(bias).iter().all(|number| *number == 0.0));
    }
    let embedding = numbers("embedding.weight");
    let std = (embedding.iter().map(|n| n * n).sum::<f32>() / embedding.len() as f32).sqrt();
    assert!((std - 0.02).abs() < 0.002, "{std}");
}

#[test]
fn zero_is_zero() {
    for projection in [false, true] {
        let config = some(3, &[0, 1]).with_prefix_projection(projection);
        let deep = make(config, &PTuningV2Init::Zero, 1);
        assert!(flat(&deep.virtual_tokens(EVALUATE)).iter().all(|number| *number == 0.0));
    }
}

/// Semantics 3: the keys and values of words in all layers act as the words.
#[test]
fn activations_of_words_act_as_the_words() {
    let model = model();
    let init = PTuningV2Init::activations(vec![4, 9, 11]);
    let deep = make(PTuningV2Config::new(3), &init, 0);
    let alone = TokenBatch::new(&[&[4, 9, 11, 1, 2]], PaddingSide::Right);
    let expected = model.forward(&alone, &VirtualTokens::none()).unwrap().tokens.narrow(1, 3, 2);
    let batch = TokenBatch::new(&[&[1, 2], &[5, 6, 7]], PaddingSide::Left);
    let found = model.forward(&batch, &deep.virtual_tokens(EVALUATE)).unwrap().tokens;
    let found = found.narrow(0, 0, 1).narrow(1, 1, 2).into_data();
    let tolerance = burn::tensor::Tolerance::absolute(1e-5);
    found.assert_approx_eq::<f32>(&expected.into_data(), tolerance);
}

#[test]
fn activations_of_chosen_layers_are_those_of_all_layers() {
    let init = PTuningV2Init::activations(vec![4, 9, 11]);
    let all = flat(&make(PTuningV2Config::new(2), &init, 0).virtual_tokens(EVALUATE));
    let last = flat(&make(some(2, &[1]), &init, 0).virtual_tokens(EVALUATE));
    let expected: Vec<f32> = all.chunks(2 * LAYER).flat_map(|row| row[LAYER..].to_vec()).collect();
    assert_eq!(last, expected);
}

#[test]
fn the_projection_is_fitted_to_words() {
    let fit = FitConfig { steps: 100, lr: 1e-2 };
    let ids = vec![4, 9, 11];
    let config = some(3, &[1]).with_hidden_size(64);
    let init = PTuningV2Init::Activations { ids, fit };
    let target = flat(&make(config.clone(), &init, 0).virtual_tokens(EVALUATE));
    let fitted = make(config.with_prefix_projection(true), &init, 0);
    let found = flat(&fitted.virtual_tokens(EVALUATE));
    let error: f32 = found.iter().zip(&target).map(|(a, b)| (a - b).powi(2)).sum();
    let norm: f32 = target.iter().map(|number| number * number).sum();
    assert!(error < 0.01 * norm, "{error} {norm}");
}

/// Virtual tokens of the second layer cannot change what reaches it: the keys that the tokens have there.
#[test]
fn a_layer_left_out_computes_what_the_base_does() {
    let model = model();
    let batch = TokenBatch::new(&[&[1, 2, 3]], PaddingSide::Right);
    let keys = |layers: &[usize], seed| {
        let deep = make(some(2, layers), &PTuningV2Init::Random { std: 1.0 }, seed);
        let cache = model.begin(&batch, &deep.virtual_tokens(EVALUATE)).unwrap();
        let cache = model.forward_cached(&batch, cache).unwrap().cache.unwrap();
        cache.tokens.into_layers()[1].key.to_data()
    };
    assert_eq!(keys(&[1], 4), keys(&[1], 5));
    assert_ne!(keys(&[1], 4), keys(&[0, 1], 4));
}

#[test]
fn the_gradient_reaches_every_number() {
    let model = model();
    let device = Device::default().autodiff();
    let batch = TokenBatch::new(&[&[1, 2, 3], &[4]], PaddingSide::Left);
    for layers in [vec![0, 1], vec![0], vec![1]] {
        for projection in [false, true] {
            let config = some(3, &layers).with_prefix_projection(projection);
            let init = PTuningV2Init::Random { std: 0.5 };
            let deep = PTuningV2::init(config, &model, &init, 2, &device).unwrap();
            let tokens = deep.virtual_tokens(Mode::Train { seed: 1, step: 0 });
            let hidden = model.forward(&batch, &tokens).unwrap().tokens;
            let hidden = hidden.narrow(1, 2, 1).squeeze_dim(1);
            let logits = model.lm_logits(hidden).unwrap();
            let mut gradients = logits.narrow(1, 7, 1).sum().backward();
            let gradients: Vec<f32> = params::gradients(&deep, &mut gradients)
                .into_iter()
                .flat_map(|gradient| gradient.unwrap().into_data().try_to_vec::<f32>().unwrap())
                .collect();
            assert_eq!(gradients.len(), deep.num_params());
            assert!(gradients.iter().all(|number| *number != 0.0), "{layers:?} {projection}");
        }
    }
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let refused = |config: PTuningV2Config, init: &PTuningV2Init| {
        message(PTuningV2::init(config, &model(), init, 0, &Device::default()))
    };
    for (config, field) in [
        (some(0, &[0]), "num_virtual_tokens: found 0"),
        (some(2, &[0]).with_hidden_size(0), "hidden_size: found 0"),
        (some(2, &[0]).with_dropout(1.0), "dropout: found 1"),
        (some(2, &[]), "layers: found no layer"),
        (some(2, &[1, 0]), "layers: found 1 before 0"),
        (some(2, &[1, 1]), "layers: found 1 before 1"),
        (some(2, &[0, 2]), "layers: found 2"),
    ] {
        let error = refused(config, &PTuningV2Init::default());
        assert!(error.contains(field), "{error}");
    }
    let error = refused(some(2, &[0]), &PTuningV2Init::Random { std: -1.0 });
    assert!(error.starts_with("init: "), "{error}");
    let few = refused(some(3, &[0]), &PTuningV2Init::activations(vec![1]));
    assert!(few.contains("tokens: found 3"), "{few}");
}

#[test]
fn a_state_of_other_layers_is_refused() {
    let state = random(some(2, &[0, 1]), 1).state();
    let read = |config, state: &NamedTensors| {
        message(PTuningV2::from_state(config, &model().spec, state, &Device::default()))
    };
    let error = read(some(2, &[1]), &state);
    assert!(error.contains("[2, 48]") && error.contains("[2, 24]"), "{error}");
    assert!(read(some(2, &[1]), &NamedTensors::new()).contains("`prompt_embeddings`"));
}

#[test]
fn the_config_names_layers_only_where_some_are_left_out() {
    let spec = model().spec;
    for (layers, peft_type) in [
        (None, PeftType::PrefixTuning),
        (Some(vec![0, 1]), PeftType::PrefixTuning),
        (Some(vec![1]), PeftType::PrefixTuningLayers),
    ] {
        let deep = random(PTuningV2Config::new(3).with_layers(layers), 1);
        let fields = deep.fields(&spec);
        assert_eq!((fields.method, fields.peft_type), ("ptv2", peft_type));
        let subset = peft_type == PeftType::PrefixTuningLayers;
        assert_eq!(fields.layers, subset.then(|| vec![1]));
        assert_eq!(fields.extra["prefix_projection"], false);
        let read: PTuningV2Config = serde_json::from_value(fields.settings).unwrap();
        assert_eq!(&read, deep.config());
    }
    assert_eq!(serde_json::from_str::<PTuningV2Config>("{}").unwrap(), PTuningV2Config::default());
}
