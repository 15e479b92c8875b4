//! Adapters that were trained here, as Python's PEFT reads them.
//!
//! `python/make_interop.py` trained them with the program, had PEFT compute logits with them, and found that
//! PEFT refuses those it has no name for. What is checked here: that the writer still writes those bytes,
//! and that the forward pass still gives those logits.

use std::fs;

use peft_cli::{commands::forward::forward_rows, encoding::TextArgs, session::Session};
use peft_core::{Adapter, PaddingSide, PeftType, evaluate::Predictor};
use peft_tests::{device, vectors};
use serde_json::Value;

use crate::{parity, support::root};

/// The cases with their models, as the script noted them; whether PEFT loads them.
fn cases() -> Vec<(String, String, bool)> {
    let text = fs::read_to_string(vectors("interop/result.json")).unwrap();
    let result: Value = serde_json::from_str(&text).unwrap();
    let cases = result["cases"].as_object().unwrap();
    assert_eq!(cases.len(), 29);
    let case = |(name, case): (&String, &Value)| {
        let text = |key: &str| case[key].as_str().unwrap().to_string();
        (name.clone(), text("model"), text("peft") == "loads it")
    };
    cases.iter().map(case).collect()
}

#[test]
fn the_writer_still_writes_the_bytes_that_peft_loaded() {
    for (case, _, _) in cases() {
        let committed = vectors(&format!("interop/{case}"));
        let dir = tempfile::tempdir().unwrap();
        Adapter::load(&committed).unwrap().save(dir.path()).unwrap();
        for name in ["adapter_config.json", "adapter_model.safetensors"] {
            let same =
                fs::read(dir.path().join(name)).unwrap() == fs::read(committed.join(name)).unwrap();
            assert!(same, "{case}: other bytes in {name}");
        }
    }
}

#[test]
fn the_forward_pass_gives_the_logits_that_peft_gave() {
    for (case, model, loads) in cases() {
        let (adapter, model) = (vectors(&format!("interop/{case}")), root().join(model));
        if loads {
            let expected = adapter.join("logits.safetensors");
            let rows = model.join("rows.jsonl");
            let largest = parity::check(&model, Some(&adapter), &rows, &expected);
            println!("{case}: logits within {largest:.1e} of their scale");
        }
        let read = Adapter::load(&adapter).unwrap();
        let base = peft_models::load(&model, &device()).unwrap();
        assert_eq!(read.config.own.base_fingerprint, base.report.fingerprint, "{case}");
    }
}

/// PEFT refuses it by its type; here it is used like any other, and only on its own layers.
#[test]
fn a_subset_of_the_layers_is_used_here_and_refused_there() {
    let mut refused: Vec<_> = cases().into_iter().filter(|(_, _, loads)| !loads).collect();
    // The other two are prefixes at three sites.
    refused.retain(|(case, _, _)| !case.ends_with("-sites"));
    let [(case, model, _)] = refused.as_slice() else { panic!("{refused:?}") };
    let adapter = Adapter::load(&vectors(&format!("interop/{case}"))).unwrap();
    assert_eq!(adapter.config.peft_type, PeftType::PrefixTuningLayers);
    let model_dir = root().join(model);
    let session = |adapter: Option<Adapter>| {
        let base = peft_models::load(&model_dir, &device()).unwrap();
        Session::new(base, model_dir.clone(), adapter, &device()).unwrap()
    };
    let (with, without) = (session(Some(adapter.clone())), session(None));
    let layers = adapter.layers(with.model().spec().self_site().unwrap().num_layers).unwrap();
    let site = with.model().spec().self_site().unwrap().site;
    let found: Vec<usize> =
        (0..8).filter(|layer| with.virtual_tokens.layer(site, *layer).is_some()).collect();
    assert_eq!((found, &layers), (vec![1, 2], &vec![1, 2]));

    // It was trained on these rows, and helps on them.
    let rows = root().join("tests/vectors/training/gpt2-ptv2/rows.jsonl");
    let loss = |session: &Session| {
        let (_, encoded) = session.encode(&rows, &TextArgs::default(), true).unwrap();
        let task = session.task().unwrap();
        peft_core::evaluate::checks::check_task(session.model(), None, task).unwrap();
        let predictor =
            Predictor::new(session.model(), &session.virtual_tokens, None, task).unwrap();
        predictor.evaluate(&encoded.examples, None).unwrap().get("loss").unwrap()
    };
    let (trained, base) = (loss(&with), loss(&without));
    println!("{case}: loss {trained:.3}, without the adapter {base:.3}");
    assert!(trained < base - 0.1, "{trained} with, {base} without");
    let (_, encoded) = with.encode(&rows, &TextArgs::default(), false).unwrap();
    let logits = forward_rows(&with, &encoded.examples[..2], 2, PaddingSide::Right).unwrap();
    assert!(logits.iter().all(|row| row.iter::<f32>().all(f32::is_finite)));
}
