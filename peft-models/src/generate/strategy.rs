//! How the next token is chosen: greedily, by sampling, with beams.

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
    /// The seed of the draws [default: 0]. The output for a row depends on it, the index of the row and the step, not
    /// on the other rows.
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
