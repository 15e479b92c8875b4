//! Which part is this process's among those that a launcher started.
//!
//! | variables | of |
//! |---|---|
//! | `OMPI_COMM_WORLD_RANK`, `OMPI_COMM_WORLD_SIZE` | Open MPI's `mpirun` |
//! | `PMI_RANK`, `PMI_SIZE` | MPICH's and Intel's |
//! | `SLURM_PROCID`, `SLURM_STEP_NUM_TASKS`, else `SLURM_NTASKS` | `srun` |
//! | `SLURM_ARRAY_TASK_ID`, `_COUNT`, `_MIN`, `_STEP` | `sbatch --array` |
//!
//! The first pair of the first three counts: under Slurm, `mpirun` is started by tasks that are not its own. An array whose
//! tasks have several processes has a part for each of them.

use super::part::Shard;

/// Ranks with their number, the surer first.
const RANKS: [(&str, &str); 4] = [
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
    ("SLURM_PROCID", ALLOCATED),
];

/// Of a whole job: in its batch script, which is one process, it is as large.
const ALLOCATED: &str = "SLURM_NTASKS";

/// The number of an array's task.
const TASK: &str = "SLURM_ARRAY_TASK_ID";

/// What a launcher says of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its part.
    pub shard: Shard,
    /// The variables that say it.
    pub by: String,
    /// Whether there are other processes for the other parts, for sure.
    pub is_certain: bool,
}

/// Variables that no launcher sets like this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonsense {
    /// What is wrong with them.
    pub what: String,
    /// Their names, without which they say nothing.
    pub names: Vec<&'static str>,
}

impl Nonsense {
    /// What to do instead, where a part of the work is asked for.
    fn without_shard(self) -> String {
        format!("{}: give --shard i/n instead", self.what)
    }
}

/// A place from 0 on, among how many.
type Place = (usize, usize);

/// Looks at variables of the environment; `None` where no launcher has left any.
///
/// # Errors
///
/// What is wrong with a variable, and what to do instead.
pub fn find(get: impl Fn(&str) -> Option<String>) -> Result<Option<Found>, String> {
    let of_rank = of_ranks(&get).map_err(Nonsense::without_shard)?;
    let of_array =
        array(&|name: &'static str| number(&get, name).map_err(Nonsense::without_shard))?;
    Ok(match (of_array, of_rank) {
        (None, None) => None,
        (Some((place, by)), None) => Some(found(place, by, true)),
        (None, Some((place, by, is_certain))) => Some(found(place, by, is_certain)),
        // One process for each of its tasks, as usual.
        (Some((place, by)), Some(((_, 1), ..))) => Some(found(place, by, true)),
        (Some((task, of_array)), Some(((place, of), of_rank, is_certain))) => {
            let all = task.1.checked_mul(of);
            let all = all.ok_or("the job has too many tasks: give --shard i/n instead")?;
            let by = format!("{of_array}, {of_rank}");
            Some(found((task.0 * of + place, all), by, is_certain))
        }
    })
}

/// As for [`find`], by the ranks of processes that were started together: the tasks of an array are not.
///
/// # Errors
///
/// Which variables are wrong.
pub fn rank(get: impl Fn(&str) -> Option<String>) -> Result<Option<Found>, Nonsense> {
    let rank = of_ranks(&get)?;
    Ok(rank.map(|(place, by, is_certain)| found(place, by, is_certain)))
}

/// The number in a variable.
fn number(
    get: &impl Fn(&str) -> Option<String>,
    name: &'static str,
) -> Result<Option<usize>, Nonsense> {
    let Some(text) = get(name).filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    let number = text.trim().parse();
    number.map(Some).map_err(|_| Nonsense {
        what: format!("{name} is `{text}`, expected a whole number"),
        names: vec![name],
    })
}

/// The place of a process by its rank, the variables that say it, and whether the others are there for sure.
fn of_ranks(
    get: &impl Fn(&str) -> Option<String>,
) -> Result<Option<(Place, String, bool)>, Nonsense> {
    // A rank without a number counts where no launcher says more.
    let mut alone = None;
    for (of_rank, of_size) in RANKS {
        let names = vec![of_rank, of_size];
        // A process with either of the two alone would be told of the other next.
        let both = |found: Nonsense| Nonsense { names: vec![of_rank, of_size], ..found };
        // A number of processes alone says nothing of this one.
        let Some(place) = number(get, of_rank).map_err(both)? else { continue };
        match number(get, of_size).map_err(both)? {
            Some(of) if place >= of => {
                let what =
                    format!("{of_rank} is {place}, expected less than {of}, which {of_size} is");
                return Err(Nonsense { what, names });
            }
            Some(of) => {
                // A batch script has the rank 0, too.
                let is_certain = of_size != ALLOCATED || place > 0;
                return Ok(Some(((place, of), format!("{of_rank} and {of_size}"), is_certain)));
            }
            // There are others, however many.
            None if place > 0 => {
                let what = format!("{of_rank} is {place}, and no {of_size} says of how many");
                alone.get_or_insert(Nonsense { what, names });
            }
            None => {}
        }
    }
    alone.map_or(Ok(None), Err)
}

fn found((place, of): Place, by: String, is_certain: bool) -> Found {
    Found { shard: Shard { index: place + 1, of }, by, is_certain: is_certain && of > 1 }
}

/// The place in an array of jobs, whose numbers have to be those of a whole array.
fn array(
    number: &impl Fn(&'static str) -> Result<Option<usize>, String>,
) -> Result<Option<(Place, String)>, String> {
    let (Some(task), Some(count)) = (number(TASK)?, number("SLURM_ARRAY_TASK_COUNT")?) else {
        return Ok(None);
    };
    let first = number("SLURM_ARRAY_TASK_MIN")?.unwrap_or(0);
    let step = number("SLURM_ARRAY_TASK_STEP")?.unwrap_or(1).max(1);
    let instead = "which part of how many it is does not follow: give --shard i/n instead";
    if count == 1 {
        return Err(format!(
            "the array has one task ({TASK} {task}), as one that is repeated has; {instead}"
        ));
    }
    if first > 1 {
        return Err(format!(
            "the array begins at {first}, as a part of one that is repeated may; {instead}"
        ));
    }
    let place = task.checked_sub(first).filter(|at| at % step == 0).map(|at| at / step);
    match place.filter(|place| *place < count) {
        Some(place) => Ok(Some(((place, count), format!("{TASK} and SLURM_ARRAY_TASK_COUNT")))),
        None => Err(format!(
            "{TASK} is {task} in an array of {count} tasks from {first} on, in which numbers are left out; {instead}"
        )),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Option<Found>, String> {
        find(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_string())
        })
    }

    fn shard(variables: &[(&str, &str)]) -> (String, bool) {
        let found = of(variables).unwrap().unwrap();
        (found.shard.to_string(), found.is_certain)
    }

    #[test]
    fn launchers_say_which_process_this_is() {
        let is = |shard: &str, is_certain| (shard.to_string(), is_certain);
        assert_eq!(of(&[]).unwrap(), None);
        let step = |rank| [("SLURM_PROCID", rank), ("SLURM_STEP_NUM_TASKS", "4"), (ALLOCATED, "8")];
        assert_eq!([shard(&step("0")), shard(&step("3"))], [is("1/4", true), is("4/4", true)]);
        // An interactive allocation; a script, which may be alone.
        assert_eq!(shard(&[("SLURM_PROCID", "0"), (ALLOCATED, "1")]), is("1/1", false));
        assert_eq!(shard(&[("SLURM_PROCID", "0"), (ALLOCATED, "4")]), is("1/4", false));
        assert_eq!(shard(&[("SLURM_PROCID", "2"), (ALLOCATED, "4")]), is("3/4", true));
        // A shell on the node where jobs are submitted from.
        assert_eq!(of(&[(ALLOCATED, "4")]).unwrap(), None);
        let ompi = [("OMPI_COMM_WORLD_RANK", "1"), ("OMPI_COMM_WORLD_SIZE", "2")];
        let under_slurm = [&ompi[..], &step("3")].concat();
        assert_eq!([shard(&ompi), shard(&under_slurm)], [is("2/2", true), is("2/2", true)]);
        assert_eq!(shard(&[("PMI_RANK", "0"), ("PMI_SIZE", "3")]), is("1/3", true));
    }

    #[test]
    fn tasks_of_an_array_are_counted_from_its_first() {
        let task = |task, count, first, step| {
            [
                (TASK, task),
                ("SLURM_ARRAY_TASK_COUNT", count),
                ("SLURM_ARRAY_TASK_MIN", first),
                ("SLURM_ARRAY_TASK_STEP", step),
                ("SLURM_PROCID", "0"),
                (ALLOCATED, "1"),
            ]
        };
        assert_eq!(shard(&task("0", "10", "0", "1")).0, "1/10");
        assert_eq!(shard(&task("10", "10", "1", "1")).0, "10/10");
        assert_eq!(shard(&task("6", "4", "0", "2")).0, "4/4");
        let mut several = task("2", "3", "0", "1");
        several[4..].copy_from_slice(&[("SLURM_PROCID", "1"), ("SLURM_STEP_NUM_TASKS", "2")]);
        assert_eq!(shard(&several), ("6/6".to_string(), true));
        for (task, says) in [
            (task("7", "1", "7", "1"), "has one task"),
            (task("7", "3", "5", "1"), "begins at 5"),
            (task("7", "3", "1", "1"), "numbers are left out"),
            (task("3", "3", "0", "2"), "numbers are left out"),
        ] {
            let said = of(&task).unwrap_err();
            assert!(said.contains(says) && said.contains("--shard i/n"), "{said}");
        }
    }

    #[test]
    fn what_is_no_rank_is_told() {
        for (rank, size, says) in [
            ("4", "4", "expected less than 4"),
            ("0", "0", "expected less than 0"),
            ("x", "4", "`x`, expected a whole number"),
            ("1", "", "is 1, and no PMI_SIZE says of how many"),
        ] {
            let variables = [("PMI_RANK", rank), ("PMI_SIZE", size)];
            let said = of(&variables).unwrap_err();
            assert!(said.contains(says) && said.contains("PMI_RANK"), "{said}");
            assert!(said.ends_with(": give --shard i/n instead"), "{said}");
        }
        // Another launcher knows of how many; the first process may be the only one.
        let step = [("SLURM_PROCID", "1"), ("SLURM_STEP_NUM_TASKS", "2")];
        assert_eq!(shard(&[&[("PMI_RANK", "1")][..], &step].concat()), ("2/2".into(), true));
        assert_eq!(of(&[("PMI_RANK", "0")]).unwrap(), None);
        // A number of processes without a rank says nothing.
        assert_eq!(of(&[("PMI_SIZE", "x")]).unwrap(), None);
        assert_eq!(shard(&[&[("PMI_SIZE", "x")][..], &step].concat()), ("2/2".into(), true));
        let said = of(&[("PMI_RANK", "0"), ("PMI_SIZE", "x")]).unwrap_err();
        assert!(said.contains("PMI_SIZE is `x`, expected a whole number"), "{said}");
    }
}
