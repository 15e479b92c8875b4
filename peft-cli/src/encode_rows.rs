//! Rows that are encoded as they are read, and notes on what was cut.

use std::{path::Path, sync::Arc};

use peft_core::{
    Result, Task, Topology,
    data::Example,
    error::Error,
    evaluate::checks::check_topology,
    text::{
        ChatSource, Encoded, Encoder, EncoderConfig, ModelTokenizer, Needs, Record, Role, Supplies,
        renumbered,
    },
};
use peft_models::{
    Loaded,
    generate::{EndTokens, GenerateConfig, trained_start},
    special_tokens,
};

use crate::{
    encoding::{EncodeSettings, Lengths},
    end_token,
    model_dir::ModelDir,
    output,
};

/// Encodes rows for a model, with notes on what was cut. Only some of them are in memory at a time.
///
/// # Errors
///
/// Returns the first error among the rows, or one that names the file and line that is wrong.
pub fn encode(
    base: &Loaded,
    dir: &ModelDir,
    rows: impl Iterator<Item = Result<Record>>,
    settings: &EncodeSettings,
) -> Result<Encoded> {
    let config = config(base, settings)?;
    let mut end = EndTokens::default();
    if settings.task.is_language_model() {
        end = end_token::find(base, dir)?;
    }
    let supply = |needs: Needs| {
        let tokenizer = needs.tokenizer.then(|| dir.tokenizer()).transpose()?;
        let chat = match (needs.chat_template, tokenizer) {
            (true, Some(own)) => Some(settings.chat.source(dir.path(), &own.special_tokens)?),
            _ => None,
        };
        if let Some(reason) = chat.as_ref().and_then(ChatSource::missing) {
            return Err(Error::setting("chat_template", reason));
        }
        Ok(Supplies {
            tokenizer: tokenizer.map(|own| own.tokenizer.clone()),
            chat: chat.map(Arc::new),
            eos: end.closing(tokenizer.and_then(ModelTokenizer::end_id)),
        })
    };
    let mut rows = rows.peekable();
    if let (Some(Ok(first)), Some(labels)) = (rows.peek(), &settings.labels)
        && settings.targets
    {
        let role = if settings.task == Task::TokenCls { Role::Tags } else { Role::Label };
        if let Some(note) = renumbered(first, settings.fields.name(role), labels) {
            output::note(format!("note: {note}"));
        }
    }
    let encoded = config.encode_rows(rows, supply).map_err(|error| named(error, &end, base))?;
    note_left_out(&encoded, settings.task);
    note_empty(&encoded);
    note_blank_targets(&encoded);
    note_single(&encoded);
    note_absent(&encoded);
    note_unanswerable(&encoded);
    note_own_system(&encoded);
    note_cuts(&encoded, settings.lengths);
    Ok(encoded)
}

/// What reads the sources and targets of a language model's rows as texts.
///
/// # Errors
///
/// As [`EncoderConfig::init`].
pub fn texts(base: &Loaded, settings: &EncodeSettings) -> Result<Encoder> {
    config(base, settings)?.init(None)
}

/// The encoder's settings, without what needs a tokenizer.
fn config(base: &Loaded, settings: &EncodeSettings) -> Result<EncoderConfig> {
    check_topology(base.model.spec(), settings.task)?;
    let mut config = EncoderConfig::new(settings.task, base.model.spec().vocab_size);
    // Encoders have two if the config says nothing, as in transformers.
    let token_types = if base.model.spec().topology == Topology::EncoderOnly { 2 } else { 0 };
    config.type_vocab_size = base.config.optional_size("type_vocab_size")?.unwrap_or(token_types);
    config.problem_type = settings.problem_type;
    config.fields = settings.fields.clone();
    config.source_template = settings.source_template.clone();
    config.source_prefix.clone_from(&settings.source_prefix);
    config.target_template = settings.target_template.clone();
    config.as_chat = settings.asked.chat;
    config.system = settings.asked.system.clone();
    config.num_classes = settings.num_classes.filter(|_| settings.labels.is_none());
    config.labels = settings.labels.clone();
    config.max_length = settings.lengths.max_length;
    config.max_target_length = settings.lengths.max_target_length;
    config.doc_stride = settings.lengths.doc_stride.unwrap_or(config.doc_stride);
    config.skip_unlabelled = settings.skip_unlabelled;
    config.targets = settings.targets;
    if settings.task == Task::Seq2SeqLm {
        // Rows with tokens of their own for the decoder need none; what lacks it for others, `named` says.
        config.decoder_start = trained_start(&base.config)
            .or_else(|| GenerateConfig::for_model(base, 1).ok()?.decoder_start);
        config.pad = special_tokens(&base.config, "pad_token_id").first().copied();
    }
    Ok(config)
}

/// An error about a special token, with the file that should have named it.
fn named(error: Error, end: &EndTokens, base: &Loaded) -> Error {
    match error {
        Error::SpecialToken { key: "eos_token_id", message } => end.error(message),
        Error::SpecialToken { key: "decoder_start_token_id", message } => {
            let decided = match trained_start(&base.config) {
                None => GenerateConfig::for_model(base, 1).err(),
                Some(_) => None,
            };
            decided.unwrap_or_else(|| base.config.error("decoder_start_token_id", message))
        }
        Error::SpecialToken { key, message } => base.config.error(key, message),
        other => other,
    }
}

/// Tells how many rows were left out.
fn note_left_out(encoded: &Encoded, task: Task) {
    let left_out = encoded.left_out.len();
    tell_left_out(left_out, left_out + encoded.records(), task);
}

/// Tells how many of `rows` have nothing to be learnt by or scored with, and are left out.
pub fn tell_left_out(left_out: usize, rows: usize, task: Task) {
    let what = match task {
        Task::SeqCls => "label",
        Task::TokenCls => "tags",
        Task::QuestionAns => "answers",
        Task::CausalLm | Task::Seq2SeqLm => "target",
    };
    if left_out > 0 {
        output::note(format!("note: {left_out} of {rows} rows have no {what} and are left out"));
    }
}

/// Tells how many rows have nothing to read.
fn note_empty(encoded: &Encoded) {
    // Who gives a text by a flag sees that it is empty.
    let is_file = |(path, _): &&(Arc<Path>, usize)| !path.to_string_lossy().starts_with("--");
    if let Some((path, line)) = encoded.empty.first().filter(is_file) {
        let (count, rows) = (encoded.empty.len(), encoded.records());
        output::note(format!(
            "note: {count} of {rows} rows have an empty text, the first in {}, line {line}",
            path.display()
        ));
    }
}

/// Tells how many rows teach a language model to write nothing.
fn note_blank_targets(encoded: &Encoded) {
    if let Some((path, line)) = encoded.blank_targets.first() {
        let (count, rows) = (encoded.blank_targets.len(), encoded.records());
        output::note(format!(
            "note: {count} of {rows} rows have an empty target, the first in {}, line {line}; --skip-unlabelled leaves them \
             out",
            path.display()
        ));
    }
}

/// Tells how many rows have one text among others that are pairs.
fn note_single(encoded: &Encoded) {
    if let Some((path, line)) = &encoded.first_single
        && encoded.single < encoded.texts
    {
        let (count, rows) = (encoded.single, encoded.records());
        output::note(format!(
            "note: {count} of {rows} rows have no second text (`{}`) and are read as one text, the first in {}, line {line}",
            encoded.fields.name(Role::TextPair),
            path.display()
        ));
    }
}

/// A line, with its file where there are several.
fn place(encoded: &Encoded, file: Option<&Path>, line: usize) -> String {
    match file.filter(|_| encoded.files.len() > 1) {
        Some(path) => format!("{}, line {line}", path.display()),
        None => format!("line {line}"),
    }
}

/// Names the fields of the templates that no row has: they may be misspelled.
fn note_absent(encoded: &Encoded) {
    let path = match encoded.files.as_slice() {
        [] => return,
        [(_, path)] => path.display().to_string(),
        [(_, first), .., (_, last)] => format!("{} to {}", first.display(), last.display()),
    };
    for (name, template) in &encoded.absent {
        output::note(format!(
            "note: no row of {path} has the field {name} of the template {template}"
        ));
    }
}

/// Tells how many questions have no answer.
fn note_unanswerable(encoded: &Encoded) {
    let rows = encoded.examples.iter();
    let without: Vec<&Example> = rows.filter(|row| row.is_unanswerable()).collect();
    let at = encoded.examples.iter().position(Example::is_unanswerable);
    if let (Some(first), Some(at)) = (without.first(), at) {
        // A question may have several windows, one behind the other.
        let next = without.windows(2).filter(|pair| !pair[0].same_question(pair[1])).count();
        let (count, rows) = (next + 1, encoded.records());
        let line = place(encoded, encoded.file_of(at), first.line);
        output::note(format!(
            "note: {count} of {rows} questions have no answer, the first in {line}"
        ));
    }
}

/// Tells how many conversations have a message of the system of their own.
fn note_own_system(encoded: &Encoded) {
    if let Some((path, line)) = encoded.own_system.first() {
        let line = place(encoded, Some(&**path), *line);
        let (count, rows) = (encoded.own_system.len(), encoded.records());
        output::note(format!(
            "note: {count} of {rows} rows have a message of the system of their own, which they keep instead of \
             --system, the first in {line}"
        ));
    }
}

/// Tells how many rows were cut, or became several windows.
fn note_cuts(encoded: &Encoded, lengths: Lengths) {
    let rows = encoded.records();
    for (count, what, length) in [
        (encoded.truncated, "rows", lengths.max_length),
        (encoded.truncated_targets, "targets", lengths.max_target_length),
    ] {
        if count > 0 {
            let length = length.unwrap_or(0);
            output::note(format!("note: {count} of {rows} {what} were cut to {length} tokens"));
        }
    }
    if encoded.emptied > 0 {
        let emptied = encoded.emptied;
        output::note(format!(
            "note: {emptied} of these have no target left, so that nothing is learnt from them"
        ));
    }
    if encoded.examples.len() > rows {
        let windows = encoded.examples.len();
        output::note(format!("note: {rows} rows became {windows} windows onto their contexts"));
    }
}
