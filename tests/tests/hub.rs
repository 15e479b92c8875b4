//! Models and adapters of the Hugging Face Hub: the program as a process, against a loopback server.
//!
//! Here what a name stands for, who may have it, and failures. In `cache` what is kept, in `transfer` how files come, in
//! `repositories` which of them are needed.

mod cache;
mod repositories;
mod server;
mod transfer;

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use peft_tests::vectors;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{peft, succeed};
use server::Hub;

const WEIGHTS: &str = "model.safetensors";

/// A folder to run in, with its own cache, and a Hub.
struct Place {
    dir: TempDir,
    hub: Hub,
}

impl Place {
    /// The Hub has the tiny model `name` as `org/tiny`, with other files that repositories have.
    fn new(name: &str) -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap(), hub: Hub::start() };
        let others = [("README.md", b"x".to_vec()), ("pytorch_model.bin", b"x".to_vec())];
        place.hub.put_folder("org/tiny", &vectors(&format!("logits/{name}")), &others);
        place
    }

    fn peft(&self, line: &str) -> Command {
        let mut command = peft(self.dir.path());
        for variable in [
            "SSL_CERT_FILE",
            "HF_TOKEN",
            "HUGGING_FACE_HUB_TOKEN",
            "HF_TOKEN_PATH",
            "HF_HUB_CACHE",
            "HUGGINGFACE_HUB_CACHE",
            "HF_HUB_OFFLINE",
            "TRANSFORMERS_OFFLINE",
            "HTTP_PROXY",
            "http_proxy",
            "ALL_PROXY",
            "all_proxy",
            "HTTPS_PROXY",
            "https_proxy",
        ] {
            command.env_remove(variable);
        }
        command.env("HF_HOME", self.dir.path().join("hf")).env("HF_ENDPOINT", &self.hub.url);
        command.args(line.split_whitespace());
        command
    }

    /// A file or folder of the repository in the cache.
    fn cache(&self, path: &str) -> PathBuf {
        self.dir.path().join("hf/hub/models--org--tiny").join(path)
    }

    /// Runs the program, which must fail and print nothing but a message, and returns the message.
    fn failure(&self, command: &mut Command, code: i32) -> String {
        let output = command.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(output.stdout.is_empty());
        assert!(!stderr.contains("panicked"), "{stderr}");
        let error = stderr.lines().find(|line| line.starts_with("error: "));
        error.unwrap_or_else(|| panic!("{stderr}")).to_string()
    }

    fn blobs(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.cache("blobs")) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

fn bytes_of(name: &str, file: &str) -> Vec<u8> {
    fs::read(vectors(&format!("logits/{name}")).join(file)).unwrap()
}

#[test]
fn a_local_folder_takes_precedence_over_the_hub() {
    let place = Place::new("bert");
    let folder = place.dir.path().join("org/tiny");
    fs::create_dir_all(&folder).unwrap();
    for file in ["config.json", WEIGHTS] {
        fs::write(folder.join(file), bytes_of("gpt2", file)).unwrap();
    }
    let info = json_of(&succeed(&mut place.peft("info org/tiny --json")));
    assert_eq!(info["model_type"], "gpt2");
    assert!(place.hub.requests().is_empty());
}

#[test]
fn revisions() {
    let place = Place::new("bert");
    let files = ["config.json", WEIGHTS].map(|file| (file, bytes_of("gpt2", file)));
    place.hub.put("org/tiny", "refs/pr/1", 'b', &files);
    let type_of = |name: &str| {
        json_of(&succeed(&mut place.peft(&format!("info {name} --json"))))["model_type"].clone()
    };
    let commit = "b".repeat(40);
    assert_eq!(type_of("org/tiny"), "bert");
    assert_eq!(type_of("org/tiny@refs/pr/1"), "gpt2");
    assert_eq!(fs::read_to_string(place.cache("refs/refs/pr/1")).unwrap(), commit);
    let asked = place.hub.requests().len();
    assert_eq!(type_of(&format!("org/tiny@{commit}")), "gpt2");
    assert_eq!(type_of("org/tiny"), "bert");
    assert_eq!(place.hub.requests().len(), asked);
    let message = place.failure(&mut place.peft("info org/tiny@v9"), 1);
    assert_says(&message, &["org/tiny@v9", "no revision v9", "/org/tiny/tree/main"]);
}

#[test]
fn a_commit_is_the_one_asked_for() {
    let place = Place::new("bert");
    let (asked, said) = ("a".repeat(40), "c".repeat(40));
    place.hub.say_commit(&said);
    let message = place.failure(&mut place.peft(&format!("info org/tiny@{asked}")), 1);
    assert_says(&message, &[&said, &format!("expected {asked:?}"), "HF_ENDPOINT"]);
    assert!(!place.cache("snapshots").exists());
    place.hub.say_commit("../up");
    let message = place.failure(&mut place.peft("info org/tiny"), 1);
    assert_says(&message, &["found the commit \"../up\", expected a name without slashes"]);
    // Capital letters make no other commit.
    for said in [&asked, &asked.to_uppercase()] {
        let place = Place::new("bert");
        place.hub.say_commit(said);
        for revision in [&asked, &asked.to_uppercase()] {
            succeed(&mut place.peft(&format!("info org/tiny@{revision}")));
        }
        assert_eq!(place.hub.downloads(WEIGHTS).len(), 1);
        assert!(
            place.cache(&format!("snapshots/{asked}")).exists() && !place.cache("refs").exists()
        );
    }
}

#[test]
fn the_token_is_sent_only_to_the_hub() {
    let place = Place::new("bert");
    let store = Hub::start();
    place.hub.store_at(&store);
    place.hub.gate("hf_right", 401, "GatedRepo");
    let page = format!("{}/org/tiny", place.hub.url);
    let message = place.failure(&mut place.peft("info org/tiny"), 1);
    assert_says(&message, &["org/tiny", "401", "told so", &page, "HF_TOKEN", "none is set"]);
    let message = place.failure(place.peft("info org/tiny").env("HF_TOKEN", "hf_wrong"), 1);
    assert_says(&message, &[&page, "the one set has no access"]);
    assert!(!message.contains("hf_wrong"), "{message}");
    succeed(place.peft("info org/tiny").env("HF_TOKEN", "hf_right"));
    let there = store.requests();
    assert!(!there.is_empty() && there.iter().all(|r| r.token.is_none()), "{there:?}");

    // Where `hf auth login` puts it.
    fs::remove_dir_all(place.cache("")).unwrap();
    fs::write(place.dir.path().join("hf/token"), "hf_right\n").unwrap();
    succeed(&mut place.peft("info org/tiny"));
    assert!(store.requests().iter().all(|r| r.token.is_none()));
}

#[test]
fn failures_say_what_to_do() {
    let place = Place::new("bert");
    let message = place.failure(&mut place.peft("info org/none"), 1);
    assert_says(
        &message,
        &["org/none", "no such local folder", &place.hub.url, "private", "HF_TOKEN"],
    );
    for variable in ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"] {
        let asked = place.hub.requests().len();
        let message = place.failure(place.peft("info org/tiny").env(variable, "1"), 1);
        assert_says(
            &message,
            &["org/tiny", "config.json", "not in the cache", "hf/hub", variable, "copy"],
        );
        assert_eq!(place.hub.requests().len(), asked);
    }
    let message =
        place.failure(place.peft("info org/tiny").env("HF_ENDPOINT", "http://127.0.0.1:1"), 1);
    assert_says(&message, &["org/tiny", "127.0.0.1:1", "refused", "hf download org/tiny", "path"]);
    let message = place.failure(place.peft("info org/tiny").env("HF_ENDPOINT", "hub"), 2);
    assert_says(&message, &["HF_ENDPOINT", "\"hub\""]);
    let message = place.failure(&mut place.peft("info nowhere"), 1);
    assert_says(&message, &["cannot read nowhere/config.json", "No such file", "org/name"]);
    assert_says(&message, &[&format!("; {} has none of this name", place.hub.url)]);

    place.hub.put(
        "org/old",
        "main",
        'c',
        &[("config.json", bytes_of("bert", "config.json")), ("tf_model.h5", b"x".to_vec())],
    );
    let message = place.failure(&mut place.peft("info org/old"), 1);
    assert_says(&message, &["org/old", "safetensors", "found tf_model.h5", "save_pretrained"]);
    place.hub.put("org/data", "main", 'd', &[("README.md", b"x".to_vec())]);
    let message = place.failure(&mut place.peft("info org/data"), 1);
    assert_says(&message, &["org/data", "no file config.json"]);
    let message = place.failure(&mut place.peft("inspect org/tiny"), 1);
    assert_says(&message, &["org/tiny", "no file adapter_config.json"]);

    fs::write(place.dir.path().join("file"), "").unwrap();
    let message = place.failure(place.peft("info org/tiny").env("SSL_CERT_FILE", "file"), 2);
    assert_says(&message, &["SSL_CERT_FILE", "file", "no certificate"]);

    // The cache cannot be written.
    let message = place.failure(place.peft("info org/tiny").env("HF_HOME", "file"), 1);
    assert_says(&message, &["cannot write", "file/hub", "HF_HOME"]);
}

#[test]
fn the_hub_leads_on_from_a_name_without_an_organisation() {
    let place = Place::new("bert");
    place.hub.lead_on("old-tiny", "org/tiny");
    let found = json_of(&succeed(&mut place.peft("info old-tiny --json")));
    assert_eq!(found, json_of(&succeed(&mut place.peft("info org/tiny --json"))));
    // As Python has it.
    assert!(place.dir.path().join("hf/hub/models--old-tiny/refs/main").is_file());
    let asked = place.hub.requests().len();
    let again = succeed(place.peft("info old-tiny --json").env("HF_HUB_OFFLINE", "1"));
    assert_eq!((json_of(&again), place.hub.requests().len()), (found, asked));
    let plan = "plan --model old-tiny --method ptv2 --task seq-cls --tokens-per-row 8 --classes 2 --device h100";
    succeed(&mut place.peft(plan));

    // What is not asked, and cannot be, is told; an adapter never had such a name.
    let message = place.failure(place.peft("info tiny").env("HF_HUB_OFFLINE", "1"), 1);
    assert_says(
        &message,
        &["cannot read tiny/config.json", "such as org/tiny; it is not asked", "HF_HUB_OFFLINE"],
    );
    let message =
        place.failure(place.peft("info tiny").env("HF_ENDPOINT", "http://127.0.0.1:1"), 1);
    assert_says(
        &message,
        &["cannot read tiny/config.json", "such as org/tiny; it could not be asked", "refused"],
    );
    assert_eq!(place.hub.requests().len(), asked);
    let message = place.failure(&mut place.peft("inspect old-tiny-adapter"), 1);
    assert_says(&message, &["cannot read old-tiny-adapter/adapter_config.json"]);
    assert_eq!(place.hub.requests().len(), asked);
    // Nor is a path.
    let message = place.failure(&mut place.peft("info ./old-tiny"), 1);
    assert_says(&message, &["cannot read ./old-tiny/config.json"]);
    assert_eq!(place.hub.requests().len(), asked);

    // Nothing is looked up in a folder that is there.
    fs::create_dir(place.dir.path().join("old-tiny")).unwrap();
    let message = place.failure(&mut place.peft("info old-tiny"), 1);
    assert!(!message.contains("it could not be asked"), "{message}");
    assert_eq!(place.hub.requests().len(), asked);
}
