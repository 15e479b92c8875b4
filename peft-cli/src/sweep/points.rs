//! The settings of each run: lists, grid and search multiplied.

use toml::{Table, Value};

use super::{file::SweepFile, values::values_of};

/// The most runs.
const MOST: usize = 100_000;

/// The settings that each run has of its own, beside those of all: of each entry of `runs` each combination of its lists,
/// with each draw, with each combination of the grid.
///
/// # Errors
///
/// What is wrong, such as too many runs.
pub(super) fn points(file: &SweepFile) -> Result<Vec<Table>, String> {
    let entries = if file.runs.is_empty() { vec![Table::new()] } else { file.runs.clone() };
    let draws: Vec<Table> = match &file.search {
        None => vec![Table::new()],
        Some(search) => search.draws(),
    };
    let mut found = Vec::new();
    for entry in entries {
        let lists: Vec<(String, Vec<Value>)> = entry
            .iter()
            .map(|(name, value)| Ok((name.clone(), values_of(name, value, "[[runs]]")?)))
            .collect::<Result<_, String>>()?;
        let (own, grid) = (count(&lists), count(&file.grid));
        let all = own.saturating_mul(grid).saturating_mul(draws.len()).saturating_add(found.len());
        if all > MOST {
            return Err(format!("asks for more than {MOST} runs"));
        }
        for own in product(&lists) {
            for draw in &draws {
                for of_grid in product(&file.grid) {
                    let parts = [own.clone(), draw.clone(), of_grid];
                    found.push(parts.into_iter().flatten().collect());
                }
            }
        }
    }
    Ok(found)
}

fn count(lists: &[(String, Vec<Value>)]) -> usize {
    lists.iter().fold(1, |count, (_, values)| count.saturating_mul(values.len()))
}

/// Each value with each of the other lists; the last list changes first.
fn product(lists: &[(String, Vec<Value>)]) -> Vec<Table> {
    lists.iter().fold(vec![Table::new()], |tables, (name, values)| {
        let with = |table: &Table, value: &Value| {
            let mut table = table.clone();
            table.insert(name.clone(), value.clone());
            table
        };
        tables.iter().flat_map(|table| values.iter().map(move |value| with(table, value))).collect()
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    fn of(text: &str) -> Result<Vec<Table>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.toml");
        fs::write(&path, text).unwrap();
        points(&SweepFile::read(&path).unwrap())
    }

    #[test]
    fn everything_is_multiplied() {
        assert_eq!(of("lr = 0.1").unwrap(), [Table::new()]);
        let text = "[[runs]]\nmethod = \"prompt\"\nnum_virtual_tokens = [5, 20]\n[[runs]]\nmethod = \"head\"\n[grid]\n\
                    seed = [1, 2]\n[search]\ncount = 3\nlr = {uniform = [0, 1]}";
        let found = of(text).unwrap();
        assert_eq!(found.len(), (2 + 1) * 3 * 2);
        assert_eq!(found[0]["seed"].as_integer(), Some(1));
        assert_eq!(found[1]["seed"].as_integer(), Some(2));
        assert_eq!(found[0]["lr"], found[1]["lr"]);
        assert_eq!(found[0]["lr"], found[6]["lr"]);
        assert!(!found[17].contains_key("num_virtual_tokens"));
    }

    #[test]
    fn too_many_are_refused() {
        let list = (0..500).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
        let text = format!("[grid]\nseed = [{list}]\nsteps = [{list}]");
        assert!(of(&text).unwrap_err().contains("more than 100000 runs"));
    }
}
