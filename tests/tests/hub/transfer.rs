//! How files come: in parts, damaged, or without a checksum.

use std::fs;

use super::{
    Place, WEIGHTS, assert_says, bytes_of,
    server::{Fault, git_name, sha256},
};
use crate::support::succeed;

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
