//! The processes of a run: what they agree on before it, what rank 0 tells the others in each step, and how the run ends for
//! all of them.
//!
//! ```text
//! all      compare what the run follows from
//! rank 0   Step, virtual tokens, heads          once per step
//! all      slices of the step                   `shared_sums`
//! rank 0   End, with what went wrong            once
//! ```

use std::{cell::Cell, time::Instant};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    identity::Identity,
    observer::Exchanged,
    packet::{pack, unpack},
    peers::Peers,
};
use crate::error::{Error, Result};

/// What rank 0 tells the others.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Command {
    /// Compute your slices of a step. Its numbers are the virtual tokens and the heads.
    Step {
        /// Counted from 0.
        step: usize,
        /// The factor of the loss whose gradients are computed.
        loss_scale: Option<f64>,
    },
    /// The run has ended: as it should, or with this error.
    End(Option<String>),
}

/// The processes of a run, as one of them sees them.
#[derive(Debug)]
pub(super) struct Group<'a> {
    peers: &'a dyn Peers,
    /// Whether the others still take part.
    is_together: Cell<bool>,
    /// Whether one of them was asked to stop.
    stop: Cell<bool>,
    /// Since it was asked for.
    exchanged: Cell<Exchanged>,
}

impl<'a> Group<'a> {
    pub(super) fn new(peers: &'a dyn Peers) -> Self {
        Self {
            peers,
            is_together: Cell::new(true),
            stop: Cell::new(false),
            exchanged: Cell::default(),
        }
    }

    pub(super) fn rank(&self) -> usize {
        self.peers.rank()
    }

    pub(super) fn size(&self) -> usize {
        self.peers.size()
    }

    /// Whether a process was asked to stop, as far as this one knows.
    pub(super) fn stops(&self) -> bool {
        self.stop.get()
    }

    /// Whether this process was asked to stop.
    pub(super) fn is_asked_to_stop(&self) -> bool {
        self.peers.asked_to_stop()
    }

    /// Takes note that a process was asked to stop.
    pub(super) fn stop(&self) {
        self.stop.set(true);
    }

    /// What was exchanged since this was last asked.
    pub(super) fn take_exchanged(&self) -> Exchanged {
        self.exchanged.take()
    }

    /// Compares what the run follows from with that of rank 0, on all processes, and returns what this one goes on with.
    ///
    /// # Errors
    ///
    /// The error for which this process cannot begin; [`Error::Peer`] for that of another one; [`Error::OtherPeer`] if one would
    /// make another run.
    pub(super) fn agree<T>(&self, own: Result<(Identity, T)>) -> Result<T> {
        let told = own.as_ref().map(|(identity, _)| identity).map_err(Error::to_string);
        let given = self.exchange(vec![pack(&told, &[])?; self.size()])?;
        let mut all = Vec::with_capacity(given.len());
        for (rank, bytes) in given.iter().enumerate() {
            all.push(self.read::<Result<Identity, String>>(rank, bytes)?.0);
        }
        match (own, self.disagreement(&all)) {
            (Ok((_, own)), None) => Ok(own),
            (Err(error), _) | (Ok(_), Some(error)) => Err(self.parted(error)),
        }
    }

    /// Why processes with these identities, or these errors, by rank, cannot make a run together.
    fn disagreement(&self, all: &[Result<Identity, String>]) -> Option<Error> {
        for (rank, own) in all.iter().enumerate() {
            if let Err(message) = own {
                return Some(self.failed(rank, message.clone()));
            }
        }
        let mut identities = all.iter().flatten().enumerate();
        let (_, first) = identities.next()?;
        let (rank, differing) =
            identities.find_map(|(rank, own)| Some((rank, own.differing(first)?)))?;
        Some(Error::OtherPeer { name: self.peers.name(rank), differing })
    }

    /// Tells the others what comes, as rank 0.
    pub(super) fn tell(&self, command: &Command, numbers: &[f32]) -> Result<()> {
        self.broadcast(pack(command, numbers)?)?;
        Ok(())
    }

    /// What rank 0 tells.
    pub(super) fn hear(&self) -> Result<(Command, Vec<f32>)> {
        let bytes = self.broadcast(Vec::new())?;
        let heard = self.read::<Command>(0, &bytes)?;
        if matches!(heard, (Command::End(_), _)) {
            self.part();
        }
        Ok(heard)
    }

    /// Ends the run for all, as rank 0: as it should, or with this error.
    pub(super) fn end<T>(&self, result: Result<T>) -> Result<T> {
        if !self.is_together.get() {
            return result;
        }
        let error = result.as_ref().err().map(Error::to_string);
        let told = self.tell(&Command::End(error), &[]);
        if told.is_ok() {
            self.part();
        }
        // What went wrong first counts.
        let found = result?;
        told?;
        Ok(found)
    }

    /// An error that all processes know of: none goes on.
    pub(super) fn parted(&self, error: Error) -> Error {
        self.part();
        error
    }

    fn part(&self) {
        self.is_together.set(false);
        self.peers.parted();
    }

    /// The error for what went wrong in the process of a rank.
    pub(super) fn failed(&self, rank: usize, message: String) -> Error {
        Error::Peer { name: self.peers.name(rank), message }
    }

    /// Reads a message of a rank.
    pub(super) fn read<W: DeserializeOwned>(
        &self,
        rank: usize,
        bytes: &[u8],
    ) -> Result<(W, Vec<f32>)> {
        unpack(bytes).ok_or_else(|| {
            let message = "it sent what this version does not understand: run the same program in all processes";
            self.failed(rank, message.into())
        })
    }

    fn broadcast(&self, bytes: Vec<u8>) -> Result<Vec<u8>> {
        let own = if self.rank() == 0 { bytes.len() } else { 0 };
        let sent = own * (self.size() - 1);
        self.counted(sent, || {
            let found = self.peers.broadcast(bytes)?;
            let received = found.len() - own;
            Ok((found, received))
        })
    }

    /// Gives each process its bytes, and returns those that each has given to this one.
    pub(super) fn exchange(&self, to_each: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        let rank = self.rank();
        let of_others = move |all: &[Vec<u8>]| -> usize {
            let others = all.iter().enumerate().filter(|(other, _)| *other != rank);
            others.map(|(_, bytes)| bytes.len()).sum()
        };
        self.counted(of_others(&to_each), || {
            let found = self.peers.exchange(to_each)?;
            let received = of_others(&found);
            Ok((found, received))
        })
    }

    /// Counts what is sent and received, and the time that it takes. After an error nothing more can be exchanged.
    fn counted<T>(&self, sent: usize, exchange: impl FnOnce() -> Result<(T, usize)>) -> Result<T> {
        let start = Instant::now();
        let (found, received) = exchange().inspect_err(|_| self.is_together.set(false))?;
        let before = self.exchanged.get();
        let spent = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.exchanged.set(Exchanged {
            sent: before.sent + sent as u64,
            received: before.received + received as u64,
            microseconds: before.microseconds.saturating_add(spent),
        });
        Ok(found)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::thread;

    use super::{super::in_threads::in_threads, *};

    fn with<T: Send>(size: usize, work: impl Fn(&Group<'_>) -> T + Sync) -> Vec<T> {
        thread::scope(|scope| {
            let threads: Vec<_> = in_threads(size)
                .into_iter()
                .map(|peers| {
                    let work = &work;
                    scope.spawn(move || work(&Group::new(&peers)))
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn all_hear_what_rank_0_tells_and_how_it_ends() {
        let step = || Command::Step { step: 7, loss_scale: Some(f64::exp2(-16.0)) };
        let heard = with(3, |group| {
            if group.rank() == 0 {
                group.tell(&step(), &[1.5, -0.0]).unwrap();
                let sent = group.take_exchanged();
                assert!(sent.sent > 2 * 8 && sent.received == 0, "{sent:?}");
                let ended: Result<()> = group.end(Err(Error::Mismatch("no disk".into())));
                assert_eq!(ended.unwrap_err().to_string(), "no disk");
                // Once: nobody hears it a second time.
                return group.end(Ok(Vec::new())).unwrap();
            }
            let (command, numbers) = group.hear().unwrap();
            assert_eq!((command, numbers), (step(), vec![1.5, -0.0]));
            let (command, _) = group.hear().unwrap();
            vec![command]
        });
        for heard in &heard[1..] {
            assert_eq!(heard[..], [Command::End(Some("no disk".into()))]);
        }
    }

    #[test]
    fn all_know_who_cannot_begin() {
        let said = with(3, |group| {
            let own = match group.rank() {
                1 => Err(Error::Mismatch("no rows".into())),
                _ => Ok((serde_json::from_str(r#"{"seed":3}"#).unwrap(), ())),
            };
            group.agree(own).unwrap_err().to_string()
        });
        assert_eq!(said[1], "no rows");
        assert!(said[0].contains("rank 1 failed: no rows") && said[0] == said[2], "{said:?}");
    }

    #[test]
    fn all_know_who_would_make_another_run() {
        let said = with(3, |group| {
            let rows = if group.rank() == 2 { "b" } else { "a" };
            let seed = if group.rank() == 2 { 4 } else { 3 };
            let base = serde_json::json!({
                "config_file": "config.json", "config": {"rope_theta": seed},
                "tokenizer": {"tokenizer.json": rows},
            });
            let own = serde_json::json!({
                "seed": seed, "lr": 0.5, "training rows": rows, "files of the base model": base,
            });
            let own = serde_json::from_value(own).unwrap();
            group.agree(Ok((own, ()))).unwrap_err().to_string()
        });
        let expected = "seed (4, on rank 0 3), training rows (other content), config.json of the base model: rope_theta \
                        (4, on rank 0 3), tokenizer.json of the base model (other content)";
        assert!(
            said.iter().all(|said| said.contains("rank 2") && said.contains(expected)),
            "{said:?}"
        );
        let agreed = with(2, |group| {
            group.agree(Ok((serde_json::from_str(r#"{"seed":3}"#).unwrap(), ()))).is_ok()
        });
        assert_eq!(agreed, [true; 2]);
    }
}
