//! Loading takes hardly more memory than the model needs. A test binary of its own, because it measures the peak
//! memory of its process.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
    process::Command,
    time::Instant,
};

use burn::tensor::{DType, Device};
use peft_models::{LoadOptions, Loaded, ModelConfig, WeightFormat, Weights, build_with, kernels};
use peft_tests::minilm;
use serde_json::{Map, Value, json};

/// A size in `/proc/self/status`, in bytes; 0 if there is no such file.
fn status(key: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    let kib: u64 = line.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0);
    kib * 1024
}

/// The sizes of a Llama.
struct Sizes {
    hidden: usize,
    inner: usize,
    vocab: usize,
    layers: usize,
}

/// 124 million parameters.
const USUAL: Sizes = Sizes { hidden: 768, inner: 2048, vocab: 50_000, layers: 12 };
/// 55 million.
const SMALL: Sizes = Sizes { hidden: 512, inner: 1408, vocab: 32_000, layers: 12 };
/// 579 million.
const LARGE: Sizes = Sizes { hidden: 2048, inner: 5632, vocab: 32_000, layers: 10 };

impl Sizes {
    fn write_config(&self, dir: &Path) {
        let config = json!({
            "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": self.hidden,
            "intermediate_size": self.inner, "vocab_size": self.vocab, "num_hidden_layers": self.layers,
            "num_attention_heads": self.hidden / 64, "num_key_value_heads": self.hidden / 64,
            "max_position_embeddings": 1024, "tie_word_embeddings": true,
        });
        fs::write(dir.join("config.json"), config.to_string()).unwrap();
    }

    fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let Self { hidden: h, inner, vocab, layers } = *self;
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
        tensors
    }
}

/// What a checkpoint's values are stored as.
#[derive(Clone, Copy)]
enum Stored {
    F32,
    Bf16,
}

impl Stored {
    fn bytes(self, shape: &[usize]) -> usize {
        let width = if matches!(self, Self::F32) { 4 } else { 2 };
        width * shape.iter().product::<usize>()
    }

    /// Writes so many bytes of values, the same block again and again.
    fn write(self, mut bytes: usize, file: &mut impl Write) {
        let values = (0..1 << 18).map(|i: u32| ((i % 251) as f32 * 1e-3).to_le_bytes());
        let block: Vec<u8> = match self {
            Self::F32 => values.flatten().collect(),
            // The upper half of an f32.
            Self::Bf16 => values.flat_map(|[_, _, low, high]| [low, high]).collect(),
        };
        while bytes > 0 {
            let part = block.len().min(bytes);
            file.write_all(&block[..part]).unwrap();
            bytes -= part;
        }
    }
}

/// Writes a safetensors file, whose tensors begin `shift` bytes after a multiple of eight.
fn write_safetensors(path: &Path, tensors: &[(String, Vec<usize>)], stored: Stored, shift: usize) {
    let dtype = if matches!(stored, Stored::F32) { "F32" } else { "BF16" };
    let (mut header, mut offset) = (Map::new(), 0usize);
    for (name, shape) in tensors {
        let end = offset + stored.bytes(shape);
        let entry = json!({ "dtype": dtype, "shape": shape, "data_offsets": [offset, end] });
        header.insert(name.clone(), entry);
        offset = end;
    }
    let mut header = Value::Object(header).to_string();
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len() + shift));
    let mut file = BufWriter::new(File::create(path).unwrap());
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    stored.write(offset, &mut file);
    file.flush().unwrap();
}

/// Writes what `torch.save` writes of a dict of tensors: a zip archive of a pickle and a storage for each tensor, each at a
/// multiple of 64 bytes. Square matrices are views with rows and columns swapped.
fn write_torch(path: &Path, tensors: &[(String, Vec<usize>)], stored: Stored) {
    /// Without the name.
    const LOCAL_HEADER: usize = 30;
    let kind = if matches!(stored, Stored::F32) { "FloatStorage" } else { "BFloat16Storage" };
    let mut pickle = b"\x80\x02}(".to_vec();
    let text = |pickle: &mut Vec<u8>, text: &str| {
        pickle.push(b'X');
        pickle.extend((text.len() as u32).to_le_bytes());
        pickle.extend(text.as_bytes());
    };
    let number = |pickle: &mut Vec<u8>, number: usize| {
        pickle.push(b'J');
        pickle.extend((number as u32).to_le_bytes());
    };
    for (index, (name, shape)) in tensors.iter().enumerate() {
        text(&mut pickle, name);
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut pickle, "storage");
        pickle.extend(format!("ctorch\n{kind}\n").as_bytes());
        text(&mut pickle, &index.to_string());
        text(&mut pickle, "cpu");
        number(&mut pickle, shape.iter().product());
        pickle.extend(b"tQ");
        number(&mut pickle, 0);
        let strides = match shape[..] {
            [rows, columns] if rows == columns => vec![1, rows],
            [_, columns] => vec![columns, 1],
            _ => vec![1],
        };
        for sizes in [shape, &strides] {
            pickle.push(b'(');
            sizes.iter().for_each(|size| number(&mut pickle, *size));
            pickle.push(b't');
        }
        pickle.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    }
    pickle.extend(b"u.");
    let names = std::iter::once("m/data.pkl".to_string());
    let names = names.chain((0..tensors.len()).map(|index| format!("m/data/{index}")));
    let sizes = std::iter::once(pickle.len());
    let sizes = sizes.chain(tensors.iter().map(|(_, shape)| stored.bytes(shape)));
    let mut file = BufWriter::new(File::create(path).unwrap());
    let (mut at, mut records) = (0usize, Vec::new());
    for (index, (name, size)) in names.zip(sizes).enumerate() {
        // Name and sizes, which both records of an entry have. Checksums are not read.
        let mut about = vec![0; 12];
        about.extend([size as u32, size as u32].into_iter().flat_map(u32::to_le_bytes));
        about.extend((name.len() as u16).to_le_bytes());
        let named = at + LOCAL_HEADER + name.len();
        let padding = vec![0; named.next_multiple_of(64) - named];
        let extra = (padding.len() as u16).to_le_bytes();
        let local =
            [&b"PK\x03\x04\0\0"[..], &about[..], &extra, name.as_bytes(), &padding].concat();
        let start = (at as u32).to_le_bytes();
        records.push(
            [&b"PK\x01\x02\0\0\0\0"[..], &about[..], &[0; 12], &start, name.as_bytes()].concat(),
        );
        file.write_all(&local).unwrap();
        match index {
            0 => file.write_all(&pickle).unwrap(),
            _ => stored.write(size, &mut file),
        }
        at += local.len() + size;
    }
    let (count, records) = (records.len() as u16, records.concat());
    file.write_all(&records).unwrap();
    file.write_all(b"PK\x05\x06\0\0\0\0").unwrap();
    file.write_all(&[count.to_le_bytes(), count.to_le_bytes()].concat()).unwrap();
    file.write_all(&[(records.len() as u32).to_le_bytes(), (at as u32).to_le_bytes()].concat())
        .unwrap();
    file.write_all(&[0; 2]).unwrap();
    file.flush().unwrap();
}

/// Writes a checkpoint in one file of f32.
fn write_checkpoint(dir: &Path, shift: usize) {
    USUAL.write_config(dir);
    write_safetensors(&dir.join("model.safetensors"), &USUAL.tensors(), Stored::F32, shift);
}

/// Writes a checkpoint in several files, each with about as many bytes; the bytes of the largest.
fn write_shards(dir: &Path, sizes: &Sizes, files: usize, stored: Stored, is_torch: bool) -> u64 {
    sizes.write_config(dir);
    let (stem, end) = if is_torch { ("pytorch_model", "bin") } else { ("model", "safetensors") };
    let tensors = sizes.tensors();
    let all: usize = tensors.iter().map(|(_, shape)| stored.bytes(shape)).sum();
    let mut shards: Vec<Vec<(String, Vec<usize>)>> = vec![Vec::new(); files];
    let mut before = 0;
    for (name, shape) in tensors {
        let bytes = stored.bytes(&shape);
        shards[(before * files / all).min(files - 1)].push((name, shape));
        before += bytes;
    }
    let mut map = Map::new();
    let mut largest = 0;
    // A file may have nothing but a part of a tensor to hold.
    for (number, shard) in shards.iter().enumerate().filter(|(_, shard)| !shard.is_empty()) {
        let file = format!("{stem}-{:05}-of-{files:05}.{end}", number + 1);
        let path = dir.join(&file);
        match is_torch {
            true => write_torch(&path, shard, stored),
            false => write_safetensors(&path, shard, stored, 0),
        }
        map.extend(shard.iter().map(|(tensor, _)| (tensor.clone(), json!(file))));
        largest = largest.max(fs::metadata(&path).unwrap().len());
    }
    let index = dir.join(format!("{stem}.{end}.index.json"));
    fs::write(index, json!({ "weight_map": map }).to_string()).unwrap();
    largest
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

/// A model, the bytes that loading it took at its peak, and the seconds.
fn loaded(load: impl FnOnce() -> Loaded) -> (Loaded, u64, f64) {
    let before = status("VmRSS:");
    // Resets the peak.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let start = Instant::now();
    let loaded = load();
    let seconds = start.elapsed().as_secs_f64();
    (loaded, status("VmHWM:").saturating_sub(before), seconds)
}

/// Loads a model and checks the peak memory that took, relative to the bytes of its parameters in f32.
fn measure(name: &str, dir: &Path, weights: WeightFormat, limit: f64) {
    let file = dir.join("model.safetensors");
    let twice = 2.0 * read(&file);
    let options = LoadOptions { weights, ..LoadOptions::default() };
    let (loaded, peak, seconds) =
        loaded(|| peft_models::load_with(dir, &Device::flex(), options).unwrap());
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

/// Set in a process of its own: the place of the checkpoint that it measures.
const PLACE: &str = "PEFT_TESTS_LOAD_PLACE";

/// A checkpoint of several files, and where it goes.
struct Checkpoint {
    name: &'static str,
    stored: Stored,
    is_torch: bool,
    /// To another device than the CPU, tensors are copied. Here the CPU stands for it, with Burn's own operations: what is "on
    /// the device" is then memory of the process, too.
    is_copied: bool,
}

impl Checkpoint {
    const fn new(name: &'static str, stored: Stored, is_torch: bool, is_copied: bool) -> Self {
        Self { name, stored, is_torch, is_copied }
    }

    /// The bytes of the tensors in f32 that are not views of a file: all that are copied or converted; of files in f32 on
    /// the CPU, the matrices that are stored with rows and columns swapped.
    fn in_memory(&self, sizes: &Sizes) -> u64 {
        let is_in_memory = |shape: &[usize]| match (self.is_copied, self.stored) {
            (false, Stored::F32) => self.is_torch && matches!(shape, [a, b] if a == b),
            _ => true,
        };
        let tensors = sizes.tensors().into_iter().filter(|(_, shape)| is_in_memory(shape));
        tensors.map(|(_, shape)| 4 * shape.iter().product::<usize>() as u64).sum()
    }
}

const SHARDED: [Checkpoint; 6] = [
    Checkpoint::new("safetensors in f32", Stored::F32, false, true),
    Checkpoint::new("safetensors in bf16", Stored::Bf16, false, true),
    Checkpoint::new("files of torch in f32", Stored::F32, true, true),
    Checkpoint::new("files of torch in bf16", Stored::Bf16, true, true),
    Checkpoint::new("files of torch in f32, on the CPU", Stored::F32, true, false),
    Checkpoint::new("files of torch in bf16, on the CPU", Stored::Bf16, true, false),
];

/// Each checkpoint has a process of its own: an allocator keeps memory of the one before.
#[test]
fn a_checkpoint_is_loaded_tensor_by_tensor() {
    if let Some(place) = std::env::var_os(PLACE) {
        let place: usize = place.to_str().unwrap().parse().unwrap();
        return measure_shards(&SHARDED[place]);
    }
    for (place, Checkpoint { name, is_copied, .. }) in SHARDED.iter().enumerate() {
        let this = std::env::current_exe().unwrap();
        let mut alone = Command::new(this);
        alone.args(["--exact", "a_checkpoint_is_loaded_tensor_by_tensor", "--nocapture"]);
        alone.env(PLACE, place.to_string());
        if *is_copied {
            alone.env("PEFT_KERNELS", "off");
        }
        let output = alone.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{name}: {said}{error}");
        let told: Vec<&str> = said.lines().filter(|line| line.contains(" at the peak; ")).collect();
        assert_eq!(told.len(), 1, "{said}");
        println!("{}", told[0]);
    }
}

/// Loads a checkpoint of several files, and checks the memory that took at its peak: what the tensors take, and little more,
/// whatever the files hold.
fn measure_shards(checkpoint: &Checkpoint) {
    let Checkpoint { name, stored, is_torch, is_copied } = *checkpoint;
    assert_eq!(kernels::enabled(), !is_copied);
    let is_long = std::env::var_os("PEFT_TESTS_LONG").is_some();
    let (sizes, files) = if is_long { (LARGE, 8) } else { (SMALL, 4) };
    let dir = tempfile::tempdir().unwrap();
    let largest = write_shards(dir.path(), &sizes, files, stored, is_torch);
    let load = || {
        let config = ModelConfig::load(dir.path()).unwrap();
        let weights = Weights::open(dir.path(), &Device::flex(), DType::F32).unwrap();
        let weights = if is_copied { weights.copied() } else { weights };
        build_with(config, weights, LoadOptions::default()).unwrap()
    };
    let (_loaded, peak, seconds) = loaded(load);
    let tensors = checkpoint.in_memory(&sizes);
    let above = peak.saturating_sub(tensors);
    println!(
        "\n{name}: {:.1} MB of tensors in memory, {:.1} MB in the largest of {files} files, {:.1} MB at the peak; {:.1} MB more \
         than the tensors; {seconds:.3} s",
        tensors as f64 / 1e6,
        largest as f64 / 1e6,
        peak as f64 / 1e6,
        above as f64 / 1e6,
    );
    if status("VmHWM:") > 0 {
        // That it was read, and seen.
        assert!(peak as f64 > 0.9 * tensors as f64, "{name}: {peak} of {tensors}");
        let of_file = above as f64 / largest as f64;
        // Of small files, what the process itself takes is a large part.
        let limit = if is_long { 0.3 } else { 1.3 };
        assert!(of_file < limit, "{name}: {of_file:.2} of the largest file");
    }
}
