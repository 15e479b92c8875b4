//! The settings by which runs differ, whatever their seed and wherever they lie.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::{
    base_model::says_nothing, paths, settings::Settings, training::class_weights::BALANCED,
};

/// Settings that are no part of a system: the seed, places, and what changes no result.
const IGNORED: [&str; 8] = [
    "seed",
    "out",
    "metrics_file",
    "tensorboard",
    "no_report",
    "checkpoint_every",
    "recompute",
    "cache_frozen",
];

/// Settings that are paths, or lists of them.
const PATHS: [&str; 8] = [
    "model",
    "train",
    "valid",
    "init_adapter",
    "chat_template",
    "class_weights",
    "task_file",
    "data_dir",
];

/// Those that may be patterns.
const PATTERNS: [&str; 2] = ["train", "valid"];

/// Settings that decide what token ids a row becomes.
const ENCODING: [&str; 15] = [
    "model",
    "task",
    "problem_type",
    "max_length",
    "max_target_length",
    "doc_stride",
    "columns",
    "source_template",
    "target_template",
    "chat_template",
    "chat_date",
    "labels",
    "skip_unlabelled",
    "init_adapter",
    "tasks",
];

/// Settings by name, those that are not given left out.
pub type Named = Map<String, Value>;

/// The settings of a system, with one spelling for each path.
pub fn of_system(settings: &Settings) -> Named {
    let mut named = all(settings);
    named.retain(|name, _| !IGNORED.contains(&name.as_str()));
    for name in PATHS {
        if let Some(value) = named.get_mut(name) {
            *value = canonical(value, PATTERNS.contains(&name));
        }
    }
    named
}

/// The settings of a run that decide its result, with one spelling for each path.
pub fn of_run(settings: &Settings) -> Named {
    let mut named = of_system(settings);
    named.insert("seed".into(), json!(settings.seed()));
    named
}

/// The settings that decide what a validation row becomes.
pub fn of_encoding(settings: &Settings) -> Named {
    let mut named = of_system(settings);
    let is_field = |name: &str| name.ends_with("_field");
    named.retain(|name, _| ENCODING.contains(&name.as_str()) || is_field(name));
    named
}

/// What decides which rows a run learns, as long as their files stay the same.
pub fn of_learnt_rows(settings: &Settings) -> Named {
    let mut named = of_encoding(settings);
    let all = of_system(settings);
    for name in ["train", "train_rows", "valid_split", "data_dir", "task_file"] {
        named.extend(all.get(name).map(|value| (name.to_string(), value.clone())));
    }
    // The seed draws them.
    if settings.train_rows.is_some() || settings.valid_split.is_some() {
        named.insert("seed".into(), json!(settings.seed()));
    }
    named
}

/// What decides the weights of the base model, as long as its files stay the same.
pub fn of_base(settings: &Settings) -> Named {
    let mut named = of_system(settings);
    named.retain(|name, _| ["model", "task", "base_weights", "dtype"].contains(&name.as_str()));
    named
}

/// Where the rows come from that a run is scored on.
pub fn of_scored_rows(settings: &Settings) -> Value {
    let named = of_system(settings);
    let of = |name: &str| named.get(name).cloned().unwrap_or_default();
    match settings.valid_split {
        Some(part) => json!({ "train": of("train"), "part": part, "seed": settings.seed() }),
        None => of("valid"),
    }
}

/// The settings of a run as they stand in its file.
pub fn all(settings: &Settings) -> Named {
    match json!(settings) {
        Value::Object(named) => named,
        _ => Named::new(),
    }
}

/// A path, or a list of them, in one spelling. What is no file may be a name, which stays, or a pattern.
fn canonical(value: &Value, may_be_pattern: bool) -> Value {
    match value {
        Value::String(path) if path != BALANCED => {
            let path = Path::new(path);
            let by_its_text = || paths::absolute(Path::new(""), path).filter(|_| may_be_pattern);
            let found = path.canonicalize().ok().or_else(by_its_text);
            found.map_or_else(|| value.clone(), |found| json!(found.to_string_lossy()))
        }
        Value::Array(paths) => paths.iter().map(|path| canonical(path, may_be_pattern)).collect(),
        other => other.clone(),
    }
}

/// A setting as it is shown: paths by their last part, with the folder before it where that says nothing of a model.
pub fn shown(name: &str, value: &Value) -> String {
    let last = |path: &str| {
        let of = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let (own, above) = (of(Path::new(path)), Path::new(path).parent().and_then(of));
        match (own, above) {
            (Some(own), Some(above)) if name == "model" && says_nothing(&own.to_lowercase()) => {
                format!("{above}/{own}")
            }
            (own, _) => own.unwrap_or_else(|| path.to_string()),
        }
    };
    match value {
        Value::Null => "-".to_string(),
        Value::String(path) if PATHS.contains(&name) => last(path),
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            parts.iter().map(|part| shown(name, part)).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn seeds_places_and_spellings_do_not_count() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("rows.jsonl"), "").unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        let with = |train: &str, seed| Settings {
            train: Some(vec![dir.path().join(train)]),
            out: Some(format!("runs/{seed}").into()),
            seed: Some(seed),
            lr: Some(0.5),
            ..Settings::default()
        };
        let (one, two) = (with("rows.jsonl", 1), with("a/../rows.jsonl", 2));
        assert_eq!(of_system(&one), of_system(&two));
        assert_eq!(of_system(&one).len(), 2);
        // A pattern is no file, a name of the Hub no path.
        let (one_pattern, two_pattern) = (with("*.jsonl", 1), with("./*.jsonl", 1));
        assert_eq!(of_system(&one_pattern), of_system(&two_pattern));
        let named = |text: &str| Settings { model: Some(text.into()), ..Settings::default() };
        assert_eq!(of_system(&named("org/none"))["model"], "org/none");
        let at = |text: &str| Settings {
            data_dir: Some(dir.path().join(text)),
            task_file: Some(dir.path().join(text).join("rows.jsonl")),
            ..Settings::default()
        };
        assert_eq!(of_system(&at(".")), of_system(&at("a/..")));
        let other = Settings { lr: Some(0.6), ..one.clone() };
        assert_ne!(of_system(&one), of_system(&other));
        let split =
            |seed| of_scored_rows(&Settings { valid_split: Some(0.1), ..with("rows.jsonl", seed) });
        assert_ne!(split(1), split(2));
        assert_eq!(shown("train", &of_system(&one)["train"]), "rows.jsonl");
        assert_eq!(shown("lr", &json!(0.5)), "0.5");
        for (path, says) in [
            ("/models/minilm", "minilm"),
            ("/try/model", "try/model"),
            ("/runs/checkpoint-500", "runs/checkpoint-500"),
            ("model", "model"),
            ("org/name", "name"),
        ] {
            assert_eq!(shown("model", &json!(path)), says);
        }
    }
}
