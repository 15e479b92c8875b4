//! An adapter's folder or config that is incomplete or damaged, or is used for what it was not made for.

use std::fs;

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
            "get_prompt(1, task_ids=torch.tensor([TASK]))[0][:model.active_peft_config.num_virtual_tokens]",
            "if k.startswith(\"base_model.\")}; torch.save({**head, ",
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
