//! Adapters trained by this program, as Python's PEFT reads them.
//!
//! `python/make_interop.py` trained them with the program, had PEFT compute logits with them, and confirmed that PEFT
//! refuses the types it does not know. These tests check that the writer still writes those bytes and that the
//! forward pass still gives those logits.

use std::fs;

use peft_cli::{commands::forward::forward_rows, session::Session, text_settings::TextArgs};
use peft_core::{Adapter, PaddingSide, PeftType, evaluate::Predictor};
use peft_tests::{device, vectors};
use serde_json::Value;

use crate::{
    comparison::Report,
    parity,
    support::{ADAPTER_FILES, root, session},
};

/// The cases as the script recorded them: name, model, and whether PEFT loads the adapter.
fn cases() -> Vec<(String, String, bool)> {
    let text = fs::read_to_string(vectors("interop/result.json")).unwrap();
    let result: Value = serde_json::from_str(&text).unwrap();
    let cases = result["cases"].as_object().unwrap();
    assert_eq!(cases.len(), 32);
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
        for name in ADAPTER_FILES {
            let same =
                fs::read(dir.path().join(name)).unwrap() == fs::read(committed.join(name)).unwrap();
            assert!(same, "{case}: other bytes in {name}");
        }
    }
}

#[test]
fn the_forward_pass_gives_the_logits_that_peft_gave() {
    let mut report = Report::default();
    for (case, model, loads) in cases() {
        let (adapter, model) = (vectors(&format!("interop/{case}")), root().join(model));
        if loads {
            let expected = adapter.join("logits.safetensors");
            let rows = model.join("rows.jsonl");
            let found = parity::check(&model, Some(&adapter), &rows, &expected);
            if let Some(largest) = report.note(&case, "logits", found) {
                println!("{case}: logits within {largest:.1e} of their scale");
            }
        }
        let read = Adapter::load(&adapter).unwrap();
        let base = peft_models::load(&model, &device()).unwrap();
        let (found, expected) = (base.report.fingerprint, read.config.own.base_fingerprint);
        let same = (found == expected).then_some(());
        report.note(&case, "fingerprint", same.ok_or_else(|| format!("{found:?}, {expected:?}")));
    }
    report.finish();
}

/// PEFT refuses its type; here it is used like any other adapter, and only on its own layers.
#[test]
fn a_subset_of_the_layers_is_used_here_and_refused_there() {
    let mut refused: Vec<_> = cases().into_iter().filter(|(_, _, loads)| !loads).collect();
    // The other two are prefixes at three sites.
    refused.retain(|(case, _, _)| !case.ends_with("-sites"));
    let [(case, model, _)] = refused.as_slice() else { panic!("{refused:?}") };
    let folder = vectors(&format!("interop/{case}"));
    let adapter = Adapter::load(&folder).unwrap();
    assert_eq!(adapter.config.peft_type, PeftType::PrefixTuningLayers);
    let model = root().join(model);
    let (with, without) = (session(&model, Some(&folder)), session(&model, None));
    let layers = adapter.layers(with.model().spec().self_site().unwrap().num_layers).unwrap();
    let site = with.model().spec().self_site().unwrap().site;
    let found: Vec<usize> =
        (0..8).filter(|layer| with.virtual_tokens.layer(site, *layer).is_some()).collect();
    assert_eq!((found, &layers), (vec![1, 2], &vec![1, 2]));

    // It was trained on these rows, so it must help on them.
    let rows = root().join("tests/vectors/training/gpt2-ptv2/rows.jsonl");
    let loss = |session: &Session| {
        let encoded = session.encode(&[&rows], &TextArgs::default(), true).unwrap();
        let task = session.task().unwrap();
        peft_core::evaluate::checks::check_task(session.model(), None, task).unwrap();
        let predictor =
            Predictor::new(session.model(), &session.virtual_tokens, None, task).unwrap();
        predictor.evaluate(&encoded.examples, None).unwrap().get("loss").unwrap()
    };
    let (trained, base) = (loss(&with), loss(&without));
    println!("{case}: loss {trained:.3}, without the adapter {base:.3}");
    assert!(trained < base - 0.1, "{trained} with, {base} without");
    let encoded = with.encode(&[&rows], &TextArgs::default(), false).unwrap();
    let logits = forward_rows(&with, &encoded.examples[..2], 2, PaddingSide::Right).unwrap();
    assert!(logits.iter().all(|row| row.iter::<f32>().all(f32::is_finite)));
}
