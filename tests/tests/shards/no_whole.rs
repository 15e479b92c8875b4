//! Parts that are not those of one whole are not merged.

use std::fs;

use serde_json::json;

use super::{classes, ids, predict_in_parts, read, refused, run, tiny, write};

#[test]
fn what_is_no_whole_is_not_merged() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    classes(dir);
    let files = predict_in_parts(dir, 3, &[]);
    let [one, two, three] = [0, 1, 2].map(|at| files[at].as_str());
    let bert = tiny("bert");
    let make = |name: &str, args: &[&str]| {
        let output = format!("--output={name}");
        run(dir, &[&["predict", "--input=rows.jsonl", &bert], args, &[&output]].concat());
    };
    make("whole.jsonl", &[]);
    make("half.jsonl", &["--shard=2/2"]);
    make("other.jsonl", &["--shard=3/3", "--top-k=1"]);
    let gpt2 = tiny("gpt2");
    let texts = ["generate", "--input=rows.jsonl", "--max-new-tokens=2", "--shard=3/3", &gpt2];
    run(dir, &[&texts[..], &["--output=texts.jsonl"]].concat());
    let cut = read(dir, three);
    fs::write(dir.join("cut.jsonl"), &cut[..cut.len() - 9]).unwrap();
    fs::write(dir.join("few.jsonl"), read(dir, "rows.jsonl").lines().next().unwrap()).unwrap();
    let lines = cut.lines().count();
    let cut_says = format!("cut.jsonl, line {lines}: the end of the line is missing");
    for (args, code, says) in [
        (vec![one, two], 1, "8 of 23 rows are in none of the files: 16 to 23;"),
        (vec![one, three], 1, "8 of 23 rows are in none of the files: 8 to 15;"),
        (
            vec![one, two, three, "half.jsonl"],
            1,
            "half.jsonl, line 1: row 12 is that of part-2.jsonl",
        ),
        (
            vec![one, two, three, two],
            1,
            "part-2.jsonl, line 1: row 8 is that of part-2.jsonl, line 1",
        ),
        (
            vec![one, two, "other.jsonl"],
            1,
            "other.jsonl, line 1: is of another run than part-1.jsonl",
        ),
        (vec![one, two, "texts.jsonl"], 1, "texts.jsonl, line 1: predicts a text, where"),
        (vec![one, two, "cut.jsonl"], 1, &cut_says),
        (vec!["whole.jsonl"], 1, "whole.jsonl, line 1: has no field `shard`"),
        (vec![one, two, "rows.jsonl"], 1, "rows.jsonl, line 1: has no field `shard`"),
        (vec![one, "nobody.jsonl"], 1, "nobody.jsonl"),
        (vec![one, two, three, "--data=few.jsonl"], 1, "few.jsonl: holds 1 rows"),
        (vec![one, two, three, "--json"], 2, "--json: prints scores"),
    ] {
        let said = refused(dir, &[&["merge", "--output=all.jsonl"], &args[..]].concat(), code);
        assert!(said.contains(says), "{args:?}: {said}");
        assert!(!dir.join("all.jsonl").exists(), "{args:?}");
    }
    let over = refused(dir, &["merge", one, two, three, "--output", two], 2);
    assert!(over.contains("--output: found part-2.jsonl, which this command reads"), "{over}");
    assert_eq!(read(dir, three), cut);
}

/// The same tokens with other fields beside them, and other batches, are other runs.
#[test]
fn what_is_written_beside_predictions_tells_runs_apart() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (bert, gpt2) = (tiny("bert"), tiny("gpt2"));
    let rows = |name: &str, note: &str| {
        write(dir, name, (0..5).map(|row| json!({"input_ids": ids(row), "note": note})));
    };
    rows("a.jsonl", "a");
    rows("b.jsonl", "b");
    let make = |command: &[&str], input: &str, part: usize, more: &[&str]| {
        let input = format!("--input={input}");
        let (output, shard) = (format!("--output=part-{part}.jsonl"), format!("--shard={part}/2"));
        run(dir, &[command, &[&*input, &*output, &*shard], more].concat());
    };
    let both = ["merge", "part-1.jsonl", "part-2.jsonl", "--output=all.jsonl"];
    for command in [&["predict", &*bert][..], &["generate", "--max-new-tokens=2", &*gpt2]] {
        make(command, "a.jsonl", 1, &[]);
        for (input, more) in [("b.jsonl", &[] as &[&str]), ("a.jsonl", &["--batch-size=2"])] {
            make(command, input, 2, more);
            let said = refused(dir, &both, 1);
            assert!(said.contains("part-2.jsonl, line 1: is of another run"), "{input}: {said}");
            fs::remove_file(dir.join("part-2.jsonl")).unwrap();
        }
        make(command, "a.jsonl", 2, &[]);
        run(dir, &both);
        ["all.jsonl", "part-1.jsonl", "part-2.jsonl"]
            .iter()
            .for_each(|name| fs::remove_file(dir.join(name)).unwrap());
    }
    let qa = tiny("bert-qa");
    let question = |row: usize| {
        let input_ids = [vec![4, 5], ids(row)].concat();
        json!({"input_ids": input_ids})
    };
    write(dir, "a.jsonl", (0..5).map(question));
    make(&["predict", &qa], "a.jsonl", 1, &[]);
    make(&["predict", &qa], "a.jsonl", 2, &["--max-answer-length=2"]);
    assert!(refused(dir, &both, 1).contains("is of another run"));
}
