//! The scores of an ensemble: of its members, their mean, the best of them, and of votes, as in table 3 of Lester et al.
//! (2021).

use peft_core::{evaluate::Vote, metrics::Metrics};
use serde::Serialize;
use serde_json::Value;

use crate::{output::table, training::ending::Ending};

/// A score of which less is better.
const LESS_IS_BETTER: &str = "invalid";

/// The scores of an ensemble.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Those of each member, by its name.
    pub members: Vec<(String, Metrics)>,
    /// Those of votes.
    pub votes: Vec<(Vote, Metrics)>,
}

/// The table in JSON, whose keys keep this order.
#[derive(Serialize)]
struct Json<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    ending: Option<Ending>,
    members: Vec<Named<'a>>,
    mean: Metrics,
    best: Metrics,
    votes: Votes<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard: Option<&'a Value>,
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
    metrics: &'a Metrics,
}

#[derive(Serialize)]
struct Votes<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    majority: Option<&'a Metrics>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mean: Option<&'a Metrics>,
}

impl Table {
    /// The mean of the members' scores.
    pub fn mean(&self) -> Metrics {
        self.over_members(|_, values| values.iter().sum::<f64>() / values.len() as f64)
    }

    /// For each score that of the member which is best by it.
    pub fn best(&self) -> Metrics {
        self.over_members(|name, values| {
            let better = |a: f64, b: f64| if name == LESS_IS_BETTER { b < a } else { b > a };
            let values = values.iter().copied();
            values.reduce(|a, b| if better(a, b) { b } else { a }).unwrap_or_default()
        })
    }

    fn over_members(&self, of: impl Fn(&str, &[f64]) -> f64) -> Metrics {
        let Some((_, first)) = self.members.first() else { return Metrics::new() };
        let score = |(name, _): (&str, f64)| {
            let values = self.members.iter().filter_map(|(_, metrics)| metrics.get(name));
            (name.to_string(), of(name, &values.collect::<Vec<_>>()))
        };
        first.iter().map(score).collect()
    }

    /// As lines: a row for each member, the mean, the best, and each vote.
    pub fn text(&self) -> String {
        let (mean, best) = (self.mean(), self.best());
        let header: Vec<&str> =
            std::iter::once("adapter").chain(mean.iter().map(|(name, _)| name)).collect();
        let vote = |(vote, metrics): &(Vote, Metrics)| {
            let how = match vote {
                Vote::Majority => "vote: majority",
                Vote::Mean => "vote: mean",
            };
            (how.to_string(), metrics.clone())
        };
        let rows = self.members.iter().cloned();
        let rows = rows.chain([
            ("mean of members".to_string(), mean.clone()),
            ("best member".to_string(), best),
        ]);
        let rows = rows.chain(self.votes.iter().map(vote)).map(|(name, metrics)| {
            let cell = |column: &&str| {
                metrics.get(column).map_or_else(|| "-".into(), |value| format!("{value:.4}"))
            };
            std::iter::once(name).chain(header[1..].iter().map(cell)).collect()
        });
        table(&header, &rows.collect::<Vec<Vec<String>>>())
    }

    /// As a JSON object on a line, with a report of the vote class by class if there is one, and the rows of a part.
    pub fn json(&self, report: Option<&Value>, shard: Option<&Value>) -> String {
        // Names and numbers always have a JSON form.
        serde_json::to_string(&Json { shard, ..self.fields(None, report) }).unwrap_or_default()
    }

    /// As the result of a run that has ended so.
    pub fn result(&self, ending: Ending) -> String {
        serde_json::to_string_pretty(&self.fields(Some(ending), None)).unwrap_or_default()
    }

    fn fields<'a>(&'a self, ending: Option<Ending>, report: Option<&'a Value>) -> Json<'a> {
        let metrics = |how: Vote| {
            self.votes.iter().find(|(vote, _)| *vote == how).map(|(_, metrics)| metrics)
        };
        Json {
            ending,
            members: self.members.iter().map(|(name, metrics)| Named { name, metrics }).collect(),
            mean: self.mean(),
            best: self.best(),
            votes: Votes { majority: metrics(Vote::Majority), mean: metrics(Vote::Mean) },
            report,
            shard: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_their_mean_their_best_and_the_vote_stand_below_each_other() {
        let of =
            |accuracy, invalid| Metrics::from_iter([("accuracy", accuracy), ("invalid", invalid)]);
        let table = Table {
            members: vec![("a".into(), of(0.5, 0.25)), ("b".into(), of(0.75, 0.5))],
            votes: vec![(Vote::Majority, of(1.0, 0.0))],
        };
        assert_eq!(
            table.text(),
            "adapter          accuracy  invalid\na                  0.5000   0.2500\n\
             b                  0.7500   0.5000\nmean of members    0.6250   0.3750\n\
             best member        0.7500   0.2500\nvote: majority     1.0000   0.0000"
        );
        assert_eq!(
            table.json(None, None),
            "{\"members\":[{\"name\":\"a\",\"metrics\":{\"accuracy\":0.5,\"invalid\":0.25}},\
             {\"name\":\"b\",\"metrics\":{\"accuracy\":0.75,\"invalid\":0.5}}],\
             \"mean\":{\"accuracy\":0.625,\"invalid\":0.375},\"best\":{\"accuracy\":0.75,\"invalid\":0.25},\
             \"votes\":{\"majority\":{\"accuracy\":1.0,\"invalid\":0.0}}}"
        );
    }
}
