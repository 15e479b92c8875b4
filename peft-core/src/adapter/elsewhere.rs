//! A path that is no adapter folder: where the adapter is that was probably meant.

use std::path::Path;

use super::{
    config::CONFIG,
    stored::{OLD_TENSORS, TENSORS},
};
use crate::{
    error::Error,
    formats::nearby::{above, below, describe},
};

/// The error for `given`, which exists and is no adapter folder: what it is, and which path to give.
pub(super) fn not_an_adapter(given: &Path) -> Error {
    let holds = |name: &str| given.join(name).exists();
    let below = || below(given, CONFIG);
    let message = if given.is_file() {
        match above(given, CONFIG) {
            Some(folder) => format!("is a file, an adapter is a folder: give {folder}"),
            None => format!(
                "is a file, expected the folder of an adapter, with {CONFIG}; `peft convert` makes one of a file \
                 that holds a prompt or a prefix"
            ),
        }
    } else if let Some(tensors) = [TENSORS, OLD_TENSORS].into_iter().find(|name| holds(name)) {
        format!(
            "holds {tensors} without {CONFIG}, which says what the tensors are: `peft convert` makes an adapter \
             of it"
        )
    } else if let Some(found) = describe(&below()) {
        format!("holds no {CONFIG}: {found}")
    } else if let Some(folder) = above(given, CONFIG) {
        format!("holds no {CONFIG}: give {folder}")
    } else if holds("config.json") {
        format!("holds a model (config.json), not an adapter, which has {CONFIG}")
    } else {
        format!("holds no {CONFIG}, so it is no adapter")
    };
    Error::file(given, message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    /// The message for `given` in a folder that holds these files.
    fn message(files: &[&str], given: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "{}").unwrap();
        }
        let root = format!("{}/", dir.path().display());
        not_an_adapter(&dir.path().join(given)).to_string().replace(&root, "")
    }

    #[test]
    fn the_folder_below_is_named() {
        for (files, given, says) in [
            (
                &["out/mine/adapter_config.json"][..],
                "out",
                "out: holds no adapter_config.json: give out/mine",
            ),
            (&["out/a/b/adapter_config.json"], "out", "give out/a/b"),
            (
                &["out/a/adapter_config.json", "out/b/adapter_config.json"],
                "out",
                "give out/a or out/b",
            ),
            (
                &["o/checkpoint-500/adapter_config.json", "o/checkpoint-1500/adapter_config.json"],
                "o",
                "give o/checkpoint-1500, the newest of its 2 checkpoints",
            ),
            (
                &[
                    "o/checkpoints/step-00000002/adapter_config.json",
                    "o/checkpoints/step-00000010/adapter_config.json",
                ],
                "o",
                "give o/checkpoints/step-00000010, the newest of its 2 checkpoints",
            ),
            (
                &[
                    "o/1/adapter_config.json",
                    "o/2/adapter_config.json",
                    "o/3/adapter_config.json",
                    "o/4/adapter_config.json",
                ],
                "o",
                "give o/1 or o/2 or o/3 or another",
            ),
            (
                &["o/.peft-0123456789abcdef.tmp/adapter_config.json", "o/a/adapter_config.json"],
                "o",
                "give o/a",
            ),
            (&["o/.peft-0123456789abcdef.tmp/adapter_config.json"], "o", "so it is no adapter"),
            (&["out/a/b/c/adapter_config.json"], "out", "so it is no adapter"),
        ] {
            let found = message(files, given);
            assert!(found.ends_with(says), "{found}");
        }
    }

    #[test]
    fn the_folder_above_is_named() {
        let files =
            &["out/adapter_config.json", "out/adapter_model.safetensors", "out/runs/today/log"][..];
        for (given, says) in [
            ("out/adapter_model.safetensors", "is a file, an adapter is a folder: give out"),
            ("out/adapter_config.json", "give out"),
            ("out/runs", "holds no adapter_config.json: give out"),
            ("out/runs/today", "give out"),
        ] {
            let found = message(files, given);
            assert!(found.ends_with(says), "{found}");
        }
    }

    #[test]
    fn what_is_there_is_named() {
        for (file, given, says) in [
            ("m/config.json", "m", "holds a model (config.json), not an adapter"),
            ("m/adapter_model.bin", "m", "holds adapter_model.bin without adapter_config.json"),
            ("p.npy", "p.npy", "`peft convert` makes one of a file"),
        ] {
            let found = message(&[file], given);
            assert!(found.contains(says), "{found}");
        }
    }
}
