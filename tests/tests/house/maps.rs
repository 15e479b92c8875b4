//! Module maps, and paths and variables in documents, name what exists.

use std::{collections::BTreeSet, fs, path::Path};

use super::{CRATES, check, root, sources, tree::Tree};

/// The modules that the table in a file's own documentation names; `None` where no table of modules is there.
///
/// It is a table whose first column is called module, file or folder; the modules stand in its cells in
/// backticks.
fn map(source: &str) -> Option<BTreeSet<String>> {
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    let cells = lines.map(|line| line.trim().strip_prefix('|')?.split('|').next());
    let mut rows = cells
        .skip_while(|cell| {
            !cell.is_some_and(|name| ["module", "file", "folder"].contains(&name.trim()))
        })
        .map_while(|cell| cell);
    rows.next()?;
    Some(rows.skip(1).flat_map(in_backticks).map(module_name).collect())
}

/// What stands between pairs of backticks in a line.
pub fn in_backticks(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// `train`, of `mod@train` and `a/train.rs`.
fn module_name(shown: &str) -> String {
    let name = shown.trim_start_matches("mod@").trim_end_matches('/').trim_end_matches(".rs");
    name.rsplit('/').next().unwrap_or(name).to_string()
}

#[test]
fn module_maps_name_the_modules_that_exist() {
    let mut wrong = Vec::new();
    for krate in CRATES {
        let sources = sources(krate);
        for module in Tree::read(&sources).modules {
            let Some(named) = map(&sources[&module.file]) else { continue };
            let declared: BTreeSet<String> = module.children.into_keys().collect();
            if !declared.is_empty() && named != declared {
                let missing: Vec<_> = declared.difference(&named).collect();
                let surplus: Vec<_> = named.difference(&declared).collect();
                let file = module.file;
                wrong.push(format!("{krate}/src/{file}: missing {missing:?}, surplus {surplus:?}"));
            }
        }
    }
    check("untrue module maps", &wrong);
}

/// Every file and folder of the repository, from its root; what begins with a dot is left out, but for `.ci`.
fn repository() -> BTreeSet<String> {
    fn walk(dir: &Path, prefix: &str, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let (path, is_dir) = (entry.path(), entry.file_type().unwrap().is_dir());
            let name = path.file_name().unwrap().to_str().unwrap();
            if name == "target" || (name.starts_with('.') && name != ".ci") {
                continue;
            }
            let name = format!("{prefix}{name}");
            if is_dir {
                walk(&path, &format!("{name}/"), found);
            }
            found.insert(name);
        }
    }
    let mut found = BTreeSet::new();
    walk(&root(), "", &mut found);
    found
}

/// Whether a text in backticks is meant as a path of the repository: below one of its folders, or a source
/// or document by its name.
fn is_path(text: &str, tops: &BTreeSet<&str>) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
    if text.is_empty() || !text.chars().all(plain) {
        return false;
    }
    let below_top = text.split_once('/').is_some_and(|(top, _)| tops.contains(top));
    below_top
        || [".rs", ".py", ".md"].iter().any(|end| text.len() > end.len() && text.ends_with(end))
}

/// Paths that a document names and that lead nowhere.
fn lost_paths(document: &str, text: &str, files: &BTreeSet<String>) -> Vec<String> {
    let tops: BTreeSet<&str> = files.iter().filter_map(|file| file.split('/').next()).collect();
    let exists = |path: &str| {
        let path = path.trim_end_matches('/');
        let end = format!("/{path}");
        files.contains(path) || files.iter().any(|file| file.ends_with(&end))
    };
    let mut lost = Vec::new();
    let mut in_block = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        }
        if in_block {
            continue;
        }
        let named = in_backticks(line).filter(|text| is_path(text, &tops) && !exists(text));
        let links = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let links = links.filter(|link| !link.contains("://") && !link.starts_with('#'));
        let links = links.filter(|link| {
            let path = link.split('#').next().unwrap_or(link);
            !files.contains(&joined(document, path))
        });
        lost.extend(named.chain(links).map(|path| format!("{document}:{}: {path}", index + 1)));
    }
    lost
}

/// A path as seen from the folder of a document.
fn joined(document: &str, path: &str) -> String {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in path.trim_end_matches('/').split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn documents_name_paths_that_exist() {
    let files = repository();
    let mut lost = Vec::new();
    let mut read = 0;
    for file in files.iter().filter(|file| file.ends_with(".md")) {
        let text = fs::read_to_string(root().join(file)).unwrap();
        lost.extend(lost_paths(file, &text, &files));
        read += 1;
    }
    assert!(read >= 5, "only {read} documents");
    check("paths in documents that do not exist", &lost);
}

/// Variables of the environment that a text names.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    text.split(move |c| !is_part(c)).filter(|name| name.len() > 5 && name.starts_with("PEFT_"))
}

/// Variables that documents name and nothing reads; what changed may name those that are gone.
#[test]
fn documents_name_variables_that_exist() {
    let files = repository();
    let of_files = |ends: &[&str]| -> BTreeSet<(String, String)> {
        let chosen = files.iter().filter(|file| ends.iter().any(|end| file.ends_with(end)));
        let texts = chosen.filter(|file| *file != "CHANGELOG.md" && root().join(file).is_file());
        texts
            .flat_map(|file| {
                let text = fs::read_to_string(root().join(file)).unwrap();
                variables(&text).map(|name| (name.into(), file.clone())).collect::<Vec<_>>()
            })
            .collect()
    };
    let read: BTreeSet<String> =
        of_files(&[".rs", ".py", "/run"]).into_iter().map(|(name, _)| name).collect();
    let named = of_files(&[".md"]);
    assert!(named.len() > 10, "{named:?}");
    let lost = named.into_iter().filter(|(name, _)| !read.contains(name));
    let lost: Vec<String> = lost.map(|(name, file)| format!("{file}: {name}")).collect();
    check("variables in documents that nothing reads", &lost);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn maps_are_read_from_tables_of_modules() {
        let source = "//! Text.\n//!\n//! | what | shape |\n//! |---|---|\n//! | `x` | `y` |\n//!
//! | module | what it is |\n//! |---|---|\n//! | [`a`], [`mod@b`] | not `c` |\n//! | `a/d.rs` | |\n//!\nmod a;";
        assert_eq!(map(source), Some(set(&["a", "b", "d"])));
        assert_eq!(map("//! | what | file |\n//! |---|---|\n//! | `x` | `y` |"), None);
        assert_eq!(map("mod a;"), None);
    }

    #[test]
    fn variables_are_told_from_other_texts() {
        let text = "`PEFT_A_1=2 x` (PEFT_), BURN_PEFT_B, peft_c\nPEFT_D";
        assert_eq!(variables(text).collect::<Vec<_>>(), ["PEFT_A_1", "PEFT_D"]);
    }

    #[test]
    fn lost_paths_are_told_from_other_texts() {
        let files = set(&["core", "core/src", "core/src/a.rs", "docs", "docs/B.md", "C.md"]);
        let text = "`core/src/a.rs` `core/src/` `a.rs` `src/a.rs` [b](B.md#x) [c](../C.md) `and/or`\n
            `core/b.rs` `x.py` `core/<name>.rs` [d](D.md) [e](https://x/y.md) [f](#g)\n```\n`core/z`\n```";
        assert_eq!(
            lost_paths("docs/B.md", text, &files),
            ["docs/B.md:3: core/b.rs", "docs/B.md:3: x.py", "docs/B.md:3: D.md"]
        );
    }
}
