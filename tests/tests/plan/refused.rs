//! What `peft plan` refuses, as training does, and what is more than it counts.

use std::fs;

use super::{config_alone, llama_70b, plan, t5_xxl};
use crate::support::refused;

/// These flags, and those of a task, its rows and a device.
fn of<'a>(flags: &[&'a str]) -> Vec<&'a str> {
    [flags, &["--task=causal-lm", "--tokens-per-row=64", "--device=h100"]].concat()
}

#[test]
fn what_makes_no_sense_is_refused_as_in_training() {
    let dir = tempfile::tempdir().unwrap();
    let llama = config_alone(dir.path(), "llama", &llama_70b());
    let mine = dir.path().join("mine.toml");
    fs::write(&mine, "[devices.mine]\nname = \"mine\"\n").unwrap();
    let mine = format!("--hardware={}", mine.display());
    let cases: Vec<(Vec<&str>, &str)> = vec![
        (of(&["--method=ptv2", "--devices=1,0"]), "--devices: found 0"),
        (
            of(&["--method=ptv2", "--devices=64", "--one-batch", "--batch-size=8"]),
            "one batch has 8 rows",
        ),
        (of(&["--method=ptv2", "--sites=encoder"]), "--sites: not used by a llama model"),
        (of(&["--method=prompt", "--layers=1"]), "--layers: prompt has no such setting"),
        (of(&["--method=ptv2", "--layers=80"]), "the model has the layers 0 to 79"),
        (
            of(&["--method=prompt", "--num-virtual-tokens=4090"]),
            "4096 positions for them and the row",
        ),
        (of(&["--method=head"]), "head: only classification has a head"),
        (
            of(&["--method=ptv2", "--base-weights=bf16"]),
            "--base-weights: found bf16, which with --dtype f32 is for the CPU, not for NVIDIA H100",
        ),
        (
            of(&["--method=ptv2", "--base-weights=int8", "--dtype=bf16"]),
            "--base-weights: found int8, and bf16 for --dtype",
        ),
        (
            of(&["--method=ptv2", "--base-weights=bf16", "--dtype=f16"]),
            "--base-weights: found bf16, and f16 for --dtype",
        ),
        (
            of(&["--method=ptv2", "--base-weights=f32", "--dtype=bf16"]),
            "--base-weights: found f32, and bf16 for --dtype",
        ),
        (of(&["--method=ptv2", "--peak-share=1.5"]), "--peak-share: found 1.5"),
        (of(&["--method=ptv2", "--peak-share=0"]), "--peak-share: found 0"),
        (of(&["--method=ptv2", "--peak-share=NaN"]), "--peak-share: found NaN"),
        (of(&["--method=ptv2", "--peak-share=1e-30"]), "expected a number from 0.0001 to 1"),
        (of(&["--method=ptv2", "--classes=3"]), "--classes: not used by causal-lm"),
        (
            vec!["--method=ptv2", "--task=causal-lm", "--max-length=0", "--device=h100"],
            "--max-length: found 0, expected at least 1",
        ),
        (of(&["--method=ptv2", &mine]), "missing field `kind`"),
        (of(&[]), "--method is required"),
        (
            vec!["--method=ptv2", "--task=causal-lm"],
            "--tokens-per-row: is required, or --max-length",
        ),
        (
            vec!["--method=ptv2", "--task=seq2seq-lm", "--tokens-per-row=9"],
            "--task: seq2seq-lm needs an encoder-decoder",
        ),
        (
            vec!["--method=ptv2", "--task=causal-lm", "--tokens-per-row=9", "--device=h-100"],
            "did you mean h100?",
        ),
        (
            vec!["--method=ptv2", "--task=causal-lm", "--tokens-per-row=9", "--dtype=f16"],
            "--dtype: found f16, which the kernels of the CPU do not multiply in",
        ),
    ];
    for (flags, says) in cases {
        let (code, said) = refused(&mut plan(&llama, &flags));
        let expected = if says.starts_with("missing field") { 1 } else { 2 };
        assert!(said.contains(says), "{flags:?}: {said}");
        assert_eq!(code, Some(expected), "{flags:?}: {said}");
    }
    // Each row has the prompt, and scores with it: more numbers than fit in an integer.
    let t5 = config_alone(dir.path(), "t5", &t5_xxl());
    let flags = [
        "--method=prompt",
        "--num-virtual-tokens=60000",
        "--task=seq2seq-lm",
        "--batch-size=1000000",
        "--tokens-per-row=9",
        "--target-tokens-per-row=9",
        "--device=h100",
    ];
    let (code, said) = refused(&mut plan(&t5, &flags));
    assert!(code == Some(1) && said.contains("and 60000 virtual tokens a step would"), "{said}");
    // More than any model has, of each key and of all together.
    let with = |name: &str, key: &str, size: u64| {
        let mut config = llama_70b();
        config[key] = size.into();
        config_alone(dir.path(), name, &config)
    };
    let wide = with("wide", "vocab_size", 5_000_000_000);
    let (code, said) = refused(&mut plan(&wide, &of(&["--method=ptv2"])));
    let says = "key `vocab_size`: found 5000000000, expected at most 4294967295";
    assert!(code == Some(1) && said.contains(says), "{said}");
    let large = with("large", "intermediate_size", 4_000_000_000);
    let (code, said) = refused(&mut plan(&large, &of(&["--method=ptv2"])));
    assert!(code == Some(1) && said.contains("parameters, expected at most 1e14"), "{said}");
    let (code, said) = refused(&mut plan(&dir.path().join("nothing"), &of(&["--method=ptv2"])));
    assert!(code == Some(1) && said.contains("config.json"), "{said}");
}
