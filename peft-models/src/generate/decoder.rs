//! A model that reads one token per row after another.

use burn::tensor::{DType, Device, Tensor};
use peft_core::{
    Cache, Error, FrozenModel, PaddingSide, Result, TokenBatch, VirtualTokens,
    contract::{length_multiple::to_few_lengths, readback::Readback},
};

use crate::kernels;

/// A model with what it has read so far, in a cache whose rows can be chosen anew.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    model: &'a dyn FrozenModel,
    /// What was read so far; taken out during a pass, so that the pass can extend it in place.
    cache: Option<Cache>,
    /// The row of the input that each row of the cache continues.
    inputs: Vec<usize>,
}

impl<'a> Decoder<'a> {
    /// Reads each row once, or its encoding and the `start` token of the decoder. Also returns the logits `[B, V]` of
    /// the first new tokens, of which there will be at most `max_new_tokens`.
    pub fn start(
        model: &'a dyn FrozenModel,
        rows: &[&[u32]],
        virtual_tokens: &VirtualTokens,
        start: Option<u32>,
        max_new_tokens: usize,
    ) -> Result<(Self, Tensor<2>)> {
        // Left padding: every row's next token is in the last column.
        let input = TokenBatch::new(rows, PaddingSide::Left);
        // What is generated is the target.
        let input = input.with_sources(rows.iter().map(|row| row.len()).collect());
        let input = to_few_lengths(input, model, virtual_tokens);
        let mut cache = model.begin(&input, virtual_tokens)?;
        let read = start.map_or(input.len(), |_| 1);
        // The last new token is never read.
        cache.tokens = cache.tokens.expecting(read + max_new_tokens.saturating_sub(1));
        let mut decoder = Self { model, cache: Some(cache), inputs: (0..rows.len()).collect() };
        let logits = match start {
            Some(start) => decoder.advance(&vec![start; rows.len()])?,
            None => decoder.read_prompts(&input)?,
        };
        Ok((decoder, logits))
    }

    /// Reads prompts, on the CPU some rows at a time, so that the memory it takes does not grow with their number.
    fn read_prompts(&mut self, prompts: &TokenBatch) -> Result<Tensor<2>> {
        let rows = prompts.rows();
        let at_once = (tokens_at_once(&self.model.device()) / prompts.len().max(1)).max(1);
        let Some(mut cache) = self.cache.take_if(|_| at_once < rows) else {
            return self.read(prompts);
        };
        cache.tokens = cache.tokens.in_chunks(rows);
        let virtual_tokens = cache.virtual_tokens.clone();
        let mut logits = Vec::with_capacity(rows.div_ceil(at_once));
        for start in (0..rows).step_by(at_once) {
            let part = start..(start + at_once).min(rows);
            cache.virtual_tokens = virtual_tokens.select_rows(&part.clone().collect::<Vec<_>>());
            self.cache = Some(cache);
            logits.push(self.read(&prompts.part(part))?);
            cache = self.cache.take().ok_or_else(lost)?;
        }
        self.cache = Some(Cache { virtual_tokens, ..cache });
        Ok(Tensor::cat(logits, 0))
    }

    /// The number of rows of the cache.
    pub fn rows(&self) -> usize {
        self.inputs.len()
    }

    /// Reads the next token of each row; returns the logits `[B, V]` of the one after it.
    pub fn advance(&mut self, tokens: &[u32]) -> Result<Tensor<2>> {
        let rows: Vec<&[u32]> = tokens.chunks(1).collect();
        self.read(&TokenBatch::new(&rows, PaddingSide::Left))
    }

    fn read(&mut self, batch: &TokenBatch) -> Result<Tensor<2>> {
        let cache = self.cache.take().ok_or_else(lost)?;
        let hidden = self.model.forward_cached(batch, cache)?;
        self.cache = Some(hidden.cache.ok_or_else(lost)?);
        let [b, s, h] = hidden.tokens.dims();
        self.model.lm_logits(hidden.tokens.narrow(1, s - 1, 1).reshape([b, h]))
    }

    /// Reads several tokens of each row, which may differ in number; returns the hidden states `[B, S, H]` of all, of which
    /// those behind a row's last token are undefined.
    pub fn read_all(&mut self, rows: &[&[u32]]) -> Result<Tensor<3>> {
        let cache = self.cache.take().ok_or_else(lost)?;
        let batch = TokenBatch::new(rows, PaddingSide::Right);
        let hidden = self.model.forward_cached(&batch, cache)?;
        self.cache = Some(hidden.cache.ok_or_else(lost)?);
        Ok(hidden.tokens)
    }

    /// Keeps the chosen rows, in the order given; a row may be chosen several times.
    pub fn select(&mut self, rows: &[usize]) {
        if rows.iter().copied().eq(0..self.rows()) {
            return;
        }
        let inputs: Vec<usize> = rows.iter().map(|row| self.inputs[*row]).collect();
        if let Some(cache) = &mut self.cache {
            if inputs == self.inputs {
                // Beams of the same input swap: virtual tokens and the encoder's output are the same for them.
                cache.tokens = cache.tokens.select_rows(rows);
            } else {
                *cache = cache.select_rows(rows);
            }
        }
        self.inputs = inputs;
    }
}

/// How many tokens of prompts are read at once: on the CPU, enough for products to be as fast as they get.
fn tokens_at_once(device: &Device) -> usize {
    if kernels::unavailable(device).is_none() { 512 } else { usize::MAX }
}

fn lost() -> Error {
    Error::Mismatch("the model returned no cache".into())
}

/// Scores `[B, V]` on the host, row by row.
pub(super) fn read_scores(scores: Tensor<2>) -> Result<Vec<f32>> {
    let mut alone = Readback::default();
    alone.add(scores.cast(DType::F32));
    alone.read()?.numbers()
}
