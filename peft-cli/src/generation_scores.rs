//! Scores of generated text: what a language model writes, compared with what it should have written.

use std::{collections::HashMap, ops::ControlFlow, path::Path};

use peft_core::{
    Error, FrozenModel, Result,
    data::{Example, IGNORE, Target},
    metrics::{Metrics, Segment, sequence_metrics},
    text::{Encoded, Record, Role},
};
use peft_models::{
    Loaded,
    generate::{GenerateConfig, Generated, Watcher, generate},
};

use serde_json::{Map, Value, json};

use crate::{
    predictions::Given, screen::rows::RowsDone, session::Session, shard::Block, signals::Signals,
    text_settings::TextArgs, text_stream::NewText, token_text::TokenText,
};

/// What was written for an input, and what should have been.
#[derive(Debug)]
pub struct Written {
    /// The rows with this input.
    pub rows: Vec<usize>,
    /// The tokens that were generated, and those of all targets of these rows; without special tokens.
    pub found: Vec<u32>,
    /// See `found`.
    pub expected: Vec<Vec<u32>>,
}

/// Generates a text for each input that rows with targets have, whatever the number of rows that share it; of all inputs
/// those whose first row is in a block. Also returns which these are among all inputs.
///
/// # Errors
///
/// [`Error::Data`] at a row without a target or, on a decoder-only model, with nothing
/// before it; [`Error::Stopped`] if a signal came; as [`generate`].
pub fn write(
    session: &Session,
    rows: &Encoded,
    block: &Block,
    config: &GenerateConfig,
    signals: &Signals,
) -> Result<(Vec<Written>, Block)> {
    let special = special_tokens(&session.base, config);
    let written = |ids: &[u32]| -> Vec<u32> {
        ids.iter().copied().filter(|id| !special.contains(id)).collect()
    };
    let (mut inputs, mut of_input) = (Vec::new(), HashMap::new());
    let mut all: Vec<Written> = Vec::new();
    for (index, example) in rows.examples.iter().enumerate() {
        let path = rows.file_of(index).unwrap_or(Path::new(""));
        let (input, mut target) = split(example, session.model())
            .map_err(|message| Error::data(path, example.line, message))?;
        // A chat template may write on behind the token that ends a message; generation does not.
        if let Some(end) = target.iter().position(|id| config.end_tokens.contains(id)) {
            target.truncate(end);
        }
        let at = *of_input.entry(input).or_insert_with(|| {
            inputs.push(input);
            all.push(Written { rows: Vec::new(), found: Vec::new(), expected: Vec::new() });
            all.len() - 1
        });
        all[at].rows.push(index);
        for reference in std::iter::once(&target).chain(&example.references) {
            let reference = written(reference);
            if !all[at].expected.contains(&reference) {
                all[at].expected.push(reference);
            }
        }
    }
    // They are in the order of their first rows.
    let before = |row: usize| all.partition_point(|one| one.rows[0] < row);
    let own = Block { rows: before(block.rows.start)..before(block.rows.end), total: inputs.len() };
    own.note_together(config.rows_together(), Some("a smaller --batch-size"));
    let computed = own.together(config.rows_together());
    let inputs = &inputs[computed.clone()];
    let done = RowsDone::new("generate", inputs.len(), &signals.bars());
    let mut watcher = Inputs { done, made: 0, signals };
    let config = config.clone().with_first_row(computed.start);
    let made = generate(session.model(), inputs, &session.virtual_tokens, &config, &mut watcher)?;
    if watcher.made < inputs.len() && signals.came() {
        return Err(Error::Stopped { done: watcher.made, of: inputs.len() });
    }
    drop(watcher);
    for (one, sequences) in all[computed].iter_mut().zip(&made) {
        one.found = sequences.first().map_or_else(Vec::new, |best| written(&best.ids));
    }
    let of_block = all.drain(own.rows.clone()).collect();
    Ok((of_block, own))
}

/// Inputs that are continued until a signal comes.
struct Inputs<'a> {
    done: RowsDone,
    made: usize,
    signals: &'a Signals,
}

impl Watcher for Inputs<'_> {
    fn ends(&mut self, _: usize, _: &[u32]) -> bool {
        self.signals.came()
    }

    fn row_done(&mut self, _: usize) {
        self.done.add_one();
    }

    fn made(&mut self, _: usize, _: &[Generated]) -> ControlFlow<()> {
        self.signals.flow()?;
        self.made += 1;
        ControlFlow::Continue(())
    }
}

/// `exact_match` and `token_error_rate` of what was written for each input, of whose targets the closest counts.
pub fn score(written: &[Written]) -> Metrics {
    let pair = |one: &Written| (one.found.clone(), one.expected.clone());
    sequence_metrics(&written.iter().map(pair).collect::<Vec<_>>())
}

/// What was written as rows: the id and the fields of the first row with an input, `output`, all `references`,
/// and whether the output is one of them. Rows of token ids have `output_ids` and `reference_ids`. References are the
/// rows' own texts, or what is made of the tokens where a template makes the targets.
///
/// # Errors
///
/// Returns an error if the model has no tokenizer and the rows are text.
pub fn rows(
    session: &Session,
    records: &[Record],
    encoded: &Encoded,
    written: &[Written],
    text: &TextArgs,
) -> Result<Vec<Map<String, Value>>> {
    let texts = Texts::of(session, records, text)?;
    let mut rows = Vec::with_capacity(written.len());
    for one in written {
        let record = &records[one.rows[0]];
        let mut fields = Map::new();
        Given { fields: true }.add(record, &mut fields);
        fields.insert("exact_match".into(), json!(one.expected.contains(&one.found)));
        match texts.of_written(records, encoded, one) {
            Some((output, references)) => {
                fields.insert("output".into(), json!(output));
                fields.insert("references".into(), json!(references));
            }
            None => {
                fields.insert("output_ids".into(), json!(one.found));
                fields.insert("reference_ids".into(), json!(one.expected));
            }
        }
        rows.push(fields);
    }
    Ok(rows)
}

/// What was written for each input as a text, with all its references, for metrics of texts.
///
/// # Errors
///
/// [`Error::Data`] at a row of token ids; as [`rows`].
pub fn segments(
    session: &Session,
    records: &[Record],
    encoded: &Encoded,
    written: &[Written],
    text: &TextArgs,
) -> Result<Vec<Segment>> {
    let texts = Texts::of(session, records, text)?;
    let segment = |one: &Written| match texts.of_written(records, encoded, one) {
        Some((output, references)) => {
            // What its tokens do not make is no text.
            let text = Option::unwrap_or_default;
            Ok(Segment::new(text(output), references.into_iter().map(text)))
        }
        None => {
            let record = &records[one.rows[0]];
            Err(record.error("is a row of token ids, and these metrics are of texts"))
        }
    };
    written.iter().map(segment).collect()
}

/// Tokens as texts.
struct Texts<'s> {
    tokens: Option<TokenText<'s>>,
    /// Whether a template makes the targets, which are no texts of the rows then.
    templated: bool,
}

impl<'s> Texts<'s> {
    fn of(session: &'s Session, records: &[Record], text: &TextArgs) -> Result<Self> {
        let templated = session.target_template(text)?.is_some();
        let needs_text = records.iter().any(|record| !record.is_ids());
        let tokenizer = needs_text.then(|| session.dir.tokenizer()).transpose()?;
        Ok(Self { tokens: tokenizer.map(|own| TokenText::new(&own.tokenizer)), templated })
    }

    /// What was written, and its references: as the rows have them, which tokens need not, else of their tokens. `None`
    /// for a row of token ids.
    fn of_written(
        &self,
        records: &[Record],
        encoded: &Encoded,
        one: &Written,
    ) -> Option<(Option<String>, Vec<Option<String>>)> {
        let tokens = self.tokens.filter(|_| !records[one.rows[0]].is_ids())?;
        let text = |ids: &[u32]| NewText::new(tokens, &[], &[]).whole(ids);
        let own =
            one.rows.iter().map(|row| targets(&records[*row], encoded).filter(|_| !self.templated));
        let references = match own.collect::<Option<Vec<_>>>() {
            Some(lists) => lists.concat().into_iter().map(Some).collect(),
            None => one.expected.iter().map(|ids| text(ids)).collect(),
        };
        Some((text(&one.found), references))
    }
}

/// The targets of a row that has them as texts, in a field of their own.
fn targets(record: &Record, rows: &Encoded) -> Option<Vec<String>> {
    if record.is_conversation() {
        return None;
    }
    match record.optional(rows.fields.name(Role::Target))? {
        Value::Array(texts) => {
            texts.iter().map(|text| text.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        }
        Value::String(text) => Some(vec![text.clone()]),
        _ => None,
    }
}

/// The tokens that should follow a row, without special ones.
///
/// # Errors
///
/// [`Error::Data`] at a row without a target.
pub fn targets_of(
    session: &Session,
    rows: &Encoded,
    row: usize,
    config: &GenerateConfig,
) -> Result<Vec<u32>> {
    let special = special_tokens(&session.base, config);
    let example = &rows.examples[row];
    let path = rows.file_of(row).unwrap_or(Path::new(""));
    let (_, target) = split(example, session.model())
        .map_err(|message| Error::data(path, example.line, message))?;
    let end = target.iter().position(|id| config.end_tokens.contains(id)).unwrap_or(target.len());
    Ok(target[..end].iter().copied().filter(|id| !special.contains(id)).collect())
}

/// The tokens that a row is continued from, and those that should follow: its last targets, in a conversation those of
/// the last message.
///
/// # Errors
///
/// Returns what is wrong with the row.
pub fn split<'e>(
    example: &'e Example,
    model: &dyn FrozenModel,
) -> std::result::Result<(&'e [u32], Vec<u32>), &'static str> {
    let Target::Tokens(targets) = &example.target else { return Err("has no target tokens") };
    let known = |target: &i64| *target != IGNORE;
    let end = 1 + targets.iter().rposition(known).ok_or("has no target tokens")?;
    let ids = |targets: &[i64]| -> Vec<u32> {
        targets.iter().filter_map(|target| u32::try_from(*target).ok()).collect()
    };
    if model.spec().is_encoder_decoder() {
        return Ok((&example.input_ids, ids(&targets[..end])));
    }
    let start = targets[..end].iter().rposition(|target| !known(target)).map_or(0, |at| at + 1);
    match &example.input_ids[..start] {
        [] => Err("is a target from its first token on: there is nothing to continue"),
        source => Ok((source, ids(&targets[start..end]))),
    }
}

/// The tokens that mark where a text begins and ends, those that only `generation_config.json` names included.
pub fn special_tokens(base: &Loaded, config: &GenerateConfig) -> Vec<u32> {
    let keys = ["bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id"];
    let of_model = keys.into_iter().flat_map(|key| base.config.token_ids(key));
    of_model.chain(config.end_tokens.iter().copied()).chain(config.decoder_start).collect()
}
