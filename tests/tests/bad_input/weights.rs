//! A base model's weights that are incomplete, damaged or not finite, or do not fit its config.

use std::{fs, path::Path};

use peft_tests::vectors;
use safetensors::Dtype;
use serde_json::json;

use super::{CASE, Case, fixture::*};

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

pub const CASES: &[Case] = &[
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
        name: "a decoder with an embedding of its own",
        build: |dir| {
            model(dir, "t5");
            weights(dir, |all| {
                let mut other = all["shared.weight"].clone();
                other.2[..4].copy_from_slice(&7.0_f32.to_le_bytes());
                all.insert("decoder.embed_tokens.weight".into(), other);
            });
            words("generate --model model --input rows.jsonl --output out.jsonl")
        },
        says: &[
            "model/model.safetensors: tensor `decoder.embed_tokens.weight`: differs from `shared.weight`, and this version \
             has one matrix for both: if one of them is left over, save the model without it",
        ],
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
        says: &[
            "model/model.safetensors: tensor `bert.adapters.0.weight`: is not a part",
            "from_pretrained(FOLDER).save_pretrained(NEW)",
        ],
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
];
