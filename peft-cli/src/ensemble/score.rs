//! The members of an ensemble and their votes, on rows with targets.

use std::sync::Arc;

use peft_core::{
    Error, PaddingSide, ProblemType, Result, Task,
    data::Labels,
    evaluate::{Assessment, Report, RowsRead, Vote},
    metrics::Metrics,
    text::{Encoded, Record},
};
use serde_json::{Map, Value};

use super::{
    heads::{Voters, together},
    table::Table,
    texts::{self, Named},
};
use crate::{
    adapter_set::AdapterSet,
    class_texts::{
        ranked::{RankBy, report_of},
        scores::{Answer, scores},
        written::scores_of_written,
    },
    decoder_start,
    decoding::{Purpose, settle},
    end_token,
    error::CliResult,
    flags::decoding::DecodingArgs,
    screen::rows::RowsDone,
    shard::{Block, Shard},
    signals::Signals,
    text_settings::TextArgs,
};

/// How a language model names a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The likeliest of the classes.
    Rank(RankBy),
    /// It writes one, in so many new tokens at most, with so many beams if they are given.
    Writing(usize, Option<usize>),
}

/// What is asked of an ensemble.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// How its rows are read.
    pub text: &'a TextArgs,
    /// How it votes.
    pub votes: &'a [Vote],
    /// How a language model names classes.
    pub by: Option<By>,
    /// Rows per batch.
    pub batch_size: usize,
    /// Side of the padding.
    pub padding: PaddingSide,
    /// The part of the rows that is scored; `None` for all.
    pub shard: Option<Shard>,
    /// The rows as the first member reads them with its head, where they are encoded already.
    pub encoded: Option<&'a Arc<Encoded>>,
}

/// What an ensemble scores.
#[derive(Debug)]
pub struct Scored {
    /// The scores of members and votes.
    pub table: Table,
    /// Those of the first vote class by class, where nothing is written.
    pub report: Option<Report>,
    /// The rows that were scored.
    pub block: Block,
    /// What a language model answers to each of them.
    pub rows: Vec<Map<String, Value>>,
}

impl Scored {
    /// That of a part without rows.
    fn nothing(block: Block) -> Self {
        let table = Table { members: Vec::new(), votes: Vec::new() };
        Self { table, report: None, block, rows: Vec::new() }
    }
}

impl Asked<'_> {
    /// Refuses an ensemble whose answers cannot be voted on, with the reason.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`].
    pub fn check(&self, set: &AdapterSet) -> Result<()> {
        let refuse = |message: String| Err(Error::setting("--vote", message));
        let task = set.task()?;
        if let Some(reason) =
            set.sessions.iter().find_map(|one| cannot_vote(task, one.problem_type))
        {
            return refuse(reason);
        }
        if !task.is_language_model() {
            return Ok(());
        }
        if set.sessions.iter().any(|session| session.labels.is_none()) {
            return refuse(FREE_TEXT.into());
        }
        match self.by {
            None => refuse(
                "a language model names classes with --rank-classes (the likeliest of them) or --max-new-tokens (it writes \
                 one): give either of them"
                    .into(),
            ),
            Some(By::Writing(..)) if self.votes.contains(&Vote::Mean) => refuse(
                "texts that were written have no probabilities to average: give --vote majority, or --rank-classes in \
                 place of --max-new-tokens"
                    .into(),
            ),
            Some(_) => Ok(()),
        }
    }

    /// Scores the members of a set and their votes.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check); an error naming the file and line that is wrong; [`Error::Stopped`] if a signal came.
    pub fn score(
        &self,
        set: &AdapterSet,
        records: &[Record],
        signals: &Signals,
    ) -> CliResult<Scored> {
        self.check(set)?;
        set.same_classes()?;
        let labels = set.labels(0);
        let scored = match (self.by, labels) {
            (Some(by), Some(labels)) if set.task()?.is_language_model() => {
                self.of_texts(set, records, (by, labels), signals)?
            }
            _ => self.of_heads(set, records, signals)?,
        };
        set.sessions.iter().try_for_each(|session| session.check_base_sum())?;
        Ok(scored)
    }

    fn of_heads(
        &self,
        set: &AdapterSet,
        records: &[Record],
        signals: &Signals,
    ) -> CliResult<Scored> {
        let tell = |_, _| signals.flow();
        let voters = Voters::knowing(set, self.encoded, (records, self.text), true)?;
        let voters = voters.with_batch_size(self.batch_size).with_padding(self.padding);
        let voters = voters.with_watch(RowsRead(&tell));
        let block = self.block(voters.rows().examples.len());
        if self.shard.is_some() && block.rows.is_empty() {
            return Ok(Scored::nothing(block));
        }
        let total = block.together(together(self.batch_size)).len();
        let done = RowsDone::new("eval", total, &signals.bars());
        let [members, votes] = voters.choose(self.votes, &block, |rows| done.set(rows))?;
        drop(done);
        let (task, labels) = (set.task()?, set.labels(0));
        let assess = |answers| Assessment::of_choices(task, labels, answers);
        let of_members = members.into_iter().map(assess).collect::<Result<Vec<_>>>()?;
        let of_votes = votes.into_iter().map(assess).collect::<Result<Vec<_>>>()?;
        let report = of_votes.first().and_then(|found| found.report.clone());
        let metrics = |all: Vec<Assessment>| all.into_iter().map(|found| found.metrics);
        let table = self.table(set, metrics(of_members), metrics(of_votes));
        Ok(Scored { table, report, block, rows: Vec::new() })
    }

    fn of_texts(
        &self,
        set: &AdapterSet,
        records: &[Record],
        (by, labels): (By, &Labels),
        signals: &Signals,
    ) -> CliResult<Scored> {
        let first = &set.sessions[0];
        let kept = first.with_targets(records, self.text)?;
        let records = &*kept;
        let end = end_token::find(&first.base, &first.dir)?;
        end_token::note(&end, &first.dir);
        let decoding = match by {
            By::Rank(_) => DecodingArgs::default(),
            By::Writing(limit, num_beams) => {
                DecodingArgs { max_new_tokens: Some(limit), num_beams, ..DecodingArgs::default() }
            }
        };
        let config = settle(&decoding, &first.base, &end, Purpose::Scoring)?
            .with_batch_size(self.batch_size);
        decoder_start::note(&first.base);
        let rows = (records, self.text);
        let block = match by {
            By::Rank(_) => self.block(records.len()),
            By::Writing(..) if self.shard.is_some() => {
                return Err(Error::setting("--shard", SHARED_INPUTS).into());
            }
            By::Writing(..) => Block::whole(records.len()),
        };
        if self.shard.is_some() && block.rows.is_empty() {
            return Ok(Scored::nothing(block));
        }
        let named: Named = match by {
            By::Rank(by) => {
                texts::ranked(set, labels, (rows, &block), (&config, by), self.votes, signals)?
            }
            By::Writing(..) => texts::written(set, labels, rows, &config, signals)?,
        };
        let groups = first.groups(&records[block.rows.clone()], self.text)?;
        let of = |answers: &Vec<Answer>| match by {
            By::Rank(_) => scores(answers, labels.len(), groups.as_deref()),
            By::Writing(..) => scores_of_written(answers, labels.len(), groups.as_deref()),
        };
        let table = self.table(set, named.members.iter().map(of), named.votes.iter().map(of));
        let report = match (by, named.votes.first()) {
            (By::Rank(_), Some(answers)) => Some(Report::Classes(report_of(answers, labels)?)),
            _ => None,
        };
        let rows = named.rows(&records[block.rows.clone()], labels);
        Ok(Scored { table, report, block, rows })
    }

    /// The rows that are scored, of `total`.
    fn block(&self, total: usize) -> Block {
        self.shard.map_or_else(|| Block::whole(total), |shard| shard.block(total))
    }

    fn table(
        &self,
        set: &AdapterSet,
        of_members: impl Iterator<Item = Metrics>,
        of_votes: impl Iterator<Item = Metrics>,
    ) -> Table {
        Table {
            members: set.names.iter().cloned().zip(of_members).collect(),
            votes: self.votes.iter().copied().zip(of_votes).collect(),
        }
    }
}

/// Why there is no part of a vote on texts.
const SHARED_INPUTS: &str = "rows of several parts may have the same input, which is written once for all of them: give --rank-classes in place of \
                             --max-new-tokens, or leave this out";

/// Why there is no vote on texts.
pub const FREE_TEXT: &str = "texts that are written freely have no majority and no mean: a vote is on classes, so give them (--labels or \
                             --task-file), and --rank-classes or --max-new-tokens";

/// Why the adapters of a task cannot vote, if they cannot.
pub fn cannot_vote(task: Task, problem_type: ProblemType) -> Option<String> {
    if task == Task::QuestionAns {
        let message = "not used by qa, whose answers are places in a text, not classes: score each adapter by itself";
        return Some(message.into());
    }
    let message = || format!("not used by {problem_type}: a vote chooses one class a row");
    problem_type.has_values().then(message)
}
