//! The flags of generation, and the settings they stand for.

use std::path::Path;

use clap::{Args, ValueEnum};
use peft_core::{Error, Result};
use peft_models::{
    Loaded,
    generate::{Beams, EarlyStopping, GenerateConfig, Sampling},
};

use crate::{end_token, flags::help::FlagHelp};

/// Flags that say how text is continued.
#[derive(Args, Clone, Debug)]
pub struct DecodingArgs {
    /// Largest number of new tokens.
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub max_new_tokens: usize,
    /// New tokens before the text may end.
    #[arg(long, value_name = "N", default_value_t = defaults().min_new_tokens)]
    pub min_new_tokens: usize,
    /// End the text where TEXT appears in it; may be given several times. `output` is cut before it, `output_ids`
    /// includes its tokens.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub stop: Vec<String>,
    /// Make tokens that have occurred less likely, with X above 1.
    #[arg(
        long,
        value_name = "X",
        allow_negative_numbers = true,
        show_default = format!("{}, no penalty", defaults().repetition_penalty)
    )]
    pub repetition_penalty: Option<f32>,
    /// Texts per row, with sampling or beam search.
    #[arg(long, value_name = "N", default_value_t = defaults().num_return_sequences)]
    pub num_return_sequences: usize,
    /// Sample with this temperature: below 1 likely tokens become likelier, 1 is the model's own distribution.
    #[arg(
        long,
        value_name = "X",
        allow_negative_numbers = true,
        help_heading = "Sampling (with any of these)"
    )]
    pub temperature: Option<f32>,
    /// Sample from the K likeliest tokens.
    #[arg(long, value_name = "K", help_heading = "Sampling (with any of these)")]
    pub top_k: Option<usize>,
    /// Sample from the smallest set of likeliest tokens whose probabilities add up to P.
    #[arg(
        long,
        value_name = "P",
        allow_negative_numbers = true,
        help_heading = "Sampling (with any of these)"
    )]
    pub top_p: Option<f32>,
    /// Seed of the sampling.
    #[arg(
        long,
        value_name = "N",
        help_heading = "Sampling (with any of these)",
        show_default = Sampling::default().seed
    )]
    pub seed: Option<u64>,
    /// Search with B beams.
    #[arg(long, value_name = "B", help_heading = "Beam search", show_default = "1, no search")]
    pub num_beams: Option<usize>,
    /// Favour longer texts above 0, shorter ones below.
    #[arg(
        long,
        value_name = "X",
        allow_negative_numbers = true,
        help_heading = "Beam search",
        show_default = Beams::new(1).length_penalty
    )]
    pub length_penalty: Option<f32>,
    /// When to end a search that has B finished texts: at once (true), when no unfinished one could be better
    /// if it ended now (false), or at any length (never).
    #[arg(
        long,
        value_enum,
        num_args = 0..=1,
        default_missing_value = "true",
        value_name = "WHEN",
        help_heading = "Beam search",
        show_default = "false"
    )]
    pub early_stopping: Option<EarlyStoppingName>,
}

/// The value of `--early-stopping`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EarlyStoppingName {
    /// When no unfinished text could be better if it ended now.
    False,
    /// At once.
    True,
    /// When no unfinished text could be better at any length.
    Never,
}

/// The defaults of generation; the length is always given.
fn defaults() -> GenerateConfig {
    GenerateConfig::new(1)
}

impl From<EarlyStoppingName> for EarlyStopping {
    fn from(name: EarlyStoppingName) -> Self {
        match name {
            EarlyStoppingName::False => Self::Heuristic,
            EarlyStoppingName::True => Self::Always,
            EarlyStoppingName::Never => Self::Never,
        }
    }
}

impl DecodingArgs {
    /// The settings for a model: greedy unless sampling or beams are asked for.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the flag that is out of range or does not go with the others.
    pub fn config(&self, base: &Loaded, dir: &Path, batch_size: usize) -> Result<GenerateConfig> {
        let (end, _) = end_token::find(&base.config, dir, None)?;
        end_token::note(&end, dir);
        let config = GenerateConfig::for_model(base, self.max_new_tokens)?
            .with_end_tokens(end.ids().to_vec())
            .with_min_new_tokens(self.min_new_tokens)
            .with_repetition_penalty(
                self.repetition_penalty.unwrap_or(defaults().repetition_penalty),
            )
            .with_num_return_sequences(self.num_return_sequences)
            .with_batch_size(batch_size);
        if self.stop.iter().any(String::is_empty) {
            return Err(Error::setting("--stop", "found an empty text"));
        }
        let config = match (self.sampling()?, self.beams()?) {
            (Some(_), Some(_)) => {
                let message = "beams and sampling (--temperature, --top-k, --top-p) exclude each \
                               other";
                return Err(Error::setting("--num-beams", message));
            }
            (Some(sampling), None) => config.with_sampling(sampling),
            (None, Some(beams)) => config.with_beams(beams),
            (None, None) => config,
        };
        config.validate()?;
        Ok(config)
    }

    fn sampling(&self) -> Result<Option<Sampling>> {
        if self.temperature.is_none() && self.top_k.is_none() && self.top_p.is_none() {
            return match self.seed {
                Some(_) => Err(Error::setting(
                    "--seed",
                    "without sampling there is nothing to draw: give --temperature, --top-k or \
                     --top-p",
                )),
                None => Ok(None),
            };
        }
        let defaults = Sampling::default();
        Ok(Some(Sampling {
            temperature: self.temperature.unwrap_or(defaults.temperature),
            top_k: self.top_k,
            top_p: self.top_p.unwrap_or(defaults.top_p),
            seed: self.seed.unwrap_or(defaults.seed),
        }))
    }

    fn beams(&self) -> Result<Option<Beams>> {
        let Some(num_beams) = self.num_beams.filter(|beams| *beams != 1) else {
            for (flag, given) in [
                ("--length-penalty", self.length_penalty.is_some()),
                ("--early-stopping", self.early_stopping.is_some()),
            ] {
                if given {
                    let message = "is a setting of beam search: give --num-beams above 1";
                    return Err(Error::setting(flag, message));
                }
            }
            return Ok(None);
        };
        let defaults = Beams::new(num_beams);
        Ok(Some(Beams {
            length_penalty: self.length_penalty.unwrap_or(defaults.length_penalty),
            early_stopping: self.early_stopping.map_or(defaults.early_stopping, Into::into),
            ..defaults
        }))
    }
}
