//! The frozen model on each device of a run, and who computes with it there.
//!
//! Devices that compute while the host goes on have a thread each for the whole run, which gives them their slices: Burn
//! keeps memory by thread. Replicas on the CPU share its cores as slices of one model do
//! ([`Lanes`](crate::contract::lanes::Lanes)), so that there are never more threads than cores.
//!
//! Nothing waits for another device but the sum at the end of a round, which is made of what has arrived: an error or a
//! panic is an answer like any other, and ends the run.

use std::{
    any::Any,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread::{Builder, Scope},
};

use burn::tensor::Device;

use super::slice_gradient::{Job, Part, gradient_of_slice};
use crate::{
    contract::{
        frozen::FrozenModel,
        lanes::{Lanes, side_by_side},
    },
    error::{Error, Result},
    evaluate::frozen_states::FrozenStates,
    guard,
};

/// Bytes of a thread's stack: those of the main thread, which would compute otherwise.
const STACK: usize = 8 << 20;

/// What became of a slice.
type Answer = Result<Option<Part>>;

/// The replicas of a run. The first is where what is trained lives.
pub(super) struct Team<'a> {
    replicas: Vec<Replica<'a>>,
    frozen: Arc<FrozenStates>,
    /// Where devices compute while the host goes on.
    threads: Option<Threads<'a>>,
}

/// The threads of the replicas. A slice goes there, and its answer comes back, with its place in the round.
struct Threads<'a> {
    /// One for each replica.
    jobs: Vec<Sender<(usize, Job<'a>)>>,
    answered: Receiver<(usize, Answer)>,
}

/// One of them.
#[derive(Clone)]
struct Replica<'a> {
    model: &'a dyn FrozenModel,
    /// Counted from 1.
    number: usize,
    of: usize,
    /// The device of the first.
    home: Device,
}

impl<'a> Team<'a> {
    /// A model on one device.
    pub(super) fn alone(model: &'a dyn FrozenModel, frozen: Arc<FrozenStates>) -> Self {
        let replica = Replica { model, number: 1, of: 1, home: model.device() };
        Self { replicas: vec![replica], frozen, threads: None }
    }

    /// A model with replicas on `others`; their threads end with the team.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] for a replica of another model or on another kind of device; [`Error::Replica`] if the system
    /// gives no thread.
    pub(super) fn new<'scope>(
        scope: &'scope Scope<'scope, '_>,
        model: &'a dyn FrozenModel,
        others: &'a [Arc<dyn FrozenModel>],
        frozen: Arc<FrozenStates>,
    ) -> Result<Self>
    where
        'a: 'scope,
    {
        let mut team = Self::alone(model, frozen);
        let (of, home) = (1 + others.len(), model.device());
        for (index, other) in others.iter().enumerate() {
            let replica =
                Replica { model: other.as_ref(), number: index + 2, of, home: home.clone() };
            replica.check(model)?;
            team.replicas.push(replica);
        }
        team.replicas[0].of = of;
        if of > 1 && model.reads_wait() {
            let (answers, answered) = channel();
            let mut jobs = Vec::with_capacity(of);
            for replica in &team.replicas {
                let (send, take) = channel::<(usize, Job<'a>)>();
                let (own, frozen, answers) =
                    (replica.clone(), team.frozen.clone(), answers.clone());
                let work = move || {
                    // Ends when the team does.
                    for (index, job) in take {
                        if answers.send((index, own.answer(&frozen, job))).is_err() {
                            return;
                        }
                    }
                };
                let thread = Builder::new().name(format!("replica {}", replica.number));
                thread
                    .stack_size(STACK)
                    .spawn_scoped(scope, work)
                    .map_err(|error| replica.failed(error.to_string()))?;
                jobs.push(send);
            }
            team.threads = Some(Threads { jobs, answered });
        }
        Ok(team)
    }

    /// The model of the first replica.
    pub(super) fn first(&self) -> &'a dyn FrozenModel {
        self.replicas[0].model
    }

    /// The number of replicas.
    pub(super) fn len(&self) -> usize {
        self.replicas.len()
    }

    /// The device of each replica.
    pub(super) fn devices(&self) -> impl Iterator<Item = Device> + '_ {
        self.replicas.iter().map(|replica| replica.model.device())
    }

    /// The replica that computes the slice at a place of a round.
    pub(super) fn replica_at(&self, place: usize) -> usize {
        place % self.len()
    }

    /// Computes the slices of a round, each on the replica of its place; what they add comes in their order, on the
    /// first device, `None` for one without targets.
    ///
    /// # Errors
    ///
    /// The first error in their order; [`Error::Replica`] where one of several replicas panicked.
    pub(super) fn compute(&self, jobs: Vec<Job<'a>>) -> Result<Vec<Option<Part>>> {
        let answers = match &self.threads {
            Some(threads) => self.by_threads(threads, jobs),
            None => {
                let (replicas, frozen) = (&self.replicas, self.frozen.as_ref());
                let placed = jobs.into_iter().enumerate().collect();
                side_by_side(self.first().lanes(), placed, |(place, job): (usize, Job<'a>)| {
                    replicas[place % replicas.len()].answer(frozen, job)
                })
            }
        };
        answers.into_iter().collect()
    }

    fn by_threads(&self, threads: &Threads<'a>, jobs: Vec<Job<'a>>) -> Vec<Answer> {
        // What is never answered was lost with its thread.
        let lost = |place: usize| {
            Err(self.replicas[self.replica_at(place)].failed("its thread has ended".into()))
        };
        let mut answers: Vec<Answer> = (0..jobs.len()).map(lost).collect();
        let mut open = 0;
        for (place, job) in jobs.into_iter().enumerate() {
            let sent = threads.jobs[self.replica_at(place)].send((place, job));
            open += usize::from(sent.is_ok());
        }
        // All of a round, also behind an error: the next round's must not be taken for them.
        while open > 0
            && let Ok((place, answer)) = threads.answered.recv()
        {
            answers[place] = answer;
            open -= 1;
        }
        answers
    }
}

impl Replica<'_> {
    /// Refuses another model than the first, or another kind of device.
    fn check(&self, first: &dyn FrozenModel) -> Result<()> {
        let Self { model, number, of, home } = self;
        if model.spec() != first.spec() {
            let (one, other) = (&first.spec().model_type, &model.spec().model_type);
            return Err(Error::Mismatch(format!(
                "replica {number} of {of} is another model than the first: expected this {one} with the same sizes, found \
                 {other}"
            )));
        }
        if model.reads_wait() != first.reads_wait() {
            return Err(Error::Mismatch(format!(
                "replica {number} of {of} is on {:?} and the first on {home:?}: expected devices of one kind, only \
                 processors or only GPUs",
                model.device()
            )));
        }
        Ok(())
    }

    /// Computes a slice and brings what it adds to the first device. Of several replicas, a panic is an error.
    fn answer(&self, frozen: &FrozenStates, job: Job<'_>) -> Answer {
        let compute = || {
            let part = gradient_of_slice((self.model, frozen), job)?;
            Ok(part.map(|part| part.on(&self.home)))
        };
        if self.of == 1 {
            return compute();
        }
        // The run ends with the error, so nothing that the panic left half done is looked at again.
        guard::caught(compute).unwrap_or_else(|panic| Err(self.failed(said(panic.as_ref()))))
    }

    fn failed(&self, message: String) -> Error {
        let device = format!("{:?}", self.model.device());
        Error::Replica { number: self.number, of: self.of, device, message }
    }
}

/// The message of a panic.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_string());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "it panicked".into())
}

/// Lanes that divide a batch into at least so many slices.
#[derive(Debug)]
pub(super) struct AtLeast<'a>(pub(super) usize, pub(super) &'a dyn Lanes);

impl Lanes for AtLeast<'_> {
    fn workers(&self) -> usize {
        self.1.workers()
    }

    fn slices(&self, positions: usize) -> usize {
        self.1.slices(positions).max(self.0)
    }

    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        self.1.run(count, work);
    }
}
