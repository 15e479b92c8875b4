//! The tokens that end a text, decided here for training and generation alike.

use std::path::Path;

use peft_core::{
    Result,
    text::{end_token, has_tokenizer, load_tokenizer},
};
use peft_models::{ModelConfig, generate::EndTokens};
use tokenizers::Tokenizer;

use crate::output;

/// The end tokens of the model folder `dir`, and the one that closes a target.
///
/// `tokenizer` is the folder's, where it is loaded; otherwise it is loaded only if no file of the model names an end
/// token.
///
/// # Errors
///
/// Returns an error naming the file that cannot be used.
pub fn find(
    config: &ModelConfig,
    dir: &Path,
    tokenizer: Option<&Tokenizer>,
) -> Result<(EndTokens, Option<u32>)> {
    let mut tokens = EndTokens::of(config)?;
    let Some((name, file)) = end_token(dir)? else {
        let closing = tokens.closing(None);
        return Ok((tokens, closing));
    };
    let id = match tokenizer {
        Some(tokenizer) => tokenizer.token_to_id(&name),
        None if tokens.is_empty() && has_tokenizer(dir)? => load_tokenizer(dir)?.token_to_id(&name),
        None => None,
    };
    if let Some(id) = id {
        tokens = tokens.or(id, &file);
    }
    let closing = tokens.closing(id);
    Ok((tokens, closing))
}

/// Warns where no file names an end token, and where only one does that transformers' `generate` does not ask.
pub fn note(tokens: &EndTokens, dir: &Path) {
    if tokens.are_expected() {
        return;
    }
    let dir = dir.display();
    let Some(file) = tokens.file() else {
        output::note(format!(
            "warning: {dir} names no token that ends a text: targets are not closed, and generation ends only at \
             --max-new-tokens. Looked for eos_token_id in generation_config.json and config.json, and for eos_token in \
             tokenizer_config.json. Write \"eos_token_id\": ID into generation_config.json"
        ));
        return;
    };
    let name = file.file_name().unwrap_or_default().display().to_string();
    let without = match name.as_str() {
        "config.json" => "generation_config.json names no end token",
        _ => "neither generation_config.json nor config.json names an end token",
    };
    let ids = match tokens.ids() {
        [id] => id.to_string(),
        ids => format!("{ids:?}"),
    };
    output::note(format!(
        "warning: {dir}: {without} (eos_token_id); that of {name} ends texts here, but not in transformers' generate. \
         To have it in both, write \"eos_token_id\": {ids} into generation_config.json"
    ));
}
