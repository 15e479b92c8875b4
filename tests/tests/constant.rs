//! Adapters that predict the same for all rows, which is told after an evaluation.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::support::{peft, root, succeed, tiny_model};

/// A run of the head on rows with one target each, and on rows to validate on; what is said at its end and by `eval`.
fn warnings(task: &str, model: &str, targets: [&[Value]; 2], flags: &[&str]) -> [String; 2] {
    let dir = tempfile::tempdir().unwrap();
    for (name, targets) in ["train.jsonl", "valid.jsonl"].into_iter().zip(targets) {
        let row = |(row, target): (usize, &Value)| {
            let mut fields = target.clone();
            fields["input_ids"] = json!([2, 20 + row, 40 + row, 60 + row]);
            format!("{fields}\n")
        };
        fs::write(dir.path().join(name), targets.iter().enumerate().map(row).collect::<String>())
            .unwrap();
    }
    let (model, out) = (root().join(tiny_model(model)), Path::new("out"));
    let mut train = peft(dir.path());
    train.arg("train").arg("--model").arg(&model).args(["--method=head", "--task", task]);
    train.args(["--train=train.jsonl", "--valid=valid.jsonl", "--steps=40", "--lr=0.5"]);
    train.args(["--best-metric=loss", "--eval-every=40"]).args(flags).arg("--out").arg(out);
    let mut eval = peft(dir.path());
    eval.arg("eval").arg("--model").arg(&model).arg("--adapter").arg(out);
    eval.arg("--data=valid.jsonl");
    [train, eval].map(|mut command| {
        let said = String::from_utf8(succeed(&mut command).stderr).unwrap();
        let warned = said.lines().filter(|line| line.starts_with("warning: "));
        let warned: Vec<&str> = warned.filter(|line| line.contains("although")).collect();
        warned.join("\n")
    })
}

#[test]
fn what_is_the_same_for_all_rows_is_told_where_the_targets_differ() {
    let row = |key: &str, targets: &[Value]| -> Vec<Value> {
        targets.iter().map(|target| json!({ key: target })).collect()
    };
    let one_of = |key: &str, one: Value, other: Value| {
        (row(key, &[one.clone(), one.clone()]), row(key, &[one, other]))
    };
    let tags = one_of("labels", json!([0, 0, 0, 0]), json!([0, 1, 0, 0]));
    let span = |end: usize| json!({"start_positions": end, "end_positions": end});
    let answers = (vec![span(2), span(2)], vec![span(1), span(2)]);
    let none = (vec![span(0), span(0)], vec![span(0), span(2)]);
    let labels = "--labels=O,X";
    let several = "--problem-type=multi_label_classification";
    let threshold = "--null-score-diff-threshold=0";
    for (task, model, (train, valid), flags, says) in [
        (
            "seq-cls",
            "bert",
            one_of("label", json!(1), json!(0)),
            &[labels][..],
            "X is predicted everywhere, although the rows differ",
        ),
        ("token-cls", "bert-tok", tags, &[labels], "every token is tagged O, although the tags"),
        (
            "seq-cls",
            "bert",
            one_of("label", json!(["O"]), json!(["X"])),
            &[labels, several],
            "every row gets the classes O, although the rows differ",
        ),
        (
            "seq-cls",
            "bert",
            one_of("label", json!([]), json!(["X"])),
            &[labels, several],
            "no row gets a class, although rows have some",
        ),
        ("qa", "bert-qa", answers, &[], "every question is answered with the tokens 2 to 2 of its"),
        ("qa", "bert-qa", none, &[threshold], "no question gets an answer, although the answers"),
    ] {
        let of_valid = |valid: &[Value]| warnings(task, model, [&train, valid], flags);
        for said in of_valid(&valid) {
            assert!(said.starts_with(&format!("warning: {says}")), "{task}: {said}");
            assert!(said.contains("--epochs"), "{said}");
        }
        assert_eq!(of_valid(&train), ["", ""], "{task}: nothing is to be told apart");
    }
}
