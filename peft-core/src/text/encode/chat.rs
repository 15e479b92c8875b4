//! Conversations: rendered by the model's chat template, with the assistant's part to learn.

use std::{num::NonZero, ops::Range, thread};

use tokenizers::{EncodeInput, Encoding};

use super::{Cut, Encoder, check};
use crate::{
    data::example::{Example, IGNORE, Target},
    error::{Error, Result},
    text::{
        chat::{self, ChatSource, Conversation},
        record::Record,
    },
};

/// The stack that a template may use. It may make a list of a list of a list, as deep as its steps allow, which is
/// dropped level by level: twice what the deepest needs. Only what is used takes memory.
const STACK: usize = 256 << 20;
/// Threads at most.
const MOST_THREADS: usize = 16;

/// A rendered conversation: its text, and what is learnt of it, in bytes.
type Text = (String, Vec<Range<usize>>);

/// Returns the examples of rows with `messages` or `conversations`.
pub(super) fn examples(encoder: &Encoder, records: &[&Record]) -> Result<Vec<Cut>> {
    let Some(first) = records.first() else { return Ok(Vec::new()) };
    let source = encoder.config.chat.as_deref().ok_or_else(|| {
        first.error("found a conversation, expected no such row without a chat template")
    })?;
    let texts = render_all(source, records, encoder.config.targets)?;
    let encodings = tokenize(encoder, records, &texts)?;
    let rows = records.iter().zip(&texts).zip(&encodings);
    rows.map(|((record, (_, spans)), encoding)| example(encoder, record, spans, encoding)).collect()
}

/// Renders conversations on all cores.
fn render_all(source: &ChatSource, records: &[&Record], targets: bool) -> Result<Vec<Text>> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
    let share = records.len().div_ceil(threads).max(1);
    thread::scope(|scope| {
        let mut parts = Vec::new();
        for records in records.chunks(share) {
            let render = move || {
                let one = |record: &&Record| render(source, record, targets);
                records.iter().map(one).collect::<Result<Vec<Text>>>()
            };
            let spawned = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, render);
            parts.push(spawned.map_err(|error| Error::Mismatch(format!("no thread: {error}")))?);
        }
        let mut texts = Vec::with_capacity(records.len());
        for part in parts {
            // A panic is a fault of the program, and stays one.
            texts.extend(part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(texts)
    })
}

fn render(source: &ChatSource, record: &Record, targets: bool) -> Result<Text> {
    let conversation = Conversation::of(record)?;
    let rendered = match targets {
        true => chat::learnt(source, &conversation).map(|learnt| (learnt.text, learnt.spans)),
        false => chat::continued(source, &conversation).map(|text| (text, Vec::new())),
    };
    rendered.map_err(|message| record.error(message))
}

/// Tokenises without special tokens: the template has written them.
fn tokenize(encoder: &Encoder, records: &[&Record], texts: &[Text]) -> Result<Vec<Encoding>> {
    let Some(tokenizer) = &encoder.tokenizer else { return Err(encoder.no_tokenizer(records[0])) };
    let inputs = || texts.iter().map(|(text, _)| EncodeInput::from(text.as_str()));
    tokenizer.encode_batch(inputs().collect(), false).or_else(|_| {
        // The batch does not say which of its rows failed, so they are tokenised one by one.
        let one = |(input, record): (EncodeInput<'_>, &&Record)| {
            let encoding = tokenizer.encode(input, false);
            encoding.map_err(|error| record.error(format!("the tokenizer rejects it: {error}")))
        };
        inputs().zip(records).map(one).collect()
    })
}

fn example(
    encoder: &Encoder,
    record: &Record,
    spans: &[Range<usize>],
    encoding: &Encoding,
) -> Result<Cut> {
    let ids = encoding.get_ids();
    let length = encoder.config.max_length.unwrap_or(ids.len()).min(ids.len());
    let (kept, target) = match encoder.config.targets {
        // What the assistant says depends on what came before it, so that is what is kept.
        true => (0..length, Target::Tokens(targets(ids, encoding.get_offsets(), spans))),
        false => (ids.len() - length..ids.len(), Target::None),
    };
    let cut = kept.len() < ids.len();
    let target = match target {
        Target::Tokens(targets) => Target::Tokens(targets[kept.clone()].to_vec()),
        other => other,
    };
    let example = Example::new(ids[kept].to_vec(), target, record.line);
    Ok((check(&encoder.config, record, example)?, cut))
}

/// The targets of a row: the tokens that write anything of `spans`, and those between them.
fn targets(ids: &[u32], offsets: &[(usize, usize)], spans: &[Range<usize>]) -> Vec<i64> {
    let mut targets = vec![IGNORE; ids.len()];
    for span in spans {
        let written = |&(start, end): &(usize, usize)| match start == end {
            // Byte-level tokenizers leave blanks out of their offsets, so a lone blank has none before its end.
            true => span.start < end && end <= span.end,
            false => start < span.end && span.start < end,
        };
        let first = offsets.iter().position(written);
        let last = offsets.iter().rposition(written);
        if let (Some(first), Some(last)) = (first, last) {
            for i in first..=last {
                targets[i] = i64::from(ids[i]);
            }
        }
    }
    targets
}
