//! `peft info`: yes only for what works, and why not.

use std::{fs, path::Path};

use peft_tests::vectors;
use serde_json::{Value, json};

use crate::support::{peft, refused_with, succeed};

/// `text` and `chat` of the folder `model`: whether they work, and the reason.
fn info(dir: &Path) -> [(bool, String); 2] {
    let output = succeed(peft(dir).args(["info", "model", "--json"])).stdout;
    let found: Value = serde_json::from_slice(&output).unwrap();
    ["text", "chat"].map(|part| {
        let reason = found[part]["reason"].as_str().unwrap_or_default();
        (found[part]["supported"].as_bool().unwrap(), reason.to_string())
    })
}

#[test]
fn text_and_chat_are_tried() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    succeed(peft(dir).args(["demo", "--export", "."]));
    let put = |name: &str, text: &str| fs::write(dir.join("model").join(name), text).unwrap();
    let [text, chat] = info(dir);
    assert!(text.0 && !chat.0 && chat.1.contains("no chat template of its own"), "{chat:?}");

    let template = "{% for message in messages %}{{ message.content }} {% endfor %}";
    put("chat_template.jinja", template);
    assert_eq!(info(dir), [(true, String::new()), (true, String::new())]);
    put("chat_template.jinja", "{{ raise_exception('no questions') }}");
    let [text, chat] = info(dir);
    assert!(text.0 && !chat.0 && chat.1.contains("no questions"), "{chat:?}");
    put("chat_template.jinja", "{% for %}");
    assert!(!info(dir)[1].0);

    // As `peft generate`, which takes rows with tools then, and refuses others.
    fs::remove_file(dir.join("model/chat_template.jinja")).unwrap();
    let path = dir.join("model/tokenizer_config.json");
    let plain = fs::read_to_string(&path).unwrap_or_else(|_| "{}".into());
    let by_name = |templates: Value| {
        let mut config: Value = serde_json::from_str(&plain).unwrap();
        config["chat_template"] = templates;
        fs::write(&path, config.to_string()).unwrap();
        let [_, chat] = info(dir);
        chat
    };
    let with_tools = "{{ tools[0].function.name }} {{ messages[0].content }}";
    let (yes, reason) = by_name(json!([{"name": "tool_use", "template": with_tools}]));
    assert!(yes && reason.starts_with("of rows with tools only: "), "{reason}");
    assert!(reason.contains("no chat template named default"), "{reason}");
    let lines = succeed(peft(dir).args(["info", "model"])).stdout;
    let lines = String::from_utf8(lines).unwrap();
    assert!(lines.contains("yes, of rows with tools only: "), "{lines}");
    let (yes, reason) =
        by_name(json!([{"name": "tool_use", "template": "{{ raise_exception('no tools') }}"}]));
    assert!(!yes && reason.contains("no tools"), "{reason}");
    let (yes, reason) = by_name(json!([{"name": "rag", "template": template}]));
    assert!(!yes && reason.contains("only rag"), "{reason}");
    by_name(Value::Null);

    put("chat_template.jinja", template);
    put(
        "generation_config.json",
        "version https://git-lfs.github.com/spec/v1\noid sha256:0f\nsize 117\n",
    );
    let [text, chat] = info(dir);
    assert!(!text.0 && text.1.contains("Git LFS pointer") && !chat.0, "{text:?} {chat:?}");
}

#[test]
fn an_encoder_decoder_has_no_chat() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("model");
    fs::create_dir(&model).unwrap();
    for file in fs::read_dir(vectors("base_models/t5-texts")).unwrap() {
        let file = file.unwrap().path();
        fs::copy(&file, model.join(file.file_name().unwrap())).unwrap();
    }
    fs::write(model.join("chat_template.jinja"), "{{ messages[0].content }}").unwrap();
    let [text, chat] = info(dir.path());
    assert!(text.0 && !chat.0 && chat.1 == "an encoder-decoder has no chat", "{text:?} {chat:?}");
}

#[test]
fn info_answers_for_models_that_are_not_supported() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("model");
    fs::create_dir(&model).unwrap();
    let config = r#"{"model_type": "mamba", "architectures": ["MambaForCausalLM"]}"#;
    fs::write(model.join("config.json"), config).unwrap();
    let output = succeed(peft(dir.path()).args(["info", "model", "--json"]));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["supported"], &json["model_type"]), (&false.into(), &"mamba".into()));
    assert!(json["reason"].as_str().unwrap().contains("model/config.json: key `model_type`"));
    let output = succeed(peft(dir.path()).args(["info", "model"]));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("This mamba model is not supported: "), "{text}");
    let said = refused_with(peft(dir.path()).args(["info", "none"]), 1);
    assert!(said.starts_with("error: ") && said.contains("cannot read none/config.json"), "{said}");
}
