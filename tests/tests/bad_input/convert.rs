//! Checkpoints of other code that `peft convert` cannot make an adapter of.

use std::{fs, path::Path};

use safetensors::Dtype;

use super::{CASE, Case, fixture::*};

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
];
