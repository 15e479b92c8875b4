//! The table.

use std::fs;

use safetensors::Dtype;
use serde_json::json;

use super::{Case, place::*};

/// Wrong usage, and nothing is written.
const USAGE: Case = Case { code: 2, ..CASE };
/// It fails, and nothing is written.
const CASE: Case =
    Case { name: "", build: |_| Vec::new(), code: 1, says: &[], leaves: &[], blocks: 0, then: "" };

/// What is wrong with the base model's folder.
pub const MODEL: &[Case] = &[
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
        says: &["cannot read model/config.json", "No such file"],
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
        name: "config key missing",
        build: |dir| {
            model(dir, "llama");
            config(dir, "hidden_size", json!(null));
            train("")
        },
        says: &["model/config.json: key `hidden_size`: is missing"],
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
        says: &["model/config.json: key `eos_token_id`", "found 71", "vocabulary of 71"],
        ..CASE
    },
    Case {
        name: "missing model.safetensors",
        build: |dir| {
            model(dir, "gpt2");
            fs::remove_file(dir.join("model/model.safetensors")).unwrap();
            train("")
        },
        says: &["cannot read model/model.safetensors", "No such file"],
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
        says: &["model/model.safetensors: not a whole safetensors file"],
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
        says: &["cannot read model/model-00001-of-00002.safetensors", "No such file"],
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
];

/// What is wrong with an adapter, or with its fit.
pub const ADAPTER: &[Case] = &[
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

/// What is wrong with the rows.
pub const DATA: &[Case] = &[
    Case {
        name: "answer_start outside of the context",
        build: |dir| {
            let row = r#"{"question": "the", "context": "sea", "answers": [{"text": "sea",
                "answer_start": 3}]}"#;
            ask(dir, &row.replace('\n', ""), "")
        },
        says: &["rows.jsonl, line 1: field `answers`", "answer_start is 3, the context has 3"],
        ..CASE
    },
    Case {
        name: "an answer that stands elsewhere",
        build: |dir| {
            let row = r#"{"question": "the", "context": "is sea", "answers": {"text": ["sea"],
                "answer_start": [0]}}"#;
            ask(dir, &row.replace('\n', ""), "")
        },
        says: &["rows.jsonl, line 1", "the context has `is ` at character 0, expected `sea`"],
        ..CASE
    },
    Case {
        name: "a question without room for its context",
        build: |dir| {
            let row = r#"{"question": "the sea is blue", "context": "is sea", "answers": {"text":
                ["sea"], "answer_start": [3]}}"#;
            ask(dir, &row.replace('\n', ""), "--max-length 4")
        },
        says: &["rows.jsonl, line 1", "4 tokens, which leaves no room for the context", "of 4"],
        ..CASE
    },
    Case {
        name: "an answer behind the row's end",
        build: |dir| {
            let row = "{\"input_ids\": [3], \"start_positions\": 0, \"end_positions\": 1}\n";
            ask(dir, row, "")
        },
        says: &["rows.jsonl, line 1: field `end_positions`: found the number 1", "1 tokens"],
        ..CASE
    },
    Case {
        name: "SQuAD's layout without questions",
        build: |dir| {
            let args = ask(dir, "", "");
            fs::write(dir.join("rows.json"), "{\"data\": [{\"paragraphs\": [{}]}]}").unwrap();
            fs::remove_file(dir.join("rows.jsonl")).unwrap();
            args.iter().map(|arg| arg.replace("rows.jsonl", "rows.json")).collect()
        },
        says: &["rows.json: data[0].paragraphs[0] has no `qas`"],
        ..CASE
    },
    Case {
        name: "no token to begin the decoder with",
        build: |dir| {
            model(dir, "t5");
            config(dir, "decoder_start_token_id", json!(null));
            turn("")
        },
        says: &["model/config.json: key `decoder_start_token_id`: is missing"],
        ..CASE
    },
    Case {
        name: "no token to pad the decoder with",
        build: |dir| {
            model(dir, "t5");
            rows(dir, "{\"input_ids\": [3, 4], \"labels\": [-100, 3]}\n");
            config(dir, "pad_token_id", json!(null));
            turn("")
        },
        says: &["model/config.json: key `pad_token_id`: is missing"],
        ..CASE
    },
    Case {
        name: "labels longer than the decoder",
        build: |dir| {
            model(dir, "bart");
            let ids = vec![3; 200];
            rows(dir, &format!("{{\"input_ids\": [3, 4], \"labels\": {ids:?}}}\n"));
            turn("")
        },
        says: &["rows.jsonl, line 1: 0 virtual tokens + 200 tokens", "positions"],
        ..CASE
    },
    Case {
        name: "labels that do not fit the decoder's tokens",
        build: |dir| {
            model(dir, "t5");
            rows(
                dir,
                "{\"input_ids\": [3], \"labels\": [3, 4], \"decoder_input_ids\": [0, 3, 4]}\n",
            );
            turn("")
        },
        says: &["line 1: field `labels`: found 2 of them, expected one for each of 3 decoder"],
        ..CASE
    },
    Case {
        name: "forward without the decoder's tokens",
        build: |dir| {
            model(dir, "t5");
            forward()
        },
        says: &["rows.jsonl, line 1: field `decoder_input_ids` is missing"],
        ..CASE
    },
    Case {
        name: "missing data file",
        build: |dir| {
            model(dir, "gpt2");
            train("--train nothing.jsonl")
        },
        says: &["cannot read nothing.jsonl", "No such file"],
        ..CASE
    },
    Case {
        name: "data file of an unknown kind",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("rows.parquet"), "PAR1").unwrap();
            train("--train rows.parquet")
        },
        says: &["rows.parquet: found extension .parquet, expected .jsonl"],
        ..CASE
    },
    Case {
        name: "empty data file",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "");
            train("")
        },
        says: &["rows.jsonl: holds no records"],
        ..CASE
    },
    Case {
        name: "a line that is not JSON",
        build: |dir| {
            pair(dir, "gpt2");
            rows(dir, "{\"input_ids\": [1], \"labels\": [1]}\n\n{\"input_ids\": [1], \"lab\n");
            eval()
        },
        says: &["rows.jsonl, line 3: not a JSON object", "column"],
        ..CASE
    },
    Case {
        name: "a line that is JSON but no object",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"input_ids\": [1]}\n[1, 2]\n");
            forward()
        },
        says: &["rows.jsonl, line 2: found an array of 2 values, expected a JSON object"],
        ..CASE
    },
    Case {
        name: "text that is not UTF-8",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("rows.jsonl"), b"{\"input_ids\": [1]}\n{\"text\": \"\xff\"}\n")
                .unwrap();
            forward()
        },
        says: &["rows.jsonl, line 2", "not UTF-8", "0xff"],
        ..CASE
    },
    Case {
        name: "CSV row with a field too few",
        build: |dir| {
            model(dir, "bert");
            fs::write(dir.join("rows.csv"), "text,label\nthe sea,a\nblue\n").unwrap();
            classify("--train rows.csv")
        },
        says: &["rows.csv, line 3: found 1 fields, expected the header's 2: text, label"],
        ..CASE
    },
    Case {
        name: "field missing",
        build: |dir| {
            model(dir, "bert");
            rows(dir, "{\"input_ids\": [1], \"label\": 0}\n{\"input_ids\": [1]}\n");
            classify("")
        },
        says: &["rows.jsonl, line 2", "field `label` is missing", "the line has: input_ids"],
        ..CASE
    },
    Case {
        name: "field of the wrong kind",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"input_ids\": [1, \"two\"]}\n");
            forward()
        },
        says: &["rows.jsonl, line 1: field `input_ids[1]`: found the string `two`", "a token id"],
        ..CASE
    },
    Case {
        name: "token id outside the vocabulary",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"input_ids\": [1, 2]}\n{\"input_ids\": [1, 71]}\n");
            forward()
        },
        says: &["rows.jsonl, line 2: token id 71 is outside the vocabulary of 71"],
        ..CASE
    },
    Case {
        name: "token type that the model does not know",
        build: |dir| {
            model(dir, "bert");
            rows(dir, "{\"input_ids\": [1, 2], \"token_type_ids\": [0, 2]}\n");
            forward()
        },
        says: &["rows.jsonl, line 1: token type 2: the model knows 2 of them"],
        ..CASE
    },
    Case {
        name: "labels of another length than input_ids",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"input_ids\": [1, 2, 3], \"labels\": [1, 2]}\n");
            train("")
        },
        says: &["rows.jsonl, line 1: field `labels`: found 2", "each of 3 tokens"],
        ..CASE
    },
    Case {
        name: "row without tokens",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"input_ids\": [], \"labels\": []}\n");
            train("")
        },
        says: &["rows.jsonl, line 1: found no tokens, expected at least one"],
        ..CASE
    },
    Case {
        name: "no row has a target",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"input_ids\": [1, 2], \"labels\": [-100, -100]}\n");
            train("")
        },
        says: &["rows.jsonl: no row has a target"],
        ..CASE
    },
    Case {
        name: "class that the head does not have",
        build: |dir| {
            pair(dir, "bert");
            rows(dir, "{\"input_ids\": [1, 2], \"label\": 3}\n");
            eval()
        },
        says: &["rows.jsonl, line 1: field `label`: found class 3 of 3 classes"],
        ..CASE
    },
    Case {
        name: "label that is not in --labels",
        build: |dir| {
            model(dir, "bert");
            tokenizer(dir);
            rows(
                dir,
                "{\"text\": \"the sea\", \"label\": \"calm\"}\n{\"text\": \"is\", \"label\": \"wild\"}\n",
            );
            classify("--labels calm,rough")
        },
        says: &["rows.jsonl, line 2: found label `wild`, expected one of: calm, rough"],
        ..CASE
    },
    Case {
        name: "a label twice in --labels",
        build: |dir| {
            model(dir, "bert");
            classify("--labels calm,rough,calm")
        },
        says: &["--labels: `calm` is both label 0 and label 2"],
        ..USAGE
    },
    Case {
        name: "text without tokenizer.json",
        build: |dir| {
            model(dir, "gpt2");
            rows(dir, "{\"text\": \"the sea is blue\"}\n");
            train("")
        },
        says: &["cannot read model/tokenizer.json", "No such file"],
        ..CASE
    },
    Case {
        name: "unknown field in a template",
        build: |dir| {
            model(dir, "gpt2");
            tokenizer(dir);
            rows(dir, "{\"name\": \"sea\", \"colour\": \"blue\"}\n");
            train("--source-template {nome} --target-template {colour}")
        },
        says: &["rows.jsonl, line 1: field `nome` is missing; the line has: colour, name"],
        ..CASE
    },
    Case {
        name: "unclosed brace in a template",
        build: |dir| {
            model(dir, "gpt2");
            tokenizer(dir);
            rows(dir, "{\"name\": \"sea\", \"colour\": \"blue\"}\n");
            train("--source-template the:{name --target-template {colour}")
        },
        says: &["--source-template: `the:{name`, character 5: found `{` without `}`"],
        ..USAGE
    },
    Case {
        name: "P + T too long to train",
        build: |dir| {
            model(dir, "gpt2");
            long_row(dir, 61);
            train("")
        },
        says: &["rows.jsonl, line 1", "4 virtual tokens", "61 tokens", "limit of 64 positions"],
        ..CASE
    },
    Case {
        name: "P + T too long to evaluate",
        build: |dir| {
            pair(dir, "gpt2");
            long_row(dir, 60);
            eval()
        },
        says: &["rows.jsonl, line 1", "5 virtual tokens", "60 tokens", "limit of 64 positions"],
        ..CASE
    },
    Case {
        name: "P + T + new tokens too long to generate",
        build: |dir| {
            pair(dir, "gpt2");
            long_row(dir, 40);
            words(
                "generate --model model --adapter adapter --input rows.jsonl --output out.jsonl \
                 --max-new-tokens 30",
            )
        },
        says: &["rows.jsonl, line 1", "5 virtual tokens", "40 tokens", "30 new tokens", "64"],
        ..CASE
    },
    Case {
        name: "a text of no tokens to continue",
        build: |dir| {
            model(dir, "gpt2");
            tokenizer(dir);
            let mut args = words("generate --model model --prompt");
            args.push(String::new());
            args
        },
        says: &["--prompt: found no tokens"],
        ..USAGE
    },
    Case {
        name: "a tokenizer of a larger vocabulary",
        build: |dir| {
            model(dir, "gpt2");
            tokenizer(dir);
            edit(&dir.join("model/tokenizer.json"), |json| {
                json["model"]["vocab"]["red"] = json!(71)
            });
            words("generate --model model --prompt red")
        },
        says: &["model/tokenizer.json", "token id 71", "vocabulary of 71"],
        ..CASE
    },
    Case {
        name: "a text too long to continue",
        build: |dir| {
            pair(dir, "gpt2");
            tokenizer(dir);
            words("generate --model model --adapter adapter --prompt sea --max-new-tokens 64")
        },
        says: &["5 virtual tokens", "1 tokens", "64 new tokens", "limit of 64"],
        ..CASE
    },
];

/// What is wrong with settings.
pub const SETTINGS: &[Case] = &[
    Case {
        name: "unknown flag",
        build: |dir| {
            model(dir, "gpt2");
            train("--learning-rate 1")
        },
        says: &["--learning-rate", "peft train"],
        ..USAGE
    },
    Case { name: "unknown command", build: |_| words("finetune"), says: &["finetune"], ..USAGE },
    Case {
        name: "required flag missing",
        build: |dir| {
            model(dir, "gpt2");
            words("train --model model --task causal-lm --train rows.jsonl --out out")
        },
        says: &["--method", "required"],
        ..USAGE
    },
    Case {
        name: "backend that is not compiled in",
        build: |dir| {
            model(dir, "gpt2");
            train("--device cuda")
        },
        says: &["--device cuda", "built without", "--features cuda"],
        ..USAGE
    },
    Case {
        name: "no steps",
        build: |dir| {
            model(dir, "gpt2");
            train("--steps 0")
        },
        says: &["--steps: found 0, expected at least 1"],
        ..USAGE
    },
    Case {
        name: "steps and epochs",
        build: |dir| {
            model(dir, "gpt2");
            train("--epochs 1 --steps 1")
        },
        says: &["--epochs", "--steps"],
        ..USAGE
    },
    Case {
        name: "learning rate below 0",
        build: |dir| {
            model(dir, "gpt2");
            train("--lr -1")
        },
        says: &["--lr: found -1, expected a number above 0"],
        ..USAGE
    },
    Case {
        name: "unknown optimizer",
        build: |dir| {
            model(dir, "gpt2");
            train("--optimizer lion")
        },
        says: &["--optimizer: found `lion`, expected one of adamw, adafactor, sgd"],
        ..USAGE
    },
    Case {
        name: "unknown schedule",
        build: |dir| {
            model(dir, "gpt2");
            train("--schedule step")
        },
        says: &["--schedule: found `step`, expected one of constant, linear, cosine"],
        ..USAGE
    },
    Case {
        name: "unknown init",
        build: |dir| {
            model(dir, "gpt2");
            train("--init xavier")
        },
        says: &["--init: found \"xavier\", expected one of random, zero, words"],
        ..USAGE
    },
    Case {
        name: "no virtual tokens",
        build: |dir| {
            model(dir, "gpt2");
            train("--num-virtual-tokens 0")
        },
        says: &["--num-virtual-tokens", "found 0"],
        ..USAGE
    },
    Case {
        name: "more virtual tokens than fit any memory",
        build: |dir| {
            model(dir, "gpt2");
            train("--num-virtual-tokens 99999999999")
        },
        says: &["--num-virtual-tokens: found 99999999999", "64 positions"],
        ..USAGE
    },
    Case {
        name: "dropout above 1",
        build: |dir| {
            model(dir, "gpt2");
            train("--prefix-dropout 2")
        },
        says: &["--prefix-dropout: found 2, expected a number from 0 to below 1"],
        ..USAGE
    },
    Case {
        name: "layers out of range",
        build: |dir| {
            model(dir, "gpt2");
            train("--layers 0-3")
        },
        says: &["--layers", "3", "layers 0 to 2"],
        ..USAGE
    },
    Case {
        name: "layers for a method without",
        build: |dir| {
            model(dir, "gpt2");
            train("--method prompt --layers 0")
        },
        says: &["--layers: prompt has no such setting"],
        ..USAGE
    },
    Case {
        name: "unknown best metric",
        build: |dir| {
            model(dir, "gpt2");
            train("--valid rows.jsonl --best-metric bleu")
        },
        says: &["--best-metric: found `bleu`, expected one of loss, perplexity"],
        ..USAGE
    },
    Case {
        name: "causal-lm on BERT",
        build: |dir| {
            model(dir, "bert");
            rows(dir, "{\"input_ids\": [3], \"labels\": [3]}\n");
            train("")
        },
        says: &["--task: causal-lm needs a decoder-only model, bert is"],
        ..USAGE
    },
    Case {
        name: "seq2seq-lm on GPT-2",
        build: |dir| {
            model(dir, "gpt2");
            turn("")
        },
        says: &["--task: seq2seq-lm needs an encoder-decoder, gpt2 has one stack"],
        ..USAGE
    },
    Case {
        name: "seq-cls on T5",
        build: |dir| {
            model(dir, "t5");
            rows(dir, "{\"input_ids\": [3], \"label\": 0}\n{\"input_ids\": [3], \"label\": 1}\n");
            train("--task seq-cls --method prompt")
        },
        says: &["--task: seq-cls needs a model of one stack, t5 has two"],
        ..USAGE
    },
    Case {
        name: "a setting of another task",
        build: |dir| {
            model(dir, "gpt2");
            train("--doc-stride 3")
        },
        says: &["--doc-stride: not used by causal-lm, it is a setting of qa"],
        ..USAGE
    },
    Case {
        name: "answers of no tokens",
        build: |dir| {
            model(dir, "bert-qa");
            train("--task qa --max-answer-length 0")
        },
        says: &["--max-answer-length: found 0, expected at least 1"],
        ..USAGE
    },
    Case {
        name: "template for qa",
        build: |dir| {
            model(dir, "bert-qa");
            train("--task qa --source-template {context}")
        },
        says: &["--source-template: not used by qa, which reads fields `question` and `context`"],
        ..USAGE
    },
    Case {
        name: "generate on BERT",
        build: |dir| {
            model(dir, "bert");
            words("generate --model model --input rows.jsonl --output out.jsonl")
        },
        says: &["a bert model", "does not generate"],
        ..CASE
    },
    Case {
        name: "predict with a language model",
        build: |dir| {
            pair(dir, "gpt2");
            words("predict --model model --adapter adapter --input rows.jsonl --output out.jsonl")
        },
        says: &["causal-lm", "peft generate"],
        ..CASE
    },
    Case {
        name: "unknown side of padding",
        build: |dir| {
            model(dir, "gpt2");
            [forward(), words("--padding both")].concat()
        },
        says: &["--padding: found \"both\", expected right or left"],
        ..USAGE
    },
    Case {
        name: "init text without a text init",
        build: |dir| {
            model(dir, "gpt2");
            train("--init-text sea")
        },
        says: &["--init-text: not used by --init random"],
        ..USAGE
    },
    Case {
        name: "width of an MLP that is not there",
        build: |dir| {
            model(dir, "gpt2");
            train("--prefix-projection false --prefix-hidden-size 8")
        },
        says: &["--prefix-hidden-size: not used without --prefix-projection"],
        ..USAGE
    },
    Case {
        name: "init and an adapter to start from",
        build: |dir| {
            pair(dir, "gpt2");
            train("--num-virtual-tokens 5 --init-adapter adapter --init zero")
        },
        says: &["--init: not used with --init-adapter"],
        ..USAGE
    },
    Case {
        name: "dropout for the head alone",
        build: |dir| {
            model(dir, "bert");
            words(
                "train --model model --method head --task seq-cls --train rows.jsonl --out out \
                 --prefix-dropout 0.1",
            )
        },
        says: &["--prefix-dropout: head has no such setting"],
        ..USAGE
    },
    Case {
        name: "evaluations without validation rows",
        build: |dir| {
            model(dir, "gpt2");
            train("--eval-every 2")
        },
        says: &["--eval-every: needs validation rows (--valid)"],
        ..USAGE
    },
    Case {
        name: "steps and epochs in run.toml",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("run.toml"), "steps = 3\nepochs = 1\n").unwrap();
            train("--config run.toml")
        },
        says: &["run.toml: holds both `steps` and `epochs`"],
        ..USAGE
    },
    Case {
        name: "missing run.toml",
        build: |_| words("train --config run.toml"),
        says: &["cannot read run.toml", "No such file"],
        ..CASE
    },
    Case {
        name: "unknown key in run.toml",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("run.toml"), "steps = 3\noptimiser = \"adamw\"\n").unwrap();
            train("--config run.toml")
        },
        says: &["run.toml: ", "line 2", "unknown field `optimiser`", "`optimizer`"],
        ..USAGE
    },
    Case {
        name: "value of the wrong kind in run.toml",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("run.toml"), "lr = 0.1\nsteps = \"many\"\n").unwrap();
            train("--config run.toml")
        },
        says: &["run.toml: ", "line 2", "steps", "\"many\"", "expected usize"],
        ..USAGE
    },
];

/// What is wrong with the place that is written to, or goes wrong on the way there.
pub const OUTPUT: &[Case] = &[
    Case {
        name: "--out is a file",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("out"), "mine").unwrap();
            train("")
        },
        says: &["cannot write out"],
        ..CASE
    },
    Case {
        name: "--out is below a file",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("file"), "mine").unwrap();
            train("--out file/out")
        },
        says: &["cannot write file/out", "Not a directory"],
        ..CASE
    },
    Case {
        name: "--output is below a file",
        build: |dir| {
            model(dir, "gpt2");
            words("forward --model model --input rows.jsonl --output rows.jsonl/out.safetensors")
        },
        says: &["cannot write rows.jsonl/out.safetensors", "Not a directory"],
        ..CASE
    },
    Case {
        name: "--output in a folder that is not there",
        build: |dir| {
            model(dir, "gpt2");
            words("forward --model model --input rows.jsonl --output no/out.jsonl")
        },
        says: &["cannot write no/out.jsonl", "No such file"],
        ..CASE
    },
    Case {
        name: "--metrics-file is below a file",
        build: |dir| {
            model(dir, "gpt2");
            train("--metrics-file rows.jsonl/metrics.jsonl")
        },
        says: &["cannot write rows.jsonl/metrics.jsonl", "Not a directory"],
        ..CASE
    },
    Case {
        name: "--out holds a run",
        build: |dir| {
            run(dir);
            train("")
        },
        says: &["--out out: holds a run already", "--resume", "--overwrite"],
        ..USAGE
    },
    Case {
        name: "--overwrite by a run that cannot begin",
        build: |dir| {
            run(dir);
            long_row(dir, 61);
            train("--overwrite")
        },
        says: &["rows.jsonl, line 1", "limit of 64"],
        then: "inspect out",
        ..CASE
    },
    Case {
        name: "--resume without a run",
        build: |dir| {
            model(dir, "gpt2");
            words("train --out out --resume")
        },
        says: &["--resume", "out", "holds no run"],
        ..USAGE
    },
    Case {
        name: "--resume of a run without a complete checkpoint",
        build: |dir| {
            run(dir);
            fs::remove_dir_all(dir.join("out/checkpoints")).unwrap();
            words("train --out out --resume")
        },
        says: &["--resume: out/checkpoints holds no complete checkpoint", "--overwrite"],
        then: "inspect out",
        ..CASE
    },
    Case {
        name: "--metrics-file is the file of --train",
        build: |dir| {
            model(dir, "gpt2");
            train("--metrics-file ./rows.jsonl --overwrite")
        },
        says: &["--metrics-file: found ./rows.jsonl, the file of --train"],
        ..USAGE
    },
    Case {
        name: "--metrics-file holds something",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("notes.jsonl"), "mine").unwrap();
            train("--metrics-file notes.jsonl")
        },
        says: &["--metrics-file: found notes.jsonl", "exists already", "--overwrite"],
        ..USAGE
    },
    Case {
        name: "--resume with other settings",
        build: |dir| {
            run(dir);
            words("train --out out --resume --lr 0.5")
        },
        says: &["out/checkpoints/step-000002", "other settings", "lr (then 0.01, now 0.5)"],
        then: "train --out out --resume",
        ..CASE
    },
    Case {
        name: "--resume with other rows",
        build: |dir| {
            run(dir);
            rows(dir, "{\"input_ids\": [9, 8], \"labels\": [9, 8]}\n");
            words("train --out out --resume")
        },
        says: &["out/checkpoints/step-000002", "training rows (other content)"],
        ..CASE
    },
    Case {
        name: "loss that is no number",
        build: |dir| {
            model(dir, "bert");
            classify("--lr 1e38 --steps 9")
        },
        says: &["the loss became", "at step", "--clip-norm"],
        leaves: &["out", "out/run.toml", "out/metrics.jsonl"],
        ..CASE
    },
    Case {
        name: "loss that is no number, over an old run",
        build: |dir| {
            run(dir);
            model(dir, "bert");
            classify("--lr 1e38 --steps 9 --overwrite")
        },
        says: &["the loss became", "at step", "--clip-norm"],
        leaves: &["out/run.toml", "out/metrics.jsonl", "out/checkpoints"],
        then: "inspect out",
        ..CASE
    },
    Case {
        name: "disk full at the first checkpoint",
        build: |dir| {
            model(dir, "gpt2");
            train("--num-virtual-tokens 16")
        },
        blocks: 8,
        says: &["cannot write out/", "File too large"],
        leaves: &["out", "out/run.toml", "out/metrics.jsonl", "out/checkpoints"],
        ..CASE
    },
    Case {
        name: "disk full over an old run",
        build: |dir| {
            run(dir);
            train("--num-virtual-tokens 16 --overwrite")
        },
        blocks: 8,
        says: &["cannot write out/", "File too large"],
        leaves: &["out/run.toml", "out/metrics.jsonl", "out/checkpoints"],
        then: "inspect out",
        ..CASE
    },
    Case {
        name: "disk full at the last save of a resumed run",
        build: |dir| {
            run(dir);
            words("train --out out --resume")
        },
        blocks: 4,
        says: &["cannot write out/adapter_model.safetensors", "File too large"],
        then: "inspect out",
        ..CASE
    },
    Case {
        name: "disk full between the adapter's two files",
        build: |dir| {
            model(dir, "gpt2");
            must(dir, &train("--num-virtual-tokens 1"));
            words("train --out out --resume")
        },
        blocks: 2,
        says: &["cannot write out/adapter_config.json", "File too large"],
        then: "inspect out",
        ..CASE
    },
    Case {
        name: "a device without space",
        build: |dir| {
            model(dir, "bert");
            std::os::unix::fs::symlink("/dev/full", dir.join("out.jsonl")).unwrap();
            words("predict --model model --input rows.jsonl --output out.jsonl")
        },
        says: &["cannot write out.jsonl", "No space left on device"],
        ..CASE
    },
    Case {
        name: "disk full under forward",
        build: |dir| {
            model(dir, "gpt2");
            fs::write(dir.join("out.safetensors"), "old").unwrap();
            let row = format!("{{\"input_ids\": {:?}}}\n", [1; 40]);
            rows(dir, &row);
            forward()
        },
        blocks: 8,
        says: &["cannot write out.safetensors", "File too large"],
        ..CASE
    },
];
