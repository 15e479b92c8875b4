//! Opening sessions: the model is loaded once, and each adapter is checked against it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use peft_core::{Error, train::BaseSum};
use peft_models::LoadOptions;

use super::{Session, UseArgs, numbers};
use crate::{
    adapter_folder,
    base_model::{self, Purpose},
    device,
    error::{CliResult, in_adapter},
    locate,
    model_dir::ModelDir,
    model_files, output,
};

impl Session {
    /// Loads the model and the adapter.
    ///
    /// # Errors
    ///
    /// Returns an error if the model or the adapter cannot be loaded, if they do not fit each other, or
    /// if `args` name several adapters.
    pub fn open(args: &UseArgs) -> CliResult<Self> {
        if let [_, second, ..] = args.adapters.as_slice() {
            let message = format!("found a second one, {}; expected one", second.display());
            return Err(Error::setting("--adapter", message).into());
        }
        let adapter = args.adapters.first().map(PathBuf::as_path);
        let mut opened = Self::open_each(args, &[adapter])?;
        opened.pop().ok_or_else(|| Error::Mismatch("no model was opened".into()).into())
    }

    /// Loads the model once and puts each of these adapters on it. That one was trained in other numbers is told.
    ///
    /// # Errors
    ///
    /// Returns an error if the model or an adapter cannot be loaded, or if they do not fit each other.
    pub fn open_each(args: &UseArgs, adapters: &[Option<&Path>]) -> CliResult<Vec<Self>> {
        let sessions = Self::open_in_any_numbers(args, adapters)?;
        // Members of a vote mostly differ in the same.
        let mut found: Vec<(_, Vec<String>)> = Vec::new();
        for (named, session) in adapters.iter().zip(&sessions) {
            let (Some(named), Some(adapter)) = (named, &session.adapter) else { continue };
            let (differing, named) =
                (numbers::differing(adapter, args), named.display().to_string());
            match found.iter_mut().find(|(known, _)| *known == differing) {
                Some((_, whose)) => whose.push(named),
                None => found.push((differing, vec![named])),
            }
        }
        for (differing, whose) in found {
            numbers::note(&differing, &whose).into_iter().for_each(output::note);
        }
        Ok(sessions)
    }

    /// As [`open_each`](Self::open_each), where the caller tells of the numbers.
    ///
    /// # Errors
    ///
    /// As for [`open_each`](Self::open_each).
    pub fn open_in_any_numbers(args: &UseArgs, adapters: &[Option<&Path>]) -> CliResult<Vec<Self>> {
        args.on_device.apply()?;
        let device = device::choose(args.device)?;
        let dir = ModelDir::from(locate::model(&args.model)?);
        let dirs: Vec<Option<PathBuf>> = adapters
            .iter()
            .map(|named| named.map(locate::adapter).transpose())
            .collect::<std::result::Result<_, _>>()?;
        let options = LoadOptions {
            weights: args.base_weights,
            compute: args.dtype,
            ..LoadOptions::default()
        };
        let base = Arc::new(base_model::load(dir.path(), &device, options)?);
        let mut base_sum = None;
        adapters
            .iter()
            .zip(dirs)
            .map(|(named, adapter_dir)| {
                let named = named.unwrap_or(Path::new(""));
                let load = |dir| adapter_folder::load(dir, base.config.task());
                let adapter = adapter_dir.as_deref().map(load).transpose()?;
                if let Some(adapter) = adapter.as_ref().filter(|_| !args.any_base) {
                    base_model::check(adapter, &base, named)?;
                }
                let session = Self::new(base.clone(), dir.clone(), adapter, &device);
                let mut session = session.map_err(in_adapter(named))?;
                if let Some(adapter) = session.adapter.as_ref().filter(|_| !args.any_base) {
                    let whose = named.display().to_string();
                    base_model::note_other_name(adapter, &base, &args.model, &whose, Purpose::Use);
                    model_files::note_other_config(adapter, &base, &whose, Purpose::Use);
                }
                if let Some(adapter) = &session.adapter {
                    let (task, whose) = (session.task, named.display().to_string());
                    base_model::note_pooler_of_peft(adapter, &base, task, dir.path(), &whose);
                }
                if session.base_sha256().is_some() && !args.any_base {
                    let base = base.clone();
                    let start = || BaseSum::start(move || base.sha256());
                    session.base_sum = Some(base_sum.get_or_insert_with(start).clone());
                }
                if session.is_prompt_of_peft_for_spans() {
                    output::note(format!(
                        "note: {}: PEFT does not shift the labels of question answering by the virtual tokens of a prompt; \
                         trained so, its answers begin that many tokens too early",
                        named.display()
                    ));
                }
                Ok(session)
            })
            .collect()
    }
}
