//! Which tasks of a joint run a batch is of.

use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::{
    contract::rng,
    error::{Error, Result},
};

/// How the batches of several tasks are mixed. All rows of a batch are of one task, since each task has its own head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mixing {
    /// Each step learns from all tasks: `accumulation` batches of each. The gradient of the virtual tokens is the sum of
    /// those of the tasks.
    #[default]
    All,
    /// The tasks take turns, batch by batch, in their order.
    Turns,
    /// The task of each batch is drawn by the seed: task t with a probability in proportion to `n_t ^ (1 / temperature)`
    /// for its n_t training rows. At 1 rows of all tasks are equally likely, at infinity all tasks are.
    Drawn {
        /// Above 0.
        temperature: f64,
    },
}

impl Mixing {
    /// Checks the temperature.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if it is not above 0.
    pub fn validate(&self) -> Result<()> {
        match self {
            // Infinite is allowed: it draws all tasks alike.
            Self::Drawn { temperature } if temperature.is_nan() || *temperature <= 0.0 => {
                let message = format!("found {temperature}, expected a number above 0");
                Err(Error::setting("temperature", message))
            }
            _ => Ok(()),
        }
    }

    /// The places of an epoch, each for one batch or for one of each task, where an epoch of task t has `batches[t]`
    /// batches: with [`Mixing::All`] and [`Mixing::Turns`] as many as visit every row of the largest task once, and with
    /// [`Mixing::Drawn`] as many as all tasks have batches.
    pub fn places_per_epoch(&self, batches: &[usize]) -> usize {
        let most = batches.iter().copied().max().unwrap_or(0);
        match self {
            Self::All => most,
            Self::Turns => most.saturating_mul(batches.len()),
            Self::Drawn { .. } => batches.iter().sum(),
        }
    }

    /// How many batches of each task, with so many training rows, that many places have; of drawn ones how many are
    /// expected.
    pub(super) fn batches_in(&self, places: usize, rows: &[usize]) -> Vec<usize> {
        match self {
            Self::All => vec![places; rows.len()],
            Self::Turns => (0..rows.len())
                .map(|task| places / rows.len() + usize::from(task < places % rows.len()))
                .collect(),
            Self::Drawn { temperature } => {
                let shares = shares(rows, *temperature);
                shares.into_iter().map(|share| (share * places as f64) as usize).collect()
            }
        }
    }
}

/// The task of each batch of a run: a pure function of the seed and the number of the batch.
#[derive(Clone, Debug)]
pub(super) struct TaskOrder {
    mixing: Mixing,
    seed: u64,
    /// The sum of the probabilities up to each task, if they are drawn.
    up_to: Vec<f64>,
    tasks: usize,
    /// How many batches of each task the first `place` places had, if they are drawn.
    drawn: (usize, Vec<usize>),
}

impl TaskOrder {
    /// That of tasks with so many training rows each.
    pub(super) fn new(mixing: Mixing, seed: u64, rows: &[usize]) -> Self {
        let up_to = match mixing {
            Mixing::Drawn { temperature } => cumulated(rows, temperature),
            Mixing::All | Mixing::Turns => Vec::new(),
        };
        Self { mixing, seed, up_to, tasks: rows.len(), drawn: (0, vec![0; rows.len()]) }
    }

    /// The batches in a place of a step, counted from 0 over the whole run: each by its task, and by how many batches of
    /// that task there were before.
    pub(super) fn at(&mut self, place: usize) -> Vec<(usize, usize)> {
        match self.mixing {
            Mixing::All => (0..self.tasks).map(|task| (task, place)).collect(),
            Mixing::Turns => vec![(place % self.tasks, place / self.tasks)],
            Mixing::Drawn { .. } => {
                let (mut next, mut counts) = std::mem::take(&mut self.drawn);
                if place < next {
                    (next, counts) = (0, vec![0; self.tasks]);
                }
                for earlier in next..place {
                    counts[self.draw(earlier)] += 1;
                }
                let task = self.draw(place);
                let found = (task, counts[task]);
                counts[task] += 1;
                self.drawn = (place + 1, counts);
                vec![found]
            }
        }
    }

    fn draw(&self, place: usize) -> usize {
        let drawn: f64 = rng::stream(self.seed, place as u64, "tasks/draw").random();
        // Sums of rounded parts may end below 1.
        self.up_to.iter().position(|up_to| drawn < *up_to).unwrap_or(self.tasks - 1)
    }
}

/// The probabilities of tasks with so many rows.
fn shares(rows: &[usize], temperature: f64) -> Vec<f64> {
    // Of parts of the largest, so that a low temperature does not overflow.
    let most = rows.iter().copied().max().unwrap_or(1).max(1) as f64;
    let shares: Vec<f64> =
        rows.iter().map(|rows| (*rows as f64 / most).powf(temperature.recip())).collect();
    let all: f64 = shares.iter().sum();
    shares.into_iter().map(|share| share / all).collect()
}

/// The sums of the probabilities of tasks with so many rows.
fn cumulated(rows: &[usize], temperature: f64) -> Vec<f64> {
    let mut sum = 0.0;
    let add = |share: f64| {
        sum += share;
        sum
    };
    shares(rows, temperature).into_iter().map(add).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(mixing: Mixing, rows: &[usize], places: usize) -> Vec<usize> {
        let mut order = TaskOrder::new(mixing, 7, rows);
        let mut counts = vec![0; rows.len()];
        for place in 0..places {
            for (task, index) in order.at(place) {
                assert_eq!(index, counts[task], "{mixing:?}, place {place}");
                counts[task] += 1;
            }
        }
        counts
    }

    #[test]
    fn each_batch_of_a_task_comes_once_and_in_order() {
        assert_eq!(counts(Mixing::All, &[5, 9], 10), [10, 10]);
        assert_eq!(counts(Mixing::Turns, &[5, 9, 1], 10), [4, 3, 3]);
        let drawn = |temperature| counts(Mixing::Drawn { temperature }, &[900, 100], 4000);
        let share = |temperature| drawn(temperature)[0] as f64 / 4000.0;
        assert!((share(1.0) - 0.9).abs() < 0.02, "{}", share(1.0));
        assert!((share(2.0) - 0.75).abs() < 0.02, "{}", share(2.0));
        assert!((share(f64::INFINITY) - 0.5).abs() < 0.02, "{}", share(f64::INFINITY));
        assert_eq!(drawn(1e-3), [4000, 0]);
        for mixing in [Mixing::All, Mixing::Turns] {
            assert_eq!(mixing.batches_in(10, &[5, 9, 1]), counts(mixing, &[5, 9, 1], 10));
        }
        assert_eq!(Mixing::Drawn { temperature: 2.0 }.batches_in(4001, &[900, 100]), [3000, 1000]);
    }

    /// So a resumed run draws what it would have drawn.
    #[test]
    fn a_place_does_not_depend_on_what_was_asked_before() {
        for mixing in [Mixing::All, Mixing::Turns, Mixing::Drawn { temperature: 2.0 }] {
            let mut order = TaskOrder::new(mixing, 3, &[40, 10, 25]);
            let all: Vec<_> = (0..60).map(|place| order.at(place)).collect();
            for place in [59, 0, 17, 18, 5] {
                assert_eq!(order.at(place), all[place], "{mixing:?}");
                assert_eq!(TaskOrder::new(mixing, 3, &[40, 10, 25]).at(place), all[place]);
            }
        }
    }

    #[test]
    fn an_epoch_visits_the_largest_task_once() {
        let places = |mixing: Mixing| mixing.places_per_epoch(&[4, 1]);
        assert_eq!((places(Mixing::All), places(Mixing::Turns)), (4, 8));
        assert_eq!(places(Mixing::Drawn { temperature: 1.0 }), 5);
        let refused = |temperature| Mixing::Drawn { temperature }.validate().is_err();
        assert!(refused(0.0) && refused(-1.0) && refused(f64::NAN) && !refused(f64::INFINITY));
    }
}
