//! Weights that other tools wrote and that are not read: what they are, by the names of their files, and how to get what
//! is read.

use std::{fs, path::Path};

/// Files that training leaves beside the weights. They hold none.
const OF_TRAINING: [&str; 7] = [
    "optimizer",
    "scheduler",
    "scaler",
    "training_args",
    "trainer_state",
    "rng_state",
    "random_states",
];

const TENSORFLOW: &str = "weights of TensorFlow. Convert them in Python, with transformers 4 and TensorFlow: \
    AutoModel.from_pretrained(FOLDER, from_tf=True).save_pretrained(NEW), with the class for its task in place of AutoModel";
const FLAX: &str = "weights of Flax. Convert them in Python, with transformers 4 and Flax: \
    AutoModel.from_pretrained(FOLDER, from_flax=True).save_pretrained(NEW), with the class for its task in place of AutoModel";
const META: &str = "weights in Meta's format. Give the model in Hugging Face's format, which is usually published beside it (its name \
    ends in -hf), or convert them by convert_llama_weights_to_hf.py of transformers' repository";
const MISTRAL: &str = "weights in Mistral's format. The same repository usually has model-00001-of-0000N.safetensors with their index \
    and config.json: give these, or convert them by convert_mistral_weights_to_hf.py of transformers' repository";
const ZERO: &str = "a checkpoint of DeepSpeed ZeRO. Put its parts together by the script in its folder: python zero_to_fp32.py . NEW, and \
    copy config.json and the tokenizer's files into NEW";
const FSDP: &str = "a checkpoint of FSDP, in parts. Put them together: accelerate merge-weights FOLDER NEW, with FOLDER the one that \
    holds the .distcp files, and copy config.json and the tokenizer's files into NEW";
const MEGATRON: &str = "a checkpoint of Megatron. Convert it by the tools for checkpoints in Megatron's repository (tools/checkpoint, or \
    Megatron Bridge), which write Hugging Face's format";
const NEMO: &str = "a model of NeMo. Convert it by the scripts in NeMo's repository that write Hugging Face's format";
const LIGHTNING: &str = "a checkpoint, as Lightning writes it. If you trust it, since torch.load runs what is in it, save its tensors in \
    Python: state = torch.load(FILE, weights_only=False)[\"state_dict\"]; torch.save({k.removeprefix(\"model.\"): v for k, v in \
    state.items()}, \"pytorch_model.bin\"), where `model.` is the attribute of the LightningModule that holds the model";
const TORCH: &str = "a file of torch. If it is a state dict (torch.save(model.state_dict(), FILE)), copy it to pytorch_model.bin; if it is \
    the model itself, and you trust it, save it in Python: torch.load(FILE, weights_only=False).save_pretrained(NEW)";
const BIN: &str = "a file of torch by another name than is looked for. If it holds all tensors of the model, copy it to pytorch_model.bin";
const EXPORT: &str =
    "an export for inference, which is not trained on. Give the model that it was exported from";
const MLX: &str = "weights of MLX or numpy. Give the model that they were converted from or, if their names are those of transformers, save \
    them in Python: safetensors.numpy.save_file(dict(numpy.load(FILE)), \"model.safetensors\")";
const GGML: &str = "an old file of llama.cpp. Give a .gguf file of the model, or its folder in Hugging Face's format";
const PART_OF_GGUF: &str =
    "a part of a GGUF file. Give its first part, whose name ends in -00001-of-0000N.gguf";
const GGUF: &str = "a GGUF file. Download it, and give its path in place of the folder or the name";
const PADDLE: &str = "weights of PaddlePaddle. Give the model in Hugging Face's format";
const RUST: &str = "weights of rust-bert. Give the model in Hugging Face's format, which is usually published beside it";
const SAFETENSORS: &str = "a file of safetensors by another name than is looked for. If it holds all tensors of the model, copy it to \
    model.safetensors";

/// What a file, or a folder with parts of a checkpoint, is by its name: a noun, and the way out. `None` for what holds no
/// weights.
pub fn described(name: &str) -> Option<&'static str> {
    let begins = |start: &str| name.starts_with(start);
    let ends = |all: &[&str]| all.iter().any(|end| name.ends_with(end));
    if OF_TRAINING.iter().any(|start| begins(start)) {
        return None;
    }
    Some(match name {
        "zero_to_fp32.py" => ZERO,
        "latest_checkpointed_iteration.txt" | "model_optim_rng.pt" => MEGATRON,
        "rust_model.ot" => RUST,
        _ if begins("consolidated") && ends(&[".pth", ".pt"]) => META,
        _ if begins("consolidated") && ends(&[".safetensors"]) => MISTRAL,
        _ if ends(&["_model_states.pt", "_optim_states.pt"]) || begins("global_step") => ZERO,
        _ if ends(&[".distcp"]) || begins("pytorch_model_fsdp_") => FSDP,
        _ if begins("ggml-") || ends(&[".ggml"]) => GGML,
        _ if begins("openvino_model") => EXPORT,
        _ if ends(&[".onnx", ".tflite", ".mlmodel", ".mlpackage"]) => EXPORT,
        _ if ends(&[".h5", ".ckpt.index", ".ckpt.meta"]) => TENSORFLOW,
        _ if ends(&[".msgpack"]) => FLAX,
        _ if ends(&[".nemo"]) => NEMO,
        _ if ends(&[".gguf"]) && name.contains("-of-") => PART_OF_GGUF,
        _ if ends(&[".gguf"]) => GGUF,
        _ if ends(&[".npz"]) => MLX,
        _ if ends(&[".pdparams"]) => PADDLE,
        _ if ends(&[".ckpt"]) => LIGHTNING,
        _ if ends(&[".pt", ".pth"]) => TORCH,
        _ if ends(&[".safetensors"]) => SAFETENSORS,
        _ if ends(&[".bin"]) => BIN,
        _ => return None,
    })
}

/// How much a name tells: what belongs to one tool, before what any may have written.
fn rank(what: &str) -> usize {
    [TORCH, BIN, SAFETENSORS, EXPORT].iter().position(|other| *other == what).map_or(0, |at| at + 1)
}

/// As [`in_folder`], but only what belongs to one tool.
pub fn of_one_tool(dir: &Path) -> Option<(String, &'static str)> {
    in_folder(dir).filter(|(_, what)| rank(what) == 0)
}

/// What a folder holds in place of weights that are read, as [`other_weights`] says it.
pub fn in_folder(dir: &Path) -> Option<(String, &'static str)> {
    let names = fs::read_dir(dir).into_iter().flatten();
    other_weights(names.filter_map(|entry| entry.ok()?.file_name().into_string().ok()))
}

/// What stands among files in place of weights that are read: the name, and what it is, a noun with the way out. Of several,
/// that which tells most, and of these the first by name. Names may be paths.
pub fn other_weights(names: impl IntoIterator<Item = String>) -> Option<(String, &'static str)> {
    let found = names.into_iter().filter_map(|name| {
        let what = described(name.rsplit('/').next().unwrap_or(&name))?;
        Some((name, what))
    });
    found.min_by(|(a, x), (b, y)| rank(x).cmp(&rank(y)).then_with(|| a.cmp(b)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_tool() {
        for (name, says) in [
            ("tf_model.h5", Some("from_tf=True")),
            ("bert_model.ckpt.index", Some("from_tf=True")),
            ("flax_model.msgpack", Some("from_flax=True")),
            ("consolidated.00.pth", Some("convert_llama_weights_to_hf")),
            ("consolidated.safetensors", Some("model-00001-of")),
            ("zero_to_fp32.py", Some("python zero_to_fp32.py . NEW")),
            ("zero_pp_rank_0_mp_rank_00_optim_states.pt", Some("zero_to_fp32")),
            ("mp_rank_00_model_states.pt", Some("zero_to_fp32")),
            ("global_step500", Some("zero_to_fp32")),
            ("pytorch_model_fsdp_0", Some("accelerate merge-weights")),
            ("__0_0.distcp", Some("accelerate merge-weights")),
            ("latest_checkpointed_iteration.txt", Some("Megatron")),
            ("model_optim_rng.pt", Some("Megatron")),
            ("llama.nemo", Some("NeMo")),
            ("epoch=3-step=100.ckpt", Some("[\"state_dict\"]")),
            ("best.pt", Some("copy it to pytorch_model.bin")),
            ("weights.bin", Some("copy it to pytorch_model.bin")),
            ("openvino_model.bin", Some("exported from")),
            ("model.onnx", Some("exported from")),
            ("weights.npz", Some("safetensors.numpy.save_file")),
            ("ggml-model-q4_0.bin", Some("llama.cpp")),
            ("model_state.pdparams", Some("PaddlePaddle")),
            ("m-00002-of-00003.gguf", Some("its first part")),
            ("m.Q4_0.gguf", Some("give its path")),
            ("rust_model.ot", Some("rust-bert")),
            ("weights.safetensors", Some("copy it to model.safetensors")),
            ("optimizer.pt", None),
            ("training_args.bin", None),
            ("rng_state_0.pth", None),
            ("README.md", None),
        ] {
            let found = described(name);
            assert_eq!(found.is_some(), says.is_some(), "{name}: {found:?}");
            assert!(found.is_none_or(|found| found.contains(says.unwrap())), "{name}: {found:?}");
        }
    }

    #[test]
    fn of_several_files_that_which_tells_most_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(in_folder(dir.path()), None);
        for (name, first) in [
            ("scheduler.pt", None),
            ("model.onnx", Some("model.onnx")),
            ("b.pt", Some("b.pt")),
            ("a.pt", Some("a.pt")),
            ("tf_model.h5", Some("tf_model.h5")),
        ] {
            fs::write(dir.path().join(name), "").unwrap();
            let found = in_folder(dir.path()).map(|(name, _)| name);
            assert_eq!(found.as_deref(), first);
        }
    }
}
