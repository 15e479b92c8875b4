//! What transformers does to every tokenizer when its parts stand: special tokens that the
//! vocabulary lacks are added, and those in front of a text and behind it are set.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use tokenizers::{AddedToken, Tokenizer};

use super::{
    definition::{TokenizerDefinition, guarded},
    parts,
    settings::{NAMED, Settings},
    token::{Token, TokenSpec},
};
use crate::error::{Error, Result};

/// The special tokens of a tokenizer.
#[derive(Clone, Debug, Default)]
pub(super) struct Specials {
    /// Tokens by their names, in the order in which missing ones are added.
    pub by_name: Vec<(String, Token)>,
    /// Those without a name.
    pub extra: Vec<Token>,
    /// Whether `bos_token` stands in front of a text where no setting says so.
    pub has_bos: bool,
}

impl Specials {
    /// The tokens of the settings, else those of the class.
    pub fn new(settings: &Settings, defaults: &[(&str, Token)], extra: Vec<Token>) -> Self {
        let named = NAMED.iter().filter_map(|&name| {
            let default = || defaults.iter().find(|(own, _)| *own == name).map(|(_, t)| t.clone());
            let token = match settings.named.get(name) {
                Some(given) => given.clone(),
                None => default(),
            };
            Some((name.to_string(), token?))
        });
        let mut by_name: Vec<(String, Token)> = named.collect();
        by_name.extend(settings.own.iter().cloned());
        Self { by_name, extra, has_bos: false }
    }

    /// The text of a named token.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.by_name.iter().find(|(own, _)| own == name).map(|(_, token)| token.content())
    }

    /// The text of a token that the class needs.
    ///
    /// # Errors
    /// [`Error::Config`] at its key, where that is null.
    pub fn require(&self, name: &str, settings: &Settings) -> Result<&str> {
        self.get(name).ok_or_else(|| settings.error(name, "found null, expected a token"))
    }

    /// The texts of all tokens, in the order in which missing ones are added; one may be there twice.
    pub fn contents(&self) -> impl Iterator<Item = &str> {
        self.all().map(Token::content)
    }

    fn all(&self) -> impl Iterator<Item = &Token> {
        self.by_name.iter().map(|(_, token)| token).chain(&self.extra)
    }
}

/// Adds the tokens that the files list, and then special tokens that are not among them.
///
/// # Errors
/// [`Error::File`] for `source` if the library refuses a token.
pub(super) fn add_tokens(
    tokenizer: &mut Tokenizer,
    settings: &Settings,
    specials: &Specials,
    source: &Path,
) -> Result<()> {
    let decoder = tokenizer.get_added_tokens_decoder();
    let mut known: HashSet<String> = decoder.into_values().map(|token| token.content).collect();
    let mut tokens: Vec<Token> = settings.added.values().cloned().map(Token::Full).collect();
    known.extend(settings.added.values().map(|token| token.content.clone()));
    for token in specials.all() {
        if !known.contains(token.content()) && !tokens.contains(token) {
            tokens.push(token.clone());
        }
    }
    let is_named = |content: &str| specials.by_name.iter().any(|(_, t)| t.content() == content);
    let added = tokens.into_iter().map(|token| match token {
        Token::Text(content) => AddedToken::from(content, true),
        Token::Full(spec) => {
            let special = spec.special || is_named(&spec.content);
            TokenSpec { special, ..spec }.added()
        }
    });
    add(tokenizer, added.collect(), source)
}

/// Adds every special token once more, without its properties.
///
/// # Errors
/// As for [`add_tokens`].
pub(super) fn add_specials_again(
    tokenizer: &mut Tokenizer,
    specials: &Specials,
    source: &Path,
) -> Result<()> {
    let tokens = specials.all().map(|token| AddedToken::from(token.content(), true));
    add(tokenizer, tokens.collect(), source)
}

fn add(tokenizer: &mut Tokenizer, tokens: Vec<AddedToken>, source: &Path) -> Result<()> {
    // A damaged normaliser table, which the tokens go through, makes the library panic.
    guarded(source, || tokenizer.add_tokens(tokens).map(drop).map_err(|error| error.to_string()))
}

/// Sets the tokens around a text, and around each of a pair.
///
/// `single` and `pair` hold special tokens, `$A` and `$B`, each with its token type.
///
/// # Errors
/// [`Error::File`] for `source` if a token is not in the vocabulary.
pub(super) fn set_template(
    tokenizer: &mut Tokenizer,
    single: &[(&str, u8)],
    pair: &[(&str, u8)],
    source: &Path,
) -> Result<()> {
    let tokens = single.iter().chain(pair).map(|(token, _)| *token);
    let ids: HashMap<&str, u32> =
        tokens.filter_map(|token| Some((token, tokenizer.token_to_id(token)?))).collect();
    set_template_with(tokenizer, single, pair, |token| ids.get(token).copied(), source)
}

/// As [`set_template`], with other ids.
pub(super) fn set_template_with(
    tokenizer: &mut Tokenizer,
    single: &[(&str, u8)],
    pair: &[(&str, u8)],
    id_of: impl Fn(&str) -> Option<u32>,
    source: &Path,
) -> Result<()> {
    let template = parts::template(single, pair, id_of).map_err(|token| {
        Error::file(source, format!("the vocabulary lacks the special token {token:?}"))
    })?;
    let processor: tokenizers::PostProcessorWrapper = TokenizerDefinition::part(template, source)?;
    tokenizer.with_post_processor(Some(processor));
    Ok(())
}

/// Sets `bos_token` in front of a text and `eos_token` behind it, as far as each is asked for and
/// there is one.
///
/// # Errors
/// As for [`set_template`].
pub(super) fn set_bos_and_eos(
    tokenizer: &mut Tokenizer,
    settings: &Settings,
    specials: &Specials,
    source: &Path,
    is_json: bool,
) -> Result<()> {
    // Beside a `tokenizer.json` these settings count for nothing; null is false.
    let asked = |key, default| match settings.value(key).filter(|_| !is_json) {
        None => Ok(default),
        Some(_) => settings.flag(key, false),
    };
    let begins = asked("add_bos_token", specials.has_bos)?;
    let bos = if begins { specials.get("bos_token") } else { None };
    let eos = if asked("add_eos_token", false)? { specials.get("eos_token") } else { None };
    let around = |text, type_id| {
        let tokens = [bos, Some(text), eos].into_iter().flatten();
        tokens.map(move |token| (token, type_id)).collect::<Vec<_>>()
    };
    let single = around("$A", 0);
    let pair = [around("$A", 0), around("$B", 1)].concat();
    set_template(tokenizer, &single, &pair, source)
}
