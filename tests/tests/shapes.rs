//! On a device that tunes its kernels to shapes batches are padded to few lengths and causal rows share a mask, and nothing
//! but rounding changes: hidden states and gradients of every family and kind of virtual tokens, training, and generation.
//!
//! In f64, which no kernel of the CPU computes with: by Burn's own operations, as on a GPU.
#![cfg(feature = "cpu")]

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use peft_cli::selftest::trainables::Method;
use peft_core::{
    FrozenModel, PaddingSide, Pooling, Side, Site, VirtualTokens,
    contract::{
        length_multiple::{LENGTH_MULTIPLE, to_few_lengths},
        rng,
    },
    evaluate::Positions,
};
use peft_models::{
    LoadOptions,
    generate::{Beams, GenerateConfig, log_likelihoods},
};
use peft_tests::{
    Family, Shape,
    altered::{Alteration, Altered},
    leaves::{Kind, Leaves},
    passes::{KINDS, P, WITH_LONG_ROW, batch, families},
    random_model_with,
    virtual_tokens::{random_prefix, random_prompt},
};

use crate::{comparison::difference, generation::sequences, short_run::short_run};

/// More positions than a multiple.
const SHAPE: Shape = Shape { layers: 3, kv_heads: 2, head_dim: 4, positions: 28 };
/// The longest row that three virtual tokens leave room for, two new tokens included.
const LONGEST: usize = 24;

fn model(family: Family, shape: Shape) -> Arc<dyn FrozenModel> {
    let options = LoadOptions::default();
    random_model_with(family, shape, 3, &Device::flex(), DType::F64, options).model
}

/// A device that tunes its kernels to shapes. Remembers how long batches were.
#[derive(Debug, Default)]
struct Tuned {
    lengths: Mutex<BTreeSet<usize>>,
}

impl Tuned {
    fn over(model: &dyn FrozenModel) -> Altered<'_, Self> {
        Altered::new(model, Self::default())
    }

    fn lengths(&self) -> Vec<usize> {
        self.lengths.lock().unwrap().iter().copied().collect()
    }
}

impl Alteration for Tuned {
    fn embeds(&self, ids: &Tensor<2, Int>) {
        self.lengths.lock().unwrap().insert(ids.dims()[1]);
    }
    fn tunes_to_shapes(&self) -> bool {
        true
    }
}

/// The hidden states of all real tokens, and of each row, and the gradient of every leaf.
#[test]
fn hidden_states_and_gradients_are_the_same() {
    for family in families() {
        let plain = model(family, SHAPE);
        for (kind, is_infix, side) in ways(family) {
            let pass = |model: &dyn FrozenModel| -> Vec<TensorData> {
                let mut leaves = Leaves::new(Device::flex().autodiff(), DType::F64);
                let mut virtual_tokens = leaves.virtual_tokens(model, kind, P);
                virtual_tokens.infix = is_infix;
                let batch = batch(model, side).with_sources(vec![4, 2, 1]);
                let batch = to_few_lengths(batch, model, &virtual_tokens);
                let hidden = model.forward(&batch, &virtual_tokens).unwrap();
                let states = |positions: Positions| {
                    positions.states(model, &batch, &hidden, Pooling::First).unwrap()
                };
                let mut found = states(Positions::all_tokens(&batch));
                if !has_two_sides(family) {
                    found = Tensor::cat(vec![found, states(Positions::all_rows(&batch))], 0);
                }
                let loss = (found.clone() * found.clone().add_scalar(1.0).square()).sum();
                let gradients = leaves.gradients(&loss.backward());
                [vec![found.inner().into_data()], gradients].concat()
            };
            let tuned = Tuned::over(plain.as_ref());
            assert!(!plain.tunes_to_shapes() && tuned.tunes_to_shapes());
            let (expected, found) = (pass(plain.as_ref()), pass(&tuned));
            assert_eq!(tuned.alteration.lengths(), [LENGTH_MULTIPLE], "{family:?} {kind:?}");
            assert_eq!(found.len(), expected.len());
            for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let off = difference(found, expected);
                let case = format!("{family:?} {kind:?} {is_infix} {side:?}");
                assert!(off < 1e-9, "{case}: {at} differs by {off:e}");
            }
        }
    }
}

/// Virtual tokens of every kind, whether they stand between a row's source and its target, and the side of the padding.
fn ways(family: Family) -> impl Iterator<Item = (Kind, bool, PaddingSide)> {
    let places = move |kind: Kind| {
        let has_infix = family.is_causal() && !matches!(kind, Kind::Prompt(_));
        [false, true].into_iter().filter(move |is_infix| has_infix || !is_infix)
    };
    let kinds = KINDS.into_iter();
    let placed = kinds.flat_map(move |kind| places(kind).map(move |is_infix| (kind, is_infix)));
    placed.flat_map(|(kind, is_infix)| {
        [PaddingSide::Right, PaddingSide::Left].map(|side| (kind, is_infix, side))
    })
}

fn has_two_sides(family: Family) -> bool {
    Family::ENCODER_DECODER.contains(&family)
}

#[test]
fn training_is_the_same() {
    for family in families() {
        let plain = model(family, WITH_LONG_ROW);
        for method in Method::ALL {
            let run = |model: &dyn FrozenModel| short_run(method, family, model, 3);
            let tuned = Tuned::over(plain.as_ref());
            let (expected, found) = (run(plain.as_ref()), run(&tuned));
            assert!(tuned.alteration.lengths().iter().all(|length| length % LENGTH_MULTIPLE == 0));
            assert_eq!((found.len(), expected.len()), (6, 6));
            for (found, expected) in found.iter().zip(&expected) {
                let off = (found - expected).abs();
                assert!(off < 1e-6 * expected.abs(), "{family:?} {method:?}: {found} {expected}");
            }
        }
    }
}

/// Rows of a prompt are read once, padded; new tokens follow one by one.
#[test]
fn generated_texts_are_the_same() {
    let long: Vec<u32> = (0..LONGEST as u32).map(|at| (at * at + 3) % 23).collect();
    let rows: [&[u32]; 4] = [&[5, 11, 2, 20, 7], &[12], &long, &[3, 3, 8]];
    let generates = Family::CAUSAL.into_iter().chain(Family::ENCODER_DECODER);
    for family in generates {
        let plain = model(family, SHAPE);
        let sites: Vec<Site> = plain.spec().sites.iter().map(|site| site.site).collect();
        let mut stream = rng::stream(5, 0, "shapes");
        let device = Device::flex();
        let prompt = random_prompt(plain.as_ref(), [1, P], &mut stream, &device);
        let size = [rows.len(), P];
        let prefix = random_prefix(plain.as_ref(), &sites, false, size, &mut stream, &device);
        let mut infix = prefix.clone();
        infix.infix = true;
        let infix = Some(infix).filter(|_| family.is_causal());
        let kinds = [VirtualTokens::none(), prompt, prefix];
        for virtual_tokens in kinds.into_iter().chain(infix) {
            let start = has_two_sides(family).then_some(1);
            let greedy = GenerateConfig::new(2).with_decoder_start(start).with_batch_size(2);
            let tuned = Tuned::over(plain.as_ref());
            for config in [greedy.clone(), greedy.clone().with_beams(Beams::new(3))] {
                let of =
                    |model: &dyn FrozenModel| sequences(model, &rows, &virtual_tokens, &config);
                assert_eq!(of(&tuned), of(plain.as_ref()), "{family:?}");
            }
            let answers = [vec![3, 1], vec![8]];
            let of = |model: &dyn FrozenModel| {
                log_likelihoods(model, &rows, &answers, &virtual_tokens, &greedy).unwrap().concat()
            };
            for (found, expected) in of(&tuned).into_iter().zip(of(plain.as_ref())) {
                assert!((found - expected).abs() < 1e-4, "{family:?}: {found}, not {expected}");
            }
            // Single tokens, rows of prompts, and the one that is as long as the positions that are left.
            let most = plain.spec().positions(Side::Encoder);
            let most = most.map_or(32, |most| most - virtual_tokens.len());
            assert_eq!(tuned.alteration.lengths(), [1, 16, most.min(32)], "{family:?}");
        }
    }
}
