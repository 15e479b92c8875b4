//! Writes words and pronunciations as rows of ids that `peft train` takes.
//!
//! `cargo run --release -p peft-tests --example g2p_rows -- MODEL WORDS.jsonl TARGET_FIELD > rows.jsonl`
#![allow(clippy::print_stdout)]

use std::path::Path;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, words, target] = args.as_slice() else {
        eprintln!("usage: g2p_rows MODEL WORDS.jsonl TARGET_FIELD");
        std::process::exit(2);
    };
    let symbols = peft_tests::g2p::Symbols::load(Path::new(model));
    print!("{}", symbols.rows(Path::new(words), target));
}
