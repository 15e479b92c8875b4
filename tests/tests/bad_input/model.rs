//! A base model's folder that is incomplete or damaged.

use std::{fs, path::Path};

use peft_tests::vectors;
use safetensors::Dtype;
use serde_json::json;

use super::{CASE, Case, USAGE, fixture::*};

/// `peft generate` with a model whose `generation_config.json` also has these settings.
fn asks(dir: &Path, settings: &str) -> Vec<String> {
    model(dir, "gpt2");
    let settings = format!("{{\"eos_token_id\": 35, {settings}}}");
    fs::write(dir.join("model/generation_config.json"), settings).unwrap();
    words("generate --model model --input rows.jsonl --output out.jsonl")
}

/// A device without an end, under the name of a file.
#[cfg(unix)]
fn instead(path: &Path) {
    fs::remove_file(path).unwrap();
    std::os::unix::fs::symlink("/dev/zero", path).unwrap();
}

/// A command on a model one of whose weights is NaN.
fn not_finite(dir: &Path, name: &str, tensor: &str, command: &str) -> Vec<String> {
    model(dir, name);
    weights(dir, |all| {
        let bytes = &mut all.get_mut(tensor).unwrap().2;
        bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    words(command)
}

const SCORE: &[&str] = &["the model's scores for the row in line 1 are NaN", "is not finite"];
const PREDICT: &str = "predict --model model --input rows.jsonl";
const EVAL: &str = "eval --model model --data rows.jsonl --json";

pub const CASES: &[Case] = &[
    Case {
        name: "a LoRA beside the model",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("model/adapter_config.json"), r#"{"peft_type": "LORA"}"#).unwrap();
            words(EVAL)
        },
        says: &[
            "model/adapter_config.json: key `peft_type`: found \"LORA\"",
            "transformers puts this adapter on the base model",
            "Move adapter_config.json",
            "merge_and_unload",
        ],
        ..CASE
    },
    Case {
        name: "no token to start generation from",
        build: |dir| {
            model(dir, "t5");
            fs::write(dir.join("model/generation_config.json"), r#"{"eos_token_id": 55}"#).unwrap();
            words("generate --model model --input rows.jsonl --output out.jsonl")
        },
        says: &[
            "model/generation_config.json: key `decoder_start_token_id`: is missing, and so is bos_token_id",
            "Write \"decoder_start_token_id\": 0 into it",
        ],
        ..CASE
    },
    Case {
        name: "no token to start generation from, and no generation_config.json",
        build: |dir| {
            model(dir, "t5");
            config(dir, "decoder_start_token_id", json!(null));
            words("generate --model model --input rows.jsonl --output out.jsonl")
        },
        says: &[
            "model/config.json: key `decoder_start_token_id`: is missing, and so is bos_token_id",
            "Write \"decoder_start_token_id\": 0 into it",
        ],
        ..CASE
    },
    Case {
        name: "no token to start generation from, and none that is usual",
        build: |dir| {
            model(dir, "bart");
            edit(&dir.join("model/config.json"), |config| {
                config["decoder_start_token_id"] = json!(null);
                config["bos_token_id"] = json!(null);
            });
            words("generate --model model --input rows.jsonl --output out.jsonl")
        },
        says: &[
            "model/config.json: key `decoder_start_token_id`: is missing, and so is bos_token_id",
            "Write \"decoder_start_token_id\": ID into it",
        ],
        ..CASE
    },
    Case {
        name: "NaN in a classifier, predicted with",
        build: |dir| not_finite(dir, "gpt2-cls", "score.weight", PREDICT),
        says: SCORE,
        ..CASE
    },
    Case {
        name: "NaN in a classifier, evaluated",
        build: |dir| not_finite(dir, "gpt2-cls", "score.weight", EVAL),
        says: SCORE,
        ..CASE
    },
    Case {
        name: "heads of a size that no tensor has",
        build: |dir| {
            model(dir, "llama");
            edit(&dir.join("model/config.json"), |config| config["head_dim"] = json!(1_u64 << 31));
            words("generate --model model --input rows.jsonl --output out.jsonl")
        },
        says: &["model/model.safetensors: tensor `model.layers.0.self_attn.q_proj.weight`"],
        ..CASE
    },
    Case {
        name: "NaN in a tagger, predicted with",
        build: |dir| not_finite(dir, "bert-tok", "classifier.weight", PREDICT),
        says: SCORE,
        ..CASE
    },
    Case {
        name: "NaN in a tagger, evaluated",
        build: |dir| not_finite(dir, "bert-tok", "classifier.weight", EVAL),
        says: SCORE,
        ..CASE
    },
    Case {
        name: "NaN in a model that answers questions",
        build: |dir| not_finite(dir, "bert-qa", "qa_outputs.weight", PREDICT),
        says: SCORE,
        ..CASE
    },
    Case {
        name: "NaN in a model that answers questions, evaluated",
        build: |dir| not_finite(dir, "bert-qa", "qa_outputs.weight", EVAL),
        says: SCORE,
        ..CASE
    },
    Case {
        name: "NaN in a language model, evaluated",
        build: |dir| not_finite(dir, "gpt2", "transformer.wte.weight", EVAL),
        says: SCORE,
        ..CASE
    },
    Case {
        name: "NaN in a norm",
        build: |dir| not_finite(dir, "gpt2", "transformer.ln_f.weight", EVAL),
        says: &["model/model.safetensors: tensor `transformer.ln_f.weight`: holds NaN", "diverged"],
        ..CASE
    },
    Case {
        name: "NaN in a matrix that is converted",
        build: |dir| {
            let command = format!("{EVAL} --base-weights int8");
            not_finite(dir, "gpt2", "transformer.h.0.mlp.c_fc.weight", &command)
        },
        says: &["model/model.safetensors: tensor `transformer.h.0.mlp.c_fc.weight`: holds NaN"],
        ..CASE
    },
    #[cfg(unix)]
    Case {
        name: "a device in place of the weights",
        build: |dir| {
            model(dir, "gpt2");
            instead(&dir.join("model/model.safetensors"));
            words(EVAL)
        },
        says: &["model/model.safetensors: is a folder or a device, expected a file"],
        ..CASE
    },
    #[cfg(unix)]
    Case {
        name: "a device in place of the config",
        build: |dir| {
            model(dir, "gpt2");
            instead(&dir.join("model/config.json"));
            words(EVAL)
        },
        says: &["model/config.json: is a pipe or a device, expected a file"],
        ..CASE
    },
    Case {
        name: "a row whose pairs of tokens fill the memory",
        build: |dir| {
            model(dir, "t5");
            let row = json!({ "input_ids": vec![3; 20_000], "labels": [3, 4] });
            rows(dir, &format!("{row}\n"));
            words(EVAL)
        },
        says: &[
            "rows.jsonl, line 1: 0 virtual tokens + 20000 tokens exceed 13377",
            "more than 8 GB; --max-length 13377 cuts rows of text",
        ],
        ..CASE
    },
    Case {
        name: "new tokens without end",
        build: |dir| {
            model(dir, "t5");
            words("generate --model model --input rows.jsonl --max-new-tokens 2000000")
        },
        says: &["--max-new-tokens: found 2000000, expected at most 1048576"],
        ..USAGE
    },
    Case {
        name: "missing model folder",
        build: |dir| {
            rows(dir, "{\"input_ids\": [1]}\n");
            forward()
        },
        says: &["cannot read model/config.json", "No such file"],
        ..CASE
    },
    Case {
        name: "missing config.json",
        build: |dir| {
            model(dir, "gpt2");
            fs::remove_file(dir.join("model/config.json")).unwrap();
            words("info model")
        },
        says: &["model: holds weights without config.json"],
        ..CASE
    },
    Case {
        name: "config.json is not JSON",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("model/config.json"), "{\"model_type\": gpt2}").unwrap();
            train("")
        },
        says: &["model/config.json: not JSON", "line 1 column 16"],
        ..CASE
    },
    Case {
        name: "config.json with a number that Python alone reads",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("model/config.json"), "{\n  \"attn_pdrop\": NaN}").unwrap();
            forward()
        },
        says: &[
            "model/config.json: not JSON",
            "line 2 column 17 (NaN, which Python writes",
            "put a finite number in its place, or null",
        ],
        ..CASE
    },
    Case {
        name: "config.json with a comment",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("model/config.json"), "{\n  // GPT-2\n  \"model_type\": 1}")
                .unwrap();
            forward()
        },
        says: &["model/config.json: not JSON", "line 2 column 3", "a comment"],
        ..CASE
    },
    Case {
        name: "config.json in UTF-16",
        build: |dir| {
            model(dir, "gpt2");
            let text = "\u{feff}{\"model_type\": \"gpt2\"}".encode_utf16();
            let bytes: Vec<u8> = text.flat_map(u16::to_le_bytes).collect();
            fs::write(dir.join("model/config.json"), bytes).unwrap();
            forward()
        },
        says: &["model/config.json: is in UTF-16", "UTF-8"],
        ..CASE
    },
    Case {
        name: "config.json with a byte order mark",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("model/config.json"), "\u{feff}{}").unwrap();
            forward()
        },
        says: &["model/config.json: begins with a byte order mark", "UTF-8 without BOM"],
        ..CASE
    },
    Case {
        name: "model.safetensors is a Git LFS pointer",
        build: |dir| {
            model(dir, "gpt2");
            let text = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1044992\n";
            fs::write(dir.join("model/model.safetensors"), text).unwrap();
            forward()
        },
        says: &["model/model.safetensors: is a Git LFS pointer", "1044992 bytes", "git lfs pull"],
        ..CASE
    },
    Case {
        name: "a file of the model in place of its folder",
        build: |dir| {
            model(dir, "gpt2");
            words("info model/model.safetensors")
        },
        says: &["model/model.safetensors: is one file of a model: give model"],
        ..CASE
    },
    Case {
        name: "an adapter in place of a model",
        build: |dir| {
            pair(dir, "gpt2");
            words("info adapter")
        },
        says: &["adapter: is an adapter (PREFIX_TUNING), not a base model"],
        ..CASE
    },
    Case {
        name: "a folder above the model",
        build: |dir| {
            model(dir, "gpt2");
            words("info .")
        },
        says: &[".: holds no config.json: give ./model"],
        ..CASE
    },
    Case {
        name: "no model_type and no architectures",
        build: |dir| {
            model(dir, "gpt2");
            config(dir, "model_type", json!(null));
            config(dir, "architectures", json!(null));
            forward()
        },
        says: &["model/config.json: key `model_type`: is missing", "bert, camembert, gpt2"],
        ..CASE
    },
    Case {
        name: "a quantised model",
        build: |dir| {
            model(dir, "llama");
            config(dir, "quantization_config", json!({"quant_method": "awq", "bits": 4}));
            train("")
        },
        says: &["key `quantization_config`", "quantised (awq, 4 bits)", "set --base-weights"],
        ..CASE
    },
    Case {
        name: "unknown model_type",
        build: |dir| {
            model(dir, "gpt2");
            config(dir, "model_type", json!("mamba"));
            forward()
        },
        says: &[
            "model/config.json: key `model_type`",
            "\"mamba\"",
            "bert, camembert, gpt2, llama, mistral",
        ],
        ..CASE
    },
    Case {
        name: "config key missing, and the size of its class is another",
        build: |dir| {
            model(dir, "llama");
            config(dir, "hidden_size", json!(null));
            train("")
        },
        says: &[
            "model/model.safetensors: tensor `model.layers.0.self_attn.q_proj.weight`",
            "model/config.json lacks sizes, for which those of transformers' class stand: hidden_size 4096",
        ],
        ..CASE
    },
    Case {
        name: "config key that is null",
        build: |dir| {
            model(dir, "llama");
            edit(&dir.join("model/config.json"), |config| {
                config["max_position_embeddings"] = json!(null);
            });
            train("")
        },
        says: &[
            "model/config.json: key `max_position_embeddings`: is null: set it, or remove it for 2048, which \
             transformers assumes then",
        ],
        ..CASE
    },
    Case {
        name: "config key of the wrong kind",
        build: |dir| {
            model(dir, "gpt2");
            config(dir, "n_layer", json!("three"));
            forward()
        },
        says: &["model/config.json: key `n_layer`", "whole number", "found \"three\""],
        ..CASE
    },
    Case {
        name: "a mechanism that is not implemented",
        build: |dir| {
            model(dir, "llama");
            config(dir, "rope_parameters", json!({"rope_type": "longrope"}));
            forward()
        },
        says: &[
            "model/config.json: key `rope_parameters.rope_type`",
            "\"longrope\"",
            "default, linear",
        ],
        ..CASE
    },
    Case {
        name: "end-of-text token of the wrong kind",
        build: |dir| {
            model(dir, "gpt2");
            config(dir, "eos_token_id", json!("</s>"));
            forward()
        },
        says: &["model/config.json: key `eos_token_id`", "a token id", "found \"</s>\""],
        ..CASE
    },
    Case {
        name: "heads that do not divide the hidden size",
        build: |dir| {
            model(dir, "bert");
            config(dir, "num_attention_heads", json!(5));
            forward()
        },
        says: &["model/config.json: key `num_attention_heads`: 5 does not divide 32"],
        ..CASE
    },
    Case {
        name: "end-of-text token outside the vocabulary",
        build: |dir| {
            model(dir, "gpt2");
            config(dir, "eos_token_id", json!(71));
            train("")
        },
        says: &[
            "model/config.json: key `eos_token_id`: found 71, outside the vocabulary of 71",
            "set it to a token of the vocabulary, or to null",
        ],
        // Nothing is closed or generated there.
        then: "forward --model model --input rows.jsonl --output out.safetensors",
        ..CASE
    },
    Case {
        name: "end-of-text token outside the vocabulary, in generation",
        build: |dir| {
            model(dir, "gpt2");
            config(dir, "eos_token_id", json!(50256));
            rows(dir, "{\"input_ids\": [3, 4, 5]}\n");
            words("generate --model model --input rows.jsonl --max-new-tokens 2")
        },
        says: &[
            "model/config.json: key `eos_token_id`: found 50256, outside the vocabulary of 71",
            "set it to a token of the vocabulary, or to null",
        ],
        ..CASE
    },
    Case {
        name: "missing model.safetensors",
        build: |dir| {
            model(dir, "gpt2");
            fs::remove_file(dir.join("model/model.safetensors")).unwrap();
            train("")
        },
        says: &["model: holds no weights", "expected model.safetensors or pytorch_model.bin"],
        ..CASE
    },
    Case {
        name: "truncated safetensors",
        build: |dir| {
            model(dir, "gpt2");
            truncate(&dir.join("model/model.safetensors"));
            train("")
        },
        says: &["model/model.safetensors: not a whole safetensors file"],
        ..CASE
    },
    Case {
        name: "empty safetensors",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("model/model.safetensors"), "").unwrap();
            forward()
        },
        says: &["model/model.safetensors: is empty"],
        ..CASE
    },
    Case {
        name: "weights of another tool",
        build: |dir| {
            model(dir, "gpt2");
            fs::rename(dir.join("model/model.safetensors"), dir.join("model/tf_model.h5")).unwrap();
            train("")
        },
        says: &["model: holds no weights", "found tf_model.h5"],
        ..CASE
    },
    Case {
        name: "pytorch_model.bin cut off",
        build: |dir| {
            model(dir, "gpt2");
            fs::remove_file(dir.join("model/model.safetensors")).unwrap();
            let whole = vectors("base_models/t5-tied/pytorch_model.bin");
            fs::copy(whole, dir.join("model/pytorch_model.bin")).unwrap();
            truncate(&dir.join("model/pytorch_model.bin"));
            train("")
        },
        says: &["model/pytorch_model.bin: the zip archive is truncated"],
        ..CASE
    },
    Case {
        name: "tensor missing",
        build: |dir| {
            model(dir, "gpt2");
            weights(dir, |all| _ = all.remove("transformer.h.1.mlp.c_fc.weight").unwrap());
            train("")
        },
        says: &["model/model.safetensors: tensor `h.1.mlp.c_fc.weight`: is missing", "[32, 128]"],
        ..CASE
    },
    Case {
        name: "surplus tensor",
        build: |dir| {
            model(dir, "bert");
            weights(dir, |all| {
                all.insert("bert.adapters.0.weight".into(), (Dtype::F32, vec![1], vec![0; 4]));
            });
            classify("")
        },
        says: &["model/model.safetensors: tensor `bert.adapters.0.weight`: is not a part"],
        ..CASE
    },
    Case {
        name: "tensor of the wrong shape",
        build: |dir| {
            model(dir, "llama");
            config(dir, "intermediate_size", json!(60));
            forward()
        },
        says: &["model/model.safetensors: tensor `model.layers.0.mlp.", "[56, 32]", "[60, 32]"],
        ..CASE
    },
    Case {
        name: "tensor of the wrong type",
        build: |dir| {
            model(dir, "bert");
            weights(dir, |all| {
                let norm = all.get_mut("bert.embeddings.LayerNorm.weight").unwrap();
                *norm = (Dtype::I64, vec![32], vec![0; 32 * 8]);
            });
            forward()
        },
        says: &["tensor `bert.embeddings.LayerNorm.weight`: found type I64, expected F32"],
        ..CASE
    },
    Case {
        name: "shard that the index lists is missing",
        build: |dir| {
            model(dir, "gpt2");
            fs::remove_file(dir.join("model/model.safetensors")).unwrap();
            let index = json!({"weight_map": {"wte.weight": "model-00001-of-00002.safetensors"}});
            let path = dir.join("model/model.safetensors.index.json");
            fs::write(path, index.to_string()).unwrap();
            train("")
        },
        says: &[
            "model/model-00001-of-00002.safetensors: is missing",
            "model.safetensors.index.json",
        ],
        ..CASE
    },
    Case {
        name: "tensor that the index lists is not in its shard",
        build: |dir| {
            model(dir, "gpt2");
            let (old, new) = ("model/model.safetensors", "model/model-1.safetensors");
            fs::rename(dir.join(old), dir.join(new)).unwrap();
            let index = json!({"weight_map": {"h.9.ln_1.bias": "model-1.safetensors"}});
            let path = dir.join("model/model.safetensors.index.json");
            fs::write(path, index.to_string()).unwrap();
            train("")
        },
        says: &["model/model-1.safetensors: tensor `h.9.ln_1.bias`: is missing", "index.json"],
        ..CASE
    },
    Case {
        name: "tokenizer.json is not a tokenizer",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("model/tokenizer.json"), "{}").unwrap();
            words("generate --model model --prompt hello")
        },
        says: &["model/tokenizer.json: not a tokenizer"],
        ..CASE
    },
    Case {
        name: "generation_config.json asks for beams of sampled tokens",
        build: |dir| asks(dir, r#""num_beams": 4, "do_sample": true"#),
        says: &["model/generation_config.json: key `num_beams`", "give --greedy, --num-beams N"],
        ..CASE
    },
    Case {
        name: "generation_config.json samples at temperature 0",
        build: |dir| asks(dir, r#""temperature": 0.0, "do_sample": true"#),
        says: &[
            "model/generation_config.json: key `temperature`: found 0",
            "--temperature overrides it",
        ],
        ..CASE
    },
    Case {
        name: "generation_config.json forbids a token outside the vocabulary",
        build: |dir| asks(dir, r#""bad_words_ids": [[4, 99999]]"#),
        says: &[
            "model/generation_config.json: key `bad_words_ids`: found 99999, outside the vocabulary of 71: \
             take its list out, or set the key to null",
        ],
        ..CASE
    },
];
