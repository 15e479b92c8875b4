//! How many threads a process computes with, where others of its run are on the same machine.
//!
//! A launcher may bind a process to some of the cores, or give all cores to all processes. Linux says which a process may use; a
//! core that several may use counts in parts.

use std::{collections::BTreeSet, fs, thread};

use serde::{Deserialize, Serialize};

/// The cores that a process may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cores {
    /// Their numbers; none where the system does not say.
    numbers: Vec<usize>,
    /// How many at a time: less than there are numbers where a container is given a part of their time.
    count: usize,
}

impl Cores {
    /// Those of this process.
    pub fn here() -> Self {
        Self {
            numbers: allowed("self").unwrap_or_default(),
            count: thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How many several processes have together; `None` where the system does not say.
    pub fn of_all(all: &[&Self]) -> Option<usize> {
        let known = all.iter().all(|cores| !cores.numbers.is_empty());
        let numbers: BTreeSet<usize> =
            all.iter().flat_map(|cores| &cores.numbers).copied().collect();
        known.then_some(numbers.len())
    }

    /// How many the program that started this one may use; `None` where the system does not say.
    pub fn of_launcher() -> Option<usize> {
        #[cfg(unix)]
        let launcher = std::os::unix::process::parent_id();
        #[cfg(not(unix))]
        let launcher = 0;
        allowed(&launcher.to_string()).map(|numbers| numbers.len())
    }

    /// The threads of a process that has these, where `all` are those of all processes of its machine, its own among them: so
    /// many that no core has more than one, if there are as many cores as processes, and at least one.
    pub fn threads(&self, all: &[&Self]) -> usize {
        let evenly = (self.count / all.len().max(1)).max(1);
        if self.numbers.is_empty() || all.iter().any(|other| other.numbers.is_empty()) {
            return evenly;
        }
        let share = |core: &usize| {
            let users = all.iter().filter(|other| other.numbers.contains(core)).count();
            1.0 / users.max(1) as f64
        };
        // A sum of thirds may be a little less than it should.
        let shares = self.numbers.iter().map(share).sum::<f64>() + 1e-6;
        // A part of the time of cores is shared by all who have it.
        let most = if self.count < self.numbers.len() { evenly } else { self.count };
        (shares as usize).clamp(1, most.max(1))
    }
}

/// The numbers of the cores that a process may use, where the system says.
fn allowed(process: &str) -> Option<Vec<usize>> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    numbers(list.trim())
}

/// The numbers in a list such as `0-3,8`.
fn numbers(list: &str) -> Option<Vec<usize>> {
    let mut found = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        found.extend(first.parse().ok()?..=last.parse::<usize>().ok()?);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(list: &str) -> Cores {
        let numbers = numbers(list).unwrap_or_default();
        Cores { count: numbers.len(), numbers }
    }

    #[test]
    fn cores_are_shared_by_those_who_may_use_them() {
        for (own, all, threads) in [
            (of("0-7"), vec![of("0-7")], 8),
            // All cores for all processes.
            (of("0-7"), vec![of("0-7"); 4], 2),
            (of("0-7"), vec![of("0-7"); 3], 2),
            // Cores of its own.
            (of("2-3"), vec![of("0-1"), of("2-3")], 2),
            // Two sockets, two processes on each.
            (of("8-15"), vec![of("0-7"), of("0-7"), of("8-15"), of("8-15")], 4),
            // More processes than cores.
            (of("0-1"), vec![of("0-1"); 5], 1),
            // A container with the time of two of eight cores.
            (Cores { count: 2, ..of("0-7") }, vec![Cores { count: 2, ..of("0-7") }; 2], 1),
            // A system that does not say which they are.
            (Cores { count: 8, numbers: vec![] }, vec![Cores { count: 8, numbers: vec![] }; 2], 4),
        ] {
            let all: Vec<&Cores> = all.iter().collect();
            assert_eq!(own.threads(&all), threads, "{own:?} of {all:?}");
        }
    }

    #[test]
    fn lists_of_cores_are_read() {
        assert_eq!(numbers("0-2,5,7-8"), Some(vec![0, 1, 2, 5, 7, 8]));
        assert_eq!((numbers(""), numbers("a-b")), (None, None));
        assert!(Cores::here().count() > 0);
        let (a, b) = (of("0-3"), of("2-5"));
        assert_eq!(Cores::of_all(&[&a, &b]), Some(6));
        assert_eq!(Cores::of_all(&[&a, &Cores::default()]), None);
    }
}
