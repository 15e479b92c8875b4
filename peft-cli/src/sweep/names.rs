//! What the folders of runs are called: by the settings that a run has of its own, `method=prompt,p=20,lr=0.3,seed=1`.
//! A name says nothing of other runs, so it stays when the file of the sweep gets more of them.

use std::path::Path;

use peft_core::adapter::codec::sha256;
use toml::{Table, Value};

use super::values::takes_a_list;

/// Settings in the order of a name; others follow by the alphabet, and then the seed.
const FIRST: [&str; 8] =
    ["method", "model", "task", "train", "train_rows", "num_virtual_tokens", "layers", "init"];

/// Letters of a value at most, and of a whole name.
const LONGEST_VALUE: usize = 40;
const LONGEST: usize = 180;

/// Letters of a sum that tells apart what looks alike.
const SUM: usize = 6;

/// The name of a run with these settings of its own.
pub(super) fn name(own: &Table) -> String {
    let place = |name: &str| match name {
        "seed" => usize::MAX,
        name => FIRST.iter().position(|first| *first == name).unwrap_or(FIRST.len()),
    };
    let mut settings: Vec<(&String, &Value)> = own.iter().collect();
    settings.sort_by_key(|(name, _)| (place(name), (*name).clone()));
    let parts = settings.iter().map(|(name, value)| {
        let short = if *name == "num_virtual_tokens" { "p" } else { name.as_str() };
        format!("{short}={}", of_value(name, value))
    });
    let found = parts.collect::<Vec<_>>().join(",");
    match found.len() {
        0 => "run".to_string(),
        1..=LONGEST => found,
        // All letters are single bytes.
        _ => format!("{}~{}", &found[..LONGEST], &sha256(found.as_bytes())[..SUM]),
    }
}

/// A value in letters that every file system takes. A sum is added where letters are lost.
fn of_value(name: &str, value: &Value) -> String {
    let whole = match value {
        Value::String(text) => text.clone(),
        Value::Float(number) => serde_json::json!(number).to_string(),
        other => other.to_string(),
    };
    let shown = match value {
        Value::String(path) if is_path(name) => stem(path),
        Value::Array(paths) if takes_a_list(name) => {
            paths.iter().filter_map(Value::as_str).map(stem).collect::<Vec<_>>().join("+")
        }
        _ => whole.clone(),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    let letters = shown.chars().map(|c| if plain(c) { c } else { '_' });
    let short: String = letters.take(LONGEST_VALUE).collect();
    match short == whole {
        true => short,
        false => format!("{short}~{}", &sha256(whole.as_bytes())[..SUM]),
    }
}

fn is_path(name: &str) -> bool {
    matches!(name, "model" | "train" | "valid" | "init_adapter" | "chat_template" | "class_weights")
}

/// The last part of a path, without what its kind is called.
fn stem(path: &str) -> String {
    let path = Path::new(path);
    let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
    name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn of(text: &str) -> String {
        name(&toml::from_str(text).unwrap())
    }

    #[test]
    fn names_are_read_and_told_apart() {
        assert_eq!(
            of(
                "seed = 1\nlr = 0.3\nnum_virtual_tokens = 20\nmethod = \"prompt\"\nclip_norm = 1e-5"
            ),
            "method=prompt,p=20,clip_norm=0.00001,lr=0.3,seed=1"
        );
        assert_eq!(of(""), "run");
        let (one, two) = (of("init_text = \"a b\""), of("init_text = \"a_b\""));
        assert_eq!((one.split('~').next(), two.as_str()), (Some("init_text=a_b"), "init_text=a_b"));
        assert_ne!(one, two);
        assert!(of("train = \"data/few.jsonl\"").starts_with("train=few~"));
        assert!(of("train = [\"a.jsonl\", \"b.jsonl\"]").starts_with("train=a+b~"));
        let long = of(&format!(
            "init_text = \"{0}\"\nlabels = \"{0}\"\nsource_template = \"{0}\"",
            "é".repeat(300)
        ));
        assert!(long.len() <= 200 && long.is_ascii(), "{long}");
        let all = Settings::NAMES.iter().map(|name| format!("{name} = 1.25\n"));
        assert!(of(&all.collect::<String>()).len() <= LONGEST + 1 + SUM);
    }
}
