//! An adapter that is incomplete or damaged, or does not fit its base.

use std::fs;

use safetensors::Dtype;
use serde_json::json;

use super::{CASE, Case, USAGE, fixture::*};

pub const CASES: &[Case] = &[
    Case {
        name: "missing adapter folder",
        build: |dir| {
            model(dir, "gpt2");
            eval()
        },
        says: &["cannot read adapter/adapter_config.json", "No such file"],
        ..CASE
    },
    Case {
        name: "adapter folder one too high",
        build: |dir| {
            pair(dir, "gpt2");
            fs::create_dir(dir.join("runs")).unwrap();
            fs::rename(dir.join("adapter"), dir.join("runs/mine")).unwrap();
            words("inspect runs")
        },
        says: &["runs: holds no adapter_config.json: give runs/mine"],
        then: "inspect runs/mine",
        ..CASE
    },
    Case {
        name: "folder of checkpoints",
        build: |dir| {
            pair(dir, "gpt2");
            for step in ["checkpoint-500", "checkpoint-1500"] {
                copy(&dir.join("adapter"), &dir.join("adapter").join(step));
            }
            fs::remove_file(dir.join("adapter/adapter_config.json")).unwrap();
            fs::remove_file(dir.join("adapter/adapter_model.safetensors")).unwrap();
            eval()
        },
        says: &["adapter: ", "give adapter/checkpoint-1500, the newest of its 2 checkpoints"],
        then: "eval --model model --adapter adapter/checkpoint-1500 --data rows.jsonl",
        ..CASE
    },
    Case {
        name: "file of an adapter",
        build: |dir| {
            pair(dir, "gpt2");
            words("inspect adapter/adapter_model.safetensors")
        },
        says: &["adapter/adapter_model.safetensors: is a file", "give adapter"],
        ..CASE
    },
    Case {
        name: "model for an adapter",
        build: |dir| {
            model(dir, "gpt2");
            words("inspect model")
        },
        says: &["model: holds a model (config.json), not an adapter"],
        ..CASE
    },
    Case {
        name: "adapter_config.json is not JSON",
        build: |dir| {
            pair(dir, "gpt2");
            fs::write(dir.join("adapter/adapter_config.json"), "peft_type: PREFIX_TUNING").unwrap();
            words("inspect adapter")
        },
        says: &["adapter/adapter_config.json: not JSON"],
        ..CASE
    },
    Case {
        name: "unknown peft_type",
        build: |dir| {
            pair(dir, "gpt2");
            adapter_config(dir, "peft_type", "LORA");
            eval()
        },
        says: &["adapter/adapter_config.json: key `peft_type`", "\"LORA\"", "PROMPT_TUNING"],
        ..CASE
    },
    Case {
        name: "num_virtual_tokens of the wrong kind",
        build: |dir| {
            pair(dir, "gpt2");
            adapter_config(dir, "num_virtual_tokens", "five");
            eval()
        },
        says: &["adapter_config.json: key `num_virtual_tokens`", "found \"five\""],
        ..CASE
    },
    Case {
        name: "num_virtual_tokens is not what the tensor has",
        build: |dir| {
            pair(dir, "gpt2");
            adapter_config(dir, "num_virtual_tokens", 6);
            eval()
        },
        says: &[
            "adapter/adapter_model.safetensors: tensor `prompt_embeddings`",
            "[5, 192]",
            "num_virtual_tokens in adapter_config.json is 6",
        ],
        ..CASE
    },
    Case {
        name: "adapter without tensors",
        build: |dir| {
            pair(dir, "gpt2");
            fs::remove_file(dir.join("adapter/adapter_model.safetensors")).unwrap();
            eval()
        },
        says: &["adapter: holds neither adapter_model.safetensors nor adapter_model.bin"],
        ..CASE
    },
    Case {
        name: "truncated adapter",
        build: |dir| {
            pair(dir, "gpt2");
            truncate(&dir.join("adapter/adapter_model.safetensors"));
            words("inspect adapter --json")
        },
        says: &["adapter/adapter_model.safetensors: not a whole safetensors file"],
        ..CASE
    },
    Case {
        name: "adapter tensor of the wrong type",
        build: |dir| {
            pair(dir, "gpt2");
            tensors(&dir.join("adapter/adapter_model.safetensors"), |all| {
                let stored = (Dtype::I64, vec![5, 192], vec![0; 5 * 192 * 8]);
                all.insert("prompt_embeddings".into(), stored);
            });
            eval()
        },
        says: &["adapter_model.safetensors: tensor `prompt_embeddings`: found type I64"],
        ..CASE
    },
    Case {
        name: "adapter of numbers that are none",
        build: |dir| {
            pair(dir, "gpt2");
            tensors(&dir.join("adapter/adapter_model.safetensors"), |all| {
                all.get_mut("prompt_embeddings").unwrap().2[..4].fill(0xff);
            });
            eval()
        },
        says: &["adapter_model.safetensors: tensor `prompt_embeddings`", "not finite"],
        ..CASE
    },
    Case {
        name: "adapter whose bytes changed after it was saved",
        build: |dir| {
            trained_here(dir);
            flip(&dir.join("adapter/adapter_model.safetensors"));
            eval()
        },
        says: &["adapter/adapter_model.safetensors: has the SHA-256", "damaged"],
        ..CASE
    },
    Case {
        name: "adapter with a part of a head that its task does not have",
        build: |dir| {
            pair(dir, "gpt2-cls");
            tensors(&dir.join("adapter/adapter_model.safetensors"), |all| {
                all.insert("base_model.score.bias".into(), (Dtype::F32, vec![4], vec![0; 16]));
            });
            eval()
        },
        says: &[
            "adapter: ",
            "`score.bias`",
            "`score.bias`, the head of its task on this model is score.weight",
        ],
        ..CASE
    },
    Case {
        name: "prefix for another base",
        build: |dir| {
            model(dir, "llama");
            adapter(dir, "gpt2/prefix");
            eval()
        },
        says: &["adapter: ", "another base model", "[5, 192]", "[5, 144]", "llama"],
        ..CASE
    },
    Case {
        name: "prompt for another base, to start from",
        build: |dir| {
            model(dir, "gpt2");
            adapter(dir, "llama/prompt");
            tensors(&dir.join("adapter/adapter_model.safetensors"), |all| {
                let stored = (Dtype::F32, vec![5, 16], vec![0; 5 * 16 * 4]);
                all.insert("prompt_embeddings".into(), stored);
            });
            train("--method prompt --num-virtual-tokens 5 --init-adapter adapter")
        },
        says: &["adapter: ", "another base model", "[5, 16]", "[5, 32]"],
        ..CASE
    },
    Case {
        name: "adapter for another base of the same shape",
        build: |dir| {
            trained_here(dir);
            weights(dir, |all| {
                let numbers = &mut all.get_mut("transformer.wte.weight").unwrap().2;
                let middle = numbers.len() / 2;
                numbers[middle] ^= 1;
            });
            eval()
        },
        says: &["adapter: ", "another base model", "fingerprint", "--any-base"],
        then: "eval --model model --adapter adapter --data rows.jsonl --any-base",
        ..CASE
    },
    Case {
        name: "adapter's head is missing",
        build: |dir| {
            pair(dir, "bert");
            tensors(&dir.join("adapter/adapter_model.safetensors"), |all| {
                all.retain(|name, _| name == "prompt_embeddings");
            });
            eval()
        },
        says: &["adapter: ", "`base_model.classifier.weight`", "seq-cls", "missing"],
        ..CASE
    },
    Case {
        name: "adapter's head has no classes",
        build: |dir| {
            pair(dir, "bert");
            tensors(&dir.join("adapter/adapter_model.safetensors"), |all| {
                let empty = |shape| (Dtype::F32, shape, Vec::new());
                all.insert("base_model.classifier.weight".into(), empty(vec![0, 32]));
                all.insert("base_model.classifier.bias".into(), empty(vec![0]));
            });
            words("predict --model model --adapter adapter --input rows.jsonl --output out.jsonl")
        },
        says: &["adapter: ", "`classifier.weight`", "[0, 32]", "at least 1"],
        ..CASE
    },
    Case {
        name: "adapter names fewer labels than its head has classes",
        build: |dir| {
            pair(dir, "bert");
            adapter_config(dir, "burn_peft", json!({"labels": ["calm", "rough"]}));
            eval()
        },
        says: &["adapter: ", "2 labels", "3 classes"],
        ..CASE
    },
    Case {
        name: "adapter's layers are not in order",
        build: |dir| {
            pair(dir, "gpt2");
            adapter_config(dir, "peft_type", "BURN_PEFT_PREFIX_TUNING_LAYERS");
            adapter_config(dir, "burn_peft", json!({"layers": [2, 0, 1]}));
            eval()
        },
        says: &["adapter: ", "[2, 0, 1]", "rising order"],
        ..CASE
    },
    Case {
        name: "adapter's head has no bias",
        build: |dir| {
            pair(dir, "bert");
            tensors(&dir.join("adapter/adapter_model.safetensors"), |all| {
                _ = all.remove("base_model.classifier.bias").unwrap();
            });
            eval()
        },
        says: &["adapter: ", "`classifier.bias`"],
        ..CASE
    },
    Case {
        name: "adapter for token-cls on rows of seq-cls",
        build: |dir| {
            model(dir, "bert");
            adapter(dir, "bert-tok/prefix");
            eval()
        },
        says: &["rows.jsonl, line 1", "field `labels` is missing", "token-cls"],
        ..CASE
    },
    Case {
        name: "adapter for a causal language model on BERT",
        build: |dir| {
            model(dir, "bert");
            adapter(dir, "bert/prefix");
            adapter_config(dir, "task_type", "CAUSAL_LM");
            rows(dir, "{\"input_ids\": [3], \"labels\": [3]}\n");
            eval()
        },
        says: &["causal-lm needs a decoder-only model, bert is"],
        ..USAGE
    },
];
