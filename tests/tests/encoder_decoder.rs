//! T5 and BART: logits equal those of transformers and PEFT, and decoding with a cache equals one pass.
//!
//! Vectors: `python/make_logits.py`, `python/make_sites.py`, `python/make_spellings.py` and, for the trained
//! models, `python/make_trained_seq2seq.py`.
// The properties are checked in f64, which GPUs lack.
#![cfg(feature = "cpu")]

use std::path::Path;

use burn::tensor::{DType, Device, Tensor, TensorData};
use peft_cli::commands::forward::row_name;
use peft_core::{
    Adapter, Cache, Error, FrozenModel, Head, PaddingSide, PrefixPositions, Site, Task, TokenBatch,
    VirtualTokens,
    contract::{frozen::activations, rng},
    evaluate::checks::check_task,
};
use peft_models::Loaded;
use peft_tests::{
    Family, Shape, device, random_model, random_model_on, shared,
    strategies::{encoder_decoder, ids},
    vectors,
    virtual_tokens::{random_prefix, random_prompt},
};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::Value;

use crate::{
    comparison::{Report, compare, difference},
    support::{read_lines, read_tensors, token_ids},
};

/// One row: the token ids of the encoder and of the decoder.
type Row = (Vec<u32>, Vec<u32>);

fn read_rows(path: &Path) -> Vec<Row> {
    let row = |row: Value| (token_ids(&row["input_ids"]), token_ids(&row["decoder_input_ids"]));
    read_lines(path).into_iter().map(row).collect()
}

fn batch(rows: &[Row], side: PaddingSide) -> TokenBatch {
    let pad = |rows: Vec<&[u32]>| TokenBatch::new(&rows, side);
    pad(rows.iter().map(|row| row.0.as_slice()).collect())
        .with_decoder(pad(rows.iter().map(|row| row.1.as_slice()).collect()))
}

/// Logits `[T, V]` of each row's decoder tokens.
fn logits(
    model: &dyn FrozenModel,
    virtual_tokens: &VirtualTokens,
    rows: &[Row],
    side: PaddingSide,
) -> Vec<TensorData> {
    let batch = batch(rows, side);
    let hidden = model.forward(&batch, virtual_tokens).unwrap().tokens;
    let decoder = batch.decoder().unwrap();
    let of_row = |row: usize| {
        let (start, len) = (decoder.column(row, 0), decoder.row_len(row));
        row_logits(model, hidden.clone().narrow(0, row, 1).narrow(1, start, len))
    };
    (0..rows.len()).map(of_row).collect()
}

/// Logits `[T, V]` of the hidden states `[1, T, H]`.
fn row_logits(model: &dyn FrozenModel, hidden: Tensor<3>) -> TensorData {
    let [_, t, h] = hidden.dims();
    model.lm_logits(hidden.reshape([t, h])).unwrap().into_data()
}

/// Compares with a vector: rows alone, batched and padded on either side. Gives the largest difference, or says
/// where it is too large.
fn check(
    model: &dyn FrozenModel,
    virtual_tokens: &VirtualTokens,
    rows: &[Row],
    expected: &Path,
) -> Result<f64, String> {
    let expected = read_tensors(expected);
    let mut largest = 0f64;
    for (size, side) in [(1, PaddingSide::Right), (4, PaddingSide::Right), (3, PaddingSide::Left)] {
        let made = rows.chunks(size).flat_map(|rows| logits(model, virtual_tokens, rows, side));
        let made = made.enumerate().map(|(index, data)| (row_name(index), data)).collect();
        let found = compare(&made, &expected, 1e-4);
        largest = largest.max(found.map_err(|what| format!("batch {size} {side:?}: {what}"))?);
    }
    Ok(largest)
}

/// Reads each row's decoder tokens one by one with a cache and compares with one pass. Gives the largest difference,
/// or says that it is too large.
fn check_steps(
    model: &dyn FrozenModel,
    virtual_tokens: &VirtualTokens,
    rows: &[Row],
) -> Result<f64, String> {
    let mut largest = 0f64;
    for row in rows {
        let alone = std::slice::from_ref(row);
        let expected = logits(model, virtual_tokens, alone, PaddingSide::Right).remove(0);
        let mut cache = model.begin(&batch(alone, PaddingSide::Right), virtual_tokens).unwrap();
        for (token, id) in row.1.iter().enumerate() {
            let found = step(model, &mut cache, &[*id]).remove(0);
            largest = largest.max(difference(&found, &at(&expected, token)));
        }
    }
    if largest < 1e-5 { Ok(largest) } else { Err(format!("token by token: {largest:.1e}")) }
}

#[test]
fn families_with_adapters_equal_transformers_and_peft() {
    let of_peft = ["prompt", "prefix", "prefix-mlp"].as_slice();
    let own = ["sites", "sites-shifted", "site-encoder", "site-decoder", "site-cross"].as_slice();
    let all = [of_peft, own].concat();
    let mut report = Report::default();
    for (name, adapters) in [
        ("t5", all.as_slice()),
        ("t5v11", &all),
        ("bart", &all),
        ("bart-noscale", of_peft),
        ("t5-v4", &[]),
        ("t5v11-v4", &[]),
        ("bart-v4", &[]),
    ] {
        let dir = vectors(&format!("logits/{name}"));
        let loaded = peft_models::load(&dir, &device()).unwrap();
        let model = loaded.model.as_ref();
        let rows = read_rows(&dir.join("rows.jsonl"));
        let (mut largest, mut stepped) = (0f64, 0f64);
        for method in ["base"].iter().chain(adapters) {
            let virtual_tokens = match *method {
                "base" => VirtualTokens::none(),
                adapter => {
                    let read = Adapter::load(&dir.join(adapter)).unwrap();
                    read.virtual_tokens(model.spec(), &device()).unwrap()
                }
            };
            let expected = dir.join(format!("{method}.safetensors"));
            let whole = check(model, &virtual_tokens, &rows, &expected);
            let steps = check_steps(model, &virtual_tokens, &rows);
            largest = report.note(name, method, whole).unwrap_or_default().max(largest);
            stepped = report.note(name, method, steps).unwrap_or_default().max(stepped);
        }
        println!("{name}: logits within {largest:.1e} of their scale, by steps {stepped:.1e}");
    }
    report.finish();
}

/// PEFT stores P rows for each of two submodules and reads the first P.
#[test]
fn of_two_submodules_the_first_rows_are_the_prompt() {
    let mut report = Report::default();
    for name in ["t5", "t5v11", "bart", "bart-noscale"] {
        let dir = vectors(&format!("logits/{name}"));
        let loaded = peft_models::load(&dir, &device()).unwrap();
        let path = dir.join("prompt-2/adapter_model.safetensors");
        let stored = read_tensors(&path);
        let stored: Tensor<2> = Tensor::from_data(stored["prompt_embeddings"].clone(), &device());
        let half = stored.dims()[0] / 2;
        let prompt = VirtualTokens::embeddings(stored.narrow(0, 0, half).unsqueeze());
        let rows = read_rows(&dir.join("rows.jsonl"));
        let expected = dir.join("prompt-2.safetensors");
        report.note(name, "prompt-2", check(loaded.model.as_ref(), &prompt, &rows, &expected));
    }
    report.finish();
}

#[test]
fn trained_models_equal_transformers() {
    let mut report = Report::default();
    for name in ["tiny-t5", "bart-g2p-us", "bart-g2p-gb"] {
        let Some(dir) = shared(&format!("models/{name}")) else { continue };
        let loaded = peft_models::load(&dir, &device()).unwrap();
        assert!(loaded.report.skipped.is_empty(), "{name}: {:?}", loaded.report.skipped);
        assert_eq!(loaded.config.task(), Some(Task::Seq2SeqLm));
        let reference = vectors(&format!("trained/{name}"));
        let rows = read_rows(&reference.join("rows.jsonl"));
        let expected = reference.join("base.safetensors");
        let found = check(loaded.model.as_ref(), &VirtualTokens::none(), &rows, &expected);
        if let Some(largest) = report.note(name, "base", found) {
            println!("{name}: logits within {largest:.1e} of their scale");
        }
    }
    report.finish();
}

/// Kinds of virtual tokens.
#[derive(Clone, Debug)]
enum Kind {
    None,
    Prompt,
    /// At some attention sites, in the last layer or in all of them.
    Prefix {
        sites: Vec<Site>,
        last_layer: bool,
        positions: PrefixPositions,
        relative_bias: bool,
    },
}

fn kinds() -> impl Strategy<Value = Kind> {
    let sites = select(vec![
        vec![Site::EncoderSelf],
        vec![Site::DecoderSelf],
        vec![Site::Cross],
        vec![Site::EncoderSelf, Site::Cross],
        vec![Site::EncoderSelf, Site::DecoderSelf, Site::Cross],
    ]);
    let positions = select(vec![PrefixPositions::Shifted, PrefixPositions::Unshifted]);
    let prefix = (sites, any::<bool>(), positions, any::<bool>()).prop_map(
        |(sites, last_layer, positions, relative_bias)| Kind::Prefix {
            sites,
            last_layer,
            positions,
            relative_bias,
        },
    );
    prop_oneof![1 => Just(Kind::None), 1 => Just(Kind::Prompt), 4 => prefix]
}

/// Random virtual tokens of a kind, P of them.
fn virtual_tokens(model: &dyn FrozenModel, kind: &Kind, p: usize, seed: u64) -> VirtualTokens {
    let mut stream = rng::stream(seed, 0, "test");
    let device = Device::flex();
    match kind {
        Kind::None => VirtualTokens::none(),
        Kind::Prompt => random_prompt(model, [1, p], &mut stream, &device),
        Kind::Prefix { sites, last_layer, positions, relative_bias } => {
            let mut made = random_prefix(model, sites, *last_layer, [1, p], &mut stream, &device);
            made.positions = *positions;
            made.relative_bias = *relative_bias;
            made
        }
    }
}

/// A small random model in f64, where rounding cannot explain a difference.
fn exact_model(family: Family, seed: u64) -> Loaded {
    random_model_on(family, Shape::default(), seed, &Device::flex(), DType::F64)
}

fn near(found: &TensorData, expected: &TensorData, what: &str) {
    let difference = difference(found, expected);
    assert!(difference < 1e-10, "{what}: {difference}");
}

/// Decodes one more token of each row with the cache; gives the logits `[1, V]` of each.
fn step(model: &dyn FrozenModel, cache: &mut Cache, tokens: &[u32]) -> Vec<TensorData> {
    let rows: Vec<&[u32]> = tokens.chunks(1).collect();
    let read =
        model.forward_cached(&TokenBatch::new(&rows, PaddingSide::Left), cache.clone()).unwrap();
    *cache = read.cache.unwrap();
    let row = |row: usize| row_logits(model, read.tokens.clone().narrow(0, row, 1));
    (0..rows.len()).map(row).collect()
}

/// The logits of one token.
fn at(logits: &TensorData, token: usize) -> TensorData {
    let all: Tensor<2> = Tensor::from_data(logits.clone(), (&Device::flex(), logits.dtype()));
    all.narrow(0, token, 1).into_data()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Rows padded on either side give what each row gives alone.
    #[test]
    fn padding_and_neighbours_change_nothing(
        family in encoder_decoder(), kind in kinds(), p in 1..5usize,
        rows in vec((ids(1..7), ids(1..6)), 1..4), seed in any::<u64>(),
    ) {
        let loaded = exact_model(family, seed);
        let model = loaded.model.as_ref();
        let prefix = virtual_tokens(model, &kind, p, seed);
        let alone: Vec<TensorData> = rows
            .iter()
            .flat_map(|row| logits(model, &prefix, std::slice::from_ref(row), PaddingSide::Right))
            .collect();
        for side in [PaddingSide::Right, PaddingSide::Left] {
            for (found, expected) in logits(model, &prefix, &rows, side).iter().zip(&alone) {
                near(found, expected, &format!("{family:?} {kind:?} {side:?}"));
            }
        }
    }

    /// First tokens of different counts in one pass, then token by token; on the way the rows are reordered, as beam
    /// search does.
    #[test]
    fn a_cache_gives_what_one_pass_gives(
        family in encoder_decoder(), kind in kinds(), p in 1..5usize,
        rows in vec((ids(1..7), ids(1..4), ids(4..5)), 1..4), order in vec(0..3usize, 1..5),
        seed in any::<u64>(),
    ) {
        let loaded = exact_model(family, seed);
        let model = loaded.model.as_ref();
        let prefix = virtual_tokens(model, &kind, p, seed);
        let what = format!("{family:?} {kind:?}");
        let whole: Vec<Row> = rows
            .iter()
            .map(|(source, start, rest)| (source.clone(), [start.clone(), rest.clone()].concat()))
            .collect();
        let expected: Vec<TensorData> = whole
            .iter()
            .flat_map(|row| logits(model, &prefix, std::slice::from_ref(row), PaddingSide::Right))
            .collect();

        let sources: Vec<Row> =
            rows.iter().map(|(source, start, _)| (source.clone(), start.clone())).collect();
        let batch = batch(&sources, PaddingSide::Left);
        let mut cache = model.begin(&batch, &prefix).unwrap();
        let read = model.forward_cached(batch.decoder().unwrap(), cache).unwrap();
        cache = read.cache.unwrap();
        let last = read.tokens.dims()[1] - 1;
        for (row, (_, start, _)) in rows.iter().enumerate() {
            let found = row_logits(model, read.tokens.clone().narrow(0, row, 1).narrow(1, last, 1));
            near(&found, &at(&expected[row], start.len() - 1), &what);
        }

        let order: Vec<usize> = order.into_iter().map(|row| row % rows.len()).collect();
        let mut of_row: Vec<usize> = (0..rows.len()).collect();
        for token in 0..4 {
            if token == 2 {
                cache = cache.select_rows(&order);
                of_row.clone_from(&order);
            }
            let next: Vec<u32> = of_row.iter().map(|row| rows[*row].2[token]).collect();
            for (found, row) in step(model, &mut cache, &next).iter().zip(&of_row) {
                near(found, &at(&expected[*row], rows[*row].1.len() + token), &what);
            }
        }
    }
}

#[test]
fn what_encoder_decoders_cannot_do_is_refused() {
    for family in Family::ENCODER_DECODER {
        let loaded = random_model(family, Shape::default(), 3);
        let model = loaded.model.as_ref();
        let encoder = TokenBatch::new(&[&[1, 2, 3]], PaddingSide::Right);
        let error = model.forward(&encoder, &VirtualTokens::none()).unwrap_err();
        assert!(error.to_string().contains("decoder_input_ids"), "{error}");
        let Error::Mismatch(_) = activations(model, &[1, 2]).unwrap_err() else { panic!() };
        let layout = model.head_layout(Task::SeqCls);
        let head = Head::init(layout, 2, model.spec().hidden_size, 0, &device());
        for task in [Task::SeqCls, Task::TokenCls] {
            let error = check_task(model, Some(&head), task).unwrap_err().to_string();
            assert!(error.contains("needs a model of one stack"), "{error}");
        }
    }
}

#[test]
fn only_bart_limits_the_positions_of_each_side() {
    let shape = Shape { positions: 8, ..Shape::default() };
    let rows = |source: usize, target: usize| [(vec![1; source], vec![1; target])];
    for family in Family::ENCODER_DECODER {
        let loaded = random_model_on(family, shape, 5, &Device::flex(), DType::F32);
        let model = loaded.model.as_ref();
        let is_bart = family == Family::Bart;
        let prompt = virtual_tokens(model, &Kind::Prompt, 3, 1);
        for (source, target, fits) in [(5, 8, true), (6, 1, !is_bart), (1, 9, !is_bart)] {
            let batch = batch(&rows(source, target), PaddingSide::Right);
            let found = model.forward(&batch, &prompt);
            assert_eq!(found.is_ok(), fits, "{family:?} {source} {target}");
            assert!(fits || matches!(found, Err(Error::TooLong { limit: 8, .. })));
        }
    }
}
