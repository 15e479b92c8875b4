//! The settings of generation.

use peft_core::{Error, ModelSpec, Result};

use super::strategy::{Beams, Sampling, Strategy};

/// The maximum of rows, sequences or beams at once: more is probably a typing error.
const LARGEST: usize = 65_536;

/// The most new tokens of a sequence, where positions are not limited.
pub(super) const MOST_NEW_TOKENS: usize = 1 << 20;

/// Batches whose rows are sorted by length together. More of them save padding, and leave more to be lost by whoever
/// writes rows in order.
const BATCHES_TOGETHER: usize = 8;

/// How texts are continued: by the likeliest token, unless [`with_sampling`](Self::with_sampling) or
/// [`with_beams`](Self::with_beams) is called.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerateConfig {
    /// The most new tokens of a sequence, its end token included.
    pub max_new_tokens: usize,
    /// The most tokens of a sequence with those read before the first new one, `max_length` of transformers: the input
    /// of a decoder-only model, or the start token of a decoder [default: no limit]. With it, `max_new_tokens` is also
    /// reduced to what the model's positions leave.
    pub max_total_tokens: Option<usize>,
    /// The least number of new tokens before an end token [default: 0].
    pub min_new_tokens: usize,
    /// The least number of tokens before an end token, counted as those of `max_total_tokens`: `min_length` of
    /// transformers
    /// [default: 0].
    pub min_total_tokens: usize,
    /// The ids that end a sequence; the one that ended it is part of the output.
    pub end_tokens: Vec<u32>,
    /// The token that the decoder of an encoder-decoder starts from, `decoder_start_token_id`. Not part of the output.
    pub decoder_start: Option<u32>,
    /// The token that must follow a first one that stands alone, such as the start token of a decoder:
    /// `forced_bos_token_id`.
    pub forced_bos: Option<u32>,
    /// The tokens of which one must be the last of `max_new_tokens`: `forced_eos_token_id`.
    pub forced_eos: Vec<u32>,
    /// Divides the positive and multiplies the negative scores of tokens that the sequence has already, including the
    /// input of a decoder-only model [default: 1, no change] (Keskar et al. 2019, arXiv 1909.05858, section 4.1).
    pub repetition_penalty: f32,
    /// As many tokens in a row as this come only once in a sequence, including the input of a decoder-only model
    /// [default: 0, no limit] (Paulus et al. 2017, arXiv 1705.04304, section 2.5).
    pub no_repeat_ngram_size: usize,
    /// As many tokens in a row as this are not taken over from the input, an encoder's included [default: 0, no limit].
    pub encoder_no_repeat_ngram_size: usize,
    /// Tokens in a row that never come, `bad_words_ids` [default: none]. An end token that stands alone may come.
    pub bad_words: Vec<Vec<u32>>,
    /// Tokens that never come [default: none].
    pub suppress_tokens: Vec<u32>,
    /// Tokens that are never the first, or behind a forced first one the second [default: none].
    pub begin_suppress_tokens: Vec<u32>,
    /// How the next token is chosen [default: the likeliest].
    pub strategy: Strategy,
    /// Sequences per row [default: 1]. More than one takes sampling or beams.
    pub num_return_sequences: usize,
    /// Rows that are continued at once [default: 16]. The output does not depend on it.
    pub batch_size: usize,
    /// The number of the first row, of rows that are a part of others [default: 0]: draws depend on the number of a row.
    pub first_row: usize,
}

impl GenerateConfig {
    /// Greedy generation of at most this many tokens, without end tokens.
    pub fn new(max_new_tokens: usize) -> Self {
        Self {
            max_new_tokens,
            max_total_tokens: None,
            min_new_tokens: 0,
            min_total_tokens: 0,
            end_tokens: Vec::new(),
            decoder_start: None,
            forced_bos: None,
            forced_eos: Vec::new(),
            repetition_penalty: 1.0,
            no_repeat_ngram_size: 0,
            encoder_no_repeat_ngram_size: 0,
            bad_words: Vec::new(),
            suppress_tokens: Vec::new(),
            begin_suppress_tokens: Vec::new(),
            strategy: Strategy::Greedy,
            num_return_sequences: 1,
            batch_size: 16,
            first_row: 0,
        }
    }

    /// Sets the maximum of new tokens of a sequence.
    #[must_use]
    pub fn with_max_new_tokens(mut self, max_new_tokens: usize) -> Self {
        self.max_new_tokens = max_new_tokens;
        self
    }

    /// Sets the maximum of tokens with those read before the first new one; `None` for none.
    #[must_use]
    pub fn with_max_total_tokens(mut self, max_total_tokens: Option<usize>) -> Self {
        self.max_total_tokens = max_total_tokens;
        self
    }

    /// Sets the least number of new tokens before an end token.
    #[must_use]
    pub fn with_min_new_tokens(mut self, min_new_tokens: usize) -> Self {
        self.min_new_tokens = min_new_tokens;
        self
    }

    /// Sets the least number of tokens before an end token, those read before the first new one included.
    #[must_use]
    pub fn with_min_total_tokens(mut self, min_total_tokens: usize) -> Self {
        self.min_total_tokens = min_total_tokens;
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

    /// Sets how many tokens in a row come only once; 0 for no limit.
    #[must_use]
    pub fn with_no_repeat_ngram_size(mut self, size: usize) -> Self {
        self.no_repeat_ngram_size = size;
        self
    }

    /// Sets how many tokens in a row are not taken over from the input; 0 for no limit.
    #[must_use]
    pub fn with_encoder_no_repeat_ngram_size(mut self, size: usize) -> Self {
        self.encoder_no_repeat_ngram_size = size;
        self
    }

    /// Sets the tokens in a row that never come.
    #[must_use]
    pub fn with_bad_words(mut self, bad_words: Vec<Vec<u32>>) -> Self {
        self.bad_words = bad_words;
        self
    }

    /// Sets the tokens that never come.
    #[must_use]
    pub fn with_suppress_tokens(mut self, ids: Vec<u32>) -> Self {
        self.suppress_tokens = ids;
        self
    }

    /// Sets the tokens that are never the first.
    #[must_use]
    pub fn with_begin_suppress_tokens(mut self, ids: Vec<u32>) -> Self {
        self.begin_suppress_tokens = ids;
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

    /// Sets the number of the first row.
    #[must_use]
    pub fn with_first_row(mut self, first_row: usize) -> Self {
        self.first_row = first_row;
        self
    }

    /// How many neighbouring rows share batches among themselves. A part of the rows that begins at a multiple of that
    /// number, and ends at one or with the last row, is continued as all of them together would be, to the last bit.
    pub fn rows_together(&self) -> usize {
        self.batch_size.saturating_mul(BATCHES_TOGETHER)
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
