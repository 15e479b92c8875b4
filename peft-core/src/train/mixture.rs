//! Several adapters in one pass: rows that each name their adapter, and ensembles in which all adapters
//! answer for every row.
//!
//! A row's virtual tokens are its own (R = B), so a batch may mix adapters; only the heads are applied one
//! adapter at a time. Lester et al. (2021, section 6) vote with prompts this way.

use burn::tensor::activation::softmax;

use super::outputs::{check_task, choose, logits, sequence_states, token_batch, token_states};
use crate::{
    adapter::Pooling,
    batch::{PaddingSide, TokenBatch},
    data::{Example, eval_batches},
    error::{Error, Result},
    frozen::{FrozenModel, Hidden},
    head::Head,
    task::Task,
    virtual_tokens::VirtualTokens,
};

/// One adapter of a [`Mixture`].
#[derive(Clone, Debug)]
pub struct Member {
    /// What it contributes, for all rows (R = 1).
    pub virtual_tokens: VirtualTokens,
    /// Its head; none where the model's own serves.
    pub head: Option<Head>,
    /// What an encoder's classifier reads.
    pub pooling: Pooling,
}

/// How the members of an ensemble agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vote {
    /// The class that most members find likeliest. Where several have as many votes, the one of them with
    /// the largest mean probability; where that is equal too, the first.
    #[default]
    Majority,
    /// The class with the largest mean probability; the first of equals.
    Mean,
}

impl Vote {
    /// The class chosen and the mean probability of each, from the probabilities that each member gives.
    /// Members know the same classes; a class that one lacks counts as impossible to it.
    pub fn choose(self, of_members: &[Vec<f32>]) -> (usize, Vec<f32>) {
        let classes = of_members.first().map_or(0, Vec::len);
        let count = of_members.len().max(1) as f32;
        let mean: Vec<f32> = (0..classes)
            .map(|class| {
                of_members
                    .iter()
                    .map(|member| member.get(class).copied().unwrap_or(0.0))
                    .sum::<f32>()
                    / count
            })
            .collect();
        let mut votes = vec![0usize; classes];
        if self == Self::Majority {
            let of_each = of_members.iter().map(|member| first_largest(member));
            of_each.filter(|class| *class < classes).for_each(|class| votes[class] += 1);
        }
        let better = |a: usize, b: usize| (votes[b], mean[b]) > (votes[a], mean[a]);
        let best = (0..classes).reduce(|best, next| if better(best, next) { next } else { best });
        (best.unwrap_or(0), mean)
    }
}

/// The index of the largest number, the first of equal ones.
fn first_largest(numbers: &[f32]) -> usize {
    let indices = 0..numbers.len();
    indices.reduce(|a, b| if numbers[b] > numbers[a] { b } else { a }).unwrap_or(0)
}

/// Probabilities of each class, for each position that a row is read at: one for a class of the whole row,
/// one a token for tags.
pub type PerPosition = Vec<Vec<f32>>;

/// A frozen model with several adapters for one task.
#[derive(Clone, Debug)]
pub struct Mixture<'a> {
    model: &'a dyn FrozenModel,
    task: Task,
    members: Vec<Member>,
    /// Members that one pass can hold have the same number.
    kind: Vec<usize>,
    padding: PaddingSide,
    batch_size: usize,
}

impl<'a> Mixture<'a> {
    /// Takes the members, whose virtual tokens are compiled for the model, once.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for a task other than classifying rows or tokens, [`Error::Mismatch`] where a
    /// member does not fit the model, or there is none.
    pub fn new(model: &'a dyn FrozenModel, task: Task, mut members: Vec<Member>) -> Result<Self> {
        if !matches!(task, Task::SeqCls | Task::TokenCls) {
            let message = format!("several adapters answer seq-cls and token-cls, found {task}");
            return Err(Error::setting("--task", message));
        }
        for member in &mut members {
            check_task(model, member.head.as_ref(), task)?;
            member.virtual_tokens.check(model.spec(), 1)?;
            member.virtual_tokens = model.compile(&member.virtual_tokens)?.without_autodiff();
            // It predicts token 0 of a language model, which nothing here reads.
            member.virtual_tokens.last_hidden = None;
        }
        if members.is_empty() {
            return Err(Error::Mismatch("no adapter to answer with".into()));
        }
        let kind = kinds(&members);
        Ok(Self { model, task, members, kind, padding: PaddingSide::Right, batch_size: 32 })
    }

    /// Sets how many rows go through the model at once; 32.
    #[must_use]
    pub fn with_batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size.max(1);
        self
    }

    /// Sets the side of the padding; right.
    #[must_use]
    pub fn with_padding(mut self, padding: PaddingSide) -> Self {
        self.padding = padding;
        self
    }

    /// The answer of one member for each example: that of `members[of_row[i]]` for example i.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] where a row does not fit; [`Error::Mismatch`] for a row without tokens, or an
    /// `of_row` that is not one member for each example.
    pub fn answer(&self, examples: &[Example], of_row: &[usize]) -> Result<Vec<PerPosition>> {
        let members = self.members.len();
        if of_row.len() != examples.len() || of_row.iter().any(|member| *member >= members) {
            return Err(Error::Mismatch(format!(
                "{} rows name their member, expected {} rows and members below {members}",
                of_row.len(),
                examples.len()
            )));
        }
        let pairs: Vec<(usize, usize)> = of_row.iter().copied().enumerate().collect();
        self.run(examples, &pairs, self.batch_size)
    }

    /// The answers of all members for each example: `[example][member]`. All members share the passes.
    ///
    /// # Errors
    ///
    /// As [`answer`](Self::answer).
    pub fn answer_all(&self, examples: &[Example]) -> Result<Vec<Vec<PerPosition>>> {
        let count = self.members.len();
        let pairs: Vec<(usize, usize)> = (0..examples.len())
            .flat_map(|example| (0..count).map(move |member| (example, member)))
            .collect();
        let mut answers = self.run(examples, &pairs, self.batch_size * count)?.into_iter();
        Ok(examples.iter().map(|_| answers.by_ref().take(count).collect()).collect())
    }

    /// The answers for pairs of an example and a member, in their order.
    fn run(
        &self,
        examples: &[Example],
        pairs: &[(usize, usize)],
        batch_size: usize,
    ) -> Result<Vec<PerPosition>> {
        let mut answers = vec![PerPosition::new(); pairs.len()];
        for kind in 0..=self.kind.iter().copied().max().unwrap_or(0) {
            let own: Vec<usize> =
                (0..pairs.len()).filter(|pair| self.kind[pairs[*pair].1] == kind).collect();
            let lengths: Vec<usize> =
                own.iter().map(|pair| examples[pairs[*pair].0].input_ids.len()).collect();
            for rows in eval_batches(&lengths, batch_size) {
                let rows: Vec<usize> = rows.into_iter().map(|row| own[row]).collect();
                let chosen: Vec<&Example> =
                    rows.iter().map(|pair| &examples[pairs[*pair].0]).collect();
                let of_row: Vec<usize> = rows.iter().map(|pair| pairs[*pair].1).collect();
                let batch = token_batch(&chosen, self.padding);
                let virtual_tokens = self.virtual_tokens(kind, &of_row)?;
                let hidden = self.model.forward(&batch, &virtual_tokens)?;
                for member in 0..self.members.len() {
                    let at: Vec<usize> =
                        (0..rows.len()).filter(|row| of_row[*row] == member).collect();
                    if at.is_empty() {
                        continue;
                    }
                    let found = self.heads(member, &at, &batch, &hidden)?;
                    for (row, answer) in at.into_iter().zip(found) {
                        answers[rows[row]] = answer;
                    }
                }
            }
        }
        Ok(answers)
    }

    /// The virtual tokens of rows whose members are all of one kind.
    fn virtual_tokens(&self, kind: usize, of_row: &[usize]) -> Result<VirtualTokens> {
        let own: Vec<usize> =
            (0..self.members.len()).filter(|member| self.kind[*member] == kind).collect();
        let each: Vec<VirtualTokens> =
            own.iter().map(|member| self.members[*member].virtual_tokens.clone()).collect();
        let local: Vec<usize> =
            of_row.iter().filter_map(|member| own.iter().position(|o| o == member)).collect();
        VirtualTokens::per_row(&each, &local)
    }

    /// What one member's head makes of its rows of a batch.
    fn heads(
        &self,
        member: usize,
        rows: &[usize],
        batch: &TokenBatch,
        hidden: &Hidden,
    ) -> Result<Vec<PerPosition>> {
        let member = &self.members[member];
        let (states, counts) = if self.task == Task::SeqCls {
            let all = sequence_states(self.model, hidden, batch, member.pooling)?;
            (choose(all, rows), vec![1; rows.len()])
        } else {
            let counts: Vec<usize> = rows.iter().map(|row| batch.row_len(*row)).collect();
            let of_row = |row: &usize| {
                let row = *row;
                (0..batch.row_len(row)).map(move |token| (row, token))
            };
            let tokens: Vec<(usize, usize)> = rows.iter().flat_map(of_row).collect();
            (token_states(hidden, batch, &tokens), counts)
        };
        let logits = logits(self.model, member.head.as_ref(), self.task, states)?;
        let classes = logits.dims()[1];
        let data: Vec<f32> = softmax(logits, 1).into_data().iter().collect();
        let mut positions = data.chunks(classes).map(<[f32]>::to_vec);
        Ok(counts.into_iter().map(|count| positions.by_ref().take(count).collect()).collect())
    }
}

/// Gives members that one pass can hold the same number.
fn kinds(members: &[Member]) -> Vec<usize> {
    let mut kinds: Vec<usize> = Vec::with_capacity(members.len());
    for member in members {
        // A member without virtual tokens fits any kind: it has to be compared with all of one.
        let fits = |kind: usize| {
            let same = members.iter().zip(&kinds).filter(|(_, other)| **other == kind);
            same.into_iter().all(|(other, _)| {
                let pair = [other.virtual_tokens.clone(), member.virtual_tokens.clone()];
                other.pooling == member.pooling && VirtualTokens::per_row(&pair, &[0, 1]).is_ok()
            })
        };
        let next = kinds.iter().max().map_or(0, |last| last + 1);
        kinds.push((0..next).find(|kind| fits(*kind)).unwrap_or(next));
    }
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_larger_mean_and_then_to_the_first() {
        let two = |a: f32| vec![a, 1.0 - a];
        assert_eq!(Vote::Majority.choose(&[two(0.6), two(0.6), two(0.1)]).0, 0);
        assert_eq!(Vote::Mean.choose(&[two(0.6), two(0.6), two(0.1)]).0, 1);
        assert_eq!(Vote::Majority.choose(&[two(0.6), two(0.3)]).0, 1);
        let (class, mean) = Vote::Majority.choose(&[two(0.75), two(0.25)]);
        assert_eq!((class, mean), (0, vec![0.5, 0.5]));
        let three = [vec![0.4, 0.3, 0.3], vec![0.1, 0.2, 0.7], vec![0.2, 0.6, 0.2]];
        assert_eq!(Vote::Majority.choose(&three).0, 2);
    }
}
