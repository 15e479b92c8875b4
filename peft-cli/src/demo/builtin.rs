//! The pretrained model that is built into the program; `demo-model/pretrain.py` made it.

use std::{fs, path::Path, sync::Arc};

use burn::tensor::{DType, Device};
use peft_core::{
    Error, Result, Task,
    adapter::{atomic, codec::from_safetensors},
    data::Example,
    text::{EncoderConfig, Record},
};
use peft_models::{Loaded, ModelConfig, Weights};
use serde_json::json;

use super::world::{CLOSEST_INSTRUCTION, Split, task_split};

const FILES: [(&str, &[u8]); 3] = [
    ("config.json", include_bytes!("../../demo-model/config.json")),
    ("model.safetensors", include_bytes!("../../demo-model/model.safetensors")),
    ("tokenizer.json", include_bytes!("../../demo-model/tokenizer.json")),
];

/// The built-in model and the rows of its task.
#[derive(Debug)]
pub struct Builtin {
    /// The model.
    pub base: Arc<Loaded>,
    /// Rows to train on, with targets.
    pub train: Vec<Example>,
    /// Sources of the rows to score on.
    pub test: Vec<Example>,
    /// The same, after the instruction that comes closest to the task.
    pub told: Vec<Example>,
    /// The correct answer to each, without the end-of-text token.
    pub answers: Vec<Vec<u32>>,
}

impl Builtin {
    /// Loads the model onto a device and draws the task from `seed`.
    ///
    /// # Errors
    ///
    /// A build that passes its tests returns none.
    pub fn load(seed: u64, device: &Device) -> Result<Self> {
        let path = Path::new("(built-in model)");
        let [config, weights, tokenizer] = FILES.map(|(_, bytes)| bytes);
        let config = serde_json::from_slice(config)
            .map_err(|error| Error::file(path, error.to_string()))
            .and_then(|config| ModelConfig::from_value(config, path))?;
        let tensors = from_safetensors(weights, path)?;
        let base = peft_models::build(config, Weights::memory(tensors, device, DType::F32))?;
        let tokenizer = tokenizers::Tokenizer::from_bytes(tokenizer)
            .map_err(|error| Error::file(path, error.to_string()))?;
        let mut settings = EncoderConfig::new(Task::CausalLm, base.model.spec().vocab_size);
        settings.eos = base.config.token_ids("eos_token_id").first().copied();
        let split = task_split(seed);
        let train =
            settings.clone().init(Some(tokenizer.clone()))?.encode(&records(&split.train))?;
        settings.targets = false;
        let encoder = settings.init(Some(tokenizer.clone()))?;
        let test = encoder.encode(&records(&split.test))?;
        let told: Vec<(String, String)> = split
            .test
            .iter()
            .map(|(source, target)| (format!("{CLOSEST_INSTRUCTION} {source}"), target.clone()))
            .collect();
        let told = encoder.encode(&records(&told))?;
        let answers = split
            .test
            .iter()
            .map(|(_, target)| {
                let encoding = tokenizer
                    .encode(target.as_str(), false)
                    .map_err(|error| Error::file(path, error.to_string()))?;
                Ok(encoding.get_ids().to_vec())
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            base: Arc::new(base),
            train: train.examples,
            test: test.examples,
            told: told.examples,
            answers,
        })
    }
}

/// Rows as a data file would give them.
fn records(rows: &[(String, String)]) -> Vec<Record> {
    rows.iter()
        .enumerate()
        .map(|(index, (source, target))| {
            let fields = serde_json::Map::from_iter([
                ("source".to_string(), json!(source)),
                ("target".to_string(), json!(target)),
            ]);
            Record::new(Path::new("(built-in task)").into(), index + 1, fields)
        })
        .collect()
}

/// Writes the model's folder and the task's files, to try the other commands on.
///
/// # Errors
///
/// [`Error::Write`].
pub fn export(folder: &Path, seed: u64) -> Result<()> {
    let model = folder.join("model");
    fs::create_dir_all(&model).map_err(Error::write(&model))?;
    for (name, bytes) in FILES {
        atomic::write_file(&model.join(name), bytes)?;
    }
    let Split { train, test } = task_split(seed);
    for (name, rows) in [("train.jsonl", train), ("test.jsonl", test)] {
        let path = folder.join(name);
        let lines: String = rows
            .iter()
            .map(|(source, target)| format!("{}\n", json!({"source": source, "target": target})))
            .collect();
        atomic::write_file(&path, lines.as_bytes())?;
    }
    Ok(())
}
