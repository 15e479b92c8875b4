//! What is kept of the Hub, where, and when it is asked again.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
};

use peft_tests::vectors;
use serde_json::json;

use super::{
    Place, WEIGHTS, assert_says, bytes_of, json_of,
    server::{Fault, git_name, sha256},
};
use crate::support::succeed;

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
