//! A base model with the adapter to use on it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use burn::tensor::Device;
use clap::Args;
use peft_core::{
    Adapter, FrozenModel, Head, Pooling, Result, Room, Task, VirtualTokens,
    data::{Example, Labels},
    error::Error,
    text::{Encoded, Record, Template, read_records},
};
use peft_models::{LoadOptions, Loaded, WeightFormat};

use crate::{
    device::{self, Backend},
    encoding::{EncodeSettings, Lengths, TextArgs, check_lengths, encode},
    error::CliResult,
    locate,
};

/// Flags of every command that uses a model.
#[derive(Args, Clone, Debug)]
pub struct UseArgs {
    /// The frozen base model: its folder, or org/name on the Hugging Face Hub.
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// The adapter: its folder, or org/name on the Hub. Default: none, the base model alone. `predict` takes
    /// several.
    #[arg(long = "adapter", value_name = "ADAPTER")]
    pub adapters: Vec<PathBuf>,
    /// Use an adapter although it was trained on another base of the same shape.
    #[arg(long)]
    pub any_base: bool,
    /// Backend that computes.
    #[arg(long, value_enum)]
    pub device: Option<Backend>,
    /// Keep the frozen matrices of the base in f32, bf16 (half the memory) or int8 (a quarter). CPU only.
    #[arg(long, value_name = "FORMAT", default_value = "f32")]
    pub base_weights: WeightFormat,
}

/// A model with its virtual tokens, ready to be used.
#[derive(Debug)]
pub struct Session {
    /// The base; several adapters may share it.
    pub base: Arc<Loaded>,
    /// Its folder.
    pub dir: PathBuf,
    /// The adapter.
    pub adapter: Option<Adapter>,
    /// What the adapter contributes, compiled for the model.
    pub virtual_tokens: VirtualTokens,
    /// The adapter's head.
    pub head: Option<Head>,
    /// The task of the adapter, else of the model.
    pub task: Option<Task>,
    /// The names of the classes.
    pub labels: Option<Labels>,
    /// What an encoder's classifier reads.
    pub pooling: Pooling,
}

impl Session {
    /// Loads the model and the adapter.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with either, or with their fit; several adapters.
    pub fn open(args: &UseArgs) -> CliResult<Self> {
        if let [_, second, ..] = args.adapters.as_slice() {
            let message = format!("found a second one, {}; expected one", second.display());
            return Err(Error::setting("--adapter", message).into());
        }
        let adapter = args.adapters.first().map(PathBuf::as_path);
        let mut opened = Self::open_each(args, &[adapter])?;
        opened.pop().ok_or_else(|| Error::Mismatch("no model was opened".into()).into())
    }

    /// Loads the model once and puts each of some adapters on it.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with one of them, or with their fit.
    pub fn open_each(args: &UseArgs, adapters: &[Option<&Path>]) -> CliResult<Vec<Self>> {
        let device = device::choose(args.device)?;
        let dir = locate::model(&args.model)?;
        let dirs: Vec<Option<PathBuf>> = adapters
            .iter()
            .map(|named| named.map(locate::adapter).transpose())
            .collect::<std::result::Result<_, _>>()?;
        let options = LoadOptions { weights: args.base_weights, ..LoadOptions::default() };
        let base = Arc::new(peft_models::load_with(&dir, &device, options)?);
        adapters
            .iter()
            .zip(dirs)
            .map(|(named, adapter_dir)| {
                let named = named.unwrap_or(Path::new(""));
                let adapter = adapter_dir.as_deref().map(Adapter::load).transpose()?;
                if let Some(adapter) = adapter.as_ref().filter(|_| !args.any_base) {
                    check_base(adapter, &base, named)?;
                }
                let session = Self::new(base.clone(), dir.clone(), adapter, &device);
                Ok(session.map_err(in_adapter(named))?)
            })
            .collect()
    }

    /// Puts an adapter on a loaded model.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] where they do not fit.
    pub fn new(
        base: impl Into<Arc<Loaded>>,
        dir: PathBuf,
        adapter: Option<Adapter>,
        device: &Device,
    ) -> Result<Self> {
        let base = base.into();
        let model = base.model.as_ref();
        let spec = model.spec();
        let task = adapter.as_ref().and_then(|a| a.config.task).or(base.config.task());
        let mut virtual_tokens = VirtualTokens::none();
        let mut head = None;
        let mut labels = None;
        let mut pooling = Pooling::First;
        if let Some(adapter) = &adapter {
            virtual_tokens = model.compile(&adapter.virtual_tokens(spec, device)?)?;
            let layout = model.head_layout(task.unwrap_or(Task::SeqCls));
            head = adapter.head(layout, spec, device)?;
            labels = adapter.config.own.labels.clone();
            pooling = adapter.config.own.pooling;
            let needs_head = task.is_some_and(Task::has_head);
            if needs_head && head.is_none() {
                return Err(Error::Mismatch(format!(
                    "the adapter has no tensor `base_model.{}`: the head that its task {} needs \
                     is missing",
                    layout.weight_name(),
                    task.map_or("", Task::name)
                )));
            }
        }
        let classes = head.as_ref().or(model.classifier()).map(Head::num_classes);
        // The two outputs of a question answering head are no classes.
        if labels.is_none() && task != Some(Task::QuestionAns) {
            let of_base = base.config.labels().filter(|names| Some(names.len()) == classes);
            // LABEL_0 and so on are no names: transformers writes them where it knows none.
            labels = of_base.filter(|names| adapter.is_none() || !are_placeholders(names));
        }
        if let (Some(labels), Some(classes)) = (&labels, classes)
            && labels.len() != classes
        {
            let count = labels.len();
            return Err(Error::Mismatch(format!(
                "the adapter names {count} labels, its head has {classes} classes"
            )));
        }
        let labels = labels.map(Labels::from_list).transpose()?;
        Ok(Self { base, dir, adapter, virtual_tokens, head, task, labels, pooling })
    }

    /// With the class names of `--labels`, where they are given.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] where the head has another number of classes.
    pub fn with_labels(mut self, list: Option<&str>) -> Result<Self> {
        let Some(list) = list else { return Ok(self) };
        let labels = parse_labels(list)?;
        if let Some(classes) = self.classifier().map(Head::num_classes)
            && classes != labels.len()
        {
            let count = labels.len();
            let message = format!("found {count} labels, the head has {classes} classes");
            return Err(Error::setting("--labels", message));
        }
        self.labels = Some(labels);
        Ok(self)
    }

    /// The model.
    pub fn model(&self) -> &dyn FrozenModel {
        self.base.model.as_ref()
    }

    /// The head that makes classes: the adapter's, else the model's own.
    pub fn classifier(&self) -> Option<&Head> {
        self.head.as_ref().or(self.model().classifier())
    }

    /// The task, or an error that says how to name one.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`].
    pub fn task(&self) -> Result<Task> {
        self.task.ok_or_else(|| {
            Error::Mismatch(format!(
                "{}: neither the adapter nor `architectures` ({}) names a task",
                self.base.config.path().display(),
                self.base.config.architectures()
            ))
        })
    }

    /// A text setting from the flags, else from the recipe the adapter remembers.
    fn remembered(&self, flag: &Option<String>, key: &str) -> Option<String> {
        flag.clone().or_else(|| {
            let recipe = &self.adapter.as_ref()?.config.own.recipe;
            recipe.get(key)?.as_str().map(str::to_string)
        })
    }

    /// Reads and encodes a data file.
    ///
    /// # Errors
    ///
    /// Naming the file and line that is wrong.
    pub fn encode(
        &self,
        path: &Path,
        text: &TextArgs,
        targets: bool,
    ) -> Result<(Vec<Record>, Encoded)> {
        let records = read_records(path)?;
        let encoded = self.encode_records(&records, text, targets)?;
        self.check_lengths(&encoded.examples, 0, path)?;
        Ok((records, encoded))
    }

    /// Encodes records, by the flags or else as the adapter remembers.
    ///
    /// # Errors
    ///
    /// Naming the file and line that is wrong.
    pub fn encode_records(
        &self,
        records: &[Record],
        text: &TextArgs,
        targets: bool,
    ) -> Result<Encoded> {
        let template = |value: Option<String>, flag: &str| {
            value.map(|value| Template::parse(&value, flag)).transpose()
        };
        let config = EncodeSettings {
            task: self.task()?,
            labels: self.labels.clone(),
            num_classes: self.classifier().map(Head::num_classes),
            source_template: template(
                self.remembered(&text.source_template, "source_template"),
                "--source-template",
            )?,
            target_template: template(
                self.remembered(&text.target_template, "target_template"),
                "--target-template",
            )?,
            lengths: self.lengths(text),
            targets,
        };
        encode(&self.base, &self.dir, records, config)
    }

    /// The text `prompt` as token ids, as the source of a row is encoded. Templates are for rows: only
    /// those of the flags are used.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] where it has no tokens, or some that the model does not know.
    pub fn encode_prompt(&self, prompt: &str, text: &TextArgs) -> Result<Vec<u32>> {
        let template = |value: &Option<String>, flag: &str| {
            value.as_deref().map(|value| Template::parse(value, flag)).transpose()
        };
        let fields = [("text".to_string(), prompt.into())].into_iter().collect();
        let record = Record { path: Arc::from(Path::new("--prompt")), line: 1, fields };
        let config = EncodeSettings {
            task: if self.model().spec().is_encoder_decoder() {
                Task::Seq2SeqLm
            } else {
                Task::CausalLm
            },
            labels: None,
            num_classes: None,
            source_template: template(&text.source_template, "--source-template")?,
            target_template: template(&text.target_template, "--target-template")?,
            lengths: Lengths { max_length: self.lengths(text).max_length, ..Lengths::default() },
            targets: false,
        };
        let encoded = encode(&self.base, &self.dir, &[record], config)?;
        Ok(encoded.examples.into_iter().next().map_or_else(Vec::new, |row| row.input_ids))
    }

    /// A length from the flags, else the one that the adapter was trained with.
    fn length(&self, flag: Option<usize>, key: &str) -> Option<usize> {
        flag.or_else(|| {
            let recipe = &self.adapter.as_ref()?.config.own.recipe;
            usize::try_from(recipe.get(key)?.as_u64()?).ok()
        })
    }

    /// The lengths that rows are cut to.
    fn lengths(&self, text: &TextArgs) -> Lengths {
        Lengths {
            max_length: self.length(text.max_length, "max_length"),
            max_target_length: self.length(text.max_target_length, "max_target_length"),
            doc_stride: self.length(text.doc_stride, "doc_stride"),
        }
    }

    /// Tokens of an answer, at most.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for 0.
    pub fn max_answer_length(&self, text: &TextArgs) -> Result<usize> {
        match self.length(text.max_answer_length, "max_answer_length").unwrap_or(30) {
            0 => Err(Error::setting("--max-answer-length", "found 0, expected at least 1")),
            length => Ok(length),
        }
    }

    /// Checks that the rows of the file `path`, and what is to be generated, fit the model's positions.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] at the first row that does not.
    pub fn check_lengths(&self, rows: &[Example], new_tokens: usize, path: &Path) -> Result<()> {
        let room = Room::new(self.model().spec(), &self.virtual_tokens);
        check_lengths(room, rows, new_tokens, path)
    }
}

/// The class names of `--labels`.
///
/// # Errors
///
/// [`Error::Setting`] for an empty name, or one given twice.
pub fn parse_labels(list: &str) -> Result<Labels> {
    let names = list.split(',').map(|name| name.trim().to_string()).collect();
    Labels::from_list(names).map_err(|error| match error {
        Error::Setting { message, .. } => Error::setting("--labels", message),
        other => other,
    })
}

fn are_placeholders(names: &[String]) -> bool {
    names.iter().enumerate().all(|(i, name)| *name == format!("LABEL_{i}"))
}

/// Puts the adapter's folder in front of what does not fit.
pub fn in_adapter(dir: &Path) -> impl FnOnce(Error) -> Error + '_ {
    move |error| match error {
        // Its label list is not a setting of this command.
        Error::Mismatch(_) | Error::Setting { .. } => {
            Error::Mismatch(format!("{}: {error}", dir.display()))
        }
        other => other,
    }
}

/// Refuses an adapter that was trained on other weights.
fn check_base(adapter: &Adapter, base: &Loaded, dir: &Path) -> Result<()> {
    match (&adapter.config.own.base_fingerprint, &base.report.fingerprint) {
        (Some(expected), Some(found)) if expected != found => Err(Error::Mismatch(format!(
            "{}: this adapter was trained on another base model ({}, fingerprint {expected}); the model \
             given has fingerprint {found}. --any-base uses it all the same",
            dir.display(),
            adapter.config.base_model.as_deref().unwrap_or("unnamed"),
        ))),
        _ => Ok(()),
    }
}
