//! Cases 11 and 23: weights that `torch.save` wrote, and a value head beside the model.

use std::{fs, path::Path};

use peft_tests::shared;

use crate::support::{peft, read_tensors, succeed};

/// The logits of two rows.
pub fn logits(model: &Path) -> (peft_core::NamedTensors, String) {
    let dir = tempfile::tempdir().unwrap();
    let rows = "{\"input_ids\": [1, 403, 407, 261]}\n{\"input_ids\": [1, 5]}\n";
    fs::write(dir.path().join("rows.jsonl"), rows).unwrap();
    let line = "forward --input rows.jsonl --output out.safetensors --model";
    let output = succeed(peft(dir.path()).args(line.split_whitespace()).arg(model));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (read_tensors(&dir.path().join("out.safetensors")), said)
}

#[test]
fn files_of_torch_hold_the_same_model() {
    let (Some(case), Some(stories)) =
        (shared("cases/11-torch-weights"), shared("models/stories260k"))
    else {
        return;
    };
    let (expected, _) = logits(&stories);
    for name in ["single", "sharded"] {
        assert!(logits(&case.join(name)).0 == expected, "{name}");
    }
}

#[test]
fn a_value_head_is_skipped_and_told() {
    let (Some(case), Some(stories)) = (shared("cases/23-value-head"), shared("models/stories260k"))
    else {
        return;
    };
    let (found, said) = logits(&case.join("model"));
    assert!(found == logits(&stories).0);
    assert!(said.contains("also holds what is not used here: v_head"), "{said}");
    let info = succeed(peft(Path::new(".")).arg("info").arg(case.join("model")));
    assert!(String::from_utf8_lossy(&info.stdout).contains("v_head"));
}
