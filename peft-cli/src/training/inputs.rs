//! What a run reads: the base model, the adapter to start from, and the rows.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use burn::tensor::Device;
use peft_core::{
    Adapter, Error, ProblemType, Result, Task,
    adapter::{codec::sha256, stored},
    data::Labels,
    formats::read,
    text::{Encoded, FieldNames, FoundFields, Steps, Template, Wanted},
    train::{BaseSum, other_keys},
};
use peft_models::{LoadOptions, Loaded};

use super::expected_memory::AfterLoading;
use crate::{
    adapter_folder,
    base_model::{self, Purpose},
    data_files::DataFiles,
    decoder_start,
    encode_rows::encode,
    encoding::{ChatArgs, EncodeSettings},
    end_token,
    error::{CliResult, in_adapter},
    fields::{self, ChosenFields},
    locate,
    model_dir::ModelDir,
    model_files, output,
    screen::memory,
    settings::Settings,
    tasks::task_file::TaskFile,
};

/// A base model, which several runs may share.
#[derive(Clone, Debug)]
pub(crate) struct Base {
    /// The model.
    pub loaded: Arc<Loaded>,
    /// Its folder.
    pub dir: ModelDir,
    /// The memory of the program once it was loaded.
    pub after_loading: AfterLoading,
    /// The sum of its weights, once a run needed it.
    pub sum: Arc<OnceLock<BaseSum>>,
}

impl Base {
    /// How the settings load it.
    pub fn options(settings: &Settings) -> LoadOptions {
        let defaults = LoadOptions::default();
        LoadOptions {
            recompute: settings.recompute.unwrap_or(defaults.recompute),
            weights: settings.base_weights.unwrap_or(defaults.weights),
            compute: settings.dtype.unwrap_or(defaults.compute),
        }
    }

    /// Loads it.
    ///
    /// # Errors
    ///
    /// Returns an error naming the file, key or tensor that is wrong.
    pub fn load(settings: &Settings, device: &Device) -> CliResult<Self> {
        let dir = ModelDir::from(locate::model(Settings::required(&settings.model, "--model")?)?);
        let before = memory::own();
        let loaded = base_model::load(dir.path(), device, Self::options(settings))?;
        let after_loading = AfterLoading::of(dir.path(), before);
        Ok(Self { loaded: Arc::new(loaded), dir, after_loading, sum: Arc::default() })
    }

    /// How it is not as an adapter remembers it, by weights and config; `None` where it is. What an adapter of an earlier
    /// version does not remember is taken for granted.
    ///
    /// # Errors
    ///
    /// An error naming the file of the weights that cannot be read.
    pub fn differing(&self, adapter: &Adapter) -> Result<Option<String>> {
        let own = &adapter.config.own;
        let other = |then: &Option<String>, now: &Option<String>| {
            let both = then.as_ref().zip(now.as_ref()).filter(|(then, now)| then != now);
            both.map(|(then, now)| format!("was {then}, and is {now}"))
        };
        if let Some(differs) = other(&own.base_fingerprint, &self.loaded.report.fingerprint) {
            return Ok(Some(format!("its fingerprint {differs}")));
        }
        // All weights are read only where the adapter has a sum to compare them with.
        if own.base_sha256.is_some()
            && let Some(differs) = other(&own.base_sha256, &self.sum().wait()?)
        {
            return Ok(Some(format!("SHA-256 of its weights {differs}")));
        }
        if own.base_config.is_empty() {
            return Ok(None);
        }
        let keys = other_keys(&own.base_config, &self.loaded.config.of_outputs());
        Ok((!keys.is_empty()).then(|| format!("of its config differ: {}", keys.join(", "))))
    }

    /// The sum of its weights, computed once for all that ask.
    pub fn sum(&self) -> BaseSum {
        sum_of(&self.loaded, &self.sum)
    }
}

/// The sum of a base model's weights, once it was asked for in `known`.
pub(super) fn sum_of(loaded: &Arc<Loaded>, known: &OnceLock<BaseSum>) -> BaseSum {
    let loaded = loaded.clone();
    known.get_or_init(|| BaseSum::start(move || loaded.sha256())).clone()
}

/// An adapter that knows the sum of its tensors, also if PEFT saved it.
fn with_sum(mut adapter: Adapter, dir: &Path) -> Result<Adapter> {
    if adapter.config.own.tensors_sha256.is_none() {
        let bytes = read::bytes(&stored::path(dir)?)?;
        adapter.config.own.tensors_sha256 = Some(sha256(&bytes));
    }
    Ok(adapter)
}

/// The adapter of `--init-adapter`, with notes on what it was trained on.
///
/// # Errors
///
/// Returns an error naming the file, key or tensor that is wrong.
pub(super) fn start_adapter(settings: &Settings, base: &Base) -> CliResult<Option<Adapter>> {
    let start_dir = settings.init_adapter.as_deref().map(locate::adapter).transpose()?;
    let Base { loaded, dir, .. } = base;
    let load = |dir: &Path| with_sum(adapter_folder::load(dir, settings.task)?, dir);
    let start_adapter = start_dir.as_deref().map(load).transpose()?;
    if let (Some(adapter), Some(named)) = (&start_adapter, &settings.init_adapter) {
        base_model::check_surplus(adapter, dir.path()).map_err(in_adapter(named))?;
    }
    if let Some(adapter) = &start_adapter
        && let Some(then) = &adapter.config.own.base_fingerprint
        && loaded.report.fingerprint.as_ref().is_some_and(|now| now != then)
    {
        output::note("note: the adapter of --init-adapter was trained on another base model");
    }
    if let (Some(adapter), Some(given)) = (&start_adapter, &settings.model) {
        let whose = "the adapter of --init-adapter";
        base_model::note_other_name(adapter, loaded, given, whose, Purpose::Start);
        model_files::note_other_config(adapter, loaded, whose, Purpose::Start);
    }
    Ok(start_adapter)
}

/// Adds the way out to an error about the class of a validation row, where the classes are those of the training rows.
fn with_all_classes(error: Error) -> Error {
    match error {
        Error::UnknownClass { path, line, message } => {
            let way_out =
                "no training row has this class: set `labels` to the names of all classes";
            Error::UnknownClass { path, line, message: format!("{message}; {way_out}") }
        }
        other => other,
    }
}

/// The rows of files, as a task in TOML changes them; some of its steps are for rows to train on alone.
///
/// # Errors
///
/// Returns an error naming the file, the pattern or the folder that is wrong.
pub(super) fn rows(
    settings: &Settings,
    task_file: Option<&TaskFile>,
    names: &[PathBuf],
    training: bool,
) -> Result<DataFiles> {
    let steps = task_file.map_or_else(Steps::default, |file| file.steps.clone());
    let of_task = task_file.and_then(|file| file.columns.as_deref());
    let files = DataFiles::find(names, settings.columns.as_deref(), false)?;
    // The steps of a file of one's own are for one's own rows; those that come with the program, for several layouts.
    let tells_idle = training && task_file.is_some_and(|file| !file.is_shipped());
    let files = files.with_columns_of_task(of_task).with_steps(steps, training);
    Ok(files.telling_idle_steps(tells_idle))
}

/// The models and records of a run.
#[derive(Debug)]
pub struct Inputs {
    /// The base model.
    pub(super) base: Base,
    /// The adapter of `--init-adapter`, which knows the sum of its tensors.
    pub start_adapter: Option<Adapter>,
    /// The task in TOML, if there is one.
    pub task_file: Option<TaskFile>,
    /// The training rows.
    pub train: DataFiles,
    valid: Option<DataFiles>,
}

impl Inputs {
    /// Reads what the settings name, on a base model.
    ///
    /// # Errors
    ///
    /// Returns an error naming the file, line, key or tensor that is wrong.
    pub(super) fn read(settings: &Settings, base: Base) -> CliResult<Self> {
        let start_adapter = start_adapter(settings, &base)?;
        let task_file = settings.task_file.as_deref().map(TaskFile::open).transpose()?;
        let rows =
            |names: &[PathBuf], training| rows(settings, task_file.as_ref(), names, training);
        let train = rows(Settings::required(&settings.train, "--train")?, true)?;
        let valid = settings.valid.as_deref().map(|names| rows(names, false)).transpose()?;
        Ok(Self { base, start_adapter, task_file, train, valid })
    }

    /// The fields that the rows of the adapter to start from had.
    fn preferred(&self) -> FieldNames {
        let recipe = self.start_adapter.as_ref().map(|adapter| &adapter.config.own.recipe);
        recipe.map_or_else(FieldNames::default, fields::remembered)
    }

    /// Which fields of the training rows are read.
    ///
    /// # Errors
    ///
    /// Returns an error naming the flag that decides.
    pub fn find_fields(&self, settings: &Settings, task: Task) -> Result<FoundFields> {
        let preferred = self.preferred();
        fields::find(
            &self.train.first_rows()?,
            &Wanted {
                task,
                given: &settings.field_names(),
                preferred: &preferred,
                source_template: settings.source_template.is_some(),
                target_template: settings.target_template.is_some(),
                targets: true,
            },
        )
    }

    /// Whether the template of conversations prints the date.
    ///
    /// # Errors
    ///
    /// Returns an error naming the file or the flag that is wrong.
    pub fn prints_date(&self, settings: &Settings) -> Result<bool> {
        Ok(settings.text().chat()?.source(self.base.dir.path(), &[])?.prints_date())
    }

    /// The rows to train on and those to validate on, encoded.
    ///
    /// # Errors
    ///
    /// Returns an error naming the file and line, or the flag, that is wrong.
    pub fn encode(
        &self,
        settings: &Settings,
        (task, problem_type): (Task, ProblemType),
        labels: Option<&Labels>,
        found: &FoundFields,
    ) -> Result<(Encoded, Encoded)> {
        let template = |value: &Option<String>, key: &str| {
            value.as_deref().map(|value| Template::parse(value, key)).transpose()
        };
        let how = EncodeSettings {
            task,
            problem_type,
            labels: labels.cloned(),
            num_classes: None,
            fields: found.names.clone(),
            source_template: template(&settings.source_template, "source_template")?
                .or_else(|| found.source_template.clone()),
            source_prefix: None,
            target_template: template(&settings.target_template, "target_template")?,
            chat: settings.text().chat()?,
            asked: ChatArgs::default(),
            lengths: settings.text().lengths(),
            skip_unlabelled: settings.skip_unlabelled.unwrap_or_default(),
            targets: true,
        };
        let Base { loaded, dir, .. } = &self.base;
        let (given, preferred) = (settings.field_names(), self.preferred());
        let wanted = |preferred| Wanted {
            task,
            given: &given,
            preferred,
            source_template: settings.source_template.is_some(),
            target_template: settings.target_template.is_some(),
            targets: true,
        };
        let first = self.train.first_rows()?;
        let rows =
            ChosenFields::new(first, wanted(&preferred), found.clone()).watch(self.train.rows());
        let train = encode(loaded, dir, rows, &how)?;
        if task == Task::Seq2SeqLm {
            decoder_start::note(loaded);
        }
        if task.is_language_model() && train.texts > 0 {
            end_token::note(&end_token::find(loaded, dir)?, dir);
        }
        let valid = match &self.valid {
            Some(files) => {
                // Validation rows may have other names, but never without a word.
                let wanted = Wanted {
                    source_template: how.source_template.is_some(),
                    ..wanted(&found.remembered)
                };
                let first = files.first_rows()?;
                let of_valid = fields::find(&first, &wanted)?;
                let how = EncodeSettings { fields: of_valid.names.clone(), ..how };
                let rows = ChosenFields::new(first, wanted, of_valid).watch(files.rows());
                let are_found = settings.labels.is_none() && self.start_adapter.is_none();
                let valid = encode(loaded, dir, rows, &how);
                valid.map_err(|error| if are_found { with_all_classes(error) } else { error })?
            }
            None => match settings.valid_split {
                Some(part) => {
                    let (train, valid) = train.hold_out(part, task, settings.seed())?;
                    output::note(format!(
                        "note: {} of {} training rows are held out for validation",
                        valid.records(),
                        train.records() + valid.records()
                    ));
                    return Ok((train, valid));
                }
                None => Encoded::default(),
            },
        };
        Ok((train, valid))
    }
}
