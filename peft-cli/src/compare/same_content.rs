//! Runs that were moved, or gathered from several machines: their settings name a base model and rows by other paths, and the
//! sums say that these are the same.

use serde_json::Value;

use super::{identity::Named, run::Run};

/// What runs were made with, each by its sum, with the path of the first run that names it.
#[derive(Debug, Default)]
pub(super) struct SameContent(Vec<(&'static str, String, Value)>);

impl SameContent {
    /// Gives the settings of a run the paths of an earlier one where what they lead to has the same sum. What has no sum
    /// keeps its path.
    pub(super) fn name(&mut self, run: &Run, settings: &mut Named) {
        let config = run.base_config.as_deref().unwrap_or_default();
        let sums = [
            ("model", run.base_sha256.as_ref().map(|sum| format!("{sum} {config}"))),
            ("train", run.train_sha256.clone()),
            ("valid", run.valid.1.clone()),
        ];
        for (name, sum) in sums {
            let (Some(sum), Some(path)) = (sum, settings.get_mut(name)) else { continue };
            match self.0.iter().find(|(of, known, _)| *of == name && *known == sum) {
                Some((_, _, first)) => path.clone_from(first),
                None => self.0.push((name, sum, path.clone())),
            }
        }
    }
}
