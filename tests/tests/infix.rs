//! Infix tuning (Li & Liang 2021, section 7.3): keys and values between the source and the target of a row. They stand
//! in front of the last token of the source, which predicts the first of the target.

use std::{collections::BTreeMap, fs, path::Path};

use burn::tensor::{Tensor, activation::log_softmax};
use peft_core::{
    Adapter, FrozenModel, LayerKeyValues, Mode, PaddingSide, PeftMethod, PeftType, SiteKeyValues,
    Task, TokenBatch, VirtualTokens,
    contract::{frozen::activations, rng},
    data::{Example, IGNORE, Target},
    evaluate::Predictor,
    methods::prefix::Placement,
    train::{About, Trainable, adapter_of},
};
use peft_models::generate::{Beams, GenerateConfig, Sampling, generate, greedy, log_likelihoods};
use peft_prefix::{PrefixConfig, PrefixInit, PrefixTuning};
use peft_ptv2::{PTuningV2, PTuningV2Config, PTuningV2Init};
use peft_tests::{
    Family, Shape, device, random_model,
    strategies::{cases, decoder, ids, shape},
    virtual_tokens::random_prefix,
};
use proptest::{collection::vec, prelude::*, sample::select, test_runner::RngSeed};
use serde_json::{Value, json};

use crate::{
    semantics::assert_close,
    support::{peft, read_lines, root, slices, succeed, tiny_model},
};

/// A source, and the target behind it.
#[derive(Clone, Debug)]
struct Row {
    source: Vec<u32>,
    target: Vec<u32>,
}

impl Row {
    fn ids(&self) -> Vec<u32> {
        [self.source.as_slice(), &self.target].concat()
    }

    fn example(&self) -> Example {
        let learnt = self.target.iter().map(|id| i64::from(*id));
        let targets = vec![IGNORE; self.source.len()].into_iter().chain(learnt).collect();
        Example::new(self.ids(), Target::Tokens(targets), 1)
    }
}

fn row() -> impl Strategy<Value = Row> {
    (ids(1..7), ids(0..6)).prop_map(|(source, target)| Row { source, target })
}

fn batch(rows: &[Row], side: PaddingSide) -> TokenBatch {
    let all: Vec<Vec<u32>> = rows.iter().map(Row::ids).collect();
    let sources = rows.iter().map(|row| row.source.len()).collect();
    TokenBatch::new(&slices(&all), side).with_sources(sources)
}

/// P random keys and values in every layer, or in the last one only.
fn infix(model: &dyn FrozenModel, p: usize, last_layer: bool, seed: u64) -> VirtualTokens {
    let site = model.spec().self_site().unwrap().site;
    let mut stream = rng::stream(seed, 0, "infix");
    let mut made = random_prefix(model, &[site], last_layer, [1, p], &mut stream, &device());
    made.infix = true;
    made
}

fn numbers(states: Tensor<3>) -> Vec<f32> {
    states.into_data().convert::<f32>().try_into_vec::<f32>().unwrap()
}

/// The hidden states `[T, H]` of the tokens of each row, flattened.
fn states(
    model: &dyn FrozenModel,
    batch: &TokenBatch,
    virtual_tokens: &VirtualTokens,
) -> Vec<Vec<f32>> {
    let hidden = model.forward(batch, virtual_tokens).unwrap().tokens;
    (0..batch.rows())
        .map(|row| {
            let own = hidden.clone().narrow(0, row, 1);
            numbers(own.narrow(1, batch.column(row, 0), batch.row_len(row)))
        })
        .collect()
}

/// What the definition says of a row alone. What stands in front of the infix is what the base model makes of
/// it. To what stands behind, its keys and values are those of a prefix that goes on with the infix.
fn by_definition(model: &dyn FrozenModel, row: &Row, infix: &VirtualTokens) -> Vec<f32> {
    let (last, front) = row.source.split_last().unwrap();
    let behind = [&[*last][..], &row.target].concat();
    let alone = |ids: &[u32], virtual_tokens: &VirtualTokens| {
        let batch = TokenBatch::new(&[ids], PaddingSide::Right);
        numbers(model.forward(&batch, virtual_tokens).unwrap().tokens)
    };
    if front.is_empty() {
        let mut prefix = infix.clone();
        prefix.infix = false;
        return alone(&behind, &prefix);
    }
    let (read, site) = (activations(model, front).unwrap(), model.spec().self_site().unwrap());
    let join = |own: &Tensor<4>, more: &Tensor<4>| Tensor::cat(vec![own.clone(), more.clone()], 2);
    let layer = |index: usize| {
        let own = read.layer(site.site, index).unwrap();
        match infix.layer(site.site, index) {
            None => own.clone(),
            Some(more) => LayerKeyValues {
                key: join(&own.key, &more.key),
                value: join(&own.value, &more.value),
            },
        }
    };
    let layers = (0..site.num_layers).map(|index| Some(layer(index))).collect();
    let joined = VirtualTokens::key_values(vec![SiteKeyValues { site: site.site, layers }]);
    [alone(front, &VirtualTokens::none()), alone(&behind, &joined)].concat()
}

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

fn sequences(
    model: &dyn FrozenModel,
    rows: &[&[u32]],
    virtual_tokens: &VirtualTokens,
    config: &GenerateConfig,
) -> Vec<Vec<Vec<u32>>> {
    let made = generate(model, rows, virtual_tokens, config, &mut ()).unwrap();
    made.into_iter().map(|row| row.into_iter().map(|one| one.ids).collect()).collect()
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

fn placement() -> Placement {
    Placement { infix: true, ..Placement::default() }
}

/// Saves what a method has learnt, reads it again and checks that it is the same.
fn saved<M: PeftMethod>(model: &dyn FrozenModel, method: &M, layers: &[usize]) -> Adapter {
    let about = About {
        task: Task::CausalLm,
        pooling: peft_core::Pooling::First,
        problem_type: peft_core::ProblemType::default(),
        labels: None,
        base_model: None,
        base_config: serde_json::Map::new(),
        base_tokenizer: BTreeMap::new(),
        base_fingerprint: None,
        base_sha256: None,
        recipe: Value::Null,
        metrics: Value::Null,
    };
    let dir = tempfile::tempdir().unwrap();
    let made = adapter_of(&Trainable::new(method.clone(), None), model, &about).unwrap();
    made.save(dir.path()).unwrap();
    let read = Adapter::load(dir.path()).unwrap();
    assert_eq!(read.config.peft_type, PeftType::InfixTuning);
    assert_eq!(read.placement(model.spec()), placement());
    let site = model.spec().self_site().unwrap();
    assert_eq!(read.layers(site.num_layers).unwrap(), layers);
    let (found, expected) = (
        read.virtual_tokens(model.spec(), &device()).unwrap(),
        method.fold().virtual_tokens(Mode::Evaluate).without_autodiff(),
    );
    assert!(found.infix && expected.infix);
    let row = Row { source: vec![3, 1, 4], target: vec![1, 5] };
    let batch = batch(&[row], PaddingSide::Right);
    assert_eq!(states(model, &batch, &found), states(model, &batch, &expected));
    // PEFT knows no type of this name, and says so before it computes anything.
    let config = fs::read_to_string(dir.path().join("adapter_config.json")).unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["peft_type"], "BURN_PEFT_INFIX_TUNING");
    read
}

#[test]
fn an_adapter_stays_an_infix_when_it_is_stored() {
    let loaded = random_model(Family::Llama, Shape { layers: 3, ..Shape::default() }, 4);
    let model = loaded.model.as_ref();
    let config = PrefixConfig::new(2).with_hidden_size(4).with_placement(placement());
    let method = PrefixTuning::init(config, model, &PrefixInit::Random, 1, &device()).unwrap();
    let adapter = saved(model, &method, &[0, 1, 2]);
    for layers in [None, Some(vec![1, 2])] {
        let config =
            PTuningV2Config::new(3).with_layers(layers.clone()).with_placement(placement());
        let init = PTuningV2Init::Random { std: 0.7 };
        let method = PTuningV2::init(config, model, &init, 1, &device()).unwrap();
        saved(model, &method, &layers.unwrap_or(vec![0, 1, 2]));
    }
    // A prefix stores what it stored before infixes were known.
    assert!(!json!(PrefixConfig::new(2)).to_string().contains("infix"));
    for family in [Family::Bert, Family::T5] {
        let other = random_model(family, Shape { layers: 3, ..Shape::default() }, 4);
        let error = adapter.virtual_tokens(other.model.spec(), &device()).unwrap_err().to_string();
        assert!(error.contains("an infix stands between source and target"), "{error}");
    }
}

#[cfg(feature = "cpu")]
mod on_the_cpu {
    use burn::tensor::{DType, Device};
    use peft_core::{
        contract::params,
        train::{RunContext, TrainConfig, TrainingData, train},
    };
    use peft_models::LoadOptions;
    use peft_tests::{
        VOCAB,
        leaves::{Kind, Leaves},
        random_model_with,
    };
    use rayon::ThreadPoolBuilder;

    use super::*;
    use crate::lanes::Losses;

    const SHAPE: Shape = Shape { layers: 3, kv_heads: 2, head_dim: 4, positions: 128 };

    /// Rows of several lengths. The first two differ in nothing but where their sources end.
    fn examples() -> Vec<Example> {
        let row = |index: usize| {
            let of = index.max(1);
            let len = 4 + 6 * (5 * of % 11);
            let ids: Vec<u32> = (0..len).map(|at| ((7 * at + of) % VOCAB) as u32).collect();
            let source = 1 + 3 * index % (len - 1);
            let (source, target) = ids.split_at(source);
            let row = Row { source: source.to_vec(), target: target.to_vec() };
            Example { line: index + 1, ..row.example() }
        };
        (0..7).map(row).collect()
    }

    /// The losses of a run, and what it has learnt.
    fn learnt(
        model: &dyn FrozenModel,
        method: &PTuningV2,
        (threads, batch_size): (usize, usize),
        cache_frozen: u64,
    ) -> Vec<Vec<f64>> {
        let rows = examples();
        let config = TrainConfig {
            steps: Some(4),
            batch_size,
            accumulation: rows.len() / batch_size,
            shuffle: false,
            bucket: false,
            lr: 0.1,
            ..TrainConfig::new(Task::CausalLm)
        };
        let mut losses = Losses(Vec::new());
        let context = RunContext { cache_frozen, ..RunContext::default() };
        let work = || {
            let data = TrainingData { train: &rows, valid: &[] };
            let trainable = Trainable::new(method.clone(), None);
            let found = train(model, trainable, &data, &config, &context, &mut losses).unwrap();
            params::values(&found.trainable)
        };
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let values = pool.install(work).into_iter();
        let values = values.map(|flat| flat.values.into_data().iter().collect());
        [losses.0].into_iter().chain(values).collect()
    }

    /// Whatever the threads, with hidden states below it that are kept or not, and rows that come one by one.
    #[test]
    fn p15_a_run_with_an_infix_is_the_same_however_it_is_computed() {
        for family in Family::CAUSAL {
            for recompute in [false, true] {
                let options = LoadOptions { recompute, ..LoadOptions::default() };
                let loaded =
                    random_model_with(family, SHAPE, 3, &Device::flex(), DType::F32, options);
                let model = loaded.model.as_ref();
                for layers in [None, Some(vec![1, 2])] {
                    let config = PTuningV2Config::new(3).with_placement(placement());
                    let config = config.with_layers(layers.clone());
                    let init = PTuningV2Init::Random { std: 0.7 };
                    let device = Device::flex().autodiff();
                    let method = PTuningV2::init(config, model, &init, 3, &device).unwrap();
                    let found = learnt(model, &method, (1, 7), 0);
                    for (threads, cache) in [(3, 0), (1, 1 << 20), (3, 1 << 20)] {
                        let again = learnt(model, &method, (threads, 7), cache);
                        assert_eq!(found, again, "{family:?} {layers:?} {threads} {cache}");
                    }
                    let one_by_one = learnt(model, &method, (2, 1), 0);
                    let pairs = found.iter().flatten().zip(one_by_one.iter().flatten());
                    for (found, expected) in pairs {
                        let near = (found - expected).abs() <= 2e-4 * (1.0 + expected.abs());
                        assert!(near, "{family:?} {layers:?}: {found}, {expected}");
                    }
                }
            }
        }
    }

    /// Hidden states and the gradient of every leaf, with gradient checkpointing and without.
    #[test]
    fn p15_gradient_checkpointing_changes_no_number() {
        let rows = [(3, 4), (1, 2), (5, 1)].map(|(source, target)| Row {
            source: (0..source).map(|at| at * 5 + 1).collect(),
            target: (0..target).map(|at| at * 3 + 2).collect(),
        });
        for family in Family::CAUSAL {
            for kind in [Kind::Prefix(1), Kind::Prefix(3), Kind::LastLayer] {
                let [plain, again] = [false, true].map(|recompute| {
                    let options = LoadOptions { recompute, ..LoadOptions::default() };
                    let loaded =
                        random_model_with(family, SHAPE, 3, &Device::flex(), DType::F32, options);
                    let model = loaded.model.as_ref();
                    let mut leaves = Leaves::new(Device::flex().autodiff(), DType::F32);
                    let mut own = leaves.virtual_tokens(model, kind, 3);
                    own.infix = true;
                    let batch = batch(&rows, PaddingSide::Left);
                    let hidden = model.forward(&batch, &own).unwrap().tokens;
                    let states = hidden.clone().inner().into_data();
                    let loss = (hidden.clone() * hidden.add_scalar(1.0).square()).sum();
                    let gradients = leaves.gradients(&loss.backward());
                    [vec![states], gradients].concat()
                });
                assert!(plain.len() > 1);
                assert_eq!(plain, again, "{family:?} {kind:?}");
            }
        }
    }
}

/// Rows of token ids with a source and a target.
fn write_rows(path: &Path) {
    let row = |row: usize| {
        let ids: Vec<usize> = (0..5 + row % 6).map(|at| 3 + (row * 31 + at * 7) % 60).collect();
        let source = 2 + row % 3;
        let labels = ids.iter().enumerate();
        let labels: Vec<i64> =
            labels.map(|(at, id)| if at < source { IGNORE } else { *id as i64 }).collect();
        format!("{}\n", json!({"input_ids": ids, "labels": labels}))
    };
    fs::write(path, (0..20).map(row).collect::<String>()).unwrap();
}

fn losses(path: &Path) -> Vec<f64> {
    read_lines(path).iter().map(|line| line["loss"].as_f64().unwrap()).collect()
}

#[test]
fn the_program_trains_evaluates_and_continues_with_an_infix() {
    let dir = tempfile::tempdir().unwrap();
    let rows = dir.path().join("rows.jsonl");
    write_rows(&rows);
    for (model, method) in [("llama", "prefix"), ("gpt2", "ptv2"), ("mistral-window", "ptv2")] {
        let folder = |name: &str| dir.path().join(format!("{model}-{name}"));
        let train = |name: &str, flags: &[&str]| {
            let mut command = peft(&root());
            command.args(["train", "--task=causal-lm", "--steps=12", "--eval-every=4"]);
            // All rows in each batch, so that losses of steps and of evaluations are comparable.
            command.args(["--num-virtual-tokens=3", "--batch-size=20"]);
            command.args(["--method", method, "--model", &tiny_model(model)]).args(flags);
            command.arg("--train").arg(&rows).arg("--valid").arg(&rows);
            succeed(command.arg("--out").arg(folder(name)));
        };
        train("infix", &["--infix"]);
        train("prefix", &[]);
        let infix = folder("infix");
        let first = |name: &str| losses(&folder(name).join("metrics.jsonl"))[0];
        // They start from the same numbers, at another place.
        assert_ne!(first("infix"), first("prefix"), "{model}");
        let settings = fs::read_to_string(infix.join("run.toml")).unwrap();
        assert!(settings.contains("infix = true"), "{settings}");
        let evaluations = losses(&infix.join("evaluations.jsonl"));
        let best = evaluations.iter().copied().fold(f64::INFINITY, f64::min);
        assert!(best < first("infix"), "{model}: {evaluations:?}");

        let evaluate = |kernels: &str| {
            let mut command = peft(&root());
            command.env("PEFT_KERNELS", kernels);
            command.args(["eval", "--json", "--model", &tiny_model(model), "--adapter"]);
            command.arg(&infix).arg("--data").arg(&rows);
            let found: Value = serde_json::from_slice(&succeed(&mut command).stdout).unwrap();
            found["loss"].as_f64().unwrap()
        };
        for kernels in ["", "off"] {
            let found = evaluate(kernels);
            assert!((found - best).abs() < 2e-5 * best, "{model} {kernels}: {found}, not {best}");
        }
        let written = ["", "off"].map(|kernels| {
            let mut command = peft(&root());
            command.env("PEFT_KERNELS", kernels);
            command.args(["generate", "--model", &tiny_model(model), "--adapter"]).arg(&infix);
            command.args(["--max-new-tokens=5", "--input"]).arg(&rows);
            String::from_utf8(succeed(&mut command).stdout).unwrap()
        });
        assert_eq!(written[0].lines().count(), 20, "{}", written[0]);
        assert_eq!(written[0], written[1], "{model}");
        let mut inspect = peft(&root());
        inspect.arg("inspect").arg(&infix).args(["--analyse", "--model", &tiny_model(model)]);
        let said = succeed(inspect.arg("--data").arg(&rows)).stdout;
        assert!(String::from_utf8(said).unwrap().contains("BURN_PEFT_INFIX_TUNING"));

        // A run goes on from the adapter as it is.
        let from = format!("--init-adapter={}", infix.display());
        let mut command = peft(&root());
        command.args(["train", "--task=causal-lm", "--steps=1", "--batch-size=20"]);
        command.args(["--method", method, "--model", &tiny_model(model), &from]);
        command.arg("--train").arg(&rows).arg("--out").arg(folder("more"));
        succeed(&mut command);
        assert!((first("more") - best).abs() < 1e-4 * best, "{model}: {}, {best}", first("more"));
    }
}
