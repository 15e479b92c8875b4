//! Which positions of a batch are read, and what is to be predicted there.

use burn::tensor::{Bool, Tensor, TensorData};

use super::outputs::{choose, sequence_states, token_states};
use crate::{
    contract::{
        batch::TokenBatch,
        frozen::{FrozenModel, Hidden},
        pooling::Pooling,
        task::Task,
        tensors::select_first,
        virtual_tokens::VirtualTokens,
    },
    data::{Example, IGNORE, Target},
    error::{Error, Result},
};

/// Which rows have a last virtual token that predicts token 0: with a prefilled prompt, those with
/// any unmasked virtual token.
pub(crate) fn after_prompt(virtual_tokens: &VirtualTokens) -> impl Fn(usize) -> bool + use<> {
    let mask = virtual_tokens.mask();
    let prompt = virtual_tokens.last_hidden.is_some();
    move |row| prompt && mask.count(if mask.rows() == 1 { 0 } else { row }) > 0
}

/// Positions of a batch that are read, with one prediction each. A row here is an example: in packed
/// rows, a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    /// `(row, token)`: the hidden state of a real token, counted without padding.
    tokens: Vec<(usize, usize)>,
    /// Rows that are read at the last virtual token; they follow the tokens.
    last_virtual: Vec<usize>,
    /// Rows that are read as a whole, for classification; then everything else is empty.
    rows: Vec<usize>,
    /// The number of tokens per row among which a start and an end are chosen.
    spans: Vec<usize>,
}

impl Positions {
    /// Returns the positions with a target, and these targets, in the order of the logits.
    ///
    /// In a decoder-only language model, token i predicts token i + 1. Token 0 is predicted by the
    /// last virtual token if there is one (`after_prompt`), else by nothing. For a span, all tokens
    /// of its row are read, and there are two targets, see [`choices`](Self::choices).
    pub fn labelled(task: Task, examples: &[&Example], after_prompt: bool) -> (Self, Vec<usize>) {
        Self::labelled_rows(task, examples, |_| after_prompt)
    }

    /// As [`labelled`](Self::labelled), if only some rows have a last virtual token.
    pub fn labelled_rows(
        task: Task,
        examples: &[&Example],
        after_prompt: impl Fn(usize) -> bool,
    ) -> (Self, Vec<usize>) {
        let mut positions = Self::default();
        let (mut targets, mut first_targets) = (Vec::new(), Vec::new());
        for (row, example) in examples.iter().enumerate() {
            let of_tokens = match &example.target {
                Target::None => continue,
                Target::Class(class) => {
                    positions.rows.push(row);
                    targets.push(*class);
                    continue;
                }
                // What is to be predicted there is no class, see `values`.
                Target::Values(_) => {
                    positions.rows.push(row);
                    continue;
                }
                Target::Span { start, end } => {
                    let tokens = example.input_ids.len();
                    positions.tokens.extend((0..tokens).map(|token| (row, token)));
                    positions.spans.push(tokens);
                    targets.extend([*start, *end]);
                    continue;
                }
                Target::Tokens(of_tokens) => of_tokens,
            };
            for (token, target) in of_tokens.iter().enumerate().filter(|(_, t)| **t != IGNORE) {
                // Readers reject negative targets; one set by hand is rejected as out of range.
                let target = usize::try_from(*target).unwrap_or(usize::MAX);
                match (task, token) {
                    (Task::CausalLm, 0) if after_prompt(row) => {
                        positions.last_virtual.push(row);
                        first_targets.push(target);
                    }
                    (Task::CausalLm, 0) => {}
                    _ => {
                        let reader = token - usize::from(task == Task::CausalLm);
                        positions.tokens.push((row, reader));
                        targets.push(target);
                    }
                }
            }
        }
        targets.extend(first_targets);
        (positions, targets)
    }

    /// Returns the numbers to predict, in the order of the logits.
    pub fn values(examples: &[&Example]) -> Vec<f32> {
        let of_row = |example: &&Example| match &example.target {
            Target::Values(values) => values.clone(),
            _ => Vec::new(),
        };
        examples.iter().flat_map(of_row).collect()
    }

    /// Returns the number of targets: positions, or numbers to predict.
    pub fn num_targets(
        task: Task,
        examples: &[&Example],
        after_prompt: impl Fn(usize) -> bool,
    ) -> usize {
        let classes = Self::labelled_rows(task, examples, after_prompt).1.len();
        classes + Self::values(examples).len()
    }

    /// Every row as a whole.
    pub fn all_rows(batch: &TokenBatch) -> Self {
        Self { rows: (0..batch.num_examples()).collect(), ..Self::default() }
    }

    /// Every real token of every row, row by row; on an encoder-decoder, of the decoder.
    pub fn all_tokens(batch: &TokenBatch) -> Self {
        let batch = batch.output_rows();
        let of_row = |row| (0..batch.example(row).len).map(move |token| (row, token));
        Self { tokens: (0..batch.num_examples()).flat_map(of_row).collect(), ..Self::default() }
    }

    /// The number of positions, M.
    pub fn len(&self) -> usize {
        self.tokens.len() + self.last_virtual.len() + self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The row of each position.
    pub fn rows(&self) -> impl Iterator<Item = usize> {
        let of_tokens = self.tokens.iter().map(|(row, _)| *row);
        of_tokens.chain(self.last_virtual.iter().copied()).chain(self.rows.iter().copied())
    }

    /// Returns the logits as choices, one per target: those of each position or, for spans, the
    /// logits of a row's tokens for being the start, then for being the end. Only real tokens can
    /// be chosen.
    ///
    /// # Shapes
    ///
    /// - logits: `[M, C]`
    /// - output: `[M, C]`; for r spans in rows of at most T tokens, `[2 r, T]`
    pub fn choices(&self, logits: Tensor<2>) -> Tensor<2> {
        let (r, t) = (self.spans.len(), self.spans.iter().max().copied().unwrap_or_default());
        if r == 0 {
            return logits;
        }
        let (mut index, mut hidden) = (Vec::with_capacity(r * t), Vec::with_capacity(r * t));
        let mut first = 0;
        for tokens in &self.spans {
            index.extend((0..t).map(|token| if token < *tokens { first + token } else { 0 }));
            hidden.extend((0..t).map(|token| token >= *tokens));
            first += tokens;
        }
        let device = logits.device().without_autodiff();
        let hidden = Tensor::<3, Bool>::from_data(TensorData::new(hidden, [r, 1, t]), &device);
        let columns = select_first(logits, &index).reshape([r, t, 2]).swap_dims(1, 2);
        columns.mask_fill(hidden.expand([r, 2, t]), -1e30).reshape([2 * r, t])
    }

    /// Returns the hidden states of these positions.
    ///
    /// # Shapes
    ///
    /// - hidden: `[B, T, H]`
    /// - output: `[M, H]`
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if the model returned no state for a position, as of a batch
    /// [for a classifier](TokenBatch::for_classifier) of whole rows, unless these are whole rows.
    pub fn states(
        &self,
        model: &dyn FrozenModel,
        batch: &TokenBatch,
        hidden: &Hidden,
        pooling: Pooling,
    ) -> Result<Tensor<2>> {
        if !self.rows.is_empty() {
            return Ok(choose(sequence_states(model, hidden, batch, pooling)?, &self.rows));
        }
        if batch.pooling().is_some() && !self.tokens.is_empty() {
            return Err(Error::Mismatch(
                "the batch was read for a classifier of whole rows, found tokens to read".into(),
            ));
        }
        if self.last_virtual.is_empty() {
            return Ok(token_states(hidden, batch, &self.tokens));
        }
        let last = hidden.last_virtual.clone().ok_or_else(|| {
            Error::Mismatch(
                "there is no hidden state of a last virtual token to predict token 0".into(),
            )
        })?;
        let [r, _, h] = last.dims();
        let of_row = |row: &usize| if r == 1 { 0 } else { batch.example(*row).row };
        let of_row = self.last_virtual.iter().map(of_row);
        let last = select_first(last.reshape([r, h]), &of_row.collect::<Vec<_>>());
        Ok(match self.tokens.is_empty() {
            true => last,
            false => Tensor::cat(vec![token_states(hidden, batch, &self.tokens), last], 0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(target: Target) -> Example {
        Example::new(vec![1; 3], target, 1)
    }

    #[test]
    fn a_language_model_reads_one_position_before_its_target() {
        let rows = [
            example(Target::Tokens(vec![IGNORE, 5, 6])),
            example(Target::None),
            example(Target::Tokens(vec![4, IGNORE, 7])),
        ];
        let rows: Vec<&Example> = rows.iter().collect();
        let (positions, targets) = Positions::labelled(Task::CausalLm, &rows, true);
        assert_eq!(positions.tokens, [(0, 0), (0, 1), (2, 1)]);
        assert_eq!(positions.last_virtual, [2]);
        assert_eq!(targets, [5, 6, 7, 4]);
        assert_eq!(positions.rows().collect::<Vec<_>>(), [0, 0, 2, 2]);
        let (some, _) = Positions::labelled_rows(Task::CausalLm, &rows, |row| row != 2);
        assert_eq!((some.last_virtual.len(), some.len()), (0, 3));
        let (without, targets) = Positions::labelled(Task::CausalLm, &rows, false);
        assert_eq!((without.len(), targets), (3, vec![5, 6, 7]));
    }

    #[test]
    fn a_tagger_reads_the_target_itself_and_a_classifier_the_row() {
        let tagged = example(Target::Tokens(vec![2, IGNORE, 0]));
        let (positions, targets) = Positions::labelled(Task::TokenCls, &[&tagged], true);
        assert_eq!((positions.tokens, targets), (vec![(0, 0), (0, 2)], vec![2, 0]));
        let none = example(Target::None);
        let class = example(Target::Class(3));
        let (positions, targets) = Positions::labelled(Task::SeqCls, &[&none, &class], false);
        assert_eq!((positions.rows, targets), (vec![1], vec![3]));
    }
}
