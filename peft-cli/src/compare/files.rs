//! Files of predictions side by side, without runs.

use std::path::PathBuf;

use peft_core::{Error, Result, metrics::ratio};

use super::{
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

/// Compares files of predictions for the same rows.
///
/// # Errors
///
/// [`Error::Setting`] for fewer than two; as `RowScores::read` and `RowScores::check_same_rows`.
pub fn of_files(paths: &[PathBuf], fields: &Fields, resamples: usize) -> Result<Files> {
    if paths.len() < 2 {
        return Err(Error::setting(
            "--scores",
            "needs two files of predictions to compare, found one",
        ));
    }
    let mut scored: Vec<RowScores> =
        paths.iter().map(|path| RowScores::read(path, fields)).collect::<Result<_>>()?;
    for other in &scored[1..] {
        scored[0].check_same_rows(other)?;
    }
    let maximise = fields.score.as_deref().is_none_or(|name| Metric::named(name).maximise);
    scored.sort_by(|a, b| {
        let (first, second) = if maximise { (b, a) } else { (a, b) };
        ratio(&first.rows).total_cmp(&ratio(&second.rows))
    });
    let rows: Vec<_> = scored.iter().map(|file| Some(file.rows.clone())).collect();
    let what = scored.first().map(|file| file.what.clone());
    let differences = Differences { what, ..Differences::over_rows(&rows, resamples)? };
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
