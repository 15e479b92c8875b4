//! The tests that docs/SEMANTICS.md cites exist.
//!
//! Its table of modules says which files a module stands for; `module::test` must be a function in one of them. So
//! must a name that the page puts in a file, as in "`one_test` and `another_test` in `tests/tests/padding.rs`".

use std::{collections::BTreeMap, fs};

use super::{
    check,
    lexer::{Placed, lex},
    maps::in_backticks,
    root,
};

const PAGE: &str = "docs/SEMANTICS.md";

/// The files of each module, from the table whose first columns are `module` and `file`.
fn modules(page: &str) -> BTreeMap<&str, Vec<&str>> {
    page.lines()
        .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>())
        .skip_while(|cells| !matches!(cells[..], ["", "module", "file", ..]))
        .skip(2)
        .map_while(|cells| {
            let [_, module, files, ..] = cells[..] else { return None };
            Some((in_backticks(module).next()?, in_backticks(files).collect()))
        })
        .collect()
}

/// A test that a page cites.
#[derive(Debug, PartialEq, Eq)]
struct Citation<'a> {
    /// A module of the table, or a file.
    place: &'a str,
    name: &'a str,
}

fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(plain)
}

/// What a page cites, in the order of its text.
fn citations<'a>(page: &'a str, modules: &BTreeMap<&str, Vec<&str>>) -> Vec<Citation<'a>> {
    // Prose and code alternate: what stands at odd places is in backticks.
    let parts: Vec<&str> = page.split('`').collect();
    let is_between = |part: &str, words: &[&str]| {
        words.contains(&part.split_whitespace().collect::<Vec<_>>().join(" ").as_str())
    };
    let mut found = Vec::new();
    let mut names = Vec::new();
    for (index, code) in parts.iter().copied().enumerate().skip(1).step_by(2) {
        let before = parts[index - 1];
        // `module::test` is the form of a citation, not one.
        if let Some((place, name)) = code.split_once("::").filter(|_| code != "module::test")
            && is_name(place)
            && is_name(name)
        {
            found.push(Citation { place, name });
        }
        let is_place = code.ends_with(".rs") || modules.contains_key(code);
        if is_place && is_between(before, &["in"]) {
            found.extend(names.drain(..).map(|name| Citation { place: code, name }));
        }
        if !is_between(before, &["and", ","]) {
            names.clear();
        }
        names.extend(is_name(code).then_some(code));
    }
    found
}

/// Whether a source defines a function of this name.
fn defines(source: &str, name: &str) -> bool {
    let tokens = lex(source);
    let words = |pair: &[Placed]| pair[0].word() == Some("fn") && pair[1].word() == Some(name);
    tokens.windows(2).any(words)
}

#[test]
fn cited_tests_exist() {
    let page = fs::read_to_string(root().join(PAGE)).unwrap();
    let modules = modules(&page);
    let cited = citations(&page, &modules);
    assert!(modules.len() >= 10, "only the modules {:?} were found", modules.keys());
    assert!(cited.len() >= 40, "only {} citations were found", cited.len());
    let mut missing = Vec::new();
    for Citation { place, name } in cited {
        let own = [place];
        let files = match modules.get(place) {
            Some(files) => files.as_slice(),
            None if place.ends_with(".rs") => own.as_slice(),
            None => {
                missing.push(format!("{place}::{name}: {place} is not in the table of modules"));
                continue;
            }
        };
        let is_in = |file: &&str| {
            fs::read_to_string(root().join(file)).is_ok_and(|source| defines(&source, name))
        };
        if !files.iter().any(is_in) {
            missing.push(format!("{place}: no function {name} in {}", files.join(", ")));
        }
    }
    check(&format!("tests that {PAGE} cites and that do not exist"), &missing);
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "Tests are named `module::test`, `p1_...` to `p9_...`; `Error::Setting` is none.

| module | file | runs on |
|---|---|---|
| `a` | `tests/a.rs`, cases in `tests/a/cases.rs` | all |
| `b` | `b.rs` | |

- `a::one`: prose, `not_cited`.
- `two` and `three` in
  `c.rs`, `four` in `b`; `B::five`, `flag` in `--flag`.
| x | `c::six`, `same` |";

    #[test]
    fn tables_and_citations_are_read() {
        let modules = modules(TEXT);
        assert_eq!(modules["a"], ["tests/a.rs", "tests/a/cases.rs"]);
        assert_eq!(modules.keys().collect::<Vec<_>>(), [&"a", &"b"]);
        let found: Vec<String> = citations(TEXT, &modules)
            .into_iter()
            .map(|Citation { place, name }| format!("{place} {name}"))
            .collect();
        assert_eq!(found, ["a one", "c.rs two", "c.rs three", "b four", "c six"]);
    }

    #[test]
    fn functions_are_told_from_their_uses() {
        let source = "// fn no() {}\nproptest! { #[test] fn yes(x in 0..3) { no(); } } mod tests { fn deep() {} }";
        assert!(defines(source, "yes") && defines(source, "deep"));
        assert!(!defines(source, "no") && !defines(source, "tests"));
    }
}
