//! Beam search as in transformers 5, row by row.
//!
//! Each step continues every running sequence with every token and takes the best of all candidates; those that ended
//! become finished sequences, and the best others go on. Where transformers fills rows with scores of -1e9, there are
//! simply fewer sequences here.

use burn::tensor::{DType, Tensor, activation::log_softmax};
use peft_core::Result;

use super::{
    Beams, EarlyStopping, GenerateConfig, Generated, Watcher,
    batch::Batch,
    decoder::read_scores,
    scores::{Context, adjust},
};

/// Continues the rows of a batch.
pub(super) fn run(
    batch: &Batch<'_>,
    config: &GenerateConfig,
    beams: &Beams,
    watcher: &mut dyn Watcher,
) -> Result<Vec<Vec<Generated>>> {
    let (mut decoder, mut logits) = batch.read()?;
    let mut output = vec![Vec::new(); batch.rows.len()];
    let mut searches: Vec<Search<'_>> = (0..batch.rows.len())
        .map(|row| Search::new(config, beams, row, batch.context(row, &[])))
        .collect();
    loop {
        let vocabulary = logits.dims()[1];
        let mut log_probs = log_probs(logits)?;
        let mut scores: Vec<&mut [f32]> = log_probs.chunks_mut(vocabulary).collect();
        searches.retain_mut(|search| {
            let row = batch.indices[search.row];
            let goes_on = search.step(&mut scores, &mut |new| watcher.ends(row, new));
            if !goes_on {
                output[search.row] = search.best(config.num_return_sequences);
                watcher.row_done(row);
            }
            goes_on
        });
        if searches.is_empty() {
            if let Some(row) = output.iter().position(Vec::is_empty) {
                return Err(batch.no_token(row));
            }
            return Ok(output);
        }
        let running = || searches.iter().flat_map(|search| &search.running);
        let parents: Vec<usize> = running().map(|beam| beam.place).collect();
        let tokens: Vec<u32> =
            running().map(|beam| beam.new.last().copied().unwrap_or(0)).collect();
        decoder.select(&parents);
        for (place, beam) in searches.iter_mut().flat_map(|search| &mut search.running).enumerate()
        {
            beam.place = place;
        }
        logits = decoder.advance(&tokens)?;
    }
}

fn log_probs(logits: Tensor<2>) -> Result<Vec<f32>> {
    read_scores(log_softmax(logits.cast(DType::F32), 1))
}

/// A running sequence.
#[derive(Clone, Debug)]
struct Beam {
    new: Vec<u32>,
    /// Sum of the log-probabilities of its tokens.
    score: f32,
    /// Its row in the cache.
    place: usize,
}

/// The search of one row.
#[derive(Debug)]
struct Search<'a> {
    config: &'a GenerateConfig,
    beams: &'a Beams,
    /// The index of the row in the batch.
    row: usize,
    /// What is known before the first new token.
    before: Context<'a>,
    /// The best first. At the beginning a single empty one, so that the first tokens differ.
    running: Vec<Beam>,
    /// The best first, at most `num_beams`.
    finished: Vec<Generated>,
}

/// A running sequence and what may follow it.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    beam: usize,
    token: u32,
    score: f32,
}

impl<'a> Search<'a> {
    fn new(config: &'a GenerateConfig, beams: &'a Beams, row: usize, before: Context<'a>) -> Self {
        let running = vec![Beam { new: Vec::new(), score: 0.0, place: row }];
        Self { config, beams, row, before, running, finished: Vec::new() }
    }

    /// Adds a token to the running sequences; returns whether the search goes on. `scores` are the log-probabilities
    /// `[V]` of each row of the cache.
    fn step(&mut self, scores: &mut [&mut [f32]], ends: &mut dyn FnMut(&[u32]) -> bool) -> bool {
        let num_beams = self.beams.num_beams;
        let len = self.running.first().map_or(0, |beam| beam.new.len()) + 1;
        let longest = self.before.longest;
        // Enough for all beams to go on if every end token is among the best of each.
        let wanted = (1 + self.config.end_tokens.len().max(1)).saturating_mul(num_beams);
        let mut running = Vec::with_capacity(num_beams);
        for (rank, candidate) in self.candidates(scores, wanted).into_iter().enumerate() {
            let beam = &self.running[candidate.beam];
            let mut new = beam.new.clone();
            new.push(candidate.token);
            let ended =
                self.config.end_tokens.contains(&candidate.token) || len == longest || ends(&new);
            if !ended {
                if running.len() < num_beams {
                    running.push(Beam { new, score: candidate.score, place: beam.place });
                }
            } else if rank < num_beams {
                // Only the best candidates may end; the others were taken for beams that go on.
                let score = Some(candidate.score / self.length_factor(len));
                self.finished.push(Generated { ids: new, score });
            }
        }
        // Stable: of equal ones, the earlier stays first.
        self.finished.sort_by(|a, b| b.score.unwrap_or(0.0).total_cmp(&a.score.unwrap_or(0.0)));
        self.finished.truncate(num_beams);
        self.running = running;
        len < longest && self.may_improve(len)
    }

    /// The best `wanted` continuations of all running sequences, the best first.
    fn candidates(&self, scores: &mut [&mut [f32]], wanted: usize) -> Vec<Candidate> {
        let mut best: Vec<Candidate> = Vec::with_capacity(wanted + 1);
        for (index, beam) in self.running.iter().enumerate() {
            let Some(own) = scores.get_mut(beam.place) else { continue };
            adjust(self.config, Context { new: &beam.new, ..self.before }, own);
            for (token, score) in (0u32..).zip(own.iter()) {
                let score = beam.score + score;
                let least = match best.last() {
                    Some(last) if best.len() == wanted => last.score,
                    _ => f32::NEG_INFINITY,
                };
                if score > least {
                    let place = best.partition_point(|other| other.score >= score);
                    best.insert(place, Candidate { beam: index, token, score });
                    best.truncate(wanted);
                }
            }
        }
        best
    }

    /// Whether running sequences of `len` tokens are needed, or may still beat a finished one.
    fn may_improve(&self, len: usize) -> bool {
        let Some(best) = self.running.first() else { return false };
        if self.finished.len() < self.beams.num_beams {
            return true;
        }
        let penalty = self.beams.length_penalty;
        let len = match self.beams.early_stopping {
            EarlyStopping::Always => return false,
            // Longer is better: its score at the maximum length.
            EarlyStopping::Never if penalty > 0.0 => self.before.longest,
            _ => len,
        };
        let worst = self.finished.last().and_then(|worst| worst.score);
        worst.is_none_or(|worst| best.score / self.length_factor(len) > worst)
    }

    /// The divisor of the log-probability of a sequence of `len` tokens.
    fn length_factor(&self, len: usize) -> f32 {
        (len as f64).powf(f64::from(self.beams.length_penalty)) as f32
    }

    /// The best finished sequences.
    fn best(&mut self, count: usize) -> Vec<Generated> {
        self.finished.truncate(count);
        std::mem::take(&mut self.finished)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V: usize = 4;
    const END: u32 = 3;

    /// Log-probabilities of the token after a sequence: arbitrary, but fixed.
    fn next(sequence: &[u32]) -> Vec<f32> {
        let seed = sequence.iter().fold(7u32, |sum, id| sum.wrapping_mul(31).wrapping_add(id + 1));
        let weights: Vec<f32> =
            (0..V as u32).map(|id| 1.0 + (seed.wrapping_mul(id + 3) % 17) as f32).collect();
        let total: f32 = weights.iter().sum();
        weights.into_iter().map(|weight| (weight / total).ln()).collect()
    }

    fn search(config: &GenerateConfig, beams: &Beams) -> Vec<Generated> {
        let longest = config.max_new_tokens;
        let before = Context { input: &[0], read: &[0], new: &[], longest };
        let mut search = Search::new(config, beams, 0, before);
        loop {
            let mut scores: Vec<Vec<f32>> =
                search.running.iter().map(|beam| next(&beam.new)).collect();
            for (place, beam) in search.running.iter_mut().enumerate() {
                beam.place = place;
            }
            let mut slices: Vec<&mut [f32]> = scores.iter_mut().map(Vec::as_mut_slice).collect();
            if !search.step(&mut slices, &mut |_| false) {
                return search.best(beams.num_beams);
            }
        }
    }

    /// Every sequence that ends with the end token or has the maximum length, the best first.
    fn all(config: &GenerateConfig, penalty: f32) -> Vec<(Vec<u32>, f32)> {
        let mut found = Vec::new();
        let mut open = vec![(Vec::new(), 0.0f32)];
        while let Some((sequence, score)) = open.pop() {
            for (id, log_prob) in (0u32..).zip(next(&sequence)) {
                let longer: Vec<u32> = sequence.iter().copied().chain([id]).collect();
                let score = score + log_prob;
                if id == END || longer.len() == config.max_new_tokens {
                    let factor = (longer.len() as f32).powf(penalty);
                    found.push((longer, score / factor));
                } else {
                    open.push((longer, score));
                }
            }
        }
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        found
    }

    #[test]
    fn beams_as_wide_as_the_tree_find_the_best() {
        let config = GenerateConfig::new(4).with_end_tokens(vec![END]);
        for penalty in [-1.0, 0.0, 0.7, 2.0] {
            let beams = Beams::new(81)
                .with_length_penalty(penalty)
                .with_early_stopping(EarlyStopping::Never);
            let expected = all(&config, penalty);
            for (found, expected) in search(&config, &beams).iter().zip(&expected).take(9) {
                let score = found.score.unwrap_or(f32::NAN);
                assert!((score - expected.1).abs() < 1e-5, "{found:?} is not {expected:?}");
            }
        }
    }

    #[test]
    fn stopping_at_once_never_scores_better() {
        let config = GenerateConfig::new(6).with_end_tokens(vec![END]);
        let best = |early_stopping| {
            let found = search(&config, &Beams::new(2).with_early_stopping(early_stopping));
            found.first().and_then(|best| best.score).unwrap_or(f32::NAN)
        };
        assert!(best(EarlyStopping::Always) <= best(EarlyStopping::Heuristic));
        assert!(best(EarlyStopping::Heuristic) <= best(EarlyStopping::Never));
    }
}
