//! Several adapters in one batch: each row of the batch has virtual tokens of its own.
//!
//! ```sh
//! cargo run --release --example mix -- try/model "in the shop olga has four green plates ." try/adapter try/other
//! ```
#![allow(clippy::print_stdout)]

use std::{env, error::Error, path::Path, process};

use burn::tensor::Device;
use peft_core::{Adapter, VirtualTokens, text::ModelTokenizer};
use peft_models::generate::{GenerateConfig, generate};

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [folder, text, adapters @ ..] = arguments.as_slice() else {
        eprintln!("usage: mix MODEL TEXT ADAPTER...");
        process::exit(2);
    };
    let (folder, device) = (Path::new(folder), Device::default());
    let loaded = peft_models::load(folder, &device)?;
    let model = loaded.model.as_ref();

    // No virtual tokens, an adapter too: the frozen model alone. A prompt becomes keys and values, as a prefix has, so
    // that both fit into one batch.
    let mut of_adapters = vec![VirtualTokens::none()];
    for adapter in adapters {
        let made = Adapter::load(Path::new(adapter))?.virtual_tokens(model.spec(), &device)?;
        of_adapters.push(model.prefill(&made)?);
    }
    let of_row: Vec<usize> = (0..of_adapters.len()).collect();
    let virtual_tokens = VirtualTokens::per_row(&of_adapters, &of_row)?;

    let tokenizer = ModelTokenizer::load(folder)?;
    let ids = tokenizer.encode(text)?;
    let rows = vec![ids.get_ids(); of_row.len()];
    let config = GenerateConfig::for_model(&loaded, 20)?;
    let made = generate(model, &rows, &virtual_tokens, &config, &mut ())?;
    let names = ["model alone"].into_iter().chain(adapters.iter().map(String::as_str));
    for (name, sequences) in names.zip(made) {
        let text = tokenizer.tokenizer.decode(&sequences[0].ids, true)?;
        println!("{name}: {}", text.trim());
    }
    Ok(())
}
