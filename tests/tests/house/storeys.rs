//! The folders of peft-core import downwards only.

use super::{Sources, imports::imports, sources, tree::Tree};

/// The storeys of `peft-core/src`, each with those that it may import.
const STOREYS: [(&str, &[&str]); 12] = [
    ("error", &[]),
    ("guard", &[]),
    ("formats", &["error"]),
    ("contract", &["error"]),
    ("optim", &["error", "contract"]),
    ("methods", &["error", "contract", "optim"]),
    ("adapter", &["error", "formats", "contract", "methods"]),
    ("data", &["error", "formats", "contract"]),
    ("metrics", &["error"]),
    ("evaluate", &["error", "contract", "data", "metrics"]),
    // Not `text`: training on token ids needs no tokenizer.
    (
        "train",
        &[
            "error", "guard", "formats", "contract", "optim", "adapter", "data", "metrics",
            "evaluate",
        ],
    ),
    ("text", &["error", "guard", "formats", "contract", "data"]),
];

/// The storey of a file: its first folder, or its own name.
fn storey(file: &str) -> &str {
    let first = file.split('/').next().unwrap_or(file);
    first.trim_end_matches(".rs")
}

/// Imports that do not go downwards, one per line. The root only re-exports.
fn upward(sources: &Sources) -> String {
    let mut found = String::new();
    for ((from, to), names) in imports(&Tree::read(sources)) {
        let (above, below) = (storey(&from), storey(&to));
        if above == below || above == "lib" {
            continue;
        }
        let may = STOREYS.iter().find(|(name, _)| *name == above).map(|(_, may)| *may);
        if !may.is_some_and(|may| may.contains(&below)) {
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            found += &format!("  {from} -> {to}: {names}\n");
        }
    }
    found
}

#[test]
fn the_storeys_of_peft_core_import_downward_only() {
    let found = upward(&sources("peft-core"));
    assert!(found.is_empty(), "imports that do not go downwards:\n{found}");
}

#[test]
fn an_import_that_goes_up_is_told() {
    let files = [
        ("lib.rs", "mod contract; mod train; mod text; pub use train::Run;"),
        ("contract/mod.rs", "mod spec;"),
        ("contract/spec.rs", "use crate::train::Run; pub struct Spec;"),
        ("train.rs", "use crate::{contract::spec::Spec, text::Encoder}; pub struct Run(Spec);"),
        ("text.rs", "use crate::contract::spec::Spec; pub struct Encoder(Spec);"),
    ];
    let files = files.iter().map(|(file, text)| (file.to_string(), text.to_string()));
    let expected = "  contract/spec.rs -> train.rs: Run\n  train.rs -> text.rs: Encoder\n";
    assert_eq!(upward(&files.collect()), expected);
}
