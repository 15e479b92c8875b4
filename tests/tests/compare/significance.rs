//! Differences over rows and seeds: of runs with their predictions, and of files of predictions alone.

use std::fs;

use serde_json::Value;

use super::{VALID, compare, four_runs, json_of, refused, train};
use crate::support::{peft, root, succeed, tiny_model, told};

#[test]
fn differences_are_tested_over_rows_and_seeds() {
    let dir = tempfile::tempdir().unwrap();
    four_runs(&dir.path().join("runs"));
    let (_, said) = told(&mut compare(dir.path(), &["runs", "--significance"]));
    assert!(
        said.contains("note: no folder holds predictions.jsonl: only seeds are compared"),
        "{said}"
    );
    for run in ["prompt-1", "prompt-2", "ptv2-1", "ptv2-2"] {
        let out = dir.path().join("runs").join(run);
        let mut predict = peft(&root());
        predict
            .args(["predict", "--model", &tiny_model("bert"), "--input", VALID, "--adapter"])
            .arg(&out);
        succeed(predict.arg("--output").arg(out.join("predictions.jsonl")));
    }
    let found =
        json_of(&mut compare(dir.path(), &["runs", "--significance", "--metric", "accuracy"]));
    assert_eq!(found["significance"]["row_score"], "accuracy");
    let rows = fs::read_to_string(root().join(VALID)).unwrap().lines().count();
    assert_eq!(found["significance"]["rows"], rows);
    // Averaged over seeds, rows give what the evaluations of the runs gave.
    for system in found["systems"].as_array().unwrap() {
        let (row_score, mean) =
            (system["row_score"].as_f64().unwrap(), system["mean"].as_f64().unwrap());
        assert!((row_score - mean).abs() < 1e-9, "{system}");
    }
    let second = &found["systems"][1];
    let (low, high) = (&second["over_rows"]["interval"][0], &second["over_rows"]["interval"][1]);
    let difference = second["over_rows"]["difference"].as_f64().unwrap();
    assert!(
        low.as_f64().unwrap() <= difference && difference <= high.as_f64().unwrap(),
        "{second}"
    );
    let p = second["over_rows"]["p"].as_f64().unwrap();
    assert!(p > 0.0 && p <= 1.0);
    let (text, said) =
        told(&mut compare(dir.path(), &["runs", "--significance", "--metric", "loss"]));
    assert!(text.contains("paired bootstrap") && text.contains("Welch's t test"), "{text}");
    assert_eq!(said, "");

    // Files alone, also as tables; what does not belong together is refused.
    let file = |name: &str| dir.path().join(name);
    let write = |name: &str, right: usize, rows: usize| {
        let lines = (0..rows).map(|row| {
            let found = if row < right { "a" } else { "b" };
            format!("{{\"id\": {row}, \"label\": \"{found}\", \"input\": {{\"label\": \"a\"}}}}\n")
        });
        fs::write(file(name), lines.collect::<String>()).unwrap();
    };
    write("a.jsonl", 90, 100);
    write("b.jsonl", 60, 100);
    write("c.jsonl", 9, 10);
    let lines = (0..100).map(|row| format!("{row},{},a\n", if row < 60 { "a" } else { "b" }));
    fs::write(file("b.csv"), format!("id,label,input.label\n{}", lines.collect::<String>()))
        .unwrap();
    let (text, _) = told(&mut compare(dir.path(), &["--scores", "b.jsonl", "a.jsonl"]));
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[1].starts_with("a.jsonl") && lines[1].contains("0.9000"), "{text}");
    assert!(
        lines[2].contains("-0.3000 [-0.")
            && lines[2].contains("< 0.001") | lines[2].contains("0.0001"),
        "{text}"
    );
    let said = refused(&mut compare(dir.path(), &["--scores", "a.jsonl", "c.jsonl"]), 1);
    assert!(said.contains("a.jsonl has 100 rows, c.jsonl has 10"), "{said}");
    let said = refused(&mut compare(dir.path(), &["--scores", "a.jsonl"]), 2);
    assert!(said.contains("--scores: needs two files"), "{said}");
    let said = refused(
        &mut compare(dir.path(), &["--scores", "a.jsonl", "b.jsonl", "--score", "bleu"]),
        1,
    );
    assert!(said.contains("a.jsonl, line 1: field `bleu` is missing"), "{said}");
    // Tables hold the same rows.
    let of = |b: &str| {
        json_of(&mut compare(dir.path(), &["--scores", "a.jsonl", b]))["systems"][1]["over_rows"]
            .clone()
    };
    assert_eq!(of("b.csv"), of("b.jsonl"));
    fs::write(file("d.csv"), fs::read_to_string(file("b.csv")).unwrap().replace("\n99,", "\n100,"))
        .unwrap();
    let said = refused(&mut compare(dir.path(), &["--scores", "a.jsonl", "d.csv"]), 1);
    assert!(said.contains("line 100, and d.csv, line 101, are about different rows"), "{said}");
}

#[test]
fn a_system_that_is_written_otherwise_is_left_out_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["a", "b", "c"];
    for (name, p) in names.iter().zip(["3", "4", "5"]) {
        let flags = ["--valid", VALID, "--method=prompt", "--seed=1", "--num-virtual-tokens", p];
        succeed(&mut train(&dir.path().join(name), &flags));
    }
    let lines = |line: fn(usize) -> String| (0..20).map(line).collect::<String>();
    let write = |name: &str, text: String| {
        fs::write(dir.path().join(name).join("predictions.jsonl"), text).unwrap();
    };
    let label = || {
        lines(|row| {
            format!("{{\"id\": {row}, \"label\": \"x\", \"input\": {{\"label\": \"x\"}}}}\n")
        })
    };
    let text = || lines(|row| format!("{{\"id\": {row}, \"exact_match\": {}}}\n", row < 9));
    let foreign = || lines(|row| format!("{{\"id\": {row}, \"class\": \"x\"}}\n"));
    let all = ["a", "b", "c", "--significance"];
    // Whichever it is, also the best, which the others are otherwise compared with.
    for odd in names {
        for (other, says) in [
            (text(), " gives the "),
            (foreign(), "line 1: holds neither `exact_match`, `label`"),
            ("{\"id\": 0, \"label\": \"x\"}\n".into(), "holds no `input.label`"),
            ("{\"id\": 0,".into(), "predictions.jsonl"),
        ] {
            names.iter().for_each(|name| write(name, label()));
            write(odd, other);
            let found = json_of(&mut compare(dir.path(), &all));
            assert_eq!(found["significance"]["rows"], 20);
            assert_eq!(found["significance"]["row_score"], "accuracy");
            let of = |system: &Value| {
                let path = system["runs"][0]["path"].as_str().unwrap().to_string();
                (path, system["over_rows"]["difference"].as_f64(), system["row_score"].as_f64())
            };
            let systems: Vec<_> = found["systems"].as_array().unwrap().iter().map(of).collect();
            let compared: Vec<_> = systems.iter().filter(|(path, ..)| path != odd).collect();
            assert_eq!((compared[0].1, compared[1].1), (None, Some(0.0)), "{found}");
            assert!(compared.iter().all(|(.., score)| *score == Some(1.0)), "{found}");
            let left_out = systems.iter().find(|(path, ..)| path == odd).unwrap();
            assert_eq!((left_out.1, left_out.2), (None, None), "{found}");

            let (table, said) = told(&mut compare(dir.path(), &all));
            let notes: Vec<&str> = said.lines().filter(|line| line.contains("over rows")).collect();
            let [note] = notes.as_slice() else { panic!("{said}") };
            let named = format!("note: the system of {odd} is not compared over rows: ");
            assert!(note.starts_with(&named) && note.contains(says), "{said}");
            let is_first = systems[0].0 == odd;
            let against = if is_first {
                "that of line 2, the first that is"
            } else {
                "that of the first line"
            };
            assert!(table.contains(&format!("accuracy minus {against}")), "{table}");
        }
    }
    // Of two, nothing is left to compare.
    write("a", label());
    write("b", text());
    for flags in [
        &["a", "b", "--significance"][..],
        &["--scores", "a/predictions.jsonl", "b/predictions.jsonl"],
    ] {
        let said = refused(&mut compare(dir.path(), flags), 1);
        for says in ["their ", "accuracy", "exact match", "peft predict --rank-classes"] {
            assert!(said.contains(says), "{says}: {said}");
        }
    }
    write("b", foreign());
    write("c", foreign());
    let said = refused(&mut compare(dir.path(), &all), 1);
    assert!(said.contains("no two of them can be compared over rows:\n  "), "{said}");
    assert!(
        said.contains("b/predictions.jsonl, line 1")
            && said.contains("c/predictions.jsonl, line 1")
    );

    // Files by themselves.
    write("b", label());
    let files = names.map(|name| format!("{name}/predictions.jsonl"));
    let args = ["--scores", &files[2], &files[0], &files[1]];
    let (table, said) = told(&mut compare(dir.path(), &args));
    assert!(
        table.contains(&files[0]) && table.contains(&files[1]) && !table.contains(&files[2]),
        "{table}"
    );
    assert!(
        said.contains(
            "note: c/predictions.jsonl is left out: c/predictions.jsonl, line 1: holds neither"
        ),
        "{said}"
    );
    let found = json_of(&mut compare(dir.path(), &args));
    assert_eq!(found["systems"].as_array().unwrap().len(), 2);
    assert!(found["significance"]["notes"][0].as_str().unwrap().contains("c/predictions.jsonl"));
    let said =
        refused(&mut compare(dir.path(), &["--scores", &files[0], &files[1], "nowhere.jsonl"]), 1);
    assert!(said.contains("nowhere.jsonl"), "{said}");
}
