//! The tensors of an adapter folder: `adapter_model.safetensors`, else `adapter_model.bin`, which
//! older versions of PEFT wrote.

use std::path::{Path, PathBuf};

use burn::tensor::TensorData;
use serde_json::Value;

use super::{codec::from_safetensors, config::AdapterConfig};
use crate::{
    contract::{layout::PROMPT_EMBEDDINGS, peft_type::PeftType, task::Task, tensors::NamedTensors},
    error::{Error, Result},
    formats::torch_file::{self, TorchFile},
};

/// The name of the file that holds the tensors.
pub(super) const TENSORS: &str = "adapter_model.safetensors";
/// PEFT's older name and format for the same tensors.
pub(super) const OLD_TENSORS: &str = "adapter_model.bin";

/// Returns the file of a folder that holds its tensors.
///
/// # Errors
///
/// [`Error::File`] naming both files if there is neither.
pub fn path(dir: &Path) -> Result<PathBuf> {
    [TENSORS, OLD_TENSORS]
        .map(|name| dir.join(name))
        .into_iter()
        .find(|path| path.exists())
        .ok_or_else(|| Error::file(dir, format!("holds neither {TENSORS} nor {OLD_TENSORS}")))
}

/// Reads named tensors from the bytes of a safetensors file or, if the extension of `path` is
/// another, of a torch file. Half-precision values are upcast to f32.
///
/// # Errors
///
/// As for [`from_safetensors`] and [`torch_file::read`]; [`Error::File`] for a tensor without a
/// name.
pub fn parse(bytes: &[u8], path: &Path) -> Result<NamedTensors> {
    if path.extension().is_some_and(|extension| extension == "safetensors") {
        return from_safetensors(bytes, path);
    }
    match torch_file::read(bytes, path)? {
        TorchFile::Named(tensors) => Ok(tensors),
        TorchFile::Bare(_) => {
            let message =
                format!("holds one tensor without a name, expected `{PROMPT_EMBEDDINGS}`");
            Err(Error::file(path, message))
        }
    }
}

/// `num_transformer_submodules` of an adapter's config: 2 if a sequence-to-sequence config does not
/// say, as in PEFT.
pub fn submodules(config: &Value) -> usize {
    let is_pair = config["task_type"] == Task::Seq2SeqLm.peft_name();
    let said = config["num_transformer_submodules"].as_u64();
    said.map_or(if is_pair { 2 } else { 1 }, |said| said as usize)
}

/// Keeps the rows of a prompt that are used. PEFT allocates P rows for each of two submodules but
/// only ever reads the first P, in front of the encoder.
pub fn keep_used_rows(tensors: &mut NamedTensors, config: &AdapterConfig, submodules: usize) {
    let p = config.num_virtual_tokens;
    if !matches!(config.peft_type, PeftType::PromptTuning | PeftType::PTuning) {
        return;
    }
    if let Some(prompt) = tensors.get_mut(PROMPT_EMBEDDINGS)
        && let &[rows, columns] = prompt.shape().as_slice()
        && submodules == 2
        && Some(rows) == p.checked_mul(2)
    {
        // Half of the bytes, whatever their type.
        let bytes = prompt.as_bytes();
        let first = bytes[..bytes.len() / 2].to_vec();
        *prompt = TensorData::from_bytes_vec(first, [p, columns], prompt.dtype());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::adapter::{Adapter, codec::to_safetensors};
    use serde_json::json;

    /// A folder with a config and a prompt of `rows` rows and two columns, whose values count up
    /// from 0.
    fn folder(config: &Value, rows: usize) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("adapter_config.json"), config.to_string()).unwrap();
        let numbers = (0..2 * rows).map(|n| n as f32).collect::<Vec<_>>();
        let prompt = TensorData::new(numbers, [rows, 2]);
        let tensors = NamedTensors::from([(PROMPT_EMBEDDINGS.to_string(), prompt)]);
        let path = dir.path().join(TENSORS);
        std::fs::write(&path, to_safetensors(&tensors, &path).unwrap()).unwrap();
        dir
    }

    fn config(peft_type: &str, task: &str, submodules: Value) -> Value {
        let mut config =
            json!({"peft_type": peft_type, "task_type": task, "num_virtual_tokens": 3});
        if !submodules.is_null() {
            config["num_transformer_submodules"] = submodules;
        }
        config
    }

    #[test]
    fn the_first_half_of_two_submodules_is_kept() {
        for peft_type in ["PROMPT_TUNING", "P_TUNING"] {
            for said in [json!(2), Value::Null] {
                let dir = folder(&config(peft_type, "SEQ_2_SEQ_LM", said), 6);
                let adapter = Adapter::load(dir.path()).unwrap();
                let prompt = &adapter.tensors[PROMPT_EMBEDDINGS];
                assert_eq!(prompt.shape().as_slice(), [3, 2]);
                assert!(prompt.iter::<f32>().eq([0.0, 1.0, 2.0, 3.0, 4.0, 5.0]));
            }
        }
    }

    #[test]
    fn other_numbers_of_rows_are_refused() {
        for (peft_type, task, said, rows, fits) in [
            ("PROMPT_TUNING", "SEQ_2_SEQ_LM", json!(2), 3, true),
            ("PROMPT_TUNING", "SEQ_2_SEQ_LM", json!(1), 3, true),
            ("PROMPT_TUNING", "SEQ_2_SEQ_LM", json!(1), 6, false),
            ("PROMPT_TUNING", "SEQ_2_SEQ_LM", json!(2), 5, false),
            ("PROMPT_TUNING", "CAUSAL_LM", Value::Null, 6, false),
            ("PREFIX_TUNING", "SEQ_2_SEQ_LM", json!(2), 6, false),
        ] {
            let dir = folder(&config(peft_type, task, said), rows);
            let found = Adapter::load(dir.path());
            assert_eq!(found.is_ok(), fits, "{peft_type} {task} {rows}: {found:?}");
        }
    }

    // PEFT 0.21.2 computes other numbers than with its own setting for the task, in each of these.
    #[test]
    fn submodules_that_peft_does_not_choose_are_refused() {
        for (peft_type, task, said, rows, fits) in [
            ("PROMPT_TUNING", "CAUSAL_LM", 1, 3, true),
            ("PROMPT_TUNING", "CAUSAL_LM", 2, 6, false),
            ("P_TUNING", "SEQ_CLS", 2, 6, false),
            ("PREFIX_TUNING", "CAUSAL_LM", 1, 3, true),
            ("PREFIX_TUNING", "TOKEN_CLS", 2, 3, false),
            ("PREFIX_TUNING", "SEQ_2_SEQ_LM", 2, 3, true),
            ("PREFIX_TUNING", "SEQ_2_SEQ_LM", 1, 3, false),
        ] {
            let made = config(peft_type, task, json!(said));
            let found = Adapter::load(folder(&made, rows).path());
            assert_eq!(found.is_ok(), fits, "{peft_type} {task} {said}: {found:?}");
            if let Err(error) = found {
                let error = error.to_string();
                assert!(error.contains("`num_transformer_submodules`: found"), "{error}");
            }
            // One of ours says itself what it is.
            let mut own = made;
            own["burn_peft"] = json!({"method": "prefix"});
            if rows == 3 {
                Adapter::load(folder(&own, rows).path()).unwrap();
            }
        }
    }

    #[test]
    fn a_folder_without_tensors_names_both_files() {
        let dir = tempfile::tempdir().unwrap();
        let error = path(dir.path()).unwrap_err().to_string();
        assert!(error.ends_with("holds neither adapter_model.safetensors nor adapter_model.bin"));
    }

    #[test]
    fn p_tuning_is_written_as_it_was_read() {
        let mut written = config("P_TUNING", "SEQ_2_SEQ_LM", Value::Null);
        written["encoder_reparameterization_type"] = json!("LSTM");
        written["encoder_hidden_size"] = json!(7);
        let adapter = Adapter::load(folder(&written, 6).path()).unwrap();
        assert!(adapter.config.peft_type.is_prompt());
        let dir = tempfile::tempdir().unwrap();
        adapter.save(dir.path()).unwrap();
        let again = Adapter::load(dir.path()).unwrap();
        assert_eq!(again.tensors, adapter.tensors);
        let json = again.config.to_json();
        for (key, value) in [
            ("peft_type", json!("P_TUNING")),
            ("encoder_reparameterization_type", json!("LSTM")),
            ("encoder_hidden_size", json!(7)),
            ("num_transformer_submodules", json!(1)),
        ] {
            assert_eq!(json[key], value, "{key}");
        }
    }
}
