//! How texts become rows of tokens: the flags that say so, and what is told of what was cut.

use std::path::Path;

use clap::Args;
use peft_core::{
    PaddingSide, Result, Room, Task, Topology,
    data::{Example, Labels},
    error::Error,
    evaluate::checks::check_topology,
    text::{Encoded, EncoderConfig, Record, Template, load_tokenizer},
};
use peft_models::{Loaded, generate::GenerateConfig};

use crate::output;

/// Flags that say how texts become rows. Settings that a run was trained with are remembered by its adapter.
#[derive(Args, Clone, Debug, Default)]
pub struct TextArgs {
    /// Makes the input from a row's fields: "{premise} so {hypothesis}".
    #[arg(long, value_name = "TEXT")]
    pub source_template: Option<String>,
    /// Makes the target from a row's fields.
    #[arg(long, value_name = "TEXT")]
    pub target_template: Option<String>,
    /// Tokens kept of a row. Default: as in training, else all.
    #[arg(long, value_name = "T")]
    pub max_length: Option<usize>,
    /// seq2seq-lm: tokens kept of a target. Default: as in training, else all.
    #[arg(long, value_name = "T")]
    pub max_target_length: Option<usize>,
    /// qa: tokens that windows onto a long context share. Default: as in training, else 128.
    #[arg(long, value_name = "N")]
    pub doc_stride: Option<usize>,
    /// qa: tokens of an answer, at most. Default: as in training, else 30.
    #[arg(long, value_name = "N")]
    pub max_answer_length: Option<usize>,
}

/// What rows are cut to, in tokens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lengths {
    /// Of a row.
    pub max_length: Option<usize>,
    /// Of the target of an encoder-decoder.
    pub max_target_length: Option<usize>,
    /// What windows onto a context share.
    pub doc_stride: Option<usize>,
}

/// How rows are encoded.
#[derive(Clone, Debug)]
pub struct EncodeSettings {
    /// The task.
    pub task: Task,
    /// The names of the classes.
    pub labels: Option<Labels>,
    /// C, where it is known.
    pub num_classes: Option<usize>,
    /// Makes the source.
    pub source_template: Option<Template>,
    /// Makes the target.
    pub target_template: Option<Template>,
    /// What rows are cut to.
    pub lengths: Lengths,
    /// Whether rows have targets.
    pub targets: bool,
}

/// Encodes records for a model; reports what was cut.
///
/// # Errors
///
/// Naming the file and line that is wrong.
pub fn encode(
    base: &Loaded,
    dir: &Path,
    records: &[Record],
    settings: EncodeSettings,
) -> Result<Encoded> {
    let needs_tokenizer = records.iter().any(|record| !record.has("input_ids"));
    let tokenizer = needs_tokenizer.then(|| load_tokenizer(dir)).transpose()?;
    let mut config = EncoderConfig::new(settings.task, base.model.spec().vocab_size);
    // BERT's kind has two where nothing is said, as in transformers.
    let token_types = if base.model.spec().topology == Topology::EncoderOnly { 2 } else { 0 };
    config.type_vocab_size = base.config.optional_size("type_vocab_size")?.unwrap_or(token_types);
    config.source_template = settings.source_template;
    config.target_template = settings.target_template;
    config.num_classes = settings.num_classes.filter(|_| settings.labels.is_none());
    config.labels = settings.labels;
    let lengths = settings.lengths;
    config.max_length = lengths.max_length;
    config.max_target_length = lengths.max_target_length;
    config.doc_stride = lengths.doc_stride.unwrap_or(config.doc_stride);
    let token = |key: &str| base.config.token_ids(key).first().copied();
    config.eos = token("eos_token_id");
    check_topology(base.model.spec(), settings.task)?;
    if settings.task == Task::Seq2SeqLm {
        let start = || GenerateConfig::for_model(base, 1).ok()?.decoder_start;
        config.decoder_start = token("decoder_start_token_id").or_else(start);
        config.pad = token("pad_token_id");
    }
    config.targets = settings.targets;
    let targets = config.targets;
    // Special tokens are keys of the model's config, not flags.
    let in_config = |error| match error {
        Error::Setting { setting, message } if setting.ends_with("_token_id") => {
            base.config.bad(&setting, message)
        }
        other => other,
    };
    let encoder = config.init(tokenizer).map_err(in_config)?;
    let encoded = encoder.encode(records).map_err(in_config)?;
    if let Some(first) = records.first()
        && targets
        && encoded.examples.iter().all(|example| example.labelled() == 0)
    {
        return Err(Error::file(&first.path, "no row has a target"));
    }
    let rows = records.len();
    for (count, what, length) in [
        (encoded.truncated, "rows", lengths.max_length),
        (encoded.truncated_targets, "targets", lengths.max_target_length),
    ] {
        if count > 0 {
            let length = length.unwrap_or(0);
            output::note(format!("note: {count} of {rows} {what} were cut to {length} tokens"));
        }
    }
    if encoded.examples.len() > rows {
        let windows = encoded.examples.len();
        output::note(format!("note: {rows} rows became {windows} windows onto their contexts"));
    }
    Ok(encoded)
}

/// A side of padding by its name.
///
/// # Errors
///
/// [`Error::Setting`] naming the choices.
pub fn padding_side(name: &str) -> Result<PaddingSide> {
    match name {
        "right" => Ok(PaddingSide::Right),
        "left" => Ok(PaddingSide::Left),
        other => {
            Err(Error::setting("--padding", format!("found {other:?}, expected right or left")))
        }
    }
}

/// Checks that the rows of the file `path` and new tokens fit the room that virtual tokens leave.
///
/// # Errors
///
/// [`Error::Data`] at the first row that does not.
pub fn check_lengths(room: Room, rows: &[Example], new_tokens: usize, path: &Path) -> Result<()> {
    // A decoder of its own reads the token it starts from.
    let start = usize::from(new_tokens > 0);
    rows.iter().try_for_each(|row| {
        room.check(row.input_ids.len(), start.max(row.decoder_len()), new_tokens)
            .map_err(|error| Error::data(path, row.line, error.to_string()))
    })
}
