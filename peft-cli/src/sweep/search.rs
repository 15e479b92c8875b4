//! Values that are drawn.

use std::collections::HashSet;

use peft_core::contract::rng;
use rand::Rng;
use toml::{Table, Value};

use super::values::{check_name, check_value};

const PLACE: &str = "[search]";

/// The most draws.
const MOST: i64 = 100_000;

/// Digits that a drawn number has, so that it can stand in a name.
const DIGITS: usize = 4;

/// Draws of some settings.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Search {
    /// How many draws there are.
    pub count: usize,
    seed: u64,
    settings: Vec<(String, Range)>,
}

/// Where a value is drawn from.
#[derive(Clone, Debug, PartialEq)]
enum Range {
    /// Each value as likely.
    Uniform(f64, f64),
    /// Each factor as likely.
    LogUniform(f64, f64),
    /// Each whole number as likely, both ends included.
    Integers(i64, i64),
    /// One of these.
    Choice(Vec<Value>),
}

impl Search {
    /// Reads the table.
    ///
    /// # Errors
    ///
    /// What is wrong, with its key.
    pub fn parse(value: Value) -> Result<Self, String> {
        let Value::Table(mut table) = value else {
            return Err("`search`: expected a table, headed [search]".into());
        };
        let count =
            table.remove("count").ok_or("`count` is missing in [search]: how many draws")?;
        let Some(count @ 1..=MOST) = count.as_integer() else {
            return Err(format!("`count = {count}` in {PLACE}: expected 1 to {MOST}"));
        };
        let seed = match table.remove("seed") {
            None => 0,
            Some(seed) => {
                let found = seed.as_integer().and_then(|seed| u64::try_from(seed).ok());
                found.ok_or(format!(
                    "`seed = {seed}` in {PLACE}: expected the seed of the draws, a number from 0 up"
                ))?
            }
        };
        let mut settings = Vec::new();
        for (name, value) in table {
            check_name(&name, PLACE)?;
            let range = Range::parse(&name, &value)?;
            for end in range.ends() {
                check_value(&name, &end, PLACE)?;
            }
            settings.push((name, range));
        }
        match settings.is_empty() {
            true => Err("[search] draws nothing: expected settings, such as lr = { log_uniform = [1e-4, 1e-1] }".into()),
            false => Ok(Self { count: count as usize, seed, settings }),
        }
    }

    /// The settings that are drawn.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.settings.iter().map(|(name, _)| name.as_str())
    }

    /// The draws that differ, in their order: a choice of few values soon repeats itself.
    pub fn draws(&self) -> Vec<Table> {
        let mut seen = HashSet::new();
        let draws = (0..self.count).map(|index| self.draw(index));
        draws.filter(|draw| seen.insert(draw.to_string())).collect()
    }

    /// The values of one draw. They do not depend on how many draws there are, nor on other settings.
    pub fn draw(&self, index: usize) -> Table {
        let value = |(name, range): &(String, Range)| {
            let mut draws = rng::stream(self.seed, index as u64, &format!("sweep/{name}"));
            (name.clone(), range.draw(&mut draws))
        };
        self.settings.iter().map(value).collect()
    }
}

impl Range {
    fn parse(name: &str, value: &Value) -> Result<Self, String> {
        let kinds = "{ uniform = [a, b] }, { log_uniform = [a, b] }, { integers = [a, b] } or { choice = [...] }";
        let wrong = || format!("`{name} = {value}` in {PLACE}: expected {kinds}");
        let table = value.as_table().filter(|table| table.len() == 1).ok_or_else(wrong)?;
        let (kind, values) = table.iter().next().ok_or_else(wrong)?;
        let values = values.as_array().ok_or_else(wrong)?;
        let number =
            |value: &Value| value.as_float().or(value.as_integer().map(|value| value as f64));
        let ends =
            |least: f64| match values.iter().map(number).collect::<Option<Vec<_>>>().as_deref() {
                Some([low, high]) if low < high && *low > least && high.is_finite() => {
                    Ok((*low, *high))
                }
                _ => Err(format!(
                    "`{name} = {value}` in {PLACE}: expected two numbers, the smaller one first{}",
                    if least == 0.0 { ", both above 0" } else { "" }
                )),
            };
        match kind.as_str() {
            "uniform" => ends(f64::NEG_INFINITY).map(|(low, high)| Self::Uniform(low, high)),
            "log_uniform" => ends(0.0).map(|(low, high)| Self::LogUniform(low, high)),
            "integers" => {
                match values.iter().map(Value::as_integer).collect::<Option<Vec<_>>>().as_deref() {
                    Some([low, high]) if low < high => Ok(Self::Integers(*low, *high)),
                    _ => Err(format!(
                        "`{name} = {value}` in {PLACE}: expected two whole numbers, the smaller one first"
                    )),
                }
            }
            "choice" if !values.is_empty() => Ok(Self::Choice(values.clone())),
            _ => Err(wrong()),
        }
    }

    /// The values that a setting has to take.
    fn ends(&self) -> Vec<Value> {
        match self {
            Self::Uniform(low, high) | Self::LogUniform(low, high) => {
                vec![(*low).into(), (*high).into()]
            }
            Self::Integers(low, high) => vec![(*low).into(), (*high).into()],
            Self::Choice(values) => values.clone(),
        }
    }

    fn draw(&self, draws: &mut impl Rng) -> Value {
        match self {
            Self::Uniform(low, high) => rounded(draws.random_range(*low..*high)).into(),
            Self::LogUniform(low, high) => {
                rounded(draws.random_range(low.ln()..high.ln()).exp()).into()
            }
            Self::Integers(low, high) => draws.random_range(*low..=*high).into(),
            Self::Choice(values) => values[draws.random_range(0..values.len())].clone(),
        }
    }
}

/// A number in few digits.
fn rounded(value: f64) -> f64 {
    // What was written can be read.
    format!("{value:.*e}", DIGITS - 1).parse().unwrap_or(value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn search(text: &str) -> Result<Search, String> {
        Search::parse(Value::Table(toml::from_str(text).unwrap()))
    }

    #[test]
    fn draws_stay_in_their_range_and_come_again() {
        let text = "count = 9\nlr = {log_uniform = [1e-4, 1e-1]}\nweight_decay = {uniform = [0, 2]}\n\
                    num_virtual_tokens = {integers = [1, 3]}\ninit = {choice = [\"vocab\", \"random\"]}";
        let found = search(text).unwrap();
        let (mut below, mut decays, mut counts) = (0, 0.0, [0; 4]);
        for index in 0..2000 {
            let drawn = found.draw(index);
            let lr = drawn["lr"].as_float().unwrap();
            assert!((1e-4..=1e-1).contains(&lr) && format!("{lr:e}").len() <= 8, "{lr}");
            below += usize::from(lr < 3.1623e-3);
            decays += drawn["weight_decay"].as_float().unwrap();
            counts[drawn["num_virtual_tokens"].as_integer().unwrap() as usize] += 1;
            assert!(["vocab", "random"].contains(&drawn["init"].as_str().unwrap()));
        }
        // Half of the factors, half of the range, a third of the numbers.
        assert!((900..1100).contains(&below), "{below}");
        assert!((decays / 2000.0 - 1.0).abs() < 0.06, "{decays}");
        assert!(
            counts[0] == 0 && counts[1..].iter().all(|count| (580..760).contains(count)),
            "{counts:?}"
        );
        let fewer = search("count = 2\nlr = {log_uniform = [1e-4, 1e-1]}").unwrap();
        assert_eq!(fewer.draw(1)["lr"], found.draw(1)["lr"]);
        let other = search("count = 2\nseed = 1\nlr = {log_uniform = [1e-4, 1e-1]}").unwrap();
        assert_ne!(other.draw(1)["lr"], found.draw(1)["lr"]);
    }

    #[test]
    fn draws_that_repeat_others_are_left_out() {
        let found = search("count = 20\ninit = {choice = [\"vocab\", \"random\"]}").unwrap();
        let draws = found.draws();
        assert_eq!(draws.len(), 2);
        assert!(draws[0] == found.draw(0) && draws[0] != draws[1]);
    }

    #[test]
    fn what_cannot_be_drawn_is_named() {
        for (text, says) in [
            ("lr = {uniform = [0, 1]}", "`count` is missing"),
            ("count = 0\nlr = {uniform = [0, 1]}", "`count = 0` in [search]: expected 1 to"),
            ("count = 1", "draws nothing"),
            ("count = 1\nlr = 0.1", "`lr = 0.1` in [search]: expected { uniform"),
            ("count = 1\nlr = {uniform = [1, 0]}", "the smaller one first"),
            ("count = 1\nlr = {log_uniform = [0, 1]}", "both above 0"),
            ("count = 1\nlr = {choice = []}", "expected { uniform"),
            ("count = 1\nlr = {normal = [0, 1]}", "expected { uniform"),
            (
                "count = 1\nnum_virtual_tokens = {uniform = [1, 9]}",
                "`num_virtual_tokens = 1.0` in [search]: ",
            ),
            ("count = 1\nseed = -1\nlr = {uniform = [0, 1]}", "the seed of the draws"),
        ] {
            let found = search(text).unwrap_err();
            assert!(found.contains(says), "{text}: {found}");
        }
    }
}
