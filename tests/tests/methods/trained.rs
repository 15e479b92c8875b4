//! What training makes of a seed, and what it leaves of the model.

use std::fs;

use peft_core::{
    FrozenModel, Head, NamedTensors, PeftMethod, Task,
    adapter::codec::sha256,
    data::Target,
    train::{RunContext, Silent, TrainConfig, Trainable, TrainingData, adapter_of, train},
};
use peft_prefix::{PrefixConfig, PrefixInit, PrefixTuning};
use peft_prompt::{EncoderConfig, PromptConfig, PromptInit, PromptTuning};
use peft_ptv2::{PTuningV2, PTuningV2Config, PTuningV2Init};
use peft_tests::{FAMILIES, Family, Shape, VOCAB, device, random_model};

use super::labelled;
use crate::support::ADAPTER_FILES;

/// SHA-256 of the bytes of every tensor.
fn hashes(tensors: &NamedTensors) -> Vec<(String, String)> {
    tensors.iter().map(|(name, data)| (name.clone(), sha256(data.as_bytes()))).collect()
}

/// Trains a method and gives the bytes of its adapter's two files.
fn trained<M: PeftMethod>(
    model: &dyn FrozenModel,
    method: M,
    head: Option<Head>,
    seed: u64,
) -> [Vec<u8>; 3] {
    let task = if head.is_some() { Task::SeqCls } else { Task::CausalLm };
    let rows: Vec<Vec<u32>> = (0..20u32)
        .map(|row| (0..=row * 5 % 7).map(|i| (row * 3 + i) % VOCAB as u32).collect())
        .collect();
    let mut examples = labelled(&rows, 0);
    if head.is_some() {
        for (index, example) in examples.iter_mut().enumerate() {
            example.target = Target::Class(index % 3);
        }
    }
    let valid = examples.split_off(14);
    let config = TrainConfig {
        steps: Some(if cfg!(feature = "wgpu") { 3 } else { 12 }),
        batch_size: 4,
        lr: 0.05,
        eval_every: Some(5),
        seed,
        ..TrainConfig::new(task)
    };
    let data = TrainingData { train: &examples, valid: &valid };
    let trainable = Trainable::new(method, head);
    let run = RunContext::default();
    let outcome = train(model, trainable, &data, &config, &run, &mut Silent).unwrap();
    let about = run.about(&config, outcome.metrics.as_ref()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    adapter_of(&outcome.trainable, model, &about).unwrap().save(dir.path()).unwrap();
    ADAPTER_FILES.map(|name| fs::read(dir.path().join(name)).unwrap())
}

/// Trains a method from a seed: prompt, prefix with its MLP and dropout, P-tuning v2 with dropout, prompt with an LSTM and
/// dropout.
fn trained_anew(family: Family, which: usize, seed: u64) -> [Vec<u8>; 3] {
    let loaded = random_model(family, Shape::default(), 3);
    let model = loaded.model.as_ref();
    let before = hashes(&model.tensors());
    // Word and position embeddings, and several tensors per layer.
    assert!(before.len() > 12, "{}", before.len());
    let device = device().autodiff();
    let h = model.spec().hidden_size;
    let head = (!family.is_causal())
        .then(|| Head::init(model.head_layout(Task::SeqCls), 3, h, seed, &device));
    let files = match which {
        0 => {
            let init = PromptInit::default();
            let config = PromptConfig::new(3);
            let method = PromptTuning::init(config, model, &init, seed, &device).unwrap();
            trained(model, method, head, seed)
        }
        1 => {
            let config = PrefixConfig::new(3).with_hidden_size(6).with_dropout(0.2);
            let init = PrefixInit::Random;
            let method = PrefixTuning::init(config, model, &init, seed, &device).unwrap();
            trained(model, method, head, seed)
        }
        3 => {
            let encoder = EncoderConfig::Lstm { hidden_size: Some(4), num_layers: 2, dropout: 0.2 };
            let config = PromptConfig::new(3).with_encoder(Some(encoder));
            let init = PromptInit::normal();
            let method = PromptTuning::init(config, model, &init, seed, &device).unwrap();
            trained(model, method, head, seed)
        }
        _ => {
            let config = PTuningV2Config::new(3).with_dropout(0.2);
            let init = PTuningV2Init::default();
            let method = PTuningV2::init(config, model, &init, seed, &device).unwrap();
            trained(model, method, head, seed)
        }
    };
    assert!(hashes(&model.tensors()) == before, "training changed the {family:?} model");
    files
}

/// 10 and 11. The frozen tensors are the same after training, and a seed gives the same bytes each time.
#[test]
fn p10_p11_a_seed_gives_the_same_bytes_and_the_model_stays() {
    for family in FAMILIES {
        for which in 0..4 {
            let once = trained_anew(family, which, 5);
            // On a GPU the order of additions is not fixed.
            if cfg!(not(feature = "wgpu")) {
                assert!(once == trained_anew(family, which, 5), "{family:?}, method {which}");
                let other = trained_anew(family, which, 6);
                assert!(once[2] != other[2], "{family:?}, method {which}: the seed is not used");
            }
        }
    }
}
