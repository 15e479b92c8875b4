#![allow(clippy::unwrap_used)]

use burn::{
    module::Module,
    tensor::{TensorData, Tolerance},
};
use peft_core::{
    Error, Mode, NamedTensors, PROMPT_EMBEDDINGS, PeftMethod, PeftType, contract::params,
};
use proptest::prelude::*;
use rand::Rng;
use serde_json::json;

use super::*;
use crate::{PromptConfig, PromptInit, PromptTuning};

// The block of the first page: `Block`, and what it imports.
include!("../doc_block.rs");

const H: usize = 16;
const EVALUATE: Mode = Mode::Evaluate;

fn make(p: usize, encoder: EncoderConfig, seed: u64) -> PromptTuning {
    let config = PromptConfig::new(p).with_encoder(Some(encoder));
    let model = Block::new(&Device::default());
    PromptTuning::init(config, &model, &PromptInit::normal(), seed, &model.device()).unwrap()
}

fn lstm(num_layers: usize, m: usize, dropout: f64) -> EncoderConfig {
    EncoderConfig::Lstm { hidden_size: Some(m), num_layers, dropout }
}

fn any_encoder() -> impl Strategy<Value = EncoderConfig> {
    let m = prop_oneof![Just(None), (1..7usize).prop_map(Some)];
    (m, 0..4usize).prop_map(|(hidden_size, num_layers)| match num_layers {
        0 => EncoderConfig::Mlp { hidden_size },
        _ => EncoderConfig::Lstm { hidden_size, num_layers, dropout: 0.0 },
    })
}

fn numbers(data: &TensorData) -> Vec<f32> {
    data.iter().collect()
}

fn rows(prompt: &PromptTuning, mode: Mode) -> Vec<f32> {
    numbers(&prompt.rows(mode).into_data())
}

fn message<T>(result: Result<T>) -> String {
    result.err().expect("an error").to_string()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn folding_and_storing_change_nothing(p in 1..6usize, encoder in any_encoder(), seed: u64) {
        let prompt = make(p, encoder.clone(), seed);
        prop_assert_eq!(prompt.num_trainable(), p * H + encoder.num_params(H));
        prop_assert_eq!(prompt.num_deployed(), p * H);
        let folded = prompt.fold();
        prop_assert!(folded.is_folded() && !prompt.is_folded());
        prop_assert_eq!(rows(&folded, EVALUATE), rows(&prompt, EVALUATE));
        prop_assert_eq!(folded.fold().state(), folded.state());
        let names: Vec<String> = folded.state().into_keys().collect();
        prop_assert_eq!(names, [PROMPT_EMBEDDINGS]);
        for (stored, is_folded) in [(&prompt, false), (&folded, true)] {
            let (config, spec) = (stored.config().clone(), Block::new(&Device::default()).spec);
            let state = stored.state();
            let read = PromptTuning::from_state(config, &spec, &state, &Device::default()).unwrap();
            prop_assert_eq!(read.is_folded(), is_folded);
            prop_assert_eq!(read.state(), state);
            prop_assert_eq!(rows(&read, EVALUATE), rows(&prompt, EVALUATE));
        }
        let text = serde_json::to_string(prompt.config()).unwrap();
        prop_assert_eq!(&serde_json::from_str::<PromptConfig>(&text).unwrap(), prompt.config());
    }

    /// An LSTM that reads from both ends writes the same in reverse, if rows and directions change places.
    #[test]
    fn both_directions_are_one_law(p in 1..6usize, m in 1..5usize, seed: u64) {
        let prompt = make(p, lstm(1, m, 0.0), seed);
        let layer = &prompt.encoder.as_ref().unwrap().lstm.as_ref().unwrap().layers[0];
        let other =
            LstmLayer { forward: layer.backward.clone(), backward: layer.forward.clone() };
        let input = prompt.embeddings.val();
        let found = other.forward(input.clone().flip([0])).flip([0]);
        let expected = layer.forward(input);
        let halves = [expected.clone().narrow(1, m, m), expected.narrow(1, 0, m)];
        let expected = Tensor::cat(halves.to_vec(), 1).into_data();
        found.into_data().assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-6));
    }

    #[test]
    fn a_seed_gives_the_same_encoder(encoder in any_encoder(), seed: u64) {
        let state = |seed| make(3, encoder.clone(), seed).state();
        prop_assert_eq!(state(seed), state(seed));
        let (found, other) = (state(seed), state(seed.wrapping_add(1)));
        prop_assert!(found.iter().all(|(name, data)| other[name] != *data));
    }
}

/// Each row depends on each row of Z through an LSTM, and on its own alone through an MLP.
#[test]
fn an_lstm_mixes_the_rows_and_an_mlp_does_not() {
    for (encoder, mixes) in [(EncoderConfig::lstm(), true), (EncoderConfig::mlp(), false)] {
        let prompt = make(4, encoder, 5);
        let mut changed = prompt.clone();
        let other = prompt.embeddings.val().slice_fill(burn::tensor::s![1..2], 0.5);
        changed.embeddings = burn::module::Param::from_tensor(other);
        let (before, after) = (rows(&prompt, EVALUATE), rows(&changed, EVALUATE));
        for row in 0..4 {
            let of = row * H..(row + 1) * H;
            assert_eq!(before[of.clone()] != after[of], mixes || row == 1, "row {row}");
        }
    }
}

/// torch's defaults, from its documentation of Embedding, LSTM and Linear.
#[test]
fn values_start_as_in_torch() {
    for encoder in [lstm(2, 25, 0.0), EncoderConfig::mlp().with_hidden_size(Some(25))] {
        let state = make(300, encoder, 1).state();
        for (name, data) in &state {
            let found = numbers(data);
            let mean = found.iter().sum::<f32>() / found.len() as f32;
            let variance = found.iter().map(|x| x * x).sum::<f32>() / found.len() as f32;
            if name == "embedding.weight" {
                assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.1, "{mean}, {variance}");
                continue;
            }
            // A bias has as many inputs as the weight beside it.
            let inputs = match name.starts_with("lstm_head") {
                true => 25,
                false => state[&name.replace("bias", "weight")].shape().as_slice()[1],
            };
            let bound = 1.0 / (inputs as f32).sqrt();
            let largest = found.iter().fold(0f32, |largest, x| largest.max(x.abs()));
            assert!(largest <= bound && largest > 0.8 * bound, "{name}: {largest}, {bound}");
            assert!((variance - bound * bound / 3.0).abs() < 0.3 * bound * bound, "{name}");
        }
    }
}

#[test]
fn dropout_is_between_the_layers_of_an_lstm_in_training_alone() {
    let prompt = |rate| make(4, lstm(2, 5, rate), 3);
    let train = |step| Mode::Train { seed: 9, step };
    let plain = rows(&prompt(0.0), EVALUATE);
    assert_eq!(rows(&prompt(0.0), train(0)), plain);
    assert_eq!(rows(&prompt(0.5), EVALUATE), plain);
    assert_eq!(rows(&prompt(0.5).fold(), train(0)), plain);
    let dropped = rows(&prompt(0.5), train(0));
    assert_ne!(dropped, plain);
    assert_eq!(rows(&prompt(0.5), train(0)), dropped);
    assert_ne!(rows(&prompt(0.5), train(1)), dropped);
}

/// The derivatives by every parameter equal central differences, in f64.
#[test]
fn gradients_equal_finite_differences() {
    const STEP: f64 = 1e-5;
    let spec = Block::new(&Device::default()).spec;
    let device = Device::default().autodiff();
    let mlp = EncoderConfig::mlp().with_hidden_size(Some(3));
    for encoder in [lstm(1, 3, 0.0), lstm(2, 2, 0.0), mlp] {
        let config = PromptConfig::new(3).with_encoder(Some(encoder.clone()));
        let state: NamedTensors = make(3, encoder.clone(), 8)
            .state()
            .into_iter()
            .map(|(name, data)| (name, data.convert::<f64>()))
            .collect();
        let mut stream = rng::stream(4, 0, "direction");
        let direction: Vec<f64> = (0..3 * H).map(|_| stream.random_range(-1.0..1.0)).collect();
        let direction = TensorData::new(direction, [3, H]);
        let loss = |prompt: &PromptTuning| {
            let rows = prompt.rows(EVALUATE);
            let device = rows.device().without_autodiff();
            (rows * Tensor::from_data(direction.clone(), (&device, DType::F64))).sum()
        };
        let prompt = PromptTuning::from_state(config.clone(), &spec, &state, &device).unwrap();
        let gradients = params::gradients(&prompt, &mut loss(&prompt).backward());
        let values = params::values(&prompt);
        let mut checked = 0;
        for (index, gradient) in gradients.into_iter().enumerate() {
            let gradient: Vec<f64> = gradient.unwrap().into_data().iter().collect();
            for (place, found) in gradient.into_iter().enumerate() {
                let at = |by: f64| {
                    let mut values: Vec<_> = values.iter().map(|x| x.values.clone()).collect();
                    let mut moved: Vec<f64> = values[index].to_data().iter().collect();
                    moved[place] += by;
                    let data = TensorData::new(moved.clone(), [moved.len()]);
                    let device = values[index].device();
                    values[index] = Tensor::from_data(data, (&device, DType::F64));
                    let moved = params::replace(prompt.clone(), values).valid();
                    loss(&moved).into_scalar::<f64>()
                };
                let expected = (at(STEP) - at(-STEP)) / (2.0 * STEP);
                let difference = (found - expected).abs();
                let name = &values[index].name;
                assert!(difference < 1e-8, "{encoder:?} {name}[{place}]: {found}, {expected}");
                checked += 1;
            }
        }
        assert_eq!(checked, 3 * H + encoder.num_params(H));
    }
}

/// On an autodiff device, and whatever the dropout of its training.
#[test]
fn a_folded_prompt_acts_as_the_one_that_was_trained() {
    let model = Block::new(&Device::default());
    let config = PromptConfig::new(3).with_encoder(Some(lstm(2, 6, 0.2)));
    let device = Device::default().autodiff();
    let prompt = PromptTuning::init(config, &model, &PromptInit::default(), 2, &device).unwrap();
    let batch = peft_core::TokenBatch::new(&[&[1, 2, 3], &[4]], peft_core::PaddingSide::Left);
    let hidden = |prompt: &PromptTuning| {
        let tokens = prompt.virtual_tokens(EVALUATE).without_autodiff();
        model.forward(&batch, &tokens).unwrap().tokens.into_data()
    };
    let (found, expected) = (hidden(&prompt.fold()), hidden(&prompt));
    found.assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-6));
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let refused = |encoder: EncoderConfig| message(encoder.validate());
    for (encoder, says) in [
        (EncoderConfig::mlp().with_hidden_size(Some(0)), "encoder_hidden_size: found 0"),
        (lstm(2, 0, 0.0), "encoder_hidden_size: found 0"),
        (lstm(0, 4, 0.0), "encoder_num_layers: found 0"),
        (lstm(2, 4, 1.0), "encoder_dropout: found 1"),
        (lstm(2, 4, f64::NAN), "encoder_dropout: found NaN"),
        (lstm(1, 4, 0.1), "encoder_dropout: found 0.1"),
    ] {
        let config = PromptConfig::new(2).with_encoder(Some(encoder.clone()));
        assert!(refused(encoder.clone()).starts_with(says), "{encoder:?}");
        assert!(message(config.validate()).starts_with(says), "{encoder:?}");
    }
    let model = Block::new(&Device::default());
    let init = PromptInit::Rows(TensorData::zeros::<f32, _>([2, H]));
    let config = PromptConfig::new(2).with_encoder(Some(EncoderConfig::mlp()));
    let error = PromptTuning::init(config, &model, &init, 0, &model.device());
    assert!(matches!(error, Err(Error::Setting { setting, .. }) if setting == "init"));
}

#[test]
fn a_state_that_lacks_a_tensor_is_refused() {
    let spec = Block::new(&Device::default()).spec;
    let prompt = make(2, lstm(2, 3, 0.0), 1);
    let state = prompt.state();
    // Per layer four tensors in two directions, two linear layers, and Z.
    assert_eq!(state.len(), 2 * 8 + 4 + 1);
    for name in state.keys() {
        let mut part = state.clone();
        part.remove(name);
        let config = prompt.config().clone();
        let error = message(PromptTuning::from_state(config, &spec, &part, &Device::default()));
        assert!(error.contains(&format!("no tensor `{name}`")), "{error}");
    }
    let other = PromptConfig::new(2).with_encoder(Some(lstm(2, 4, 0.0)));
    let error = message(PromptTuning::from_state(other, &spec, &state, &Device::default()));
    assert!(error.contains("`lstm_head.weight_ih_l0` has the shape [12, 16], expected [16, 16]"));
}

#[test]
fn the_config_says_what_peft_needs() {
    let spec = Block::new(&Device::default()).spec;
    let fields = make(3, lstm(3, 5, 0.25), 1).fold().fields(&spec);
    assert_eq!((fields.method, fields.peft_type), ("prompt", PeftType::PTuning));
    assert_eq!(
        json!(fields.extra),
        json!({
            "encoder_reparameterization_type": "LSTM",
            "encoder_hidden_size": 5,
            "encoder_num_layers": 3,
            "encoder_dropout": 0.25,
        })
    );
    let fields = make(3, EncoderConfig::mlp(), 1).fields(&spec);
    assert_eq!(
        json!(fields.extra),
        json!({
            "encoder_reparameterization_type": "MLP",
            "encoder_hidden_size": H,
            "encoder_num_layers": 2,
            "encoder_dropout": 0.0,
        })
    );
    assert_eq!(
        fields.settings,
        json!({"num_virtual_tokens": 3, "encoder": {"type": "mlp", "hidden_size": null}})
    );
    // The settings of a prompt without an encoder are as they always were, so its runs go on.
    assert_eq!(json!(PromptConfig::new(3)), json!({"num_virtual_tokens": 3}));
}

/// No size overflows.
#[test]
fn absurd_sizes_have_many_parameters() {
    let large = usize::MAX / 2;
    assert_eq!(lstm(large, large, 0.0).num_params(large), usize::MAX);
    assert_eq!(EncoderConfig::mlp().num_params(large), usize::MAX);
}
