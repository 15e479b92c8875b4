//! Adapters of a language model that name classes: the likeliest of them, or texts that they write.

use peft_core::{
    Error, Result,
    data::Labels,
    evaluate::{Vote, plurality},
    text::{Encoded, Record},
};
use peft_models::generate::GenerateConfig;
use serde_json::{Map, Value, json};

use crate::{
    adapter_set::AdapterSet,
    class_texts::{
        ranked::{RankBy, rank},
        scores::Answer,
        written::answers_of,
    },
    generation_scores::write,
    predictions::Given,
    session::Session,
    shard::Block,
    signals::Signals,
    text_settings::TextArgs,
};

/// The answers of each member, and of each of the votes, to all rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Of each member.
    pub members: Vec<Vec<Answer>>,
    /// Of each vote.
    pub votes: Vec<Vec<Answer>>,
}

/// The likeliest class of the rows of a block by each member, and by votes: that which most members find likeliest (a tie goes to the larger sum
/// over the members of its log-likelihood, then to the first), or that with the largest sum.
///
/// # Errors
///
/// As [`rank`].
pub fn ranked(
    set: &AdapterSet,
    labels: &Labels,
    ((records, text), block): ((&[Record], &TextArgs), &Block),
    (config, by): (&GenerateConfig, RankBy),
    votes: &[Vote],
    signals: &Signals,
) -> Result<Named> {
    let mut of_members = Vec::with_capacity(set.sessions.len());
    for session in &set.sessions {
        let encoded = session.encode_records(records, text, true)?;
        session.check_lengths(&encoded, 0)?;
        check_all(set, session, (records, &encoded))?;
        let rows = (records, &encoded);
        let of_block = (None, block);
        of_members.push(rank(session, labels, rows, text, (config, by), of_block, signals)?);
    }
    let of_vote = |vote: &Vote| -> Vec<Answer> {
        let of_row = |row: usize| {
            let all: Vec<Vec<f64>> =
                of_members.iter().map(|ranked| ranked.compared[row].clone()).collect();
            (Some(vote.choose_by_log_likelihoods(&all)), of_members[0].answers[row].1)
        };
        (0..block.rows.len()).map(of_row).collect()
    };
    let votes = votes.iter().map(of_vote).collect();
    Ok(Named { votes, members: of_members.into_iter().map(|ranked| ranked.answers).collect() })
}

/// The classes that members write, and the one that most of them do ([`plurality`]).
///
/// # Errors
///
/// [`Error::Data`] at a row whose target is none of the classes; as [`write()`].
pub fn written(
    set: &AdapterSet,
    labels: &Labels,
    (records, text): (&[Record], &TextArgs),
    config: &GenerateConfig,
    signals: &Signals,
) -> Result<Named> {
    let mut members: Vec<Vec<Answer>> = Vec::with_capacity(set.sessions.len());
    for session in &set.sessions {
        let encoded = session.encode_records(records, text, true)?;
        session.check_lengths(&encoded, 0)?;
        check_all(set, session, (records, &encoded))?;
        let all = Block::whole(encoded.examples.len());
        let (written, _) = write(session, &encoded, &all, config, signals)?;
        members.push(answers_of(session, labels, &encoded, &written, config)??);
    }
    let of_row = |row: usize| {
        let named: Vec<Option<usize>> = members.iter().map(|answers| answers[row].0).collect();
        (plurality(&named), members[0][row].1)
    };
    let votes = vec![(0..records.len()).map(of_row).collect()];
    Ok(Named { members, votes })
}

/// Refuses a member that leaves rows out which the others read: answers belong to rows by their places.
fn check_all(
    set: &AdapterSet,
    session: &Session,
    (records, encoded): (&[Record], &Encoded),
) -> Result<()> {
    if encoded.left_out.is_empty() {
        return Ok(());
    }
    let member = set.sessions.iter().position(|other| std::ptr::eq(other, session));
    let message = format!(
        "{} reads {} of {} rows: say for all of them whether rows without a target are left out (--skip-unlabelled)",
        set.names[member.unwrap_or_default()],
        encoded.records(),
        records.len()
    );
    Err(Error::setting("--vote", message))
}

impl Named {
    /// The rows with the class of the first vote (`label`), the right one (`reference`), and what each member names
    /// (`votes`); `null` for a text that is no class.
    pub fn rows(&self, records: &[Record], labels: &Labels) -> Vec<Map<String, Value>> {
        let name = |class: Option<usize>| json!(class.and_then(|class| labels.name(class)));
        let row = |(row, record): (usize, &Record)| {
            let mut fields = Map::new();
            Given { fields: true }.add(record, &mut fields);
            let (found, right) = self.votes[0][row];
            fields.insert("label".into(), name(found));
            fields.insert("reference".into(), name(Some(right)));
            let votes = self.members.iter().map(|answers| name(answers[row].0));
            fields.insert("votes".into(), votes.collect());
            fields
        };
        records.iter().enumerate().map(row).collect()
    }
}
