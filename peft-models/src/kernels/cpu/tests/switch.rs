//! Whole models with kernels and without, and what no kernel supports.

use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use burn::tensor::Int;
use peft_core::{
    LayerKeyValues, PaddingSide, SiteKeyValues, TokenBatch, TokenCache, Topology, VirtualTokens,
};
use serde_json::{Value, json};

use super::{
    super::{entry::supports, layer_weights::LayerWeights, linear, norm, tensors},
    *,
};
use crate::{
    LoadOptions, Loaded, ModelConfig, Weights,
    kernels::{enabled, set_enabled},
    weights::{Matrix, WeightFormat},
};

/// The switch of the process, held by one test at a time and reset at its end.
struct Switch {
    before: bool,
    _alone: MutexGuard<'static, ()>,
}

impl Switch {
    fn take() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        Self { before: enabled(), _alone: alone }
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        set_enabled(self.before);
    }
}

fn model(config: Value, format: WeightFormat) -> Loaded {
    let config = ModelConfig::from_value(config, Path::new("config.json")).unwrap();
    // T5 does not scale its scores: with larger weights, its softmax would magnify roundings.
    let weights = Weights::random(5, 0.2, &Device::flex(), DType::F32);
    let options = LoadOptions { weights: format, ..LoadOptions::default() };
    crate::build_with(config, weights, options).unwrap()
}

fn llama(more: Value) -> Value {
    let mut config = json!({
        "model_type": "llama", "hidden_size": 22, "intermediate_size": 45, "vocab_size": 37,
        "max_position_embeddings": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 6, "architectures": ["LlamaForCausalLM"],
    });
    for (key, value) in more.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

fn configs() -> Vec<Value> {
    vec![
        json!({
            "model_type": "gpt2", "n_embd": 21, "n_inner": 43, "vocab_size": 37, "n_positions": 64,
            "n_layer": 2, "n_head": 3, "architectures": ["GPT2LMHeadModel"],
        }),
        llama(json!({})),
        llama(json!({
            "model_type": "mistral", "sliding_window": 4, "architectures": ["MistralForCausalLM"],
        })),
        json!({
            "model_type": "bert", "hidden_size": 21, "intermediate_size": 43, "vocab_size": 37,
            "max_position_embeddings": 64, "type_vocab_size": 2, "num_hidden_layers": 2,
            "num_attention_heads": 3, "architectures": ["BertModel"],
        }),
        json!({
            "model_type": "t5", "d_model": 20, "d_kv": 6, "d_ff": 43, "vocab_size": 37,
            "num_layers": 2, "num_decoder_layers": 2, "num_heads": 3,
            "relative_attention_num_buckets": 8, "relative_attention_max_distance": 12,
            "architectures": ["T5ForConditionalGeneration"],
        }),
    ]
}

/// How the rows of a batch are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rows {
    /// Each behind the virtual tokens.
    Plain,
    /// The first two are one.
    Packed,
    /// Each has the virtual tokens in it.
    Infix,
}

/// Hidden states of a ragged batch, the loss of a language model if it is one, and the gradients of trained
/// keys and values that precede it in every layer, or stand in it.
fn pass(Loaded { model, .. }: &Loaded, how: Rows) -> Vec<Vec<f64>> {
    let spec = model.spec();
    let mut trained = Vec::new();
    let mut leaf = |shape: [usize; 4]| {
        let drawn = normal(trained.len() as u64, "virtual tokens", shape.iter().product());
        let data = TensorData::new(drawn, shape);
        let leaf = Tensor::<4>::from_data(data, &Device::flex().autodiff()).require_grad();
        trained.push(leaf.clone());
        leaf
    };
    let mut sites = Vec::new();
    for site in &spec.sites {
        let shape = [1, site.num_kv_heads, 3, site.head_dim];
        let mut layer = || Some(LayerKeyValues { key: leaf(shape), value: leaf(shape) });
        let layers = (0..site.num_layers).map(|_| layer()).collect();
        sites.push(SiteKeyValues { site: site.site, layers });
    }
    let rows: [&[u32]; 3] = [&[5, 11, 2, 30, 7, 9, 1], &[3, 3, 8], &[12]];
    let mut batch = match how {
        Rows::Packed => {
            TokenBatch::packed(&[rows[..2].to_vec(), rows[2..].to_vec()], PaddingSide::Right)
        }
        Rows::Plain => TokenBatch::new(&rows, PaddingSide::Right),
        Rows::Infix => TokenBatch::new(&rows, PaddingSide::Left).with_sources(vec![4, 3, 1]),
    };
    if spec.topology == Topology::EncoderDecoder {
        let rows: [&[u32]; 3] = [&[4, 6], &[1, 2, 3, 4, 5], &[9, 9, 9]];
        batch = batch.with_decoder(TokenBatch::new(&rows, PaddingSide::Right));
    }
    let mut virtual_tokens = VirtualTokens::key_values(sites);
    virtual_tokens.infix = how == Rows::Infix;
    let hidden = model.forward(&batch, &virtual_tokens).unwrap().tokens;
    // Padded columns hold nothing of meaning.
    let mask = batch.output_rows().mask();
    let real = (0..mask.rows()).flat_map(|row| mask.row(row)).enumerate();
    let real: Vec<i64> = real.filter(|(_, real)| **real).map(|(at, _)| at as i64).collect();
    let chosen = Tensor::<1, Int>::from_data(real.as_slice(), &Device::flex());
    let chosen = hidden.flatten::<2>(0, 1).select(0, chosen);
    let mut found = vec![values(chosen.clone())];
    let [rows, h] = chosen.dims();
    let list = chosen.clone().reshape([rows * h]);
    let mut loss = (list.clone() * factors(&list)).sum();
    if spec.topology != Topology::EncoderOnly {
        let targets: Vec<usize> = (0..real.len()).map(|row| row * 5 % 37).collect();
        let cross_entropy = model.lm_cross_entropy(chosen, &targets, 0.1).unwrap();
        found.push(values(cross_entropy.clone()));
        loss = loss + cross_entropy;
    }
    let gradients = loss.backward();
    found.extend(trained.iter().map(|leaf| values(leaf.grad(&gradients).unwrap())));
    found
}

#[test]
fn models_compute_the_same_with_kernels_and_without() {
    let _switch = Switch::take();
    let formats = |config| WeightFormat::ALL.map(|format| (Value::clone(&config), format));
    for (config, format) in configs().into_iter().flat_map(formats) {
        let name = format!("{} in {format}", config["model_type"]);
        let model = model(config, format);
        set_enabled(true);
        let with = pass(&model, Rows::Plain);
        set_enabled(false);
        let without = pass(&model, Rows::Plain);
        assert_eq!(with.len(), without.len());
        for (with, without) in with.iter().zip(&without) {
            assert_close(&name, with, without);
        }
        // Otherwise no kernel would have run at all.
        assert_ne!(with, without, "{name}");
        if !model.model.spec().is_causal() {
            continue;
        }
        for enabled in [true, false] {
            set_enabled(enabled);
            let packed = pass(&model, Rows::Packed);
            assert_eq!(packed.len(), without.len());
            for (packed, without) in packed.iter().zip(&without) {
                assert_close(&format!("{name}, packed"), packed, without);
            }
        }
        let [with, without] = [true, false].map(|enabled| {
            set_enabled(enabled);
            pass(&model, Rows::Infix)
        });
        assert_ne!(with, without, "{name}, infix");
        for (with, without) in with.iter().zip(&without) {
            assert_close(&format!("{name}, infix"), with, without);
        }
    }
}

#[test]
fn kernels_are_for_f32_on_flex_where_turned_on() {
    let _switch = Switch::take();
    let flex = Device::flex();
    let x = |device: &Device, dtype: DType| Tensor::<2>::zeros([2, 3], (device, dtype));
    set_enabled(true);
    assert!(supports(&x(&flex, DType::F32)));
    assert!(supports(&x(&flex.clone().autodiff(), DType::F32)));
    assert!(supports(&x(&flex.clone().autodiff(), DType::F32).require_grad()));
    assert!(!supports(&x(&flex, DType::F64)));
    assert!(!supports(&Tensor::<2>::zeros([2, 0], &flex)));
    set_enabled(false);
    assert!(!supports(&x(&flex, DType::F32)));
}

#[test]
fn trained_weights_are_left_to_burn() {
    let flex = Device::flex();
    let trained = flex.clone().autodiff();
    let (x, frozen) = (Tensor::<2>::ones([2, 3], &flex), Tensor::<1>::ones([3], &flex));
    let weight = Tensor::<2>::ones([3, 3], &trained).require_grad();
    let bias = Tensor::<1>::ones([3], &trained).require_grad();
    let weights = |tensor: Tensor<2>| LayerWeights::of(&[Matrix::Floats(tensor)], None);
    assert!(weights(weight).is_none());
    let matrix = || weights(Tensor::ones([3, 3], &flex)).unwrap();
    assert!(linear::linear(x.clone(), matrix(), Some(&bias), None).is_none());
    assert!(linear::linear_onto(x.clone(), matrix(), Some(&bias), x.clone()).is_none());
    assert!(norm::norm(x.clone(), &bias, None, 1e-6).is_none());
    assert!(norm::norm(x, &frozen, Some(&bias), 1e-6).is_none());
}

#[test]
fn a_cache_with_capacity_grows_in_place() {
    let own = |columns| {
        let make = || Tensor::<4>::ones([2, 1, columns, 3], &Device::flex());
        LayerKeyValues { key: make(), value: make() }
    };
    let place = |layer: &LayerKeyValues| {
        let [key, value] =
            [&layer.key, &layer.value].map(|tensor| tensors::frozen(tensor).unwrap());
        [key, value].map(|tensor| tensor.bytes().as_ptr() as usize)
    };
    let mut cache = TokenCache::new().expecting(6);
    let first = place(&cache.append(0, own(4)));
    assert_eq!(place(&cache.append(0, own(1))), first);
    // If another cache shares it, it is copied.
    let other = cache.clone();
    assert_ne!(place(&cache.append(0, own(1))), first);
    assert_eq!(place(&other.into_layers()[0]), first);
}
