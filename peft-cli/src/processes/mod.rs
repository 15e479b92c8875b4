//! One training run on several processes, which a launcher of MPI (`mpirun`, `srun`) has started.
//!
//! | file | contents |
//! |---|---|
//! | [`launched`] | whether a launcher has started several processes, as variables of the environment say |
//! | [`cores`] | how many threads a process has, where several share a machine |
//! | [`transport`] | what carries bytes between processes |
//! | `world` | MPI, by the bindings of rsmpi; with the feature `mpi` |
//! | [`member`] | this process among those of the run |
//! | [`join`] | joining the others, and leaving them when the program ends |
//! | [`files`] | the sums of files that all processes must have alike |
//! | [`together`] | what rank 0 and the others tell each other before the run |

pub mod cores;
pub mod files;
pub mod join;
pub mod launched;
pub mod member;
pub mod together;
pub mod transport;
#[cfg(feature = "mpi")]
mod world;

pub use member::Member;
