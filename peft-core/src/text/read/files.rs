//! Which files are meant: a file, a folder of them, or a pattern.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
};

use super::{class_names::splits_of, format::data_extension, source::STANDARD_INPUT};
use crate::error::{Error, Result};

/// What data sets call their parts.
const PARTS: &[&str] = &[
    "train",
    "training",
    "valid",
    "validation",
    "val",
    "dev",
    "test",
    "testing",
    "eval",
    "evaluation",
];

/// The files that names stand for.
#[derive(Debug, Default)]
pub struct FoundFiles {
    /// The files, in order.
    pub files: Vec<PathBuf>,
    /// What is worth saying: a sentence each.
    pub notes: Vec<String>,
}

/// The data files that `names` stand for, in order. Each name is a file, `-` for standard input, a folder, which
/// stands for the data files in it or in its folder `data`, or a pattern with `*`, `?` or `[...]`. The files of a
/// folder or a pattern are in the order of their names, as are the shards of a data set
/// (`train-00000-of-00002.jsonl`).
///
/// # Errors
/// [`Error::File`] for a pattern or a folder without data files or without some of the shards, for a folder that
/// holds several parts of a data set, such as training and test rows, or one in two formats, and for a file that two
/// of the names stand for.
pub fn find_files(names: &[PathBuf]) -> Result<FoundFiles> {
    let mut found = FoundFiles::default();
    // As the system names them: without links and detours.
    let mut known: HashMap<PathBuf, PathBuf> = HashMap::new();
    for name in names {
        let files = if name.is_dir() {
            of_folder(name, &mut found.notes)?
        } else if name.exists() || name.as_os_str() == STANDARD_INPUT || !is_pattern(name) {
            // A file that is missing is told when it is opened.
            vec![name.clone()]
        } else {
            of_pattern(name)?
        };
        let mut own = Vec::with_capacity(files.len());
        for file in files {
            // A pipe has no other name, nor has a file that is missing.
            let real = file.canonicalize().unwrap_or_else(|_| file.clone());
            if let Some(other) = known.get(&real) {
                let message = match *other == file {
                    true => "is named twice; its rows would be read twice".to_owned(),
                    false => {
                        format!("is the file {}; its rows would be read twice", other.display())
                    }
                };
                return Err(Error::file(&file, message));
            }
            own.push((real, file.clone()));
            found.files.push(file);
        }
        // Afterwards: in the Hub's cache shards of equal bytes, whose rows are all meant, are links to one file.
        known.extend(own);
    }
    Ok(found)
}

fn is_pattern(name: &Path) -> bool {
    name.to_str().is_some_and(|name| name.contains(['*', '?', '[']))
}

fn of_pattern(pattern: &Path) -> Result<Vec<PathBuf>> {
    let invalid = |error: glob::PatternError| Error::file(pattern, error.to_string());
    let paths = glob::glob(&pattern.to_string_lossy()).map_err(invalid)?;
    let mut files = Vec::new();
    for path in paths {
        let path = path.map_err(|error| Error::Read {
            path: error.path().to_path_buf(),
            source: error.into(),
        })?;
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Error::file(pattern, "no file has a name of this pattern"));
    }
    check_shards(&files)?;
    Ok(files)
}

fn of_folder(folder: &Path, notes: &mut Vec<String>) -> Result<Vec<PathBuf>> {
    let (mut files, mut others) = data_files(folder)?;
    let below = folder.join("data");
    if files.is_empty() && below.is_dir() {
        (files, others) = data_files(&below)?;
    }
    if files.is_empty() {
        let has = |ending: &str| {
            others.iter().any(|file| file.extension().is_some_and(|extension| extension == ending))
        };
        let way_out = if has("txt") {
            format!("; name its texts by a pattern: {}", folder.join("*.txt").display())
        } else if has("arrow") {
            "; its Arrow files are not read: write their rows as Parquet, which keeps the names \
             of classes: load_from_disk(FOLDER).to_parquet(FILE) of Python's `datasets`"
                .to_owned()
        } else {
            match folders_with_data(folder, DEEPEST).as_slice() {
                [] if folder.join("dataset_dict.json").is_file() => {
                    "; its parts are Arrow files, which are not read: write the rows of one as Parquet, which \
                     keeps the names of classes: load_from_disk(FOLDER)[PART].to_parquet(FILE) of Python's `datasets`"
                        .to_owned()
                }
                [] => String::new(),
                below => {
                    format!("; name one of the folders in it that have some: {}", below.join(", "))
                }
            }
        };
        return Err(Error::file(folder, format!("is a folder without data files{way_out}")));
    }
    let parts: BTreeSet<String> = files.iter().filter_map(|file| part(file)).collect();
    if parts.len() > 1 {
        let parts: Vec<String> = parts.into_iter().collect();
        let shown = parts.iter().find(|part| part.starts_with("train")).unwrap_or(&parts[0]);
        let message = format!(
            "is a folder with several parts of a data set ({}); give the files of one, as in {}",
            parts.join(", "),
            files[0].with_file_name(format!("*{shown}*")).display()
        );
        return Err(Error::file(folder, message));
    }
    // Beside files of a part, the others are of another one, whatever it is called.
    if let Some(other) = files.iter().find(|file| part(file).is_none())
        && let Some(named) = files.iter().find_map(|file| part(file))
    {
        let message = format!(
            "is a folder with files of a part of a data set ({named}), and with {}; give those of one part, as in {}",
            name_of(other),
            files[0].with_file_name(format!("*{named}*")).display()
        );
        return Err(Error::file(folder, message));
    }
    if let Some(splits) = splits_of(folder, &files) {
        let listed: Vec<String> =
            splits.iter().map(|(split, file)| format!("{} ({split})", name_of(file))).collect();
        let message = format!(
            "is a folder whose README.md makes several parts of its files: {}; give the files of one",
            listed.join(", ")
        );
        return Err(Error::file(folder, message));
    }
    let twice = files.iter().enumerate().find_map(|(at, file)| {
        let other = files[..at].iter().find(|other| plain_stem(other) == plain_stem(file))?;
        Some((name_of(other), name_of(file)))
    });
    if let Some((one, other)) = twice {
        let message = format!(
            "is a folder with {one} and {other}, which seem to be the same rows in two formats; give one of them"
        );
        return Err(Error::file(folder, message));
    }
    check_shards(&files)?;
    if !others.is_empty() {
        let others: Vec<_> = others.iter().map(|file| name_of(file)).collect();
        notes.push(format!("{}: not read: {}", folder.display(), others.join(", ")));
    }
    Ok(files)
}

/// How far below a folder others are looked for: a data set, its configuration, its split.
const DEEPEST: usize = 2;

/// The folders below one that have data files, at most so deep.
fn folders_with_data(folder: &Path, depth: usize) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_seen = |path: &PathBuf| path.is_dir() && !name_of(path).starts_with('.');
    let mut below: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_seen).collect();
    below.sort();
    let has_data = |path: &Path| data_files(path).is_ok_and(|(files, _)| !files.is_empty());
    let found = |path: PathBuf| match has_data(&path) {
        true => vec![path.display().to_string()],
        false if depth > 1 => folders_with_data(&path, depth - 1),
        false => Vec::new(),
    };
    below.into_iter().flat_map(found).collect()
}

/// The files in a folder that look like data, and the others that are not known to be something else.
fn data_files(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    /// What stands beside the data of a data set.
    const ABOUT: &[&str] =
        &["dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "license"];
    let (mut files, mut others) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder).map_err(Error::read(folder))? {
        let path = entry.map_err(Error::read(folder))?.path();
        let name = name_of(&path).to_ascii_lowercase();
        let about =
            ABOUT.contains(&name.as_str()) || name.starts_with('.') || name.ends_with(".md");
        if path.is_file() && !about {
            let list = if data_extension(&path).is_some() { &mut files } else { &mut others };
            list.push(path);
        }
    }
    files.sort();
    others.sort();
    Ok((files, others))
}

/// The name of a file without its folder.
fn name_of(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The name without what says how the file is written.
fn plain_stem(file: &Path) -> String {
    let name = name_of(file);
    let format = data_extension(file).unwrap_or_default();
    match name.to_ascii_lowercase().rfind(&format!(".{format}")) {
        Some(at) => name[..at].to_owned(),
        None => name,
    }
}

/// Refuses a list that lacks some of the shards of a data set, as in `train-00000-of-00002.parquet`.
fn check_shards(files: &[PathBuf]) -> Result<()> {
    let mut sets: Vec<(Shard, Vec<u32>)> = Vec::new();
    for (file, shard) in files.iter().filter_map(|file| Some((file, Shard::of(file)?))) {
        let (shard, number) = shard;
        if number >= shard.count {
            let count = shard.count;
            return Err(Error::file(file, format!("is no shard of {count}; they count from 0")));
        }
        match sets.iter_mut().find(|(other, _)| *other == shard) {
            Some((_, numbers)) => numbers.push(number),
            None => sets.push((shard, vec![number])),
        }
    }
    for (shard, numbers) in sets {
        if let Some(missing) = (0..shard.count).find(|number| !numbers.contains(number)) {
            let name = shard.name(missing);
            let message = format!(
                "is missing: of the data set's {} files {} are there; fetch it, or name each file to read",
                shard.count,
                numbers.len()
            );
            return Err(Error::file(&shard.folder.join(name), message));
        }
    }
    Ok(())
}

/// What the shards of a data set have in common.
#[derive(PartialEq, Eq)]
struct Shard {
    folder: PathBuf,
    before: String,
    after: String,
    count: u32,
}

impl Shard {
    /// Digits of a number.
    const DIGITS: usize = 5;

    /// What `train-00000-of-00002.parquet` says, and its own number.
    fn of(file: &Path) -> Option<(Self, u32)> {
        let name = name_of(file);
        let at = name.rfind("-of-")?;
        let (before, rest) = (&name[..at], &name[at + "-of-".len()..]);
        let number = before.get(before.len().checked_sub(Self::DIGITS)?..)?;
        let count = rest.get(..Self::DIGITS)?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let both = digits(number) && digits(count);
        let folder = file.parent().unwrap_or(Path::new("")).to_path_buf();
        let shard = Self {
            folder,
            before: before[..before.len() - Self::DIGITS].to_owned(),
            after: rest[Self::DIGITS..].to_owned(),
            count: count.parse().ok()?,
        };
        Some((shard, number.parse().ok()?)).filter(|_| both)
    }

    /// The name of the shard of this number.
    fn name(&self, number: u32) -> String {
        let Self { before, after, count, .. } = self;
        format!("{before}{number:05}-of-{count:05}{after}")
    }
}

/// The part of a data set that a file belongs to, by a word of its name.
fn part(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str()?.to_ascii_lowercase();
    let mut words = name.split(|c: char| !c.is_ascii_alphabetic());
    words.find(|word| PARTS.contains(word)).map(str::to_owned)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        dir
    }

    fn found(dir: &tempfile::TempDir, name: &str) -> Result<Vec<String>> {
        let files = find_files(&[dir.path().join(name)])?.files;
        let relative =
            |file: &PathBuf| file.strip_prefix(dir.path()).unwrap().display().to_string();
        Ok(files.iter().map(relative).collect())
    }

    fn refusal(dir: &tempfile::TempDir, name: &str) -> String {
        found(dir, name).unwrap_err().to_string()
    }

    #[test]
    fn patterns_and_folders_stand_for_their_files() {
        let dir = folder(&[
            "b/train-2.csv",
            "b/train-10.csv",
            "b/train-1.csv.gz",
            "b/README.md",
            "x[1].csv",
        ]);
        let all = ["b/train-1.csv.gz", "b/train-10.csv", "b/train-2.csv"];
        assert_eq!(found(&dir, "b").unwrap(), all);
        assert_eq!(found(&dir, "b/train*").unwrap(), all);
        assert_eq!(found(&dir, "*/train-?.csv").unwrap(), ["b/train-2.csv"]);
        assert_eq!(found(&dir, "x[1].csv").unwrap(), ["x[1].csv"], "a file of this very name");
        assert_eq!(found(&dir, "nothing.csv").unwrap(), ["nothing.csv"], "told when it is opened");
        assert_eq!(find_files(&["-".into()]).unwrap().files, [PathBuf::from("-")]);
        assert!(refusal(&dir, "c*").ends_with("c*: no file has a name of this pattern"));
        assert!(refusal(&dir, "c[*").contains("c[*: "));
    }

    #[test]
    fn a_data_set_from_the_hub_is_found_in_its_folder() {
        let shards = ["data/train-00000-of-00002.jsonl", "data/train-00001-of-00002.jsonl"];
        let dir = folder(&[shards[0], shards[1], "README.md", "dataset_infos.json"]);
        assert_eq!(found(&dir, "").unwrap(), shards);
        let several = folder(&["train.jsonl", "test.jsonl"]);
        let error = refusal(&several, "");
        assert!(
            error.contains("several parts of a data set (test, train); give the files of one"),
            "{error}"
        );
        assert!(error.ends_with("/*train*"), "{error}");
        for other in ["testing.jsonl", "evaluation.jsonl", "holdout.jsonl", "predict.jsonl"] {
            let error = refusal(&folder(&["train.jsonl", other]), "");
            assert!(error.ends_with("/*train*"), "{error}");
        }
        let inner = folder(&["imdb_train.csv", "imdb_test.csv"]);
        assert!(refusal(&inner, "").contains("several parts of a data set (test, train)"));
        assert!(refusal(&folder(&["README.md"]), "").ends_with("is a folder without data files"));
    }

    #[test]
    fn what_datasets_saved_to_disk_is_told_with_the_way_out() {
        let one = ["data-00000-of-00001.arrow", "dataset_info.json", "state.json"];
        let error = refusal(&folder(&one), "");
        assert!(error.contains("without data files; its Arrow files are not read"), "{error}");
        assert!(error.contains("load_from_disk(FOLDER).to_parquet(FILE)"), "{error}");
        let parts = folder(&["dataset_dict.json", "train/data-00000-of-00001.arrow"]);
        let error = refusal(&parts, "");
        assert!(error.contains("load_from_disk(FOLDER)[PART].to_parquet(FILE)"), "{error}");
    }

    #[test]
    fn shards_are_there_or_missed() {
        let shard = |number: u32| format!("train-{number:05}-of-00003-1f.parquet");
        let dir = folder(&[&shard(0), &shard(2)]);
        for name in ["", "*.parquet"] {
            let error = refusal(&dir, name);
            assert!(
                error.ends_with(
                    "train-00001-of-00003-1f.parquet: is missing: of the data set's 3 files 2 are there; fetch it, \
                     or name each file to read"
                ),
                "{error}"
            );
        }
        assert_eq!(found(&dir, &shard(2)).unwrap(), [shard(2)]);
        assert_eq!(found(&folder(&[&shard(0), &shard(1), &shard(2)]), "").unwrap().len(), 3);
        assert!(refusal(&folder(&["a-00003-of-00003.csv"]), "").contains("is no shard of 3"));
        for name in ["one-of-many.csv", "-of-.csv", "a-0-of-2.csv", "00000-of-0000é.csv"] {
            assert_eq!(found(&folder(&[name]), "").unwrap(), [name]);
        }
    }

    #[test]
    fn what_is_read_twice_or_not_at_all_is_told() {
        let dir = folder(&["a.csv", "a.csv.sha256", "notes.docx", "README.md", "LICENSE"]);
        let found = find_files(&[dir.path().into()]).unwrap();
        assert_eq!(found.files.len(), 1);
        assert!(found.notes[0].ends_with(": not read: a.csv.sha256, notes.docx"), "{found:?}");
        assert!(
            refusal(&folder(&["a.csv", "a.JSONL.gz"]), "")
                .contains("is a folder with a.JSONL.gz and a.csv, which seem to be the same rows")
        );
        let twice = find_files(&[dir.path().join("a.csv"), dir.path().into()]).unwrap_err();
        assert!(twice.to_string().ends_with("is named twice; its rows would be read twice"));
        let detour = dir.path().join("./../").join(dir.path().file_name().unwrap()).join("a.csv");
        let twice = find_files(&[dir.path().join("a.csv"), detour]).unwrap_err().to_string();
        let expected = format!("is the file {}; its rows", dir.path().join("a.csv").display());
        assert!(twice.contains(&expected), "{twice}");
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("a.csv", dir.path().join("b.csv")).unwrap();
            let twice = find_files(&[dir.path().join("b.csv"), dir.path().join("a.csv")]);
            assert!(twice.unwrap_err().to_string().contains("b.csv; its rows would be read twice"));
        }
    }

    #[cfg(unix)]
    #[test]
    fn shards_of_equal_bytes_may_be_links_to_one_file() {
        let dir = folder(&["blob"]);
        let shards = ["s/train-00000-of-00002.csv", "s/train-00001-of-00002.csv"];
        std::fs::create_dir(dir.path().join("s")).unwrap();
        for shard in shards {
            std::os::unix::fs::symlink("../blob", dir.path().join(shard)).unwrap();
        }
        assert_eq!(found(&dir, "s").unwrap(), shards);
        assert_eq!(found(&dir, "s/*.csv").unwrap(), shards);
        // Under two names they are one file still.
        let names = ["s", "blob"].map(|name| dir.path().join(name));
        let twice = find_files(&names).unwrap_err().to_string();
        assert!(twice.ends_with("-of-00002.csv; its rows would be read twice"), "{twice}");
    }
}
