//! This process among those of a run.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};

use peft_core::{Error, Result, train::Peers};
use serde::{Deserialize, Serialize};

use super::{cores::Cores, transport::Transport};
use crate::signals::Signals;

/// Where a process is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The name of its machine.
    pub host: String,
    /// The cores that it may use.
    pub cores: Cores,
}

/// This process.
#[derive(Debug)]
pub struct Member {
    transport: Box<dyn Transport>,
    /// By rank.
    places: Vec<Place>,
    signals: OnceLock<Signals>,
    parted: AtomicBool,
}

impl Member {
    /// This process, which is at this place, among those that `transport` leads to.
    ///
    /// # Errors
    ///
    /// [`Error::Peer`] if another process is gone.
    pub fn new(transport: Box<dyn Transport>, own: &Place) -> Result<Self> {
        let told = serde_json::to_vec(own).map_err(|error| unreadable(&error))?;
        let all = transport.exchange(vec![told; transport.size()])?;
        let read = |bytes: &Vec<u8>| serde_json::from_slice(bytes);
        let places =
            all.iter().map(read).collect::<Result<_, _>>().map_err(|error| unreadable(&error))?;
        Ok(Self { transport, places, signals: OnceLock::new(), parted: AtomicBool::new(false) })
    }

    /// Whether this process leads the others.
    pub fn leads(&self) -> bool {
        self.rank() == 0
    }

    /// What messages call this process.
    pub fn own_name(&self) -> String {
        self.name(self.rank())
    }

    /// The processes on the machine of this one, by rank, with their cores.
    fn local(&self) -> impl Iterator<Item = (usize, &Cores)> {
        let host = &self.places[self.rank()].host;
        let here = self.places.iter().enumerate().filter(move |(_, place)| place.host == *host);
        here.map(|(rank, place)| (rank, &place.cores))
    }

    /// The place of this process among those of its machine, and their number.
    pub fn local_place(&self) -> (usize, usize) {
        let before = self.local().filter(|(rank, _)| *rank < self.rank()).count();
        (before, self.local().count())
    }

    /// The threads that this process should compute with.
    pub fn threads(&self) -> usize {
        let all: Vec<&Cores> = self.local().map(|(_, cores)| cores).collect();
        self.places[self.rank()].cores.threads(&all)
    }

    /// What is to be said where a launcher keeps the processes of this machine from cores that it may use itself.
    pub fn note_of_cores(&self) -> Option<String> {
        let all: Vec<&Cores> = self.local().map(|(_, cores)| cores).collect();
        let (used, there_are) = (Cores::of_all(&all)?, Cores::of_launcher()?);
        (used < there_are).then(|| {
            format!(
                "the launcher lets the {} processes on {} use {used} of {there_are} cores: mpirun --bind-to none, or srun \
                 --cpu-bind=none, lets them use all",
                all.len(),
                self.places[self.rank()].host
            )
        })
    }

    /// The processes and their machines, in words.
    pub fn shown(&self) -> String {
        let mut hosts: Vec<(&str, usize)> = Vec::new();
        for Place { host, .. } in &self.places {
            match hosts.iter_mut().find(|(known, _)| known == host) {
                Some((_, count)) => *count += 1,
                None => hosts.push((host, 1)),
            }
        }
        let where_to = hosts.iter().map(|(host, count)| format!("{count} on {host}"));
        let where_to = where_to.collect::<Vec<_>>().join(", ");
        format!("{}, which share the slices of each step: {where_to}", self.size())
    }

    /// Stops the run, after a step, when one of these signals comes.
    pub fn follow(&self, signals: Signals) {
        // The first ones stay: there is one handler in a program.
        let _ = self.signals.set(signals);
    }

    /// Ends this process's part: in order if all know that the run has ended, else for all of them.
    pub fn leave(&self, code: u8) {
        match self.parted.load(Ordering::SeqCst) {
            true => self.transport.finish(),
            false => self.transport.abort(code),
        }
    }
}

fn unreadable(error: &serde_json::Error) -> Error {
    let message = "what processes say of themselves cannot be read: run the same program in all";
    Error::Mismatch(format!("{message}: {error}"))
}

impl Peers for Member {
    fn rank(&self) -> usize {
        self.transport.rank()
    }

    fn size(&self) -> usize {
        self.transport.size()
    }

    fn name(&self, rank: usize) -> String {
        match self.places.get(rank) {
            Some(place) => format!("rank {rank} on {}", place.host),
            None => format!("rank {rank}"),
        }
    }

    fn broadcast(&self, bytes: Vec<u8>) -> Result<Vec<u8>> {
        self.transport.broadcast(bytes)
    }

    fn exchange(&self, to_each: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        self.transport.exchange(to_each)
    }

    fn asked_to_stop(&self) -> bool {
        self.signals.get().is_some_and(Signals::came)
    }

    fn parted(&self) {
        self.parted.store(true, Ordering::SeqCst);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use std::thread;

    use peft_core::train::{InThreads, in_threads};

    use super::*;

    /// Threads in place of processes.
    #[derive(Debug)]
    struct Threads(InThreads);

    impl Peers for Threads {
        fn rank(&self) -> usize {
            self.0.rank()
        }

        fn size(&self) -> usize {
            self.0.size()
        }

        fn broadcast(&self, bytes: Vec<u8>) -> Result<Vec<u8>> {
            self.0.broadcast(bytes)
        }

        fn exchange(&self, to_each: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
            self.0.exchange(to_each)
        }
    }

    impl Transport for Threads {
        fn finish(&self) {}

        fn abort(&self, code: u8) -> ! {
            panic!("aborted with {code}")
        }
    }

    /// What each member does, by rank; those of odd ranks are on another machine.
    pub(in crate::processes) fn each<T: Send>(
        count: usize,
        work: impl Fn(&Member) -> T + Sync,
    ) -> Vec<T> {
        thread::scope(|scope| {
            let threads: Vec<_> = in_threads(count)
                .into_iter()
                .map(|own| {
                    let work = &work;
                    scope.spawn(move || {
                        let host = if own.rank() % 2 == 0 { "even" } else { "odd" }.to_string();
                        let place = Place { host, cores: Cores::here() };
                        work(&Member::new(Box::new(Threads(own)), &place).unwrap())
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn a_member_knows_where_all_are() {
        let found = each(3, |member| {
            (member.own_name(), member.local_place(), member.shown(), member.leads())
        });
        let shown = "3, which share the slices of each step: 2 on even, 1 on odd".to_string();
        assert_eq!(
            found,
            [
                ("rank 0 on even".to_string(), (0, 2), shown.clone(), true),
                ("rank 1 on odd".to_string(), (0, 1), shown.clone(), false),
                ("rank 2 on even".to_string(), (1, 2), shown, false),
            ]
        );
    }

    #[test]
    fn whoever_leaves_alone_ends_all() {
        let aborted = each(1, |member| {
            let leaves = std::panic::AssertUnwindSafe(|| member.leave(3));
            let first = std::panic::catch_unwind(leaves).is_err();
            member.parted();
            member.leave(3);
            first
        });
        assert_eq!(aborted, [true]);
    }
}
