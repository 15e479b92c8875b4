//! Files that must be the same text.

use std::fs;

use super::{check, root};

/// A block that the first pages of three crates share. Two of them are symbolic links to the first, which some
/// systems check out as text files that hold a path.
const DOC_BLOCKS: [&str; 3] =
    ["peft-prompt/src/doc_block.rs", "peft-prefix/src/doc_block.rs", "peft-ptv2/src/doc_block.rs"];

#[test]
fn the_blocks_of_the_first_pages_are_one_text() {
    let [first, others @ ..] = DOC_BLOCKS;
    let text = |file: &str| fs::read_to_string(root().join(file)).unwrap();
    let expected = text(first);
    assert!(expected.contains("fn layers("), "{first} holds no model");
    let differ: Vec<String> = others
        .into_iter()
        .filter(|file| text(file) != expected)
        .map(|file| format!("{file}: with git, set core.symlinks to true and check it out again"))
        .collect();
    check(&format!("not the text of {first}"), &differ);
}
