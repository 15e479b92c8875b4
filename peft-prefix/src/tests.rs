#![allow(clippy::unwrap_used)]

use burn::{module::Module, tensor::TensorData};
use peft_core::{
    Content, Mode, NamedTensors, PaddingSide, PeftMethod, PeftType, SiteKeyValues, TokenBatch,
    VirtualTokens,
    contract::{layout, params},
    methods::prefix::PrefixParameters,
};
use proptest::prelude::*;

use super::*;

// The block of peft-prompt's first page: `Block`, and what it imports. H = 16, L = 2, K = 2, D = 6.
include!("doc_block.rs");

/// L * 2 * K * D of the block.
const WIDTH: usize = 2 * 2 * 2 * 6;

const EVALUATE: Mode = Mode::Evaluate;

fn model() -> Block {
    Block::new(&Device::default())
}

fn small(p: usize) -> PrefixConfig {
    PrefixConfig::new(p).with_hidden_size(5).with_embedding_size(Some(3))
}

fn direct(p: usize) -> PrefixConfig {
    PrefixConfig::new(p).with_prefix_projection(false)
}

fn make(config: PrefixConfig, init: &PrefixInit, seed: u64) -> PrefixTuning {
    PrefixTuning::init(config, &model(), init, seed, &Device::default()).unwrap()
}

/// The numbers of virtual tokens, `[P, L * 2 * K * D]`.
fn flat(tokens: &VirtualTokens) -> Vec<f32> {
    let Content::KeyValues(sites) = &tokens.content else { panic!("no keys and values") };
    let [site] = sites.as_slice() else { panic!("{} sites", sites.len()) };
    layout::to_flat(site).unwrap().into_data().try_to_vec().unwrap()
}

fn message<T>(result: Result<T>) -> String {
    result.err().expect("an error").to_string()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn shapes_and_counts(p in 1..9usize, e in 1..6usize, m in 1..6usize, mlp: bool, seed: u64) {
        let config = PrefixConfig::new(p)
            .with_prefix_projection(mlp)
            .with_embedding_size(Some(e))
            .with_hidden_size(m);
        let prefix = make(config, &PrefixInit::Random, seed);
        let trained = if mlp { p * e + m * (e + 1) + WIDTH * (m + 1) } else { p * WIDTH };
        prop_assert_eq!((prefix.num_trainable(), prefix.num_deployed()), (trained, p * WIDTH));
        let tokens = prefix.virtual_tokens(EVALUATE);
        prop_assert_eq!((tokens.len(), tokens.rows()), (p, 1));
        let layer = tokens.layer(Site::DecoderSelf, 1).unwrap();
        prop_assert_eq!((layer.key.dims(), layer.value.dims()), ([1, 2, p, 6], [1, 2, p, 6]));
        tokens.check(&model().spec, 3).unwrap();
    }

    #[test]
    fn folding_changes_no_bit(p in 1..9usize, mlp: bool, seed: u64) {
        let prefix = make(small(p).with_prefix_projection(mlp), &PrefixInit::Random, seed);
        let folded = prefix.fold();
        prop_assert_eq!(prefix.is_folded(), !mlp);
        prop_assert!(folded.is_folded());
        let numbers = flat(&folded.virtual_tokens(EVALUATE));
        prop_assert_eq!(&numbers, &flat(&prefix.virtual_tokens(EVALUATE)));
        let file = folded.state();
        prop_assert_eq!(file.keys().collect::<Vec<_>>(), ["prompt_embeddings"]);
        prop_assert_eq!(&file["prompt_embeddings"], &TensorData::new(numbers, [p, WIDTH]));
    }

    #[test]
    fn a_state_comes_back_bit_for_bit_folded_or_not(p in 1..9usize, seed: u64) {
        let prefix = make(small(p), &PrefixInit::Random, seed);
        for prefix in [prefix.fold(), prefix] {
            let state = prefix.state();
            let back =
                PrefixTuning::from_state(small(p), &model().spec, &state, &Device::default()).unwrap();
            prop_assert_eq!(back.is_folded(), prefix.is_folded());
            prop_assert_eq!(back.state(), state);
            let numbers = flat(&back.virtual_tokens(EVALUATE));
            prop_assert_eq!(numbers, flat(&prefix.virtual_tokens(EVALUATE)));
        }
    }

    #[test]
    fn a_seed_gives_the_same_prefix_and_another_seed_another(mlp: bool, seed: u64) {
        let of = |seed| make(small(3).with_prefix_projection(mlp), &PrefixInit::Random, seed).state();
        prop_assert_eq!(of(seed), of(seed));
        prop_assert_ne!(of(seed), of(seed.wrapping_add(1)));
    }

    #[test]
    fn dropout_is_for_training_and_drawn_from_seed_and_step(seed: u64, step in 0..1000u64) {
        let prefix = make(small(8).with_dropout(0.5), &PrefixInit::Random, 1);
        let at = |seed, step| flat(&prefix.virtual_tokens(Mode::Train { seed, step }));
        let (whole, dropped) = (flat(&prefix.virtual_tokens(EVALUATE)), at(seed, step));
        prop_assert_eq!(&dropped, &at(seed, step));
        prop_assert_ne!(&dropped, &at(seed, step + 1));
        prop_assert_ne!(&dropped, &at(seed.wrapping_add(1), step));
        for (dropped, whole) in dropped.iter().zip(&whole) {
            prop_assert!(*dropped == 0.0 || *dropped == 2.0 * whole);
        }
        let without = make(small(8), &PrefixInit::Random, 1);
        prop_assert_eq!(flat(&without.virtual_tokens(Mode::Train { seed, step })), whole);
    }
}

#[test]
fn tensors_have_pefts_names_and_torchs_shapes() {
    let shapes: Vec<_> = make(small(4), &PrefixInit::Random, 1)
        .state()
        .into_iter()
        .map(|(name, data)| (name, data.shape().as_slice().to_vec()))
        .collect();
    let expected = [
        ("embedding.weight", vec![4, 3]),
        ("transform.0.bias", vec![5]),
        ("transform.0.weight", vec![5, 3]),
        ("transform.2.bias", vec![WIDTH]),
        ("transform.2.weight", vec![WIDTH, 5]),
    ];
    assert_eq!(shapes, expected.map(|(name, shape)| (name.to_string(), shape)));
}

/// W2 tanh(W1 P' + b1) + b2 by hand: P' = 2, W1 = 0.5, b1 = -1, so tanh(0) = 0 and only b2 is left; with
/// b1 = 0 the hidden number is tanh(1) = 0.761594.
#[test]
fn the_mlp_is_the_papers() {
    let spec = model().spec;
    let config = PrefixConfig::new(1).with_hidden_size(1).with_embedding_size(Some(1));
    let b2: Vec<f32> = (0..WIDTH).map(|n| n as f32).collect();
    for (b1, hidden) in [(-1.0, 0.0), (0.0, 0.761_594_2)] {
        let state = NamedTensors::from([
            ("embedding.weight".into(), TensorData::new(vec![2f32], [1, 1])),
            ("transform.0.weight".into(), TensorData::new(vec![0.5f32], [1, 1])),
            ("transform.0.bias".into(), TensorData::new(vec![b1 as f32], [1])),
            ("transform.2.weight".into(), TensorData::new(vec![3f32; WIDTH], [WIDTH, 1])),
            ("transform.2.bias".into(), TensorData::new(b2.clone(), [WIDTH])),
        ]);
        let device = Device::default();
        let prefix = PrefixTuning::from_state(config.clone(), &spec, &state, &device).unwrap();
        for (found, b2) in flat(&prefix.virtual_tokens(EVALUATE)).iter().zip(&b2) {
            assert!((found - (3.0 * hidden + b2)).abs() < 1e-5, "{found} {b2}");
        }
    }
}

/// torch's defaults: U(-1/sqrt(inputs), 1/sqrt(inputs)) for both linear layers, N(0, 1) for the embedding;
/// N(0, 0.02) for free parameters.
#[test]
fn random_starts_are_those_of_the_papers_code() {
    let config = PrefixConfig::new(200).with_hidden_size(64);
    let state = make(config, &PrefixInit::Random, 5).state();
    let numbers = |name: &str| state[name].clone().try_to_vec::<f32>().unwrap();
    for (layer, bound) in [("transform.0", 0.25), ("transform.2", 0.125)] {
        for part in ["weight", "bias"] {
            let numbers = numbers(&format!("{layer}.{part}"));
            let largest = numbers.iter().fold(0f32, |most, number| most.max(number.abs()));
            assert!(largest <= bound && largest > 0.9 * bound, "{layer}.{part}: {largest}");
        }
    }
    let std = |numbers: Vec<f32>| {
        (numbers.iter().map(|n| n * n).sum::<f32>() / numbers.len() as f32).sqrt()
    };
    assert!((std(numbers("embedding.weight")) - 1.0).abs() < 0.05);
    let free = flat(&make(direct(200), &PrefixInit::Random, 5).virtual_tokens(EVALUATE));
    assert!((std(free) - 0.02).abs() < 0.001);
}

#[test]
fn zero_is_zero_and_still_learns() {
    for config in [direct(3), small(3)] {
        let mlp = config.prefix_projection;
        let device = Device::default().autodiff();
        let prefix = PrefixTuning::init(config, &model(), &PrefixInit::Zero, 1, &device).unwrap();
        assert!(flat(&prefix.virtual_tokens(EVALUATE)).iter().all(|number| *number == 0.0));
        let gradients = gradients_of(&prefix);
        let flows: Vec<bool> = gradients.iter().map(|g| g.iter().any(|n| *n != 0.0)).collect();
        // Through a last layer of zeros nothing flows back in the first step.
        let expected = if mlp { vec![false, false, false, true, true] } else { vec![true] };
        assert_eq!(flows, expected);
        if !mlp {
            let rows: Vec<_> = gradients[0].chunks(WIDTH).collect();
            let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
            assert!(
                near(rows[0], rows[1]) && near(rows[1], rows[2]),
                "the virtual tokens stay equal"
            );
        }
    }
}

/// Gradients of all parameters for a loss over a padded batch.
fn gradients_of(prefix: &PrefixTuning) -> Vec<Vec<f32>> {
    let model = model();
    let batch = TokenBatch::new(&[&[1, 2, 3], &[4]], PaddingSide::Left);
    let tokens = prefix.virtual_tokens(Mode::Train { seed: 1, step: 0 });
    let hidden = model.forward(&batch, &tokens).unwrap().tokens.narrow(1, 2, 1).squeeze_dim(1);
    let mut gradients = model.lm_logits(hidden).unwrap().narrow(1, 7, 1).sum().backward();
    params::gradients(prefix, &mut gradients)
        .into_iter()
        .map(|gradient| gradient.unwrap().into_data().try_to_vec().unwrap())
        .collect()
}

#[test]
fn the_gradient_reaches_every_number() {
    let device = Device::default().autodiff();
    let init = PrefixInit::Random;
    for config in [direct(3), small(3)] {
        let prefix = PrefixTuning::init(config, &model(), &init, 2, &device).unwrap();
        for prefix in [prefix.fold(), prefix] {
            let gradients = gradients_of(&prefix);
            assert_eq!(gradients.iter().map(Vec::len).sum::<usize>(), prefix.num_params());
            assert!(gradients.iter().flatten().all(|number| *number != 0.0), "{gradients:?}");
        }
    }
}

/// Semantics 3: a prefix of the keys and values of words acts as the words.
#[test]
fn copied_activations_act_as_the_words() {
    let model = model();
    let prefix = make(direct(3), &PrefixInit::activations(vec![4, 9, 11]), 0);
    let alone = TokenBatch::new(&[&[4, 9, 11, 1, 2]], PaddingSide::Right);
    let expected = model.forward(&alone, &VirtualTokens::none()).unwrap().tokens.narrow(1, 3, 2);
    let batch = TokenBatch::new(&[&[1, 2], &[5, 6, 7]], PaddingSide::Left);
    let found = model.forward(&batch, &prefix.virtual_tokens(EVALUATE)).unwrap().tokens;
    let found = found.narrow(0, 0, 1).narrow(1, 1, 2).into_data();
    let tolerance = burn::tensor::Tolerance::absolute(1e-5);
    found.assert_approx_eq::<f32>(&expected.into_data(), tolerance);
}

#[test]
fn the_first_p_words_are_taken() {
    let of = |p, ids: Vec<u32>| {
        flat(&make(direct(p), &PrefixInit::activations(ids), 0).virtual_tokens(EVALUATE))
    };
    let (two, four) = (of(2, vec![1, 2, 3, 4]), of(4, vec![1, 2, 3, 4]));
    assert!(two.iter().zip(&four).all(|(a, b)| (a - b).abs() < 1e-6));
    assert_eq!((two.len(), four.len()), (2 * WIDTH, 4 * WIDTH));
}

#[test]
fn the_mlp_is_fitted_and_its_embedding_stays() {
    let ids = vec![4, 9, 11];
    let target =
        flat(&make(direct(3), &PrefixInit::activations(ids.clone()), 0).virtual_tokens(EVALUATE));
    let error = |prefix: &PrefixTuning| {
        let found = flat(&prefix.virtual_tokens(EVALUATE));
        found.iter().zip(&target).map(|(a, b)| (a - b).powi(2)).sum::<f32>() / target.len() as f32
    };
    let config = PrefixConfig::new(3).with_hidden_size(64);
    let autodiff = Device::default().autodiff();
    for device in [Device::default(), autodiff.clone(), autodiff.gradient_checkpointing()] {
        let fit = FitConfig { steps: 100, lr: 1e-2 };
        let init = PrefixInit::Activations { ids: ids.clone(), fit };
        let fitted = PrefixTuning::init(config.clone(), &model(), &init, 7, &device).unwrap();
        let random = make(config.clone(), &PrefixInit::Random, 7);
        assert!(error(&fitted) < 0.01 * error(&random), "{} {}", error(&fitted), error(&random));
        assert_eq!(fitted.state()["embedding.weight"], random.state()["embedding.weight"]);
        let PrefixParameters::Mlp(mlp) = &fitted.prefixes.parameters[0] else { panic!("no MLP") };
        assert_eq!(mlp.transform.weight_out.val().is_require_grad(), device.is_autodiff());
        if device.is_autodiff() {
            assert!(gradients_of(&fitted).iter().all(|of| of.iter().any(|number| *number != 0.0)));
        }
    }
    assert_eq!(FitConfig::default(), FitConfig { steps: 500, lr: 1e-4 });
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let refused = |config: PrefixConfig, init: &PrefixInit| {
        message(PrefixTuning::init(config, &model(), init, 0, &Device::default()))
    };
    for (config, field) in [
        (small(0), "num_virtual_tokens: found 0"),
        (small(2).with_hidden_size(0), "hidden_size: found 0"),
        (small(2).with_embedding_size(Some(0)), "embedding_size: found 0"),
        (small(2).with_dropout(1.0), "dropout: found 1"),
        (small(2).with_dropout(f64::NAN), "dropout: found NaN"),
    ] {
        let error = refused(config, &PrefixInit::Random);
        assert!(error.starts_with(field), "{error}");
    }
    let few = refused(direct(3), &PrefixInit::activations(vec![1, 2]));
    assert!(few.contains("tokens: found 3"), "{few}");
    let foreign = refused(direct(1), &PrefixInit::activations(vec![13]));
    assert!(foreign.contains("init: found the token id 13"), "{foreign}");
}

#[test]
fn a_state_that_does_not_fit_is_refused() {
    let spec = model().spec;
    let read = |state: &NamedTensors| {
        message(PrefixTuning::from_state(small(2), &spec, state, &Device::default()))
    };
    assert!(read(&NamedTensors::new()).contains("no tensor `prompt_embeddings`"));
    let mut state = make(small(2), &PrefixInit::Random, 1).state();
    state.insert("transform.0.bias".into(), TensorData::new(vec![0f32; 4], [4]));
    let error = read(&state);
    assert!(error.contains("`transform.0.bias`") && error.contains("[4]"), "{error}");
    state.remove("transform.0.bias");
    assert!(read(&state).contains("no tensor `transform.0.bias`"));
}

#[test]
fn the_config_says_what_peft_needs() {
    let prefix = make(small(3), &PrefixInit::Random, 1);
    let fields = prefix.fields(&model().spec);
    assert_eq!((fields.method, fields.peft_type), ("prefix", PeftType::PrefixTuning));
    assert_eq!((fields.num_virtual_tokens, fields.layers), (3, None));
    assert_eq!(fields.extra["prefix_projection"], false);
    assert_eq!(fields.extra["encoder_hidden_size"], 5);
    assert!(fields.extra["init_weights"].is_null());
    let read: PrefixConfig = serde_json::from_value(fields.settings).unwrap();
    assert_eq!(&read, prefix.config());
    assert_eq!(serde_json::from_str::<PrefixConfig>("{}").unwrap(), PrefixConfig::default());
}

/// Slot 0 of a virtual token is layer 0's key, head 0.
#[test]
fn layers_are_laid_out_key_then_value() {
    let numbers: Vec<f32> = (0..2 * WIDTH).map(|n| n as f32).collect();
    let state = NamedTensors::from([(
        "prompt_embeddings".to_string(),
        TensorData::new(numbers.clone(), [2, WIDTH]),
    )]);
    let prefix =
        PrefixTuning::from_state(direct(2), &model().spec, &state, &Device::default()).unwrap();
    let tokens = prefix.virtual_tokens(EVALUATE);
    let layer = tokens.layer(Site::DecoderSelf, 1).unwrap();
    // Layer 1's value, head 1, virtual token 1: (1 * 48) + (1 * 2 + 1) * 12 + 1 * 6.
    let head = layer.value.clone().slice([0..1, 1..2, 1..2, 0..6]).into_data();
    assert_eq!(head.try_to_vec::<f32>().unwrap(), [90.0, 91.0, 92.0, 93.0, 94.0, 95.0]);
    let sites = SiteKeyValues { site: Site::DecoderSelf, layers: vec![None, Some(layer.clone())] };
    assert_eq!(layout::to_flat(&sites).unwrap().dims(), [2, WIDTH / 2]);
}
