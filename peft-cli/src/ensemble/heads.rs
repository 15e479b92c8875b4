//! Adapters whose heads give the probability of each class: all answer every row.

use std::{ops::Range, path::Path, sync::Arc};

use peft_core::{
    Error, PaddingSide, Result,
    data::{DEFAULT_BATCH_SIZE, Example, Target},
    evaluate::{MultiAdapter, RowsRead, Vote, multi_adapter::PerPosition},
    text::{Encoded, Record},
};

use crate::{adapter_set::AdapterSet, session::Session, shard::Block, text_settings::TextArgs};

/// Batches whose rows are sorted by length together. More of them save padding, and leave more to be lost by a run that
/// dies.
const BATCHES_TOGETHER: usize = 8;

/// How many rows are answered, and then written, together.
pub fn together(batch_size: usize) -> usize {
    batch_size.saturating_mul(BATCHES_TOGETHER)
}

/// The chosen and the right class of each target of a row.
pub type Pairs = Vec<(usize, usize)>;

/// Adapters with heads, and the rows that all of them answer.
#[derive(Debug)]
pub struct Voters<'a> {
    set: &'a AdapterSet,
    model: MultiAdapter<'a>,
    /// For each member, which of its classes is class c of the first one.
    order: Vec<Vec<usize>>,
    /// The rows as each member reads them.
    rows: Vec<Arc<Encoded>>,
    batch_size: usize,
}

impl<'a> Voters<'a> {
    /// The adapters of a set on rows, which each reads as its own training rows were encoded.
    ///
    /// # Errors
    ///
    /// Returns an error naming the file and line that is wrong; [`Error::Setting`] for adapters with different classes, or
    /// that read different rows.
    pub fn new(
        set: &'a AdapterSet,
        records: &[Record],
        text: &TextArgs,
        targets: bool,
    ) -> Result<Self> {
        Self::knowing(set, None, (records, text), targets)
    }

    /// As [`new`](Self::new), where the rows as the first member reads them may be known, `of_first`.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn knowing(
        set: &'a AdapterSet,
        of_first: Option<&Arc<Encoded>>,
        (records, text): (&[Record], &TextArgs),
        targets: bool,
    ) -> Result<Self> {
        let order = set.same_classes()?;
        let mut rows: Vec<Arc<Encoded>> = Vec::with_capacity(set.sessions.len());
        for (place, session) in set.sessions.iter().enumerate() {
            let known = (0..place).find(|other| reads_alike(&set.sessions[*other], session));
            let encoded = match (known, of_first.filter(|_| place == 0)) {
                (Some(other), _) => rows[other].clone(),
                (None, Some(of_first)) => of_first.clone(),
                (None, None) => Arc::new(session.encode_records(records, text, targets)?),
            };
            session.check_lengths(&encoded, 0)?;
            if let Some(first) = rows.first()
                && first.examples.len() != encoded.examples.len()
            {
                let [found, of_first] = [&encoded, first].map(|rows| rows.examples.len());
                let message = format!(
                    "{} reads {found} of the rows, {} {of_first}: say for all of them whether rows without a label are \
                     left out (--skip-unlabelled)",
                    set.names[place], set.names[0]
                );
                return Err(Error::setting("--vote", message));
            }
            rows.push(encoded);
        }
        let model = set.multi_adapter()?;
        Ok(Self { set, model, order, rows, batch_size: DEFAULT_BATCH_SIZE })
    }

    /// Sets the number of rows per batch, each of which all members answer.
    #[must_use]
    pub fn with_batch_size(self, batch_size: usize) -> Self {
        let all = batch_size.saturating_mul(self.set.sessions.len());
        Self { model: self.model.with_batch_size(all), batch_size, ..self }
    }

    /// Sets the side of the padding.
    #[must_use]
    pub fn with_padding(self, padding: PaddingSide) -> Self {
        Self { model: self.model.with_padding(padding), ..self }
    }

    /// Sets who is told how many answers of a part have been given.
    #[must_use]
    pub fn with_watch(self, watch: RowsRead<'a>) -> Self {
        Self { model: self.model.with_watch(watch), ..self }
    }

    /// The rows as the first member reads them.
    pub fn rows(&self) -> &Arc<Encoded> {
        &self.rows[0]
    }

    /// Rows that are answered together, where some of them are in a block.
    pub fn groups(&self, block: &Block) -> impl Iterator<Item = Range<usize>> + use<> {
        block.groups(together(self.batch_size))
    }

    /// The answers of all members to some of the rows, `[row][member]`, with classes in the order of the first member.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] at a row that members read with different numbers of tokens; as [`MultiAdapter::answer`].
    pub fn answer(&self, part: Range<usize>) -> Result<Vec<Vec<PerPosition>>> {
        let count = self.set.sessions.len();
        let of_part = self.rows.iter().flat_map(|own| &own.examples[part.clone()]);
        let of_part: Vec<Example> = of_part.cloned().collect();
        let of_row: Vec<usize> =
            (0..count).flat_map(|member| part.clone().map(move |_| member)).collect();
        let answers = self.model.answer(&of_part, &of_row)?;
        let of_members = |(index, row): (usize, usize)| {
            let of_member = |member: usize| -> PerPosition {
                let order = &self.order[member];
                let reorder = |p: &Vec<f32>| order.iter().map(|class| p[*class]).collect();
                answers[member * part.len() + index].iter().map(reorder).collect()
            };
            let all: Vec<PerPosition> = (0..count).map(of_member).collect();
            match all.iter().position(|answer| answer.len() != all[0].len()) {
                None => Ok(all),
                Some(other) => {
                    let name = &self.set.names[other];
                    let message =
                        format!("{name} was trained on rows that were made or cut differently");
                    let path = self.rows().file_of(row).unwrap_or(Path::new(""));
                    Err(Error::data(path, self.rows().examples[row].line, message))
                }
            }
        };
        part.clone().enumerate().map(of_members).collect()
    }

    /// What each member chooses, and each of the votes, for the rows of a block, which have targets.
    ///
    /// # Errors
    ///
    /// As [`answer`](Self::answer); [`Error::Stopped`] with the rows that are done.
    pub fn choose(
        &self,
        votes: &[Vote],
        block: &Block,
        done: impl Fn(usize),
    ) -> Result<[Vec<Vec<Pairs>>; 2]> {
        let count = self.set.sessions.len();
        let mut of_members = vec![Vec::new(); count];
        let mut of_votes = vec![Vec::new(); votes.len()];
        let all = block.together(together(self.batch_size));
        for part in self.groups(block) {
            let answers = self.answer(part.clone()).map_err(|error| match error {
                Error::Stopped { .. } => {
                    Error::Stopped { done: part.start - all.start, of: all.len() }
                }
                other => other,
            })?;
            for (row, answers) in part.clone().zip(answers) {
                if !block.contains(row) {
                    continue;
                }
                let targets = targets(&self.rows().examples[row]);
                let at = |place: usize, member: usize| answers[member][place].clone();
                for (member, chosen) in of_members.iter_mut().enumerate() {
                    let class = |place: usize| Vote::Mean.choose(&[at(place, member)]).0;
                    chosen.push(targets.iter().map(|(at, right)| (class(*at), *right)).collect());
                }
                for (vote, chosen) in votes.iter().zip(&mut of_votes) {
                    let class = |place: usize| {
                        vote.choose(&(0..count).map(|member| at(place, member)).collect::<Vec<_>>())
                            .0
                    };
                    chosen.push(targets.iter().map(|(at, right)| (class(*at), *right)).collect());
                }
            }
            done(part.end - all.start);
        }
        Ok([of_members, of_votes])
    }
}

/// The places of the targets of a row among its answers, and the right classes there.
fn targets(example: &Example) -> Vec<(usize, usize)> {
    match &example.target {
        Target::Class(class) => vec![(0, *class)],
        Target::Tokens(classes) => classes
            .iter()
            .enumerate()
            .filter_map(|(place, class)| Some((place, usize::try_from(*class).ok()?)))
            .collect(),
        _ => Vec::new(),
    }
}

/// Whether two adapters read rows in the same way: they were trained with the same settings, but for the seed.
fn reads_alike(one: &Session, other: &Session) -> bool {
    let recipe = |session: &Session| {
        let mut recipe = session.adapter.as_ref()?.config.own.recipe.clone();
        recipe.as_object_mut()?.remove("seed");
        Some(recipe)
    };
    let alike = recipe(one).is_some_and(|known| Some(known) == recipe(other));
    alike
        && one.labels == other.labels
        && one.task == other.task
        && one.problem_type == other.problem_type
        && one.skip_unlabelled == other.skip_unlabelled
}

#[cfg(test)]
mod tests {
    use peft_core::data::IGNORE;

    use super::*;

    #[test]
    fn only_labelled_places_count() {
        let of = |target| targets(&Example::new(vec![1; 3], target, 1));
        assert_eq!(of(Target::Class(2)), [(0, 2)]);
        assert_eq!(of(Target::Tokens(vec![IGNORE, 4, 0])), [(1, 4), (2, 0)]);
        assert_eq!(of(Target::None), []);
    }
}
