//! What torch files hold where they do not hold tensors alone, and how Python gets the tensors out.

/// The most bytes of a pickle that are searched: beyond them there are numbers.
const SEARCHED: usize = 1 << 20;

/// A key of a training checkpoint that tells which tool wrote it.
const LIGHTNING: &str = "pytorch-lightning_version";

/// What a pickle that names `module.name` at its byte `at` seems to be, and what to do about it. For an error about a file,
/// which stands in front of it.
pub fn way_out(pickle: &[u8], module: &str, at: usize) -> String {
    /// A file that holds an object names its class at once, behind the two bytes of the protocol.
    const FIRST: usize = 2;
    let searched = &pickle[..pickle.len().min(SEARCHED)];
    let is_lightning = searched.windows(LIGHTNING.len()).any(|part| part == LIGHTNING.as_bytes());
    let (what, python) = match module.split('.').next() {
        _ if is_lightning => ("It is a checkpoint of Lightning", OF_LIGHTNING),
        Some("transformers") if at == FIRST => ("It is a whole object, not its tensors", OF_MODEL),
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
const OF_OTHERS: &str = "state = torch.load(FILE, weights_only=False); state = state.get(\"state_dict\", state); \
    torch.save({k: v for k, v in state.items() if torch.is_tensor(v)}, \"pytorch_model.bin\")";
