//! What stands beside a file and describes it: the card of its data set, or the JSON that came before cards.

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    card,
    configs::{Column, Config, columns_of},
    features,
};
use crate::{
    formats::read,
    text::{
        read::source::STANDARD_INPUT,
        record::{Aside, ClassNames, Record},
    },
};

/// Reads a description.
type ReadConfigs = fn(&str) -> Result<Vec<Config>, String>;

/// Files with descriptions, and how they are read. The first one in a folder counts.
const DESCRIPTIONS: &[(&str, ReadConfigs)] = &[
    ("README.md", card::read),
    ("dataset_infos.json", features::read),
    ("dataset_info.json", features::read),
];

/// Folders that are looked into: a file of a data set may be in `config/train/`.
const FOLDERS: usize = 3;

/// The longest description that is read: those of data sets with hundreds of configurations have half a megabyte.
const LONGEST: u64 = 8 << 20;

/// What is known of the file that is read, for its records.
#[derive(Default)]
pub(in crate::text::read) struct Beside {
    /// The descriptions of folders, which serve all files there.
    folders: BTreeMap<PathBuf, Option<Arc<Description>>>,
    aside: Option<Arc<Aside>>,
    /// What a record said of itself, and the same with what is beside its file.
    joined: Option<(Arc<Aside>, Arc<Aside>)>,
}

/// A file that describes a data set.
struct Description {
    configs: Result<Vec<Config>, String>,
    name: &'static str,
}

impl Beside {
    /// Looks at what stands beside the file `path`. What cannot be read there is told where names are missed, and
    /// keeps no row from being read.
    pub fn open(&mut self, path: &Path) {
        (self.aside, self.joined) = (None, None);
        let Ok(whole) = std::path::absolute(path) else { return };
        if path.as_os_str() == STANDARD_INPUT {
            return;
        }
        for (level, folder) in whole.ancestors().skip(1).take(FOLDERS).enumerate() {
            let known = self.folders.entry(folder.to_path_buf());
            let Some(description) = known.or_insert_with(|| describe(folder).map(Arc::new)) else {
                continue;
            };
            // As the file was named, as far as its name reaches.
            let shown = path.ancestors().nth(level + 1).unwrap_or(folder).join(description.name);
            let below = whole.strip_prefix(folder).unwrap_or(path);
            let aside = aside(&description.configs, &shown.into(), below);
            self.aside = (aside != Aside::default()).then(|| Arc::new(aside));
            return;
        }
    }

    /// Adds what is known to a record. What its own file says comes first.
    pub fn describe(&mut self, record: &mut Record) {
        let Some(aside) = &self.aside else { return };
        record.aside = Some(match record.aside.take() {
            None => aside.clone(),
            Some(own) => match &self.joined {
                Some((known, joined)) if Arc::ptr_eq(known, &own) => joined.clone(),
                _ => {
                    let mut joined = (*own).clone();
                    joined.class_names.extend(aside.class_names.iter().cloned());
                    joined.unnamed.extend(aside.unnamed.iter().cloned());
                    let joined = Arc::new(joined);
                    self.joined = Some((own, joined.clone()));
                    joined
                }
            },
        });
    }
}

/// The beginning of a description. A folder of its name, or a file that may not be read, describes nothing.
pub(super) fn text_of(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    read::open(path).ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The description in a folder.
fn describe(folder: &Path) -> Option<Description> {
    DESCRIPTIONS.iter().find_map(|&(name, read)| {
        let configs = read(&text_of(&folder.join(name))?);
        let says =
            configs.as_ref().is_err() || configs.as_ref().is_ok_and(|found| !found.is_empty());
        says.then_some(Description { configs, name })
    })
}

/// What a description says of the file `below` its folder.
fn aside(configs: &Result<Vec<Config>, String>, source: &Arc<Path>, below: &Path) -> Aside {
    let mut aside = Aside::default();
    let shown = source.display();
    let configs = match configs {
        Ok(configs) => configs,
        Err(why) => {
            let why = format!("{shown} does not say what the classes are called: {why}");
            aside.unnamed.push((None, why));
            return aside;
        }
    };
    for Column { field, names } in columns_of(configs, below) {
        let why = match names {
            None => continue,
            Some(Ok(names)) if !are_ambiguous(&names) => {
                aside.class_names.push(ClassNames { field, names, source: source.clone() });
                continue;
            }
            Some(Ok(names)) => format!("these are numbers too, {}", names.join(", ")),
            Some(Err(why)) => why,
        };
        let why = format!("{shown} does not say what the classes in `{field}` are called: {why}");
        aside.unnamed.push((Some(field), why));
    }
    aside
}

/// Whether a number in a row could be meant as a name or as the number of another one.
fn are_ambiguous(names: &[String]) -> bool {
    names.iter().enumerate().any(|(number, name)| {
        name.trim().parse::<f64>().is_ok_and(|value| value.is_finite())
            && *name != number.to_string()
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;
    use crate::text::read::{ReadOptions, Records};

    const CARD: &str = "---\ndataset_info:\n  features:\n  - name: label\n    dtype:\n      class_label:\n        \
        names: {'0': neg, '1': pos}\n---\n";

    fn first(path: PathBuf) -> Record {
        Records::open(&[path], &ReadOptions::default()).next().unwrap().unwrap()
    }

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        dir
    }

    #[test]
    fn names_are_found_in_folders_above() {
        let row = "{\"text\": \"a\", \"label\": 1}";
        let dir = folder(&[
            ("README.md", CARD),
            ("a.jsonl", row),
            ("x/data/a.jsonl", row),
            ("x/README.md", "# About\n"),
            ("x/y/z/a.jsonl", row),
            (
                "old/dataset_infos.json",
                "{\"default\": {\"features\": {\"label\": {\"_type\": \"ClassLabel\", \
                \"names\": [\"a\", \"b\"]}}}}",
            ),
            ("old/README.md", "---\nlicense: mit\n---\n"),
            ("old/a.csv", "text,label,label\na,1,0\n"),
        ]);
        for name in ["a.jsonl", "x/data/a.jsonl"] {
            let record = first(dir.path().join(name));
            let known = record.class_names("label").unwrap();
            assert_eq!(known.names, ["neg", "pos"], "{name}");
            assert_eq!(*known.source, dir.path().join("README.md"));
        }
        assert_eq!(first(dir.path().join("x/y/z/a.jsonl")).aside, None, "too far below");
        let record = first(dir.path().join("old/a.csv"));
        assert_eq!(record.class_names("label").unwrap().names, ["a", "b"]);
        assert!(record.is_repeated("label"), "what the file says of itself is kept");
    }

    #[test]
    fn what_names_no_class_says_why() {
        let why = |card: &str| {
            let dir = folder(&[("README.md", card), ("a.csv", "text,label\na,1\n")]);
            let record = first(dir.path().join("a.csv"));
            assert_eq!(record.class_names("label"), None);
            let said: Vec<String> = record.unnamed("label").map(str::to_owned).collect();
            said.join("; ").replace(&format!("{}/", dir.path().display()), "")
        };
        assert_eq!(why("# About"), "");
        assert_eq!(why(&CARD.replace("label\n", "other\n")), "");
        let start = "README.md does not say what the classes";
        assert_eq!(
            why(&CARD.replace("neg, '1': pos", "1, '1': 2")),
            format!("{start} in `label` are called: these are numbers too, 1, 2")
        );
        let gap = CARD.replace("'1'", "'2'");
        assert_eq!(
            why(&gap),
            format!("{start} in `label` are called: expected a name for each number from 0 on")
        );
        let broken = why(&CARD.replace("neg,", "[neg,"));
        assert!(broken.starts_with(&format!("{start} are called: line ")), "{broken}");
    }
}
