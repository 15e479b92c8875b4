//! The frozen model on each device of a run, and who computes with it there.
//!
//! Devices that compute while the host goes on have a thread each for the whole run, which gives them their slices: Burn
//! keeps memory by thread. Replicas on the CPU share its cores as slices of one model do
//! ([`Lanes`](crate::contract::lanes::Lanes)), so that there are never more threads than cores.
//!
//! Nothing waits for another device but the sum at the end of a round, which is made of what has arrived: an error or a
//! panic is an answer like any other, and ends the run.

use std::{
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
    threads: Option<Vec<Worker<'a>>>,
}

/// The thread of a replica: slices go there, and their answers come back in the same order. Its ends of both channels are
/// gone once it has ended, so that nobody waits for what it was to answer.
struct Worker<'a> {
    jobs: Sender<Job<'a>>,
    answers: Receiver<Answer>,
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
    /// [`Error::Mismatch`] for a replica of other sizes or on another kind of device; [`Error::Replica`] if the system
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
            let mut workers = Vec::with_capacity(of);
            for replica in &team.replicas {
                let ((jobs, take), (send, answers)) = (channel::<Job<'a>>(), channel());
                let (own, frozen) = (replica.clone(), team.frozen.clone());
                let work = move || {
                    // Ends when the team does.
                    for job in take {
                        if send.send(own.answer(&frozen, job)).is_err() {
                            return;
                        }
                    }
                };
                let thread = Builder::new().name(format!("replica {}", replica.number));
                thread
                    .stack_size(STACK)
                    .spawn_scoped(scope, work)
                    .map_err(|error| replica.failed(error.to_string()))?;
                workers.push(Worker { jobs, answers });
            }
            team.threads = Some(workers);
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
            Some(workers) => self.by_threads(workers, jobs),
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

    fn by_threads(&self, workers: &[Worker<'a>], jobs: Vec<Job<'a>>) -> Vec<Answer> {
        let sent: Vec<bool> = jobs
            .into_iter()
            .enumerate()
            .map(|(place, job)| workers[self.replica_at(place)].jobs.send(job).is_ok())
            .collect();
        // All of a round, also behind an error: the next round's must not be taken for them.
        let answer = |(place, sent): (usize, bool)| {
            let at = self.replica_at(place);
            let answer = if sent { workers[at].answers.recv().ok() } else { None };
            answer.unwrap_or_else(|| Err(self.replicas[at].failed("its thread has ended".into())))
        };
        sent.into_iter().enumerate().map(answer).collect()
    }
}

impl Replica<'_> {
    /// Refuses a model of other sizes than the first, or another kind of device.
    fn check(&self, first: &dyn FrozenModel) -> Result<()> {
        let Self { model, number, of, home } = self;
        if model.spec() != first.spec() {
            let (one, other) = (&first.spec().model_type, &model.spec().model_type);
            return Err(Error::Mismatch(format!(
                "replica {number} of {of} is another model than the first: expected this {one} with the same sizes, found \
                 {other}"
            )));
        }
        if model.scales_loss() != first.scales_loss() {
            return Err(Error::Mismatch(format!(
                "replica {number} of {of} multiplies in another type than the first: expected all or none of them in f16"
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
        guard::caught(compute).unwrap_or_else(|panic| Err(self.failed(guard::said(panic.as_ref()))))
    }

    fn failed(&self, message: String) -> Error {
        let device = format!("{:?}", self.model.device());
        Error::Replica { number: self.number, of: self.of, device, message }
    }
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{
        super::{
            batch_loss::Rows,
            config::TrainConfig,
            test_model::{TinyModel, examples},
        },
        *,
    };
    use crate::{
        contract::{spec::Topology, task::Task, virtual_tokens::VirtualTokens},
        data::Batch,
        evaluate::StatesRoom,
    };

    /// Whoever waits for the slices of a thread that has ended is told so, and what others answered is not left for the
    /// next round.
    #[test]
    fn a_thread_that_has_ended_is_an_error_and_nobody_waits_for_it() {
        let model = TinyModel::new(Topology::DecoderOnly);
        let config = TrainConfig::new(Task::CausalLm);
        let rows = examples(2, Task::CausalLm);
        let job = || Job {
            config: &config,
            rows: Rows::new(&rows, Batch { rows: vec![0, 1], packed: None }),
            virtual_tokens: VirtualTokens::none(),
            head: None,
            total: 1.0,
            loss_scale: None,
        };
        let mut team =
            Team::alone(&model, Arc::new(FrozenStates::new(StatesRoom::default(), None)));
        let second = Replica { number: 2, of: 2, ..team.replicas[0].clone() };
        team.replicas.push(second);
        // The first is alive and has answered; the second has let go of both channels.
        let ((jobs, _taken), (send, answers)) = (channel(), channel());
        for _ in 0..2 {
            send.send(Ok(None)).unwrap();
        }
        let alive = Worker { jobs, answers };
        let ended = Worker { jobs: channel().0, answers: channel().1 };
        team.threads = Some(vec![alive, ended]);
        let error = team.compute(vec![job(), job(), job()]).err().unwrap();
        assert!(
            matches!(&error, Error::Replica { number: 2, message, .. } if message == "its thread has ended"),
            "{error}"
        );
        assert!(team.threads.unwrap()[0].answers.try_recv().is_err());
    }
}
