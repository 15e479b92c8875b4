//! What classes that transformers has in Python only have in common: how they give ids to added tokens.
//!
//! They keep the ids of the files, where the library counts on from the vocabulary; and they read no other property of a
//! token than whether white space beside it goes.

use std::collections::{BTreeMap, HashMap, HashSet};

use tokenizers::AddedToken;

use super::{finish::Specials, settings::Settings, token::TokenSpec};
use crate::error::Result;

/// The white space of Python, as it stands in a class of an expression.
pub(super) const SPACES: &str = r"\s\x1C-\x1F";

/// Whether Python takes a character for white space.
pub(super) fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

/// The tokens that such a class adds to a vocabulary, by their ids: its `own`, those of the files, and special ones that
/// neither has, behind `size` words. `known` is the id of a word of the vocabulary.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) at a setting or a token that the library has no equal of.
pub(super) fn added_tokens(
    settings: &Settings,
    specials: &Specials,
    own: Vec<(u32, TokenSpec)>,
    size: usize,
    known: impl Fn(&str) -> Option<u32>,
) -> Result<BTreeMap<u32, TokenSpec>> {
    const LISTED: &str = "added_tokens_decoder";
    if settings.flag("split_special_tokens", false)? {
        let message = "found true, which is not supported for this class; give rows of token ids (`input_ids`)";
        return Err(settings.error("split_special_tokens", message));
    }
    let mut tokens: BTreeMap<u32, TokenSpec> = own.into_iter().collect();
    tokens.extend(settings.added.iter().map(|(id, token)| (*id, token.clone())));
    let mut ids: HashMap<String, u32> = HashMap::new();
    for (id, token) in &tokens {
        if token.single_word {
            let message = format!(
                "{:?} has `single_word`, whose words are others in this class than in the library; set it to false",
                token.content
            );
            return Err(settings.error(LISTED, message));
        }
        if let Some(other) = ids.insert(token.content.clone(), *id) {
            let message = format!("{:?} has two ids, {other} and {id}", token.content);
            return Err(settings.error(LISTED, message));
        }
    }
    let mut next = size + ids.keys().filter(|content| known(content).is_none()).count();
    for content in specials.contents().filter(|content| !content.is_empty()) {
        if ids.contains_key(content) {
            continue;
        }
        let id = known(content).unwrap_or_else(|| {
            next += 1;
            next as u32 - 1
        });
        ids.insert(content.to_string(), id);
        let token = TokenSpec { normalized: Some(false), ..TokenSpec::special(content) };
        if let Some(other) = tokens.insert(id, token) {
            let message = format!(
                "transformers gives the id {id} to {content:?}, which the files give to {:?}: name both in \
                 `{LISTED}`, each with an id of its own",
                other.content
            );
            return Err(settings.error(LISTED, message));
        }
    }
    let special: HashSet<&str> = specials.contents().collect();
    for token in tokens.values_mut() {
        token.special = special.contains(token.content.as_str());
    }
    Ok(tokens)
}

/// The tokens for the library, which finds them all in one pass, as Python does.
pub(super) fn for_library(tokens: &BTreeMap<u32, TokenSpec>) -> Vec<AddedToken> {
    tokens.values().map(|token| token.added().normalized(true)).collect()
}
