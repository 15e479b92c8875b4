//! Files of predictions side by side, without runs.

use std::path::PathBuf;

use peft_core::{Error, Result, metrics::ratio};

use super::{
    differences::Differences,
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
/// [`Error::Setting`] for fewer than two; as [`RowScores::read`] and [`RowScores::check_same_rows`].
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
    scored.sort_by(|a, b| ratio(&b.rows).total_cmp(&ratio(&a.rows)));
    let rows: Vec<_> = scored.iter().map(|file| Some(file.rows.clone())).collect();
    let what = scored.first().map(|file| file.what.clone());
    let differences = Differences { what, ..Differences::over_rows(&rows, resamples)? };
    Ok(Files { scored, differences })
}
