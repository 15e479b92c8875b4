//! Several devices that share a step: replicas on the CPU learn what one device learns, bit for bit.
#![cfg(feature = "cpu")]

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use burn::tensor::Device;
use peft_prefix::{PrefixConfig, PrefixInit, PrefixTuning};
use peft_prompt::{PromptConfig, PromptInit, PromptTuning};
use peft_ptv2::{PTuningV2, PTuningV2Config, PTuningV2Init};
use peft_tests::Family;

use crate::{
    sharing::{Sharing, check, every_method_learns_the_same, model},
    support::{ADAPTER_FILES, peft, root, succeed, tiny_model},
};

#[test]
fn every_method_learns_the_same_on_replicas() {
    every_method_learns_the_same(Sharing::Replicas);
}

#[test]
fn replicas_follow_one_device_for_fifty_steps() {
    let (encoder, decoder, device) =
        (model(Family::Bert), model(Family::Llama), Device::flex().autodiff());
    let init = PromptInit::normal();
    let method = PromptTuning::init(PromptConfig::new(4), decoder.as_ref(), &init, 3, &device);
    check(&decoder, &method.unwrap(), Sharing::Replicas, 50);
    let config = PrefixConfig::new(4).with_prefix_projection(true).with_hidden_size(6);
    let method = PrefixTuning::init(config, decoder.as_ref(), &PrefixInit::Random, 3, &device);
    check(&decoder, &method.unwrap(), Sharing::Replicas, 50);
    let init = PTuningV2Init::Random { std: 0.7 };
    let method = PTuningV2::init(PTuningV2Config::new(4), encoder.as_ref(), &init, 3, &device);
    check(&encoder, &method.unwrap(), Sharing::Replicas, 50);
}

/// A run of the program with an MLP and dropout, two batches a step.
pub fn start(out: &Path, flags: &[&str]) -> Command {
    let rows = "tests/vectors/training/llama-prefix/rows.jsonl";
    let mut command = peft(&root());
    command.args(["train", "--model", &tiny_model("llama"), "--method=prefix"]);
    command.args(["--task=causal-lm", "--train", rows, "--valid", rows, "--eval-every=20"]);
    command.args(["--num-virtual-tokens=3", "--prefix-hidden-size=8", "--prefix-dropout=0.2"]);
    command.args(["--batch-size=4", "--accumulation=2", "--steps=60", "--checkpoint-every=10"]);
    command.args(["--lr=0.01", "--seed=7"]).args(flags).arg("--out").arg(out);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn adapter(out: &Path) -> Vec<Vec<u8>> {
    ADAPTER_FILES.into_iter().map(|name| fs::read(out.join(name)).unwrap()).collect()
}

#[test]
fn the_program_trains_on_devices_and_resumes_on_others() {
    let dir = tempfile::tempdir().unwrap();
    let out = |name: &str| dir.path().join(name);
    succeed(&mut start(&out("one"), &["--device=cpu"]));
    let expected = adapter(&out("one"));
    let said = succeed(&mut start(&out("four"), &["--devices=cpu,cpu,cpu,cpu"]));
    assert_eq!(adapter(&out("four")), expected);
    let said = String::from_utf8(said.stderr).unwrap();
    assert!(said.contains("4, which share the batches of each step"), "{said}");
    for (name, before, after) in [
        ("two-one", "--devices=cpu,cpu", "--device=cpu"),
        ("one-three", "--device=cpu", "--devices=cpu,cpu,cpu"),
    ] {
        let (out, clock) = (out(name), Instant::now());
        let mut child = start(&out, &[before]).spawn().unwrap();
        while !out.join("checkpoints/step-000010").exists() && child.try_wait().unwrap().is_none() {
            assert!(clock.elapsed() < Duration::from_secs(60), "no checkpoint");
            sleep(Duration::from_millis(2));
        }
        // It may have ended already.
        let _ = child.kill();
        child.wait().unwrap();
        let mut resume = peft(&root());
        succeed(resume.args(["train", "--resume", after, "--out"]).arg(&out));
        assert_eq!(adapter(&out), expected, "{name}");
    }
}

#[test]
fn devices_that_contradict_each_other_are_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    for (flags, expected) in [
        (&["--device=cpu", "--devices=cpu,cpu"][..], "--device"),
        (&["--devices=cpu,tpu"], "tpu"),
        (&["--devices=cpu,cpu", "--ensemble=2"], "not used for an ensemble"),
    ] {
        let output = start(&dir.path().join("out"), flags).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
        assert!(!dir.path().join("out").exists());
    }
}
