//! Each group of kernels against the same functions written with Burn's operations, at the sizes of small models.
//!
//! `cargo bench --workspace --features peft-tests/bench --bench kernels -- [FILTER] [--quick]`
//!
//! Times of `forward and backward` are those of both together. Memory comes from the program's allocator.
#![allow(clippy::unwrap_used)]

use std::{hint::black_box, path::Path};

use burn::tensor::{DType, Device, Tensor, TensorData};
use criterion::{BenchmarkId, Criterion, Throughput};
use peft_cli::allocator::keep_freed_memory;
use peft_core::{
    LayerKeyValues, Mask, Side, Site, SiteKeyValues, StackInput, VirtualTokens,
    contract::{
        init::{Distribution, draw},
        rng::stream,
    },
};
use peft_models::{
    ModelConfig, Weights,
    bench::{Activation, Heads, LayerNorm, RmsNorm, SelfAttention, linear},
    kernels::set_enabled,
};
use serde_json::json;

/// Rows of a training step: 8 of 64 tokens.
const ROWS: usize = 512;

/// H of GPT-2 small.
const WIDTH: usize = 768;

/// P.
const VIRTUAL_TOKENS: usize = 20;

fn main() {
    keep_freed_memory();
    let mut criterion = Criterion::default().sample_size(20).configure_from_args();
    linear_layers(&mut criterion);
    attention(&mut criterion);
    norms(&mut criterion);
    activations(&mut criterion);
    cross_entropy(&mut criterion);
    criterion.final_summary();
}

/// Draws from N(0, 1).
fn normal<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    let count = shape.iter().product();
    let drawn =
        draw(Distribution::Normal { std: 1.0 }, count, &mut stream(0, 0, &format!("{shape:?}")));
    Tensor::from_data(TensorData::new(drawn, shape), device)
}

/// Frozen.
fn fixed<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    normal(shape, &Device::flex())
}

/// Trained.
fn trained<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    normal(shape, &Device::flex().autodiff()).require_grad()
}

/// Measures `work` with the kernels and without.
fn both<T>(
    criterion: &mut Criterion,
    group: &str,
    case: &str,
    elements: usize,
    mut work: impl FnMut() -> T,
) {
    let mut group = criterion.benchmark_group(group);
    group.throughput(Throughput::Elements(elements as u64));
    for (body, enabled) in [("kernel", true), ("burn", false)] {
        set_enabled(enabled);
        group.bench_function(BenchmarkId::new(body, case), |bencher| bencher.iter(&mut work));
    }
    set_enabled(true);
    group.finish();
}

/// Measures a function of one tensor: its output, and its output with the gradient of its input.
fn function<const D: usize, const E: usize>(
    criterion: &mut Criterion,
    name: &str,
    case: &str,
    [input, elements]: [Vec<usize>; 2],
    body: impl Fn(Tensor<D>) -> Tensor<E>,
) {
    let shape: [usize; D] = input.try_into().unwrap();
    let elements = elements.iter().product();
    let x = fixed(shape);
    both(criterion, &format!("{name}, forward"), case, elements, || body(black_box(x.clone())));
    let x = trained(shape);
    both(criterion, &format!("{name}, forward and backward"), case, elements, || {
        let gradients = body(black_box(x.clone())).backward();
        x.grad(&gradients).unwrap()
    });
}

/// Throughput is of multiply-adds; those of the gradient are not counted.
fn linear_layers(criterion: &mut Criterion) {
    for (layout, transposed) in [("[in, out]", false), ("[out, in]", true)] {
        for [input, output] in [[WIDTH, 3 * WIDTH], [WIDTH, WIDTH], [4 * WIDTH, WIDTH]] {
            let weight = if transposed {
                fixed([output, input]).transpose()
            } else {
                fixed([input, output])
            };
            for rows in [ROWS, 32] {
                let case = format!("{rows} rows, {input} to {output}, stored {layout}");
                let sizes = [vec![rows, input], vec![rows, input, output]];
                function(criterion, "linear", &case, sizes, |x| linear(x, &weight));
            }
        }
    }
}

/// Causal attention behind a prefix that all rows share. Throughput is of pairs of a query and a key.
fn attention(criterion: &mut Criterion) {
    let p = VIRTUAL_TOKENS;
    for (n, k) in [(12, 12), (12, 4)] {
        let heads = Heads { query: n, key_value: k, size: 64 };
        let Heads { size: d, .. } = heads;
        let past = |make: &dyn Fn() -> Tensor<4>| LayerKeyValues { key: make(), value: make() };
        for (b, t) in [(8, 64), (2, 256)] {
            let case = format!("{n} heads, {k} of keys, {b} rows of {t}");
            let pairs = b * n * t * (p + t);
            let read = |joined: Tensor<3>, past: LayerKeyValues| {
                let site = Site::DecoderSelf;
                let layers = vec![Some(past)];
                let past = VirtualTokens::key_values(vec![SiteKeyValues { site, layers }]);
                let none = Tensor::zeros([b, t, 1], &Device::flex());
                let mut input = StackInput::new(Side::Decoder, none, &Mask::full(b, t), past);
                let mut attention = SelfAttention::new(&mut input, site, false);
                attention.layer(0, joined, None, move |x, layer| {
                    layer.attend_joined(x, heads, heads.scale())
                })
            };
            let width = (n + 2 * k) * d;
            let (joined, prefix) = (fixed([b, t, width]), past(&|| fixed([1, k, p, d])));
            both(criterion, "attention, forward", &case, pairs, || {
                read(black_box(joined.clone()), prefix.clone())
            });
            let (joined, prefix) = (trained([b, t, width]), past(&|| trained([1, k, p, d])));
            both(criterion, "attention, forward and backward", &case, pairs, || {
                let gradients = read(black_box(joined.clone()), prefix.clone()).backward();
                let of = |x: &Tensor<4>| x.grad(&gradients).unwrap();
                (joined.grad(&gradients).unwrap(), of(&prefix.key), of(&prefix.value))
            });
        }
    }
}

fn norms(criterion: &mut Criterion) {
    let weights = &mut Weights::random(0, 0.02, &Device::flex(), DType::F32);
    let layer = LayerNorm::load(weights, "layer", WIDTH, 1e-5).unwrap();
    let rms = RmsNorm::load(weights, "rms", WIDTH, 1e-5).unwrap();
    let case = format!("{ROWS} rows of {WIDTH}");
    let sizes = || [vec![ROWS, WIDTH], vec![ROWS, WIDTH]];
    function::<2, 2>(criterion, "LayerNorm", &case, sizes(), |x| layer.forward(x));
    function::<2, 2>(criterion, "RMSNorm", &case, sizes(), |x| rms.forward(x));
}

fn activations(criterion: &mut Criterion) {
    let inner = 4 * WIDTH;
    let case = format!("{ROWS} rows of {inner}");
    let sizes = || [vec![ROWS, inner], vec![ROWS, inner]];
    for (name, activation) in
        [("GELU by tanh", Activation::GeluTanh), ("GELU by erf", Activation::Gelu)]
    {
        function::<2, 2>(criterion, name, &case, sizes(), |x| activation.forward(x));
    }
    let inner = 2048;
    let sizes = [vec![1, ROWS, 2 * inner], vec![ROWS, inner]];
    let case = format!("{ROWS} rows of {inner}");
    function(criterion, "SwiGLU's product", &case, sizes, |x| Activation::Silu.gated(x));
}

/// Of a head, its product included. Throughput is of logits.
fn cross_entropy(criterion: &mut Criterion) {
    let (h, v) = (384, 8000);
    let config = json!({
        "model_type": "gpt2", "n_embd": h, "vocab_size": v, "n_positions": 8, "n_layer": 1, "n_head": 1,
        "architectures": ["GPT2LMHeadModel"],
    });
    let config = ModelConfig::from_value(config, Path::new("(random)/config.json")).unwrap();
    let weights = Weights::random(0, 0.02, &Device::flex(), DType::F32);
    let model = peft_models::build(config, weights).unwrap().model;
    let targets: Vec<usize> = (0..ROWS).map(|row| row * 7919 % v).collect();
    let case = format!("{ROWS} rows of {h}, {v} classes");
    function(criterion, "cross entropy", &case, [vec![ROWS, h], vec![ROWS, v]], |x| {
        model.lm_cross_entropy(x, &targets, 0.0).unwrap()
    });
}
