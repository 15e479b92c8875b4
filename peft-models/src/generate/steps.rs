//! One token per sequence after another: the likeliest, or one that is drawn.

use burn::tensor::Tensor;
use peft_core::{
    Result,
    contract::{readback::Readback, rng},
};

use super::{
    GenerateConfig, Generated, Sampling, Watcher,
    batch::Batch,
    decoder::read_scores,
    sample::draw,
    scores::{adjust, adjusts},
};

/// A sequence that is being generated.
#[derive(Debug)]
struct Sequence {
    /// Its row in the batch.
    row: usize,
    /// Which of the row's sequences it is.
    number: usize,
    new: Vec<u32>,
    done: bool,
}

/// Continues the rows of a batch: greedily, or by sampling.
pub(super) fn run(
    batch: &Batch<'_>,
    config: &GenerateConfig,
    sampling: Option<&Sampling>,
    watcher: &mut dyn Watcher,
) -> Result<Vec<Vec<Generated>>> {
    let (mut decoder, mut logits) = batch.read()?;
    let mut output =
        vec![vec![Generated::default(); config.num_return_sequences]; batch.rows.len()];
    let mut open = vec![config.num_return_sequences; batch.rows.len()];
    let mut sequences: Vec<Sequence> = (0..batch.rows.len())
        .flat_map(|row| (0..config.num_return_sequences).map(move |number| (row, number)))
        .map(|(row, number)| Sequence { row, number, new: Vec::new(), done: false })
        .collect();
    // The row of the logits that continues each sequence. Each input was read once.
    let mut places: Vec<usize> = sequences.iter().map(|sequence| sequence.row).collect();
    decoder.select(&places);
    loop {
        let next = choose(batch, config, sampling, &sequences, &places, logits)?;
        for (sequence, token) in sequences.iter_mut().zip(next).filter(|(s, _)| !s.done) {
            let row = batch.indices[sequence.row];
            sequence.new.push(token);
            watcher.token(row, sequence.number, token);
            sequence.done = config.end_tokens.contains(&token)
                || watcher.ends(row, &sequence.new)
                || sequence.new.len() == batch.longest[sequence.row];
            if sequence.done {
                output[sequence.row][sequence.number].ids.clone_from(&sequence.new);
                open[sequence.row] -= 1;
                if open[sequence.row] == 0 {
                    watcher.row_done(row);
                }
            }
        }
        let going: Vec<usize> = (0..sequences.len()).filter(|i| !sequences[*i].done).collect();
        if going.is_empty() {
            return Ok(output);
        }
        // Removing a sequence costs a copy of the cache of the others; keeping it costs computing a row at each step.
        if 4 * going.len() <= 3 * sequences.len() {
            decoder.select(&going);
            sequences.retain(|sequence| !sequence.done);
        }
        // Sequences that are done but not removed are continued too, and never looked at.
        let last: Vec<u32> =
            sequences.iter().map(|sequence| sequence.new.last().copied().unwrap_or(0)).collect();
        logits = decoder.advance(&last)?;
        places = (0..sequences.len()).collect();
    }
}

/// The next token of each sequence; any token for those that are done.
fn choose(
    batch: &Batch<'_>,
    config: &GenerateConfig,
    sampling: Option<&Sampling>,
    sequences: &[Sequence],
    places: &[usize],
    logits: Tensor<2>,
) -> Result<Vec<u32>> {
    let vocabulary = logits.dims()[1];
    let adjusted = |sequence: &Sequence| {
        !sequence.done && adjusts(config, batch.context(sequence.row, &sequence.new))
    };
    if sampling.is_none() && !sequences.iter().any(adjusted) {
        let mut together = Readback::default();
        together.add(logits.clone().max_dim(1));
        together.add(logits.argmax(1));
        let mut found = together.read()?;
        let (largest, best) = (found.numbers::<f32>()?, found.numbers::<i64>()?);
        // As for one whose scores are read: the best of them is above minus infinity.
        let is_lost = |place: usize| largest[place].is_nan() || largest[place] == f32::NEG_INFINITY;
        let lost = sequences.iter().zip(places).find(|(s, place)| !s.done && is_lost(**place));
        if let Some((sequence, _)) = lost {
            return Err(batch.no_token(sequence.row));
        }
        return Ok(places.iter().map(|place| best[*place] as u32).collect());
    }
    let scores = read_scores(logits)?;
    sequences
        .iter()
        .zip(places)
        .map(|(sequence, place)| {
            if sequence.done {
                return Ok(0);
            }
            let mut own = scores[place * vocabulary..(place + 1) * vocabulary].to_vec();
            adjust(config, batch.context(sequence.row, &sequence.new), &mut own);
            let token = match sampling {
                Some(sampling) => {
                    let row = batch.number(sequence.row);
                    let place = format!("generate/{row}/{}", sequence.number);
                    let step = sequence.new.len() as u64;
                    draw(&own, sampling, &mut rng::stream(sampling.seed, step, &place))
                }
                None => likeliest(&own),
            };
            token.ok_or_else(|| batch.no_token(sequence.row))
        })
        .collect()
}

/// The first of the best scores.
fn likeliest(scores: &[f32]) -> Option<u32> {
    let mut best: Option<(u32, f32)> = None;
    for (id, score) in (0u32..).zip(scores.iter().copied()) {
        if score > best.map_or(f32::NEG_INFINITY, |(_, best)| best) {
            best = Some((id, score));
        }
    }
    best.map(|(id, _)| id)
}
