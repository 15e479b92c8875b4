//! An adapter that is incomplete or damaged, or does not fit its base.

use std::{fs, path::Path};

use safetensors::Dtype;
use serde_json::json;

use super::{CASE, Case, USAGE, fixture::*};

/// `made.safetensors`: one tensor, of a checkpoint to convert.
fn lone(dir: &Path, name: &str, shape: Vec<usize>) {
    fs::write(dir.join("made.safetensors"), [&2u64.to_le_bytes()[..], b"{}"].concat()).unwrap();
    more(dir, name, shape);
}

/// A further tensor of it.
fn more(dir: &Path, name: &str, shape: Vec<usize>) {
    tensors(&dir.join("made.safetensors"), |all| {
        let size = shape.iter().product::<usize>() * 4;
        all.insert(name.to_string(), (Dtype::F32, shape, vec![0; size]));
    });
}

/// `peft convert` of it.
fn convert(more: &str) -> Vec<String> {
    words(&format!("convert --from made.safetensors --to out --task causal-lm {more}"))
}

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
        name: "tensor of another name to convert",
        build: |dir| {
            lone(dir, "prompt.weight", vec![4, 32]);
            convert("")
        },
        says: &[
            "made.safetensors: holds 1 tensors (prompt.weight)",
            "prefix_encoder",
            "`prompt_embeddings`",
        ],
        ..CASE
    },
    Case {
        name: "prefix to convert for another base",
        build: |dir| {
            model(dir, "gpt2");
            lone(dir, "prefix_encoder.embedding.weight", vec![4, 90]);
            convert("--model model")
        },
        says: &["made.safetensors: was made for another base model", "[4, 90]", "needs [4, 192]"],
        ..CASE
    },
    Case {
        name: "rows to convert that are no prompt and no prefix of the base",
        build: |dir| {
            model(dir, "gpt2");
            lone(dir, "prompt_embeddings", vec![4, 320]);
            convert("--model model")
        },
        says: &["[4, 320]", "a prompt needs [P, 32] and a prefix [P, 192]"],
        ..CASE
    },
    Case {
        name: "no virtual tokens to convert",
        build: |dir| {
            lone(dir, "transformer.prefix_encoder.embedding.weight", vec![0, 192]);
            convert("")
        },
        says: &["`transformer.prefix_encoder.embedding.weight`", "[0, 192]", "at least 1"],
        ..CASE
    },
    Case {
        name: "the input's own prefix to convert",
        build: |dir| {
            lone(dir, "control_trans.0.weight", vec![6, 32]);
            convert("")
        },
        says: &["`wte.weight`", "is missing", "each input"],
        ..CASE
    },
    Case {
        name: "layers to convert that do not fit one another",
        build: |dir| {
            lone(dir, "wte.weight", vec![4, 32]);
            more(dir, "control_trans.0.weight", vec![6, 30]);
            more(dir, "control_trans.0.bias", vec![6]);
            convert("")
        },
        says: &["`control_trans.0.weight`", "[6, 30]", "[4, 32]"],
        ..CASE
    },
    Case {
        name: "a prompt beside LoRA to convert",
        build: |dir| {
            lone(dir, "soft_embeds", vec![4, 32]);
            more(dir, "plm.h.0.attn.lora_A.weight", vec![2, 32]);
            convert("")
        },
        says: &["`plm.h.0.attn.lora_A.weight`", "would be lost"],
        ..CASE
    },
    Case {
        name: "mixed template to convert",
        build: |dir| {
            lone(dir, "template.soft_embedding.weight", vec![4, 32]);
            convert("")
        },
        says: &["`template.soft_embedding.weight`", "mixed template"],
        ..CASE
    },
    Case {
        name: "prompt of an encoder-decoder to convert, P or 2 P",
        build: |dir| {
            lone(dir, "prompt_encoder.default.embedding.weight", vec![8, 24]);
            more(dir, "word_embeddings.weight", vec![9, 24]);
            words("convert --from made.safetensors --to out --task seq2seq-lm")
        },
        says: &["--num-virtual-tokens: is missing", "8 rows", "2 P"],
        code: 2,
        then: "convert --from made.safetensors --to out --task seq2seq-lm --num-virtual-tokens 4",
        ..CASE
    },
    Case {
        name: "head to convert for a task without one",
        build: |dir| {
            lone(dir, "prefix_encoder.embedding.weight", vec![4, 192]);
            more(dir, "classifier.weight", vec![2, 32]);
            convert("")
        },
        says: &["`classifier.weight`", "causal-lm"],
        ..CASE
    },
    Case {
        name: "one letter of the key `burn_peft` is another",
        build: |dir| {
            pair(dir, "gpt2");
            adapter_config(dir, "burn_pefu", json!({"method": "prefix", "tensors_sha256": "0"}));
            eval()
        },
        says: &["adapter/adapter_config.json: key `burn_pefu`", "write \"burn_peft\" in its place"],
        ..CASE
    },
    Case {
        name: "burn_peft.json was not copied",
        build: |dir| {
            run(dir);
            fs::remove_file(dir.join("out/burn_peft.json")).unwrap();
            words("inspect out")
        },
        says: &["out: holds no burn_peft.json", "adapter_model.safetensors", "copy it, too"],
        ..CASE
    },
    Case {
        name: "burn_peft.json lost a sum",
        build: |dir| {
            run(dir);
            edit(&dir.join("out/burn_peft.json"), |own| {
                own.as_object_mut().unwrap().remove("config_sha256").unwrap();
            });
            words("inspect out")
        },
        says: &["out/burn_peft.json: key `config_sha256`", "is missing", "damaged"],
        ..CASE
    },
    Case {
        name: "burn_peft.json and an earlier version's key",
        build: |dir| {
            run(dir);
            edit(&dir.join("out/adapter_config.json"), |config| config["burn_peft"] = json!({}));
            words("inspect out")
        },
        says: &["out/adapter_config.json: key `burn_peft`", "beside burn_peft.json", "remove one"],
        ..CASE
    },
    Case {
        name: "tensors that PEFT saved beside burn_peft.json",
        build: |dir| {
            run(dir);
            adapter(dir, "gpt2/prefix");
            for name in ["adapter_config.json", "adapter_model.safetensors"] {
                fs::copy(dir.join("adapter").join(name), dir.join("out").join(name)).unwrap();
            }
            words("inspect out")
        },
        says: &["out/adapter_model.safetensors", "another program", "without burn_peft.json"],
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
        says: &[
            "adapter/adapter_config.json: key `peft_type`",
            "\"LORA\"",
            "PROMPT_TUNING",
            "merge_and_unload()",
        ],
        ..CASE
    },
    Case {
        name: "an adapter of multitask prompt tuning",
        build: |dir| {
            pair(dir, "gpt2");
            adapter_config(dir, "peft_type", "MULTITASK_PROMPT_TUNING");
            eval()
        },
        says: &[
            "found \"MULTITASK_PROMPT_TUNING\"",
            "get_prompt(1, task_ids=torch.tensor([TASK]))",
        ],
        ..CASE
    },
    Case {
        name: "a prefix of PEFT for a decoder, with two submodules",
        build: |dir| {
            pair(dir, "gpt2");
            adapter_config(dir, "num_transformer_submodules", 2);
            eval()
        },
        says: &[
            "adapter/adapter_config.json: key `num_transformer_submodules`: found 2; PEFT takes 1 for CAUSAL_LM",
            "train the adapter without this setting",
        ],
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
