//! An infix as an adapter in a folder.

use std::fs;

use peft_core::{
    Adapter, FrozenModel, Mode, PaddingSide, PeftMethod, PeftType, Task,
    train::{Trainable, adapter_of},
};
use peft_prefix::{PrefixConfig, PrefixInit, PrefixTuning};
use peft_ptv2::{PTuningV2, PTuningV2Config, PTuningV2Init};
use peft_tests::{Family, Shape, device, random_model};
use serde_json::{Value, json};

use super::{Row, batch, placement, states};
use crate::methods::about;

/// Saves what a method has learnt, reads it again and checks that it is the same.
fn saved<M: PeftMethod>(model: &dyn FrozenModel, method: &M, layers: &[usize]) -> Adapter {
    let dir = tempfile::tempdir().unwrap();
    let made =
        adapter_of(&Trainable::new(method.clone(), None), model, &about(Task::CausalLm)).unwrap();
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
