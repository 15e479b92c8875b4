//! What torch files hold where they do not hold tensors alone, and how Python gets the tensors out.

/// The most bytes of a pickle that are searched: beyond them there are numbers.
const SEARCHED: usize = 1 << 20;

/// Keys of training checkpoints that tell which tool wrote them.
const LIGHTNING: &str = "pytorch-lightning_version";
const DEEPSPEED: &str = "ds_version";

/// What a pickle that names `module.name` at its byte `at` seems to be, and what to do about it. For an error about a file,
/// which stands in front of it.
pub fn way_out(pickle: &[u8], module: &str, at: usize) -> String {
    /// A file that holds an object names its class at once, behind the two bytes of the protocol.
    const FIRST: usize = 2;
    let searched = &pickle[..pickle.len().min(SEARCHED)];
    let has = |key: &str| searched.windows(key.len()).any(|part| part == key.as_bytes());
    if has(DEEPSPEED) {
        return OF_DEEPSPEED.into();
    }
    let (what, python) = match module.split('.').next() {
        _ if has(LIGHTNING) => ("It is a checkpoint of Lightning", OF_LIGHTNING),
        _ if module == "torch._utils" => ("It holds tensors of another kind", OF_TENSORS),
        Some("transformers") if at == FIRST => ("It is a whole object, not its tensors", OF_MODEL),
        Some("collections" | "builtins" | "__builtin__") => {
            ("It holds other objects beside tensors", OF_OTHERS)
        }
        _ if at == FIRST => ("It is a whole object, not its tensors", OF_MODULE),
        _ => ("It holds other objects beside tensors", OF_OTHERS),
    };
    format!("{what}. If you trust it, since torch.load runs what is in it, do in Python: {python}")
}

const OF_LIGHTNING: &str = "state = torch.load(FILE, weights_only=False)[\"state_dict\"]; \
    torch.save({k.removeprefix(\"model.\"): v for k, v in state.items()}, \"pytorch_model.bin\"), where `model.` is the \
    attribute of the LightningModule that holds the model";
const OF_MODEL: &str = "torch.load(FILE, weights_only=False).save_pretrained(FOLDER)";
const OF_MODULE: &str =
    "torch.save(torch.load(FILE, weights_only=False).state_dict(), \"pytorch_model.bin\")";
const OF_OTHERS: &str = "state = torch.load(FILE, weights_only=False); state = next((state[k] for k in (\"state_dict\", \
    \"model_state_dict\", \"model\", \"module\") if k in state), state); state = state.state_dict() if hasattr(state, \
    \"state_dict\") else state; torch.save({k: v for k, v in state.items() if torch.is_tensor(v)}, \"pytorch_model.bin\")";
const OF_TENSORS: &str = "state = torch.load(FILE, weights_only=False); torch.save({k: v.to_dense().float() for k, v in \
    state.items() if torch.is_tensor(v)}, \"pytorch_model.bin\")";
const OF_DEEPSPEED: &str = "It is a part of a checkpoint of DeepSpeed. Put its parts together by the script in the checkpoint's \
    folder: python zero_to_fp32.py . NEW";
