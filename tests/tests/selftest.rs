//! `peft selftest` and `peft info --devices`: the kernels of the CPU compute what Burn's own operations compute, and what there is
//! to choose from is told. `device_suite.rs` has the same of a GPU.
#![cfg(feature = "cpu")]

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{peft, root, succeed};

fn printed(args: &[&str]) -> Value {
    serde_json::from_slice(&succeed(peft(&root()).args(args)).stdout).unwrap()
}

/// What is wrong in the output of a self-test, with what it says of it.
fn wrong(found: &Value) -> Vec<String> {
    let checks = found["checks"].as_array().unwrap();
    checks.iter().filter(|check| check["right"] != true).map(Value::to_string).collect()
}

/// The families and the checks that were made in f32.
fn made(found: &Value) -> [BTreeSet<String>; 2] {
    let in_f32 = |check: &&Value| check["computed_in"] == "f32";
    let checks: Vec<&Value> = found["checks"].as_array().unwrap().iter().filter(in_f32).collect();
    ["family", "check"]
        .map(|key| checks.iter().map(|check| check[key].as_str().unwrap().to_string()).collect())
}

#[test]
fn the_kernels_of_this_processor_are_right() {
    let found = printed(&["selftest", "--device", "cpu", "--json"]);
    assert!(wrong(&found).is_empty(), "{:#?}", wrong(&found));
    assert_eq!((&found["right"], &found["device"]), (&Value::Bool(true), &"cpu".into()));
    let [families, checks] = made(&found);
    assert_eq!((families.len(), checks.len()), (10, 5), "{families:?} {checks:?}");
    // The sides differ: kernels add in another order.
    let differs = |check: &Value| check["difference"].as_f64().is_some_and(|off| off > 0.0);
    let number = found["checks"].as_array().unwrap().iter().filter(|check| differs(check)).count();
    assert!(number > 20, "{number} differ");
    // Gradients of every family, and runs or forward passes.
    for how in ["f32, recomputed", "f32, by a tape", "f32, int8 matrices"] {
        let of = |check: &&Value| check["computed_in"] == how;
        let made = found["checks"].as_array().unwrap().iter().filter(of).count();
        assert_eq!(made, 2 * 10, "{how}");
    }
}

/// Burn's own operations with frozen matrices in 16 bits, as on a GPU.
#[test]
fn matrices_in_16_bits_are_right() {
    let found =
        printed(&["selftest", "--device", "cpu", "--dtype", "bf16", "--dtype", "f16", "--json"]);
    assert!(wrong(&found).is_empty(), "{:#?}", wrong(&found));
    for (dtype, checks) in [("bf16", 3), ("f16", 2)] {
        let all = found["checks"].as_array().unwrap().iter();
        let (texts, made): (Vec<&Value>, Vec<&Value>) = all
            .filter(|check| check["computed_in"] == dtype)
            .partition(|check| check["check"] == "generation");
        // Most texts are the same, token by token.
        assert!(texts.len() > 4, "{dtype}: {texts:#?}");
        let differs = |check: &Value| check["difference"].as_f64().is_some_and(|off| off > 0.0);
        assert!(made.iter().all(|check| differs(check)), "{made:#?}");
        let names: BTreeSet<&str> =
            made.iter().filter_map(|check| check["check"].as_str()).collect();
        assert_eq!(names.len(), checks, "{names:?}");
        // Some of the small random models are too rough a measure.
        assert!(made.len() > 5 * checks, "{dtype}: {}", made.len());
    }
}

#[test]
fn families_are_chosen_and_the_table_says_what_is_right() {
    let output = succeed(peft(&root()).args(["selftest", "--family", "gpt2", "--family", "t5"]));
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<&str> = text.lines().filter(|line| line.ends_with(" right")).collect();
    let families: BTreeSet<&str> =
        rows.iter().filter_map(|row| row.split_whitespace().next()).collect();
    assert_eq!(families, BTreeSet::from(["gpt2", "t5"]), "{text}");
    assert!(text.contains(&format!("All {} checks are right", rows.len())), "{text}");
    let refused = peft(&root()).args(["selftest", "--family", "gptt2"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("did you mean gpt2?"));
}

#[test]
fn devices_are_listed_with_what_is_not_compiled_in() {
    let found = printed(&["info", "--devices", "--json"]);
    let devices = found["devices"].as_array().unwrap();
    assert_eq!((&devices[0]["device"], &devices[0]["error"]), (&"cpu".into(), &Value::Null));
    let backend = |name: &str| {
        let all = found["backends"].as_array().unwrap();
        all.iter().find(|backend| backend["backend"] == name).unwrap().clone()
    };
    assert_eq!(backend("cpu")["compiled"], true);
    assert_eq!(backend("wgpu")["compiled"], cfg!(feature = "wgpu"));
    let command = backend("cuda")["build"].as_str().unwrap().to_string();
    assert!(command.ends_with("--features cuda"), "{command}");

    let text = succeed(peft(&root()).args(["info", "--devices"])).stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("not compiled in: cargo build"), "{text}");
    for name in ["cpu", "cores", "kernels", "products in bf16"] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name}: {text}");
    }
    // A model and the list are two questions, and one of them has to be asked.
    for args in [["info", "model", "--devices"].as_slice(), &["info"]] {
        assert_eq!(peft(&root()).args(args).output().unwrap().status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn a_device_that_is_not_there_is_refused() {
    for (device, says) in [
        ("gpu", "expected cpu, wgpu, wgpu:N, cuda, cuda:N or auto"),
        ("wgpu:x", "whole number after the colon"),
        ("cpu:1", "one device"),
        #[cfg(feature = "wgpu")]
        ("wgpu:99", "there are wgpu:0 ("),
        #[cfg(not(feature = "wgpu"))]
        ("wgpu:1", "--features wgpu"),
    ] {
        let output = peft(&root()).args(["demo", "--device", device]).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{device}: {told}");
        assert!(told.contains("--device") && told.contains(says), "{device}: {told}");
    }
}

#[test]
fn memory_is_given_out_on_gpus_only() {
    let refused = match cfg!(feature = "wgpu") {
        true => "it is for GPUs, and the device is cpu",
        false => "built without a backend for GPUs",
    };
    for (device, how, says) in [
        ("cpu", "adaptive", refused),
        ("cpu", "slices", "expected adaptive, exclusive, async"),
        #[cfg(feature = "wgpu")]
        ("wgpu", "async", "wgpu has adaptive and exclusive"),
    ] {
        let args = ["demo", "--device", device, "--device-memory", how];
        let output = peft(&root()).args(args).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{how}: {told}");
        assert!(told.contains("--device-memory") && told.contains(says), "{how}: {told}");
    }
}
