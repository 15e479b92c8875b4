//! Joining the other processes of a run, and leaving them when the program ends.

use std::{
    env,
    sync::{Arc, OnceLock},
};

use peft_core::train::Peers;

use super::{
    launched::{self, Launched},
    member::{Member, Place},
    transport::Transport,
};
use crate::{error::CliResult, output, screen::manners, threads};

/// This process among those of its run, if it has joined any.
static MEMBER: OnceLock<Arc<Member>> = OnceLock::new();

/// Joins the other processes, if a launcher has started several. From then on, only that of rank 0 says anything but errors, and
/// each has its share of its machine's cores, unless a flag or a variable says how many threads it has.
///
/// # Errors
///
/// [`CliError::Usage`](crate::CliError::Usage) if they cannot make a run together, or if variables say what no launcher does;
/// [`Error::Peer`](peft_core::Error::Peer) if MPI fails; those of [`threads::start`].
pub fn join() -> CliResult<Option<Arc<Member>>> {
    let Some(launched) = launched::find(|name| env::var(name).ok())? else { return Ok(None) };
    let (transport, host) = connected(&launched)?;
    let own = Place { host, cores: super::cores::Cores::here() };
    let member = Arc::new(Member::new(transport, &own)?);
    if member.size() != launched.count {
        // Each is alone, and nobody waits for it.
        member.parted();
    }
    let member = MEMBER.get_or_init(|| member).clone();
    if member.size() != launched.count {
        return Err(launched.unknown_to_mpi(member.size()));
    }
    if !member.leads() {
        manners::silence();
    }
    threads::start(Some(member.threads()))?;
    if let Some(note) = member.note_of_cores() {
        output::note(format!("note: {note}"));
    }
    Ok(Some(member))
}

#[cfg(feature = "mpi")]
fn connected(_: &Launched) -> CliResult<(Box<dyn Transport>, String)> {
    let world = super::world::World::join()?;
    let host = world.host();
    Ok((Box::new(world), host))
}

#[cfg(not(feature = "mpi"))]
fn connected(launched: &Launched) -> CliResult<(Box<dyn Transport>, String)> {
    Err(launched.without_mpi())
}

/// This process, if it has joined others.
pub fn member() -> Option<&'static Member> {
    MEMBER.get().map(Arc::as_ref)
}

/// Leaves the others, if there are any, when all is said; the exit code of the program.
pub fn leave(code: u8) -> u8 {
    if let Some(member) = member() {
        member.leave(code);
    }
    code
}
