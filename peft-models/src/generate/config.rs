//! The settings of generation.

use peft_core::{Error, ModelSpec, Result};

/// The maximum of rows, sequences or beams at once: more is probably a typing error.
const LARGEST: usize = 65_536;

/// How texts are continued: by the likeliest token, unless [`with_sampling`](Self::with_sampling) or
/// [`with_beams`](Self::with_beams) is called.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerateConfig {
    /// The most new tokens of a sequence, its end token included.
    pub max_new_tokens: usize,
    /// The least number of new tokens before an end token [default: 0].
    pub min_new_tokens: usize,
    /// The ids that end a sequence; the one that ended it is part of the output.
    pub end_tokens: Vec<u32>,
    /// The token that the decoder of an encoder-decoder starts from, `decoder_start_token_id`. Not part of the output.
    pub decoder_start: Option<u32>,
    /// The token that must follow a first one that stands alone, such as the start token of a decoder:
    /// `forced_bos_token_id`.
    pub forced_bos: Option<u32>,
    /// The tokens of which one must be the last of `max_new_tokens`: `forced_eos_token_id`.
    pub forced_eos: Vec<u32>,
    /// Divides the positive and multiplies the negative scores of tokens that the sequence has already, including the input
    /// of a decoder-only model [default: 1, no change] (Keskar et al. 2019, arXiv 1909.05858, section 4.1).
    pub repetition_penalty: f32,
    /// How the next token is chosen [default: the likeliest].
    pub strategy: Strategy,
    /// Sequences per row [default: 1]. More than one takes sampling or beams.
    pub num_return_sequences: usize,
    /// Rows that are continued at once [default: 16]. The output does not depend on it.
    pub batch_size: usize,
}

/// How the next token is chosen.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Strategy {
    /// The likeliest.
    #[default]
    Greedy,
    /// One drawn by probability.
    Sampling(Sampling),
    /// That of the likeliest sequence a beam search finds.
    Beams(Beams),
}

/// Settings of sampling.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the scores: below 1, likely tokens become likelier [default: 1].
    pub temperature: f32,
    /// Draws from this many likeliest tokens, including those as likely as the last of them [default: all].
    pub top_k: Option<usize>,
    /// Draws from the fewest likeliest tokens that together have this probability [default: 1, all tokens] (nucleus
    /// sampling, Holtzman et al. 2019, arXiv 1904.09751).
    pub top_p: f32,
    /// The seed of the draws [default: 0]. The output for a row depends on it, the index of the row and the step, not on the
    /// other rows.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 1.0, top_k: None, top_p: 1.0, seed: 0 }
    }
}

/// Settings of beam search.
#[derive(Clone, Debug, PartialEq)]
pub struct Beams {
    /// Sequences kept at each step; 1 is greedy generation.
    pub num_beams: usize,
    /// The score of a finished sequence is its log-probability divided by the number of its new tokens, the end token
    /// included, to this power [default: 1]. Above 0 favours longer sequences, below 0 shorter ones.
    pub length_penalty: f32,
    /// When the search of a row ends.
    pub early_stopping: EarlyStopping,
}

/// When the search of a row ends, once it has as many finished sequences as beams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EarlyStopping {
    /// When no running sequence could beat the worst finished one if it ended now: `false`.
    #[default]
    Heuristic,
    /// At once: `true`.
    Always,
    /// When no running sequence could beat it at any length up to the maximum: `"never"`.
    Never,
}

impl Sampling {
    /// Sets the temperature.
    #[must_use]
    pub fn with_temperature(mut self, temperature: f32) -> Self {
        self.temperature = temperature;
        self
    }

    /// Sets how many of the likeliest tokens are drawn from; `None` for all.
    #[must_use]
    pub fn with_top_k(mut self, top_k: Option<usize>) -> Self {
        self.top_k = top_k;
        self
    }

    /// Sets the probability that the tokens drawn from have together.
    #[must_use]
    pub fn with_top_p(mut self, top_p: f32) -> Self {
        self.top_p = top_p;
        self
    }

    /// Sets the seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

impl Beams {
    /// A search with this many beams.
    pub fn new(num_beams: usize) -> Self {
        Self { num_beams, length_penalty: 1.0, early_stopping: EarlyStopping::Heuristic }
    }

    /// Sets the length penalty.
    #[must_use]
    pub fn with_length_penalty(mut self, length_penalty: f32) -> Self {
        self.length_penalty = length_penalty;
        self
    }

    /// Sets when a row's search ends.
    #[must_use]
    pub fn with_early_stopping(mut self, early_stopping: EarlyStopping) -> Self {
        self.early_stopping = early_stopping;
        self
    }
}

impl GenerateConfig {
    /// Greedy generation of at most this many tokens, without end tokens.
    pub fn new(max_new_tokens: usize) -> Self {
        Self {
            max_new_tokens,
            min_new_tokens: 0,
            end_tokens: Vec::new(),
            decoder_start: None,
            forced_bos: None,
            forced_eos: Vec::new(),
            repetition_penalty: 1.0,
            strategy: Strategy::Greedy,
            num_return_sequences: 1,
            batch_size: 16,
        }
    }

    /// Sets the maximum of new tokens of a sequence.
    #[must_use]
    pub fn with_max_new_tokens(mut self, max_new_tokens: usize) -> Self {
        self.max_new_tokens = max_new_tokens;
        self
    }

    /// Sets the least number of new tokens before an end token.
    #[must_use]
    pub fn with_min_new_tokens(mut self, min_new_tokens: usize) -> Self {
        self.min_new_tokens = min_new_tokens;
        self
    }

    /// Sets the ids that end a sequence.
    #[must_use]
    pub fn with_end_tokens(mut self, end_tokens: Vec<u32>) -> Self {
        self.end_tokens = end_tokens;
        self
    }

    /// Sets the token that the decoder of an encoder-decoder starts from.
    #[must_use]
    pub fn with_decoder_start(mut self, decoder_start: Option<u32>) -> Self {
        self.decoder_start = decoder_start;
        self
    }

    /// Sets the token that must follow a single first one.
    #[must_use]
    pub fn with_forced_bos(mut self, forced_bos: Option<u32>) -> Self {
        self.forced_bos = forced_bos;
        self
    }

    /// Sets the tokens of which one must come last.
    #[must_use]
    pub fn with_forced_eos(mut self, forced_eos: Vec<u32>) -> Self {
        self.forced_eos = forced_eos;
        self
    }

    /// Sets the penalty on tokens that a sequence has already.
    #[must_use]
    pub fn with_repetition_penalty(mut self, repetition_penalty: f32) -> Self {
        self.repetition_penalty = repetition_penalty;
        self
    }

    /// Draws the next token.
    #[must_use]
    pub fn with_sampling(mut self, sampling: Sampling) -> Self {
        self.strategy = Strategy::Sampling(sampling);
        self
    }

    /// Searches with beams.
    #[must_use]
    pub fn with_beams(mut self, beams: Beams) -> Self {
        self.strategy = Strategy::Beams(beams);
        self
    }

    /// Sets the number of sequences per row.
    #[must_use]
    pub fn with_num_return_sequences(mut self, num_return_sequences: usize) -> Self {
        self.num_return_sequences = num_return_sequences;
        self
    }

    /// Sets how many rows are continued at once.
    #[must_use]
    pub fn with_batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the setting.
    pub fn validate(&self) -> Result<()> {
        let bad = |setting: &str, found: &dyn std::fmt::Display, expected: &str| {
            Err(Error::setting(setting, format!("found {found}, expected {expected}")))
        };
        let positive = |value: f32| value > 0.0 && value.is_finite();
        if !positive(self.repetition_penalty) {
            return bad("repetition_penalty", &self.repetition_penalty, "a number above 0");
        }
        if self.min_new_tokens > self.max_new_tokens {
            let expected = format!("at most `max_new_tokens`, {}", self.max_new_tokens);
            return bad("min_new_tokens", &self.min_new_tokens, &expected);
        }
        for (setting, size) in
            [("batch_size", self.batch_size), ("num_return_sequences", self.num_return_sequences)]
        {
            if size == 0 || size > LARGEST {
                return bad(setting, &size, &format!("1 to {LARGEST}"));
            }
        }
        let returned = "num_return_sequences";
        match &self.strategy {
            Strategy::Greedy if self.num_return_sequences > 1 => {
                bad(returned, &self.num_return_sequences, "1 without sampling or beams")
            }
            Strategy::Greedy => Ok(()),
            Strategy::Sampling(sampling) => {
                if !positive(sampling.temperature) {
                    return bad("temperature", &sampling.temperature, "a number above 0");
                }
                if sampling.top_k == Some(0) {
                    return bad("top_k", &0, "at least 1");
                }
                if !(sampling.top_p > 0.0 && sampling.top_p <= 1.0) {
                    return bad("top_p", &sampling.top_p, "a number above 0 and at most 1");
                }
                Ok(())
            }
            Strategy::Beams(beams) => {
                if beams.num_beams == 0 || beams.num_beams > LARGEST {
                    return bad("num_beams", &beams.num_beams, &format!("1 to {LARGEST}"));
                }
                if !beams.length_penalty.is_finite() {
                    return bad("length_penalty", &beams.length_penalty, "a number");
                }
                if self.num_return_sequences > beams.num_beams {
                    let expected = format!("at most `num_beams`, {}", beams.num_beams);
                    return bad(returned, &self.num_return_sequences, &expected);
                }
                Ok(())
            }
        }
    }

    /// The token that the decoder of the model starts from; `None` if the input itself is continued.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] for an encoder-decoder without [`decoder_start`](Self::decoder_start).
    pub(super) fn start(&self, spec: &ModelSpec) -> Result<Option<u32>> {
        match self.decoder_start {
            _ if !spec.is_encoder_decoder() => Ok(None),
            Some(start) if (start as usize) < spec.vocab_size => Ok(Some(start)),
            Some(start) => Err(Error::Mismatch(format!(
                "decoder_start_token_id {start} is outside the vocabulary of {}",
                spec.vocab_size
            ))),
            None => Err(Error::Mismatch(format!(
                "a {} model generates from a decoder_start_token_id, and none is given",
                spec.model_type
            ))),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_named() {
        let base = || GenerateConfig::new(8);
        let sampled = |sampling| base().with_sampling(sampling);
        let sampling = Sampling::default;
        for (config, setting) in [
            (base().with_repetition_penalty(0.0), "repetition_penalty"),
            (base().with_min_new_tokens(9), "min_new_tokens"),
            (base().with_batch_size(0), "batch_size"),
            (base().with_num_return_sequences(0), "num_return_sequences"),
            (base().with_num_return_sequences(2), "num_return_sequences"),
            (sampled(sampling().with_temperature(0.0)), "temperature"),
            (sampled(sampling().with_temperature(-1.0)), "temperature"),
            (sampled(sampling().with_temperature(f32::NAN)), "temperature"),
            (sampled(sampling().with_top_k(Some(0))), "top_k"),
            (sampled(sampling().with_top_p(0.0)), "top_p"),
            (sampled(sampling().with_top_p(1.1)), "top_p"),
            (sampled(sampling().with_top_p(f32::NAN)), "top_p"),
            (base().with_beams(Beams::new(0)), "num_beams"),
            (base().with_beams(Beams::new(2).with_length_penalty(f32::NAN)), "length_penalty"),
            (base().with_beams(Beams::new(2)).with_num_return_sequences(3), "num_return"),
        ] {
            let error = config.validate().unwrap_err();
            assert!(matches!(error, Error::Setting { .. }), "{error}");
            assert!(error.to_string().starts_with(setting), "{error}");
        }
        base().with_beams(Beams::new(3)).with_num_return_sequences(3).validate().unwrap();
        sampled(sampling()).with_num_return_sequences(5).validate().unwrap();
    }
}
