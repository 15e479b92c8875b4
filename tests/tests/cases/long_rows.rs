//! Case 25: rows longer than the model reads.

use peft_tests::shared;
use serde_json::json;

use crate::support::{peft, root, succeed};

#[test]
fn the_flag_that_cuts_long_rows_is_named_with_its_number() {
    let (Some(case), Some(model)) = (shared("cases/25-long-rows"), shared("models/tiny-bert-cls"))
    else {
        return;
    };
    let predict = |more: &[&str]| {
        let mut command = peft(&root());
        command.args(["predict", "--model"]).arg(&model);
        command.arg("--input").arg(case.join("rows.jsonl")).args(more);
        command
    };
    let output = predict(&[]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let (_, rest) = stderr.split_once("positions; --max-length ").unwrap();
    let (length, _) = rest.split_once(' ').unwrap();
    // With the number given, the same rows are read; with one more, they are not.
    let output = succeed(&mut predict(&["--max-length", length]));
    assert!(!output.stdout.is_empty());
    let more = json!(length.parse::<usize>().unwrap() + 1).to_string();
    assert!(!predict(&["--max-length", &more]).output().unwrap().status.success());
}
