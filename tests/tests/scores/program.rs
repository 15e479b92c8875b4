//! `peft score`, and what `peft eval` says beside it, as a process.

use std::{fs, path::Path, process::Output};

use peft_tests::vectors;
use serde_json::{Value, json};

use crate::support::{peft, succeed};

fn score(dir: &Path, args: &[&str]) -> Value {
    let output = succeed(peft(dir).arg("score").args(args).arg("--json"));
    let lines = String::from_utf8(output.stdout).unwrap();
    assert_eq!(lines.lines().count(), 1, "{lines}");
    serde_json::from_str(&lines).unwrap()
}

fn number(found: &Value, name: &str) -> f64 {
    found[name].as_f64().unwrap()
}

/// What is said on stderr of a command that fails with this exit code.
fn refusal(dir: &Path, args: &[&str], code: i32) -> String {
    let Output { status, stdout, stderr } = peft(dir).arg("score").args(args).output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(code), "{args:?}: {stderr}");
    assert!(stdout.is_empty());
    stderr
}

fn files(all: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    all.iter().for_each(|(name, text)| fs::write(dir.path().join(name), text).unwrap());
    dir
}

const FILES: [&str; 4] = ["--predictions", "p", "--references", "r"];

#[test]
fn groups_of_lines_are_references_whatever_ends_them() {
    let predictions = "The house is red.\nIt stands by a river.\n";
    let references = "The house is red.\nThe red house.\n\nIt stands by the river.\n";
    let dir = files(&[("p", predictions), ("r", references)]);
    let expected =
        score(dir.path(), &[&["--metric", "bleu,rouge-l", "--metric", "TER"], &FILES[..]].concat());
    assert!(number(&expected, "bleu") > 0.5 && number(&expected, "rouge-l") > 0.9);
    assert!((number(&expected, "TER") - 1.0 / (3.5 + 5.0)).abs() < 1e-12, "{expected}");
    let crlf = |text: &str| format!("\u{feff}{}\r\n", text.replace('\n', "\r\n"));
    let dir = files(&[("p", predictions), ("r", &crlf(&format!("\n{references}\n\n")))]);
    let found = score(dir.path(), &[&["--metric", "bleu,rouge-l,TER"], &FILES[..]].concat());
    assert_eq!(found, expected);
    // The references of a row, and rows with the same input.
    let list = json!({"id": 1, "references": ["The house is red.", "The red house."]});
    let rows = format!("{list}\n{}\n", json!({"id": 2, "references": "It stands by the river."}));
    let of_inputs = "mr,ref\na,The house is red.\nb,It stands by the river.\na,The red house.\n";
    let dir = files(&[("p", predictions), ("r", &rows), ("r.csv", of_inputs)]);
    let found = score(dir.path(), &[&["--metric", "bleu,rouge-l,TER"], &FILES[..]].concat());
    assert_eq!(found, expected);
    let table = ["--metric", "bleu,rouge-l,TER", "--predictions", "p", "--references", "r.csv"];
    assert_eq!(score(dir.path(), &table), expected);
    let output = succeed(peft(dir.path()).args(["score", "--metric", "nist,bleu"]).args(FILES));
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(lines.starts_with("nist ") && lines.contains("\nbleu "), "{lines}");
}

#[test]
fn classes_are_lines_or_rows_in_the_order_of_their_ids() {
    let predictions: String = [("b", "yes"), ("a", "no"), ("c", "yes")]
        .map(|(id, label)| format!("{}\n", json!({"id": id, "label": label, "probability": 0.9})))
        .concat();
    let references = "id,label,question\na,no,q1\nb,yes,q1\nc,no,q2\n";
    let dir = files(&[("p", &predictions), ("r.csv", references), ("groups", "q1\nq1\nq2\n")]);
    let dir = dir.path();
    let files = ["--predictions", "p", "--references", "r.csv"];
    let found = score(
        dir,
        &[&["--metric", "accuracy,f1,f1_macro,report", "--positive", "yes"], &files[..]].concat(),
    );
    assert_eq!(number(&found, "accuracy"), 2.0 / 3.0);
    assert_eq!(number(&found, "f1"), 2.0 / 3.0);
    assert_eq!(found["report"]["confusion"], json!([[1, 1], [0, 1]]));
    assert_eq!(found["report"]["classes"]["no"]["support"], 2);
    for groups in [["--groups", "groups"], ["--group-field", "question"]] {
        let found = score(
            dir,
            &[
                &["--metric", "exact_match_by_group,f1_by_group", "--positive", "yes"],
                &groups[..],
                &files,
            ]
            .concat(),
        );
        assert_eq!(number(&found, "exact_match_by_group"), 0.5);
        // Precision 1 and 0, recall 1 and 1.
        assert!((number(&found, "f1_by_group") - 2.0 * 0.5 / 1.5).abs() < 1e-12, "{found}");
    }
    let said = refusal(dir, &[&["--metric", "f1"], &files[..]].concat(), 2);
    assert!(said.contains("--positive: name the class") && said.contains("no, yes"), "{said}");
    let said =
        refusal(dir, &[&["--metric", "f1_by_group", "--positive", "yes"], &files[..]].concat(), 2);
    assert!(said.contains("--groups"), "{said}");
    let lines =
        succeed(peft(dir).args(["score", "--metric", "report,accuracy"]).args(files)).stdout;
    let lines = String::from_utf8(lines).unwrap();
    assert!(lines.starts_with("accuracy ") && lines.contains("right \\ predicted"), "{lines}");
}

#[test]
fn ids_join_rows_of_every_kind_or_are_refused() {
    let lines = |rows: &[Value]| rows.iter().map(|row| format!("{row}\n")).collect::<String>();
    for (metric, field) in [
        ("accuracy", "label"),
        ("exact_match", "output"),
        ("entity_f1", "tags"),
        ("squad", "answer"),
    ] {
        let row = |key: &str, id: Value, what: &str| match field {
            "tags" => json!({key: id, field: [what]}),
            _ => json!({key: id, field: what}),
        };
        let [a, b] = ["B-A", "B-B"];
        let dir = files(&[
            ("p", &lines(&[row("id", json!(1), a), row("id", json!(2), b)])),
            ("upper", &lines(&[row("ID", json!("2"), b), row("ID", json!("1"), a)])),
            ("twice", &lines(&[row("id", json!(2), b), row("id", json!(2), a)])),
            ("null", &lines(&[row("id", json!(null), b), row("id", json!(1), a)])),
        ]);
        let args = |references| {
            [
                "--metric",
                metric,
                "--predictions",
                "p",
                "--reference-field",
                field,
                "--references",
                references,
            ]
        };
        let found = score(dir.path(), &args("upper"));
        let right = if metric == "squad" { &found[metric]["f1"] } else { &found[metric] };
        assert_eq!(right, 1.0, "{metric}: {found}");
        for (references, says) in [
            ("twice", "line 2: field `id`: found the id `2`"),
            ("null", "line 1: field `id`: found no id"),
        ] {
            let said = refusal(dir.path(), &args(references), 1);
            assert!(said.contains(says) && said.contains("--by-position"), "{metric}: {said}");
            score(dir.path(), &[&args(references)[..], &["--by-position"]].concat());
        }
    }
    let dir = files(&[("p", "{\"id\":1,\"label\":\"a\"}\n"), ("r", "{\"label\":\"a\"}\n")]);
    let output = succeed(peft(dir.path()).args(["score", "--metric", "accuracy"]).args(FILES));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("note: p has ids, and r has none"), "{said}");
    let large = "{\"id\":12345678901234567890123,\"label\":\"a\"}\n";
    let dir = files(&[("p", large), ("r", large)]);
    let found = score(dir.path(), &[&["--metric", "accuracy"], &FILES[..]].concat());
    assert_eq!(found, json!({"accuracy": 1.0}));
    let inexact = "{\"id\":1.2345678901234568e22,\"label\":\"a\"}\n";
    let dir = files(&[("p", inexact), ("r", inexact)]);
    let said = refusal(dir.path(), &[&["--metric", "accuracy"], &FILES[..]].concat(), 1);
    assert!(said.contains("line 1: field `id`") && said.contains("in quotes"), "{said}");
}

#[test]
fn booleans_and_lists_are_the_same_in_lines_and_tables() {
    let dir = files(&[
        ("p.csv", "label\nTrue\nFalse\nTrue\n"),
        ("r.jsonl", "{\"label\":true}\n{\"label\":false}\n{\"label\":false}\n"),
        ("p2.csv", "id,labels\n0,\"[\"\"x\"\",\"\"y\"\"]\"\n1,\"[\"\"y\"\"]\"\n2,[]\n"),
        (
            "r2.jsonl",
            "{\"id\":2,\"labels\":[\"x\"]}\n{\"id\":0,\"labels\":[\"y\",\"x\"]}\n{\"id\":1,\"labels\":[\"y\"]}\n",
        ),
        ("p3.csv", "labels\n\"['x', 'y']\"\n['y']\n"),
        ("r3.jsonl", "{\"labels\":[\"y\",\"x\"]}\n{\"labels\":[\"x\"]}\n"),
        ("p4.csv", "labels\n['x' 'y']\n"),
    ]);
    let of = |metric, predictions, references| {
        ["--metric", metric, "--predictions", predictions, "--references", references]
    };
    let found = score(dir.path(), &of("accuracy,f1", "p.csv", "r.jsonl"));
    assert_eq!(found, json!({"accuracy": 2.0 / 3.0, "f1": 2.0 / 3.0}));
    let found = score(dir.path(), &of("accuracy,f1_micro,f1_macro", "p2.csv", "r2.jsonl"));
    assert_eq!(number(&found, "accuracy"), 2.0 / 3.0);
    assert!((number(&found, "f1_micro") - 6.0 / 7.0).abs() < 1e-12, "{found}");
    assert!((number(&found, "f1_macro") - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-12, "{found}");
    let said = refusal(dir.path(), &of("matthews", "p2.csv", "r2.jsonl"), 1);
    assert!(said.contains("matthews: rows have lists of classes"), "{said}");
    let found = score(dir.path(), &of("accuracy", "p3.csv", "r3.jsonl"));
    assert_eq!(found, json!({"accuracy": 0.5}));
    let said = refusal(dir.path(), &of("accuracy", "p4.csv", "p4.csv"), 1);
    assert!(said.contains("p4.csv, line 2: field `labels`: found"), "{said}");
}

#[test]
fn rows_on_one_line_have_groups_of_their_own() {
    let rows = [("q1", 1), ("q1", 0), ("q2", 1), ("q3", 0)]
        .map(|(question, label)| json!({"question": question, "label": label}));
    let lines = rows.each_ref().map(|row| format!("{row}\n")).concat();
    let dir =
        files(&[("p", "1\n1\n1\n0\n"), ("r.json", &json!(rows).to_string()), ("r.jsonl", &lines)]);
    for references in ["r.json", "r.jsonl"] {
        let metrics = ["--metric", "exact_match_by_group,f1_by_group", "--group-field", "question"];
        let files = ["--predictions", "p", "--references", references];
        let found = score(dir.path(), &[&metrics[..], &files].concat());
        assert_eq!(number(&found, "exact_match_by_group"), 2.0 / 3.0, "{references}");
        assert!((number(&found, "f1_by_group") - 0.909).abs() < 1e-3, "{references}: {found}");
    }
}

#[test]
fn of_several_classes_the_one_of_an_f1_is_named() {
    let dir = files(&[("p", "0\n1\n1\n"), ("r", "0\n1\n2\n"), ("z", "0\n0\n")]);
    let dir = dir.path();
    for metric in ["f1", "precision", "recall"] {
        let said = refusal(dir, &[&["--metric", metric], &FILES[..]].concat(), 2);
        assert!(said.contains("--positive: name the class") && said.contains("0, 1, 2"), "{said}");
    }
    let found = score(dir, &[&["--metric", "f1", "--positive", "1"], &FILES[..]].concat());
    assert!((number(&found, "f1") - 2.0 / 3.0).abs() < 1e-12, "{found}");
    // All rows have the other of two classes.
    let zeros = ["--predictions", "z", "--references", "z", "--metric", "f1,accuracy"];
    let found = score(dir, &[&zeros[..], &["--positive", "1"]].concat());
    assert_eq!(found, json!({"f1": 0.0, "accuracy": 1.0}));
}

#[test]
fn numbers_are_compared_as_numbers() {
    let dir =
        files(&[("p", "1.5\n2\n4\n\n"), ("r", "{\"score\": 1}\n{\"score\": 3}\n{\"score\": 5}\n")]);
    let found = score(dir.path(), &[&["--metric", "spearman,mse"], &FILES[..]].concat());
    assert!((number(&found, "spearman") - 1.0).abs() < 1e-12 && number(&found, "mse") == 0.75);
    let dir = files(&[("p", "1\nx\n"), ("r", "1\n2\n")]);
    let said = refusal(dir.path(), &[&["--metric", "mse"], &FILES[..]].concat(), 1);
    assert!(said.contains("p, line 2: found `x`, expected a number"), "{said}");
}

#[test]
fn tags_are_compared_by_entity() {
    let predictions = format!(
        "{}\n{}\n",
        json!({"tags": ["B-LOC", "I-LOC", null], "input": {}}),
        json!({"tags": ["O", "B-PER"]})
    );
    let conll = "New B-LOC\nYork I-LOC\n. O\n\nSaid O\nMia B-PER\n\n";
    let dir = files(&[
        ("p", &predictions),
        ("r.conll", conll),
        ("r", conll),
        ("l", "B-LOC I-LOC O\nO B-PER\n"),
    ]);
    for references in ["r.conll", "r", "l"] {
        let files = ["--predictions", "p", "--references", references];
        let found = score(dir.path(), &[&["--metric", "entity_f1,entities"], &files[..]].concat());
        assert_eq!(found["entity_f1"], 1.0, "{references}");
        assert_eq!(found["entities"]["types"]["LOC"]["support"], 1);
    }
    let dir = files(&[("p", "O O\nO B-X\n"), ("r", "O\nO B-X\n")]);
    let said = refusal(dir.path(), &[&["--metric", "entities"], &FILES[..]].concat(), 1);
    assert!(said.contains("p, line 1: found 2 tags, expected the 1 of its reference"), "{said}");
}

#[test]
fn answers_are_joined_by_id_as_in_squads_scripts() {
    let question = |id: &str, answers: Value, impossible: bool| json!({"id": id, "question": "?", "answers": answers, "is_impossible": impossible});
    let document = |qas: Value| {
        json!({"data": [{"title": "t", "paragraphs": [{"context": "the cat", "qas": qas}]}]})
            .to_string()
    };
    let cat = json!([{"text": "the cat", "answer_start": 0}]);
    let all = json!([question("a", cat.clone(), false), question("b", cat.clone(), false)]);
    let dir = files(&[
        ("p", &json!({"b": "A cat!", "a": "dog"}).to_string()),
        ("r", &document(all)),
        ("v2", &document(json!([question("a", cat, false), question("n", json!([]), true)]))),
        (
            "p2",
            "{\"id\": \"n\", \"answer\": \"\", \"null_score_diff\": 1.5}\n{\"id\": \"a\", \"answer\": \"cat\", \"null_score_diff\": -1}\n",
        ),
    ]);
    let dir = dir.path();
    let found = score(dir, &[&["--metric", "squad"], &FILES[..]].concat());
    assert_eq!(found, json!({"squad": {"exact_match": 0.5, "f1": 0.5}}));
    let files = ["--predictions", "p2", "--references", "v2"];
    let found = score(dir, &[&["--metric", "squad_v2"], &files[..]].concat());
    assert_eq!(found["squad_v2"]["exact"], 1.0);
    assert_eq!(found["squad_v2"]["best_exact"], 1.0);
    let said = refusal(dir, &[&["--metric", "squad"], &files[..]].concat(), 1);
    assert!(said.contains("use the metric squad_v2"), "{said}");
    // A question that is not answered.
    let output = succeed(peft(dir).args([
        "score",
        "--metric",
        "squad_v2",
        "--predictions",
        "p",
        "--references",
        "v2",
    ]));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("1 questions are not answered"), "{said}");
}

#[test]
fn what_cannot_be_scored_is_refused() {
    let dir =
        files(&[("p", "a\nb\n"), ("r", "a\nb\nc\n"), ("x", "{\"text\": \"a\"}\n"), ("e", "")]);
    let dir = dir.path();
    let with = |metric: &str, p: &str, r: &str, code| {
        refusal(dir, &["--metric", metric, "--predictions", p, "--references", r], code)
    };
    let said = with("bleu", "p", "r", 1);
    assert!(
        said.contains("bleu: found 2 predictions in p, but 3 lines of references in r"),
        "{said}"
    );
    assert!(
        with("accuracy", "p", "r", 1).contains("found 2 predictions in p, but 3 references in r")
    );
    assert!(with("bleu", "e", "e", 1).contains("holds nothing to score"));
    assert!(with("blue", "p", "r", 2).contains("did you mean bleu?"));
    let said = with("meteor", "p", "r", 2);
    assert!(said.contains("--meteor-jar: needs METEOR's own program"), "{said}");
    assert!(with("bleu", "-", "-", 2).contains("standard input holds the predictions"));
    assert!(with("bleu", "no", "r", 1).contains("no: "));
    let said = with("bleu", "x", "p", 1);
    assert!(
        said.contains("--prediction-field")
            && said.contains("it has: text") | said.contains("the row has: text"),
        "{said}"
    );
    let args =
        ["--metric", "bleu", "--predictions", "x", "--references", "p", "--prediction-field", "y"];
    assert!(refusal(dir, &args, 2).contains("--prediction-field: found `y`"));
    let said = refusal(dir, &["--metric", "bleu", "--predictions", "x"], 1);
    assert!(said.contains("--prediction-field") || said.contains("--reference-field"), "{said}");
    assert!(with("bleu,bleu", "p", "p", 2).contains("twice"));
    // Lines are not scored against themselves.
    let said = refusal(dir, &["--metric", "accuracy", "--predictions", "p"], 2);
    assert!(said.contains("--references: needed"), "{said}");
    assert_eq!(
        score(
            dir,
            &["--metric", "exact_match", "--predictions", "x", "--references", "x", "--as-lines"]
        ),
        json!({"exact_match": 1.0})
    );
}

/// A program called `java` that answers as METEOR does.
#[cfg(unix)]
#[test]
fn meteor_is_asked_segment_by_segment() {
    use std::os::unix::fs::PermissionsExt;
    let script = "#!/bin/sh\necho \"$@\" > args\nwhile read -r line; do echo \"$line\" >> asked\n\
        case \"$line\" in SCORE*) echo 1.0 2.0;; *) echo 0.5; echo 0.25; echo 0.375;; esac; done\n";
    let dir = files(&[
        ("p", "The cat (black).\nno\n"),
        ("r", "A cat.\nthe cat\n\nyes\n"),
        ("java", script),
        ("m.jar", ""),
    ]);
    let dir = dir.path();
    fs::set_permissions(dir.join("java"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap_or_default());
    let args = ["score", "--metric", "meteor", "--meteor-jar", "m.jar", "--json"];
    let output = succeed(peft(dir).env("PATH", path).args(args).args(FILES)).stdout;
    assert_eq!(serde_json::from_slice::<Value>(&output).unwrap(), json!({"meteor": 0.375}));
    let asked = fs::read_to_string(dir.join("asked")).unwrap();
    let expected = "SCORE ||| a cat ||| the cat ||| the cat -lrb- black -rrb-\nSCORE ||| yes ||| no\nEVAL ||| 1.0 2.0 ||| 1.0 2.0\n";
    assert_eq!(asked, expected);
    assert!(
        fs::read_to_string(dir.join("args")).unwrap().ends_with("m.jar - - -stdio -l en -norm\n")
    );
    // One that ends at once.
    fs::write(dir.join("java"), "#!/bin/sh\nexit 1\n").unwrap();
    let failed = peft(dir).env("PATH", dir).args(args).args(FILES).output().unwrap();
    assert_eq!(failed.status.code(), Some(1));
    assert!(String::from_utf8(failed.stderr).unwrap().contains("m.jar: "));
}

#[test]
fn eval_scores_texts_and_writes_what_score_reads() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    succeed(peft(dir).args(["demo", "--export", "."]));
    let rows = fs::read_to_string(dir.join("test.jsonl")).unwrap();
    let rows: Vec<&str> = rows.lines().take(12).collect();
    fs::write(dir.join("rows.jsonl"), rows.join("\n")).unwrap();
    let eval =
        ["eval", "--model", "model", "--data", "rows.jsonl", "--max-new-tokens", "4", "--json"];
    let metrics = ["--metric", "chrf,bleu", "--metric", "rouge-1", "--predictions", "out.jsonl"];
    let output = succeed(peft(dir).args(eval).args(metrics)).stdout;
    let found: Value = serde_json::from_slice(&output).unwrap();
    let again =
        score(dir, &["--metric", "chrf,bleu,rouge-1,exact_match", "--predictions", "out.jsonl"]);
    for name in ["chrf", "bleu", "rouge-1", "exact_match"] {
        assert_eq!(found[name], again[name], "{name}");
    }
    // `generate` keeps the rows, whose targets are the references.
    let generate =
        ["generate", "--model", "model", "--input", "rows.jsonl", "--max-new-tokens", "4"];
    succeed(peft(dir).args(generate).args(["--output", "made.jsonl"]));
    let made = score(dir, &["--metric", "chrf", "--predictions", "made.jsonl"]);
    let other = score(
        dir,
        &["--metric", "chrf", "--predictions", "made.jsonl", "--references", "rows.jsonl"],
    );
    assert_eq!(made, other);
    let wrong = peft(dir).args(eval).args(["--metric", "accuracy"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        String::from_utf8(wrong.stderr)
            .unwrap()
            .contains("--metric: found accuracy, expected metrics of texts")
    );
}

#[test]
fn eval_reports_class_by_class() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let model = |name: &str| vectors("logits").join(name).to_str().unwrap().to_owned();
    let rows = |rows: &[Value]| {
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        fs::write(dir.join("rows.jsonl"), lines).unwrap();
    };
    rows(&[
        json!({"input_ids": [5, 6, 7], "label": 0}),
        json!({"input_ids": [8, 9], "label": 1}),
        json!({"input_ids": [3, 4, 8], "label": 1}),
    ]);
    let eval = |model: &str, more: &[&str]| {
        let args = ["eval", "--model", model, "--data", "rows.jsonl", "--report"];
        String::from_utf8(succeed(peft(dir).args(args).args(more)).stdout).unwrap()
    };
    let found: Value = serde_json::from_str(&eval(&model("bert"), &["--json"])).unwrap();
    let report = &found["report"];
    let support =
        report["classes"].as_object().unwrap().values().map(|of| of["support"].as_u64().unwrap());
    assert_eq!(support.sum::<u64>(), 3);
    assert_eq!(report["weighted_average"]["recall"], found["accuracy"]);
    let shown = eval(&model("bert"), &[]);
    assert!(shown.contains("\nclass ") && shown.contains("\nright \\ predicted"), "{shown}");
    rows(&[json!({"input_ids": [5, 6, 7], "labels": [0, 1, 2]})]);
    let classes = fs::read_to_string(vectors("logits").join("bert-tok/config.json")).unwrap();
    let classes: Value = serde_json::from_str(&classes).unwrap();
    let count = classes["id2label"].as_object().map_or(2, |names| names.len());
    let labels: Vec<String> =
        ["O", "B-LOC", "I-LOC", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-X", "I-X"]
            .iter()
            .take(count)
            .map(ToString::to_string)
            .collect();
    let found = eval(&model("bert-tok"), &["--labels", &labels.join(","), "--json"]);
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!(found["report"]["types"]["LOC"]["support"], 1, "{found}");
    assert_eq!(found["report"]["f1"], found["f1"]);
    rows(&[json!({"input_ids": [5, 6, 7], "labels": [5, 6, 7]})]);
    let args = ["eval", "--model", &model("gpt2"), "--data", "rows.jsonl", "--report"];
    let refused = peft(dir).args(args).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("--report: is for tasks"));
}
