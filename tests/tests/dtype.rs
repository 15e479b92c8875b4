//! Frozen matrices that are kept and multiplied in 16 bits by Burn's own operations, as on a GPU, on every family and for
//! every kind of virtual tokens. A test binary of its own, because the kernels of the CPU are off for the whole process.
//!
//! flex refuses operands of mixed types, where other backends read one of them wrongly: every pass here is a check that there
//! are none.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use burn::tensor::{Bool, DType, Device, Tensor, TensorData, bf16, f16};
use peft_cli::selftest::{
    measures::Run,
    rows::{Batches, examples, task_of},
    trainables::{Method, with_trainable},
};
use peft_core::{
    PaddingSide, TokenBatch, VirtualTokens,
    train::{StepReport, TrainConfig},
};
use peft_models::{Compute, LoadOptions, Loaded, ModelConfig, WeightFormat, Weights, kernels};
use peft_tests::{
    Family, Shape,
    leaves::{Kind, Leaves},
    numbers,
    passes::{KINDS, P, Pass, ROWS, WITH_LONG_ROW, families},
    random_model_with, relative,
};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::json;

const SHAPE: Shape = Shape { layers: 3, kv_heads: 2, head_dim: 16, positions: 64 };
const TYPES: [Compute; 2] = [Compute::Bf16, Compute::F16];

fn in_type(compute: Compute) -> LoadOptions {
    LoadOptions { compute, ..LoadOptions::default() }
}

/// Matrices that are rounded to bf16 and multiplied in f32.
fn rounded() -> LoadOptions {
    LoadOptions { weights: WeightFormat::Bf16, ..LoadOptions::default() }
}

/// How much less than bf16 a type rounds: f16 has three bits more.
fn rounding(compute: Compute) -> f64 {
    if compute == Compute::F16 { 1.0 / 8.0 } else { 1.0 }
}

fn model(family: Family, options: LoadOptions) -> Loaded {
    kernels::set_enabled(false);
    random_model_with(family, SHAPE, 3, &Device::flex(), DType::F32, options)
}

/// All of its numbers must be in f32.
fn pass(family: Family, kind: Kind, options: LoadOptions) -> [Vec<f64>; 2] {
    let Pass { hidden, logits, loss, gradients } = Pass::of(&model(family, options), kind);
    let outputs: Vec<TensorData> = [Some(hidden), logits, loss].into_iter().flatten().collect();
    let all = || outputs.iter().chain(&gradients);
    assert!(all().all(|data| data.dtype() == DType::F32), "{family:?} {kind:?}");
    [numbers(&outputs), numbers(&gradients)]
}

/// How far numbers in 16 bits are from those in f32 depends on the model, as weights are large and a softmax magnifies what is
/// off. What rounding the matrices alone does, with products in f32, is the measure; here inputs, results and gradients of
/// each product are rounded, too.
#[test]
fn numbers_are_near_those_of_f32_in_every_family() {
    for family in families() {
        let (mut largest, mut furthest) = ([[0.0f64; 2]; 2], [[0.0f64; 2]; 2]);
        for kind in KINDS {
            let of = |options| pass(family, kind, options);
            let (exact, weights) = (of(LoadOptions::default()), of(rounded()));
            for (at, compute) in TYPES.into_iter().enumerate() {
                let found = of(in_type(compute));
                for which in 0..2 {
                    let off = relative(&found[which], &exact[which]);
                    let of_weights = relative(&weights[which], &exact[which]);
                    let measure = of_weights * rounding(compute);
                    let limit = 10.0 * measure;
                    let name = ["outputs", "gradients"][which];
                    assert!(off > 0.0, "{family:?} {kind:?}: {name} not in {compute}");
                    assert!(off < limit, "{family:?} {kind:?} {compute}, {name}: {off}, {measure}");
                    furthest[at][which] = furthest[at][which].max(off);
                    largest[at][which] = largest[at][which].max(off / measure);
                }
            }
        }
        for (at, compute) in TYPES.into_iter().enumerate() {
            println!(
                "{family:?} {compute}: outputs off by {:.1e}, gradients by {:.1e}; {:.1} and {:.1} times what rounding the \
                 matrices does",
                furthest[at][0], furthest[at][1], largest[at][0], largest[at][1]
            );
        }
    }
}

#[test]
fn matrices_alone_are_in_16_bits() {
    for (family, compute) in families().flat_map(|family| TYPES.map(|compute| (family, compute))) {
        let loaded = model(family, in_type(compute));
        let (mut reduced, mut others) = (0, 0);
        for (name, data) in loaded.model.tensors() {
            let is_matrix = name == "word" || name.contains("weights.");
            let expected = if is_matrix { compute.dtype() } else { DType::F32 };
            assert_eq!(data.dtype(), expected, "{family:?}: {name}");
            *(if is_matrix { &mut reduced } else { &mut others }) += 1;
        }
        assert!(reduced > SHAPE.layers && others > SHAPE.layers, "{family:?} {reduced} {others}");
        assert_eq!(loaded.model.spec().dtype, DType::F32);
        assert_eq!(loaded.model.scales_loss(), compute == Compute::F16);
    }
    assert!(!model(Family::Gpt2, rounded()).model.scales_loss());
}

/// What the other tests rely on.
#[test]
fn operands_of_mixed_types_are_refused_by_flex() {
    let narrow = || Tensor::<2>::ones([2, 2], (&Device::flex(), DType::BF16));
    let wide = || Tensor::<2>::ones([2, 2], (&Device::flex(), DType::F32));
    let mask = || Tensor::<2, Bool>::from_bool([[true, false], [false, true]], &Device::flex());
    type Operation = Box<dyn Fn() -> Tensor<2>>;
    let operations: [(&str, Operation); 8] = [
        ("add", Box::new(move || narrow() + wide())),
        ("add to f32", Box::new(move || wide() + narrow())),
        ("sub", Box::new(move || narrow() - wide())),
        ("mul", Box::new(move || wide() * narrow())),
        ("div", Box::new(move || narrow() / wide())),
        ("matmul", Box::new(move || narrow().matmul(wide()))),
        ("cat", Box::new(move || Tensor::cat(vec![narrow(), wide()], 0))),
        ("mask_where", Box::new(move || narrow().mask_where(mask(), wide()))),
    ];
    for (name, operation) in operations {
        assert!(catch_unwind(AssertUnwindSafe(operation)).is_err(), "{name} took both");
    }
}

/// Reads a row token by token after a cache, and at once.
#[test]
fn a_cache_gives_the_numbers_of_the_whole_row() {
    let row = ROWS[0];
    let encoded = TokenBatch::new(&[&[7, 3, 19, 4]], PaddingSide::Right);
    let one = |ids: &[u32]| TokenBatch::new(&[ids], PaddingSide::Right);
    let decoders = Family::CAUSAL.into_iter().chain(Family::ENCODER_DECODER);
    for (family, kind) in decoders.flat_map(|family| KINDS.map(|kind| (family, kind))) {
        let is_causal = family.is_causal();
        let kind = if kind == Kind::Prefix(ROWS.len()) { Kind::Prefix(1) } else { kind };
        let logits = |options, cached: bool| -> Vec<f64> {
            let loaded = model(family, options);
            let model = loaded.model.as_ref();
            let mut leaves = Leaves::new(Device::flex().autodiff(), DType::F32);
            let virtual_tokens = leaves.virtual_tokens(model, kind, P).without_autodiff();
            let hidden = if !cached {
                let batch =
                    if is_causal { one(row) } else { encoded.clone().with_decoder(one(row)) };
                model.forward(&batch, &virtual_tokens).unwrap().tokens
            } else {
                let first = if is_causal { one(row) } else { encoded.clone() };
                let mut cache = model.begin(&first, &virtual_tokens).unwrap();
                let mut parts = Vec::new();
                for ids in [&row[..3], &row[3..4], &row[4..5], &row[5..]] {
                    let read = model.forward_cached(&one(ids), cache).unwrap();
                    parts.push(read.tokens);
                    cache = read.cache.unwrap();
                }
                Tensor::cat(parts, 1)
            };
            let [b, t, h] = hidden.dims();
            let logits = model.lm_logits(hidden.reshape([b * t, h])).unwrap();
            assert_eq!((logits.dtype(), t), (DType::F32, row.len()));
            numbers([&logits.into_data()])
        };
        let exact = logits(LoadOptions::default(), false);
        let measure = relative(&logits(rounded(), false), &exact);
        for compute in TYPES {
            let whole = logits(in_type(compute), false);
            let off = relative(&logits(in_type(compute), true), &whole);
            // Sums of other sizes may be rounded to the number beside.
            let limit = 5.0 * measure * rounding(compute);
            assert!(off < limit, "{family:?} {kind:?} {compute}: {off}, {measure}");
        }
    }
}

#[test]
fn losses_fall_as_in_f32() {
    for (family, method) in families().flat_map(|family| Method::ALL.map(|method| (family, method)))
    {
        let run = |options, steps: usize| {
            // The sizes of the rows' models.
            kernels::set_enabled(false);
            let (shape, device) = (WITH_LONG_ROW, Device::flex());
            let loaded = random_model_with(family, shape, 3, &device, DType::F32, options);
            let examples = examples(family, Batches::Varied);
            let config = TrainConfig {
                steps: Some(steps),
                // All rows in each step.
                batch_size: examples.len(),
                lr: 0.01,
                ..TrainConfig::new(task_of(family))
            };
            let visit = Run { examples, config };
            with_trainable(method, family, loaded.model.as_ref(), 3, &visit).unwrap()
        };
        let fallen = |reports: &[StepReport]| reports[0].loss - reports[reports.len() - 1].loss;
        let exact = run(LoadOptions::default(), 20);
        assert!(fallen(&exact) > 0.0, "{family:?} {method:?}: {exact:?}");
        for compute in TYPES {
            // Steps of f16 that are left out at first, until the loss is scaled as it has to be, are made later.
            let skipped = run(in_type(compute), 20).iter().filter(|step| step.skipped).count();
            assert!(skipped == 0 || compute == Compute::F16 && skipped < 16, "{skipped}");
            let ratio = fallen(&run(in_type(compute), 20 + skipped)) / fallen(&exact);
            println!(
                "{family:?} {method:?} {compute}: falls by {ratio:.2} of f32, {skipped} left out"
            );
            assert!((0.5..2.0).contains(&ratio), "{family:?} {method:?} {compute}: {ratio}");
        }
    }
}

const SMALL: [(&str, [usize; 2]); 2] = [("wte.weight", [11, 8]), ("wpe.weight", [8, 8])];

/// A GPT-2 of no layers in a folder, whose embedding has these bytes.
fn write_model(dir: &Path, dtype: Dtype, word: &[u8]) {
    let config = json!({
        "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_embd": 8, "vocab_size": 11, "n_positions": 8,
        "n_layer": 1, "n_head": 1,
    });
    fs::write(dir.join("config.json"), config.to_string()).unwrap();
    let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, shape) in SMALL {
        let count = shape[0] * shape[1];
        match name {
            "wte.weight" => tensors.push((name.into(), dtype, shape.to_vec(), word.to_vec())),
            _ => tensors.push((name.into(), Dtype::F32, shape.to_vec(), vec![0; 4 * count])),
        }
    }
    for (name, shape) in [
        ("h.0.ln_1.weight", vec![8]),
        ("h.0.ln_1.bias", vec![8]),
        ("h.0.attn.c_attn.weight", vec![8, 24]),
        ("h.0.attn.c_attn.bias", vec![24]),
        ("h.0.attn.c_proj.weight", vec![8, 8]),
        ("h.0.attn.c_proj.bias", vec![8]),
        ("h.0.ln_2.weight", vec![8]),
        ("h.0.ln_2.bias", vec![8]),
        ("h.0.mlp.c_fc.weight", vec![8, 32]),
        ("h.0.mlp.c_fc.bias", vec![32]),
        ("h.0.mlp.c_proj.weight", vec![32, 8]),
        ("h.0.mlp.c_proj.bias", vec![8]),
        ("ln_f.weight", vec![8]),
        ("ln_f.bias", vec![8]),
    ] {
        let count: usize = shape.iter().product();
        tensors.push((name.into(), Dtype::F32, shape, vec![0; 4 * count]));
    }
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    let bytes = safetensors::serialize(views.collect::<Vec<_>>(), None).unwrap();
    fs::write(dir.join("model.safetensors"), bytes).unwrap();
}

#[test]
fn a_checkpoint_in_16_bits_is_used_as_it_is() {
    kernels::set_enabled(false);
    // 1/3, which every type rounds to another number, in each of 88 places another multiple.
    let numbers: Vec<f32> = (0..88).map(|place| (place as f32 - 40.0) / 3.0).collect();
    let in_bf16: Vec<bf16> = numbers.iter().map(|x| bf16::from_f32(*x)).collect();
    let in_f16: Vec<f16> = numbers.iter().map(|x| f16::from_f32(*x)).collect();
    let bytes_of_bf16: Vec<u8> = in_bf16.iter().flat_map(|x| x.to_le_bytes()).collect();
    let bytes_of_f16: Vec<u8> = in_f16.iter().flat_map(|x| x.to_le_bytes()).collect();
    let bytes_of_f32: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    let word = |dtype: Dtype, bytes: &[u8], compute: Compute| -> TensorData {
        let dir = tempfile::tempdir().unwrap();
        write_model(dir.path(), dtype, bytes);
        let loaded = peft_models::load_with(dir.path(), &Device::flex(), in_type(compute)).unwrap();
        loaded.model.tensors().remove("word").unwrap()
    };
    let same = |found: TensorData, expected: TensorData| assert_eq!(found, expected);
    let [bf16_data, f16_data] =
        [TensorData::new(in_bf16, [11, 8]), TensorData::new(in_f16.clone(), [11, 8])];
    same(word(Dtype::BF16, &bytes_of_bf16, Compute::Bf16), bf16_data.clone());
    same(word(Dtype::F16, &bytes_of_f16, Compute::F16), f16_data.clone());
    same(word(Dtype::F32, &bytes_of_f32, Compute::Bf16), bf16_data);
    same(word(Dtype::F32, &bytes_of_f32, Compute::F16), f16_data);
    let again: Vec<bf16> = in_f16.iter().map(|x| bf16::from_f32(x.to_f32())).collect();
    same(word(Dtype::F16, &bytes_of_f16, Compute::Bf16), TensorData::new(again, [11, 8]));
}

#[test]
fn numbers_that_f16_does_not_have_are_refused_with_their_tensor() {
    kernels::set_enabled(false);
    let refused = |dtype: Dtype, value: f32, compute: Compute| -> String {
        let dir = tempfile::tempdir().unwrap();
        let mut numbers = vec![0.5f32; 88];
        numbers[70] = value;
        let bytes: Vec<u8> = match dtype {
            Dtype::BF16 => numbers.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes()).collect(),
            _ => numbers.iter().flat_map(|x| x.to_le_bytes()).collect(),
        };
        write_model(dir.path(), dtype, &bytes);
        let loaded = peft_models::load_with(dir.path(), &Device::flex(), in_type(compute));
        loaded.map(|_| ()).unwrap_err().to_string()
    };
    for dtype in [Dtype::F32, Dtype::BF16] {
        let error = refused(dtype, 131_072.0, Compute::F16);
        for part in
            ["model.safetensors", "`wte.weight`", "holds 131072, which f16 has no number for"]
        {
            assert!(error.contains(part), "{dtype:?}: {error}");
        }
        for compute in TYPES {
            let error = refused(dtype, f32::NAN, compute);
            assert!(error.contains("holds NaN") && error.contains("is damaged"), "{error}");
        }
    }
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    kernels::set_enabled(false);
    let build = |options: LoadOptions, dtype: DType| {
        let config = json!({
            "model_type": "gpt2", "n_embd": 8, "vocab_size": 11, "n_positions": 8, "n_layer": 1, "n_head": 1,
        });
        let config = ModelConfig::from_value(config, Path::new("config.json"))?;
        let weights = Weights::random(1, 0.1, &Device::flex(), dtype);
        peft_models::build_with(config, weights, options).map(|_| ())
    };
    for (weights, compute, is_good) in [
        (WeightFormat::Auto, Compute::Bf16, true),
        (WeightFormat::Bf16, Compute::Bf16, true),
        (WeightFormat::Bf16, Compute::F16, false),
        (WeightFormat::F32, Compute::Bf16, false),
        (WeightFormat::Int8, Compute::F16, false),
        (WeightFormat::Int8, Compute::F32, true),
    ] {
        let options = LoadOptions { weights, compute, ..LoadOptions::default() };
        match build(options, DType::F32) {
            Ok(()) => assert!(is_good, "{weights} {compute}"),
            Err(error) => {
                let error = error.to_string();
                let says = format!("base_weights: found {weights}, and {compute} for `dtype`");
                assert!(!is_good && error.starts_with(&says), "{error}");
            }
        }
    }
    let error = build(in_type(Compute::F16), DType::F64).unwrap_err().to_string();
    assert!(error.contains("which is for models in f32; this one is in F64"), "{error}");
}

/// A query that sees nothing, as in padding on the left, gives no NaN where all of a model is in f16, either.
#[test]
fn masks_are_finite_in_f16() {
    kernels::set_enabled(false);
    let options = LoadOptions::default();
    let loaded = random_model_with(Family::Llama, SHAPE, 3, &Device::flex(), DType::F16, options);
    let batch = TokenBatch::new(&ROWS, PaddingSide::Left);
    let hidden = loaded.model.forward(&batch, &VirtualTokens::none()).unwrap().tokens;
    assert_eq!(hidden.dtype(), DType::F16);
    assert!(hidden.into_data().iter::<f32>().all(f32::is_finite));
}
