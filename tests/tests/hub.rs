//! Models and adapters of the Hugging Face Hub: the program as a process, against a loopback server.

mod server;

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use peft_tests::vectors;
use safetensors::{SafeTensors, tensor::TensorView};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{peft, succeed};
use server::{Fault, Hub, git_name, sha256};

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
fn the_first_use_downloads_and_the_second_asks_nothing() {
    let place = Place::new("bert");
    let local = vectors("logits/bert").display().to_string();
    let expected = json_of(&succeed(&mut place.peft(&format!("info {local} --json"))));
    assert!(place.hub.requests().is_empty(), "a folder needs no Hub");
    let first = succeed(&mut place.peft("info org/tiny --json"));
    assert_eq!(json_of(&first), expected);
    let told = String::from_utf8(first.stderr).unwrap();
    assert_says(&told, &["downloading org/tiny: model.safetensors, 120.82 kB"]);

    // The layout is Python's.
    let commit = "a".repeat(40);
    assert_eq!(fs::read_to_string(place.cache("refs/main")).unwrap(), commit);
    let (config, weights) = (bytes_of("bert", "config.json"), bytes_of("bert", WEIGHTS));
    let mut blobs = [git_name(&config), sha256(&weights)];
    blobs.sort();
    assert_eq!(place.blobs(), blobs, "only what is needed, and nothing temporary");
    let link = fs::read_link(place.cache(&format!("snapshots/{commit}/{WEIGHTS}"))).unwrap();
    assert_eq!(link, Path::new("../../blobs").join(sha256(&weights)));
    assert_eq!(fs::read(place.cache(&format!("blobs/{}", sha256(&weights)))).unwrap(), weights);
    assert!(place.cache(&format!(".no_exist/{commit}/tokenizer.json")).is_file());

    let asked = place.hub.requests().len();
    // One for the list, two per file, and one after the redirect.
    assert_eq!(asked, 6, "{:?}", place.hub.requests());
    let second = succeed(&mut place.peft("info org/tiny --json"));
    assert_eq!((json_of(&second), second.stderr.len()), (expected.clone(), 0));
    let offline = succeed(place.peft("info org/tiny --json").env("HF_HUB_OFFLINE", "1"));
    assert_eq!((json_of(&offline), offline.stderr.len()), (expected, 0));
    assert_eq!(place.hub.requests().len(), asked);
}

/// A plan needs sizes alone. Training downloads the rest, as if nothing were there.
#[test]
fn a_plan_downloads_the_config_alone() {
    let place = Place::new("bert");
    let plan = "plan --model org/tiny --method ptv2 --task seq-cls --tokens-per-row 8 --classes 2 --device h100 --json";
    let first = succeed(&mut place.peft(plan));
    assert_eq!(place.blobs(), [git_name(&bytes_of("bert", "config.json"))]);
    assert!(place.hub.downloads(WEIGHTS).is_empty());
    assert!(!place.cache("refs/main").exists(), "a ref promises a complete snapshot");
    let missing = place.failure(place.peft(plan).env("HF_HUB_OFFLINE", "1"), 1);
    assert_says(&missing, &["org/tiny", "config.json"]);
    succeed(&mut place.peft("info org/tiny --json"));
    assert_eq!(place.hub.downloads(WEIGHTS).len(), 1);
    // What is whole needs no Hub.
    let asked = place.hub.requests().len();
    let second = succeed(place.peft(plan).env("HF_HUB_OFFLINE", "1"));
    assert_eq!((json_of(&second), place.hub.requests().len()), (json_of(&first), asked));
}

#[test]
fn other_folders_for_the_cache() {
    let place = Place::new("bert");
    let dir = place.dir.path();
    succeed(place.peft("info org/tiny").env("HF_HUB_CACHE", dir.join("one")));
    assert!(dir.join("one/models--org--tiny/refs/main").is_file());
    succeed(place.peft("info org/tiny").env("HUGGINGFACE_HUB_CACHE", dir.join("two")));
    assert!(dir.join("two/models--org--tiny/refs/main").is_file());
    succeed(
        place
            .peft("info org/tiny")
            .env_remove("HF_HOME")
            .env("HOME", dir)
            .env_remove("XDG_CACHE_HOME"),
    );
    assert!(dir.join(".cache/huggingface/hub/models--org--tiny/refs/main").is_file());
    assert!(!dir.join("hf").exists());
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
fn an_interrupted_download_is_resumed() {
    let weights = bytes_of("bert", WEIGHTS);
    let sent = |place: &Place| {
        let downloads = place.hub.downloads(WEIGHTS);
        let ranges: Vec<_> = downloads.iter().map(|request| request.range.clone()).collect();
        (ranges, downloads.iter().map(|request| request.sent).sum::<usize>())
    };
    let on = |byte: usize| Some(format!("bytes={byte}-"));

    // Within one command: only the rest is requested, twice.
    let place = Place::new("bert");
    place.hub.plan(WEIGHTS, &[Fault::Cut(50_000), Fault::Cut(20_000)]);
    succeed(&mut place.peft("info org/tiny"));
    assert_eq!(sent(&place), (vec![None, on(50_000), on(70_000)], weights.len()));

    // Over two commands.
    let place = Place::new("bert");
    let mut faults = vec![Fault::Cut(50_000)];
    faults.extend([Fault::Status(503); 4]);
    place.hub.plan(WEIGHTS, &faults);
    let message = place.failure(&mut place.peft("info org/tiny"), 1);
    let parts =
        ["org/tiny", "status 503", "50.00 kB of 120.82 kB received: run", "again", "HF_ENDPOINT"];
    assert_says(&message, &parts);
    assert!(!message.contains("secret"), "{message}");
    let partial = place.cache(&format!("blobs/{}.incomplete", sha256(&weights)));
    assert_eq!(fs::metadata(&partial).unwrap().len(), 50_000);
    assert!(!place.cache("refs/main").exists(), "a ref promises a complete snapshot");
    let told = String::from_utf8(succeed(&mut place.peft("info org/tiny")).stderr).unwrap();
    assert_says(&told, &["resuming at 50.00 kB"]);
    let (ranges, bytes) = sent(&place);
    assert_eq!((ranges.last().unwrap(), bytes), (&on(50_000), weights.len()));
    assert!(!partial.exists());

    // A server that ignores ranges sends everything again.
    let place = Place::new("bert");
    place.hub.plan(WEIGHTS, &[Fault::Cut(50_000), Fault::NoRange]);
    succeed(&mut place.peft("info org/tiny"));
    assert_eq!(sent(&place).1, weights.len() + 50_000);
}

#[test]
fn corrupt_files_are_refused_and_removed() {
    for (file, kind) in [(WEIGHTS, "SHA-256"), ("config.json", "git SHA-1")] {
        let place = Place::new("bert");
        place.hub.plan(file, &[Fault::Corrupt]);
        let message = place.failure(&mut place.peft("info org/tiny"), 1);
        assert_says(&message, &["org/tiny", file, kind, "expects", "removed", "again"]);
        assert!(!place.cache("refs/main").exists());
        let bytes = bytes_of("bert", file);
        let etag = if file == WEIGHTS { sha256(&bytes) } else { git_name(&bytes) };
        assert!(!place.blobs().iter().any(|name| name.starts_with(&etag)), "{:?}", place.blobs());
        succeed(&mut place.peft("info org/tiny"));
    }
    // An interrupted download was corrupted since.
    let place = Place::new("bert");
    fs::create_dir_all(place.cache("blobs")).unwrap();
    let partial = place.cache(&format!("blobs/{}.incomplete", sha256(&bytes_of("bert", WEIGHTS))));
    fs::write(&partial, vec![7; 1000]).unwrap();
    assert_says(&place.failure(&mut place.peft("info org/tiny"), 1), &["SHA-256", "again"]);
    assert!(!partial.exists());
    succeed(&mut place.peft("info org/tiny"));
}

#[test]
fn a_range_that_is_refused_is_not_asked_for_again() {
    let place = Place::new("bert");
    place.hub.plan(WEIGHTS, &[Fault::Cut(50_000), Fault::Status(416)]);
    succeed(&mut place.peft("info org/tiny"));
    let ranges: Vec<_> =
        place.hub.downloads(WEIGHTS).into_iter().map(|request| request.range).collect();
    assert_eq!(ranges, [None, Some("bytes=50000-".to_string()), None]);
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
fn files_without_checksums_are_kept_apart() {
    let place = Place::new("bert");
    let bert = |file| bytes_of("bert", file);
    place.hub.give_etag("5f3a-1000");
    let told = String::from_utf8(succeed(&mut place.peft("info org/tiny")).stderr).unwrap();
    assert_says(&told, &["org/tiny: model.safetensors: the server names no checksum"]);
    let commit = "a".repeat(40);
    for file in ["config.json", WEIGHTS] {
        let held = fs::read(place.cache(&format!("snapshots/{commit}/{file}"))).unwrap();
        assert!(held == bert(file), "{file}");
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
fn a_cache_that_python_made_is_used() {
    let place = Place::new("bert");
    let commit = "f".repeat(40);
    let snapshot = place.cache(&format!("snapshots/{commit}"));
    for folder in [&place.cache("blobs"), &place.cache("refs"), &snapshot] {
        fs::create_dir_all(folder).unwrap();
    }
    for file in ["config.json", WEIGHTS] {
        let bytes = bytes_of("gpt2", file);
        let etag = if file == WEIGHTS { sha256(&bytes) } else { git_name(&bytes) };
        fs::write(place.cache(&format!("blobs/{etag}")), bytes).unwrap();
        symlink(format!("../../blobs/{etag}"), snapshot.join(file)).unwrap();
    }
    fs::write(place.cache("refs/main"), &commit).unwrap();
    let type_of = |command: &mut Command| {
        let output = succeed(command);
        (json_of(&output)["model_type"].clone(), String::from_utf8(output.stderr).unwrap())
    };
    // Python never looked for a tokenizer, so the Hub is asked; it does not know that commit, or is unreachable.
    for endpoint in [place.hub.url.as_str(), "http://127.0.0.1:1"] {
        let (found, told) =
            type_of(place.peft("info org/tiny --json").env("HF_ENDPOINT", endpoint));
        assert_eq!(found, "gpt2");
        assert_says(&told, &["note: using org/tiny as it is in the cache"]);
    }
    let (found, told) = type_of(place.peft("info org/tiny --json").env("HF_HUB_OFFLINE", "1"));
    assert_eq!((found, told.as_str()), (json!("gpt2"), ""));
    // Had Python looked, it would have recorded that there are none.
    let absent = place.cache(&format!(".no_exist/{commit}"));
    fs::create_dir_all(&absent).unwrap();
    for file in [
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "chat_template.jinja",
        "chat_template.json",
        "adapter_config.json",
        "vocab.txt",
        "vocab.json",
        "merges.txt",
        "tokenizer.model",
        "spiece.model",
        "sentencepiece.bpe.model",
    ] {
        fs::write(absent.join(file), "").unwrap();
    }
    let asked = place.hub.requests().len();
    let (found, told) = type_of(&mut place.peft("info org/tiny --json"));
    assert_eq!((found, told.as_str()), (json!("gpt2"), ""));
    assert_eq!(place.hub.requests().len(), asked);
}

#[test]
fn two_processes_download_a_model_once() {
    let place = Place::new("bert");
    place.hub.plan(WEIGHTS, &[Fault::Slow(1000)]);
    let start = || {
        let mut command = place.peft("info org/tiny --json");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let outputs = [start(), start()].map(|child| child.wait_with_output().unwrap());
    for output in &outputs {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(json_of(output)["model_type"], "bert");
    }
    assert_eq!(place.hub.downloads(WEIGHTS).len(), 1, "one waits for the other");
    assert_eq!(place.blobs().len(), 2);
}

#[test]
fn a_model_in_shards() {
    let place = Place::new("bert");
    let whole = bytes_of("bert", WEIGHTS);
    let tensors = SafeTensors::deserialize(&whole).unwrap();
    let mut names: Vec<&str> = tensors.names();
    names.sort_unstable();
    let (one, two) = names.split_at(names.len() / 2);
    let shard = |names: &[&str]| {
        let views: Vec<(&str, TensorView<'_>)> =
            names.iter().map(|name| (*name, tensors.tensor(name).unwrap())).collect();
        safetensors::serialize(views, None).unwrap()
    };
    let map: serde_json::Map<String, Value> = names
        .iter()
        .map(|name| {
            (
                name.to_string(),
                json!(if one.contains(name) { "1.safetensors" } else { "2.safetensors" }),
            )
        })
        .collect();
    place.hub.put(
        "org/tiny",
        "main",
        'b',
        &[
            ("config.json", bytes_of("bert", "config.json")),
            ("model.safetensors.index.json", json!({"weight_map": map}).to_string().into_bytes()),
            ("1.safetensors", shard(one)),
            ("2.safetensors", shard(two)),
        ],
    );
    let found = json_of(&succeed(&mut place.peft("info org/tiny --json")));
    let local = vectors("logits/bert").display().to_string();
    let expected = json_of(&succeed(&mut place.peft(&format!("info {local} --json"))));
    assert_eq!(found["parameters"], expected["parameters"]);
    let asked = place.hub.requests().len();
    fs::remove_file(place.cache(&format!("snapshots/{}/2.safetensors", "b".repeat(40)))).unwrap();
    succeed(&mut place.peft("info org/tiny"));
    assert_eq!(place.hub.downloads("2.safetensors").len(), 1, "its blob was still there");
    assert!(place.hub.requests().len() > asked);
}

#[test]
fn a_model_that_has_only_files_of_torch() {
    let place = Place::new("bert");
    for (name, weights) in [
        ("gpt2-old", &["pytorch_model.bin"][..]),
        ("llama-shards", &["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"]),
    ] {
        let local = vectors("base_models").join(name);
        place.hub.put_folder(&format!("org/{name}"), &local, &[("tf_model.h5", b"x".to_vec())]);
        let found = json_of(&succeed(&mut place.peft(&format!("info org/{name} --json"))));
        let line = format!("info {} --json", local.display());
        assert_eq!(found, json_of(&succeed(&mut place.peft(&line))), "{name}");
        let asked = |file: &str| place.hub.requests().iter().any(|r| r.path.ends_with(file));
        assert!(weights.iter().all(|file| asked(file)) && !asked("tf_model.h5"), "{name}");
    }
}

#[test]
fn adapters_are_downloaded_too() {
    let place = Place::new("bert");
    let model = vectors("logits/bert");
    place.hub.put_folder("org/prompt", &model.join("prompt"), &[]);
    let rows = model.join("rows.jsonl").display().to_string();
    let forward = |model: &str, adapter: &str, out: &str| {
        let line =
            format!("forward --model {model} --adapter {adapter} --input {rows} --output {out}");
        succeed(&mut place.peft(&line));
        fs::read(place.dir.path().join(out)).unwrap()
    };
    let local = model.display().to_string();
    let expected = forward(&local, &format!("{local}/prompt"), "local");
    assert_eq!(forward("org/tiny", "org/prompt", "hub"), expected);
    let asked = place.hub.requests().len();
    assert_eq!(forward("org/tiny", "org/prompt", "again"), expected);
    assert_eq!(place.hub.requests().len(), asked);
    let shown = succeed(&mut place.peft("inspect org/prompt --model org/tiny --json"));
    assert_eq!(json_of(&shown)["config"]["peft_type"], "PROMPT_TUNING");
}

/// transformers puts a LoRA of the same repository on the model.
#[test]
fn an_adapter_beside_a_model_is_not_overlooked() {
    let place = Place::new("bert");
    let config = json!({"peft_type": "LORA", "r": 8}).to_string().into_bytes();
    let others = [("adapter_config.json", config), ("adapter_model.safetensors", b"x".to_vec())];
    place.hub.put_folder("org/tuned", &vectors("logits/bert"), &others);
    let rows = vectors("logits/bert/rows.jsonl").display().to_string();
    let line = format!("forward --model org/tuned --input {rows} --output out");
    for _ in 0..2 {
        let message = place.failure(&mut place.peft(&line), 1);
        assert_says(&message, &["adapter_config.json", "`peft_type`", "LORA", "merge_and_unload"]);
    }
    assert!(place.hub.downloads("adapter_model.safetensors").is_empty());
}

#[test]
fn a_run_remembers_the_name_of_its_model() {
    let place = Place::new("bert");
    let dir = place.dir.path();
    let rows = "{\"input_ids\": [2, 7, 9], \"label\": 0}\n{\"input_ids\": [2, 8], \"label\": 1}\n";
    fs::write(dir.join("rows.jsonl"), rows).unwrap();
    let line = "train --model org/tiny@main --method ptv2 --task seq-cls --train rows.jsonl --out run \
                --steps 2 --num-virtual-tokens 3 --lr 0.01";
    succeed(&mut place.peft(line));
    let config: Value =
        serde_json::from_slice(&fs::read(dir.join("run/adapter_config.json")).unwrap()).unwrap();
    assert_eq!(config["base_model_name_or_path"], "org/tiny");
    let settings = fs::read_to_string(dir.join("run/run.toml")).unwrap();
    assert_says(&settings, &["model = \"org/tiny@main\""]);
    let asked = place.hub.requests().len();
    succeed(&mut place.peft("train --out run --resume"));
    let predicted =
        succeed(&mut place.peft("predict --model org/tiny --adapter run --input rows.jsonl"));
    assert_eq!(String::from_utf8(predicted.stdout).unwrap().lines().count(), 2);
    // And a run that starts from it.
    let line = "train --model org/tiny --init-adapter run --method ptv2 --task seq-cls --train rows.jsonl \
                --out next --steps 1 --lr 0.01";
    succeed(&mut place.peft(line));
    assert_eq!(place.hub.requests().len(), asked);
}
