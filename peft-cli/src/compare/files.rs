//! Files of predictions side by side, without runs.

use std::path::PathBuf;

use peft_core::{Error, Result, metrics::ratio};

use super::{
    alike::{Alike, too_few},
    differences::Differences,
    metric::Metric,
    row_scores::{Fields, RowScores},
};

/// Files of predictions, the best first.
#[derive(Clone, Debug)]
pub struct Files {
    /// The files.
    pub scored: Vec<RowScores>,
    /// Their differences to the first.
    pub differences: Differences,
}

/// Compares files of predictions for the same rows. One whose rows cannot be scored, or are others or scored otherwise than
/// those of most files, is left out, and noted.
///
/// # Errors
///
/// [`Error::Setting`] for fewer than two; [`Error::Read`] for a file that cannot be read; as `RowScores::read` and
/// `RowScores::check_same_rows` if fewer than two can be compared.
pub fn of_files(paths: &[PathBuf], fields: &Fields, resamples: usize) -> Result<Files> {
    if paths.len() < 2 {
        return Err(Error::setting(
            "--scores",
            "needs two files of predictions to compare, found one",
        ));
    }
    let mut alike = Alike::default();
    let mut scored = Vec::with_capacity(paths.len());
    let mut left_out = Vec::new();
    for (place, path) in paths.iter().enumerate() {
        match RowScores::read(path, fields) {
            Ok(found) => {
                alike.add(place, &found);
                scored.push((place, found));
            }
            // A name that somebody typed wrong.
            Err(error @ Error::Read { .. }) => return Err(error),
            Err(error) => left_out.push((place, error)),
        }
    }
    let compared = alike.most();
    left_out.extend(compared.others);
    left_out.sort_by_key(|(place, _)| *place);
    if compared.places.len() < 2 {
        return Err(too_few(left_out.into_iter().map(|(_, why)| why).collect()));
    }
    let note =
        |(place, why): &(usize, Error)| format!("{} is left out: {why}", paths[*place].display());
    let notes = left_out.iter().map(note).collect();
    let mut scored: Vec<RowScores> = scored
        .into_iter()
        .filter(|(place, _)| compared.places.contains(place))
        .map(|(_, file)| file)
        .collect();
    let maximise = fields.score.as_deref().is_none_or(|name| Metric::named(name).maximise);
    scored.sort_by(|a, b| {
        let (first, second) = if maximise { (b, a) } else { (a, b) };
        ratio(&first.rows).total_cmp(&ratio(&second.rows))
    });
    let rows: Vec<_> = scored.iter().map(|file| Some(file.rows.clone())).collect();
    let what = scored.first().map(|file| file.what.clone());
    let differences = Differences { what, notes, ..Differences::over_rows(&rows, resamples)? };
    Ok(Files { scored, differences })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_best_file_is_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let paths = ["high", "low"].map(|name| dir.path().join(format!("{name}.jsonl")));
        fs::write(&paths[0], "{\"loss\": 2.0, \"bleu\": 2.0}\n{\"loss\": 3.0, \"bleu\": 3.0}\n")
            .unwrap();
        fs::write(&paths[1], "{\"loss\": 1.0, \"bleu\": 1.0}\n{\"loss\": 2.5, \"bleu\": 2.5}\n")
            .unwrap();
        for (score, best) in [("loss", &paths[1]), ("bleu", &paths[0])] {
            let fields = Fields { score: Some(score.into()), ..Fields::default() };
            let found = of_files(&paths, &fields, 10).unwrap();
            assert_eq!(&found.scored[0].path, best, "{score}");
        }
    }
}
