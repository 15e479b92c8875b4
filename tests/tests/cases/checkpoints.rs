//! 21-original-ptv2-checkpoint: what the code of P-tuning v2 and of prefix tuning leaves.

use std::path::Path;

use peft_core::{Adapter, PROMPT_EMBEDDINGS, PeftType};
use peft_tests::shared;

use crate::support::{peft, succeed};

/// Runs `peft convert` on a file of the case, with more flags.
fn convert(dir: &Path, from: &Path, to: &str, more: &str) -> std::process::Output {
    let mut command = peft(dir);
    command.args(["convert", "--to", to, "--from"]).arg(from).args(more.split(' '));
    command.output().unwrap()
}

#[test]
fn a_prefix_encoder_is_a_prefix_of_its_base() {
    let (Some(case), Some(model), Some(other)) = (
        shared("cases/21-original-ptv2-checkpoint/prefix-only/pytorch_model.bin"),
        shared("models/tiny-bert-cls"),
        shared("models/gpt-nano-sort"),
    ) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    // The folder named as the base model is one to check against, as with --model.
    for (to, base) in [("a", "--base-model"), ("b", "--model")] {
        let output = convert(dir, &case, to, &format!("--task seq-cls {base} {}", model.display()));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let made = Adapter::load(&dir.join(to)).unwrap();
        assert_eq!(made.config.peft_type, PeftType::PrefixTuning);
        assert_eq!((made.config.num_layers, made.config.token_dim), (Some(5), Some(32)));
        let rows = &made.tensors[PROMPT_EMBEDDINGS];
        assert_eq!(rows.shape().as_slice(), [4, 320]);
        let values: Vec<f32> = rows.iter::<f32>().collect();
        // As torch.load gives them.
        assert_eq!(values[..3], [-0.038322147, 0.17994076, -0.3910084]);
        assert_eq!(values[4 * 320 - 3..], [-0.673_191_6, 0.441_539_62, 0.062524684]);
    }
    let output = convert(dir, &case, "c", &format!("--task causal-lm --model {}", other.display()));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("another base model") && stderr.contains("[4, 320]"), "{stderr}");
    assert!(!dir.join("c").exists());
}

#[test]
fn the_mlp_of_li_and_liang_is_folded() {
    let Some(case) = shared("cases/21-original-ptv2-checkpoint/li-liang/pytorch_model.bin") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let mut command = peft(dir.path());
    command.args(["convert", "--to", "a", "--task", "causal-lm", "--from"]).arg(&case);
    succeed(&mut command);
    let made = Adapter::load(&dir.path().join("a")).unwrap();
    assert_eq!(made.config.peft_type, PeftType::PrefixTuning);
    let rows = &made.tensors[PROMPT_EMBEDDINGS];
    assert_eq!(rows.shape().as_slice(), [5, 640]);
    let values: Vec<f32> = rows.iter::<f32>().collect();
    // torch: control_trans(wte.weight).
    let near = |found: &[f32], expected: &[f32]| {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4), "{found:?}");
    };
    near(&values[..4], &[6.899_708, 1.0436759, 4.733_433, -4.964_186_7]);
    near(&values[values.len() - 4..], &[5.461_773, 6.350_188, 3.752_779, -2.674_852_4]);
    let sum = |map: fn(f64) -> f64| values.iter().map(|value| map(f64::from(*value))).sum::<f64>();
    assert!((sum(|value| value) + 301.569_612).abs() < 1e-2);
    assert!((sum(f64::abs) - 13_606.252_752).abs() < 1e-1);
}
