//! `peft score` as a process: how the rows of two files are read, and which belong together.

use std::fs;

use serde_json::{Value, json};

use super::program::{FILES, files, number, refusal, score};
use crate::support::{peft, succeed};

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
    // A number as it is written, which another of the same value is not.
    let inexact = "{\"id\":1.2345678901234568e22,\"label\":\"a\"}\n";
    let dir = files(&[("p", inexact), ("r", inexact)]);
    let found = score(dir.path(), &[&["--metric", "accuracy"], &FILES[..]].concat());
    assert_eq!(found, json!({"accuracy": 1.0}));
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

/// What `eval` and `predict` write as a table is scored as what they write as JSON Lines.
#[test]
fn lists_of_references_in_a_table_are_those_of_json_lines() {
    let list = json!({"output": "the red house", "references": ["a", "the red house"]});
    let rows = format!("{list}\n{}\n", json!({"output": "no cat", "references": ["the cat"]}));
    let table = "output,references\nthe red house,\"[\"\"a\"\",\"\"the red house\"\"]\"\nno cat,['the cat']\n";
    let answers = json!({"text": ["a", "the red house"], "answer_start": [0, 2]});
    let squad = format!("answer\tinput.answers\nthe red house\t{answers}\n");
    let mixed = "output,input.target\na,\"[\"\"a\"\",\"\"b\"\"]\"\nb,b\nc,['c' 'd']\n";
    let dir =
        files(&[("p.jsonl", &rows), ("p.csv", table), ("p.tsv", &squad), ("mixed.csv", mixed)]);
    let of = |name| ["--metric", "exact_match,rouge-l,chrf,ter", "--predictions", name];
    let expected = score(dir.path(), &of("p.jsonl"));
    assert_eq!((number(&expected, "exact_match"), number(&expected, "rouge-l")), (0.5, 0.75));
    assert_eq!(score(dir.path(), &of("p.csv")), expected);
    assert_eq!(number(&score(dir.path(), &of("p.tsv")), "exact_match"), 1.0);
    // A target may be a text that looks like a list.
    let output = succeed(peft(dir.path()).arg("score").args(of("mixed.csv")));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("2 of 3 cells of `input.target` look like lists"), "{said}");
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
    // Null is no answer, and a list of answers is none.
    let dir = super::program::files(&[
        ("null", r#"{"a": "cat", "n": null}"#),
        ("list", r#"{"a": [{"text": "cat"}], "n": ""}"#),
        ("v2", &fs::read_to_string(dir.join("v2")).unwrap()),
        ("p", &fs::read_to_string(dir.join("p")).unwrap()),
    ]);
    let dir = dir.path();
    let of = |name| ["--metric", "squad_v2", "--predictions", name, "--references", "v2"];
    assert_eq!(score(dir, &of("null"))["squad_v2"]["exact"], 1.0);
    let said = refusal(dir, &of("list"), 1);
    assert!(said.contains("list, line 1: field `a`: found a list or an object"), "{said}");
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
