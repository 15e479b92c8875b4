//! Case 09: conversations.

use std::fs;

use peft_tests::shared;
use serde_json::json;

use crate::support::{parse_lines, peft, succeed};

/// Words alone, since that is all the small model's tokenizer has.
const TEMPLATE: &str = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}\
                        {% if add_generation_prompt %}assistant: {% endif %}";

#[test]
fn case_09_messages_are_learnt_evaluated_and_answered() {
    let (Some(rows), Some(model)) =
        (shared("cases/09-chat-messages/train.jsonl"), shared("models/stories260k"))
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    fs::copy(&rows, dir.path().join("train.jsonl")).unwrap();
    fs::write(dir.path().join("chat.jinja"), TEMPLATE).unwrap();
    let model = model.display().to_string();
    let run = |line: &str| {
        let mut command = peft(dir.path());
        command.args(line.split_whitespace()).args(["--model", &model]);
        command
    };

    fs::write(dir.path().join("prompts.jsonl"), "{\"prompt\": \"hello\"}\n").unwrap();

    // The model has no template: that is said, with the way out.
    let train = "train --task causal-lm --method prompt --num-virtual-tokens 2 --train train.jsonl --steps 2 \
                 --batch-size 2 --out out";
    let output = run(train).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(
        stderr.contains("--chat-template: ") && stderr.contains("has no chat template"),
        "{stderr}"
    );

    let output = run("generate --chat --input prompts.jsonl").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && stderr.contains("has no chat template"), "{stderr}");

    // The adapter remembers the template, wherever its file is.
    succeed(&mut run(&format!("{train} --chat-template chat.jinja")));
    fs::remove_file(dir.path().join("chat.jinja")).unwrap();
    let output =
        succeed(&mut run("eval --adapter out --data train.jsonl --json --max-new-tokens 3"));
    let scores = &parse_lines(&String::from_utf8_lossy(&output.stdout))[0];
    assert!(scores["loss"].is_f64() && scores["exact_match"].is_f64(), "{scores}");

    // `--chat` asks what a row of messages asks.
    let messages = [("system", "Be kind."), ("user", "hello")];
    let messages = messages.map(|(role, content)| json!({"role": role, "content": content}));
    fs::write(dir.path().join("ask.jsonl"), json!({ "messages": messages }).to_string()).unwrap();
    let generate = "generate --adapter out --max-new-tokens 8";
    let output = succeed(&mut run(&format!("{generate} --omit-input --input ask.jsonl")));
    let row = &parse_lines(&String::from_utf8_lossy(&output.stdout))[0];
    let mut chat = run(&format!("{generate} --chat --prompt hello"));
    let output = succeed(chat.args(["--system", "Be kind."]));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said.trim(), row["output"].as_str().unwrap().trim());

    // `--chat` and `--system` say of a file's texts what they say of a prompt's.
    let answer = |input: &str, system: &str| {
        let mut chat = run(&format!("{generate} --chat --omit-input --input {input}"));
        let output = succeed(chat.args(["--system", system]));
        let rows = parse_lines(&String::from_utf8_lossy(&output.stdout));
        (rows[0].clone(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    fs::write(dir.path().join("lines.text"), "hello\n").unwrap();
    let unasked = json!({ "messages": [messages[1].clone()] });
    fs::write(dir.path().join("unasked.jsonl"), unasked.to_string()).unwrap();
    for input in ["prompts.jsonl", "lines.text", "unasked.jsonl"] {
        assert_eq!(answer(input, "Be kind.").0, *row, "{input}");
    }
    let (kept, stderr) = answer("ask.jsonl", "Be brief.");
    assert_eq!(kept, *row);
    assert!(stderr.contains("1 of 1 rows have a message of the system of their own"), "{stderr}");
    assert!(!said.contains("hello\nassistant"), "the prompt is not repeated: {said}");
}

/// As in transformers: a conversation that names tools is rendered by `tool_use`, and others need `default`.
#[test]
fn case_09_a_template_for_tools_alone_renders_rows_with_tools() {
    let (Some(_), Some(model)) =
        (shared("cases/09-chat-messages/train.jsonl"), shared("models/stories260k"))
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join("model");
    fs::create_dir(&own).unwrap();
    for entry in fs::read_dir(model).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, own.join(path.file_name().unwrap())).unwrap();
        }
    }
    let path = own.join("tokenizer_config.json");
    let mut config: serde_json::Value =
        fs::read(&path).map_or(json!({}), |bytes| serde_json::from_slice(&bytes).unwrap());
    config["chat_template"] = json!([{"name": "tool_use", "template": TEMPLATE}]);
    fs::write(&path, config.to_string()).unwrap();

    let messages = json!([{"role": "user", "content": "hello"}]);
    let tools = json!([{"type": "function", "function": {"name": "look"}}]);
    fs::write(
        dir.path().join("with.jsonl"),
        json!({"messages": messages, "tools": tools}).to_string(),
    )
    .unwrap();
    fs::write(dir.path().join("without.jsonl"), json!({"messages": messages}).to_string()).unwrap();
    let generate = "generate --model model --max-new-tokens 4 --input";
    let run = |rest: &str| {
        let mut command = peft(dir.path());
        command.args(format!("{generate} {rest}").split_whitespace());
        command
    };
    let found = succeed(&mut run("with.jsonl")).stdout;
    let output = run("without.jsonl").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    for part in [
        "without.jsonl, line 1: ",
        "tokenizer_config.json: has no chat template named default",
        "only tool_use",
        "--chat-template",
    ] {
        assert!(stderr.contains(part), "{part:?} is not in {stderr}");
    }
    fs::write(dir.path().join("chat.jinja"), TEMPLATE).unwrap();
    let given = succeed(&mut run("without.jsonl --chat-template chat.jinja")).stdout;
    let [found, given] = [found, given]
        .map(|text| parse_lines(&String::from_utf8_lossy(&text))[0]["output"].clone());
    assert_eq!(found, given);
}
