//! `--tensorboard`: event files, read back by a reader of their own.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::support::{peft, read_lines, root, succeed, tiny_model};

/// CRC-32C, bit by bit: the polynomial of Castagnoli, reflected.
fn crc32c(bytes: &[u8]) -> u32 {
    let bit = |sum: u32| if sum & 1 == 1 { sum >> 1 ^ 0x82f6_3b78 } else { sum >> 1 };
    let byte = |sum: u32, byte: &u8| (0..8).fold(sum ^ u32::from(*byte), |sum, _| bit(sum));
    !bytes.iter().fold(!0, byte)
}

/// The data of all records of a file; `None` if a length or a sum is wrong.
fn records(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let is_sum = |data: &[u8], sum: &[u8]| {
        let found = crc32c(data);
        let masked = found.rotate_right(15).wrapping_add(0xa282_ead8);
        sum == masked.to_le_bytes()
    };
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_at_checked(8)?;
        let (sum, rest) = rest.split_at_checked(4)?;
        is_sum(length, sum).then_some(())?;
        let count = u64::from_le_bytes(length.try_into().ok()?) as usize;
        let (data, rest) = rest.split_at_checked(count)?;
        let (sum, rest) = rest.split_at_checked(4)?;
        is_sum(data, sum).then_some(())?;
        found.push(data.to_vec());
        bytes = rest;
    }
    Some(found)
}

/// The fields of a message of protobuf: numbers as they are, others as bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, Vec<u8>)> {
    let varint = |bytes: &mut &[u8]| {
        let mut value = 0;
        for place in 0.. {
            let (first, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            value |= u64::from(first & 0x7f) << (7 * place);
            if first & 0x80 == 0 {
                break;
            }
        }
        value
    };
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let (number, size) = match key & 7 {
            0 => (varint(&mut bytes), 0),
            1 => (0, 8),
            2 => (0, varint(&mut bytes) as usize),
            5 => (0, 4),
            wire => panic!("wire {wire}"),
        };
        found.push((key >> 3, number, bytes[..size].to_vec()));
        bytes = &bytes[size..];
    }
    found
}

/// What an event says.
#[derive(Debug, PartialEq)]
enum Said {
    Version(String),
    Start,
    Scalars(Vec<(String, f32)>),
}

/// The events of a file, with their steps.
fn events(path: &Path) -> Vec<(u64, Said)> {
    let event = |data: &Vec<u8>| {
        let (mut step, mut said) = (0, None);
        for (field, number, bytes) in fields(data) {
            match field {
                1 => assert!(f64::from_le_bytes(bytes.try_into().unwrap()) > 1.7e9),
                2 => step = number,
                3 => said = Some(Said::Version(String::from_utf8(bytes).unwrap())),
                5 => {
                    let value = |(field, _, bytes): (u64, u64, Vec<u8>)| {
                        assert_eq!(field, 1);
                        let parts = fields(&bytes);
                        let tag = String::from_utf8(parts[0].2.clone()).unwrap();
                        (tag, f32::from_le_bytes(parts[1].2.clone().try_into().unwrap()))
                    };
                    said = Some(Said::Scalars(fields(&bytes).into_iter().map(value).collect()));
                }
                7 => {
                    assert_eq!(fields(&bytes), [(1, 1, vec![])]);
                    said = Some(Said::Start);
                }
                other => panic!("field {other}"),
            }
        }
        (step, said.unwrap())
    };
    records(&fs::read(path).unwrap()).unwrap().iter().map(event).collect()
}

/// The event files of a run, the first one first.
fn files(out: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(out.join("tensorboard")).unwrap();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

/// The steps with a value of a tag, in the order of the file.
fn curve(events: &[(u64, Said)], tag: &str) -> Vec<(u64, f32)> {
    let value = |(step, said): &(u64, Said)| {
        let Said::Scalars(values) = said else { return None };
        values.iter().find(|(name, _)| name == tag).map(|(_, value)| (*step, *value))
    };
    events.iter().filter_map(value).collect()
}

/// The same of a file of lines.
fn lines(path: &Path, key: &str) -> Vec<(u64, f32)> {
    let value = |line: &Value| (line["step"].as_u64().unwrap(), line[key].as_f64().unwrap() as f32);
    read_lines(path).iter().map(value).collect()
}

fn train(out: &Path, flags: &[&str]) {
    let mut command = peft(&root());
    command.args(["train", "--model", &tiny_model("bert"), "--method=ptv2", "--task=seq-cls"]);
    command.args(["--train", "tests/vectors/training/bert-prefix/rows.jsonl", "--batch-size=4"]);
    command.args(["--valid", "tests/vectors/training/bert-prompt/rows.jsonl", "--eval-every=2"]);
    command.args(["--num-virtual-tokens=2"]).args(flags).arg("--out").arg(out);
    succeed(&mut command);
}

#[test]
fn event_files_hold_the_curves_of_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    train(&out, &["--steps=6", "--tensorboard"]);
    let [file] = &files(&out)[..] else { panic!("{:?}", files(&out)) };
    assert!(file.file_name().unwrap().to_str().unwrap().starts_with("events.out.tfevents."));
    let found = events(file);
    assert_eq!(found[..2], [(0, Said::Version("brain.Event:2".into())), (1, Said::Start)]);
    for (tag, file, key) in [
        ("train/loss", "metrics.jsonl", "loss"),
        ("train/lr", "metrics.jsonl", "lr"),
        ("valid/accuracy", "evaluations.jsonl", "accuracy"),
        ("valid/loss", "evaluations.jsonl", "loss"),
    ] {
        assert_eq!(curve(&found, tag), lines(&out.join(file), key), "{tag}");
    }
    let norms = curve(&found, "train/grad_norm");
    assert!(norms.len() == 6 && norms.iter().all(|(_, norm)| norm.is_finite() && *norm > 0.0));
    // The norm is that before clipping, so a bound that every step exceeds changes only what is learnt from it.
    let clipped = dir.path().join("clipped");
    train(&clipped, &["--steps=6", "--tensorboard", "--clip-norm=1e-9"]);
    let first = |out: &Path| curve(&events(&files(out)[0]), "train/grad_norm")[0];
    assert_eq!(first(&clipped), first(&out));
    // The adapter is the same without; what is written leaves no trace in it.
    let plain = dir.path().join("plain");
    train(&plain, &["--steps=6"]);
    assert!(!plain.join("tensorboard").exists());
    for name in ["adapter_model.safetensors", "burn_peft.json"] {
        assert!(fs::read(out.join(name)).unwrap() == fs::read(plain.join(name)).unwrap(), "{name}");
    }
}

#[test]
fn a_run_that_goes_on_begins_another_file() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    train(&out, &["--steps=4", "--tensorboard"]);
    succeed(peft(&root()).args(["train", "--resume", "--steps=8", "--out"]).arg(&out));
    let files_of = files(&out);
    assert_eq!(files_of.len(), 2, "{files_of:?}");
    let second = events(&files_of[1]);
    assert_eq!(second[1], (5, Said::Start));
    let steps: Vec<u64> = curve(&second, "train/loss").iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, [5, 6, 7, 8]);
    // Another run in its place starts without them.
    train(&out, &["--steps=2", "--tensorboard", "--overwrite"]);
    let [file] = &files(&out)[..] else { panic!("{:?}", files(&out)) };
    assert_eq!(curve(&events(file), "train/loss").len(), 2);
    train(&out, &["--steps=2", "--overwrite"]);
    assert!(!out.join("tensorboard").exists());
}

#[test]
fn damaged_records_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    train(&out, &["--steps=2", "--tensorboard"]);
    let bytes = fs::read(&files(&out)[0]).unwrap();
    assert!(records(&bytes).is_some_and(|found| found.len() == 2 + 2 + 1));
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(records(&damaged).is_none(), "byte {at}");
    }
    assert!(records(&bytes[..bytes.len() - 1]).is_none());
    // RFC 3720, B.4.
    assert_eq!((crc32c(&[0; 32]), crc32c(b"123456789")), (0x8a91_36aa, 0xe306_9283));
}
