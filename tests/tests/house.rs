//! The structure of the repository, checked by tests that read its sources as text: which file imports which, what
//! strings of a library must not say, whether module maps and paths in documents are true.
//!
//! | file | what it is |
//! |---|---|
//! | `lexer` | Rust source as tokens, without comments and without test modules |
//! | `tree` | the modules of a crate, and the file that defines a name |
//! | `imports` | no circles of imports |
//! | `storeys` | the folders of peft-core import downwards only |
//! | `rules` | what a file may contain: no flags in libraries, no definitions in a `mod.rs`, ... |
//! | `maps` | module maps, and paths and variables in documents, name what exists |
//! | `citations` | so do the tests that docs/SEMANTICS.md cites |
//! | `copies` | files that must be the same text |

mod citations;
mod copies;
mod imports;
mod lexer;
mod maps;
mod rules;
mod storeys;
mod tree;

use std::{collections::BTreeMap, fs, path::Path};

use crate::support::root;

/// The crates whose sources are read, from the bottom up; last what the tests share.
const CRATES: [&str; 7] =
    ["peft-core", "peft-prompt", "peft-prefix", "peft-ptv2", "peft-models", "peft-cli", "tests"];

/// Those that others build on: all but the program.
const LIBRARIES: [&str; 5] =
    ["peft-core", "peft-prompt", "peft-prefix", "peft-ptv2", "peft-models"];

/// Files by their path below a folder, with `/` on every system.
type Sources = BTreeMap<String, String>;

/// All Rust files below `src` of a crate.
fn sources(krate: &str) -> Sources {
    let mut found = Sources::new();
    collect(&root().join(krate).join("src"), "", &mut found);
    assert!(found.contains_key("lib.rs"), "{krate}/src has no lib.rs");
    found
}

fn collect(dir: &Path, prefix: &str, found: &mut Sources) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            collect(&path, &format!("{name}/"), found);
        } else if name.ends_with(".rs") {
            found.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}

/// Fails if a rule is violated, and lists where.
fn check(rule: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{rule}:\n{}", violations.join("\n"));
}
