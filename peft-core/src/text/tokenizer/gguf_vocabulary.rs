//! The tokens that a GGUF file lists, and what it says about each.

use std::collections::HashMap;

use serde_json::Value as Json;
use tokenizers::{AddedToken, PostProcessorWrapper};

use super::{definition::TokenizerDefinition, parts};
use crate::{
    error::{Error, Result},
    formats::gguf::{Gguf, Value},
};

/// The key of the list of tokens.
pub(super) const TOKENS: &str = "tokenizer.ggml.tokens";

/// The kinds of tokens that stand for no text of their own, and of those that are never divided.
pub(super) const CONTROL: f64 = 3.0;
pub(super) const USER_DEFINED: f64 = 4.0;

/// The keys of special tokens' ids, and the names that templates know them by.
const SPECIAL_TOKENS: [(&str, &str); 8] = [
    ("bos_token", "bos_token_id"),
    ("eos_token", "eos_token_id"),
    ("unk_token", "unknown_token_id"),
    // As llama.cpp writes it, and as it is spelled.
    ("sep_token", "seperator_token_id"),
    ("sep_token", "separator_token_id"),
    ("pad_token", "padding_token_id"),
    ("cls_token", "cls_token_id"),
    ("mask_token", "mask_token_id"),
];

/// The tokens of a file with what it says about each.
pub(super) struct Vocabulary<'a> {
    pub(super) gguf: &'a Gguf,
    pub(super) tokens: &'a [String],
    /// Empty if the file has none.
    kinds: Vec<f64>,
}

impl<'a> Vocabulary<'a> {
    /// Of a file.
    pub(super) fn read(gguf: &'a Gguf) -> Result<Self> {
        let Some(tokens) = gguf.read(TOKENS, "a list of texts", Value::as_texts)? else {
            return Err(gguf.error(TOKENS, "is missing"));
        };
        let mut vocabulary = Self { gguf, tokens, kinds: Vec::new() };
        vocabulary.kinds = vocabulary.numbers("token_type")?.unwrap_or_default();
        Ok(vocabulary)
    }

    fn key(name: &str) -> String {
        format!("tokenizer.ggml.{name}")
    }

    /// A number for each token, if the file has them.
    fn numbers(&self, name: &str) -> Result<Option<Vec<f64>>> {
        let key = Self::key(name);
        match self.gguf.read(&key, "a list of numbers", Value::as_numbers)? {
            Some(numbers) if numbers.len() != self.tokens.len() => {
                let (found, expected) = (numbers.len(), self.tokens.len());
                let message = format!("found {found} of them for {expected} tokens");
                Err(self.gguf.error(&key, message))
            }
            numbers => Ok(numbers),
        }
    }

    /// A setting that is on or off.
    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool> {
        let found = self.gguf.read(&Self::key(name), "true or false", Value::as_bool)?;
        Ok(found.unwrap_or(default))
    }

    /// The text of a special token that the file names.
    pub(super) fn special(&self, name: &str) -> Result<Option<&'a str>> {
        let key = Self::key(name);
        let Some(id) = self.gguf.number(&key)? else { return Ok(None) };
        let token = usize::try_from(id).ok().and_then(|id| self.tokens.get(id));
        match token {
            Some(token) => Ok(Some(token)),
            None => {
                let count = self.tokens.len();
                let message = format!("found {id}, outside the vocabulary of {count}");
                Err(self.gguf.error(&key, message))
            }
        }
    }

    /// The special tokens that the file names.
    pub(super) fn special_tokens(&self) -> Result<Vec<(String, String)>> {
        let mut named = Vec::new();
        for (name, key) in SPECIAL_TOKENS {
            let id = self.gguf.number(&Self::key(key))?.and_then(|id| usize::try_from(id).ok());
            if let Some(token) = id.and_then(|id| self.tokens.get(id)) {
                named.push((name.to_string(), token.clone()));
            }
        }
        Ok(named)
    }

    /// The ids; the last one of a token that occurs twice.
    pub(super) fn ids(&self, spell: impl Fn(&str, f64) -> String) -> HashMap<String, u32> {
        let kinds = self.kinds.iter().copied().chain(std::iter::repeat(1.0));
        let tokens = self.tokens.iter().zip(kinds).zip(0..);
        tokens.map(|((token, kind), id)| (spell(token, kind), id)).collect()
    }

    /// Tokens that are found in a text before it is divided.
    pub(super) fn added(&self) -> Result<Vec<AddedToken>> {
        let mut added: Vec<AddedToken> = Vec::new();
        for (token, kind) in self.tokens.iter().zip(&self.kinds) {
            if [CONTROL, USER_DEFINED].contains(kind) && !token.is_empty() {
                added.push(AddedToken::from(token.as_str(), *kind == CONTROL).normalized(false));
            }
        }
        for name in ["bos_token_id", "eos_token_id", "unknown_token_id", "padding_token_id"] {
            let token = self.special(name)?.filter(|token| !token.is_empty());
            if let Some(token) = token.filter(|token| added.iter().all(|own| own.content != *token))
            {
                added.push(AddedToken::from(token, true).normalized(false));
            }
        }
        Ok(added)
    }

    /// The pairs that are merged, where the file lists them.
    pub(super) fn merges(&self) -> Result<Option<Vec<(String, String)>>> {
        let key = Self::key("merges");
        let Some(merges) = self.gguf.read(&key, "a list of texts", Value::as_texts)? else {
            return Ok(None);
        };
        let pairs = merges.iter().map(|merge| match merge.split(' ').collect::<Vec<_>>()[..] {
            [left, right] => Ok((left.to_string(), right.to_string())),
            _ => {
                let message = format!("found {merge:?}, expected two pieces and a space between");
                Err(self.gguf.error(&key, message))
            }
        });
        pairs.collect::<Result<_>>().map(Some)
    }

    /// Pieces with their scores.
    pub(super) fn scored(&self) -> Result<Vec<(String, f64)>> {
        match self.numbers("scores")? {
            Some(scores) => Ok(self.tokens.iter().cloned().zip(scores).collect()),
            None => Err(self.gguf.error(&Self::key("scores"), "is missing")),
        }
    }

    /// What is added around a text: a token at its beginning, one at its end, if the file says so.
    pub(super) fn begin_and_end(
        &self,
        [begins, ends]: [bool; 2],
    ) -> Result<Option<PostProcessorWrapper>> {
        let begin =
            if self.flag("add_bos_token", begins)? { self.special("bos_token_id")? } else { None };
        let end =
            if self.flag("add_eos_token", ends)? { self.special("eos_token_id")? } else { None };
        self.around([begin, end], begin)
    }

    /// The template of `first A last`, and of pairs `first A last second B last`.
    pub(super) fn around(
        &self,
        [first, last]: [Option<&str>; 2],
        second: Option<&str>,
    ) -> Result<Option<PostProcessorWrapper>> {
        if first.or(last).is_none() {
            return Ok(None);
        }
        fn each(tokens: [Option<&str>; 3], kind: u8) -> impl Iterator<Item = (&str, u8)> {
            tokens.into_iter().flatten().map(move |token| (token, kind))
        }
        let single: Vec<(&str, u8)> = each([first, Some("$A"), last], 0).collect();
        let pair: Vec<(&str, u8)> =
            single.iter().copied().chain(each([second, Some("$B"), last], 1)).collect();
        let id_of = |token: &str| self.tokens.iter().rposition(|own| own == token)?.try_into().ok();
        let template = parts::template(&single, &pair, id_of)
            .map_err(|token| Error::file(self.gguf.path(), lacks(token)))?;
        self.part(template)
    }

    /// A part of a tokenizer, from its JSON.
    pub(super) fn part<T: serde::de::DeserializeOwned>(&self, json: Json) -> Result<Option<T>> {
        TokenizerDefinition::part(json, self.gguf.path()).map(Some)
    }
}

/// What is wrong with a vocabulary that has no such token.
pub(super) fn lacks(token: &str) -> String {
    format!("its vocabulary lacks {token:?}")
}
