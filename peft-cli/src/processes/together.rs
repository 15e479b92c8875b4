//! What rank 0 and the others tell each other before the run: the settings, and whether all can begin.

use peft_core::{Error, train::Peers};
use serde::{Deserialize, Serialize};

use super::{files::Sums, member::Member};
use crate::{
    error::{CliError, CliResult},
    message,
    settings::Settings,
};

/// What a process says of its preparation: the sums of what it read, or what went wrong, with the exit code.
type Prepared = Result<Sums, (String, u8)>;

/// What rank 0 has planned; the others get its settings, or learn that there is no run.
///
/// # Errors
///
/// The error that keeps rank 0 from it; [`Error::Peer`] if another process is gone.
pub fn planned<T>(
    member: Option<&Member>,
    planned: CliResult<T>,
    settings: impl FnOnce(&T) -> &Settings,
) -> CliResult<T> {
    let Some(member) = member else { return planned };
    let told = match &planned {
        Ok(planned) => Ok(settings(planned).to_toml()),
        Err(error) => Err(error.exit_code()),
    };
    member.broadcast(written(&told)?)?;
    if planned.is_err() {
        member.parted();
    }
    planned
}

/// The settings of rank 0, for another process.
///
/// # Errors
///
/// [`CliError::Told`] if rank 0 has none, and says why; [`Error::Peer`] if another process is gone.
pub fn settings_of_leader(member: &Member) -> CliResult<Settings> {
    let bytes = member.broadcast(Vec::new())?;
    match read::<Result<String, u8>>(member, 0, &bytes)? {
        Ok(text) => Ok(toml::from_str(&text).map_err(|error| {
            Error::Mismatch(format!("the settings of rank 0 cannot be read: {error}"))
        })?),
        Err(code) => {
            member.parted();
            Err(CliError::Told(code))
        }
    }
}

/// What this process has prepared, once all are ready, and have read the same files: `sums` are those of this one.
///
/// # Errors
///
/// On rank 0 its own error, or [`Error::Peer`] and [`Error::OtherPeer`] for another process; on the others
/// [`CliError::Told`], since rank 0 says it for all of them. [`Error::Peer`] if another process is gone.
pub fn ready<T>(
    member: Option<&Member>,
    prepared: CliResult<T>,
    sums: impl FnOnce(&T) -> CliResult<Sums>,
) -> CliResult<T> {
    let Some(member) = member else { return prepared };
    let prepared = prepared.and_then(|prepared| Ok((sums(&prepared)?, prepared)));
    let told: Prepared = match &prepared {
        Ok((sums, _)) => Ok(sums.clone()),
        Err(error) => Err((message::of(error), error.exit_code())),
    };
    let given = member.exchange(vec![written(&told)?; member.size()])?;
    let mut all = Vec::with_capacity(given.len());
    for (rank, bytes) in given.iter().enumerate() {
        all.push(read::<Prepared>(member, rank, bytes)?);
    }
    let Some((error, code)) = disagreement(member, &all) else {
        return prepared.map(|(_, prepared)| prepared);
    };
    member.parted();
    match (member.leads(), prepared) {
        (true, Err(own)) => Err(own),
        (true, Ok(_)) => Err(error.into()),
        (false, _) => Err(CliError::Told(code)),
    }
}

/// Why not all can begin, with the exit code for it.
fn disagreement(member: &Member, all: &[Prepared]) -> Option<(Error, u8)> {
    let failed = all.iter().enumerate().find_map(|(rank, own)| Some((rank, own.as_ref().err()?)));
    if let Some((rank, (message, code))) = failed {
        // Rank 0 ends with its own error, and that code.
        let code = if rank == 0 { *code } else { 1 };
        return Some((Error::Peer { name: member.name(rank), message: message.clone() }, code));
    }
    let mut sums = all.iter().flatten().enumerate();
    let (_, first) = sums.next()?;
    let (rank, differing) = sums.find_map(|(rank, own)| Some((rank, own.differing(first)?)))?;
    Some((Error::OtherPeer { name: member.name(rank), differing }, 1))
}

fn written(told: &impl Serialize) -> CliResult<Vec<u8>> {
    let failed = |error| Error::Mismatch(format!("a message cannot be written: {error}"));
    Ok(serde_json::to_vec(told).map_err(failed)?)
}

fn read<'b, T: Deserialize<'b>>(member: &Member, rank: usize, bytes: &'b [u8]) -> CliResult<T> {
    Ok(serde_json::from_slice(bytes).map_err(|_| Error::Peer {
        name: member.name(rank),
        message:
            "it sent what this version does not understand: run the same program in all processes"
                .into(),
    })?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{super::member::tests::each, *};

    #[test]
    fn the_others_get_the_settings_of_rank_0() {
        let settings = Settings { lr: Some(0.3), seed: Some(7), ..Settings::default() };
        let found = each(3, |member| match member.leads() {
            true => planned(Some(member), Ok(settings.clone()), |own| own).unwrap(),
            false => settings_of_leader(member).unwrap(),
        });
        assert!(found.iter().all(|found| *found == settings), "{found:?}");
        let none = each(2, |member| match member.leads() {
            true => {
                let usage: CliResult<Settings> = Err(CliError::Usage("no".into()));
                planned(Some(member), usage, |own| own).unwrap_err().to_string()
            }
            false => match settings_of_leader(member).unwrap_err() {
                CliError::Told(code) => code.to_string(),
                other => panic!("{other}"),
            },
        });
        assert_eq!(none, ["no", "2"]);
    }

    #[test]
    fn rank_0_says_who_cannot_begin() {
        let of = |failing: &[usize], others: &[usize]| {
            each(3, |member| {
                let rank = member.rank();
                let own = match failing.contains(&rank) {
                    true => Err(CliError::Usage(format!("no rows at {rank}"))),
                    false => Ok(rank),
                };
                let sum = |rank: &usize| {
                    let sum = if others.contains(rank) { "b" } else { "a" };
                    Ok(Sums::new(vec![("--train a.jsonl".into(), sum.into())]))
                };
                match ready(Some(member), own, sum) {
                    Ok(found) => found.to_string(),
                    Err(CliError::Told(code)) => format!("told {code}"),
                    Err(error) => message::of(&error),
                }
            })
        };
        assert_eq!(of(&[], &[]), ["0", "1", "2"]);
        // Its own error comes first: most errors are those of all.
        assert_eq!(of(&[0, 1, 2], &[]), ["no rows at 0", "told 2", "told 2"]);
        let one = of(&[1], &[]);
        assert!(one[0].contains("rank 1 on odd failed: no rows at 1"), "{one:?}");
        assert_eq!(one[1..], ["told 1", "told 1"]);
        let other = of(&[], &[2]);
        assert!(
            other[0].contains("rank 2 on even") && other[0].contains("--train a.jsonl"),
            "{other:?}"
        );
    }
}
