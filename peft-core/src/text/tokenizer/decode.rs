//! Text without the spaces that `clean_up_tokenization_spaces` takes out.

use std::path::Path;

use serde_json::{Value, json};
use tokenizers::{DecoderWrapper, ModelWrapper, Tokenizer};

use super::{class::Class, definition::TokenizerDefinition, settings::Settings};
use crate::error::{Error, Result};

/// What transformers replaces, in this order.
const SPACES: [(&str, &str); 10] = [
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
];

/// Makes a tokenizer's texts those of transformers' `decode`, where a folder asks for that.
///
/// # Errors
/// [`Error::Config`] for a setting that is not true or false.
pub(super) fn clean_up(
    tokenizer: &mut Tokenizer,
    class: Class,
    settings: &Settings,
    path: &Path,
) -> Result<()> {
    const BY_FORCE: &str =
        "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output";
    let asked = settings.flag("clean_up_tokenization_spaces", false)?;
    // Where a class is in Python, pairs are no reason to leave the spaces.
    let is_pairs = matches!(tokenizer.get_model(), ModelWrapper::BPE(_)) && !class.is_in_python();
    if !asked || is_pairs && !settings.flag(BY_FORCE, false)? {
        return Ok(());
    }
    let first = match tokenizer.get_decoder() {
        Some(decoder) => {
            serde_json::to_value(decoder).map_err(|error| Error::file(path, error.to_string()))?
        }
        // Without a decoder, tokens are joined by spaces; no token begins with this prefix.
        None => json!({"type": "WordPiece", "prefix": "\u{0}\u{0}", "cleanup": false}),
    };
    let replace = |(from, to): (&str, &str)| -> Value {
        json!({"type": "Replace", "pattern": {"String": from}, "content": to})
    };
    let decoders = [first, json!({"type": "Fuse"})].into_iter().chain(SPACES.map(replace));
    let decoders = json!({"type": "Sequence", "decoders": decoders.collect::<Vec<_>>()});
    let decoder: DecoderWrapper = TokenizerDefinition::part(decoders, path)?;
    tokenizer.with_decoder(Some(decoder));
    Ok(())
}
