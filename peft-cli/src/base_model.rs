//! Loading the base model, with what a person should know about its files.

use std::{collections::BTreeMap, ffi::OsStr, path::Path};

use burn::tensor::{DType, Device, TensorData};
use peft_core::{Adapter, Result};
use peft_models::{LoadOptions, Loaded, Weights};

use crate::output;

/// As [`peft_models::load_with`]; what the files hold and nothing here uses is told on stderr.
///
/// # Errors
///
/// Returns the errors of [`peft_models::load_with`].
pub fn load(dir: &Path, device: &Device, options: LoadOptions) -> Result<Loaded> {
    let loaded = peft_models::load_with(dir, device, options)?;
    note_adapter(&loaded)?;
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

/// Tells that an adapter names another base model than the one that was `given`, where no fingerprint says whether it is
/// another: that of an adapter of PEFT, or of one that was converted. `whose` is the adapter.
pub fn note_other_name(adapter: &Adapter, base: &Loaded, given: &Path, whose: &str) {
    let config = &adapter.config;
    let is_known = config.own.base_fingerprint.is_some() && base.report.fingerprint.is_some();
    let Some(named) = config.base_model.as_deref().filter(|_| !is_known) else { return };
    // A folder may be called as one likes, and say itself what it is.
    let says = base.config.text("_name_or_path", "").unwrap_or_default();
    let full = given.canonicalize().unwrap_or_default();
    let names =
        [given.as_os_str(), full.as_os_str(), base.config.path().as_os_str(), OsStr::new(says)];
    if names.iter().any(|name| is_same_model(named, &name.to_string_lossy())) {
        return;
    }
    output::note(format!(
        "note: {whose} says that it was trained on {named}, and is used on {} here: on another model its results mean \
         nothing",
        given.display()
    ));
}

/// Whether an adapter's name of its base model, a path or a name on the Hub, is that of a model here. A model that goes
/// by no name is any.
fn is_same_model(named: &str, here: &str) -> bool {
    let (named, here) = (model_name(named), model_name(here));
    let (named, file) = (gguf_stem(&named), gguf_stem(&here));
    let is_quantised_as = |rest: &str| {
        let rest = rest.trim_start_matches(['-', '_', '.']);
        ["q", "iq", "f16", "f32", "bf16", "fp16", "gguf"].iter().any(|kind| rest.starts_with(kind))
    };
    let quantised = file.strip_prefix(named).filter(|_| file != here);
    named.is_empty() || named == file || quantised.is_some_and(is_quantised_as)
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

fn gguf_stem(name: &str) -> &str {
    name.strip_suffix(".gguf").unwrap_or(name)
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
            ("", "anything"),
            (".", "anything"),
        ] {
            assert!(is_same_model(named, here), "{named} {here}");
        }
        for (named, here) in [
            ("bert-base-uncased", "bert-base-cased"),
            ("org/Smol-135M", "Smol-135M-Instruct"),
            ("org/Smol-135M", "Smol-135M-Instruct.Q4_1.gguf"),
            ("org/name", "name-q4"),
        ] {
            assert!(!is_same_model(named, here), "{named} {here}");
        }
    }
}
