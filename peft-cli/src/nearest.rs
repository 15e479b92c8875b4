//! The name that was probably meant.

use std::{
    fs,
    path::{Path, PathBuf},
};

use peft_core::metrics::edit_distance;

/// What other programs call a setting, and what it is called here, the likelier first.
const ELSEWHERE: &[(&str, &[&str])] = &[
    ("learning-rate", &["lr"]),
    ("num-train-epochs", &["epochs"]),
    ("num-epochs", &["epochs"]),
    ("max-steps", &["steps"]),
    ("num-steps", &["steps"]),
    ("per-device-train-batch-size", &["batch-size"]),
    ("train-batch-size", &["batch-size"]),
    ("gradient-accumulation-steps", &["accumulation"]),
    ("max-grad-norm", &["clip-norm"]),
    ("max-seq-length", &["max-length"]),
    ("max-source-length", &["max-length"]),
    ("model-name-or-path", &["model"]),
    ("base-model", &["model"]),
    ("train-file", &["train"]),
    ("validation-file", &["valid"]),
    ("validation", &["valid"]),
    ("output-dir", &["out", "output"]),
    ("output", &["out", "predictions"]),
    ("out", &["output"]),
    ("data", &["input", "train"]),
    ("input", &["data", "train"]),
    ("max-tokens", &["max-new-tokens"]),
    ("do-sample", &["temperature"]),
    ("peft-type", &["method"]),
    ("task-type", &["task"]),
];

/// The one of `known` that a name is most like: in its letters, or since other programs use it for the same.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let theirs = plain(name);
    let known: Vec<&str> = known.into_iter().collect();
    let elsewhere = ELSEWHERE.iter().find(|(name, _)| *name == theirs);
    let ours = elsewhere.map_or(&[] as &[&str], |(_, ours)| ours);
    let synonym = |ours: &&str| known.iter().copied().find(|known| plain(known) == *ours);
    ours.iter().find_map(synonym).or_else(|| alike(name, known.iter().copied()))
}

fn plain(name: &str) -> String {
    name.to_lowercase().replace('_', "-")
}

/// The one of `known` that a name is most like in its letters.
pub fn alike<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = plain(name);
    let known: Vec<(&str, String)> = known.into_iter().map(|known| (known, plain(known))).collect();
    let letters: Vec<char> = name.chars().collect();
    let distance = |known: &str| edit_distance(&letters, &known.chars().collect::<Vec<_>>());
    // Half of a short name is another one.
    let most = letters.len().div_ceil(3).min(3);
    let each = known.iter().map(|(known, plain)| (distance(plain), *known));
    let near = each.filter(|(distance, _)| *distance <= most).min();
    // Of a name that goes on, the beginning is enough.
    let longer = || {
        let mut begun = known.iter().filter(|(_, plain)| plain.starts_with(&name));
        begun
            .next()
            .map(|(known, _)| *known)
            .filter(|_| letters.len() > 2 && begun.next().is_none())
    };
    near.map(|(_, known)| known).or_else(longer)
}

/// What was probably meant by a path that leads nowhere: one with a name beside that of its first part that is missing.
pub fn nearest_path(path: &Path) -> Option<PathBuf> {
    let is_there = |path: &Path| path.as_os_str().is_empty() || path.exists();
    let missing = path.ancestors().take_while(|path| !is_there(path)).last()?;
    let folder = missing.parent()?;
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let names = fs::read_dir(here).ok()?.flatten();
    // A link that leads nowhere is there, too.
    let names = names.filter(|entry| entry.path().exists());
    let names: Vec<String> =
        names.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let meant = folder.join(alike_file(missing.file_name()?.to_str()?, &names)?);
    let whole = meant.join(path.strip_prefix(missing).ok()?);
    Some(if whole.exists() { path_of(&whole) } else { meant })
}

/// The one of the names of files that one is most like. What they begin with counts: half of a short name may be its end.
fn alike_file<'n>(name: &str, names: &'n [String]) -> Option<&'n str> {
    const SHORTEST: usize = 3;
    let (stem, end) = stem_and_end(name);
    if stem.chars().count() < SHORTEST {
        return None;
    }
    let others = names.iter().filter(|other| !is_another(stem, stem_and_end(other).0));
    let others: Vec<(&str, &str)> =
        others.map(|other| (stem_and_end(other).0, other.as_str())).collect();
    let stems = |of: &[(&'n str, &'n str)]| -> Option<&'n str> {
        let nearest = alike(stem, of.iter().map(|(stem, _)| *stem))?;
        of.iter().find(|(stem, _)| *stem == nearest).map(|(_, other)| *other)
    };
    let (same, different): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|(_, other)| stem_and_end(other).1 == end);
    stems(&same).or_else(|| stems(&different).filter(|other| alike(name, [*other]).is_some()))
}

/// A name without its ending, and that.
fn stem_and_end(name: &str) -> (&str, &str) {
    const COMPRESSED: [&str; 4] = ["gz", "zst", "bz2", "xz"];
    let split = |name: &str| name.rfind('.').filter(|at| *at > 0);
    let Some(mut at) = split(name) else { return (name, "") };
    if COMPRESSED.contains(&&name[at + 1..]) {
        at = split(&name[..at]).unwrap_or(at);
    }
    name.split_at(at)
}

/// Whether names are those of different things, however like they are: other numbers, or other parts of a data set.
fn is_another(stem: &str, other: &str) -> bool {
    const SPLITS: [&str; 6] = ["train", "valid", "validation", "val", "dev", "test"];
    let words = |stem: &str| -> Vec<String> {
        let stem = stem.to_lowercase();
        let words = stem.split(|c: char| !c.is_alphanumeric());
        words.filter(|word| !word.is_empty()).map(str::to_string).collect()
    };
    let kinds = |words: &[String]| -> Vec<String> {
        let letters = words.iter().map(|word| word.replace(|c: char| c.is_ascii_digit(), ""));
        let letters = letters.filter(|word| !word.is_empty());
        let kind = |word: String| if SPLITS.contains(&&*word) { "test".into() } else { word };
        letters.map(kind).collect()
    };
    let (words, others) = (words(stem), words(other));
    words != others && kinds(&words) == kinds(&others)
}

/// Without the separator that joining nothing leaves.
fn path_of(path: &Path) -> PathBuf {
    path.components().collect()
}

/// `; did you mean X?`, or nothing.
pub fn did_you_mean(found: Option<impl std::fmt::Display>) -> String {
    found.map_or_else(String::new, |found| format!("; did you mean {found}?"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_found() {
        let known =
            ["lr", "optimizer", "batch_size", "batch_tokens", "out", "steps", "prefix_projection"];
        let of = |name: &str| nearest(name, known);
        assert_eq!(of("optimiser"), Some("optimizer"));
        assert_eq!(of("batch-size"), Some("batch_size"));
        assert_eq!(of("batchsize"), Some("batch_size"));
        assert_eq!(of("learning_rate"), Some("lr"));
        assert_eq!(of("output_dir"), Some("out"));
        assert_eq!(of("step"), Some("steps"));
        assert_eq!(of("prefix"), Some("prefix_projection"));
        assert_eq!(of("batch"), None, "it could be either");
        assert_eq!(of("dropout"), None);
        assert_eq!(of("x"), None);
    }

    #[test]
    fn a_path_that_was_meant_is_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("data")).unwrap();
        fs::write(at("data/train.jsonl"), "").unwrap();
        assert_eq!(nearest_path(&at("data/trian.jsonl")), Some(at("data/train.jsonl")));
        assert_eq!(nearest_path(&at("daat/train.jsonl")), Some(at("data/train.jsonl")));
        assert_eq!(nearest_path(&at("daat/other.csv")), Some(at("data")));
        assert_eq!(nearest_path(&at("daat")), Some(at("data")));
        assert_eq!(nearest_path(&at("else/where")), None);
    }

    #[test]
    fn names_of_other_files_are_not_meant() {
        let of = |name: &str, names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_string()).collect();
            alike_file(name, &names).map(str::to_string)
        };
        for (name, others) in [
            ("a.jsonl", &["b.jsonl", "a2.jsonl"][..]),
            ("train-1.jsonl", &["train-2.jsonl", "train.jsonl"]),
            ("train2.jsonl", &["train1.jsonl"]),
            ("val.jsonl", &["dev.jsonl", "valid.jsonl", "train.jsonl", "test.jsonl"]),
            ("sst_dev.csv", &["sst_val.csv"]),
            ("cat.jsonl", &["dog.jsonl"]),
            ("checkpoint-10", &["checkpoint-20"]),
        ] {
            assert_eq!(of(name, others), None, "{name}");
        }
        for (name, meant) in [
            ("vlaid.jsonl", "valid.jsonl"),
            ("train.json", "train.jsonl"),
            ("trian.jsonl.gz", "train.jsonl.gz"),
            ("my-rows.csv", "my_rows.csv"),
            ("MiniLM-L6-v", "MiniLM-L6-vx"),
        ] {
            assert_eq!(of(name, &[meant]).as_deref(), Some(meant), "{name}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_nowhere_is_not_meant() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::os::unix::fs::symlink(at("gone"), at("rows.jsonl")).unwrap();
        assert_eq!(nearest_path(&at("rows.jsonl")), None);
        assert_eq!(nearest_path(&at("rovs.jsonl")), None);
    }
}
