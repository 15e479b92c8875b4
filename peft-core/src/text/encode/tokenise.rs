//! Texts to tokens, many at once.

use tokenizers::{EncodeInput, Encoding, InputSequence, Tokenizer};

use crate::{
    error::Result,
    guard::guarded,
    text::{Record, tokenizer::afterwards},
};

/// The longest text of a row, in bytes. Whatever is kept of it, all of it has to be tokenised, since no token is known
/// before what follows it; that takes a few hundred times as much memory.
const LONGEST_TEXT: usize = 8 << 20;

/// The tokens of one text or pair for each record, in parallel, in order. `input` gives that of a row.
///
/// `words` asks for the word and the place of each token, which makes tokenisation slower.
///
/// # Errors
/// Those of `input`, and [`Error::Data`](crate::Error::Data) naming a row whose text is longer than any should be, or that
/// the tokenizer rejects, or at which it panics, as it does where parts of its file contradict each other.
pub(super) fn tokenise<'t>(
    tokenizer: &Tokenizer,
    records: &[&Record],
    [special_tokens, words]: [bool; 2],
    input: impl Fn(usize) -> Result<EncodeInput<'t>>,
) -> Result<Vec<Encoding>> {
    let checked = |row: usize| {
        let text = input(row)?;
        match bytes(&text) {
            0..=LONGEST_TEXT => Ok(text),
            found => Err(records[row].error(format!(
                "found a text of {found} bytes, expected at most {LONGEST_TEXT}: `max_length` cuts only what was \
                 tokenised, so cut the text, or make several rows of it"
            ))),
        }
    };
    let inputs = (0..records.len()).map(checked).collect::<Result<Vec<_>>>()?;
    let panicked = || tokenizers::Error::from("its file contradicts itself");
    let batch = match words {
        true => guarded(|| tokenizer.encode_batch(inputs, special_tokens), panicked),
        false => guarded(|| tokenizer.encode_batch_fast(inputs, special_tokens), panicked),
    };
    let encodings = batch.or_else(|_| {
        // The batch does not say which of its rows failed, so they are tokenised one by one.
        let one = |row: usize| {
            let text = input(row)?;
            guarded(|| tokenizer.encode(text, special_tokens), panicked)
                .map_err(|error| records[row].error(format!("the tokenizer rejects it: {error}")))
        };
        (0..records.len()).map(one).collect::<Result<Vec<_>>>()
    })?;
    Ok(encodings.into_iter().map(|found| afterwards::settled(tokenizer, found)).collect())
}

/// The length of what is to be tokenised.
fn bytes(input: &EncodeInput<'_>) -> usize {
    let of = |text: &InputSequence<'_>| match text {
        InputSequence::Raw(text) => text.len(),
        InputSequence::PreTokenized(words) => words.iter().map(|word| word.len()).sum(),
        InputSequence::PreTokenizedOwned(words) => words.iter().map(String::len).sum(),
        InputSequence::PreTokenizedCow(words) => words.iter().map(|word| word.len()).sum(),
    };
    match input {
        EncodeInput::Single(text) => of(text),
        EncodeInput::Dual(text, pair) => of(text) + of(pair),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::text::{encode::tests::rows, tokenizer::tests::word_piece};

    #[test]
    fn a_text_that_memory_has_no_space_for_is_refused_by_its_row() {
        let records = rows([json!({"text": "the"}), json!({"text": "the"})]);
        let records: Vec<&Record> = records.iter().collect();
        let of = |long: usize| {
            let input =
                |row: usize| Ok([String::from("the"), "\n".repeat(long)][row].clone().into());
            tokenise(&word_piece(), &records, [true, false], input).map(|found| found.len())
        };
        assert_eq!(of(1 << 16).unwrap(), 2);
        let error = of(LONGEST_TEXT + 1).unwrap_err().to_string();
        assert!(error.starts_with("rows.jsonl, line 2: found a text of 8388609 bytes"), "{error}");
    }
}
