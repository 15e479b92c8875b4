//! An adapter's tensors that are damaged, or do not fit its config, its task or its base.

use safetensors::Dtype;

use super::{CASE, Case, fixture::*};

pub const CASES: &[Case] = &[
    Case {
        name: "embeddings that PEFT puts into the base model",
        build: |dir| {
            pair(dir, "gpt2");
            tensors(&dir.join("adapter/adapter_model.safetensors"), |all| {
                let grown = (Dtype::F32, vec![72, 32], vec![0; 72 * 32 * 4]);
                all.insert("base_model.transformer.wte.weight".into(), grown);
            });
            eval()
        },
        says: &[
            "adapter: the adapter has the tensor `transformer.wte.weight` of the shape [72, 32]",
            "the base model given has the shape [",
            "Save one that has it",
            "base.resize_token_embeddings(72); base.lm_head.weight = ",
            "peft.utils.load_peft_weights",
        ],
        ..CASE
    },
    Case {
        name: "embeddings that begin with those of the base model",
        build: |dir| {
            pair(dir, "gpt2");
            let mut grown = None;
            weights(dir, |all| grown = all.get("transformer.wte.weight").cloned());
            tensors(&dir.join("adapter/adapter_model.safetensors"), |all| {
                let (dtype, shape, mut bytes) = grown.unwrap();
                bytes.extend(vec![0; shape[1] * 4]);
                let grown = (dtype, vec![shape[0] + 1, shape[1]], bytes);
                all.insert("base_model.lm_head.weight".into(), grown.clone());
                all.insert("base_model.transformer.wte.weight".into(), grown);
            });
            eval()
        },
        says: &[
            "adapter: the adapter has the tensor `lm_head.weight` of the shape [",
            "has the shape [",
        ],
        ..CASE
    },
    Case {
        name: "embeddings without a dimension",
        build: |dir| {
            pair(dir, "gpt2");
            tensors(&dir.join("adapter/adapter_model.safetensors"), |all| {
                let lone = (Dtype::F32, vec![], vec![0; 4]);
                all.insert("base_model.transformer.wte.weight".into(), lone);
            });
            eval()
        },
        says: &["adapter: the adapter has the tensor `transformer.wte.weight` of the shape []"],
        ..CASE
    },
    Case {
        name: "a norm that was trained with the prefix",
        build: |dir| {
            pair(dir, "gpt2");
            tensors(&dir.join("adapter/adapter_model.safetensors"), |all| {
                let norm = (Dtype::F32, vec![32], vec![0; 32 * 4]);
                all.insert("base_model.transformer.ln_f.weight".into(), norm);
            });
            eval()
        },
        says: &[
            "`transformer.ln_f.weight` of the shape [32]",
            "has other values there",
            "transformers: base.load_state_dict(",
        ],
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
];
