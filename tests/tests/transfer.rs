//! Transfer between tasks: a run that starts from the adapter of another one starts exactly there.

use std::{fs, path::Path, process::Command};

use peft_core::{
    Adapter, Head, Task,
    data::{Example, Target},
    evaluate::Predictor,
};
use peft_tests::device;
use serde_json::{Value, json};

use crate::support::{
    ADAPTER_FILES, copy_model, peft, read_json, read_lines, root, succeed, tiny_model,
};

/// Rows of a language model, or with classes; different ones by `from`.
fn rows(dir: &Path, name: &str, from: u64, label: Option<&dyn Fn(u64) -> Value>) {
    let row = |at: u64| {
        let ids: Vec<u64> =
            (0..3 + at % 4).map(|place| 3 + (from + 7 * at + 5 * place) % 60).collect();
        match label {
            Some(label) => json!({"input_ids": ids, "label": label(at)}),
            None => json!({"input_ids": ids, "labels": ids}),
        }
    };
    let text: String = (0..6).map(|at| format!("{}\n", row(at))).collect();
    fs::write(dir.join(name), text).unwrap();
}

fn train(dir: &Path, base: &str, task: &str, flags: &str) -> Command {
    let mut command = peft(dir);
    command.arg("train").arg("--model").arg(root().join(tiny_model(base)));
    command.args(["--task", task, "--batch-size=6"]).args(flags.split(' '));
    command
}

/// The loss before the first update.
fn first_loss(dir: &Path, out: &str) -> f64 {
    read_lines(&dir.join(out).join("metrics.jsonl"))[0]["loss"].as_f64().unwrap()
}

#[test]
fn the_first_loss_on_another_task_is_that_of_the_adapter_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    rows(dir, "a.jsonl", 1, None);
    rows(dir, "b.jsonl", 30, None);
    for method in ["prompt", "prefix", "ptv2"] {
        let more = match method {
            "prefix" => " --prefix-projection=true --prefix-hidden-size=8",
            "ptv2" => " --layers=0,2",
            _ => "",
        };
        let first = format!(
            "--method={method} --num-virtual-tokens=4 --train=a.jsonl --steps=6 --lr=0.05 --out=a-{method}{more}"
        );
        succeed(&mut train(dir, "gpt2", "causal-lm", &first));
        let second = format!(
            "--method={method} --init-adapter=a-{method} --train=b.jsonl --steps=2 --lr=0.05 --out=b-{method}"
        );
        succeed(&mut train(dir, "gpt2", "causal-lm", &second));
        let mut eval = peft(dir);
        eval.arg("eval").arg("--model").arg(root().join(tiny_model("gpt2")));
        eval.args(["--data=b.jsonl", "--json", "--adapter", &format!("a-{method}")]);
        let scores: Value = serde_json::from_slice(&succeed(&mut eval).stdout).unwrap();
        let (found, expected) =
            (first_loss(dir, &format!("b-{method}")), scores["loss"].as_f64().unwrap());
        assert!((found - expected).abs() < 1e-5 * expected, "{method}: {found}, not {expected}");
        // The run and its adapter say what they started from.
        let sum =
            Adapter::load(&dir.join(format!("a-{method}"))).unwrap().config.own.tensors_sha256;
        let result = read_json(&dir.join(format!("b-{method}/result.json")));
        assert_eq!(result["started_from"], json!({"tensors_sha256": sum, "task": "causal-lm"}));
        let made = Adapter::load(&dir.join(format!("b-{method}"))).unwrap();
        assert_eq!(made.config.own.recipe["started_from"]["tensors_sha256"], json!(sum));
        let settings = fs::read_to_string(dir.join(format!("b-{method}/run.toml"))).unwrap();
        assert!(settings.contains("init_adapter = "), "{settings}");
        // One that starts by itself says nothing.
        assert!(
            read_json(&dir.join(format!("a-{method}/result.json"))).get("started_from").is_none()
        );
    }
}

#[test]
fn a_head_for_other_classes_starts_anew_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let of =
        |names: &'static [&'static str]| move |at: u64| json!(names[at as usize % names.len()]);
    let (two, three) = (of(&["no", "yes"]), of(&["cold", "hot", "mild"]));
    let mixed = of(&["no", "yes", "maybe"]);
    let write = |name: &str, label: &dyn Fn(u64) -> Value| {
        let row = |at: u64| {
            let ids: Vec<u64> = (0..3).map(|place| 5 + (11 * at + 3 * place) % 60).collect();
            // Not a row of ids, whose classes are numbers: a text of words that the tokenizer knows.
            let words: Vec<String> = ids.iter().map(|id| format!("w{id}")).collect();
            format!("{}\n", json!({"text": words.join(" "), "label": label(at)}))
        };
        fs::write(dir.join(name), (0..6).map(row).collect::<String>()).unwrap();
    };
    write("two.jsonl", &two);
    write("three.jsonl", &three);
    write("mixed.jsonl", &mixed);
    let model = dir.join("model");
    copy_model("bert", &model);
    let vocab: serde_json::Map<String, Value> =
        (0..80).map(|id| (format!("w{id}"), json!(id))).collect();
    let tokenizer = json!({"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "unk_token": "w0", "vocab": vocab}});
    fs::write(model.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    fs::write(model.join("tokenizer_config.json"), r#"{"tokenizer_class": "TokenizersBackend"}"#)
        .unwrap();
    let run = |flags: &str| {
        let mut command = peft(dir);
        command.args(["train", "--model=model", "--task=seq-cls", "--batch-size=6", "--steps=3"]);
        let output = command.args(flags.split(' ')).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let says = |flags: &str, parts: &[&str]| {
        let (code, said) = run(flags);
        assert_eq!(code, Some(0), "{flags}: {said}");
        parts
            .iter()
            .for_each(|part| assert!(said.contains(part), "{flags} lacks {part:?}: {said}"));
        said
    };
    says("--method=prompt --num-virtual-tokens=3 --train=two.jsonl --lr=0.1 --out=a", &[]);
    let anew =
        "the head starts anew; of the adapter of --init-adapter, only the virtual tokens are used";
    says(
        "--method=prompt --train=three.jsonl --init-adapter=a --out=b --seed=4",
        &[anew, "its head is for the classes no, yes"],
    );
    let head =
        |out: &str| read_json(&dir.join(out).join("result.json"))["started_from"]["head"].clone();
    assert_eq!(head("b"), "new");
    // The first loss is that of the adapter's prompt with the head that the seed draws.
    let base = peft_models::load(&model, &device()).unwrap();
    let spec = base.model.spec();
    let layout = base.model.head_layout(Task::SeqCls);
    let drawn = Head::init(layout, 3, spec.hidden_size, 4, &device());
    let prompt = Adapter::load(&dir.join("a")).unwrap().virtual_tokens(spec, &device()).unwrap();
    let examples: Vec<Example> = (0..6u64)
        .map(|at| {
            let ids = (0..3).map(|place| 5 + ((11 * at + 3 * place) % 60) as u32).collect();
            Example::new(ids, Target::Class(at as usize % 3), 1)
        })
        .collect();
    let predictor =
        Predictor::new(base.model.as_ref(), &prompt, Some(&drawn), Task::SeqCls).unwrap();
    let expected = predictor.evaluate(&examples, None).unwrap().get("loss").unwrap();
    let found = first_loss(dir, "b");
    assert!((found - expected).abs() < 1e-5, "{found}, not {expected}");

    // The same classes go on with the head, without a word.
    let said = says("--method=prompt --train=two.jsonl --init-adapter=a --out=c", &[]);
    assert!(!said.contains("head starts anew"), "{said}");
    assert_eq!(head("c"), "adapter");
    let mut eval = peft(dir);
    eval.args(["eval", "--model=model", "--adapter=a", "--data=two.jsonl", "--json"]);
    let scores: Value = serde_json::from_slice(&succeed(&mut eval).stdout).unwrap();
    let (found, expected) = (first_loss(dir, "c"), scores["loss"].as_f64().unwrap());
    assert!((found - expected).abs() < 1e-5, "{found}, not {expected}");
    // Classes in another order are others; so are some that --labels names.
    says("--method=prompt --train=two.jsonl --init-adapter=a --labels=yes,no --out=d", &[anew]);
    says(
        "--method=prompt --train=mixed.jsonl --init-adapter=a --labels=no,yes,maybe --out=e",
        &[anew],
    );
    // Classes of which some are known need a decision.
    let (code, said) = run("--method=prompt --train=mixed.jsonl --init-adapter=a --out=f");
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("knows no and yes, not maybe: for a new head, give all classes to --labels"),
        "{said}"
    );
    // A head alone has nothing else to give.
    says("--method=head --train=two.jsonl --out=h", &[]);
    let (code, said) = run("--method=head --train=three.jsonl --init-adapter=h --out=i");
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains(
            "is a head alone, which cannot start this run: its head is for the classes no, yes"
        ),
        "{said}"
    );
}

#[test]
fn another_kind_of_task_takes_the_virtual_tokens_alone() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    rows(dir, "lm.jsonl", 1, None);
    rows(dir, "classes.jsonl", 9, Some(&|at| json!(at % 2)));
    let tagged = |at: u64| json!({"input_ids": [4 + at, 9, 12], "labels": [0, at % 3, 1]});
    let text: String = (0..6).map(|at| format!("{}\n", tagged(at))).collect();
    fs::write(dir.join("tags.jsonl"), text).unwrap();
    let first = "--method=ptv2 --num-virtual-tokens=2 --train=classes.jsonl --steps=2 --out=a";
    succeed(&mut train(dir, "gpt2-cls", "seq-cls", first));
    let second = "--method=ptv2 --init-adapter=a --train=tags.jsonl --steps=2 --out=b";
    let said = succeed(&mut train(dir, "gpt2-cls", "token-cls", second)).stderr;
    let said = String::from_utf8(said).unwrap();
    assert!(
        said.contains("the head starts anew") && said.contains("its head is for seq-cls"),
        "{said}"
    );
    let result = read_json(&dir.join("b/result.json"));
    assert_eq!(
        (&result["started_from"]["task"], &result["started_from"]["head"]),
        (&json!("seq-cls"), &json!("new"))
    );
    let made = Adapter::load(&dir.join("b")).unwrap();
    // The tags are numbers: their classes are not the two of the other task.
    assert!(made.config.own.labels.is_some_and(|labels| labels.len() >= 3));
}

/// What a run has learnt is in its checkpoint: the adapter that it started from may be gone when it goes on.
#[test]
fn a_run_goes_on_without_the_adapter_that_it_started_from() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    rows(dir, "a.jsonl", 1, None);
    rows(dir, "b.jsonl", 30, None);
    rows(dir, "one.jsonl", 9, Some(&|at| json!(at % 2)));
    rows(dir, "two.jsonl", 20, Some(&|at| json!((at + 1) % 2)));
    for (base, task, from, to, flags) in [
        ("gpt2", "causal-lm", "a.jsonl", "b.jsonl", "--method=prompt"),
        ("gpt2", "causal-lm", "a.jsonl", "b.jsonl", "--method=prefix"),
        ("gpt2", "causal-lm", "a.jsonl", "b.jsonl", "--method=ptv2 --layers=0,2"),
        ("bert", "seq-cls", "one.jsonl", "two.jsonl", "--method=ptv2"),
        ("bert", "seq-cls", "one.jsonl", "two.jsonl", "--method=head"),
    ] {
        let method = flags.split(' ').next().unwrap();
        let of_start = match method {
            "--method=head" => String::new(),
            _ => " --num-virtual-tokens=3".to_string(),
        };
        let first = format!("{flags}{of_start} --train={from} --steps=3 --lr=0.05 --out=start");
        succeed(&mut train(dir, base, task, &first));
        let second = |out: &str, steps: usize| {
            format!(
                "{method} --init-adapter=start --train={to} --steps={steps} --lr=0.02 --schedule=constant \
                 --checkpoint-every=2 --out={out}"
            )
        };
        succeed(&mut train(dir, base, task, &second("whole", 6)));
        succeed(&mut train(dir, base, task, &second("parts", 3)));
        let other = peft(dir)
            .args(["train", "--resume", "--steps=6", "--init-adapter=whole", "--out=parts"])
            .output()
            .unwrap();
        let said = String::from_utf8(other.stderr).unwrap();
        assert_eq!(other.status.code(), Some(2), "{said}");
        assert!(said.contains("--init-adapter: found whole, but a run that goes on"), "{said}");
        fs::remove_dir_all(dir.join("start")).unwrap();
        let output = succeed(peft(dir).args(["train", "--resume", "--steps=6", "--out=parts"]));
        let said = String::from_utf8(output.stderr).unwrap();
        let bytes = |out: &str, file: &str| fs::read(dir.join(out).join(file)).unwrap();
        for file in ADAPTER_FILES {
            assert_eq!(bytes("parts", file), bytes("whole", file), "{flags}, {file}: {said}");
        }
        let started_from =
            |out: &str| read_json(&dir.join(out).join("result.json"))["started_from"].clone();
        assert!(started_from("whole").is_object(), "{flags}");
        assert_eq!(started_from("parts"), started_from("whole"), "{flags}");
        let settings = fs::read_to_string(dir.join("parts/run.toml")).unwrap();
        assert!(settings.contains("init_adapter = \"../start\""), "{settings}");
        // Without a checkpoint it begins anew, for which it needs its start.
        fs::remove_dir_all(dir.join("parts")).unwrap();
        fs::create_dir(dir.join("parts")).unwrap();
        fs::write(dir.join("parts/run.toml"), &settings).unwrap();
        let output = peft(dir).args(["train", "--resume", "--out=parts"]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && said.contains("start/adapter_config.json"),
            "{flags}: {said}"
        );
        assert!(!dir.join("parts/adapter_config.json").exists());
        for out in ["whole", "parts"] {
            fs::remove_dir_all(dir.join(out)).unwrap();
        }
    }
}
