//! 29-adapter-paths: a path one folder too high, or to a file of the adapter.

use std::path::Path;

use peft_tests::shared;

use crate::support::{peft, refused_with};

/// What the program says to these arguments in `dir`; it must fail.
fn refusal(dir: &Path, args: &str) -> String {
    refused_with(peft(dir).args(args.split(' ')), 1)
}

#[test]
fn the_adapter_that_was_meant_is_named() {
    let (Some(case), Some(model)) =
        (shared("cases/29-adapter-paths"), shared("models/tiny-bert-cls"))
    else {
        return;
    };
    let model = model.display();
    for (given, meant) in [
        ("out", "holds no adapter_config.json: give out/checkpoint-2"),
        ("named", "holds no adapter_config.json: give named/mine"),
        ("named/mine/adapter_config.json", "is a file, an adapter is a folder: give named/mine"),
        (
            "named/mine/adapter_model.safetensors",
            "is a file, an adapter is a folder: give named/mine",
        ),
    ] {
        for command in [
            format!("inspect {given}"),
            format!("eval --model {model} --data none.jsonl --adapter {given}"),
            format!("predict --model {model} --input none.jsonl --output none --adapter {given}"),
            format!(
                "train --model {model} --method ptv2 --task seq-cls --train none.jsonl --out none --init-adapter {given}"
            ),
            format!("convert --to none --task seq-cls --from {given}"),
        ] {
            let says = refusal(&case, &command);
            assert!(says.contains(given) && says.contains(meant), "{command}: {says}");
        }
    }
}
