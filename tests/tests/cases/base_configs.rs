//! Cases 13 and 19: a config without a model type, and quantised checkpoints.

use std::path::Path;

use peft_tests::shared;

use super::base_weights::logits;
use crate::support::{peft, succeed};

/// What the program says of a model that it does not load.
fn refusal(model: &Path) -> String {
    let line = ["generate", "--prompt", "a", "--max-new-tokens", "1", "--model"];
    let output = peft(Path::new(".")).args(line).arg(model).output().unwrap();
    assert!(!output.status.success(), "{}", model.display());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_missing_model_type_is_told_from_the_architectures_or_named() {
    let (Some(case), Some(whole)) =
        (shared("cases/13-no-model-type"), shared("models/tiny-bert-cls"))
    else {
        return;
    };
    assert!(logits(&case.join("with-architectures")).0 == logits(&whole).0);
    let said = refusal(&case.join("bare"));
    for part in ["config.json: key `model_type`: is missing", "`architectures`", "bert, camembert"]
    {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
}

#[test]
fn quantised_checkpoints_are_refused_by_name() {
    let Some(case) = shared("cases/19-quantised") else { return };
    for (name, how) in
        [("bnb4", "bitsandbytes, 4 bits"), ("gptq", "gptq, 4 bits"), ("fp8", "fp8, 8 bits")]
    {
        let said = refusal(&case.join(name));
        for part in [
            "config.json: key `quantization_config`: says that the model is quantised",
            how,
            "give the model that it was made from",
            "set --base-weights to bf16 or int8",
        ] {
            assert!(said.contains(part), "{part:?} is not in {said}");
        }
        let info = succeed(peft(Path::new(".")).arg("info").arg(case.join(name)));
        assert!(String::from_utf8_lossy(&info.stdout).contains(how), "{name}");
    }
}
