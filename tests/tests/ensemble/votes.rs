//! Votes are those that are counted here once more.

use std::{fs, path::Path};

use peft_tests::shared;
use serde_json::{Value, json};

use super::{parsed, rows, stdout, train};
use crate::support::{
    parse_lines, peft, read_lines, refused, root, session, succeed, tiny_model, token_ids,
};

/// Softmax of logits.
fn softmax(logits: &[f32]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f32::MIN, f32::max);
    let each: Vec<f64> = logits.iter().map(|logit| f64::from(logit - most).exp()).collect();
    each.iter().map(|value| value / each.iter().sum::<f64>()).collect()
}

/// The place of the largest, the first of them.
fn largest(values: &[f64]) -> usize {
    (0..values.len()).reduce(|a, b| if values[b] > values[a] { b } else { a }).unwrap()
}

/// Both votes on the probabilities of some members, by the rule of docs/ENSEMBLES.md: votes are counted, ties go to the
/// larger mean, and then to the first.
fn votes(members: &[Vec<f64>]) -> [usize; 2] {
    let classes = members[0].len();
    let mean: Vec<f64> =
        (0..classes).map(|class| members.iter().map(|p| p[class]).sum::<f64>()).collect();
    let count = |class: usize| members.iter().filter(|p| largest(p) == class).count();
    let most = (0..classes).map(count).max().unwrap();
    let tied = (0..classes).filter(|class| count(*class) == most);
    let majority = tied.reduce(|a, b| if mean[b] > mean[a] { b } else { a }).unwrap();
    [majority, largest(&mean)]
}

/// The votes of three adapters on rows of a class and on rows of tags, against logits that are voted on here.
#[test]
fn votes_are_those_of_the_members_probabilities() {
    for (model, data, task) in
        [("bert", "bert-prefix", "seq-cls"), ("bert-tok", "bert-tok-prefix", "token-cls")]
    {
        let dir = tempfile::tempdir().unwrap();
        let path = root().join(tiny_model(model));
        for seed in ["1", "2", "3"] {
            let mut train = peft(dir.path());
            train.args([
                "train",
                "--method=ptv2",
                "--num-virtual-tokens=2",
                "--steps=4",
                "--task",
                task,
            ]);
            train.args([
                "--seed",
                seed,
                "--batch-size=2",
                "--lr=0.03",
                "--train",
                &rows(data),
                "--model",
            ]);
            succeed(train.arg(&path).args(["--out", seed]));
        }
        let all = read_lines(Path::new(&rows(data)));
        // Of each row with targets the places, and the right classes there.
        let right: Vec<Vec<(usize, usize)>> = all
            .iter()
            .map(|row| match row["labels"].as_array() {
                Some(tags) => tags
                    .iter()
                    .enumerate()
                    .filter_map(|(at, tag)| Some((at, usize::try_from(tag.as_i64()?).ok()?)))
                    .collect(),
                None => vec![(0, row["label"].as_u64().unwrap() as usize)],
            })
            .collect();
        let examples: Vec<_> = all
            .iter()
            .map(|row| {
                let ids = token_ids(&row["input_ids"]);
                peft_core::data::Example::new(ids, peft_core::data::Target::None, 1)
            })
            .collect();
        // [member][row][place][class]
        let members: Vec<Vec<Vec<Vec<f64>>>> = ["1", "2", "3"]
            .iter()
            .map(|seed| {
                let session = session(&path, Some(&dir.path().join(seed)));
                let logits = session.predictor().unwrap().logits(&examples).unwrap();
                let of_row = |data: &burn::tensor::TensorData| {
                    let width = *data.shape().as_slice().last().unwrap();
                    let values: Vec<f32> = data.iter().collect();
                    values.chunks(width).map(softmax).collect()
                };
                logits.iter().map(of_row).collect()
            })
            .collect();
        let mut counts = [0.0; 2];
        let (mut of_members, mut total) = ([0.0; 3], 0.0);
        let mut differ = 0;
        for (row, places) in right.iter().enumerate() {
            for (place, class) in places {
                let p: Vec<Vec<f64>> =
                    members.iter().map(|rows| rows[row][*place].clone()).collect();
                let chosen = votes(&p);
                differ += usize::from(p.iter().any(|one| largest(one) != chosen[0]));
                for (count, found) in counts.iter_mut().zip(chosen) {
                    *count += f64::from(u8::from(found == *class));
                }
                for (count, one) in of_members.iter_mut().zip(&p) {
                    *count += f64::from(u8::from(largest(one) == *class));
                }
                total += 1.0;
            }
        }
        assert!(differ > 0, "{model}: the members agree everywhere, so that nothing is tested");
        for (vote, count) in ["majority", "mean"].iter().zip(counts) {
            let eval = |flags: &[&str]| {
                let mut eval = peft(dir.path());
                eval.args(["eval", "--vote", vote, "--data", &rows(data), "--model"]).arg(&path);
                stdout(eval.args(["--adapter=1", "--adapter=b=2", "--adapter=3"]).args(flags))
            };
            let found = parsed(&eval(&["--json", "--report"]));
            let near = |value: &Value, expected: f64| {
                assert!(
                    (value.as_f64().unwrap() - expected / total).abs() < 1e-9,
                    "{model} {vote}: {found}"
                );
            };
            near(&found["votes"][vote]["accuracy"], count);
            for (member, own) in found["members"].as_array().unwrap().iter().zip(of_members) {
                near(&member["metrics"]["accuracy"], own);
            }
            assert_eq!(found["members"][1]["name"], "b");
            assert!(found["report"].is_object());
            assert!(found["votes"].as_object().unwrap().len() == 1, "{found}");
            let table = eval(&["--batch-size=3", "--padding=left"]);
            assert!(table.contains(&format!("\nvote: {vote} ")), "{table}");
        }
    }
}

/// `peft predict --vote` and `peft eval --vote` choose the same.
#[test]
fn predictions_and_scores_are_of_the_same_vote() {
    let dir = tempfile::tempdir().unwrap();
    for seed in ["1", "2", "3"] {
        succeed(&mut train(dir.path(), &["--seed", seed, "--out", seed]));
    }
    let model = root().join(tiny_model("bert"));
    let all = ["--adapter=1", "--adapter=2", "--adapter=3"];
    for vote in ["majority", "mean"] {
        let mut predict = peft(dir.path());
        predict.args(["predict", "--input", &rows("bert-prompt"), "--vote", vote, "--model"]);
        let lines = parse_lines(&stdout(predict.arg(&model).args(all)));
        let mut eval = peft(dir.path());
        eval.args(["eval", "--json", "--data", &rows("bert-prompt"), "--vote", vote, "--model"]);
        let found = parsed(&stdout(eval.arg(&model).args(all)));
        let text = |value: &Value| value.to_string().trim_matches('"').to_string();
        let right = |line: &&Value| text(&line["label"]) == text(&line["input"]["label"]);
        let right = lines.iter().filter(right).count() as f64;
        assert_eq!(found["votes"][vote]["accuracy"].as_f64(), Some(right / lines.len() as f64));
    }
}

/// Adapters of a language model vote with the classes that they rank, and with those that they write.
#[test]
fn language_models_vote_on_classes() {
    let (Some(model), Some(data)) = (shared("models/stories260k"), shared("data/fewglue/COPA"))
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let lines = fs::read_to_string(data.join("val.jsonl")).unwrap();
    let few: Vec<&str> = lines.lines().take(30).collect();
    fs::write(dir.path().join("valid.jsonl"), few.join("\n") + "\n").unwrap();
    let flags = [
        "train",
        "--task-file=superglue-copa",
        "--task=causal-lm",
        "--method=prompt",
        "--init=vocab",
    ];
    let mut train = peft(dir.path());
    train.args(flags).args([
        "--steps=6",
        "--lr=0.3",
        "--batch-size=4",
        "--num-virtual-tokens=4",
        "--model",
    ]);
    train.arg(&model).arg("--train").arg(data.join("train.jsonl"));
    let table =
        stdout(train.args(["--valid=valid.jsonl", "--ensemble=3", "--seed=1", "--out=many"]));
    assert!(table.lines().next().unwrap().contains("accuracy"), "{table}");
    let result = parsed(&fs::read_to_string(dir.path().join("many/result.json")).unwrap());
    let seeds = ["1", "2", "3"];
    let eval = |flags: &[&str]| {
        let mut eval = peft(dir.path());
        eval.args(["eval", "--data=valid.jsonl", "--model"]).arg(&model).args(flags);
        eval
    };
    let all: Vec<String> = seeds.iter().map(|seed| format!("--adapter=many/seed={seed}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    // What each finds by itself, voted on here.
    let each: Vec<Vec<Value>> = all
        .iter()
        .map(|adapter| {
            succeed(&mut eval(&[adapter, "--rank-classes", "--predictions=one.jsonl"]));
            read_lines(&dir.path().join("one.jsonl"))
        })
        .collect();
    let names = ["choice1", "choice2"];
    let mut right = [0.0; 2];
    for row in 0..few.len() {
        let of = |member: &Vec<Value>| -> Vec<f64> {
            names.map(|name| member[row]["log_likelihoods"][name].as_f64().unwrap()).to_vec()
        };
        let sums: Vec<Vec<f64>> = each.iter().map(of).collect();
        for (count, class) in right.iter_mut().zip(votes(&sums)) {
            *count += f64::from(u8::from(each[0][row]["reference"] == names[class]));
        }
    }
    for (vote, right) in ["majority", "mean"].iter().zip(right) {
        let flags = ["--rank-classes", "--json", "--vote", vote, "--predictions=voted.jsonl"];
        let found = parsed(&stdout(&mut eval(&[&all[..], &flags].concat())));
        assert_eq!(
            found["votes"][vote]["accuracy"].as_f64(),
            Some(right / few.len() as f64),
            "{found}"
        );
        assert_eq!(found["votes"][vote], result["votes"][vote]);
        assert_eq!(found["members"], result["members"].clone());
        let rows = read_lines(&dir.path().join("voted.jsonl"));
        let hits = rows.iter().filter(|row| row["label"] == row["reference"]).count();
        assert_eq!(hits as f64, right);
        for (row, line) in rows.iter().enumerate() {
            let own: Vec<&Value> = each.iter().map(|member| &member[row]["label"]).collect();
            assert_eq!(line["votes"], json!(own));
        }
    }
    // Written answers are matched to classes; those that are none have no vote.
    let flags = ["--max-new-tokens=6", "--json", "--vote=majority", "--predictions=voted.jsonl"];
    let found = parsed(&stdout(&mut eval(&[&all[..], &flags].concat())));
    let rows = read_lines(&dir.path().join("voted.jsonl"));
    let invalid = rows.iter().filter(|row| row["label"].is_null()).count() as f64;
    assert_eq!(found["votes"]["majority"]["invalid"].as_f64(), Some(invalid / rows.len() as f64));
    for row in &rows {
        let own: Vec<&str> =
            row["votes"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let count = |name: &str| own.iter().filter(|other| **other == name).count();
        let best = own.iter().rev().max_by_key(|name| count(name));
        assert_eq!(row["label"].as_str(), best.copied(), "{row}");
    }
    for (flags, says) in [
        (&["--vote=majority"][..], "give either of them"),
        (
            &["--vote=mean", "--max-new-tokens=4"],
            "no probabilities to average: give --vote majority, or --rank-classes",
        ),
        (&["--vote=majority", "--max-new-tokens=4", "--metric=bleu"], "--metric: scores texts"),
    ] {
        let (code, said) = refused(&mut eval(&[&all[..], flags].concat()));
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(says), "{said}");
    }
    // Without classes there is nothing to vote on.
    for seed in ["1", "2"] {
        let mut train = peft(dir.path());
        train.args([
            "train",
            "--task=causal-lm",
            "--method=prompt",
            "--steps=1",
            "--seed",
            seed,
            "--model",
        ]);
        train.arg(&model).args(["--source-template={premise}", "--target-template={choice1}"]);
        succeed(train.args(["--train=valid.jsonl", "--out", seed]));
    }
    let (code, said) = refused(&mut eval(&[
        "--adapter=1",
        "--adapter=2",
        "--vote=majority",
        "--max-new-tokens=4",
    ]));
    assert!(code == Some(2) && said.contains("have no majority and no mean"), "{said}");
    for flags in [&[][..], &["--rank-classes"]] {
        let mut predict = peft(dir.path());
        predict.args(["predict", "--vote=majority", "--adapter=1", "--adapter=2"]).args(flags);
        predict.args(["--input=valid.jsonl", "--model"]);
        let (code, said) = refused(predict.arg(&model));
        let says = "--vote: not used by causal-lm: the adapters of a language model vote in `peft eval --vote`";
        assert!(code == Some(2) && said.contains(says), "{said}");
    }
}

#[test]
fn what_cannot_vote_is_refused_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    for seed in ["1", "2"] {
        succeed(&mut train(dir.path(), &["--seed", seed, "--out", seed]));
    }
    succeed(&mut train(dir.path(), &["--labels=a,b,c,d", "--out=other"]));
    let eval = |flags: &[&str]| {
        let mut eval = peft(dir.path());
        eval.args(["eval", "--data", &rows("bert-prompt"), "--model"]);
        refused(eval.arg(root().join(tiny_model("bert"))).args(flags))
    };
    let both = ["--adapter=1", "--adapter=2"];
    for (flags, says) in [
        (&[][..], "--adapter: found 2 of them: give --vote majority or --vote mean"),
        (
            &["--vote=majority", "--adapter=other"],
            "have different classes, so that they cannot vote",
        ),
        (&["--vote=majority", "--max-new-tokens=3"], "generates nothing"),
        (&["--vote=majority", "--rank-classes"], "--rank-classes: not used by seq-cls"),
        (&["--vote=most"], "found `most`, expected majority or mean"),
    ] {
        let (code, said) = eval(&[&both, flags].concat());
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(says), "{flags:?}: {said}");
    }
    let (code, said) = eval(&["--vote=majority"]);
    assert!(code == Some(2) && said.contains("--vote: needs adapters"), "{said}");
}
