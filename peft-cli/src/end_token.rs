//! The tokens that end a text, decided here for training and generation alike.

use peft_core::{
    Result,
    text::{end_token, has_tokenizer},
};
use peft_models::{Loaded, generate::EndTokens};

use crate::{model_dir::ModelDir, output};

/// The end tokens of a base model. Its tokenizer is loaded only if no other file of the model names one.
///
/// # Errors
///
/// Returns an error naming the file that cannot be used.
pub fn find(base: &Loaded, dir: &ModelDir) -> Result<EndTokens> {
    let tokens = EndTokens::of(&base.config)?;
    if !tokens.is_empty() || !has_tokenizer(dir.path())? {
        return Ok(tokens);
    }
    let file = end_token(dir.path())?.map(|(_, file)| file);
    let tokenizer = match dir.tokenizer() {
        Ok(tokenizer) => tokenizer,
        // It cannot be used, and names nothing: there may be rows of token ids alone.
        Err(_) if file.is_none() => return Ok(tokens),
        Err(error) => return Err(error),
    };
    // A class adds its default to a vocabulary without it, and the model has no such token.
    let is_known = |id: &u32| file.is_some() || (*id as usize) < base.model.spec().vocab_size;
    Ok(match tokenizer.end_id().filter(is_known) {
        Some(id) => tokens.or(id, file.as_deref()),
        None => tokens,
    })
}

/// Warns where no file names an end token, and where only one does that transformers' `generate` does not ask.
pub fn note(tokens: &EndTokens, dir: &ModelDir) {
    if tokens.are_expected() {
        return;
    }
    let ids = match tokens.ids() {
        [id] => id.to_string(),
        ids => format!("{ids:?}"),
    };
    let shown = dir.path().display();
    let Some(file) = tokens.file() else {
        let class = dir.tokenizer().map_or("", |tokenizer| tokenizer.class);
        output::note(match tokens.is_empty() {
            true => format!(
                "warning: {shown} names no token that ends a text: targets are not closed, and generation ends only at \
                 --max-new-tokens. Looked for eos_token_id in generation_config.json and config.json, and for eos_token in \
                 tokenizer_config.json. Write \"eos_token_id\": ID into generation_config.json"
            ),
            false => format!(
                "warning: {shown} names no token that ends a text: {ids} does here, the default of {class}. To have it in \
                 transformers' generate too, write \"eos_token_id\": {ids} into generation_config.json"
            ),
        });
        return;
    };
    let name = file.file_name().unwrap_or_default().display().to_string();
    let without = match name.as_str() {
        "config.json" => "generation_config.json names no end token",
        _ => "neither generation_config.json nor config.json names an end token",
    };
    output::note(format!(
        "warning: {shown}: {without} (eos_token_id); that of {name} ends texts here, but not in transformers' generate. \
         To have it in both, write \"eos_token_id\": {ids} into generation_config.json"
    ));
}
