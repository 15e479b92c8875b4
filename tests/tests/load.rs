//! Loading takes hardly more memory than the model needs. A test binary of its own, because it measures the peak
//! memory of its process.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
    time::Instant,
};

use burn::tensor::Device;
use peft_models::{LoadOptions, WeightFormat};
use peft_tests::minilm;
use serde_json::{Map, Value, json};

/// A size in `/proc/self/status`, in bytes; 0 if there is no such file.
fn status(key: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    let kib: u64 = line.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0);
    kib * 1024
}

/// Writes a Llama of 124 million parameters in f32, whose tensors begin `shift` bytes after a multiple of eight.
fn write_checkpoint(dir: &Path, shift: usize) {
    let (h, inner, vocab, layers) = (768, 2048, 50_000, 12);
    let config = json!({
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": h,
        "intermediate_size": inner, "vocab_size": vocab, "num_hidden_layers": layers,
        "num_attention_heads": 12, "num_key_value_heads": 12, "max_position_embeddings": 1024,
        "tie_word_embeddings": true,
    });
    fs::write(dir.join("config.json"), config.to_string()).unwrap();
    let mut tensors: Vec<(String, Vec<usize>)> = vec![
        ("model.embed_tokens.weight".into(), vec![vocab, h]),
        ("model.norm.weight".into(), vec![h]),
    ];
    for layer in 0..layers {
        for (part, shape) in [
            ("self_attn.q_proj", vec![h, h]),
            ("self_attn.k_proj", vec![h, h]),
            ("self_attn.v_proj", vec![h, h]),
            ("self_attn.o_proj", vec![h, h]),
            ("mlp.gate_proj", vec![inner, h]),
            ("mlp.up_proj", vec![inner, h]),
            ("mlp.down_proj", vec![h, inner]),
            ("input_layernorm", vec![h]),
            ("post_attention_layernorm", vec![h]),
        ] {
            tensors.push((format!("model.layers.{layer}.{part}.weight"), shape));
        }
    }
    let (mut header, mut offset) = (Map::new(), 0usize);
    for (name, shape) in &tensors {
        let end = offset + 4 * shape.iter().product::<usize>();
        let entry = json!({ "dtype": "F32", "shape": shape, "data_offsets": [offset, end] });
        header.insert(name.clone(), entry);
        offset = end;
    }
    let mut header = Value::Object(header).to_string();
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len() + shift));
    let mut file = BufWriter::new(File::create(dir.join("model.safetensors")).unwrap());
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    let block: Vec<u8> =
        (0..1 << 18).flat_map(|i: u32| ((i % 251) as f32 * 1e-3).to_le_bytes()).collect();
    while offset > 0 {
        let part = block.len().min(offset);
        file.write_all(&block[..part]).unwrap();
        offset -= part;
    }
    file.flush().unwrap();
}

/// Seconds to read a file into memory, measured the second time.
fn read(path: &Path) -> f64 {
    let once = || {
        let start = Instant::now();
        drop(fs::read(path).unwrap());
        start.elapsed().as_secs_f64()
    };
    once();
    once()
}

/// Loads a model and checks the peak memory that took, relative to the bytes of its parameters in f32.
fn measure(name: &str, dir: &Path, weights: WeightFormat, limit: f64) {
    let file = dir.join("model.safetensors");
    let twice = 2.0 * read(&file);
    let before = status("VmRSS:");
    // Resets the peak.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let start = Instant::now();
    let options = LoadOptions { weights, ..LoadOptions::default() };
    let loaded = peft_models::load_with(dir, &Device::flex(), options).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    let peak = status("VmHWM:").saturating_sub(before);
    let tensors = 4 * loaded.report.num_parameters as u64;
    let ratio = peak as f64 / tensors as f64;
    println!(
        "{name}: {:.1} MB of tensors, {:.1} MB more at the peak ({ratio:.3}); loaded in {seconds:.3} s, the \
         file read twice in {twice:.3} s",
        tensors as f64 / 1e6,
        peak as f64 / 1e6,
    );
    if status("VmHWM:") > 0 {
        assert!(ratio < limit, "{name}: {ratio}");
    }
}

#[test]
fn loading_takes_little_memory() {
    let (aligned, shifted) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_checkpoint(aligned.path(), 0);
    write_checkpoint(shifted.path(), 1);
    // Tensors are views of the file, read when they are first used.
    measure("Llama of 500 MB", aligned.path(), WeightFormat::F32, 0.05);
    // What has to be copied is copied once.
    measure("the same, not aligned", shifted.path(), WeightFormat::F32, 1.2);
    // A quarter, and the largest tensor while it is being quantised.
    measure("the same in int8", aligned.path(), WeightFormat::Int8, 0.75);
    if let Some(model) = minilm() {
        measure("MiniLM", &model, WeightFormat::F32, 0.05);
    }
}
