//! What must hold between the methods, and for each of them on every family: properties over random shapes.
//!
//! The numbers in the names are those of docs/SEMANTICS.md. In `trained` they are trained.

mod trained;

use std::collections::BTreeMap;

use burn::tensor::{TensorData, activation::log_softmax};
use peft_core::{
    Adapter, FrozenModel, Mode, NamedTensors, PROMPT_EMBEDDINGS, PaddingSide, PeftMethod, Pooling,
    ProblemType, Task, TokenBatch, VirtualTokens,
    data::{Example, IGNORE, Target},
    evaluate::{Predictor, outputs::sequence_states},
    train::{About, Trainable, adapter_of},
};
use peft_prefix::{PrefixConfig, PrefixInit, PrefixTuning};
use peft_prompt::{EncoderConfig, PromptConfig, PromptInit, PromptTuning};
use peft_ptv2::{PTuningV2, PTuningV2Config, PTuningV2Init};
use peft_tests::{
    FAMILIES, Shape, device, random_model, random_values,
    strategies::{cases, decoder, family, ids, shape},
    virtual_tokens::prompt_of,
};
use proptest::{collection::vec, prelude::*};
use serde_json::{Map, Value};

use crate::support::slices;

fn stored(shape: [usize; 2], seed: u64) -> NamedTensors {
    NamedTensors::from([(PROMPT_EMBEDDINGS.to_string(), random_values(shape, 0.7, seed, "stored"))])
}

/// `2 * K * D` over the layers.
fn width(model: &dyn FrozenModel, layers: usize) -> usize {
    let site = model.spec().self_site().unwrap();
    assert_eq!(site.kv_width(), 2 * site.num_kv_heads * site.head_dim);
    layers * site.kv_width()
}

fn num_layers(model: &dyn FrozenModel) -> usize {
    model.spec().self_site().unwrap().num_layers
}

/// Hidden states of all rows, what a classifier of rows reads, and what predicts token 0.
fn states(
    model: &dyn FrozenModel,
    rows: &[Vec<u32>],
    virtual_tokens: &VirtualTokens,
) -> Vec<Vec<f32>> {
    let batch = TokenBatch::new(&slices(rows), PaddingSide::Right);
    let hidden = model.forward(&batch, &virtual_tokens.clone().without_autodiff()).unwrap();
    [Some(hidden.tokens), hidden.first, hidden.last_virtual]
        .into_iter()
        .flatten()
        .map(|tensor| tensor.into_data().iter().collect())
        .collect()
}

/// Bit for bit on the CPU; a GPU may fuse the same operations differently.
fn assert_same(found: &[Vec<f32>], expected: &[Vec<f32>]) {
    if cfg!(not(feature = "wgpu")) {
        assert_eq!(found, expected);
    }
    for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
        assert!((found - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{found}, {expected}");
    }
}

/// An adapter of a task, and nothing else of it.
pub fn about(task: Task) -> About {
    About {
        problem_type: ProblemType::default(),
        task,
        pooling: Pooling::First,
        labels: None,
        base_model: None,
        base_fingerprint: None,
        base_sha256: None,
        base_config: Map::new(),
        base_tokenizer: BTreeMap::new(),
        recipe: Value::Null,
        metrics: Value::Null,
    }
}

/// One check for each method of a model, with random values in it.
pub trait Check {
    fn check<M: PeftMethod>(&self, model: &dyn FrozenModel, method: M, deployed: usize);
}

/// Prompt, with and without an encoder, prefix with and without the MLP, and P-tuning v2 with and without the projection and on a
/// subset of the layers; each with the number of parameters it must deploy.
pub fn each_method(model: &dyn FrozenModel, p: usize, seed: u64, check: &impl Check) {
    let (spec, device) = (model.spec(), device().autodiff());
    let (layers, all) = (num_layers(model), width(model, num_layers(model)));
    let prompt = PromptConfig::new(p);
    let state = stored([p, spec.hidden_size], seed);
    let method = PromptTuning::from_state(prompt, spec, &state, &device).unwrap();
    check.check(model, method, p * spec.hidden_size);
    for encoder in [EncoderConfig::mlp(), EncoderConfig::lstm()] {
        let config = PromptConfig::new(p).with_encoder(Some(encoder.with_hidden_size(Some(5))));
        let init = PromptInit::normal();
        let method = PromptTuning::init(config, model, &init, seed, &device).unwrap();
        check.check(model, method, p * spec.hidden_size);
    }

    for mlp in [false, true] {
        let config = PrefixConfig::new(p).with_prefix_projection(mlp).with_hidden_size(5);
        let method = PrefixTuning::init(config, model, &PrefixInit::Random, seed, &device).unwrap();
        assert_eq!(method.is_folded(), !mlp);
        check.check(model, method, p * all);
    }
    let chosen: Vec<usize> = (0..layers).filter(|layer| layer % 2 == layers % 2).collect();
    let chosen = if chosen.is_empty() { vec![0] } else { chosen };
    for (of_layers, projection) in [(None, false), (None, true), (Some(chosen), false)] {
        let deployed = of_layers.as_ref().map_or(all, |chosen| width(model, chosen.len()));
        let config = PTuningV2Config::new(p)
            .with_layers(of_layers)
            .with_prefix_projection(projection)
            .with_hidden_size(5);
        let init = PTuningV2Init::Random { std: 0.7 };
        let method = PTuningV2::init(config, model, &init, seed, &device).unwrap();
        check.check(model, method, p * deployed);
    }
}

proptest! {
    #![proptest_config(cases(24))]

    /// Prefix tuning without its MLP = P-tuning v2 on all layers with the same values.
    #[test]
    fn a_prefix_without_its_mlp_is_p_tuning_v2(
        family in family(), shape in shape(), rows in vec(ids(1..7), 1..4), p in 1..5usize, seed: u64,
    ) {
        let loaded = random_model(family, shape, seed);
        let model = loaded.model.as_ref();
        let (spec, layers) = (model.spec(), num_layers(model));
        let state = stored([p, width(model, layers)], seed);
        let config = PrefixConfig::new(p).with_prefix_projection(false);
        let prefix = PrefixTuning::from_state(config, spec, &state, &device()).unwrap();
        let named = (seed % 2 == 0).then(|| (0..layers).collect());
        let config = PTuningV2Config::new(p).with_layers(named);
        let ptv2 = PTuningV2::from_state(config, spec, &state, &device()).unwrap();
        let of = |tokens| states(model, &rows, &tokens);
        let expected = of(ptv2.virtual_tokens(Mode::Evaluate));
        assert_same(&of(prefix.virtual_tokens(Mode::Evaluate)), &expected);
        prop_assert_eq!(prefix.state(), ptv2.state());
    }

    /// Folded = unfolded; a round trip through a folder keeps every bit; as many parameters are deployed as
    /// the equations say.
    #[test]
    fn folding_and_storing_change_nothing(
        family in family(), shape in shape(), rows in vec(ids(1..7), 1..4), p in 1..5usize, seed: u64,
    ) {
        struct Kept<'a>(&'a [Vec<u32>]);
        impl Check for Kept<'_> {
            fn check<M: PeftMethod>(&self, model: &dyn FrozenModel, method: M, deployed: usize) {
                let of = |tokens: VirtualTokens| states(model, self.0, &tokens);
                let unfolded = of(method.virtual_tokens(Mode::Evaluate));
                let folded = method.fold();
                assert_same(&of(folded.virtual_tokens(Mode::Evaluate)), &unfolded);
                assert_eq!(folded.num_trainable(), deployed);
                assert_eq!(method.num_deployed(), deployed);

                let trainable = Trainable::new(method, None);
                let adapter = adapter_of(&trainable, model, &about(Task::CausalLm)).unwrap();
                let dir = tempfile::tempdir().unwrap();
                adapter.save(dir.path()).unwrap();
                let read = Adapter::load(dir.path()).unwrap();
                let stored: usize = read.tensors.values().map(TensorData::num_elements).sum();
                assert_eq!(stored, deployed);
                assert_same(&of(read.virtual_tokens(model.spec(), &device()).unwrap()), &unfolded);
                assert_eq!(read.config.num_virtual_tokens, adapter.config.num_virtual_tokens);
            }
        }
        let loaded = random_model(family, shape, seed);
        each_method(loaded.model.as_ref(), p, seed, &Kept(&rows));
    }

    /// 7. The last virtual token of a causal prompt predicts the first real token, if that has a label. No virtual
    /// position is a target. Checked with a prompt of real tokens, against the base on those tokens and the row.
    #[test]
    fn p7_a_prompt_predicts_the_first_token(
        family in decoder(), shape in shape(), words in ids(1..6),
        rows in vec(ids(1..7), 1..4), seed: u64,
    ) {
        let loaded = random_model(family, shape, seed);
        let model = loaded.model.as_ref();
        let prompt = prompt_of(model, &words);
        let predictor = Predictor::new(model, &prompt, None, Task::CausalLm).unwrap();
        for from in 0..2 {
            let examples = labelled(&rows, from);
            let mut expected = Vec::new();
            for row in &rows {
                let joined = [words.clone(), row.clone()].concat();
                expected.extend(surprises(model, &joined).split_off(words.len() - 1 + from));
            }
            if expected.is_empty() {
                prop_assert!(predictor.evaluate(&examples, None).is_err());
                continue;
            }
            let mean = expected.iter().sum::<f64>() / expected.len() as f64;
            let found = predictor.evaluate(&examples, None).unwrap().get("loss").unwrap();
            prop_assert!((found - mean).abs() < 1e-4 * (1.0 + mean), "{} is not {}", found, mean);
        }
    }

    /// 7. With a prefix nothing predicts the first token: its label does not count.
    #[test]
    fn p7_a_prefix_does_not_predict_the_first_token(
        family in decoder(), shape in shape(), rows in vec(ids(1..7), 1..4),
        p in 1..5usize, seed: u64,
    ) {
        let loaded = random_model(family, shape, seed);
        let model = loaded.model.as_ref();
        let state = stored([p, width(model, num_layers(model))], seed);
        let config = PrefixConfig::new(p).with_prefix_projection(false);
        let prefix = PrefixTuning::from_state(config, model.spec(), &state, &device()).unwrap();
        let tokens = prefix.virtual_tokens(Mode::Evaluate);
        let predictor = Predictor::new(model, &tokens, None, Task::CausalLm).unwrap();
        let loss = |from| {
            predictor.evaluate(&labelled(&rows, from), None).ok().map(|scores| scores.get("loss"))
        };
        let single = rows.iter().all(|row| row.len() == 1);
        prop_assert_eq!(loss(0).is_none(), single);
        if let (Some(Some(all)), Some(Some(rest))) = (loss(0), loss(1)) {
            prop_assert!((all - rest).abs() < 1e-6, "{} is not {}", all, rest);
        }
    }

    /// 7. A decoder is classified at its last real token, whatever the padding; an encoder at the first position of
    /// its sequence, which is the prompt's first row, or with `first_token` at the first real token.
    #[test]
    fn p7_a_classifier_reads_the_right_position(
        family in family(), shape in shape(), rows in vec(ids(1..7), 1..4), p in 1..5usize, seed: u64,
    ) {
        let loaded = random_model(family, shape, seed);
        let model = loaded.model.as_ref();
        let h = model.spec().hidden_size;
        let state = stored([p, h], seed);
        let prompt =
            PromptTuning::from_state(PromptConfig::new(p), model.spec(), &state, &device()).unwrap();
        let tokens = prompt.virtual_tokens(Mode::Evaluate);
        let slices = slices(&rows);
        for side in [PaddingSide::Left, PaddingSide::Right] {
            let batch = TokenBatch::new(&slices, side);
            let hidden = model.forward(&batch, &tokens).unwrap();
            for pooling in [Pooling::First, Pooling::FirstToken] {
                let found = sequence_states(model, &hidden, &batch, pooling).unwrap();
                for (index, row) in slices.iter().enumerate() {
                    let alone = TokenBatch::new(&[row], PaddingSide::Right);
                    let alone = model.forward(&alone, &tokens).unwrap();
                    let at = |token: usize| alone.tokens.clone().narrow(1, token, 1);
                    let expected = match (model.spec().is_causal(), pooling) {
                        (true, _) => at(row.len() - 1),
                        (false, Pooling::First) => alone.first.clone().unwrap(),
                        (false, _) => at(0),
                    };
                    let expected = model.pool(expected.reshape([1, h])).into_data();
                    let found = found.clone().narrow(0, index, 1).into_data();
                    for (a, b) in found.iter::<f32>().zip(expected.iter::<f32>()) {
                        prop_assert!((a - b).abs() < 2e-5 * (1.0 + b.abs()), "{} is not {}", a, b);
                    }
                }
            }
        }
    }
}

/// Rows whose targets are their own tokens, from token `from` on.
fn labelled(rows: &[Vec<u32>], from: usize) -> Vec<Example> {
    rows.iter()
        .enumerate()
        .map(|(index, row)| {
            let of_token = |(i, id): (usize, &u32)| if i < from { IGNORE } else { i64::from(*id) };
            let target = Target::Tokens(row.iter().enumerate().map(of_token).collect());
            Example::new(row.clone(), target, index + 1)
        })
        .collect()
}

/// `-ln p` of each token but the first, by the base model alone.
fn surprises(model: &dyn FrozenModel, row: &[u32]) -> Vec<f64> {
    let batch = TokenBatch::new(&[row], PaddingSide::Right);
    let hidden = model.forward(&batch, &VirtualTokens::none()).unwrap().tokens;
    let logits = model.lm_logits(hidden.squeeze_dim(0)).unwrap();
    let [_, v] = logits.dims();
    let log: Vec<f64> = log_softmax(logits, 1).into_data().iter().collect();
    row.iter().skip(1).enumerate().map(|(at, id)| -log[at * v + *id as usize]).collect()
}

/// 10. The method's own dropout is the only one. Without it, a training step computes what an evaluation does.
#[test]
fn p10_only_the_methods_own_dropout_exists() {
    for family in FAMILIES {
        let loaded = random_model(family, Shape::default(), 4);
        let model = loaded.model.as_ref();
        let rows = vec![vec![1, 2, 3], vec![4, 5]];
        let prefix = |dropout: f64| {
            let config = PrefixConfig::new(3).with_hidden_size(6).with_dropout(dropout);
            PrefixTuning::init(config, model, &PrefixInit::Random, 1, &device().autodiff()).unwrap()
        };
        let train = |step| Mode::Train { seed: 1, step };
        let of = |dropout: f64, mode| states(model, &rows, &prefix(dropout).virtual_tokens(mode));
        assert_same(&of(0.0, train(0)), &of(0.0, Mode::Evaluate));
        assert_same(&of(0.5, Mode::Evaluate), &of(0.0, Mode::Evaluate));
        assert_ne!(of(0.5, train(0)), of(0.5, Mode::Evaluate));
        assert_same(&of(0.5, train(1)), &of(0.5, train(1)));
        assert_ne!(of(0.5, train(1)), of(0.5, train(2)));
    }
}
