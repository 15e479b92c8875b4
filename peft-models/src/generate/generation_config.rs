//! A model's `generation_config.json`, and what it asks of generation.

use std::path::Path;

use peft_core::{
    Error, Result,
    formats::{gguf::gguf_of, read},
};
use serde_json::Value;

use super::{EarlyStopping, Strategy, config::MOST_NEW_TOKENS};
use crate::{config::ModelConfig, load::Loaded};

/// How transformers' `generate` continues a text where it is told nothing else: by `generation_config.json`, or by
/// `config.json` if there is no such file. `None` stands for what the file does not say.
///
/// The special tokens there are those of [`GenerateConfig::for_model`](super::GenerateConfig::for_model).
#[derive(Clone, Debug)]
pub struct GenerationDefaults {
    file: ModelConfig,
    /// Whether tokens are drawn, as [`temperature`](Self::temperature), [`top_k`](Self::top_k) and [`top_p`](Self::top_p) say.
    pub do_sample: bool,
    /// The number of beams: [`beams`](Self::beams) says more.
    pub num_beams: Option<usize>,
    /// The least new tokens.
    pub min_new_tokens: Option<usize>,
    /// The least tokens, counted as those of [`max_length`](Self::max_length). It gives way to `min_new_tokens`.
    pub min_length: Option<usize>,
    /// What the scores of tokens that occurred are divided by.
    pub repetition_penalty: Option<f32>,
    /// How many tokens in a row come only once.
    pub no_repeat_ngram_size: Option<usize>,
    /// How many tokens in a row are not taken over from the input.
    pub encoder_no_repeat_ngram_size: Option<usize>,
    /// Tokens in a row that never come, `bad_words_ids`.
    pub bad_words: Vec<Vec<u32>>,
    /// Tokens that never come.
    pub suppress_tokens: Vec<u32>,
    /// Tokens that are never the first.
    pub begin_suppress_tokens: Vec<u32>,
}

/// How a model's file searches with beams.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BeamDefaults {
    /// The power of the length that a score is divided by.
    pub length_penalty: Option<f32>,
    /// When a search ends.
    pub early_stopping: Option<EarlyStopping>,
}

/// Keys of tokens that never come, or never first.
const SUPPRESSED: [&str; 2] = ["suppress_tokens", "begin_suppress_tokens"];

/// Settings of transformers that are not known here and change what it generates, with the value that does nothing.
const UNKNOWN: [(&str, f64); 15] = [
    ("guidance_scale", 1.0),
    ("sequence_bias", 0.0),
    ("encoder_repetition_penalty", 1.0),
    ("exponential_decay_length_penalty", 0.0),
    ("watermarking_config", 0.0),
    ("token_healing", 0.0),
    ("stop_strings", 0.0),
    ("max_time", 0.0),
    ("num_return_sequences", 1.0),
    ("num_beam_groups", 1.0),
    ("diversity_penalty", 0.0),
    ("penalty_alpha", 0.0),
    ("dola_layers", 0.0),
    ("constraints", 0.0),
    ("force_words_ids", 0.0),
];

/// The same for settings of sampling.
const UNKNOWN_IN_SAMPLING: [(&str, f64); 5] = [
    ("min_p", 0.0),
    ("top_h", 0.0),
    ("typical_p", 1.0),
    ("epsilon_cutoff", 0.0),
    ("eta_cutoff", 0.0),
];

/// The same for settings of beam search.
const UNKNOWN_IN_SEARCH: [(&str, f64); 1] = [("renormalize_logits", 0.0)];

impl GenerationDefaults {
    /// What the files of a model ask for.
    ///
    /// # Errors
    ///
    /// [`Error::File`] or [`Error::Config`] if a file cannot be parsed, or a value cannot be used.
    pub fn of(loaded: &Loaded) -> Result<Self> {
        let file = beside(&loaded.config)?.unwrap_or_else(|| loaded.config.clone());
        let defaults = Self::read(file)?;
        let vocab_size = loaded.model.spec().vocab_size;
        let outside = |id: &&u32| **id as usize >= vocab_size;
        if let Some(id) = defaults.bad_words.iter().flatten().find(outside) {
            let message = format!(
                "found {id}, outside the vocabulary of {vocab_size}: take its list out, or set the key to null"
            );
            return Err(defaults.error("bad_words_ids", message));
        }
        Ok(defaults)
    }

    fn read(file: ModelConfig) -> Result<Self> {
        for key in SUPPRESSED {
            file.check_whole_ids(key)?;
        }
        Ok(Self {
            do_sample: file.flag("do_sample", false)?,
            num_beams: file.optional_size("num_beams")?,
            min_new_tokens: count(&file, "min_new_tokens")?,
            min_length: count(&file, "min_length")?,
            repetition_penalty: number(&file, "repetition_penalty")?,
            no_repeat_ngram_size: count(&file, "no_repeat_ngram_size")?,
            encoder_no_repeat_ngram_size: count(&file, "encoder_no_repeat_ngram_size")?,
            bad_words: file.token_lists("bad_words_ids")?,
            suppress_tokens: file.token_ids("suppress_tokens"),
            begin_suppress_tokens: file.token_ids("begin_suppress_tokens"),
            file,
        })
    }

    /// The most new tokens; of more than 2^20, which are generated nowhere, 2^20.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if it is no whole number of at least 1.
    pub fn max_new_tokens(&self) -> Result<Option<usize>> {
        self.most("max_new_tokens")
    }

    /// The most tokens, with those read before the first new one; of more than 2^20, 2^20. It gives way to `max_new_tokens`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if it is no whole number of at least 1.
    pub fn max_length(&self) -> Result<Option<usize>> {
        self.most("max_length")
    }

    /// A maximum, at most that of all generation: files have `1e30` for no limit.
    fn most(&self, key: &str) -> Result<Option<usize>> {
        match self.file.get(key).and_then(Value::as_f64) {
            Some(most) if most > MOST_NEW_TOKENS as f64 => Ok(Some(MOST_NEW_TOKENS)),
            _ => self.file.optional_size(key),
        }
    }

    /// The temperature of draws.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if it is no number.
    pub fn temperature(&self) -> Result<Option<f32>> {
        number(&self.file, "temperature")
    }

    /// The number of likeliest tokens to draw from; 0 for all.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if it is no whole number.
    pub fn top_k(&self) -> Result<Option<usize>> {
        self.file.has("top_k").then(|| self.file.count("top_k", 0)).transpose()
    }

    /// The probability that the tokens drawn from have together.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if it is no number.
    pub fn top_p(&self) -> Result<Option<f32>> {
        number(&self.file, "top_p")
    }

    /// What the file names as tokens that end texts or never come, and is the id of none: each key with its numbers.
    pub fn no_tokens(&self) -> Vec<(&'static str, String)> {
        let keys = ["eos_token_id"].into_iter().chain(SUPPRESSED);
        let found = keys.map(|key| {
            let numbers = self.file.no_token_ids(key);
            (key, numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
        });
        found.filter(|(_, numbers)| !numbers.is_empty()).collect()
    }

    /// How beams are searched with, if they are.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if a value is of another kind.
    pub fn beams(&self) -> Result<BeamDefaults> {
        const KEY: &str = "early_stopping";
        let early_stopping = match (self.file.has(KEY), self.file.flag(KEY, false)) {
            (false, _) => None,
            (_, Ok(true)) => Some(EarlyStopping::Always),
            (_, Ok(false)) => Some(EarlyStopping::Heuristic),
            (_, Err(error)) => match self.file.text(KEY, "") {
                Ok("never") => Some(EarlyStopping::Never),
                Ok(other) => {
                    let message = format!("found `{other}`, expected true, false or never");
                    return Err(self.error(KEY, message));
                }
                Err(_) => return Err(error),
            },
        };
        Ok(BeamDefaults { length_penalty: number(&self.file, "length_penalty")?, early_stopping })
    }

    /// The settings of the file that would change what a strategy generates, and are not known here.
    pub fn unknown(&self, strategy: &Strategy) -> Vec<&'static str> {
        let more: &[(&str, f64)] = match strategy {
            Strategy::Greedy => &[],
            Strategy::Sampling(_) => &UNKNOWN_IN_SAMPLING,
            Strategy::Beams(_) => &UNKNOWN_IN_SEARCH,
        };
        let set = UNKNOWN.iter().chain(more).filter(|(key, off)| self.file.is_set(key, *off));
        set.map(|(key, _)| *key).collect()
    }

    /// The name of the file.
    pub fn file_name(&self) -> String {
        let name = self.file.path().file_name().unwrap_or_else(|| self.file.path().as_os_str());
        Path::new(name).display().to_string()
    }

    /// An error about one of its keys.
    pub fn error(&self, key: &str, message: impl Into<String>) -> Error {
        self.file.error(key, message)
    }
}

fn number(file: &ModelConfig, key: &str) -> Result<Option<f32>> {
    file.has(key).then(|| Ok(file.number(key, 0.0)? as f32)).transpose()
}

/// A whole number; one below 0 does nothing, as 0.
fn count(file: &ModelConfig, key: &str) -> Result<Option<usize>> {
    match file.get(key) {
        None => Ok(None),
        Some(value) if value.as_i64().is_some_and(|number| number < 0) => Ok(Some(0)),
        Some(_) => file.count(key, 0).map(Some),
    }
}

/// `generation_config.json` beside `config.json`, if there is one. A GGUF file stands for itself: what is beside it may
/// belong to another model.
pub(super) fn beside(config: &ModelConfig) -> Result<Option<ModelConfig>> {
    if gguf_of(config.path())?.is_some() {
        return Ok(None);
    }
    let path = config.path().with_file_name("generation_config.json");
    match read::json(&path) {
        Ok(fields) => ModelConfig::from_value(fields, &path).map(Some),
        Err(Error::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::generate::{Beams, Sampling};

    fn defaults(fields: Value) -> Result<GenerationDefaults> {
        let path = Path::new("generation_config.json");
        GenerationDefaults::read(ModelConfig::from_value(fields, path).unwrap())
    }

    #[test]
    fn what_is_not_known_is_named_where_it_matters() {
        let fields = json!({
            "guidance_scale": 1.5, "diversity_penalty": 0.0, "min_p": 0.1, "constraints": null, "stop_strings": [],
            "force_words_ids": [[1]], "typical_p": 1.0, "renormalize_logits": true, "num_beam_groups": 1,
            "token_healing": false, "watermarking_config": {}, "use_cache": true,
        });
        let defaults = defaults(fields).unwrap();
        let always = ["guidance_scale", "force_words_ids"];
        assert_eq!(defaults.unknown(&Strategy::Greedy), always);
        let sampled = defaults.unknown(&Strategy::Sampling(Sampling::default()));
        assert_eq!(sampled, [&always[..], &["min_p"]].concat());
        let searched = defaults.unknown(&Strategy::Beams(Beams::new(2)));
        assert_eq!(searched, [&always[..], &["renormalize_logits"]].concat());
    }

    #[test]
    fn beams_end_as_the_file_says() {
        let stops = |value: Value| {
            let beams = defaults(json!({"early_stopping": value})).unwrap().beams();
            beams.map(|beams| beams.early_stopping).map_err(|error| error.to_string())
        };
        assert_eq!(stops(json!(true)), Ok(Some(EarlyStopping::Always)));
        assert_eq!(stops(json!(false)), Ok(Some(EarlyStopping::Heuristic)));
        assert_eq!(stops(json!("never")), Ok(Some(EarlyStopping::Never)));
        assert_eq!(stops(Value::Null), Ok(None));
        for wrong in [json!("later"), json!(3)] {
            let error = stops(wrong).unwrap_err();
            assert!(error.contains("early_stopping") && error.contains("expected true"), "{error}");
        }
    }

    #[test]
    fn only_what_is_used_must_be_right() {
        let greedy = defaults(json!({"top_k": -1, "do_sample": false})).unwrap();
        let error = greedy.top_k().unwrap_err().to_string();
        assert!(error.contains("generation_config.json") && error.contains("top_k"), "{error}");
        for (key, value) in [
            ("do_sample", json!("yes")),
            ("no_repeat_ngram_size", json!(1.5)),
            ("suppress_tokens", json!([1.5])),
            ("bad_words_ids", json!([3])),
            ("bad_words_ids", json!([[]])),
        ] {
            let error = defaults(json!({key: value})).unwrap_err().to_string();
            assert!(error.contains(key), "{key}: {error}");
        }
    }
    #[test]
    fn lengths_are_asked_for_where_they_count() {
        let of = |value: Value| {
            let defaults = defaults(json!({"max_new_tokens": value, "max_length": value})).unwrap();
            let (new, all) = (defaults.max_new_tokens(), defaults.max_length());
            (new.map_err(|error| error.to_string()), all.map_err(|error| error.to_string()))
        };
        assert_eq!(of(Value::Null), (Ok(None), Ok(None)));
        assert_eq!(of(json!(7)), (Ok(Some(7)), Ok(Some(7))));
        // As tokenizers write a length without a limit.
        for beyond in [json!(1e30), json!(u32::MAX), json!(MOST_NEW_TOKENS + 1)] {
            assert_eq!(of(beyond), (Ok(Some(1 << 20)), Ok(Some(1 << 20))));
        }
        for wrong in [json!(0), json!(-1), json!("7")] {
            let (new, all) = of(wrong);
            assert!(new.unwrap_err().contains("max_new_tokens"));
            assert!(all.unwrap_err().contains("max_length"));
        }
    }

    /// As transformers does, which suppresses and compares by id, and asks of sizes whether they are above 0.
    #[test]
    fn numbers_below_zero_do_nothing() {
        let fields = json!({
            "eos_token_id": [2, -1], "suppress_tokens": [-1], "begin_suppress_tokens": [5, 4294967296_u64],
            "no_repeat_ngram_size": -1, "min_length": -1,
        });
        let defaults = defaults(fields).unwrap();
        assert!(defaults.suppress_tokens.is_empty());
        assert_eq!(defaults.begin_suppress_tokens, [5]);
        assert_eq!((defaults.no_repeat_ngram_size, defaults.min_length), (Some(0), Some(0)));
        let left_out = [
            ("eos_token_id", "-1".to_string()),
            ("suppress_tokens", "-1".to_string()),
            ("begin_suppress_tokens", "4294967296".to_string()),
        ];
        assert_eq!(defaults.no_tokens(), left_out);
    }
}
