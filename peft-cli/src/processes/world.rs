//! MPI: all processes that its launcher has started, by the bindings of rsmpi (`mpi-sys`).
//!
//! Collective calls alone, with bytes: whatever MPI can do on one machine or many, it does by these. An error is returned where
//! MPI returns one; most implementations end all processes when one is gone.
//!
//! Not rsmpi's crate `mpi` above these bindings: it asks for another feature of a crate below Burn, so that all of Burn would be
//! built a second time, and does not look at the errors that MPI returns.

use std::{
    ffi::{c_char, c_int, c_void},
    ptr,
};

use mpi_sys as ffi;
use peft_core::{Error, Result, train::Peers};

use super::transport::Transport;

/// Bytes of a broadcast at a time, and of an exchange at a time over all processes: MPI counts in `int`.
const AT_A_TIME: usize = 1 << 30;

/// The processes of `MPI_COMM_WORLD`.
#[derive(Debug)]
pub struct World {
    rank: usize,
    size: usize,
}

impl World {
    /// Joins the others. Once in a program, on the thread that goes on with it.
    ///
    /// # Errors
    ///
    /// [`Error::Peer`] if MPI cannot be started.
    pub fn join() -> Result<Self> {
        let (mut rank, mut size): (c_int, c_int) = (0, 0);
        // SAFETY: MPI is started once, before any other call of it; null stands for a command line that it need not see. The
        // pointers are of numbers that live here. Calls come from one thread at a time, which `SERIALIZED` asks for.
        unsafe {
            let mut provided: c_int = 0;
            let wanted = ffi::RSMPI_THREAD_SERIALIZED;
            check(ffi::MPI_Init_thread(ptr::null_mut(), ptr::null_mut(), wanted, &mut provided))?;
            check(ffi::MPI_Comm_set_errhandler(ffi::RSMPI_COMM_WORLD, ffi::RSMPI_ERRORS_RETURN))?;
            check(ffi::MPI_Comm_rank(ffi::RSMPI_COMM_WORLD, &mut rank))?;
            check(ffi::MPI_Comm_size(ffi::RSMPI_COMM_WORLD, &mut size))?;
        }
        // Neither is negative.
        Ok(Self { rank: rank as usize, size: size as usize })
    }

    /// The name of this machine, as MPI has it.
    pub fn host(&self) -> String {
        let mut name = [0 as c_char; ffi::MPI_MAX_PROCESSOR_NAME as usize + 1];
        let mut length: c_int = 0;
        // SAFETY: the name has as much room as MPI may write, and a null behind it.
        let code = unsafe { ffi::MPI_Get_processor_name(name.as_mut_ptr(), &mut length) };
        match check(code) {
            Ok(()) => text(&name, length),
            Err(_) => "a machine without a name".into(),
        }
    }

    /// What each process has given to all others: two numbers for each.
    fn all_to_all(&self, own: &[[u64; 2]]) -> Result<Vec<[u64; 2]>> {
        assert_eq!(own.len(), self.size);
        let mut found = vec![[0; 2]; self.size];
        // SAFETY: both have two numbers for each process.
        check(unsafe {
            ffi::MPI_Alltoall(
                own.as_ptr().cast(),
                2,
                ffi::RSMPI_UINT64_T,
                found.as_mut_ptr().cast(),
                2,
                ffi::RSMPI_UINT64_T,
                ffi::RSMPI_COMM_WORLD,
            )
        })?;
        Ok(found)
    }

    /// Gives each process its bytes, which are few enough to be counted in `int`, and puts what each gives behind what it has
    /// given before.
    fn all_to_all_bytes(
        &self,
        to_each: &[&[u8]],
        counts: &[usize],
        received: &mut [Vec<u8>],
    ) -> Result<()> {
        // One byte more, which stays here: the pointer of a vector without any is 1, which Open MPI takes for `MPI_IN_PLACE`.
        let mut sent =
            Vec::with_capacity(to_each.iter().map(|bytes| bytes.len()).sum::<usize>() + 1);
        to_each.iter().for_each(|bytes| sent.extend_from_slice(bytes));
        sent.push(0);
        let (send_counts, send_at) = counted(to_each.iter().map(|bytes| bytes.len()));
        let (counts, at) = counted(counts.iter().copied());
        let total: usize = counts.iter().map(|count| *count as usize).sum();
        let mut found = vec![0u8; total + 1];
        // SAFETY: counts and places are of as many processes as there are; those of `sent` and `found` stay within them, since they
        // follow each other, and each process gives this one as many bytes as it has said.
        check(unsafe {
            ffi::MPI_Alltoallv(
                sent.as_ptr().cast(),
                send_counts.as_ptr(),
                send_at.as_ptr(),
                ffi::RSMPI_UINT8_T,
                found.as_mut_ptr().cast(),
                counts.as_ptr(),
                at.as_ptr(),
                ffi::RSMPI_UINT8_T,
                ffi::RSMPI_COMM_WORLD,
            )
        })?;
        let mut rest = found.as_slice();
        for (received, count) in received.iter_mut().zip(counts) {
            let (own, others) = rest.split_at(count as usize);
            received.extend_from_slice(own);
            rest = others;
        }
        Ok(())
    }
}

/// Counts as MPI takes them, and where each begins when they follow each other. All are at most [`AT_A_TIME`] together.
fn counted(counts: impl Iterator<Item = usize>) -> (Vec<c_int>, Vec<c_int>) {
    let mut end = 0;
    counts
        .map(|count| {
            let start = end;
            end += count as c_int;
            (count as c_int, start)
        })
        .unzip()
}

impl Peers for World {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn broadcast(&self, mut bytes: Vec<u8>) -> Result<Vec<u8>> {
        let mut length = bytes.len() as u64;
        let own: *mut u64 = &mut length;
        // SAFETY: one number, at the same time on all processes.
        check(unsafe {
            ffi::MPI_Bcast(own.cast(), 1, ffi::RSMPI_UINT64_T, 0, ffi::RSMPI_COMM_WORLD)
        })?;
        // What another process has in memory, this one can have, too.
        bytes.resize(length as usize, 0);
        for part in bytes.chunks_mut(AT_A_TIME) {
            // SAFETY: as many bytes as there are, which an `int` can count, and all processes have the same number of them.
            check(unsafe {
                ffi::MPI_Bcast(
                    part.as_mut_ptr().cast::<c_void>(),
                    part.len() as c_int,
                    ffi::RSMPI_UINT8_T,
                    0,
                    ffi::RSMPI_COMM_WORLD,
                )
            })?;
        }
        Ok(bytes)
    }

    fn exchange(&self, to_each: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        let longest = to_each.iter().map(Vec::len).max().unwrap_or(0) as u64;
        let own: Vec<[u64; 2]> =
            to_each.iter().map(|bytes| [bytes.len() as u64, longest]).collect();
        let told = self.all_to_all(&own)?;
        // All processes know the longest of all, and so how often bytes are exchanged.
        let longest = told.iter().map(|[_, longest]| *longest).max().unwrap_or(0) as usize;
        let part = AT_A_TIME / self.size;
        let mut received: Vec<Vec<u8>> =
            told.iter().map(|[length, _]| Vec::with_capacity(*length as usize)).collect();
        for start in (0..longest).step_by(part) {
            let within = |length: usize| start.min(length)..(start + part).min(length);
            let parts: Vec<&[u8]> =
                to_each.iter().map(|bytes| &bytes[within(bytes.len())]).collect();
            let counts: Vec<usize> =
                told.iter().map(|[length, _]| within(*length as usize).len()).collect();
            self.all_to_all_bytes(&parts, &counts, &mut received)?;
        }
        Ok(received)
    }
}

impl Transport for World {
    fn finish(&self) {
        // SAFETY: the last call of MPI. It waits for the others, which call it, too. Nothing is left to do with an error.
        unsafe { ffi::MPI_Finalize() };
    }

    fn abort(&self, code: u8) -> ! {
        // SAFETY: MPI was started. It does not come back; if it does, this process ends.
        unsafe { ffi::MPI_Abort(ffi::RSMPI_COMM_WORLD, code.max(1).into()) };
        std::process::exit(code.max(1).into())
    }
}

/// The error for a code of MPI, if it is one.
fn check(code: c_int) -> Result<()> {
    if code == ffi::MPI_SUCCESS as c_int {
        return Ok(());
    }
    let mut said = [0 as c_char; ffi::MPI_MAX_ERROR_STRING as usize + 1];
    let mut length: c_int = 0;
    // SAFETY: the text has as much room as MPI may write, and a null behind it.
    let known = unsafe { ffi::MPI_Error_string(code, said.as_mut_ptr(), &mut length) };
    let message = match known == ffi::MPI_SUCCESS as c_int {
        true => text(&said, length),
        false => format!("error {code}"),
    };
    Err(Error::Peer { name: "MPI".into(), message })
}

/// A text of MPI's, as long as it says.
fn text(all: &[c_char], length: c_int) -> String {
    let bytes: Vec<u8> = all.iter().take(length as usize).map(|byte| *byte as u8).collect();
    String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_string()
}
