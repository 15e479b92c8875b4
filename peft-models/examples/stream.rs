//! Continues a text with an adapter and prints it while it is made.
//!
//! ```sh
//! cargo run --release --example stream -- try/model try/adapter "in the shop olga has four green plates ."
//! ```
#![allow(clippy::print_stdout)]

use std::{
    env,
    error::Error,
    io::{self, Write},
    path::Path,
    process,
};

use burn::tensor::Device;
use peft_core::{Adapter, text::ModelTokenizer};
use peft_models::generate::{GenerateConfig, Watcher, generate};

/// Prints the text of each token as soon as it is complete.
struct Printer<F>(F);

impl<F: FnMut(u32) -> Option<String>> Watcher for Printer<F> {
    fn token(&mut self, _row: usize, _sequence: usize, token: u32) {
        if let Some(text) = (self.0)(token) {
            print!("{text}");
            // A reader that has gone is found out at the end.
            _ = io::stdout().flush();
        }
    }
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [folder, adapter, text] = arguments.as_slice() else {
        eprintln!("usage: stream MODEL ADAPTER TEXT");
        process::exit(2);
    };
    let (folder, device) = (Path::new(folder), Device::default());
    let loaded = peft_models::load(folder, &device)?;
    let tokenizer = ModelTokenizer::load(folder)?;
    let spec = loaded.model.spec();
    let virtual_tokens = Adapter::load(Path::new(adapter))?.virtual_tokens(spec, &device)?;

    let ids = tokenizer.encode(text)?;
    // The special tokens of the model's folder: generation ends where it says.
    let config = GenerateConfig::for_model(&loaded, 40)?;
    let mut texts = tokenizer.tokenizer.decode_stream(true);
    let mut printer = Printer(|token| texts.step(token).ok().flatten());
    let rows = [ids.get_ids()];
    generate(loaded.model.as_ref(), &rows, &virtual_tokens, &config, &mut printer)?;
    println!();
    Ok(())
}
