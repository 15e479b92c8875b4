//! Checkpoints whose weights were quantised by another tool: refused by name, before any tensor is looked at.

use peft_core::{Result, formats::read};
use serde_json::Value;

use crate::config::ModelConfig;

/// The keys of `config.json` under which tools say how they quantised; the second is the name of compressed-tensors
/// before 0.8, the third that of MLX.
const KEYS: [&str; 3] = ["quantization_config", "compression_config", "quantization"];
/// The files in which older tools say the same, beside `config.json`, and the tools.
const FILES: [(&str, &str); 3] = [
    ("quantize_config.json", "gptq"),
    ("quant_config.json", "awq"),
    ("hf_quant_config.json", "modelopt"),
];

/// Refuses a config that says that the weights are quantised.
///
/// # Errors
///
/// [`peft_core::Error::Config`] naming the method, the bits and the way out.
pub fn refuse(config: &ModelConfig) -> Result<()> {
    for key in KEYS {
        if let Some(found) = config.get(key).and_then(how) {
            return Err(config.error(key, message(&found)));
        }
    }
    for (file, tool) in FILES {
        let path = config.path().with_file_name(file);
        if let Ok(found) = read::json(&path) {
            let found = describe(tool, bits(&found));
            return Err(peft_core::Error::file(&path, message(&found)));
        }
    }
    Ok(())
}

fn message(how: &str) -> String {
    format!(
        "says that the model is quantised ({how}), which is not read: give the model that it was made from; \
         set `base_weights` to bf16 or int8 to keep that one small in memory"
    )
}

/// How a config says that the weights are quantised; `None` if it says that they are not.
fn how(value: &Value) -> Option<String> {
    let fields = value.as_object()?;
    let is_on = |key: &str| value[key] == true || value[format!("_{key}")] == true;
    let method = value["quant_method"].as_str();
    // bitsandbytes, which writes its config also when it does nothing.
    if method.is_none_or(|method| method == "bitsandbytes") {
        let bits =
            [("load_in_4bit", 4), ("load_in_8bit", 8)].into_iter().find(|(key, _)| is_on(key));
        if bits.is_some() || fields.is_empty() || value.get("load_in_8bit").is_some() {
            return bits.map(|(_, bits)| describe("bitsandbytes", Some(bits)));
        }
    }
    // MLX names no method, and these two always.
    let is_mlx = ["group_size", "bits"].into_iter().all(|key| value.get(key).is_some());
    let unnamed = if is_mlx { "mlx" } else { "by an unknown method" };
    let method = method.or(value["format"].as_str()).unwrap_or(unnamed);
    Some(describe(method, bits(value)))
}

fn describe(method: &str, bits: Option<u64>) -> String {
    let method: String = method.chars().take(40).collect();
    match bits {
        Some(bits) => format!("{method}, {bits} bits"),
        None => method,
    }
}

/// The bits per weight, if they are said.
fn bits(value: &Value) -> Option<u64> {
    let named =
        ["bits", "w_bit", "nbits", "num_bits"].into_iter().find_map(|key| value[key].as_u64());
    // compressed-tensors says it for each group of layers.
    let groups =
        || value["config_groups"].as_object()?.values().next()?["weights"]["num_bits"].as_u64();
    let method = value["quant_method"].as_str().unwrap_or_default();
    let known = || method.contains("fp8").then_some(8).or((method == "mxfp4").then_some(4));
    named.or_else(groups).or_else(known)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn methods_and_bits_are_named() {
        for (value, says) in [
            (json!({"bits": 4, "quant_method": "gptq"}), Some("gptq, 4 bits")),
            (json!({"w_bit": 4, "quant_method": "awq", "version": "gemm"}), Some("awq, 4 bits")),
            (
                json!({"_load_in_4bit": true, "quant_method": "bitsandbytes"}),
                Some("bitsandbytes, 4 bits"),
            ),
            (json!({"load_in_8bit": true, "load_in_4bit": false}), Some("bitsandbytes, 8 bits")),
            (json!({"fmt": "e4m3", "quant_method": "fp8"}), Some("fp8, 8 bits")),
            (json!({"quant_method": "mxfp4"}), Some("mxfp4, 4 bits")),
            (json!({"quant_method": "hqq", "nbits": 3}), Some("hqq, 3 bits")),
            (
                json!({"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 8}}}}),
                Some("compressed-tensors, 8 bits"),
            ),
            (json!({"quant_method": "aqlm"}), Some("aqlm")),
            (json!({"format": "pack-quantized"}), Some("pack-quantized")),
            (json!({"group_size": 3}), Some("by an unknown method")),
            (json!({"group_size": 64, "bits": 4}), Some("mlx, 4 bits")),
            (
                json!({"load_in_8bit": false, "load_in_4bit": false, "quant_method": "bitsandbytes"}),
                None,
            ),
            (json!({}), None),
            (json!(3), None),
        ] {
            assert_eq!(how(&value).as_deref(), says, "{value}");
        }
    }

    #[test]
    fn files_of_older_tools_are_read_too() {
        let dir = tempfile::tempdir().unwrap();
        let config = ModelConfig::from_value(json!({}), &dir.path().join("config.json")).unwrap();
        refuse(&config).unwrap();
        let mlx = config.clone().with("quantization", json!({"group_size": 64, "bits": 8}));
        let error = refuse(&mlx).unwrap_err().to_string();
        assert!(
            error.contains("key `quantization`: says that the model is quantised (mlx, 8"),
            "{error}"
        );
        std::fs::write(dir.path().join("quantize_config.json"), "{\"bits\": 4}").unwrap();
        let error = refuse(&config).unwrap_err().to_string();
        assert!(
            error.contains("quantize_config.json: says that the model is quantised (gptq, 4 bits)"),
            "{error}"
        );
    }
}
