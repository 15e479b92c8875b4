//! The pages about runs: what they say is what the run's files say, and no text leaves its place.

mod several;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::support::{peft, read_json, read_lines, root, succeed, tiny_model};

const ROWS: &str = "tests/vectors/training/bert-prefix/rows.jsonl";
const VALID: &str = "tests/vectors/training/bert-prompt/rows.jsonl";

/// A run of a few steps on a tiny BERT.
fn train(out: &Path, flags: &[&str]) -> Command {
    let mut command = peft(&root());
    command.args(["train", "--model", &tiny_model("bert"), "--task=seq-cls", "--batch-size=4"]);
    command.args(["--num-virtual-tokens=2", "--train", ROWS, "--valid", VALID]);
    command.args(flags).arg("--out").arg(out);
    command
}

/// A page, once it is known to be whole: every element is closed in its order, identifiers are there once and are found
/// where they are named, nothing comes from elsewhere.
fn page(path: &Path) -> String {
    let page = fs::read_to_string(path).unwrap();
    let (mut open, mut ids, mut named): (Vec<&str>, Vec<&str>, Vec<&str>) = Default::default();
    let mut rest = page.strip_prefix("<!DOCTYPE html>").unwrap();
    while let Some(at) = rest.find('<') {
        let end = at + rest[at..].find('>').unwrap();
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
            continue;
        }
        let name = tag.split(' ').next().unwrap();
        if ["style", "script"].contains(&name) {
            rest = &rest[rest.find(&format!("</{name}>")).unwrap()..];
        }
        if !["meta", "br"].contains(&name) {
            open.push(name);
        }
        for (attribute, value) in
            tag.split('"').collect::<Vec<_>>().chunks_exact(2).map(|pair| (pair[0].trim(), pair[1]))
        {
            let attribute = attribute.rsplit(' ').next().unwrap();
            assert!(!attribute.starts_with("on") && attribute != "src=", "{tag}");
            match attribute {
                "id=" => ids.push(value),
                "aria-labelledby=" => named.extend(value.split(' ')),
                "href=" => named.extend(value.strip_prefix('#')),
                _ => {}
            }
        }
    }
    assert_eq!(open, [""; 0]);
    let count = |id: &str| ids.iter().filter(|known| **known == id).count();
    assert!(ids.iter().all(|id| count(id) == 1) && ids.len() > 3, "{ids:?}");
    assert!(named.iter().all(|id| count(id) == 1) && !named.is_empty(), "{named:?} {ids:?}");
    assert!(!page.contains("http:") && !page.contains("https:"), "{page}");
    page
}

#[test]
fn a_run_leaves_a_page_that_says_what_its_files_say() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("a <b> \"run\"");
    let names = "<script>alert(1)</script>,b&c \"d\",</td>";
    succeed(&mut train(&out, &["--method=ptv2", "--steps=6", "--eval-every=2", "--labels", names]));
    let found = page(&out.join("report.html"));
    let own = read_json(&out.join("burn_peft.json"));
    let result = read_json(&out.join("result.json"));
    let accuracy = format!("{:.4}", own["metrics"]["accuracy"].as_f64().unwrap());
    let machine = &result["machine"];
    assert!(machine["cores"].as_u64().unwrap() > 0, "{result}");
    for part in [
        format!(
            "accuracy {accuracy} on {} validation rows, at step {} of 6.",
            result["valid_rows"], result["step"]
        ),
        format!("<dd dir=\"auto\">{}", machine["processor"].as_str().unwrap()),
        "&lt;script&gt;alert(1)&lt;/script&gt;".into(),
        "b&amp;c &quot;d&quot;".into(),
        "<th scope=\"row\" dir=\"auto\">&lt;/td&gt;</th>".into(),
        "Run a &lt;b&gt; &quot;run&quot;: ptv2".into(),
        "</span>, rows.jsonl line ".into(),
    ] {
        assert!(found.contains(&part), "{part}: {found}");
    }
    // What is kept of the best step is what an evaluation of the adapter finds.
    let mut eval = peft(&root());
    eval.args(["eval", "--model", &tiny_model("bert"), "--data", VALID, "--report", "--json"]);
    let found = succeed(eval.arg("--adapter").arg(&out)).stdout;
    let found: Value = serde_json::from_slice(&found).unwrap();
    let kept = read_json(&out.join("validation.json"));
    assert_eq!(
        (&kept["step"], &kept["metrics"]["accuracy"]),
        (&result["step"], &found["accuracy"])
    );
    assert_eq!(kept["classes"]["confusion"], found["report"]["confusion"]);
    assert_eq!(kept["classes"]["scores"][1]["f1"], found["report"]["classes"]["b&c \"d\""]["f1"]);
    let wrong = kept["wrong"].as_u64().unwrap() as f64;
    let rows = kept["rows"].as_u64().unwrap() as f64;
    assert!((1.0 - wrong / rows - found["accuracy"].as_f64().unwrap()).abs() < 1e-12, "{kept}");
    let samples = kept["samples"].as_array().unwrap();
    let right: Vec<bool> =
        samples.iter().map(|sample| sample["is_right"].as_bool().unwrap()).collect();
    assert!(right.len() > 4 && right.len() <= rows as usize && right.is_sorted(), "{kept}");
    assert_eq!(samples[0]["predicted"] == samples[0]["expected"], right[0]);
}

/// A device is no setting of a run, so the command that makes it again names it.
#[test]
fn what_makes_a_run_again_names_its_devices() {
    let dir = tempfile::tempdir().unwrap();
    let cases: [(&str, &[&str], &str); 3] = [
        ("one", &["--device=cpu"], "one-again --device cpu<"),
        ("two", &["--devices=cpu,cpu"], "two-again --devices cpu,cpu<"),
        ("none", &[], "none-again<"),
    ];
    for (name, flags, expected) in cases {
        let out = dir.path().join(name);
        succeed(train(&out, &["--method=prompt", "--steps=2"]).args(flags));
        let found = page(&out.join("report.html"));
        assert!(found.contains(expected), "{found}");
    }
    // As that of its first step, whatever goes on with it.
    let out = dir.path().join("one");
    let mut resume = peft(&root());
    succeed(resume.args(["train", "--resume", "--steps=4", "--out"]).arg(&out));
    assert!(page(&out.join("report.html")).contains("one-again --device cpu<"));
}

#[test]
fn a_page_is_written_again_when_a_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    succeed(&mut train(&out, &["--method=prompt", "--steps=4", "--eval-every=2"]));
    assert!(page(&out.join("report.html")).contains(" of 4."));
    let resume = |flags: &[&str]| {
        let mut command = peft(&root());
        command.args(["train", "--resume", "--out"]).arg(&out).args(flags);
        command
    };
    succeed(&mut resume(&["--steps=8"]));
    let longer = page(&out.join("report.html"));
    assert!(longer.contains(" of 8."), "{longer}");
    // A run that had ended has its page back, whole as it was.
    fs::remove_file(out.join("report.html")).unwrap();
    succeed(&mut resume(&[]));
    assert!(page(&out.join("report.html")).contains(" of 8."));
    // Predictions of another step are not shown as those of the adapter.
    let kept = fs::read_to_string(out.join("validation.json")).unwrap();
    let step = format!("\"step\": {}", read_json(&out.join("validation.json"))["step"]);
    fs::write(out.join("validation.json"), kept.replace(&step, "\"step\": 77")).unwrap();
    succeed(&mut resume(&[]));
    let without = page(&out.join("report.html"));
    assert!(without.contains("What the step of the adapter predicts was not kept"), "{without}");
    // What is none is named, with what helps.
    fs::write(out.join("validation.json"), "{\"mine\": 1}").unwrap();
    let output = resume(&[]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in
        ["validation.json: found something else", "it may be removed", "once that is mended"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    fs::remove_file(out.join("validation.json")).unwrap();
    succeed(&mut resume(&[]));
    let again = page(&out.join("report.html"));
    assert!(again.contains("What the step of the adapter predicts was not kept"), "{again}");
    // Nor is a page of an earlier step left where a run goes on without one.
    succeed(&mut resume(&["--steps=12", "--no-report"]));
    assert!(!out.join("report.html").exists() && !out.join("validation.json").exists());
}

/// What an adapter to start from decides stands where settings do, and training's loss not among the scores of validation rows.
#[test]
fn a_page_says_what_a_run_started_from() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    succeed(&mut train(&at("first"), &["--method=ptv2", "--steps=2"]));
    let start = format!("--init-adapter={}", at("first").display());
    let mut second = peft(&root());
    second.args(["train", "--model", &tiny_model("bert"), "--task=seq-cls", "--batch-size=4"]);
    second.args(["--method=ptv2", "--steps=2", "--train", ROWS, "--valid", VALID, &start]);
    succeed(second.arg("--out").arg(at("second")));
    let found = page(&at("second/report.html"));
    let fact = |name: &str, value: &str| format!("<dt>{name}</dt><dd dir=\"auto\">{value}</dd>");
    for part in [
        fact("virtual tokens P", "2"),
        format!("{}, an adapter for seq-cls, with its head</dd>", at("first").display()),
        // One evaluation is no curve.
        "validation accuracy ".into(),
        "The mean loss of the last training steps is ".into(),
    ] {
        assert!(found.contains(&part), "{part}: {found}");
    }
    assert!(!found.contains(">train loss<"), "{found}");
    let mut compare = peft(dir.path());
    let table = succeed(compare.args(["compare", "first", "second", "--no-times"])).stdout;
    let table = String::from_utf8(table).unwrap();
    assert!(table.contains("method ptv2, P 2"), "{table}");
}

#[test]
fn a_run_that_diverges_has_a_page_of_that() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut diverges = train(&out, &["--method=prompt", "--steps=12", "--lr=1e38"]);
    assert_eq!(diverges.output().unwrap().status.code(), Some(1));
    let found = page(&out.join("report.html"));
    assert!(found.contains("The loss was no number any more."), "{found}");
}

#[test]
fn a_page_that_cannot_be_written_costs_no_adapter() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    fs::create_dir_all(out.join("report.html")).unwrap();
    let output = train(&out, &["--method=prompt", "--steps=4"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("report.html")
            && said.contains("the adapter is saved, the page about its run is not"),
        "{said}"
    );
    assert!(String::from_utf8(output.stdout).unwrap().contains("saved in"));
    assert_eq!(read_json(&out.join("result.json"))["ending"], "finished");
    let mut eval = peft(&root());
    succeed(
        eval.args(["eval", "--model", &tiny_model("bert"), "--data", VALID, "--adapter"]).arg(&out),
    );
    // Without one, nothing is in the way.
    let out = dir.path().join("without");
    fs::create_dir_all(out.join("report.html")).unwrap();
    succeed(&mut train(&out, &["--method=prompt", "--steps=4", "--no-report"]));
    assert!(!out.join("validation.json").exists());
    let settings = fs::read_to_string(out.join("run.toml")).unwrap();
    assert!(settings.contains("no_report = true"), "{settings}");
    let recipe = fs::read_to_string(out.join("burn_peft.json")).unwrap();
    assert!(!recipe.contains("no_report"), "{recipe}");
}

/// Whoever reads stdout goes away before anything is printed, as `| true` does: what is written is the same.
#[test]
fn nothing_is_lost_where_nobody_reads_what_is_printed() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let unread = |command: &mut Command| {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}");
        said
    };
    let flags = ["--method=prompt", "--steps=4"];
    for flags in [&flags[..], &[&flags[..], &["--json"]].concat()] {
        let out = at(&format!("run-{}", flags.len()));
        let said = unread(&mut train(&out, flags));
        assert!(said.contains("next: peft predict "), "{said}");
        page(&out.join("report.html"));
    }
    let said = unread(&mut train(&at("many"), &["--method=prompt", "--steps=4", "--ensemble=2"]));
    assert!(said.contains("next: peft eval "), "{said}");
    assert_eq!(read_json(&at("many/result.json"))["ending"], "finished");
    let mut compare = peft(dir.path());
    unread(compare.args(["compare", "run-2", "run-3", "--html", "all.html", "--plot", "all.svg"]));
    page(&at("all.html"));
    assert!(at("all.svg").is_file());
    let mut eval = peft(&root());
    eval.args(["eval", "--model", &tiny_model("bert"), "--data", VALID, "--adapter"]);
    unread(eval.arg(at("run-2")).arg("--out").arg(at("scores")));
    assert!(at("scores/run.toml").is_file());
}

#[test]
fn a_language_model_shows_what_it_writes() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| succeed(peft(dir.path()).args(args));
    run(&["demo", "--export", "try"]);
    run(&[
        "train",
        "--model=try/model",
        "--method=ptv2",
        "--task=causal-lm",
        "--train=try/train.jsonl",
        "--valid=try/test.jsonl",
        "--steps=40",
        "--batch-size=16",
        "--out=run",
    ]);
    let found = page(&dir.path().join("run/report.html"));
    let kept = read_json(&dir.path().join("run/validation.json"));
    let samples = kept["samples"].as_array().unwrap();
    assert_eq!(samples.len(), 8, "{kept}");
    // What is written is what `peft generate` writes, in whatever order.
    let rows = read_lines(&dir.path().join("try/test.jsonl"));
    for sample in samples {
        let row = &rows[sample["line"].as_u64().unwrap() as usize - 1];
        assert_eq!(sample["expected"], row["target"], "{sample}");
        let source = row["source"].as_str().unwrap();
        assert_eq!(sample["text"].as_str().unwrap().trim(), source.trim());
        let written = run(&[
            "generate",
            "--model=try/model",
            "--adapter=run",
            "--prompt",
            source,
            "--max-new-tokens=3",
        ]);
        let written = String::from_utf8(written.stdout).unwrap();
        let predicted = sample["predicted"].as_str().unwrap();
        assert!(written.contains(predicted) && !predicted.is_empty(), "{sample}: {written}");
        assert_eq!(sample["is_right"], sample["predicted"] == sample["expected"]);
        assert!(found.contains(predicted));
    }
}
