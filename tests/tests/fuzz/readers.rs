//! The readers of foreign files, each with valid files to damage.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use burn::tensor::{DType, Device};
use peft_core::{
    Adapter, NamedTensors, Result, Task,
    adapter::{
        codec::from_safetensors,
        foreign::{self, Base},
        prompt_file,
    },
    formats::{npy, torch_file},
    text::{ChatSource, Clock, EncoderConfig, load_tokenizer, read_records},
};
use peft_models::{ModelConfig, Weights};
use peft_tests::{device, vectors};

use crate::{mutate, rows};

/// The memory that a reader may take for a small file.
pub const SMALL: usize = 1 << 20;
/// The same for a file that may hold a regular expression: the library compiles one such as `a{1,2147483648}` to about
/// 16 MB before it refuses it.
const LARGE: usize = 64 << 20;

/// A reader with its valid files.
pub struct Reader {
    pub name: &'static str,
    pub seeds: Vec<Vec<u8>>,
    /// Corrects what would keep the damage from being read, such as checksums.
    pub repair: fn(&mut [u8]),
    /// Reads bytes, in a folder that holds what else it needs.
    pub read: fn(&Path, &[u8]) -> Result<()>,
    /// The bytes that reading may take whatever the file's size.
    pub allowance: usize,
    /// Files that must be in the folder, and their names there.
    pub beside: Vec<(PathBuf, &'static str)>,
}

fn file(path: &str) -> PathBuf {
    vectors("files").join(path)
}

fn seeds(paths: &[&str]) -> Vec<Vec<u8>> {
    paths.iter().map(|path| fs::read(vectors(path)).unwrap()).collect()
}

/// The valid files of a folder with one of these endings.
fn all(folder: &str, endings: &[&str]) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(file(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let wanted = |path: &&PathBuf| endings.iter().any(|end| path.to_string_lossy().ends_with(end));
    paths.iter().filter(wanted).map(|path| fs::read(path).unwrap()).collect()
}

/// The tensors of a tiny model, to build configs with.
fn tensors(family: &str) -> NamedTensors {
    let path = file(family).join("model.safetensors");
    from_safetensors(&fs::read(&path).unwrap(), &path).unwrap()
}

/// Replaces a file by a new one: truncating and rewriting it would wait for the disk.
pub fn write(dir: &Path, name: &str, bytes: &[u8]) {
    let path = dir.join(name);
    // The first time there is none.
    let _ = fs::remove_file(&path);
    fs::write(path, bytes).unwrap();
}

pub fn nothing(_: &mut [u8]) {}

pub fn readers() -> Vec<Reader> {
    [adapters(), models(), texts(), rows::readers()].into_iter().flatten().collect()
}

/// Files of adapters.
fn adapters() -> Vec<Reader> {
    vec![
        Reader {
            name: "adapter_model.safetensors",
            seeds: seeds(&[
                "files/p-tuning/adapter_model.safetensors",
                "files/seq2seq/adapter_model.safetensors",
                "interop/bert-tok-prompt/adapter_model.safetensors",
            ]),
            repair: mutate::repair_safetensors,
            read: |dir, bytes| {
                write(dir, "adapter_model.safetensors", bytes);
                Adapter::load(dir).map(drop)
            },
            allowance: SMALL,
            beside: vec![(file("p-tuning/adapter_config.json"), "adapter_config.json")],
        },
        Reader {
            name: "adapter_config.json",
            seeds: seeds(&[
                "files/p-tuning/adapter_config.json",
                "files/seq2seq/adapter_config.json",
                "logits/bert/layers/adapter_config.json",
                "logits/t5/sites/adapter_config.json",
            ]),
            repair: nothing,
            read: |dir, bytes| {
                write(dir, "adapter_config.json", bytes);
                let adapter = prompt_file::into_prompt_tuning(Adapter::load(dir)?);
                adapter.files(dir).map(drop)
            },
            allowance: SMALL,
            beside: vec![(file("p-tuning/adapter_model.safetensors"), "adapter_model.safetensors")],
        },
        Reader {
            name: "burn_peft.json",
            seeds: seeds(&["interop/gpt2-prompt/burn_peft.json"]),
            repair: nothing,
            read: |dir, bytes| {
                write(dir, "burn_peft.json", bytes);
                Adapter::load(dir)?.files(dir).map(drop)
            },
            allowance: SMALL,
            beside: ["adapter_config.json", "adapter_model.safetensors"]
                .map(|name| (vectors("interop/gpt2-prompt").join(name), name))
                .to_vec(),
        },
        Reader {
            name: "adapter_model.bin, .pt",
            seeds: all("torch", &[".bin", ".pt"]),
            repair: mutate::repair_zip,
            read: |_, bytes| torch_file::read(bytes, Path::new("m.bin")).map(drop),
            allowance: SMALL,
            beside: Vec::new(),
        },
        Reader {
            name: "checkpoints of other code",
            seeds: seeds(&[
                "foreign/ptv2-roberta/pytorch_model.bin",
                "foreign/liang-gpt2/pytorch_model.bin",
                "foreign/liang-bart/epoch.ckpt",
                "foreign/openprompt-prefix/template.bin",
                "files/torch/dict.bin",
            ]),
            repair: mutate::repair_zip,
            read: |dir, bytes| {
                write(dir, "c.bin", bytes);
                let found = foreign::read(&dir.join("c.bin"), &device())?;
                found.into_adapter(Task::SeqCls, &Base::default())?.files(dir).map(drop)
            },
            allowance: SMALL,
            beside: Vec::new(),
        },
        Reader {
            name: ".npy",
            seeds: all("npy", &[".npy"]),
            repair: mutate::repair_npy,
            read: |_, bytes| {
                let path = Path::new("p.npy");
                npy::write(&npy::read(bytes, path)?, path).map(drop)
            },
            allowance: SMALL,
            beside: Vec::new(),
        },
    ]
}

/// Files of base models.
fn models() -> Vec<Reader> {
    vec![
        Reader {
            name: "config.json",
            seeds: seeds(&[
                "files/gpt2/config.json",
                "files/llama/config.json",
                "files/bert/config.json",
            ]),
            repair: nothing,
            read: |dir, bytes| {
                write(dir, "config.json", bytes);
                let config = ModelConfig::load(dir)?;
                let family = match config.model_type()? {
                    "gpt2" => "gpt2",
                    "bert" => "bert",
                    _ => "llama",
                };
                let weights = Weights::memory(tensors(family), &Device::flex(), DType::F32);
                peft_models::build(config, weights).map(drop)
            },
            allowance: SMALL,
            beside: Vec::new(),
        },
        Reader {
            name: "model.safetensors",
            seeds: seeds(&["files/gpt2/model.safetensors"]),
            repair: mutate::repair_safetensors,
            read: |dir, bytes| {
                write(dir, "model.safetensors", bytes);
                peft_models::load(dir, &Device::flex()).map(drop)
            },
            allowance: SMALL,
            beside: vec![(file("gpt2/config.json"), "config.json")],
        },
        Reader {
            name: "model.gguf",
            seeds: ["llama", "llama-rope", "qwen2", "gpt2", "bert", "t5"]
                .map(|name| fs::read(vectors(&format!("gguf/{name}.gguf"))).unwrap())
                .to_vec(),
            repair: nothing,
            read: |dir, bytes| {
                write(dir, "model.gguf", bytes);
                peft_models::load(&dir.join("model.gguf"), &Device::flex()).map(drop)
            },
            allowance: SMALL,
            beside: Vec::new(),
        },
        Reader {
            name: "tokenizer of model.gguf",
            seeds: ["gpt-2", "smollm", "llama-bpe", "llama", "t5", "bert"]
                .map(|name| fs::read(vectors(&format!("gguf/tokenizers/{name}.gguf"))).unwrap())
                .to_vec(),
            repair: nothing,
            read: |dir, bytes| {
                write(dir, "model.gguf", bytes);
                load_tokenizer(&dir.join("model.gguf")).map(drop)
            },
            allowance: LARGE,
            beside: Vec::new(),
        },
        Reader {
            name: "pytorch_model.bin",
            seeds: seeds(&["base_models/t5-tied/pytorch_model.bin"]),
            repair: mutate::repair_zip,
            read: |dir, bytes| {
                write(dir, "pytorch_model.bin", bytes);
                peft_models::load(dir, &Device::flex()).map(drop)
            },
            allowance: SMALL,
            beside: vec![(vectors("base_models/t5-tied/config.json"), "config.json")],
        },
        Reader {
            name: "pytorch_model.bin, before torch 1.6",
            seeds: seeds(&["base_models/gpt2-old/pytorch_model.bin"]),
            repair: nothing,
            read: |dir, bytes| {
                write(dir, "pytorch_model.bin", bytes);
                peft_models::load(dir, &Device::flex()).map(drop)
            },
            allowance: SMALL,
            beside: vec![(vectors("base_models/gpt2-old/config.json"), "config.json")],
        },
        Reader {
            name: "model.safetensors.index.json",
            seeds: vec![
                br#"{"metadata": {"total_size": 8}, "weight_map": {"transformer.wte.weight": "a.safetensors",
                "transformer.wpe.weight": "a.safetensors", "transformer.ln_f.bias": "b.safetensors"}}"#
                    .to_vec(),
            ],
            repair: nothing,
            read: |dir, bytes| {
                write(dir, "model.safetensors.index.json", bytes);
                Weights::open(dir, &Device::flex(), DType::F32)?.finish(|_| true).map(drop)
            },
            allowance: SMALL,
            beside: vec![
                (file("gpt2/model.safetensors"), "a.safetensors"),
                (file("gpt2/model.safetensors"), "b.safetensors"),
            ],
        },
    ]
}

/// Tokenizers and chat templates.
fn texts() -> Vec<Reader> {
    vec![
        Reader {
            name: "tokenizer.json",
            seeds: all(".", &["words.json", "pieces.json", "bytes.json", "unigram.json", "precompiled.json"]),
            repair: nothing,
            read: |dir, bytes| {
                write(dir, "tokenizer.json", bytes);
                load_tokenizer(dir).map(drop)
            },
            allowance: LARGE,
            beside: Vec::new(),
        },
        Reader {
            name: "chat_template.jinja",
            seeds: fs::read_dir(vectors("chat/templates"))
                .unwrap()
                .map(|entry| fs::read(entry.unwrap().path()).unwrap())
                .collect(),
            repair: nothing,
            read: |dir, bytes| {
                write(dir, "chat_template.jinja", bytes);
                let chat = ChatSource::read(dir, &[], None, Clock::parse("2024-07-26")?)?;
                let config = EncoderConfig {
                    chat: Some(Arc::new(chat)),
                    ..EncoderConfig::new(Task::CausalLm, 400)
                };
                let records = read_records(&dir.join("conversations.jsonl"))?;
                config.init(Some(load_tokenizer(dir)?))?.encode(&records[2..8]).map(drop)
            },
            // Templates may multiply texts.
            allowance: 4 * LARGE,
            beside: vec![
                (vectors("chat/tokenizer.json"), "tokenizer.json"),
                (vectors("chat/conversations.jsonl"), "conversations.jsonl"),
            ],
        },
        Reader {
            name: "tokenizer_config.json",
            seeds: vec![
                br#"{"tokenizer_class": "BertTokenizer", "do_lower_case": true, "unk_token": "[UNK]",
                "cls_token": {"__type": "AddedToken", "content": "[CLS]", "lstrip": true},
                "extra_special_tokens": {"image_token": "<image>"}, "strip_accents": null,
                "added_tokens_decoder": {"9": {"content": "<x>", "special": true}}}"#
                    .to_vec(),
                br#"{"tokenizer_class": "T5Tokenizer", "extra_ids": 3, "additional_special_tokens": ["<a>"]}"#.to_vec(),
            ],
            repair: nothing,
            read: |dir, bytes| {
                write(dir, "tokenizer_config.json", bytes);
                load_tokenizer(dir).map(drop)
            },
            allowance: LARGE,
            beside: vec![
                (vectors("tokenizers/words.txt"), "vocab.txt"),
                (vectors("tokenizers/t5.model"), "spiece.model"),
            ],
        },
        Reader {
            name: "tokenizer.model",
            seeds: seeds(&["tokenizers/pairs.model"]),
            repair: nothing,
            read: |dir, bytes| {
                write(dir, "tokenizer.model", bytes);
                load_tokenizer(dir).map(drop)
            },
            allowance: LARGE,
            beside: Vec::new(),
        },
        Reader {
            name: "spiece.model",
            seeds: seeds(&["tokenizers/t5.model"]),
            repair: nothing,
            read: |dir, bytes| {
                write(dir, "config.json", b"{\"model_type\": \"t5\"}");
                write(dir, "spiece.model", bytes);
                load_tokenizer(dir).map(drop)
            },
            allowance: LARGE,
            beside: Vec::new(),
        },
    ]
}
