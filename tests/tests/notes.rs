//! What the program says without being asked: of adapters, rows and runs that may not be what somebody thinks.

use std::{fs, path::Path, process::Command};

use peft_tests::vectors;
use serde_json::Value;

use crate::support::{copy_model, peft, refused, root, succeed, tiny_model, told};

fn notes(command: &mut Command) -> String {
    told(command).1
}

/// transformers takes them from the class of the model, too.
#[test]
fn sizes_that_a_config_lacks_are_told() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("ids.jsonl"), "{\"input_ids\": [5, 9, 3]}\n").unwrap();
    copy_model("llama", &dir.path().join("model"));
    let forward = || {
        let line = "forward --model model --input ids.jsonl --output logits.safetensors";
        let said = notes(peft(dir.path()).args(line.split_whitespace()));
        (said, fs::read(dir.path().join("logits.safetensors")).unwrap())
    };
    let (whole, expected) = forward();
    assert!(!whole.contains("lacks"), "{whole}");
    let path = dir.path().join("model/config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config.as_object_mut().unwrap().remove("max_position_embeddings").unwrap();
    fs::write(&path, config.to_string()).unwrap();
    let (lacking, found) = forward();
    let says = "note: model/config.json lacks sizes, which are taken from transformers' class: \
                max_position_embeddings 2048";
    assert!(lacking.contains(says), "{lacking}");
    assert!(found == expected);
    let info = succeed(peft(dir.path()).args(["info", "model"])).stdout;
    let info = String::from_utf8(info).unwrap();
    assert!(info.contains("max_position_embeddings 2048: the config lacks them"), "{info}");
}

#[test]
fn an_adapter_that_names_another_base_model_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("ids.jsonl"), "{\"input_ids\": [5, 9, 3]}\n").unwrap();
    copy_model("bert", &at("another"));
    copy_model("bert", &at("BERT"));
    // PEFT's own, which has no fingerprint.
    let adapter = vectors("logits/bert/prefix");
    let forward = |model: &Path, more: &[&str]| {
        let mut command = peft(dir.path());
        command.args(["forward", "--input", "ids.jsonl", "--output", "logits.safetensors"]);
        command.arg("--model").arg(model).arg("--adapter").arg(&adapter).args(more);
        notes(&mut command)
    };
    let says = "prefix says that it was trained on tests/vectors/logits/bert, and is used on ";
    let said = forward(&at("another"), &[]);
    assert!(said.contains(says) && said.contains("/another here"), "{said}");
    assert!(
        said.contains("if it is the same model under another name, nothing is wrong"),
        "{said}"
    );
    // What a config says counts where the folder has no name of its own.
    for (name, told) in [("model", false), ("yet-another", true)] {
        copy_model("bert", &at(name));
        let config = fs::read_to_string(at(name).join("config.json")).unwrap();
        let mut config: Value = serde_json::from_str(&config).unwrap();
        config["_name_or_path"] = "org/Bert-GGUF".into();
        fs::write(at(name).join("config.json"), config.to_string()).unwrap();
        let said = forward(&at(name), &[]);
        assert_eq!(said.contains("says that it was trained on"), told, "{name}: {said}");
    }
    for (model, more) in
        [(vectors("logits/bert"), &[][..]), (at("BERT"), &[]), (at("another"), &["--any-base"])]
    {
        let said = forward(&model, more);
        assert!(!said.contains("says that it was trained on"), "{said}");
    }
    // Also where a run starts from it.
    let mut train = peft(dir.path());
    train.args(["train", "--method=prefix", "--task=seq-cls", "--train=rows.jsonl", "--out=out"]);
    train.args(["--steps=1", "--model=another", "--init-adapter"]).arg(&adapter);
    fs::write(at("rows.jsonl"), "{\"input_ids\": [5, 9], \"label\": 0}\n".repeat(2)).unwrap();
    let said = String::from_utf8(train.output().unwrap().stderr).unwrap();
    let says =
        "the adapter of --init-adapter says that it was trained on tests/vectors/logits/bert";
    assert!(said.contains(says) && said.contains("is no start for this one"), "{said}");
}

/// PEFT 0.21.2 computes other logits of such an adapter each time it loads it: the pooler is random, and not stored.
#[test]
fn a_bert_without_a_pooler_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("ids.jsonl"), "{\"input_ids\": [5, 9, 3]}\n").unwrap();
    fs::write(at("rows.jsonl"), "{\"input_ids\": [5, 9], \"label\": 0}\n".repeat(2)).unwrap();
    fs::write(at("tags.jsonl"), "{\"input_ids\": [5, 9], \"labels\": [0, 1]}\n".repeat(2)).unwrap();
    let train = |base: &str, task: &str, rows: &str| {
        let mut command = peft(dir.path());
        command.args([
            "train",
            "--method=ptv2",
            "--steps=1",
            "--overwrite",
            "--out=out",
            "--task",
            task,
        ]);
        command.args(["--train", rows, "--model"]).arg(vectors("logits").join(base));
        notes(&mut command)
    };
    let says = "bert-tok holds no pooler (bert.pooler.dense.weight): the classifier reads the first token itself";
    let said = train("bert-tok", "seq-cls", "rows.jsonl");
    assert!(said.contains("warning: ") && said.contains(says), "{said}");
    assert!(said.contains("AutoModel.from_pretrained"), "{said}");
    for (base, task, rows) in
        [("bert", "seq-cls", "rows.jsonl"), ("bert-tok", "token-cls", "tags.jsonl")]
    {
        let said = train(base, task, rows);
        assert!(!said.contains("pooler"), "{base} {task}: {said}");
    }
    let forward = |base: &str| {
        let mut command = peft(dir.path());
        command.args(["forward", "--input", "ids.jsonl", "--output", "logits.safetensors"]);
        command.arg("--model").arg(vectors("logits").join(base));
        command.arg("--adapter").arg(vectors("logits/bert/prefix"));
        notes(&mut command)
    };
    let said = forward("bert-tok");
    assert!(said.contains("prefix: PEFT puts a pooler in front of this adapter's"), "{said}");
    let said = forward("bert");
    assert!(!said.contains("pooler"), "{said}");
}

/// PEFT 0.21.2 gives the logits of the base model for such an adapter.
#[test]
fn an_adapter_of_peft_without_a_task_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("ids.jsonl"), "{\"input_ids\": [5, 9, 3]}\n").unwrap();
    let (named, unnamed) = (vectors("logits/gpt2/prefix"), at("adapter"));
    fs::create_dir(&unnamed).unwrap();
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        fs::copy(named.join(file), unnamed.join(file)).unwrap();
    }
    let forward = |adapter: &Path, output: &str| {
        let mut command = peft(dir.path());
        command.args(["forward", "--input", "ids.jsonl", "--output", output, "--any-base"]);
        command.arg("--model").arg(vectors("logits/gpt2")).arg("--adapter").arg(adapter);
        (notes(&mut command), fs::read(at(output)).unwrap())
    };
    let (said, logits) = forward(&named, "named.safetensors");
    assert!(!said.contains("task_type"), "{said}");
    for task in [None, Some(Value::Null), Some("FEATURE_EXTRACTION".into())] {
        let config = fs::read_to_string(named.join("adapter_config.json")).unwrap();
        let mut config: Value = serde_json::from_str(&config).unwrap();
        let fields = config.as_object_mut().unwrap();
        match &task {
            Some(task) => fields.insert("task_type".into(), task.clone()),
            None => fields.remove("task_type"),
        };
        fs::write(unnamed.join("adapter_config.json"), config.to_string()).unwrap();
        let (said, same) = forward(&unnamed, "unnamed.safetensors");
        assert_eq!(same, logits, "{task:?}");
        let says = "adapter/adapter_config.json has no task_type, and so PEFT leaves its virtual tokens out; here they \
                    are used for causal-lm. To have them in both, write \"task_type\": \"CAUSAL_LM\" into it\n";
        let is_told = said.contains(says);
        assert_eq!(is_told, task.is_none_or(|task| task.is_null()), "{said}");
    }
}

/// A run on rows of token ids.
fn train(dir: &Path, task: &str, more: &[&str]) -> Command {
    let (model, row): (&str, fn(usize) -> String) = match task {
        "seq-cls" => {
            ("bert", |row| format!(r#"{{"input_ids": [2, {}, 7], "label": {}}}"#, 4 + row, row % 2))
        }
        _ => ("gpt2", |_| r#"{"input_ids": [2, 4, 7, 9], "labels": [-100, -100, 7, 9]}"#.into()),
    };
    let rows = (0..16).map(|at| row(at) + "\n");
    fs::write(dir.join("rows.jsonl"), rows.collect::<String>()).unwrap();
    let mut command = peft(dir);
    command.arg("train").arg("--model").arg(root().join(tiny_model(model)));
    command.args(["--method=prompt", "--num-virtual-tokens=2", "--batch-size=4", "--task", task]);
    command.args(["--train=rows.jsonl", "--out=out"]).args(more);
    command
}

#[test]
fn a_run_without_validation_rows_ends_with_its_loss() {
    let dir = tempfile::tempdir().unwrap();
    let output = succeed(&mut train(dir.path(), "causal-lm", &["--steps=30"]));
    let (results, said) = (output.stdout, String::from_utf8(output.stderr).unwrap());
    let results = String::from_utf8(results).unwrap();
    let line = results.lines().last().unwrap();
    let lines = fs::read_to_string(dir.path().join("out/metrics.jsonl")).unwrap();
    let losses: Vec<f64> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["loss"].as_f64().unwrap())
        .collect();
    let mean = losses[10..].iter().sum::<f64>() / 20.0;
    assert_eq!(
        line,
        format!(
            "train loss {mean:>10.4}  (mean of the last 20 steps; --valid or --valid-split scores rows that are not learnt)"
        )
    );
    // The rows that were learnt are no test; as many new tokens as a target has are enough.
    assert!(said.contains("--adapter out --input ROWS.jsonl --max-new-tokens 2\n"), "{said}");

    // It has ended: there is nothing to resume.
    let mut again = peft(dir.path());
    let said = notes(again.args(["train", "--resume", "--out=out"]));
    let says = "note: this run had ended already, at step 30 of 30: nothing is left to do; --resume with more --steps \
                or --epochs goes on with it, and --init-adapter out starts another run";
    assert!(said.contains(says), "{said}");
    let mut longer = peft(dir.path());
    let said = notes(longer.args(["train", "--resume", "--out=out", "--steps=31"]));
    assert!(!said.contains("had ended already"), "{said}");
    // Nor does one forget that there is one.
    let (code, said) = refused(peft(dir.path()).args(["train", "--out=out"]));
    assert!(code == Some(2) && said.contains("--resume continues the run in out"), "{said}");
}

#[test]
fn the_next_command_reads_no_rows_that_were_learnt() {
    let dir = tempfile::tempdir().unwrap();
    let said = notes(&mut train(dir.path(), "seq-cls", &["--steps=2", "--valid-split=0.25"]));
    let next = said.lines().find(|line| line.starts_with("next: ")).unwrap();
    assert!(next.ends_with("--adapter out --input ROWS.jsonl"), "{next}");
}

#[test]
fn the_next_command_asks_for_no_more_tokens_than_fit() {
    let dir = tempfile::tempdir().unwrap();
    let model = root().join(tiny_model("gpt2"));
    let config = fs::read_to_string(model.join("config.json")).unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    let positions = config["n_positions"].as_u64().unwrap() as usize;
    // Behind two virtual tokens, a long source with a short target, and the other way round.
    let row = |sources: usize, targets: usize| {
        let ids = vec![5; sources + targets];
        let labels = [vec![-100; sources], vec![5; targets]].concat();
        serde_json::json!({ "input_ids": ids, "labels": labels }).to_string() + "\n"
    };
    let long = positions - 3;
    fs::write(dir.path().join("long.jsonl"), row(long, 1) + &row(1, 5)).unwrap();
    let mut command = peft(dir.path());
    command.args(["train", "--method=prompt", "--num-virtual-tokens=2", "--task=causal-lm"]);
    command.args(["--train=long.jsonl", "--out=out", "--steps=1", "--model"]).arg(&model);
    let said = notes(&mut command);
    assert!(said.contains("--input ROWS.jsonl --max-new-tokens 2\n"), "{said}");
    let ids = serde_json::json!({ "input_ids": vec![5; long] }).to_string();
    fs::write(dir.path().join("ROWS.jsonl"), ids).unwrap();
    for (count, fits) in [("2", true), ("3", false)] {
        let mut command = peft(dir.path());
        command.args(["generate", "--adapter=out", "--input=ROWS.jsonl", "--model"]).arg(&model);
        let output = command.args(["--max-new-tokens", count]).output().unwrap();
        assert_eq!(output.status.success(), fits, "{count}");
    }
}

#[test]
fn what_was_probably_meant_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = |more: &[&str]| {
        let mut command = train(dir.path(), "seq-cls", &["--steps=2"]);
        refused(command.args(more))
    };
    for (more, code, says) in [
        (
            &["--valid=rovs.jsonl"][..],
            1,
            "rovs.jsonl: No such file or directory (os error 2); did you mean rows.jsonl?",
        ),
        (
            &["--class-weights=balansed"],
            2,
            "expected balanced or a JSON file; did you mean balanced?",
        ),
        (&["--optimizer=adamv"], 2, "expected one of adamw, adafactor, sgd; did you mean adamw?"),
        (&["--problem-type=regresion"], 2, "did you mean regression?"),
        (&["--pooling=fist"], 2, "did you mean first?"),
    ] {
        let (found, said) = missing(more);
        assert!(found == Some(code) && said.contains(says), "{more:?}: {found:?} {said}");
    }
    let (code, said) = refused(peft(dir.path()).args(["eval", "--model", "m", "--data", "d"]));
    assert!(code != Some(0) && !said.contains("did you mean"), "{said}");
    let weights = ["--class-weights=balanced", "--steps=1"];
    let (code, said) = refused(&mut train(dir.path(), "causal-lm", &weights));
    let says = "--class-weights: not used by causal-lm, which has no classes";
    assert!(code == Some(2) && said.contains(says), "{said}");
}

#[test]
fn logits_have_the_name_of_their_format() {
    let dir = tempfile::tempdir().unwrap();
    let mut forward = peft(dir.path());
    let flags = ["forward", "--model=m", "--input=ids.jsonl", "--output=logits.npy"];
    let (code, said) = refused(forward.args(flags));
    assert!(
        code == Some(2) && said.contains("--output: found logits.npy, and logits are"),
        "{said}"
    );
}

#[test]
fn a_format_is_for_rows_and_an_output_is_no_folder() {
    let dir = tempfile::tempdir().unwrap();
    for flag in ["--format=csv", "--ids", "--omit-input"] {
        let mut prompted = peft(dir.path());
        let flags = ["generate", "--model=m", "--prompt=x", "--max-new-tokens=2", flag];
        let (code, said) = refused(prompted.args(flags));
        let name = flag.split('=').next().unwrap();
        let says = format!("{name}: is for the rows of --input");
        assert!(code == Some(2) && said.contains(&says), "{said}");
    }
    let mut folder = peft(dir.path());
    let (code, said) =
        refused(folder.args(["predict", "--model=m", "--input=i", "--output=a.csv/"]));
    assert!(
        code == Some(2) && said.contains("--output: found a.csv/, the name of a folder"),
        "{said}"
    );
}

#[test]
fn a_folder_that_is_no_adapter_yet_names_the_way_to_one() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let foreign = vectors("interop/gpt2-prompt");
    fs::create_dir(at("prompt")).unwrap();
    fs::copy(foreign.join("adapter_model.safetensors"), at("prompt/adapter_model.safetensors"))
        .unwrap();
    let (code, said) = refused(peft(dir.path()).args(["inspect", "prompt"]));
    let says = "prompt: is no adapter yet: it holds a prompt or prefix alone, which becomes one by `peft convert --from \
                prompt --task TASK --to NEW`, with the task that it was trained for";
    assert!(code == Some(1) && said.contains(says), "{said}");
    let convert = ["convert", "--from", "prompt", "--task", "causal-lm", "--to", "NEW"];
    succeed(peft(dir.path()).args(convert));
    // A file that was left behind is to be copied; a shell takes the name as it stands.
    fs::rename(at("prompt"), at("a prompt")).unwrap();
    let (_, said) = refused(peft(dir.path()).args(["inspect", "a prompt"]));
    assert!(said.contains("`peft convert --from 'a prompt' --task"), "{said}");
    for left in ["burn_peft.json", "run.toml"] {
        fs::write(at("a prompt").join(left), "{}").unwrap();
        let (code, said) = refused(peft(dir.path()).args(["inspect", "a prompt"]));
        let says = "a prompt: holds no adapter_config.json, which was saved with what it holds: copy it, too";
        assert!(code == Some(1) && said.contains(says) && !said.contains("convert"), "{said}");
        fs::remove_file(at("a prompt").join(left)).unwrap();
    }
    copy_model("bert", &at("model"));
    let (code, said) = refused(peft(dir.path()).args(["inspect", "model"]));
    assert!(code == Some(1) && !said.contains("peft convert"), "{said}");
}
