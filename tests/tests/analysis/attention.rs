//! The attention mass of virtual tokens is that of transformers with PEFT's adapters.
//!
//! Vectors: `python/make_attention.py`.

use std::{collections::BTreeMap, fs, path::Path};

use burn::tensor::TensorData;
use peft_cli::{analysis::attention::attention, text_settings::TextArgs};
use peft_core::{
    AttentionMass, Site,
    contract::rng,
    data::{Example, Target},
};
use peft_tests::{
    Family, Shape, device, random_model,
    strategies::{cases, ids},
    vectors,
    virtual_tokens::random_prefix,
};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::Value;

use crate::{
    comparison::{Report, compare},
    support::{peft, read_tensors, root, session, succeed, tiny_model},
};

/// Compares what is found with the vector of a model and a kind of adapter: the largest difference.
fn check(model: &str, kind: &str, file: &Path) -> Result<f64, String> {
    let dir = vectors("logits").join(model);
    let session = session(&dir, Some(&dir.join(kind)));
    let rows = session.encode(&[dir.join("rows.jsonl")], &TextArgs::default(), false).unwrap();
    let found = attention(session.model(), &session.virtual_tokens, &rows.examples).unwrap();
    let mut by_site: BTreeMap<String, Vec<&AttentionMass>> = BTreeMap::new();
    for mass in &found.masses {
        by_site.entry(mass.site.to_string()).or_default().push(mass);
    }
    let tensors = by_site.into_iter().map(|(site, masses)| {
        let shape = [masses.len(), masses[0].heads.len(), masses[0].heads[0].len()];
        let values = masses.iter().flat_map(|mass| mass.heads.concat());
        let values: Vec<f32> = values.map(|value| value as f32).collect();
        (site, TensorData::new(values, shape))
    });
    compare(&tensors.collect(), &read_tensors(file), 1e-4)
}

#[test]
fn attention_is_that_of_transformers() {
    let mut report = Report::default();
    for entry in fs::read_dir(vectors("attention")).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_stem().unwrap().to_str().unwrap().to_string();
        let kind = ["prefix-mlp", "prefix", "prompt"]
            .into_iter()
            .find(|kind| name.ends_with(&format!("-{kind}")))
            .unwrap();
        let model = &name[..name.len() - kind.len() - 1];
        if let Some(largest) = report.note(model, kind, check(model, kind, &file)) {
            println!("{model:<24} {kind:<24} {largest:.1e}");
        }
    }
    let count = report.finish();
    assert!(count >= 14, "{count} vectors");
}

proptest! {
    #![proptest_config(cases(16))]

    /// What is recorded is the mean over the real tokens of all rows, whatever the batches and their padding: that of each
    /// row alone, weighted by its tokens. Every site is recorded, and no token gives more than it has.
    #[test]
    fn masses_are_means_over_the_rows(
        family in select([&Family::ALL[..], &Family::ENCODER_DECODER[..]].concat()),
        rows in vec((ids(1..7), ids(1..4)), 2..5),
        p in 1usize..4,
        seed in 0u64..99,
    ) {
        let loaded = random_model(family, Shape::default(), seed);
        let model = loaded.model.as_ref();
        let spec = model.spec();
        let has_two_sides = spec.is_encoder_decoder();
        let sites: Vec<Site> = spec.sites.iter().map(|site| site.site).collect();
        let mut stream = rng::stream(seed, 0, "attention");
        let made = random_prefix(model, &sites, false, [1, p], &mut stream, &device());
        let examples: Vec<Example> = rows
            .iter()
            .map(|(ids, of_decoder)| Example {
                decoder_input_ids: has_two_sides.then(|| of_decoder.clone()),
                ..Example::new(ids.clone(), Target::None, 1)
            })
            .collect();
        let together = attention(model, &made, &examples).unwrap().masses;
        let layers: usize = spec.sites.iter().map(|site| site.num_layers).sum();
        prop_assert_eq!(together.len(), layers);
        let alone: Vec<Vec<AttentionMass>> = examples
            .iter()
            .map(|row| attention(model, &made, std::slice::from_ref(row)).unwrap().masses)
            .collect();
        for (at, mass) in together.iter().enumerate() {
            let of_decoder = has_two_sides && mass.site != Site::EncoderSelf;
            let tokens =
                rows.iter().map(|(ids, other)| if of_decoder { other.len() } else { ids.len() });
            prop_assert_eq!(mass.queries, tokens.sum::<usize>());
            let heads = mass.heads.concat();
            prop_assert_eq!(heads.len() % p, 0);
            for (place, found) in heads.iter().enumerate() {
                let sum: f64 = alone
                    .iter()
                    .map(|row| row[at].queries as f64 * row[at].heads.concat()[place])
                    .sum();
                let expected = sum / mass.queries as f64;
                prop_assert!((found - expected).abs() < 1e-4, "{:?}: {} {}", mass.site, found, expected);
            }
            for head in &mass.heads {
                let total: f64 = head.iter().sum();
                prop_assert!((0.0..1.0 + 1e-5).contains(&total), "{}", total);
            }
            prop_assert!((0.0..1.0).contains(&mass.uniform));
        }
    }
}

/// As one uses it: on the files of a model and an adapter.
#[test]
fn the_program_records_attention() {
    for model in ["gpt2", "bert"] {
        let path = tiny_model(model);
        let rows = root().join(&path).join("rows.jsonl");
        let mut inspect = peft(&root());
        inspect.args(["inspect", &format!("{path}/prefix"), "--analyse", "--model", &path]);
        inspect.arg("--data").arg(&rows);
        let shown = String::from_utf8(succeed(&mut inspect).stdout).unwrap();
        assert!(shown.contains("attention mass") && shown.contains("norm of keys"), "{shown}");
        let json: Value = serde_json::from_slice(&succeed(inspect.arg("--json")).stdout).unwrap();
        let found = &json["analysis"];
        assert_eq!(found["attention"]["rows"], 4);
        let layers = found["attention"]["layers"].as_array().unwrap();
        assert_eq!(layers.len(), found["layers"].as_array().unwrap().len());
        let expected = read_tensors(&vectors(&format!("attention/{model}-prefix.safetensors")));
        let expected: Vec<f64> = expected.values().next().unwrap().iter().collect();
        let lists = |value: &Value| value.as_array().unwrap().clone();
        let heads = layers.iter().flat_map(|layer| lists(&layer["heads"]));
        let mass: Vec<f64> =
            heads.flat_map(|head| lists(&head)).map(|value| value.as_f64().unwrap()).collect();
        assert_eq!(mass.len(), expected.len());
        for (found, expected) in mass.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-5, "{found}, not {expected}");
        }
        let start = found["start"].as_str().unwrap();
        assert!(start.starts_with("unknown: there is no run.toml"), "{start}");
        assert!(found["neighbours"].is_null());
    }
}
