//! The flags of generation, and the settings they make.

use clap::{Args, ValueEnum};
use peft_core::{Error, Result};
use peft_models::{
    Loaded,
    generate::{Beams, EarlyStopping, GenerateConfig, Sampling},
};

/// Flags that say how text is continued.
#[derive(Args, Clone, Debug)]
pub struct DecodingArgs {
    /// New tokens at most.
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub max_new_tokens: usize,
    /// New tokens before the text may end. Default: 0.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub min_new_tokens: usize,
    /// Ends the text where this appears in it; may be given several times. `output` is cut before it,
    /// `output_ids` holds its tokens too.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub stop: Vec<String>,
    /// Makes tokens that occurred already less likely, above 1. Default: 1, off.
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub repetition_penalty: Option<f32>,
    /// Texts for each row, with sampling or beams. Default: 1.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub num_return_sequences: usize,
    /// Samples: below 1 likely tokens become likelier. 1 is the model's own distribution.
    #[arg(
        long,
        value_name = "X",
        allow_negative_numbers = true,
        help_heading = "Sampling (with any of these)"
    )]
    pub temperature: Option<f32>,
    /// Samples from the K likeliest tokens.
    #[arg(long, value_name = "K", help_heading = "Sampling (with any of these)")]
    pub top_k: Option<usize>,
    /// Samples from the fewest likeliest tokens that have probability P together.
    #[arg(
        long,
        value_name = "P",
        allow_negative_numbers = true,
        help_heading = "Sampling (with any of these)"
    )]
    pub top_p: Option<f32>,
    /// Seed of the sampling. Default: 0.
    #[arg(long, value_name = "N", help_heading = "Sampling (with any of these)")]
    pub seed: Option<u64>,
    /// Searches with B beams. Default: 1, none.
    #[arg(long, value_name = "B", help_heading = "Beam search")]
    pub num_beams: Option<usize>,
    /// Longer texts gain above 0, shorter ones below. Default: 1.
    #[arg(long, value_name = "X", allow_negative_numbers = true, help_heading = "Beam search")]
    pub length_penalty: Option<f32>,
    /// Ends a search that has B texts: at once (true), when none that runs could be better now (false),
    /// or at any length (never). Default: false.
    #[arg(
        long,
        value_enum,
        num_args = 0..=1,
        default_missing_value = "true",
        value_name = "WHEN",
        help_heading = "Beam search"
    )]
    pub early_stopping: Option<Early>,
}

/// `--early-stopping`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Early {
    /// When none that runs could be better now.
    False,
    /// At once.
    True,
    /// When none that runs could be better at any length.
    Never,
}

impl From<Early> for EarlyStopping {
    fn from(early: Early) -> Self {
        match early {
            Early::False => Self::Heuristic,
            Early::True => Self::Always,
            Early::Never => Self::Never,
        }
    }
}

impl DecodingArgs {
    /// The settings for a model: greedy unless sampling or beams are asked for.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the flag that is out of range or does not go with the others.
    pub fn config(&self, base: &Loaded, batch_size: usize) -> Result<GenerateConfig> {
        let config = GenerateConfig::for_model(base, self.max_new_tokens)?
            .with_min_new_tokens(self.min_new_tokens)
            .with_repetition_penalty(self.repetition_penalty.unwrap_or(1.0))
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
        let sampling = Sampling::default()
            .with_temperature(self.temperature.unwrap_or(1.0))
            .with_top_k(self.top_k)
            .with_top_p(self.top_p.unwrap_or(1.0))
            .with_seed(self.seed.unwrap_or(0));
        Ok(Some(sampling))
    }

    fn beams(&self) -> Result<Option<Beams>> {
        let Some(num_beams) = self.num_beams.filter(|beams| *beams != 1) else {
            for (flag, given) in [
                ("--length-penalty", self.length_penalty.is_some()),
                ("--early-stopping", self.early_stopping.is_some()),
            ] {
                if given {
                    return Err(Error::setting(
                        flag,
                        "is of beam search: give --num-beams above 1",
                    ));
                }
            }
            return Ok(None);
        };
        let beams = Beams::new(num_beams)
            .with_length_penalty(self.length_penalty.unwrap_or(1.0))
            .with_early_stopping(self.early_stopping.unwrap_or(Early::False).into());
        Ok(Some(beams))
    }
}
