//! Which systems can be set against each other over rows: those that answered the same rows and are scored alike.

use std::path::PathBuf;

use peft_core::Error;

use super::row_scores::RowScores;

/// Systems, or files, by the rows that they answered and by what these are scored by.
#[derive(Debug, Default)]
pub struct Alike(Vec<Group>);

#[derive(Debug)]
struct Group {
    /// The predictions of the first of them.
    first: RowScores,
    /// Their places, and their files.
    members: Vec<(usize, PathBuf)>,
}

/// Those that are compared.
#[derive(Debug, Default)]
pub struct Compared {
    /// What their rows are scored by.
    pub what: String,
    /// Their places.
    pub places: Vec<usize>,
    /// The places of the others, each with how it differs.
    pub others: Vec<(usize, Error)>,
}

impl Alike {
    /// Adds a system, after those in front of it.
    pub fn add(&mut self, place: usize, found: &RowScores) {
        let member = (place, found.path.clone());
        match self.0.iter_mut().find(|group| group.first.check_same_rows(found).is_ok()) {
            Some(group) => group.members.push(member),
            None => self.0.push(Group { first: found.clone(), members: vec![member] }),
        }
    }

    /// Most systems that are alike; of equally many those of the foremost. So one that is written otherwise than all
    /// others is the one that is left out, wherever it stands.
    pub fn most(self) -> Compared {
        let Self(mut groups) = self;
        let count = groups.iter().map(|group| group.members.len()).max();
        let Some(at) = groups.iter().position(|group| Some(group.members.len()) == count) else {
            return Compared::default();
        };
        let chosen = groups.remove(at);
        let others = groups.iter().flat_map(|group| {
            // The foremost is called the first of the two.
            let (one, two) = match group.members[0].0 < chosen.members[0].0 {
                true => (&group.first, &chosen.first),
                false => (&chosen.first, &group.first),
            };
            let differing = one.check_same_rows(two).err().map(|error| error.to_string());
            group.members.iter().map(move |(place, path)| {
                let differing = differing.clone().unwrap_or_default();
                let message = match *path == group.first.path {
                    true => differing,
                    false => format!(
                        "{} is written as {} is, and {differing}",
                        path.display(),
                        group.first.path.display()
                    ),
                };
                (*place, Error::Mismatch(message))
            })
        });
        Compared {
            what: chosen.first.what.clone(),
            places: chosen.members.iter().map(|(place, _)| *place).collect(),
            others: others.collect(),
        }
    }
}

/// What is refused where too few are left, each for a reason of its own.
pub fn too_few(mut reasons: Vec<Error>) -> Error {
    match reasons.len() {
        1 => reasons.remove(0),
        _ => {
            let lines = reasons.iter().map(|reason| format!("\n  {reason}"));
            Error::Mismatch(format!(
                "no two of them can be compared over rows:{}",
                lines.collect::<String>()
            ))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;
    use crate::compare::row_scores::Fields;

    /// The places that are compared, and those that are not with what is said.
    fn most(files: &[(&str, &str)]) -> (Vec<usize>, Vec<(usize, String)>) {
        let dir = tempfile::tempdir().unwrap();
        let mut alike = Alike::default();
        for (place, (name, text)) in files.iter().enumerate() {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            alike.add(place, &RowScores::read(&path, &Fields::default()).unwrap());
        }
        let found = alike.most();
        let said =
            |error: Error| error.to_string().replace(&format!("{}/", dir.path().display()), "");
        (found.places, found.others.into_iter().map(|(at, error)| (at, said(error))).collect())
    }

    const LABEL: &str = r#"{"id": 1, "label": "a", "input": {"label": "a"}}"#;
    const TEXT: &str = r#"{"id": 1, "output": "a", "exact_match": true}"#;
    const OTHER_ROW: &str = r#"{"id": 2, "output": "a", "exact_match": true}"#;

    #[test]
    fn the_one_that_is_written_otherwise_is_left_out_wherever_it_stands() {
        for odd in 0..3 {
            let files: Vec<(&str, &str)> = ["a", "b", "c"]
                .into_iter()
                .enumerate()
                .map(|(place, name)| (name, if place == odd { LABEL } else { TEXT }))
                .collect();
            let (places, others) = most(&files);
            assert_eq!(places, (0..3).filter(|place| *place != odd).collect::<Vec<_>>());
            let [(place, said)] = others.as_slice() else { panic!("{others:?}") };
            assert_eq!(*place, odd);
            let (first, second) = if odd == 0 { ("a", "b") } else { ("a", files[odd].0) };
            assert!(said.starts_with(&format!("{first} gives the ")), "{said}");
            assert!(said.contains(&format!(", {second} their ")), "{said}");
        }
    }

    #[test]
    fn of_equally_many_those_of_the_foremost_are_compared() {
        let (places, others) =
            most(&[("a", TEXT), ("b", LABEL), ("c", OTHER_ROW), ("d", TEXT), ("e", LABEL)]);
        assert_eq!(places, [0, 3]);
        let said: Vec<(usize, &str)> =
            others.iter().map(|(place, said)| (*place, said.as_str())).collect();
        assert_eq!(said.len(), 3);
        assert!(matches!(said[0], (1, said) if said.starts_with("a gives the exact match")));
        assert!(
            matches!(said[1], (4, said) if said.starts_with("e is written as b is, and a gives"))
        );
        assert!(matches!(said[2], (2, said) if said.starts_with("a, line 1, and c, line 1")));
        assert_eq!(most(&[]), (Vec::new(), Vec::new()));
    }
}
