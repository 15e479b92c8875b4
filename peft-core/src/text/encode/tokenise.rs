//! Texts to tokens, many at once.

use tokenizers::{EncodeInput, Encoding, Tokenizer};

use crate::{
    error::Result,
    text::{Record, guard::guarded},
};

/// The tokens of one text or pair for each record, in parallel, in order. `input` gives that of a row.
///
/// `words` asks for the word and the place of each token, which makes tokenisation slower.
///
/// # Errors
/// Those of `input`, and [`Error::Data`](crate::Error::Data) naming a row that the tokenizer rejects, or at which it
/// panics, as it does where parts of its file contradict each other.
pub(super) fn tokenise<'t>(
    tokenizer: &Tokenizer,
    records: &[&Record],
    [special_tokens, words]: [bool; 2],
    input: impl Fn(usize) -> Result<EncodeInput<'t>>,
) -> Result<Vec<Encoding>> {
    let inputs = (0..records.len()).map(&input).collect::<Result<Vec<_>>>()?;
    let panicked = || tokenizers::Error::from("its file contradicts itself");
    let batch = match words {
        true => guarded(|| tokenizer.encode_batch(inputs, special_tokens), panicked),
        false => guarded(|| tokenizer.encode_batch_fast(inputs, special_tokens), panicked),
    };
    batch.or_else(|_| {
        // The batch does not say which of its rows failed, so they are tokenised one by one.
        let one = |row: usize| {
            let text = input(row)?;
            guarded(|| tokenizer.encode(text, special_tokens), panicked)
                .map_err(|error| records[row].error(format!("the tokenizer rejects it: {error}")))
        };
        (0..records.len()).map(one).collect()
    })
}
