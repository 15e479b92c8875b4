//! Whether a launcher has started several processes of one command.

use crate::{
    error::{CliError, CliResult},
    shard::launcher::{self, Nonsense},
};

/// Processes that a launcher has started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launched {
    /// How many.
    pub count: usize,
    /// The variables that say so.
    pub by: String,
}

/// Looks at variables of the environment; `None` where this process is alone for all that they say. The tasks of an array of
/// jobs are alone: each has a job of its own.
///
/// # Errors
///
/// [`CliError::Usage`] for variables that no launcher sets like this: whether there are others is not known, and all of them
/// would write one run.
pub fn find(get: impl Fn(&str) -> Option<String>) -> CliResult<Option<Launched>> {
    let found = launcher::rank(get).map_err(|Nonsense { what, names }| {
        CliError::Usage(format!(
            "peft train: {what}, so peft cannot tell which process of a launcher this is; for a run in this one alone, put \
             `{}` in front of peft",
            without(&names)
        ))
    })?;
    let found = found.filter(|found| found.is_certain);
    Ok(found.map(|found| Launched { count: found.shard.of, by: found.by }))
}

/// What runs a program without variables.
fn without(names: &[&str]) -> String {
    let names = names.iter().map(|name| format!(" -u {name}"));
    format!("env{}", names.collect::<String>())
}

impl Launched {
    /// Begins what is said where these processes cannot make a run.
    fn told(&self) -> String {
        format!(
            "peft train: this is one of {} processes ({}), all of which would write one run",
            self.count, self.by
        )
    }

    /// What leads to a run in each process, with which these would not be one.
    fn alone(&self) -> String {
        let names: Vec<&str> = self.by.split(" and ").collect();
        format!(
            "for a run in each process, with an --out of its own, put `{}` in front of peft; predict, generate, eval and sweep \
             take a part of their work in each process by --shard auto",
            without(&names)
        )
    }

    /// For a program that knows no MPI.
    pub fn without_mpi(&self) -> CliError {
        CliError::Usage(format!(
            "{}: to make one run together, they need a program that was built with `cargo build --release -p peft-cli --features \
             mpi`; {}",
            self.told(),
            self.alone()
        ))
    }

    /// For processes of which MPI knows another number.
    pub fn unknown_to_mpi(&self, size: usize) -> CliError {
        CliError::Usage(format!(
            "{}, but MPI knows of {size}: start them by the mpirun of the MPI that this program was built with, or by srun \
             --mpi=pmix (`srun --mpi=list` says what there is); {}",
            self.told(),
            self.alone()
        ))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> CliResult<Option<Launched>> {
        find(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_string())
        })
    }

    #[test]
    fn processes_of_one_command_are_told_from_those_of_others() {
        let ompi = [("OMPI_COMM_WORLD_RANK", "0"), ("OMPI_COMM_WORLD_SIZE", "4")];
        let found = of(&ompi).unwrap().unwrap();
        assert_eq!(found.count, 4);
        let refused = found.without_mpi().to_string();
        assert!(
            refused.contains("--features mpi") && refused.contains("--shard auto"),
            "{refused}"
        );
        let alone = "env -u OMPI_COMM_WORLD_RANK -u OMPI_COMM_WORLD_SIZE";
        assert!(refused.contains(alone), "{refused}");
        assert!(found.unknown_to_mpi(1).to_string().contains("knows of 1"));
        assert_eq!(found.without_mpi().exit_code(), 2);
        let step = [("SLURM_PROCID", "1"), ("SLURM_STEP_NUM_TASKS", "2"), ("SLURM_NTASKS", "2")];
        assert_eq!(of(&step).unwrap().unwrap().count, 2);
        for alone in [
            &[][..],
            &[("OMPI_COMM_WORLD_RANK", "0"), ("OMPI_COMM_WORLD_SIZE", "1")],
            // The script of a batch job, which is one process.
            &[("SLURM_PROCID", "0"), ("SLURM_NTASKS", "4")],
            &[("SLURM_ARRAY_TASK_ID", "2"), ("SLURM_ARRAY_TASK_COUNT", "9")],
        ] {
            assert_eq!(of(alone).unwrap(), None, "{alone:?}");
        }
    }

    #[test]
    fn what_no_launcher_sets_is_refused() {
        for (variables, says, way_out) in [
            (
                &[("OMPI_COMM_WORLD_RANK", "2"), ("OMPI_COMM_WORLD_SIZE", "2")][..],
                "OMPI_COMM_WORLD_RANK is 2, expected less than 2",
                "`env -u OMPI_COMM_WORLD_RANK -u OMPI_COMM_WORLD_SIZE` in front of peft",
            ),
            (
                &[("PMI_RANK", "x"), ("PMI_SIZE", "2")],
                "PMI_RANK is `x`, expected a whole number, so peft cannot tell which process",
                "`env -u PMI_RANK -u PMI_SIZE`",
            ),
            (
                &[("PMI_RANK", "0"), ("PMI_SIZE", "x")],
                "PMI_SIZE is `x`",
                "`env -u PMI_RANK -u PMI_SIZE`",
            ),
            (
                &[("SLURM_PROCID", "3")],
                "SLURM_PROCID is 3, and no SLURM_STEP_NUM_TASKS",
                "`env -u SLURM_PROCID -u SLURM_STEP_NUM_TASKS`",
            ),
        ] {
            let error = of(variables).unwrap_err();
            let said = error.to_string();
            assert!(said.contains(says) && said.contains(way_out), "{said}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
