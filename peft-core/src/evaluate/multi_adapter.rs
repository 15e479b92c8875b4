//! Several adapters in one pass: rows that each name their adapter, and ensembles in which all
//! adapters answer for every row.
//!
//! Each row has its own virtual tokens (R = B), so a batch may mix adapters; only the heads are
//! applied one adapter at a time. Lester et al. (2021, section 6) build prompt ensembles this way.

use std::{cell::Cell, ops::ControlFlow};

use burn::{module::Module, tensor::Tensor};

use super::{
    checks::{check_infix, check_task},
    outputs::{answers, choose, in_rows, logits, sequence_states, token_states},
    rows::{ReadBatch, RowReader, RowsRead},
};
use crate::{
    contract::{
        batch::PaddingSide, frozen::FrozenModel, head::Head, pooling::Pooling,
        problem_type::ProblemType, readback::Readback, task::Task, virtual_tokens::VirtualTokens,
    },
    data::Example,
    error::{Error, Result},
};

/// One adapter of a [`MultiAdapter`].
#[derive(Clone, Debug)]
pub struct Member {
    /// Its virtual tokens, shared by all rows (R = 1).
    pub virtual_tokens: VirtualTokens,
    /// Its head; none if the model's own is used.
    pub head: Option<Head>,
    /// The position that an encoder's classifier reads.
    pub pooling: Pooling,
    /// What its outputs mean.
    pub problem_type: ProblemType,
}

/// Probabilities of each class, or the numbers of a regression, for each position at which a row is read: one for a
/// class of the whole row, one per token for tags.
pub type PerPosition = Vec<Vec<f32>>;

/// A frozen model with several adapters for one task.
#[derive(Clone, Debug)]
pub struct MultiAdapter<'a> {
    model: &'a dyn FrozenModel,
    task: Task,
    members: Vec<Member>,
    /// The pass group of each member: members of one group can share a pass.
    pass_group: Vec<usize>,
    reader: RowReader<'a>,
}

impl<'a> MultiAdapter<'a> {
    /// Takes the members and prefills their virtual tokens once for the model.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for a task other than classifying rows or tokens, [`Error::Mismatch`] if
    /// a member does not fit the model, or there are no members.
    pub fn new(model: &'a dyn FrozenModel, task: Task, mut members: Vec<Member>) -> Result<Self> {
        if !matches!(task, Task::SeqCls | Task::TokenCls) {
            let message = format!("several adapters answer seq-cls and token-cls, found {task}");
            return Err(Error::setting("task", message));
        }
        for member in &mut members {
            check_task(model, member.head.as_ref(), task)?;
            check_infix(&member.virtual_tokens, task)?;
            member.virtual_tokens.check(model.spec(), 1)?;
            member.virtual_tokens = model.prefill(&member.virtual_tokens)?.without_autodiff();
            // It predicts token 0 of a language model, which is not needed here.
            member.virtual_tokens.last_hidden = None;
            // Answers of all members are read together, which those of a head that is being trained cannot be beside others.
            member.head = member.head.take().map(|head| head.valid());
        }
        if members.is_empty() {
            return Err(Error::Mismatch("there is no adapter to answer with".into()));
        }
        let pass_group = pass_groups(&members);
        Ok(Self { model, task, members, pass_group, reader: RowReader::new(model) })
    }

    /// Sets the number of rows per batch. Default [`DEFAULT_BATCH_SIZE`](crate::data::DEFAULT_BATCH_SIZE).
    #[must_use]
    pub fn with_batch_size(mut self, batch_size: usize) -> Self {
        self.reader.batch_size = batch_size.max(1);
        self
    }

    /// Sets the side of the padding. Default right.
    #[must_use]
    pub fn with_padding(mut self, padding: PaddingSide) -> Self {
        self.reader.padding = padding;
        self
    }

    /// Sets who is told how many answers have been given, and how many there will be.
    #[must_use]
    pub fn with_watch(mut self, watch: RowsRead<'a>) -> Self {
        self.reader.watch = Some(watch);
        self
    }

    /// Returns one answer per example: for example i, the answer of `members[of_row[i]]`.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] if a row does not fit; [`Error::Mismatch`] for a row without tokens, or
    /// if `of_row` does not name one member per example.
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
        self.run(examples, &pairs, self.reader.batch_size)
    }

    /// Returns the answers of all members for each example: `[example][member]`. All members share
    /// the passes.
    ///
    /// # Errors
    ///
    /// As for [`answer`](Self::answer).
    pub fn answer_all(&self, examples: &[Example]) -> Result<Vec<Vec<PerPosition>>> {
        let count = self.members.len();
        let pairs: Vec<(usize, usize)> = (0..examples.len())
            .flat_map(|example| (0..count).map(move |member| (example, member)))
            .collect();
        let batch_size = self.reader.batch_size.saturating_mul(count);
        let mut answers = self.run(examples, &pairs, batch_size)?.into_iter();
        Ok(examples.iter().map(|_| answers.by_ref().take(count).collect()).collect())
    }

    /// The answers for pairs of an example and a member, in order.
    fn run(
        &self,
        examples: &[Example],
        pairs: &[(usize, usize)],
        batch_size: usize,
    ) -> Result<Vec<PerPosition>> {
        let mut answers = vec![PerPosition::new(); pairs.len()];
        let mut before = 0;
        for group in 0..=self.pass_group.iter().copied().max().unwrap_or(0) {
            let in_group: Vec<usize> =
                (0..pairs.len()).filter(|pair| self.pass_group[pairs[*pair].1] == group).collect();
            let rows: Vec<&Example> =
                in_group.iter().map(|pair| &examples[pairs[*pair].0]).collect();
            let member_of = |row: &usize| pairs[in_group[*row]].1;
            let virtual_tokens = |rows: &[usize]| {
                self.virtual_tokens(group, &rows.iter().map(member_of).collect::<Vec<_>>())
            };
            let is_ended = Cell::new(false);
            let all_groups = |done, _| {
                let flow = self.reader.watch.map(|RowsRead(tell)| tell(before + done, pairs.len()));
                let flow = flow.unwrap_or(ControlFlow::Continue(()));
                is_ended.set(flow.is_break());
                flow
            };
            let mut reader: RowReader<'_> = self.reader;
            (reader.batch_size, reader.watch) = (batch_size, Some(RowsRead(&all_groups)));
            let read = reader.read(&rows, virtual_tokens, |slices| {
                let (mut together, mut asked) = (Readback::default(), Vec::new());
                for slice in slices {
                    for member in 0..self.members.len() {
                        let rows: Vec<usize> = (0..slice.indices.len())
                            .filter(|row| member_of(&slice.indices[*row]) == member)
                            .collect();
                        if rows.is_empty() {
                            continue;
                        }
                        let (of_rows, counts) = self.heads(member, &rows, slice)?;
                        asked.push((slice, rows, counts, of_rows.dims()[1]));
                        together.add(of_rows);
                    }
                }
                let mut found = together.read()?;
                for (slice, rows, counts, width) in asked {
                    let mut positions = in_rows(found.numbers()?, width).into_iter();
                    for (row, count) in rows.into_iter().zip(counts) {
                        let answer: PerPosition = positions.by_ref().take(count).collect();
                        answer.iter().try_for_each(|scores| slice.check_finite(row, scores))?;
                        answers[in_group[slice.indices[row]]] = answer;
                    }
                }
                Ok(())
            });
            read.map_err(|error| match error {
                Error::Stopped { done, .. } => {
                    Error::Stopped { done: before + done, of: pairs.len() }
                }
                other => other,
            })?;
            before += rows.len();
            // With the last row of a group, the reader has nothing left to stop.
            if is_ended.get() && before < pairs.len() {
                return Err(Error::Stopped { done: before, of: pairs.len() });
            }
        }
        Ok(answers)
    }

    /// The virtual tokens of rows whose members are all in one pass group.
    fn virtual_tokens(&self, group: usize, of_row: &[usize]) -> Result<VirtualTokens> {
        let in_group: Vec<usize> =
            (0..self.members.len()).filter(|member| self.pass_group[*member] == group).collect();
        let adapters: Vec<VirtualTokens> =
            in_group.iter().map(|member| self.members[*member].virtual_tokens.clone()).collect();
        let of_row: Vec<usize> = of_row
            .iter()
            .filter_map(|member| in_group.iter().position(|other| other == member))
            .collect();
        VirtualTokens::per_row(&adapters, &of_row)
    }

    /// Applies the head of a member to its rows of a batch; returns what it says, `[M, C]`, and how many positions of it
    /// each row has.
    fn heads(
        &self,
        member: usize,
        rows: &[usize],
        read: &ReadBatch<'_>,
    ) -> Result<(Tensor<2>, Vec<usize>)> {
        let (batch, hidden) = (read.batch, read.hidden);
        let member = &self.members[member];
        let (states, counts) = if self.task == Task::SeqCls {
            let all = sequence_states(self.model, hidden, batch, member.pooling)?;
            (choose(all, rows), vec![1; rows.len()])
        } else {
            let counts: Vec<usize> = rows.iter().map(|row| batch.row_len(*row)).collect();
            let tokens: Vec<(usize, usize)> = rows
                .iter()
                .flat_map(|row| (0..batch.row_len(*row)).map(move |token| (*row, token)))
                .collect();
            (token_states(hidden, batch, &tokens), counts)
        };
        let logits = logits(self.model, member.head.as_ref(), self.task, states)?;
        Ok((answers(member.problem_type, logits), counts))
    }
}

/// Returns the pass group of each member.
fn pass_groups(members: &[Member]) -> Vec<usize> {
    let mut groups: Vec<usize> = Vec::with_capacity(members.len());
    for member in members {
        // A member without virtual tokens fits any group, so all members of a group are compared.
        let fits = |group: usize| {
            let mut in_group = members.iter().zip(&groups).filter(|(_, own)| **own == group);
            in_group.all(|(other, _)| {
                let pair = [other.virtual_tokens.clone(), member.virtual_tokens.clone()];
                other.pooling == member.pooling && VirtualTokens::per_row(&pair, &[0, 1]).is_ok()
            })
        };
        let next = groups.iter().max().map_or(0, |last| last + 1);
        groups.push((0..next).find(|group| fits(*group)).unwrap_or(next));
    }
    groups
}
