//! Case 05: questions without an answer, and answers written a little differently than in their context.

use peft_core::Adapter;
use peft_tests::shared;
use serde_json::Value;

use crate::support::{peft, succeed};

#[test]
fn questions_without_an_answer_are_learnt_and_the_adapter_says_so() {
    let folders = (shared("cases/05-squad2-unanswerable"), shared("models/tiny-bert-cls"));
    let (Some(case), Some(model)) = folders else { return };
    let dir = tempfile::tempdir().unwrap();
    for (rows, unanswerable) in [
        ("train-v1.json", false),
        ("train-v2.json", true),
        ("hf.jsonl", true),
        ("case.jsonl", false),
        ("space.jsonl", false),
    ] {
        let rows = case.join(rows);
        let mut train = peft(dir.path());
        train.args(["train", "--task", "qa", "--method", "ptv2", "--steps", "2", "--overwrite"]);
        train.args(["--num-virtual-tokens", "2", "--out", "out", "--model"]).arg(&model);
        let output = succeed(train.arg("--train").arg(&rows).arg("--valid").arg(&rows));
        let said = String::from_utf8(output.stderr).unwrap();
        let told = said.contains("note: 1 of 2 questions have no answer");
        assert_eq!(told, unanswerable, "{}: {said}", rows.display());
        let recipe = Adapter::load(&dir.path().join("out")).unwrap().config.own.recipe;
        let threshold = recipe.get("null_score_diff_threshold").and_then(Value::as_f64);
        assert_eq!(threshold, unanswerable.then_some(0.0), "{}", rows.display());
        let mut eval = peft(dir.path());
        eval.args(["eval", "--adapter", "out", "--json", "--model"]).arg(&model);
        let scores: Value =
            serde_json::from_slice(&succeed(eval.arg("--data").arg(&rows)).stdout).unwrap();
        assert_eq!(scores["NoAns_total"].as_f64(), unanswerable.then_some(1.0), "{scores}");
    }
}
