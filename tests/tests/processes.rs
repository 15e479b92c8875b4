//! Several processes that make one run learn what one learns, bit for bit. Here they are threads; `tests/mpi/run` starts them
//! by MPI.
#![cfg(feature = "cpu")]

use crate::{
    replicas::start,
    sharing::{Sharing, every_method_learns_the_same},
};

#[test]
fn every_method_learns_the_same_by_several_processes() {
    every_method_learns_the_same(Sharing::Processes);
}

/// With or without MPI: whether there are others is not known.
#[test]
fn ranks_that_no_launcher_gives_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    for (rank, size) in [("2", "2"), ("7", "2"), ("-1", "2"), ("1", "")] {
        let variables = [("OMPI_COMM_WORLD_RANK", rank), ("OMPI_COMM_WORLD_SIZE", size)];
        let output = start(&out, &["--device=cpu"]).envs(variables).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("OMPI_COMM_WORLD_RANK is ") && said.contains("`env -u "), "{said}");
        assert!(!out.exists());
    }
}

#[test]
fn several_processes_of_a_program_without_mpi_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    for variables in [
        [("OMPI_COMM_WORLD_RANK", "0"), ("OMPI_COMM_WORLD_SIZE", "2")],
        [("SLURM_PROCID", "1"), ("SLURM_STEP_NUM_TASKS", "2")],
    ] {
        let output = start(&out, &["--device=cpu"]).envs(variables).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("--features mpi") && said.contains("--shard auto"), "{said}");
        assert!(said.contains(&format!("env -u {}", variables[0].0)), "{said}");
        assert!(!out.exists());
    }
}
