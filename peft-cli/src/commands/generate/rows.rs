//! Continues the rows of a file, and writes each once it and those in front of it are done.

use std::ops::ControlFlow;

use peft_core::{data::Example, text::Record};
use peft_models::generate::{GenerateConfig, Generated, Watcher};
use serde_json::{Map, Value, json};

use super::{GenerateArgs, left_behind, run_generate};
use crate::{
    decoding::note_fewer,
    error::{CliError, CliResult},
    predictions::{Format, Given},
    row_output::RowOutput,
    screen::rows::RowsDone,
    session::Session,
    shard::{Block, RunSum, Taken},
    signals::{AT_NEXT_TOKEN, Signals},
    text_stream::NewText,
    token_text::TokenText,
};

/// Continues the rows of a file: one line per row, written once the row and those in front of it are done.
pub(super) fn continue_file(
    session: &Session,
    args: &GenerateArgs,
    (taken, format): (&Taken, Format),
    config: &GenerateConfig,
) -> CliResult {
    let (records, encoded) = session.read_and_encode(&args.input, &args.text, &args.asked)?;
    // Where the total is limited, there are as many new tokens as fit.
    let new_tokens = config.max_total_tokens.map_or(config.max_new_tokens, |_| 1);
    session.check_lengths(&encoded, new_tokens)?;
    let longest = encoded.examples.iter().map(|row| row.input_ids.len()).max();
    note_fewer(&args.decoding, &session.base, left_behind(session, longest.unwrap_or_default()))?;
    let is_text = |record: &Record| !record.is_ids();
    let stops = &args.decoding.stop;
    let needs_text = !stops.is_empty() || records.iter().any(is_text);
    let tokenizer = needs_text.then(|| session.dir.tokenizer()).transpose()?;
    let tokens = tokenizer.map(|own| TokenText::new(&own.tokenizer));
    let texts: Option<Vec<NewText<'_>>> = tokens.map(|tokens| {
        let rows = encoded.examples.iter().zip(&encoded.goes_on);
        rows.map(|(row, goes_on)| {
            let before = if *goes_on { row.input_ids.as_slice() } else { &[] };
            NewText::new(tokens, before, stops)
        })
        .collect()
    });
    let line = |row: usize, sequences: &[Generated]| {
        let record = &records[row];
        let mut fields = Map::new();
        Given { fields: !args.omit_input }.add(record, &mut fields);
        if args.ids || !is_text(record) {
            let ids = sequences.iter().map(|sequence| json!(sequence.ids)).collect();
            fields.insert("output_ids".into(), list(ids, config));
        }
        if let Some(text) = texts.as_ref().map(|texts| &texts[row]).filter(|_| is_text(record)) {
            let cut = |sequence: &Generated| {
                let text = text.cut(&sequence.ids);
                let text = text.ok_or_else(|| record.error("the output is not text"))?;
                Ok(json!(text))
            };
            let texts = sequences.iter().map(cut).collect::<peft_core::Result<Vec<Value>>>()?;
            fields.insert("output".into(), list(texts, config));
        }
        Ok(fields)
    };
    let cut = taken.cut(records.len(), || {
        let sum = RunSum::of("generate", &args.model, args.batch_size);
        let sum = sum.sessions(std::slice::from_ref(session));
        let sum = sum.rows(&encoded.examples).records(&records);
        sum.settings(&(config, stops, args.ids, args.omit_input)).finish()
    });
    let size = config.rows_together();
    cut.block().note_together(size, Some("a smaller --batch-size"));
    // Its batches are those of all rows.
    let computed = cut.block().together(size);
    let config = config.clone().with_first_row(computed.start);
    let output = RowOutput::open(taken.output.as_deref(), &cut)?;
    let signals = Signals::follow(AT_NEXT_TOKEN);
    let output = output.with_signals(&signals).with_format(format);
    let (block, first) = (cut.block().clone(), computed.start);
    let lines = Lines { line: &line, block, first, output, written: Ok(()), signals };
    let texts = texts.as_ref().map(|texts| &texts[computed.clone()]);
    continue_rows(session, &encoded.examples[computed], &config, texts, lines)
}

/// A row's sequences as they are written: a list if several were asked for.
fn list(values: Vec<Value>, config: &GenerateConfig) -> Value {
    if config.num_return_sequences > 1 {
        return values.into();
    }
    values.into_iter().next().unwrap_or_default()
}

/// Ends sequences at stop texts, and counts finished rows.
pub(super) struct Rows<'a> {
    /// The text of each row.
    pub(super) texts: Option<&'a [NewText<'a>]>,
    pub(super) done: RowsDone,
    /// Where finished rows go.
    pub(super) lines: Option<Lines<'a>>,
}

/// The fields that are written of a row.
type Fields = peft_core::Result<Map<String, Value>>;

/// The lines of finished rows.
pub(super) struct Lines<'a> {
    /// That of a row.
    line: &'a dyn Fn(usize, &[Generated]) -> Fields,
    /// The rows that are written.
    block: Block,
    /// The first row that is continued.
    first: usize,
    output: RowOutput,
    written: CliResult,
    signals: Signals,
}

impl Watcher for Rows<'_> {
    fn ends(&mut self, row: usize, new_tokens: &[u32]) -> bool {
        // Sequences that a signal ends are never written.
        self.lines.as_ref().is_some_and(|lines| lines.signals.came())
            || self.texts.is_some_and(|texts| texts[row].stops(new_tokens))
    }

    fn row_done(&mut self, _: usize) {
        self.done.add_one();
    }

    fn made(&mut self, row: usize, sequences: &[Generated]) -> ControlFlow<()> {
        let Some(lines) = &mut self.lines else { return ControlFlow::Continue(()) };
        lines.signals.flow()?;
        let row = lines.first + row;
        if !lines.block.contains(row) {
            return ControlFlow::Continue(());
        }
        let line = (lines.line)(row, sequences).map_err(CliError::from);
        let place = row - lines.block.rows.start;
        lines.written = line.and_then(|line| lines.output.put(place, line));
        match lines.written {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

/// Continues rows of token ids, tells how many are done, and writes their lines. Sequences also end at the stops of their
/// `texts`.
fn continue_rows(
    session: &Session,
    examples: &[Example],
    config: &GenerateConfig,
    texts: Option<&[NewText<'_>]>,
    lines: Lines<'_>,
) -> CliResult {
    let rows: Vec<&[u32]> = examples.iter().map(|row| row.input_ids.as_slice()).collect();
    let done = RowsDone::new("generate", rows.len(), &lines.signals.bars());
    let mut watcher = Rows { texts, done, lines: Some(lines) };
    let made = run_generate(session, &rows, config, &mut watcher);
    let Rows { lines, done, .. } = watcher;
    // The bar gives way to what is written.
    drop(done);
    match lines {
        Some(Lines { output, written, .. }) => {
            let made = made.map_err(CliError::from).and(written);
            output.end(made.and_then(|()| Ok(session.check_base_sum()?)))
        }
        None => Ok(()),
    }
}
