//! Loading the base model, with what a person should know about its files.

use std::{collections::BTreeMap, path::Path};

use burn::tensor::{DType, Device, TensorData};
use peft_core::{Adapter, Error, Result, Task};
use peft_models::{LoadOptions, Loaded, ModelConfig, Weights};

use crate::output;

/// As [`peft_models::load_with`]; what the files hold and nothing here uses is told on stderr.
///
/// # Errors
///
/// Returns the errors of [`peft_models::load_with`].
pub fn load(dir: &Path, device: &Device, options: LoadOptions) -> Result<Loaded> {
    let loaded = peft_models::load_with(dir, device, options)?;
    note_adapter(&loaded)?;
    note_assumed(&loaded.config);
    let layers = listed(&loaded.report.more_layers);
    if !layers.is_empty() {
        output::note(format!(
            "warning: {} also holds layers beyond those that {} names, which are not used, as in transformers: {layers}",
            dir.display(),
            loaded.config.path().file_name().unwrap_or_default().display()
        ));
    }
    let heads = listed(&loaded.report.other_heads);
    if !heads.is_empty() {
        output::note(format!("note: {} also holds what is not used here: {heads}", dir.display()));
    }
    Ok(loaded)
}

/// The sizes that a model's config lacks, each with the value that stands in its place.
pub fn assumed(config: &ModelConfig) -> String {
    let sizes = peft_models::assumed_sizes(config).into_iter();
    sizes.map(|(key, size)| format!("{key} {size}")).collect::<Vec<_>>().join(", ")
}

/// Tells of sizes that a model's config lacks.
pub fn note_assumed(config: &ModelConfig) {
    let assumed = assumed(config);
    if !assumed.is_empty() {
        output::note(format!(
            "note: {} lacks sizes, which are taken from transformers' class: {assumed}",
            config.path().display()
        ));
    }
}

/// Names, each with its number of tensors.
fn listed(counts: &BTreeMap<String, usize>) -> String {
    let names = counts.iter().map(|(name, count)| match count {
        1 => format!("{name} (1 tensor)"),
        count => format!("{name} ({count} tensors)"),
    });
    names.collect::<Vec<_>>().join(", ")
}

/// Tells of virtual tokens in the folder of the base model.
///
/// # Errors
///
/// Returns the errors of [`peft_models::adapter_beside`].
pub fn note_adapter(base: &Loaded) -> Result<()> {
    if let Some((path, kind)) = peft_models::adapter_beside(&base.config)? {
        output::note(format!(
            "note: {} holds an adapter ({}); it is not used unless this folder is also given as --adapter. transformers \
             does not load such a folder",
            path.parent().unwrap_or(&path).display(),
            kind.name()
        ));
    }
    Ok(())
}

/// Refuses an adapter that was trained on other weights, as far as their fingerprint shows it; `named` is the adapter.
///
/// # Errors
///
/// [`Error::Mismatch`].
pub fn check(adapter: &Adapter, base: &Loaded, named: &Path) -> Result<()> {
    match (&adapter.config.own.base_fingerprint, &base.report.fingerprint) {
        (Some(expected), Some(found)) if expected != found => Err(Error::Mismatch(format!(
            "{}: this adapter was trained on another base model ({}, fingerprint {expected}); the model \
             given has fingerprint {found}. --any-base uses it anyway",
            named.display(),
            adapter.config.base_model.as_deref().unwrap_or("unnamed"),
        ))),
        _ => Ok(()),
    }
}

/// As [`check`], and of all weights of the base model in `dir`, which are read for that where the adapter has their sum.
///
/// # Errors
///
/// [`Error::Mismatch`], or an error naming the file that cannot be read.
pub fn check_whole(adapter: &Adapter, base: &Loaded, named: &Path, dir: &Path) -> Result<()> {
    check(adapter, base, named)?;
    match adapter.config.own.base_sha256.as_deref() {
        Some(expected) => check_sum(Some(expected), base.sha256()?.as_deref(), dir),
        None => Ok(()),
    }
}

/// Refuses a base model in `dir` whose weights do not have the sum that an adapter remembers, where both are known.
///
/// # Errors
///
/// [`Error::Mismatch`].
pub fn check_sum(expected: Option<&str>, found: Option<&str>, dir: &Path) -> Result<()> {
    match (expected, found) {
        (Some(expected), Some(found)) if expected != found => Err(Error::Mismatch(format!(
            "{}: some weights are not those that the adapter was trained on: their SHA-256 is {found}, it remembers \
             {expected}. The file is damaged or was changed: get it anew. --any-base uses it anyway",
            dir.display()
        ))),
        _ => Ok(()),
    }
}

/// What an adapter is put on a base model for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be used.
    Use,
    /// To be trained on.
    Start,
}

/// Tells that an adapter names another base model than the one that was `given`, where no fingerprint says whether it is
/// another: that of an adapter of PEFT, or of one that was converted. `whose` is the adapter.
pub fn note_other_name(
    adapter: &Adapter,
    base: &Loaded,
    given: &Path,
    whose: &str,
    purpose: Purpose,
) {
    let config = &adapter.config;
    let is_known = config.own.base_fingerprint.is_some() && base.report.fingerprint.is_some();
    let Some(named) = config.base_model.as_deref().filter(|_| !is_known) else { return };
    let full = given.canonicalize().unwrap_or_default();
    // Where the folder's name says nothing, what its config says that it was made of does.
    let own = if full.as_os_str().is_empty() { given } else { &full };
    let says = match says_nothing(&model_name(&own.to_string_lossy())) {
        true => base.config.text("_name_or_path", "").unwrap_or_default(),
        false => "",
    };
    let names = [given.as_os_str(), full.as_os_str(), base.config.path().as_os_str()];
    if !says.is_empty() && is_same_model(named, says) {
        return;
    }
    if names.iter().any(|name| is_same_model(named, &name.to_string_lossy())) {
        return;
    }
    let otherwise = match purpose {
        Purpose::Use => "its results mean nothing",
        Purpose::Start => "what it has learnt is no start for this one",
    };
    output::note(format!(
        "note: {whose} says that it was trained on {named}, and is used on {} here; if it is the same model under \
         another name, nothing is wrong; if it is another model, {otherwise}",
        given.display()
    ));
}

/// A tensor of the pooler of a BERT, by its canonical name.
const POOLER: &str = "bert.pooler.dense.weight";

/// Whether a classifier of whole rows has a pooler in front of it in transformers, and none here, since the files of the
/// base model hold none.
fn lacks_pooler(base: &Loaded, task: Task) -> bool {
    task == Task::SeqCls
        && base.model.spec().model_type == "bert"
        && !base.report.tensors.contains_key(POOLER)
}

/// Tells of a base model in `dir` without the pooler that transformers and PEFT put in front of the classifier that a run
/// for `task` trains.
pub fn note_no_pooler(base: &Loaded, task: Task, dir: &Path) {
    if !lacks_pooler(base, task) {
        return;
    }
    let is_gguf = base.config.path().extension().is_some_and(|extension| extension == "gguf");
    let way_out = match is_gguf {
        true => "train on the folder that the GGUF file was made from",
        false => {
            "train on a copy that has one, too; in Python: AutoModel.from_pretrained(\"FOLDER\").save_pretrained(\"NEW\"), \
             and the files of the tokenizer"
        }
    };
    output::tell(format!(
        "warning: {} holds no pooler ({POOLER}): the classifier reads the first token itself. transformers and PEFT put a \
         pooler of random values between them each time they load the model, and compute other logits with this adapter. \
         For the same in both, {way_out}",
        dir.display()
    ));
}

/// Tells of an adapter that PEFT made behind a pooler which the base model in `dir` lacks; `whose` is the adapter.
pub fn note_pooler_of_peft(
    adapter: &Adapter,
    base: &Loaded,
    task: Option<Task>,
    dir: &Path,
    whose: &str,
) {
    let is_of_peft = adapter.config.own.method.is_none();
    if is_of_peft && task.is_some_and(|task| lacks_pooler(base, task)) {
        output::tell(format!(
            "warning: {whose}: PEFT puts a pooler in front of this adapter's classifier, and {} holds none ({POOLER}): results \
             are not those of PEFT, which takes random values for it. Give the model with the pooler that the adapter was \
             trained with",
            dir.display()
        ));
    }
}

/// Whether a folder's name, in lower case, is none of a model: `model`, `checkpoint-500`, a hash.
pub(crate) fn says_nothing(name: &str) -> bool {
    const SHORTEST_HASH: usize = 7;
    let is_hash = name.len() >= SHORTEST_HASH && name.chars().all(|c| c.is_ascii_hexdigit());
    let letters = name.trim_end_matches(|c: char| c.is_ascii_digit() || "-_".contains(c));
    is_hash || ["", "model", "base", "checkpoint", "step"].contains(&letters)
}

/// Whether an adapter's name of its base model, a path or a name on the Hub, is that of a model here, be they quantised
/// or not. A model that goes by no name is any.
fn is_same_model(named: &str, here: &str) -> bool {
    let (named, here) = (letters(&model_name(named)), letters(&model_name(here)));
    named.is_empty() || named == here
}

/// A name without what separates its parts, and without those at its end that say how its numbers are stored.
fn letters(name: &str) -> String {
    const STORED: [&str; 13] = [
        "gguf", "f16", "f32", "bf16", "fp16", "fp32", "4bit", "8bit", "bnb", "awq", "gptq", "int4",
        "int8",
    ];
    // As in Q4_K_M.
    const REST: [&str; 9] = ["k", "s", "m", "l", "xs", "xl", "xxs", "0", "1"];
    let is_width = |rest: &str| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit());
    let is_quantised = |part: &str| {
        let width = part.strip_prefix("iq").or(part.strip_prefix('q'));
        STORED.contains(&part) || width.is_some_and(is_width)
    };
    let parts: Vec<&str> = name.split(['-', '_', '.']).filter(|part| !part.is_empty()).collect();
    let is_storage = |from: &usize| {
        is_quantised(parts[*from])
            && parts[*from..].iter().all(|part| is_quantised(part) || REST.contains(part))
    };
    let end = (1..parts.len()).find(is_storage).unwrap_or(parts.len());
    parts[..end].concat()
}

/// What a model is called wherever it lies: the last part of a path or of a name on the Hub, in lower case.
fn model_name(text: &str) -> String {
    let parts = text.split(['/', '\\']).filter(|part| !matches!(*part, "" | "." | ".."));
    let parts: Vec<&str> = parts.collect();
    // In the Hub's cache: models--org--name/snapshots/COMMIT.
    let cached = parts.iter().find_map(|part| part.strip_prefix("models--"));
    let last = cached.or(parts.last().copied()).unwrap_or_default();
    let name = last.rsplit("--").next().unwrap_or(last);
    name.split_once('@').map_or(name, |(name, _)| name).to_lowercase()
}

/// What the files of the base model in `dir` hold under a name.
///
/// # Errors
///
/// Returns the errors of [`Weights::open`].
pub fn stored(dir: &Path) -> Result<impl Fn(&str) -> Result<Option<TensorData>>> {
    let weights = Weights::open(dir, &Device::default(), DType::F32)?;
    Ok(move |name: &str| weights.stored(name))
}

/// Checks that what PEFT would put into the base model in `dir` is there already.
///
/// # Errors
///
/// Returns the errors of [`Adapter::check_surplus`].
pub fn check_surplus(adapter: &Adapter, dir: &Path) -> Result<()> {
    match adapter.surplus().next() {
        Some(_) => adapter.check_surplus(&stored(dir)?),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_has_one_name_wherever_it_lies() {
        for (named, here) in [
            ("google-bert/bert-base-uncased", "models/BERT-base-uncased/"),
            ("/home/mia/minilm", "../minilm"),
            (r"C:\models\minilm", "minilm"),
            ("org/name", "/cache/hub/models--org--name/snapshots/0123abcd"),
            ("/cache/hub/models--org--name/snapshots/0123abcd", "org/name@main"),
            ("org/Smol-135M", "smol/Smol-135M.Q4_1.gguf"),
            ("a/Smol-135M.gguf", "smol-135m.gguf"),
            ("unsloth/Smol_135M-bnb-4bit", "Smol-135M-Q4_K_M.gguf"),
            ("org/name", "name-q4"),
            ("org/Name-GGUF", "name"),
            ("Qwen2.5-0.5B", "qwen2_5-0_5b"),
            ("", "anything"),
            (".", "anything"),
        ] {
            assert!(is_same_model(named, here), "{named} {here}");
        }
        for (named, here) in [
            ("bert-base-uncased", "bert-base-cased"),
            ("org/Smol-135M", "Smol-135M-Instruct"),
            ("org/Smol-135M", "Smol-135M-Instruct.Q4_1.gguf"),
            ("org/name-2", "name-1"),
        ] {
            assert!(!is_same_model(named, here), "{named} {here}");
        }
    }

    #[test]
    fn some_names_say_nothing() {
        assert!(
            ["", "model", "checkpoint-500", "0123abcd", "step-000010"]
                .into_iter()
                .all(says_nothing)
        );
        assert!(!["minilm", "bert-base", "another", "added"].into_iter().any(says_nothing));
    }
}
